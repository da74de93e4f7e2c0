# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""comfy_smoke: read the workflow on the control node, run the module of that name on the host, say what it found."""

from __future__ import annotations

import collections.abc as c
import json
import pathlib
import typing as t

from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError, failures
from ansible_collections.comfyops.fleet.plugins.module_utils.host.space import human
from ansible_collections.comfyops.fleet.plugins.plugin_utils.spec.directory import versions_directory

if t.TYPE_CHECKING:
    Result = dict[str, t.Any]

MODULE = "comfyops.fleet.comfy_smoke"
_EXPORT = "Save it with 'Export (API)' in ComfyUI's menu"


class ActionModule(ActionBase):
    """The workflow is on the control node, the ComfyUI on the host."""

    _supports_check_mode = True
    _supports_diff = False
    _supports_async = True

    def run(self, tmp: str | None = None, task_vars: Result | None = None) -> Result:
        """Ansible's entry point. See the module's documentation for options and return values."""
        result: Result = super().run(tmp, task_vars)
        options = dict(self._task.args)
        versions = versions_directory(options.pop("versions_dir", None))
        try:
            if not options.get("prompt"):
                options |= workflow_options(options.get("workflow"), options.get("lock") or {}, versions)
        except FleetError as error:
            return {**result, "failed": True, "msg": str(error), "failures": failures(error)}
        wrap_async = bool(self._task.async_val) and not self._connection.has_native_async
        done = self._execute_module(
            module_name=MODULE, module_args=options, task_vars=task_vars or {}, wrap_async=wrap_async
        )
        if "appeared" in done:
            Display().display("\n".join(lines(str((task_vars or {})["inventory_hostname"]), done)))
        return {**result, **done}


def workflow_options(given: str | None, lock: c.Mapping[str, t.Any], versions: pathlib.Path) -> Result:
    """The module's options ``workflow`` and ``prompt``. given: a path; by default the spec's. Raises FleetError."""
    named = given or ((lock.get("spec") or {}).get("smoke") or {}).get("workflow")
    if not named:
        return {}
    path = pathlib.Path(given) if given else versions / named
    return {"workflow": str(named), "prompt": read_workflow(path)}


def read_workflow(path: pathlib.Path) -> Result:
    """A workflow in API format: node ids to their class and inputs. Raises FleetError for anything else."""
    try:
        workflow = json.loads(path.read_text("utf-8"))
    except OSError as error:
        remedy = "Put it there, or change smoke.workflow of the spec, which is relative to the spec"
        raise FleetError(f"can not be read ({error.strerror})", where=str(path), remedy=remedy) from error
    except ValueError as error:
        raise FleetError(f"is no JSON ({error})", where=str(path), remedy=_EXPORT) from error
    if isinstance(workflow, dict) and isinstance(workflow.get("nodes"), list):
        raise FleetError("is a workflow as ComfyUI's editor saves it", where=str(path), remedy=_EXPORT)
    nodes = list(workflow.values()) if isinstance(workflow, dict) else []
    if not nodes or not all(isinstance(node, dict) and "class_type" in node for node in nodes):
        raise FleetError("is no workflow in API format", where=str(path), remedy=_EXPORT)
    return dict(workflow)


def lines(host: str, done: c.Mapping[str, t.Any]) -> list[str]:
    """What a trial showed."""
    said = [f"{host}: smoke: {_summary(done)}; log {done['log']}"]
    said += [f"  note: {note}" for note in done["notes"]]
    said += [f"  left {name}" for name in (done.get("workflow") or {}).get("outputs", ())]
    if done["models"]:
        said.append(f"{host}: smoke: fetched by the nodes themselves; as models of the spec:")
        said += [f"  {json.dumps(model)}," for model in done["models"]]
    for item in done["appeared"]:
        if item["hint"]:
            said.append(f"  {item['path']} ({human(item['size'])}, sha256:{item['sha256']}): {item['hint']}")
            said += [f"    {json.dumps(item['model'])}"] if item["model"] and "source" not in item["model"] else []
    return said


def _summary(done: c.Mapping[str, t.Any]) -> str:
    if done.get("start_seconds") is None:
        return f"{done['build']} did not start"
    workflow = done.get("workflow")
    ran = f", {workflow['name']} ran in {workflow['seconds']} s" if workflow else ""
    began = f"{done['build']} (ComfyUI {done['comfyui_version']}) started in {done['start_seconds']} s"
    return f"{began}, {done['node_classes']} node classes{ran}"
