# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a bundle has for a lock, and the names of its files.

``versions/<id>.lock.json``, ``versions/wheels/...`` as beside the lock, ``git/<mirror>-<commits>.tar``,
``files/<first 12 of sha256>/<file>``, ``agent/uv``, ``models/ab/ab12...``. A name leads to one content only.
"""

from __future__ import annotations

import collections.abc as c
import hashlib
import pathlib
import typing as t

from ansible_collections.comfyops.fleet.plugins.module_utils.checkout.mirror import mirror_path
from ansible_collections.comfyops.fleet.plugins.module_utils.host.layout import Layout
from ansible_collections.comfyops.fleet.plugins.module_utils.lock.document import (
    PROVIDED,
    SHIM,
    Interpreter,
    Lock,
    Package,
    Target,
)
from ansible_collections.comfyops.fleet.plugins.module_utils.models.wanted import contents
from ansible_collections.comfyops.fleet.plugins.module_utils.packages.held import named_by_content

UV = "agent/uv"
_DIGITS = 12


class Named(t.NamedTuple):
    """A file of a bundle as the lock knows it. sha256 and size (bytes): None where the lock does not say.

    optional: a bundle may be without it, and is whole.
    """

    sha256: str | None
    size: int | None
    optional: bool = False


def lock_name(version: str) -> str:
    """The lock's file."""
    return f"versions/{version}.lock.json"


def repository_name(repo: str, commits: c.Iterable[str]) -> str:
    """The archive of a repository with these commits: a bare mirror in one directory."""
    mirror = mirror_path(pathlib.Path(), repo).name.removesuffix(".git")
    digest = hashlib.sha256("\n".join(sorted(commits)).encode()).hexdigest()
    return f"git/{mirror}-{digest[:_DIGITS]}.tar"


def package_name(package: Package) -> str:
    """The wheel of a package. Those that were built are where they are beside the lock."""
    directory = "versions/wheels" if package.built_from else "files"
    return str(named_by_content(pathlib.Path(directory), package.sha256, package.file))


def interpreter_name(interpreter: Interpreter) -> str:
    """The archive of a managed Python."""
    return str(named_by_content(pathlib.Path("files"), interpreter.sha256, interpreter.file))


def model_name(sha256: str) -> str:
    """The bytes of a model."""
    return f"models/{sha256[:2]}/{sha256}"


def repositories(lock: Lock) -> dict[str, list[str]]:
    """The commits that are needed of each repository: of core, nodes and submodules."""
    found: dict[str, set[str]] = {}
    for checkout in (lock.core, *lock.nodes):
        found.setdefault(checkout.repo, set()).add(checkout.commit)
        for submodule in checkout.submodules:
            found.setdefault(submodule.repo, set()).add(submodule.commit)
    return {repo: sorted(commits) for repo, commits in found.items()}


def wheels(target: Target) -> list[Package]:
    """The packages whose files a bundle has: hosts make shims themselves, and their image brings what it provides."""
    return [package for package in target.packages if package.source not in (SHIM, PROVIDED)]


def waiting(layout: Layout) -> pathlib.Path:
    """Where files of a bundle arrive on a host, but models: they do beside the store."""
    return layout.own_cache / "bundle"


def content_of(lock: Lock, targets: c.Iterable[Target], models: bool) -> dict[str, Named]:
    """Every file that a bundle of the lock has, but the documents beside it. models: whether it has those."""
    found = {repository_name(repo, commits): Named(None, None) for repo, commits in repositories(lock).items()}
    found[UV] = Named(None, None)
    for target in targets:
        found.update({package_name(each): Named(each.sha256, each.size) for each in wheels(target)})
        if target.interpreter is not None:
            found[interpreter_name(target.interpreter)] = Named(target.interpreter.sha256, target.interpreter.size)
    needed = {model.sha256 for model in lock.models if not model.optional}
    for sha256, model in contents(lock.models).items() if models else ():
        found[model_name(sha256)] = Named(sha256, model.size, sha256 not in needed)
    return found
