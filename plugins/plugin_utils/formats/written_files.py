# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files that are written where they differ: looked at first, then replaced whole."""

from __future__ import annotations

import collections.abc as c
import dataclasses
import filecmp
import io
import os
import pathlib
import shutil
import tempfile

from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.comfyops.fleet.plugins.module_utils.host.atomic import write_text


@dataclasses.dataclass(frozen=True)
class Change:
    """A file that is not there, or another one. content: its text, its bytes, or the file that it becomes a copy of.

    before: the text that is there; None where there is none, and for what is no text.
    """

    path: pathlib.Path
    content: str | bytes | pathlib.Path
    is_new: bool
    before: str | None

    @property
    def action(self) -> dict[str, str]:
        """The change as modules return it."""
        return {"part": "export", "action": "create" if self.is_new else "change", "name": str(self.path)}

    @property
    def diff(self) -> dict[str, str]:
        """The change as Ansible shows it."""
        headers = {"before_header": str(self.path), "after_header": str(self.path)}
        if isinstance(self.content, str):
            return {**headers, "before": self.before or "", "after": self.content}
        return {**headers, "before": "" if self.is_new else "(another wheel)\n", "after": "(a wheel)\n"}


def compare(
    directory: pathlib.Path, texts: c.Mapping[str, str], others: c.Mapping[str, bytes | pathlib.Path] | None = None
) -> list[Change]:
    """What has to be written for the directory to have these texts (UTF-8), and these bytes or copies of these files.

    Paths are relative to it. Raises FleetError where it cannot be looked at.
    """
    wanted: list[tuple[str, str | bytes | pathlib.Path]] = [*texts.items(), *(others or {}).items()]
    changes = (_change(directory / path, content) for path, content in sorted(wanted, key=lambda pair: pair[0]))
    return [change for change in changes if change is not None]


def write(changes: c.Iterable[Change]) -> None:
    """Write them. Raises FleetError where that cannot be done."""
    for change in changes:
        try:
            if isinstance(change.content, str):
                write_text(change.path, change.content)
            else:
                _copy(change.content, change.path)
        except OSError as error:
            raise _fault(change.path, "written", error) from error


def _change(path: pathlib.Path, content: str | bytes | pathlib.Path) -> Change | None:
    try:
        is_new = not path.exists()
        if isinstance(content, str):
            before = None if is_new else path.read_bytes().decode(errors="replace")
            return None if before == content else Change(path, content, is_new, before)
        same = not is_new and _is_same(path, content)
        return None if same else Change(path, content, is_new, None)
    except OSError as error:
        raise _fault(path, "read", error) from error


def _is_same(path: pathlib.Path, content: bytes | pathlib.Path) -> bool:
    return path.read_bytes() == content if isinstance(content, bytes) else filecmp.cmp(path, content, shallow=False)


def _copy(source: bytes | pathlib.Path, path: pathlib.Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    beside = pathlib.Path(name)
    try:
        opened = io.BytesIO(source) if isinstance(source, bytes) else source.open("rb")
        with opened as content, os.fdopen(descriptor, "wb") as stream:
            shutil.copyfileobj(content, stream)
        beside.chmod(0o644)
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def _fault(path: pathlib.Path, what: str, error: OSError) -> FleetError:
    return FleetError(f"cannot be {what} ({error.strerror})", where=str(path), remedy="Name another directory")
