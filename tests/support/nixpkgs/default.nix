# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# The stand-in's packages. It takes what the real functions take and no more, and Nix itself fetches and checks files.
# STAND_IN_PYTHON is the interpreter that builds, STAND_IN_VERSION its version.
{ }:

let
  system = "x86_64-linux";
  interpreter = builtins.getEnv "STAND_IN_PYTHON";
  version = builtins.getEnv "STAND_IN_VERSION";
  attribute = "python${builtins.replaceStrings [ "." ] [ "" ] version}";
  sitePackages = "lib/python${version}/site-packages";

  lib = {
    throwIfNot = condition: message: value: if condition then value else throw message;
    optional = condition: value: if condition then [ value ] else [ ];
    optionalAttrs = condition: values: if condition then values else { };
    hasSuffix =
      suffix: text:
      let
        start = builtins.stringLength text - builtins.stringLength suffix;
      in
      start >= 0 && builtins.substring start (-1) text == suffix;
    concatMapStrings = function: values: builtins.concatStringsSep "" (map function values);
  };

  # pkgs/stdenv: a shell script with this machine's programs.
  run =
    name: values: script:
    derivation (
      values
      // {
        inherit name system;
        builder = "/bin/bash";
        args = [
          "-euc"
          # The shell itself has to end last: Nix kills a program that closes its output before it ends.
          "export PATH=/usr/bin:/bin\n${script}\ntrue"
        ];
      }
    );
  empty = name: run name { } "mkdir $out";

  fetchurl =
    {
      url,
      hash,
      name ? baseNameOf url,
    }:
    derivation {
      inherit name url;
      system = "builtin";
      builder = "builtin:fetchurl";
      outputHash = hash;
      outputHashAlgo = null;
      outputHashMode = "flat";
    };

  # pkgs/build-support/fetchgit/nix-prefetch-git: check out, take every .git away.
  fetchgit =
    {
      url,
      rev,
      hash,
      fetchSubmodules ? true,
      name ? "source",
    }:
    run name
      {
        inherit url rev;
        outputHash = hash;
        outputHashAlgo = null;
        outputHashMode = "recursive";
        GIT_CONFIG_NOSYSTEM = "1";
        GIT_CONFIG_GLOBAL = "/dev/null";
        GIT_ALLOW_PROTOCOL = "http:https:file";
      }
      ''
        git init --quiet "$out"
        cd "$out"
        git fetch --quiet --depth=1 "$url" "$rev"
        git checkout --quiet FETCH_HEAD
        ${if fetchSubmodules then "git submodule --quiet update --init --recursive" else ""}
        find "$out" -name .git -print0 | xargs -0 rm -rf
      '';

  requiredPythonModules =
    packages:
    builtins.attrValues (
      builtins.listToAttrs (
        builtins.concatMap (
          package:
          [
            {
              name = builtins.unsafeDiscardStringContext package.drvPath;
              value = package;
            }
          ]
          ++ map (each: {
            name = builtins.unsafeDiscardStringContext each.drvPath;
            value = each;
          }) (requiredPythonModules (package.propagatedBuildInputs or [ ]))
        ) packages
      )
    );

  buildPythonPackage =
    {
      pname,
      version,
      src,
      format ? null,
      pyproject ? null,
      build-system ? [ ],
      sourceRoot ? null,
      nativeBuildInputs ? [ ],
      buildInputs ? [ ],
      propagatedBuildInputs ? [ ],
      autoPatchelfIgnoreMissingDeps ? [ ],
      preFixup ? "",
      dontStrip ? false,
      doCheck ? true,
      dontCheckRuntimeDeps ? false,
      catchConflicts ? true,
      ...
    }@values:
    assert (format == "wheel") != (pyproject == true);
    assert !doCheck;
    let
      made = run "${attribute}-${pname}-${version}" (
        {
          inherit src nativeBuildInputs buildInputs;
          inherit propagatedBuildInputs preFixup sitePackages interpreter;
          tools = build-system;
          root = if sourceRoot == null then "" else sourceRoot;
          wheel = format == "wheel";
          script = ./build.py;
        }
        // removeAttrs values [
          "src"
          "build-system"
          "sourceRoot"
          "format"
          "pyproject"
        ]
      ) ''"$interpreter" -I "$script" "$src" "$out" "$sitePackages" "$wheel" "$root" $tools'';
    in
    made // { inherit propagatedBuildInputs; };

  toPythonModule = package: package;

  buildEnv = {
    override =
      {
        extraLibs,
        ignoreCollisions ? false,
      }:
      run "${attribute}-env"
        {
          inherit sitePackages;
          packages = requiredPythonModules extraLibs;
        }
        ''
          mkdir -p "$out/$sitePackages"
          for package in $packages; do cp -rn --no-preserve=mode "$package/$sitePackages/." "$out/$sitePackages/"; done
        '';
  };
in
{
  inherit lib fetchurl fetchgit;
  ${attribute} = {
    pythonVersion = version;
    inherit sitePackages buildEnv;
    pkgs = {
      inherit buildPythonPackage requiredPythonModules toPythonModule;
    };
  };
  runCommand = run;
  autoPatchelfHook = empty "auto-patchelf-hook";
  autoAddDriverRunpath = empty "auto-add-driver-runpath-hook";
  pythonManylinuxPackages.manylinux2014 = [ (empty "zlib") ];
  stdenv.cc.cc.lib = empty "gcc-lib";
  unzip = empty "unzip";
  mkShell = { packages }: run "shell" { inherit packages; } "mkdir $out";
}
