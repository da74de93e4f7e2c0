# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Packages that the host's image brings: found in its own Python, held against the lock, and linked into environments.

An environment sees exactly these and no other package of the image: links lead to their files, a directory at a time
where it is theirs alone. Nothing is ever written through them. What they are is the image's business: an environment
asserts that they are there, in the locked version.
"""

from __future__ import annotations

import collections.abc as c
import inspect
import json
import os
import pathlib
import typing as t

from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.comfyops.fleet.plugins.module_utils.host.context import Context
from ansible_collections.comfyops.fleet.plugins.module_utils.host.facts import find_python
from ansible_collections.comfyops.fleet.plugins.module_utils.host.process import run
from ansible_collections.comfyops.fleet.plugins.module_utils.lock.document import PROVIDED, Package
from ansible_collections.comfyops.fleet.plugins.module_utils.packages import provided_search
from ansible_collections.comfyops.fleet.plugins.module_utils.packages.distributions import BYTECODE, is_metadata
from ansible_collections.comfyops.fleet.plugins.module_utils.packages.provided_links import keep_links
from ansible_collections.comfyops.fleet.plugins.module_utils.packages.versions import same_version

_SECONDS = 120
_KEY = "python.provided"
# A directory's entries: of a file its path on the host, of a directory its own entries.
Tree = dict[str, t.Any]


class Image(t.NamedTuple):
    """What a host's Python says of the packages that it is to bring. found: by name, None for one that is not there."""

    python: str
    found: c.Mapping[str, c.Mapping[str, t.Any] | None]
    required: c.Sequence[c.Mapping[str, t.Any]]


def provided_of(context: Context) -> list[Package]:
    """What of the target the image brings."""
    return [package for package in context.target.packages if package.source == PROVIDED]


def provided_faults(context: Context) -> list[FleetError]:
    """Where the image is not what the lock says, and what its packages require that nobody brings."""
    packages = provided_of(context)
    image = _look(context, packages) if packages else None
    if image is None:
        # Without a Python no environment can be made either; that is told.
        return []
    faults = [fault for package in packages for fault in _version_faults(image, package)]
    return [*faults, *([_required_fault(image)] if image.required else [])]


def link_provided(context: Context, environment: pathlib.Path, site: pathlib.Path) -> None:
    """Link the image's packages into ``site``, the packages' directory of a new environment.

    Raises FleetError when the image is not what the lock says.
    """
    packages = provided_of(context)
    image = _look(context, packages) if packages else None
    if image is None:
        return
    tree: Tree = {}
    for package in packages:
        for fault in _version_faults(image, package):
            raise fault
        _grow(tree, package.name, t.cast("c.Mapping[str, t.Any]", image.found[package.name]))
    links: dict[str, dict[str, str]] = {package.name: {} for package in packages}
    _link(site, "", tree, links)
    keep_links(environment, links)


def _look(context: Context, packages: c.Sequence[Package]) -> Image | None:
    # Not its real path: a virtual environment's Python has the packages, and leads to one that has not.
    python = find_python(context.target.python, context.settings.python)
    if python is None:
        return None
    names = [package.name for package in packages]
    excluded = (context.lock.spec.get("python") or {}).get("exclude") or []
    question = {"names": names, "locked": [*(package.name for package in context.target.packages), *excluded]}
    # -I: what the user who runs this has installed for himself is not the image's.
    argv = [str(python), "-I", "-B", "-c", inspect.getsource(provided_search)]
    return Image(**json.loads(run(argv, stdin=json.dumps(question).encode(), timeout=_SECONDS).text))


def _version_faults(image: Image, package: Package) -> list[FleetError]:
    found = image.found[package.name]
    if found is None:
        what = f"{package.name} is not on this host, which is to bring {package.version}"
    elif not same_version(found["version"], package.version):
        what = f"{package.name} {found['version']} is on this host ({found['site']}), the lock says {package.version}"
    elif not found["files"] and len(found["modules"]) <= 1:
        what = f"{package.name} on this host ({found['site']}) does not say which files are its own"
    else:
        return []
    return [
        FleetError(
            what,
            where=image.python,
            remedy="Take the image that has it, set comfy_python to the Python that has it, or change"
            f" {_KEY} and lock again",
        )
    ]


def _required_fault(image: Image) -> FleetError:
    """All that is missing at once, as lines to add."""
    owners = sorted({each["package"] for each in image.required})
    there = [f'"{each["name"]}=={each["version"]}"' for each in image.required if each["version"]]
    elsewhere = [f'"{each["name"]}"' for each in image.required if not each["version"]]
    ways = [f"to {_KEY} {', '.join(sorted(there))} (or their names to python_packages)"] if there else []
    ways += [f"to python_packages {', '.join(sorted(elsewhere))}"] if elsewhere else []
    names = ", ".join(sorted(each["name"] for each in image.required))
    return FleetError(
        f"{', '.join(owners)} of this host {'requires' if len(owners) == 1 else 'require'} what the lock has not:"
        f" {names}",
        where=image.python,
        remedy=f"Add {' and '.join(ways)}, or what works without to python.exclude, and lock again",
    )


def _grow(tree: Tree, name: str, found: c.Mapping[str, t.Any]) -> None:
    """Add a package's files. Its metadata, and modules of which the files are not known, are taken as they are."""
    metadata = {path.partition("/")[0] for path in found["files"] if is_metadata(path.partition("/")[0])}
    for whole in {*metadata, *found["modules"]}:
        tree[whole] = (name, f"{found['site']}/{whole}")
    for path in found["files"]:
        *parents, last = path.split("/")
        place = tree
        for parent in parents:
            place = place.setdefault(parent, {})
            if not isinstance(place, dict):
                # It is linked as a whole.
                break
        else:
            place[last] = (name, f"{found['site']}/{path}")


def _link(site: pathlib.Path, inside: str, tree: Tree, links: dict[str, dict[str, str]]) -> None:
    for entry, below in tree.items():
        path = f"{inside}{entry}"
        place = site / path
        is_directory = isinstance(below, dict)
        there = os.path.lexists(place)
        whole = None if is_directory and there else _whole(below) if is_directory else below
        if whole is None:
            place.mkdir(exist_ok=True)
            _link(site, f"{path}/", below, links)
        elif not there:
            # What a locked package has of the same name counts.
            name, target = whole
            place.symlink_to(target)
            links[name][path] = target


def _whole(tree: Tree) -> tuple[str, str] | None:
    """The package and the directory on the host, where all that is in there is one package's."""
    owners, directories = set(), set()
    for entry, below in tree.items():
        found = _whole(below) if isinstance(below, dict) else below
        if found is None:
            return None
        name, target = found
        owners.add(name)
        directories.add(os.path.dirname(target))
        if os.path.basename(target) != entry:
            return None
    if len(owners) != 1 or len(directories) != 1:
        return None
    (owner,), (directory,) = owners, directories
    return (owner, directory) if set(os.listdir(directory)) - {BYTECODE} <= tree.keys() else None
