# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Requests that are made again when the fault may pass by itself."""

from __future__ import annotations

import collections.abc as c
import time
import typing as t

from ansible_collections.comfyops.fleet.plugins.module_utils.host.http import HttpFault

Result = t.TypeVar("Result")
# Seconds before the second and the third attempt.
_PAUSES: t.Final = (0.3, 1.2)
# A server that wants more than this is not waited for: who locks is sitting in front of it.
_LONGEST: t.Final = 10.0


def patiently(ask: c.Callable[[], Result]) -> Result:
    """What ``ask`` gives, in up to three attempts. Raises what the last one raised, and at once what will not pass."""
    for pause in _PAUSES:
        try:
            return ask()
        except HttpFault as fault:
            asked = max(pause, fault.retry_after or 0.0)
            if not fault.transient or asked > _LONGEST:
                raise
            time.sleep(asked)
    return ask()
