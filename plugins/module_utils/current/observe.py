# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which build serves, and what a switch would do to the models that it reads."""

from __future__ import annotations

import dataclasses
import os
import pathlib

from ansible_collections.comfyops.fleet.plugins.module_utils.host.context import Context
from ansible_collections.comfyops.fleet.plugins.module_utils.host.serving import recorded_document, serving_build
from ansible_collections.comfyops.fleet.plugins.module_utils.models.switch import SwitchState, observe_switch


@dataclasses.dataclass(frozen=True)
class State:
    """serving: the build that ``current`` leads to. blocked: ``current`` is there and is no link.

    recorded: whether the kept lock is the wanted one. fixed_home: where the further link leads, "" when it is missing,
    None when something else is there.
    """

    serving: str | None
    blocked: bool
    recorded: bool
    fixed_home: str | None
    models: SwitchState


def observe(context: Context, fixed_home: pathlib.Path | None) -> State:
    """Look at the links and the record. fixed_home: the further link that is wanted (``comfy_home``)."""
    layout = context.layout
    return State(
        serving=serving_build(layout),
        blocked=os.path.lexists(layout.current) and not layout.current.is_symlink(),
        recorded=recorded_document(layout, context.build_name) == context.lock.document,
        fixed_home=_fixed_home(fixed_home),
        models=observe_switch(context),
    )


def _fixed_home(link: pathlib.Path | None) -> str | None:
    if link is None or not os.path.lexists(link):
        return ""
    return os.readlink(link) if link.is_symlink() else None
