# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command line of every run of ComfyUI. Pure."""

from __future__ import annotations

import collections.abc as c
import dataclasses
import pathlib
import re

from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.comfyops.fleet.plugins.module_utils.host.context import Context
from ansible_collections.comfyops.fleet.plugins.module_utils.launch.environment import is_offline

OPTIONS_FILE = "comfy/cli_args.py"
_OPTION = re.compile(r"""add_argument\(\s*(?:["']-\w["'],\s*)?["'](--[\w-]+)["']""")
_DATABASE = "--database-url"
_LOOPBACK = "127.0.0.1"


@dataclasses.dataclass(frozen=True)
class Directories:
    """What a run writes, where it is not what the build writes by default; None leaves that."""

    output: pathlib.Path | None = None
    temp: pathlib.Path | None = None
    user: pathlib.Path | None = None


def known_options(source: str) -> frozenset[str]:
    """The options that a core has, of the text of its ``comfy/cli_args.py``; it ends at those that it does not know."""
    return frozenset(_OPTION.findall(source))


def command_line(
    context: Context,
    options: frozenset[str],
    *,
    port: int,
    listen: str = _LOOPBACK,
    directories: Directories | None = None,
    without: c.Sequence[str] = (),
    extra: c.Sequence[str] = (),
) -> list[str]:
    """The program and its arguments; it is to run in COMFY_HOME.

    Environment and build are named by their own paths, not through links that a switch or a repair moves: a process
    imports from where it was started to its end. options: see ``known_options``. without: options of the spec that do
    not count, each with its value. extra: arguments after the spec's. Raises FleetError where the core lacks what the
    run can not be without.
    """
    places = list(_place_options(directories or Directories()))
    _check(options, places)
    arguments = [*_without(_arguments(context), ("--listen", "--port", *without)), *extra]
    return [
        str(context.environment / "bin" / "python"),
        str(context.home / "main.py"),
        *arguments,
        *("--listen", listen, "--port", str(port)),
        *(("--disable-auto-launch",) if not {"--auto-launch", "--disable-auto-launch"} & set(arguments) else ()),
        *(("--cpu",) if context.target.accelerator == "cpu" and "--cpu" not in arguments else ()),
        *(("--offline",) if _adds_offline(context, options) and "--offline" not in arguments else ()),
        *(part for option, value in places if option in options for part in (option, value)),
    ]


def offline_note(context: Context, options: frozenset[str]) -> str | None:
    """What ``launch.offline`` can not do with this core; None when nothing is amiss."""
    if not is_offline(context) or "--offline" in options:
        return None
    return (
        f"launch.offline: this ComfyUI ({context.lock.core.commit[:12]}) has no --offline yet;"
        " libraries of the Hub are kept from the network, ComfyUI's own requests are not"
    )


def _arguments(context: Context) -> list[str]:
    return list((context.lock.spec.get("launch") or {}).get("args") or ())


def _adds_offline(context: Context, options: frozenset[str]) -> bool:
    return is_offline(context) and "--offline" in options


def _place_options(places: Directories) -> c.Iterator[tuple[str, str]]:
    if places.output is not None:
        yield "--output-directory", str(places.output)
    if places.temp is not None:
        # ComfyUI makes a directory "temp" in it, and empties that.
        yield "--temp-directory", str(places.temp)
    if places.user is not None:
        yield "--user-directory", str(places.user)
        yield _DATABASE, f"sqlite:///{places.user / 'comfyui.db'}"


def _check(options: frozenset[str], places: c.Sequence[tuple[str, str]]) -> None:
    # A core of before it had a database has nothing there to keep apart.
    missing = [option for option, _value in places if option not in options and option != _DATABASE]
    if missing:
        raise FleetError(
            f"has no {', '.join(missing)}, so a run can not be kept apart from what serves",
            where=OPTIONS_FILE,
            remedy="Lock a ComfyUI of 2025 or newer",
        )


def _without(arguments: c.Sequence[str], options: c.Sequence[str]) -> c.Iterator[str]:
    """The arguments without these options and what belongs to them; main.py has no arguments beside options."""
    skipping = False
    for argument in arguments:
        if argument.startswith("--"):
            skipping = argument.partition("=")[0] in options
        if not skipping:
            yield argument
