# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The order of builds: what requires the wheel of another build waits for it. Which it is, only the source says."""

from __future__ import annotations

import collections.abc as c
import concurrent.futures
import dataclasses
import typing as t

from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError, raise_all
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.builds_store import BuiltWheel

# Most builds are one process that waits for another; those of libraries use all processors by themselves.
_AT_ONCE: t.Final = 2

Done = dict[str, BuiltWheel]


@dataclasses.dataclass(frozen=True)
class Waiting:
    """A build that was not begun: it requires what these builds make; with a fault, it may require it."""

    names: frozenset[str]
    fault: FleetError | None = None


# Is given what is built so far, by name.
Attempt = c.Callable[[Done], "BuiltWheel | Waiting | FleetError"]


def build_in_order(attempts: c.Mapping[str, Attempt], first: c.Iterable[str]) -> Done:
    """The wheels by canonical name: those of ``first``, and of all others that they wait for.

    Each is tried again once more is built. Raises FleetError, or Failures with all builds that failed.
    """
    done: Done = {}
    faults: dict[str, FleetError] = {}
    pending = list(first)
    with concurrent.futures.ThreadPoolExecutor(_AT_ONCE) as pool:
        while pending:
            tries = [pool.submit(attempts[name], dict(done)) for name in pending]
            results = {name: tried.result() for name, tried in zip(pending, tries, strict=True)}
            done.update({name: wheel for name, wheel in results.items() if isinstance(wheel, BuiltWheel)})
            faults.update({name: fault for name, fault in results.items() if isinstance(fault, FleetError)})
            waits = {name: result for name, result in results.items() if isinstance(result, Waiting)}
            waiting = {name: each.names for name, each in waits.items()}
            in_circle = waiting.keys() == set(pending) >= set().union(*waiting.values())
            if in_circle and not any(each.fault for each in waits.values()):
                raise _circle(waiting)
            # What waits for a failed build can say nothing new, but for what it says already.
            tried = {name: names for name, names in waiting.items() if not (in_circle or names & faults.keys())}
            faults.update({name: each.fault for name, each in waits.items() if name not in tried and each.fault})
            wanted = sorted(set().union(*tried.values()) - done.keys() - tried.keys())
            pending = [*wanted, *tried]
    raise_all(list(faults.values()))
    return done


def _circle(waiting: c.Mapping[str, frozenset[str]]) -> FleetError:
    names = ", ".join(f"{name} (for {', '.join(sorted(waits))})" for name, waits in sorted(waiting.items()))
    return FleetError(
        f"builds wait for each other: {names}",
        where="python.build",
        remedy="Name a wheel or a release with one for one of them",
    )
