# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A workflow is run to its end, and what stands against it is told with the node that says it.

Source: ``post_prompt`` of ComfyUI's ``server.py`` and ``PromptExecutor`` of its ``execution.py``.
"""

from __future__ import annotations

import collections.abc as c
import contextlib
import json
import time
import typing as t
import uuid

from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError, raise_all
from ansible_collections.comfyops.fleet.plugins.module_utils.smoke.server import Server

_LOOK_SECONDS = 0.2
_SHOWN_FRAMES = 4
_SHOWN_INPUTS = 300
_OK = 200
_PAIR = 2
_REMEDIES = {
    "value_not_in_list": "Add the model or file that it names to the spec, or choose one that is there",
    "missing_node_type": "Add the node that brings it to custom_nodes",
}
Json = t.Any


def run_workflow(
    server: Server, workflow: c.Mapping[str, Json], *, name: str, seconds: float, check: c.Callable[[], None]
) -> Json:
    """Queue a workflow in API format, wait for its end and give its entry of the history.

    name: what faults call it. seconds: how long it may take. check: called again and again; raises where the process is
    gone. Raises FleetError, or Failures, with the node that refused or failed.
    """
    status, answer = server.post("/prompt", {"prompt": workflow, "client_id": uuid.uuid4().hex})
    raise_all(refusals(name, workflow, status, answer))
    number, deadline = str(answer["prompt_id"]), time.monotonic() + seconds
    while time.monotonic() < deadline:
        check()
        history = server.get(f"/history/{number}")
        if history and number in history:
            raise_all(execution_faults(name, history[number]))
            return history[number]
        time.sleep(_LOOK_SECONDS)
    with contextlib.suppress(FleetError):
        server.post("/interrupt", {})
    raise FleetError(
        f"did not end within {seconds:.0f} s",
        where=f"workflow {name}",
        remedy="Make it smaller (fewer steps, a smaller picture), or allow more: comfy_smoke_workflow_timeout",
    )


def refusals(name: str, workflow: c.Mapping[str, Json], status: int, answer: Json) -> list[FleetError]:
    """Why ComfyUI does not take a workflow, or not all of it: one fault for each input or node that it names."""
    answer = answer if isinstance(answer, dict) else {}
    faults = [
        _refusal(name, workflow, node, error)
        for node, entry in (answer.get("node_errors") or {}).items()
        for error in entry.get("errors") or ()
    ]
    if not faults and (status != _OK or "prompt_id" not in answer):
        error = answer.get("error") or f"status {status}"
        text = error if isinstance(error, str) else _joined(error)
        remedy = "Export it with 'Export (API)' from the ComfyUI that it was made with"
        faults.append(FleetError(f"is refused: {text}", where=f"workflow {name}", remedy=remedy))
    return faults


def execution_faults(name: str, entry: c.Mapping[str, Json]) -> list[FleetError]:
    """What failed while a workflow ran, of its entry in the history."""
    status = entry.get("status") or {}
    if status.get("status_str", "success") == "success" and status.get("completed", True):
        return []
    messages = dict(message for message in status.get("messages") or () if len(message) == _PAIR)
    error = messages.get("execution_error")
    where = f"workflow {name}"
    if error is None:
        stopped = "was interrupted" if "execution_interrupted" in messages else "failed, and ComfyUI does not say why"
        return [FleetError(stopped, where=where, remedy="Look at the log")]
    trace = [str(line).rstrip() for line in error.get("traceback") or ()][-_SHOWN_FRAMES:]
    text = f"{error.get('exception_type', 'Exception')}: {str(error.get('exception_message', '')).strip()}"
    node = f"{error.get('node_type')} (node {error.get('node_id')})"
    what = "\n".join((f"{node} failed: {text}", *trace)) if trace else f"{node} failed: {text}"
    return [FleetError(what, where=where, remedy="Look at the log")]


def outputs(entry: c.Mapping[str, Json]) -> list[str]:
    """The files that a workflow left, as ComfyUI names them."""
    found = []
    for each in (entry.get("outputs") or {}).values():
        for files in each.values():
            named = [file for file in files if isinstance(file, dict)] if isinstance(files, list) else []
            found += ["/".join(filter(None, (file.get("subfolder"), file.get("filename")))) for file in named]
    return [name for name in found if name]


def _refusal(name: str, workflow: c.Mapping[str, Json], node: str, error: c.Mapping[str, Json]) -> FleetError:
    wanted = workflow.get(node)
    kind = wanted.get("class_type", "?") if isinstance(wanted, dict) else "?"
    return FleetError(
        f"{kind} (node {node}) is refused: {_joined(error)}",
        where=f"workflow {name}",
        remedy=_REMEDIES.get(str(error.get("type")), "Export it anew from a ComfyUI of this version"),
    )


def _joined(error: c.Mapping[str, Json]) -> str:
    details = error.get("details")
    text = details if isinstance(details, str) else json.dumps(details)
    return ": ".join(filter(None, (str(error.get("message", "")), text)))[:_SHOWN_INPUTS]
