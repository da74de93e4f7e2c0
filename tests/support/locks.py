# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Locks for tests: small documents in the form that hosts are converged to."""

from __future__ import annotations

import collections.abc as c
import typing as t

Document = dict[str, t.Any]


def checkout(repo: str, commit: str, submodules: c.Sequence[Document] = ()) -> Document:
    """A repository at a commit."""
    return {"repo": repo, "ref": "main", "commit": commit, "submodules": list(submodules)}


def node(directory: str, repo: str, commit: str, **more: t.Any) -> Document:
    """A custom node."""
    entry = {**checkout(repo, commit), "name": directory, "directory": directory, "writable": []}
    return {**entry, **more}


def lock(core: Document, nodes: c.Sequence[Document] = (), **more: t.Any) -> Document:
    """A lock with one target that any host is."""
    return {
        "lock_version": 1,
        "spec": {
            "version_id": "test",
            "options": {"offline": False, "skip_models": False},
            "policy": {"allow_http": False},
        },
        "core": core,
        "nodes": list(nodes),
        "targets": {"default": target()},
        "requirements": [],
        "models": [],
        **more,
    }


def target(packages: c.Sequence[Document] = ()) -> Document:
    """A target for the Python that the tests run with."""
    return {
        "python": "3.11",
        "platform": "x86_64-manylinux_2_17",
        "accelerator": None,
        "match": {},
        "indexes": {"pypi": None},
        "interpreter": None,
        "packages": list(packages),
        "replaced": [],
    }


def package(name: str, version: str, file: str | None, sha256: str | None, **more: t.Any) -> Document:
    """A distribution of the default index that the spec asks for, if ``more`` does not say otherwise."""
    return {
        "name": name,
        "version": version,
        "source": "index",
        "file": file,
        "sha256": sha256,
        "size": None,
        "index": "pypi",
        "url": None,
        "built_from": None,
        "provider": None,
        "requires": [],
        "license": None,
        "required_by": ["spec"],
        **more,
    }
