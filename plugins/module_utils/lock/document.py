# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lock as data types: what ``versions/<id>.lock.json`` says, read strictly.

The file's form is ``plugins/schemas/lock.schema.json``. Everything on a host is planned from these types alone.
"""

from __future__ import annotations

import collections.abc as c
import dataclasses
import json
import re
import typing as t

from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError

LOCK_VERSION = 1
COMMIT = re.compile(r"[0-9a-f]{40}")
SHA256 = re.compile(r"[0-9a-f]{64}")
_ELSEWHERE = re.compile(r"[/\x00]|^\.{0,2}$")
# The sources of a package's file.
INDEX, WHEEL, FILE, SDIST, GIT, SHIM, PROVIDED = "index", "wheel", "file", "sdist", "git", "shim", "provided"
# The index that answers for every name that is bound to none.
DEFAULT_INDEX = "pypi"


@dataclasses.dataclass(frozen=True)
class Submodule:
    """A submodule of a checkout at its commit; ``path`` is relative to the checkout."""

    path: str
    repo: str
    commit: str


@dataclasses.dataclass(frozen=True)
class Checkout:
    """A git repository at a full commit: ComfyUI itself or a custom node.

    ``directory`` is the node's folder below ``custom_nodes``, and empty for the core.
    ``writable`` are paths inside it that live in ``data/`` and outlive the build.
    """

    name: str
    directory: str
    repo: str
    ref: str | None
    commit: str
    submodules: tuple[Submodule, ...] = ()
    writable: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Package:
    """One Python distribution of a target: exactly one file, or none where the host's image provides it.

    ``source`` says how the file is got: ``index`` (named by ``index``), ``wheel`` (at ``url``), ``file`` (a wheel of
    the control node), ``sdist`` and ``git`` (wheels that were built of ``built_from``), ``shim`` (made by the host
    itself: no content, ``provider`` is installed in its place), ``provided`` (no file: the host's image brings it).
    ``requires`` are its own requirements that count on the target, ``license`` what its metadata says of that.
    """

    name: str
    version: str
    source: str
    file: str | None
    sha256: str | None
    size: int | None
    index: str | None
    url: str | None
    built_from: c.Mapping[str, t.Any] | None
    provider: str | None
    requires: tuple[str, ...]
    license: str | None
    required_by: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Replaced:
    """A requirement line of ``owner`` that does not count, the line or owner that won over it, and the reason."""

    owner: str
    line: str
    by: str
    why: str


@dataclasses.dataclass(frozen=True)
class Interpreter:
    """A managed Python: the archive ``file`` at ``url`` with its sha256 and size in bytes."""

    version: str
    file: str
    url: str
    sha256: str
    size: int | None


@dataclasses.dataclass(frozen=True)
class Target:
    """A kind of host: its Python (``3.11`` or ``3.11.9``), platform (uv's name), accelerator, and packages.

    ``indexes`` are the package indexes by name with their own URLs (None: the index tool's default). ``interpreter``
    is what a host that lacks the Python may get.
    """

    name: str
    python: str
    platform: str
    accelerator: str | None
    match: c.Mapping[str, t.Any]
    indexes: c.Mapping[str, str | None]
    interpreter: Interpreter | None
    packages: tuple[Package, ...]
    replaced: tuple[Replaced, ...]

    @property
    def kind(self) -> str:
        """What a host of it is, in words: ``Python 3.12, x86_64-manylinux_2_28, cu130``."""
        return ", ".join(filter(None, (f"Python {self.python}", self.platform, self.accelerator)))


@dataclasses.dataclass(frozen=True)
class Requirements:
    """The requirement lines of one owner (``core``, ``node:<directory>``, ``spec``) that the packages satisfy."""

    owner: str
    file: str | None
    lines: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Model:
    """A model file: immutable URL, sha256, size in bytes, paths.

    Paths begin with ``$MODELS_DIR/``, ``$COMFY_HOME/``, ``$HF_HOME/`` or ``$XDG_CACHE_HOME/`` (``data/cache``). ``url``
    may be the content itself (``data:,...``): a branch of the Hub's cache.
    """

    name: str
    source: str
    url: str
    sha256: str
    size: int | None
    paths: tuple[str, ...]
    optional: bool


@dataclasses.dataclass(frozen=True)
class Lock:
    """A whole lock. ``spec`` is the normalized spec that it was made of, ``document`` the lock as it was read."""

    document: c.Mapping[str, t.Any]
    version_id: str
    spec: c.Mapping[str, t.Any]
    core: Checkout
    nodes: tuple[Checkout, ...]
    targets: c.Mapping[str, Target]
    requirements: tuple[Requirements, ...]
    models: tuple[Model, ...]


def canonical(document: c.Mapping[str, t.Any]) -> str:
    """The one text of a lock: sorted keys, two spaces, ``\\n`` at the end."""
    return json.dumps(document, sort_keys=True, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def read_lock(document: c.Mapping[str, t.Any], where: str = "lock") -> Lock:
    """The lock that ``document`` (parsed JSON) says.

    Raises FleetError when it is of another lock version or not of a lock's form.
    """
    found = document.get("lock_version")
    if found != LOCK_VERSION:
        raise FleetError(
            f"lock version {found} is not {LOCK_VERSION}",
            where=where,
            remedy="Use the collection's version that made it, or make it again with lock.yml",
        )
    try:
        return Lock(
            document=document,
            version_id=document["spec"]["version_id"],
            spec=document["spec"],
            core=_checkout({"name": "ComfyUI", "directory": "", **document["core"]}),
            nodes=tuple(_checkout(node) for node in document["nodes"]),
            targets={name: _target(name, target) for name, target in document["targets"].items()},
            requirements=tuple(
                Requirements(entry["owner"], entry["file"], tuple(entry["lines"])) for entry in document["requirements"]
            ),
            models=tuple(_model(model) for model in document["models"]),
        )
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise FleetError(
            f"is not a lock ({type(error).__name__}: {error})", where=where, remedy="Make it again with lock.yml"
        ) from error


def _checkout(entry: c.Mapping[str, t.Any]) -> Checkout:
    return Checkout(
        name=entry["name"],
        directory=entry["directory"],
        repo=entry["repo"],
        ref=entry["ref"],
        commit=_matching(COMMIT, entry["commit"]),
        submodules=tuple(
            Submodule(each["path"], each["repo"], _matching(COMMIT, each["commit"])) for each in entry["submodules"]
        ),
        writable=tuple(entry.get("writable", ())),
    )


def _target(name: str, entry: c.Mapping[str, t.Any]) -> Target:
    return Target(
        name=name,
        python=entry["python"],
        platform=entry["platform"],
        accelerator=entry["accelerator"],
        match=entry["match"],
        indexes=entry["indexes"],
        interpreter=_interpreter(entry["interpreter"]) if entry["interpreter"] else None,
        packages=tuple(_package(package) for package in entry["packages"]),
        replaced=tuple(Replaced(**each) for each in entry["replaced"]),
    )


def _interpreter(entry: c.Mapping[str, t.Any]) -> Interpreter:
    return Interpreter(
        version=entry["version"],
        file=entry["file"],
        url=entry["url"],
        sha256=_matching(SHA256, entry["sha256"]),
        size=entry["size"],
    )


def _package(entry: c.Mapping[str, t.Any]) -> Package:
    provided = entry["source"] == PROVIDED
    return Package(
        name=entry["name"],
        version=entry["version"],
        source=entry["source"],
        file=_file_name(entry["file"]),
        sha256=None if provided else _matching(SHA256, entry["sha256"]),
        size=entry["size"],
        index=entry["index"],
        url=entry["url"],
        built_from=entry["built_from"],
        provider=entry["provider"],
        requires=tuple(entry["requires"]),
        license=entry["license"],
        required_by=tuple(entry["required_by"]),
    )


def _file_name(text: str | None) -> str | None:
    """The name of a file, under which it is kept: a path would lead elsewhere."""
    if text is not None and _ELSEWHERE.search(text):
        raise ValueError(f"{text!r} is no name of a file")
    return text


def _model(entry: c.Mapping[str, t.Any]) -> Model:
    return Model(
        name=entry["name"],
        source=entry["source"],
        url=entry["url"],
        sha256=_matching(SHA256, entry["sha256"]),
        size=entry["size"],
        paths=tuple(entry["paths"]),
        optional=entry["optional"],
    )


def _matching(pattern: re.Pattern[str], value: str) -> str:
    if not pattern.fullmatch(value):
        raise ValueError(f"{value!r} is not {pattern.pattern}")
    return value
