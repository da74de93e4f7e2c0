# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The language Nix: texts, names and calls, and the two files around what a lock says."""

from __future__ import annotations

import collections.abc as c
import re
import typing as t

STORE_NAME = re.compile(r"[A-Za-z0-9+_?=-][A-Za-z0-9+._?=-]{0,206}")

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_'-]*")
_WORDS: t.Final = frozenset({"assert", "else", "if", "in", "inherit", "let", "or", "rec", "then", "with"})


def quoted(text: str) -> str:
    """A text, with what would end it or be replaced in it escaped."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("${", "\\${")
    return f'"{escaped}"'.replace("\n", "\\n").replace("\r", "\\r").replace("\t", "\\t")


def attribute(name: str) -> str:
    """The name of an attribute, quoted where it has to be."""
    return name if _NAME.fullmatch(name) and name not in _WORDS else quoted(name)


def listed(expressions: c.Iterable[str]) -> str:
    """A list."""
    inner = " ".join(expressions)
    return f"[ {inner} ]" if inner else "[ ]"


def call(function: str, arguments: c.Mapping[str, str], indent: int = 4) -> str:
    """A function with a set of arguments, one a line; indent: columns of the line that it begins in."""
    margin = " " * indent
    lines = "".join(f"{margin}  {name} = {value};\n" for name, value in arguments.items())
    return f"{function} {{\n{lines}{margin}}}"


FLAKE: t.Final = """\
# {title}
# Written by comfyops.fleet from the lock; write it anew rather than edit it.
#
#     nix develop            a shell with all packages
#     nix build              the environment, as ./result
#     nix build .#<name>     one package
{{
  description = {description};

  # The only input, and a public one. It is named by its branch: `nix flake lock` writes which commit that is, with its
  # hash, into flake.lock. Keep that file: it pins the interpreter and the C libraries. The packages do not need it.
  inputs.nixpkgs.url = {nixpkgs};

  outputs =
    {{ self, nixpkgs }}:
    let
      system = {system};
      pkgs = nixpkgs.legacyPackages.${{system}};
      set = import ./python-packages.nix {{
        inherit pkgs;
        # What the hosts' image brings and no file is known of.
        provided = {{{provided} }};
      }};
    in
    {{
      packages.${{system}} = set.packages // {{
        default = set.environment;
      }};
      devShells.${{system}}.default = pkgs.mkShell {{
        packages = [ set.environment ];
      }};
    }};
}}
"""

PACKAGES: t.Final = """\
# {title}
# Written by comfyops.fleet from the lock; write it anew rather than edit it.
#
# Every Python package below, and everything that one is built with, has an address and a hash. By name alone come from
# nixpkgs: the interpreter {interpreter}, the C and C++ libraries that "manylinux" wheels expect, autoPatchelfHook, and
# for sources the compilers.{exact}
{{
  pkgs,
  provided ? {{ }},
}}:

let
  inherit (pkgs) lib;

  python = lib.throwIfNot (
    pkgs.{interpreter}.pythonVersion == "{version}"
  ) "the wheels are those of Python {version}" pkgs.{interpreter};

  # What wheels with compiled code need: their libraries find each other, those of the wheels that they require (torch
  # and the libraries of CUDA lie in several), and the driver's, which no package has.
  compiled = dependencies: {{
    nativeBuildInputs = [ pkgs.autoPatchelfHook ] ++ {driver};
    buildInputs = [ pkgs.stdenv.cc.cc.lib ] ++ pkgs.pythonManylinuxPackages.manylinux2014;
    autoPatchelfIgnoreMissingDeps = [
      "libcuda.so.1"
      "libnvidia-ml.so.1"
    ];
    preFixup = lib.concatMapStrings (each: ''
      addAutoPatchelfSearchPath ${{each}}/${{python.sitePackages}}
    '') (python.pkgs.requiredPythonModules dependencies);
    dontStrip = true;
  }};

  wheel =
    {{
      pname,
      version,
      src,
      dependencies ? [ ],
      binary ? false,
    }}:
    python.pkgs.buildPythonPackage (
      {{
        inherit pname version src;
        format = "wheel";
        propagatedBuildInputs = dependencies;
        doCheck = false;
      }}
      // lib.optionalAttrs binary (compiled dependencies)
    );

  # The source has no .git: tools that take the version from git are told it. The lock, not its metadata, says with what
  # a package runs.
  source =
    {{
      pname,
      version,
      src,
      build-system,
      dependencies ? [ ],
      subdirectory ? null,
      env ? {{ }},
    }}:
    python.pkgs.buildPythonPackage (
      {{
        inherit
          pname
          version
          src
          build-system
          ;
        pyproject = true;
        nativeBuildInputs = lib.optional (lib.hasSuffix ".zip" src.name) pkgs.unzip;
        propagatedBuildInputs = dependencies;
        doCheck = false;
        dontCheckRuntimeDeps = true;
        catchConflicts = false;
        SETUPTOOLS_SCM_PRETEND_VERSION = version;
        PBR_VERSION = version;
        PDM_BUILD_SCM_VERSION = version;
      }}
      // lib.optionalAttrs (subdirectory != null) {{
        sourceRoot = "${{src.name}}/${{subdirectory}}";
      }}
      // env
    );

  # What sources are built with.
  tools = {{
{tools}  }};

  packages = {{
{packages}  }};

  environment = python.buildEnv.override {{
    extraLibs = builtins.attrValues packages;
    # Some wheels bring the same file, as those of one namespace do; pip does not mind either.
    ignoreCollisions = true;
  }};
in
{{
  inherit python packages environment;
}}
"""
