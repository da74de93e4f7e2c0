# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which nodes ComfyUI has loaded, and why not the others: of its log and of its ``/object_info``. Pure.

Source: ``load_custom_node`` and ``init_external_custom_nodes`` of ComfyUI's ``nodes.py``, ``execute_prestartup_script``
of its ``main.py``.
"""

from __future__ import annotations

import collections.abc as c
import pathlib
import re
import typing as t

from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError

_TIMES = re.compile(r"\d+\.\d seconds(?P<failed> \((?:IMPORT|PRESTARTUP) FAILED\))?: (?P<path>/.+)$")
_CANNOT = re.compile(r"Cannot import (?P<path>.+?) module for custom nodes: (?P<error>.*)$")
_NO_CLASSES = re.compile(r"Skip (?P<path>.+?) module for custom nodes due to the lack of")
_ENTRY_POINT = re.compile(r"Error while calling comfy_entrypoint in (?P<path>.+?): (?P<error>.*)$")
_PRESTARTUP = re.compile(r"Failed to execute startup-script: (?P<path>.+?)/prestartup_script\.py / (?P<error>.*)$")
_UNDESCRIBED = re.compile(r"An error occurred while retrieving information for the '(?P<name>[^']+)' node")
# The last line of a traceback: an exception's name, at the line's beginning.
_ENDS = re.compile(r"[A-Za-z_][\w.]*(?:Error|Exception|Exit|Interrupt|Warning)\b")
_TRACEBACK = "Traceback (most recent call last):"
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_MISSING = re.compile(r"No module named '([^']+)'")
_LIBRARY = re.compile(r"(\S+\.so[.\d]*): cannot open shared object file")
_SHOWN_LINES = 8


class Loaded(t.NamedTuple):
    """ok: directories of nodes that loaded. failed: directory to what was printed against it, its last lines."""

    ok: frozenset[str]
    failed: dict[str, str]


def read_log(log: str) -> Loaded:
    """What the log tells of each node's directory (or file)."""
    lines = [_COLOUR.sub("", line) for line in log.splitlines()]
    ok: set[str] = set()
    failed: dict[str, str] = {}
    for number, line in enumerate(lines):
        found = _TIMES.search(line)
        if found and found["failed"]:
            failed.setdefault(_name(found["path"]), "ComfyUI says that its import failed, and no more")
        elif found:
            ok.add(_name(found["path"]))
        told = _told(lines, number)
        if told:
            failed[told[0]] = told[1]
    return Loaded(frozenset(ok - set(failed)), failed)


def unusable_classes(log: str) -> dict[str, str]:
    """Classes that ComfyUI can not describe, so that no workflow can use them: class to the last line against it."""
    found: dict[str, str] = {}
    name = None
    for line in log.splitlines():
        begins = _UNDESCRIBED.search(line)
        if begins:
            name = begins["name"]
            found[name] = ""
        elif name is not None and (_ENDS.match(line) or not line.strip()):
            found[name] = line.strip()
            name = None
    return found


def with_classes(object_info: c.Mapping[str, t.Any]) -> frozenset[str]:
    """The directories of nodes that brought classes: ``python_module`` is ``custom_nodes.<directory>``."""
    modules = (str(each.get("python_module", "")) for each in object_info.values() if isinstance(each, dict))
    return frozenset(module.partition(".")[2] for module in modules if module.startswith("custom_nodes."))


def node_faults(directories: c.Iterable[str], loaded: Loaded, classes: frozenset[str]) -> list[FleetError]:
    """One fault for each node of the lock that ComfyUI has not loaded. A node that nothing is said of is one, too."""
    faults = []
    for directory in directories:
        if directory in loaded.failed:
            faults.append(_fault(directory, loaded.failed[directory]))
        elif directory not in loaded.ok | classes:
            faults.append(
                FleetError(
                    "ComfyUI has not tried to load it",
                    where=f"node {directory}",
                    remedy="Look at launch.args (--disable-all-custom-nodes) and at the node's __init__.py",
                )
            )
    return faults


def _told(lines: list[str], number: int) -> tuple[str, str] | None:
    line = lines[number]
    cannot, prestartup, empty = _CANNOT.search(line), _PRESTARTUP.search(line), _NO_CLASSES.search(line)
    entry_point = _ENTRY_POINT.search(line)
    if cannot:
        return _name(cannot["path"]), _traceback(lines[:number]) or cannot["error"]
    if entry_point:
        return _name(entry_point["path"]), f"comfy_entrypoint: {entry_point['error']}"
    if prestartup:
        return _name(prestartup["path"]), f"prestartup_script.py: {prestartup['error']}"
    return (_name(empty["path"]), "it has no NODE_CLASS_MAPPINGS") if empty else None


def _traceback(before: list[str]) -> str:
    """The end of the traceback that was printed last."""
    begins = [number for number, line in enumerate(before) if _TRACEBACK in line]
    # Since Python 3.11 lines of ^ and ~ point at what is in the line above.
    shown = (line.rstrip() for line in before[begins[-1] :] if line.strip(" ^~\t")) if begins else ()
    block = [line for line in shown if "<frozen importlib" not in line]
    return "\n".join(block[-_SHOWN_LINES:])


def _name(path: str) -> str:
    return pathlib.PurePosixPath(path.strip()).name


def _fault(directory: str, text: str) -> FleetError:
    missing, library = _MISSING.search(text), _LIBRARY.search(text)
    if library:
        remedy = f"Install the system's package that has {library[1]} on this host"
    elif missing and missing[1].partition(".")[0] in ("comfy", "comfy_api", "comfy_extras", "comfy_execution", "nodes"):
        remedy = "Lock another ComfyUI or another commit of the node: they are not of the same time"
    elif missing:
        remedy = f"Add the package that brings {missing[1]} to python_packages in the spec, and lock again"
    else:
        remedy = "Lock another commit of the node, or what it misses; enabled: false leaves it out"
    return FleetError(f"can not be imported:\n{text}", where=f"node {directory}", remedy=remedy)
