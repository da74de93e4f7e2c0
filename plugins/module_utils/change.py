# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A change: one thing that a plan would do to a host, and how it is shown.

``Change`` is what every part's plan consists of; modules return it per item as ``actions`` and show it as a diff.
"""

from __future__ import annotations

import collections.abc as c
import dataclasses
import pathlib
import typing as t

from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError

PARTS = ("core", "nodes", "packages", "models", "current", "builds", "garbage", "bundle")


class Change(t.NamedTuple):
    """One atomic, repeatable change.

    part: one of PARTS. name: what is changed, unique within the part (a file of a checkout, a distribution, a path of
    a model). action: a verb in the imperative. before and after: short texts or numbers; None where there is nothing.
    """

    part: str
    action: str
    name: str
    before: str | None = None
    after: str | None = None

    def result(self) -> dict[str, t.Any]:
        """As the modules return it in ``actions``."""
        return self._asdict()


def diff(changes: c.Sequence[Change]) -> dict[str, dict[str, t.Any]]:
    """The changes as Ansible's diff: the same keys before and after."""
    return {
        "before": {f"{change.part}: {change.name}": change.before for change in changes},
        "after": {f"{change.part}: {change.name}": change.after for change in changes},
    }


class Need(t.NamedTuple):
    """Room that a plan takes: ``size`` bytes on the file system of ``directory`` (which need not exist yet).

    remedy: what else than more room helps where that is short.
    """

    directory: pathlib.Path
    size: int
    remedy: str = ""


@dataclasses.dataclass(frozen=True)
class Plan:
    """What would be done, what it takes, and what stands in its way.

    ``obstacles`` make the plan impossible on this host (no interpreter, a token is missing): nothing of it may be
    applied. ``notes`` are facts worth a line that are no change, such as run-time data found in a checkout.
    """

    changes: tuple[Change, ...] = ()
    needs: tuple[Need, ...] = ()
    obstacles: tuple[FleetError, ...] = ()
    notes: tuple[str, ...] = ()
