# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files of which nobody says the sha256: refused, or read where the user has said."""

from __future__ import annotations

import collections.abc as c
import dataclasses

from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError, raise_all
from ansible_collections.comfyops.fleet.plugins.module_utils.host.space import human
from ansible_collections.comfyops.fleet.plugins.module_utils.host.url import shown
from ansible_collections.comfyops.fleet.plugins.module_utils.models.first_read import Content


@dataclasses.dataclass(frozen=True)
class Unhashed:
    """A file to read. where: the spec's place of its model; url: the locked one; asked: as it is reached from here.

    state: what its server calls its present state, empty where nothing.
    """

    name: str
    where: str
    file_name: str
    url: str
    asked: str
    size: int | None
    state: str


Reader = c.Callable[[c.Sequence[Unhashed]], c.Sequence[Content]]
"""Gives the contents of files, in their order. Raises FleetError, or Failures with the faults of all."""


def refuse(files: c.Sequence[Unhashed]) -> c.Sequence[Content]:
    """Refuse all of them, each with the ways there are."""
    faults = [
        not_here(file)
        if file.url.startswith("file:")
        else FleetError(
            "nobody says its sha256, neither the spec nor the server",
            where=f"{file.where}: {shown(file.url)}",
            remedy='Write "checksum": "sha256:<64 hex digits>" into the spec (sha256sum of a file that you trust), or '
            f"lock with comfy_lock_models=download, which reads {_amount(file)} on this machine, or with "
            "comfy_lock_models=<host>, which reads it on that host and keeps it there",
        )
        for file in files
    ]
    raise_all(faults)
    return []


def not_here(file: Unhashed) -> FleetError:
    """The fault of a local file that only hosts have."""
    return FleetError(
        "it is not on the control node, and the spec does not say its sha256",
        where=f"{file.where}: {file.url}",
        remedy='Write "checksum": "sha256:<64 hex digits>" into the spec, or lock with comfy_lock_models=<host>, which '
        "reads it on that host",
    )


def _amount(file: Unhashed) -> str:
    return "it" if file.size is None else human(file.size)
