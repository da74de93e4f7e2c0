# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A target's packages as Nix expressions: each by address and hash, each with what it requires, built ones from source.

Sources: the chapter "Python" of the Nixpkgs manual (buildPythonPackage, buildEnv), pkgs/build-support/fetchgit and
pkgs/development/interpreters/python/hooks of nixpkgs.
"""

from __future__ import annotations

import collections.abc as c
import dataclasses
import pathlib
import tempfile
import typing as t
import urllib.parse

from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError, raise_all
from ansible_collections.comfyops.fleet.plugins.module_utils.lock.document import (
    FILE,
    GIT,
    INDEX,
    PROVIDED,
    SDIST,
    SHIM,
    WHEEL,
    Lock,
    Package,
    Target,
)
from ansible_collections.comfyops.fleet.plugins.plugin_utils.formats import nar, nix_text
from ansible_collections.comfyops.fleet.plugins.plugin_utils.formats.dependencies import (
    dependencies_of,
    left_out_of,
    without_circles,
)
from ansible_collections.comfyops.fleet.plugins.plugin_utils.formats.local_wheels import WHEELS
from ansible_collections.comfyops.fleet.plugins.plugin_utils.formats.nix_text import attribute, quoted
from ansible_collections.comfyops.fleet.plugins.plugin_utils.formats.places import File, Place, Site
from ansible_collections.comfyops.fleet.plugins.plugin_utils.formats.wording import described, kind_of_host
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve import git
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.builds_sources import check_out
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.target_environment import target_environment
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.wheels import tags_of
from ansible_collections.comfyops.fleet.plugins.plugin_utils.spec.hashes import to_sri

_BUILT: t.Final = (GIT, SDIST)


@dataclasses.dataclass(frozen=True)
class Origins:
    """Where everything is. places: of indexes' files, by sha256. trees: NAR hashes (hexadecimal) of repositories."""

    places: c.Mapping[str, Place]
    trees: c.Mapping[str, str]


def local_packages(target: Target) -> list[Package]:
    """The packages whose wheels are brought along: Nix builds the others that have no address from their sources."""
    return [package for package in target.packages if package.source in (FILE, SHIM)]


def origins(lock: Lock, target: Target, site: Site) -> Origins:
    """Ask the indexes for addresses, and the repositories for their content. Raises FleetError, or Failures."""
    wanted = [_file(package.name, package.version, package.file, package.sha256) for package in _of(target, INDEX)]
    wanted += [_file(**requirement) for requirement in _tools(target)]
    archives = [(package, _built_from(package)) for package in _of(target, SDIST)]
    wanted += [
        _file(each.name, each.version, built["file"], built["sha256"]) for each, built in archives if "file" in built
    ]
    faults: list[FleetError] = []
    trees: dict[str, str] = {}
    places = site.places(lock, target, wanted)
    for package in _of(target, GIT):
        try:
            trees[package.name] = tree_sha256(_built_from(package), site.repositories)
        except FleetError as error:
            faults.append(FleetError(str(error), where=package.name))
    raise_all(faults)
    return Origins(places, trees)


def tree_sha256(identity: c.Mapping[str, t.Any], access: git.Access) -> str:
    """The NAR hash of what nixpkgs' fetchgit makes of a repository at a commit, in hexadecimal.

    It checks the commit out, with what ``.gitattributes`` says of line ends, and submodules where they are wanted, and
    removes every ``.git``. An archive that a server makes is other content (export-subst, export-ignore).
    """
    with tempfile.TemporaryDirectory(prefix="tree.") as scratch:
        tree = pathlib.Path(scratch) / "tree"
        check_out(identity, access, tree)
        return nar.nar_sha256(tree, without=nar.GIT)


def written(lock: Lock, target: Target, found: Origins, nixpkgs: str) -> dict[str, str]:
    """The texts of ``flake.nix`` and ``python-packages.nix``. nixpkgs: the flake reference of the only input."""
    machine = target_environment(target.name, target.platform, target.python).machine
    provided = [package for package in _packages(target) if package.source == PROVIDED]
    flake = nix_text.FLAKE.format(
        title=_comment(kind_of_host(lock, target)),
        description=quoted(f"The Python packages of {kind_of_host(lock, target)}"),
        nixpkgs=quoted(nixpkgs),
        system=quoted(f"{machine}-linux"),
        provided=_hint(provided),
    )
    return {"flake.nix": flake, "python-packages.nix": _package_set(lock, target, found)}


def _hint(provided: c.Sequence[Package]) -> str:
    """A line for each package that the user has to say himself."""
    lines = "".join(f"\n        # {attribute(each.name)} = ...; # {each.version}" for each in provided)
    return f"{lines}\n       " if lines else ""


def _package_set(lock: Lock, target: Target, found: Origins) -> str:
    graph, circles = without_circles(dependencies_of(target.packages))
    left_out = left_out_of(target.packages)
    entries = []
    for package in _packages(target):
        notes = [*described(package), *_graph_notes(circles[package.name], left_out[package.name])]
        comments = "".join(f"    # {_comment(note)}\n" for note in notes)
        entries.append(
            f"{comments}    {attribute(package.name)} = {_expression(lock, target, package, found, graph)};\n"
        )
    requirements = {_key(each): each for each in _tools(target)}
    tools = [
        f"    {attribute(key)} = {_build_requirement(each, found.places[each['sha256']])};\n"
        for key, each in sorted(requirements.items())
    ]
    major, minor = target.python.split(".")[:2]
    return nix_text.PACKAGES.format(
        title=_comment(kind_of_host(lock, target)),
        interpreter=f"python{major}{minor}",
        version=f"{major}.{minor}",
        exact=f"\n# (The lock has Python {target.python}; which {major}.{minor} it is, nixpkgs says.)"
        if target.python.count(".") > 1
        else "",
        driver="[ pkgs.autoAddDriverRunpath ]" if (target.accelerator or "").startswith("cu") else "[ ]",
        tools="\n".join(tools),
        packages="\n".join(entries),
    )


def _graph_notes(circle: c.Sequence[str], left_out: c.Sequence[str]) -> c.Iterator[str]:
    if circle:
        yield f"It also requires {', '.join(circle)}, which requires it in turn: the environment has both."
    if left_out:
        yield f"It also requires {', '.join(left_out)}, which the lock leaves out."


def _built_names(target: Target) -> dict[str, str]:
    """The names of packages that Nix builds, by the sha256 of the wheels that were built here."""
    return {str(package.sha256): package.name for package in _of(target, *_BUILT)}


def _tools(target: Target) -> list[c.Mapping[str, t.Any]]:
    """What sources are built with, less what is built of sources itself."""
    required = [each for package in _of(target, *_BUILT) for each in _built_from(package)["requires"]]
    return [each for each in required if each["sha256"] not in _built_names(target)]


def _expression(
    lock: Lock, target: Target, package: Package, found: Origins, graph: c.Mapping[str, c.Sequence[str]]
) -> str:
    if package.source == PROVIDED:
        message = f"{package.name} {package.version} comes with the hosts' image: say in provided what is in its place"
        return f"provided.{attribute(package.name)} or (throw {quoted(message)})"
    required = [f"packages.{attribute(name)}" for name in graph[package.name]]
    dependencies = {"dependencies": nix_text.listed(required)} if required else {}
    common = {"pname": quoted(package.name), "version": quoted(package.version)}
    if package.source in _BUILT:
        return nix_text.call("source", {**common, **_source(lock, target, package, found), **dependencies})
    binary = {} if tags_of(str(package.file))[-1] == "any" else {"binary": "true"}
    return nix_text.call("wheel", {**common, "src": _wheel_source(package, found), **binary, **dependencies})


def _source(lock: Lock, target: Target, package: Package, found: Origins) -> dict[str, str]:
    built, names = _built_from(package), _built_names(target)
    tools = nix_text.listed(
        f"packages.{attribute(names[each['sha256']])}" if each["sha256"] in names else f"tools.{attribute(_key(each))}"
        for each in built["requires"]
    )
    folder = {"subdirectory": quoted(built["subdirectory"])} if built.get("subdirectory") else {}
    entries = lock.spec.get("python", {}).get("build", ())
    environment: dict[str, str] = next((entry["env"] for entry in entries if entry["name"] == package.name), {})
    variables = "".join(f" {attribute(name)} = {quoted(value)};" for name, value in sorted(environment.items()))
    values = {"src": _code(package, built, found), **folder, "build-system": tools}
    return {**values, "env": f"{{{variables} }}"} if variables else values


def _code(package: Package, built: c.Mapping[str, t.Any], found: Origins) -> str:
    if package.source == SDIST and "file" in built:
        return _fetchurl(found.places[built["sha256"]].url, built["sha256"], built["file"])
    if package.source == SDIST:
        file = urllib.parse.unquote(urllib.parse.urlsplit(built["url"]).path.rpartition("/")[2])
        return _fetchurl(built["url"], built["sha256"], file)
    return nix_text.call(
        "pkgs.fetchgit",
        {
            "url": quoted(built["git"]),
            "rev": quoted(built["commit"]),
            "hash": quoted(to_sri(found.trees[package.name])),
            "fetchSubmodules": str(bool(built["submodules"])).lower(),
        },
        indent=6,
    )


def _wheel_source(package: Package, found: Origins) -> str:
    file, sha256 = str(package.file), str(package.sha256)
    if package.source == INDEX:
        return _fetchurl(found.places[sha256].url, sha256, file)
    if package.source == WHEEL:
        return _fetchurl(str(package.url), sha256, file)
    return nix_text.call(
        "builtins.path",
        {
            "path": f"./{WHEELS} + {quoted('/' + file)}",
            "name": quoted(_store_name(file)),
            "recursive": "false",
            "sha256": quoted(to_sri(sha256)),
        },
        indent=6,
    )


def _build_requirement(requirement: c.Mapping[str, t.Any], place: Place) -> str:
    src = _fetchurl(place.url, requirement["sha256"], requirement["file"])
    values = {"pname": quoted(requirement["name"]), "version": quoted(requirement["version"]), "src": src}
    binary = {} if tags_of(requirement["file"])[-1] == "any" else {"binary": "true"}
    return nix_text.call("wheel", {**values, **binary})


def _fetchurl(url: str, sha256: str, file: str) -> str:
    values = {"url": quoted(url), "hash": quoted(to_sri(sha256)), "name": quoted(_store_name(file))}
    return nix_text.call("pkgs.fetchurl", values, indent=6)


def _store_name(file: str) -> str:
    """The name of a file in the store, which installers read; a wheel's may have one character that the store has not.

    Raises FleetError for such a one.
    """
    if nix_text.STORE_NAME.fullmatch(file):
        return file
    raise FleetError(
        f"{file} is no name that the store of Nix can hold (letters, digits and +-._?=)",
        remedy="Take another version of the package, or another format",
    )


def _packages(target: Target) -> list[Package]:
    return sorted(target.packages, key=lambda package: package.name)


def _of(target: Target, *sources: str) -> list[Package]:
    return [package for package in _packages(target) if package.source in sources]


def _built_from(package: Package) -> c.Mapping[str, t.Any]:
    if package.built_from is None:
        raise FleetError(f"{package.name} does not say what it was built of", remedy="Lock again")
    return package.built_from


def _file(name: str, version: str, file: str | None, sha256: str | None) -> File:
    return File(name, version, str(file), str(sha256))


def _key(requirement: c.Mapping[str, t.Any]) -> str:
    return f"{requirement['name']}-{requirement['version']}-{requirement['sha256'][:8]}"


def _comment(text: str) -> str:
    """A comment ends with its line."""
    return " ".join(text.split())
