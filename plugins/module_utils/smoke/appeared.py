# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files that appeared on a host while ComfyUI ran, as far as a spec should name them."""

from __future__ import annotations

import collections.abc as c
import contextlib
import hashlib
import os
import pathlib
import re
import stat
import tempfile
import typing as t

from ansible_collections.comfyops.fleet.plugins.module_utils.host.context import Context
from ansible_collections.comfyops.fleet.plugins.module_utils.host.layout import DATA_DIRECTORIES, Layout
from ansible_collections.comfyops.fleet.plugins.module_utils.launch.environment import compiled_caches

_MODEL_SIZE = 1_000_000
_MODEL_NAMES = (
    *(".ckpt", ".pt", ".pt2", ".pth", ".bin", ".safetensors", ".sft", ".pkl", ".onnx", ".gguf", ".ggml", ".h5"),
    *(".tflite", ".task", ".msgpack", ".engine", ".trt", ".plan", ".caffemodel", ".prototxt", ".pb", ".npz"),
)
_UNFINISHED = (".incomplete", ".partial", ".part", ".tmp", ".aria2", ".lock", ".pyc")
_LEFT_OUT = frozenset((".git", "__pycache__", ".venv", ".no_exist", ".locks"))
_BLOCK = 1 << 20
# huggingface_hub, guide "Understand caching": where a file of a repository is seen at a commit.
_HUB_FILE = re.compile(
    r"(?P<folder>.*/(?P<kind>models|datasets)--(?P<repo>[^/]+))/snapshots/(?P<commit>[0-9a-f]{40})/(?P<path>.+)"
)
_HUB_BYTES = re.compile(r".*/(?:models|datasets)--[^/]+/(?:blobs|refs)/.+")


class Seen(t.NamedTuple):
    """What tells a file from another one at its path."""

    size: int
    modified: int
    inode: int


class HubFile(t.NamedTuple):
    """A file in the Hub's cache layout. kind: ``models`` or ``datasets``. revision: the branch that leads to it."""

    kind: str
    repo: str
    commit: str
    path: str
    revision: str | None


class Appeared(t.NamedTuple):
    """A new file, or a changed one. path: where it is seen; size in bytes."""

    path: pathlib.Path
    size: int
    sha256: str
    hub: HubFile | None


def look(context: Context) -> dict[str, Seen]:
    """Every file where nodes are expected to put any, and every link of the Hub's cache; not what was compiled."""
    layout = context.layout
    compiled = {str(place) for place in compiled_caches(layout)}
    found: dict[str, Seen] = {}
    for root in (layout.data_cache, layout.models, context.home, layout.data / "nodes"):
        for path, status in _files(str(root), compiled):
            found[path] = Seen(status.st_size, status.st_mtime_ns, status.st_ino)
    return found


def appeared(
    context: Context, before: c.Mapping[str, Seen], written: c.Iterable[str], since: float, run: pathlib.Path
) -> list[Appeared]:
    """What is there now and was not before, the largest first.

    written: paths that are known to have been written, wherever. since: when that began (seconds since the epoch).
    run: the run's own directory.
    """
    after = look(context)
    new = [path for path, seen in after.items() if before.get(path) != seen]
    ours = (*_own_places(context.layout), *map(str, compiled_caches(context.layout)), str(run), tempfile.gettempdir())
    new += [path for path in dict.fromkeys(written) if path not in after and _is_new(path, since, ours)]
    found = []
    for path in new:
        with contextlib.suppress(OSError):
            item = _item(path)
            if item is not None:
                found.append(item)
    return sorted(found, key=lambda item: (-item.size, item.path))


def hub_file(path: str) -> HubFile | None:
    """What a path in the Hub's cache layout says; None for another path."""
    found = _HUB_FILE.fullmatch(path)
    if found is None:
        return None
    revision = _branch(pathlib.Path(found["folder"], "refs"), found["commit"])
    return HubFile(found["kind"], found["repo"].replace("--", "/", 1), found["commit"], found["path"], revision)


def is_model(path: str, size: int) -> bool:
    """Whether a file is one that a spec should name: by its size, or by its name."""
    name = path.lower()
    if name.endswith(_UNFINISHED) or not size:
        return False
    return size >= _MODEL_SIZE or name.endswith(_MODEL_NAMES)


def _files(root: str, without: c.Container[str]) -> c.Iterator[tuple[str, os.stat_result]]:
    """Files below a directory, and links in the Hub's cache, which has nothing else to show."""
    waiting = [root]
    while waiting:
        try:
            entries = list(os.scandir(waiting.pop()))
        except OSError:
            continue
        for entry in entries:
            with contextlib.suppress(OSError):
                if entry.is_dir(follow_symlinks=False):
                    waiting += [entry.path] if entry.name not in _LEFT_OUT and entry.path not in without else []
                elif entry.is_file(follow_symlinks=False) or _HUB_FILE.fullmatch(entry.path):
                    yield entry.path, entry.stat(follow_symlinks=False)


def _item(path: str) -> Appeared | None:
    hub = hub_file(path)
    size = os.stat(path).st_size
    # Code that asks the Hub needs all of a repository that it asked for: the small files, too.
    wanted = bool(size) if hub else is_model(path, size) and not _HUB_BYTES.fullmatch(path)
    return Appeared(pathlib.Path(path), size, _sha256(path), hub) if wanted else None


def _branch(references: pathlib.Path, commit: str) -> str | None:
    """The branch or tag by which the commit was asked for; one with a slash is not for a source to name."""
    with contextlib.suppress(OSError):
        for reference in sorted(references.iterdir()):
            if reference.is_file() and reference.read_text("utf-8").strip() == commit:
                return reference.name
    return None


def _own_places(layout: Layout) -> tuple[str, ...]:
    data = [layout.data / name for name in (*DATA_DIRECTORIES, "smoke")]
    return tuple(map(str, (*data, layout.state, layout.store, layout.partial, layout.cache, layout.agent)))


def _is_new(path: str, since: float, ours: c.Iterable[str]) -> bool:
    if any(path.startswith(f"{place}/") for place in ours):
        return False
    try:
        status = os.lstat(path)
    except OSError:
        return False
    return stat.S_ISREG(status.st_mode) and status.st_mtime >= since


def _sha256(path: str) -> str:
    digest = hashlib.sha256()
    with open(path, "rb") as stream:
        while block := stream.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()
