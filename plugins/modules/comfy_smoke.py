#!/usr/bin/python
# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: comfy_smoke
short_description: Start a build's ComfyUI beside what serves, try it, and list what its nodes fetched by themselves
version_added: 1.0.0
author:
  - comfyops.fleet contributors (@comfyops)
description:
  - Starts the ComfyUI of the lock's build on a free port of the loopback, whether that build serves or not. It has its
    own output, temporary and user directories and its own database, so a ComfyUI that serves is not disturbed; it does
    need its own memory, and its own share of the GPU.
  - Fails for each node of the lock that ComfyUI did not load, with the end of its traceback, and when the workflow is
    refused or fails, with the node that says it. Without a workflow, it only starts and loads.
  - At the end ComfyUI and all that it started are ended; also when the module itself is killed.
  - Files that appeared meanwhile (in C(data/cache), MODELS_DIR, the build's directories, or wherever Python has written
    them) are listed with size, sha256 and, where it is known, the URL, as entries of C(models) to paste into the spec.
  - Run it as the user that ComfyUI runs as, so that what it leaves in C(data) is that user's. It needs no root.
extends_documentation_fragment:
  - comfyops.fleet.attributes
  - comfyops.fleet.lock
  - comfyops.fleet.host
attributes:
  check_mode:
    support: full
    details:
      - Looks whether the build is there, and returns RV(command); nothing is started.
  diff_mode:
    support: none
  idempotent:
    support: partial
    details:
      - It tries again each time; changed says that files appeared.
  platform:
    platforms: linux
  action:
    description: Has a corresponding action plugin, so that parts of it run on the control node.
    support: full
options:
  workflow:
    description:
      - A workflow in API format, a file on the control node. By default the C(smoke.workflow) of the lock's spec, which
        is relative to O(versions_dir).
    type: path
  prompt:
    description:
      - The workflow itself. The action plugin reads it from O(workflow).
    type: dict
  versions_dir:
    description:
      - Directory on the control node with the spec. By default C(versions) of the working directory, else of the
        collection.
    type: path
  gpu:
    description:
      - The GPU to use, such as V(1), several as V(0,1), or a UUID. By default ComfyUI chooses.
    type: str
  start_timeout:
    description:
      - Seconds until it has to answer.
    type: float
    default: 600.0
  workflow_timeout:
    description:
      - Seconds that the workflow may take.
    type: float
    default: 1800.0
  stop_timeout:
    description:
      - Seconds from SIGTERM to SIGKILL at the end.
    type: float
    default: 30.0
seealso:
  - module: comfyops.fleet.comfy_version
  - module: comfyops.fleet.comfy_models
"""

EXAMPLES = r"""
- name: Load the lock
  comfyops.fleet.comfy_lock:
    version: demo
  run_once: true
  register: comfy_locked

- name: Try the build before it serves
  comfyops.fleet.comfy_smoke:
    lock: "{{ comfy_locked.lock }}"
    root: /opt/comfy
  become: true
  become_user: comfy

- name: Try a workflow of one's own on the second GPU
  comfyops.fleet.comfy_smoke:
    lock: "{{ comfy_locked.lock }}"
    root: /opt/comfy
    workflow: workflows/portrait.json
    gpu: "1"
"""

RETURN = r"""
build:
  description: The build that was tried.
  returned: always
  type: str
  sample: demo-0a1b2c3d4e5f
command:
  description: The command line; in check mode with the port 0.
  returned: success
  type: list
  elements: str
  sample: [/opt/comfy/envs/0a1b2c3d4e5f/bin/python, /opt/comfy/builds/demo-0a1b2c3d4e5f/main.py, --listen, 127.0.0.1]
comfyui_version:
  description: What ComfyUI calls itself.
  returned: when it answered
  type: str
  sample: 0.9.0
start_seconds:
  description: Seconds from the start to the first answer.
  returned: when it answered
  type: float
  sample: 6.2
node_classes:
  description: How many classes of nodes it has.
  returned: when it answered
  type: int
  sample: 496
workflow:
  description: The workflow that ran.
  returned: when there is one
  type: dict
  contains:
    name:
      description: Its file.
      type: str
    seconds:
      description: How long it took.
      type: float
    outputs:
      description: What it left, below C(output) beside RV(log).
      type: list
      elements: str
  sample:
    name: workflows/smoke.json
    seconds: 0.3
    outputs: [smoke_00001_.png]
log:
  description: What ComfyUI printed, a file on the host; that of the last trial of each build is kept.
  returned: when it was started
  type: str
  sample: /opt/comfy/data/smoke/demo-0a1b2c3d4e5f/comfyui.log
appeared:
  description: Files that were not there before, the largest first.
  returned: when it was started
  type: list
  elements: dict
  contains:
    path:
      description: Where it is on the host.
      type: str
    size:
      description: Bytes.
      type: int
    sha256:
      description: Its hash.
      type: str
    url:
      description: Where it came from, without secrets; null where that is not known, or where the Hub's cache says it.
      type: str
    url_known_by:
      description: >-
        V(name) when the URL ends like the file's name, V(order) when it is what the same thread asked for just before.
      type: str
    model:
      description: An entry of the spec's C(models); it lacks C(source) where that is not known, and is null where a
        spec can not place the file.
      type: dict
    hint:
      description: What to know before using it.
      type: str
  sample:
    - path: /opt/comfy/data/cache/torch/hub/checkpoints/alexnet-owt-7be5be79.pth
      size: 244408911
      sha256: 7be5be791159472b1fbf8e69796a09b01d2c8cb9cb5f4e4f1ee6e0fb9f4bd5a6
      url: https://download.pytorch.org/models/alexnet-owt-7be5be79.pth
      url_known_by: name
      model:
        source: https://download.pytorch.org/models/alexnet-owt-7be5be79.pth
        target_path: $XDG_CACHE_HOME/torch/hub/checkpoints/alexnet-owt-7be5be79.pth
        checksum: sha256:7be5be791159472b1fbf8e69796a09b01d2c8cb9cb5f4e4f1ee6e0fb9f4bd5a6
        size: 244408911
      hint: null
models:
  description: The entries of RV(appeared) that can be pasted into the spec as they are.
  returned: when it was started
  type: list
  elements: dict
  sample:
    - source: hf://openai/clip-vit-large-patch14@main/config.json
      hf_cache: true
      checksum: sha256:0a3c5d1e2f4b6a8c9d7e5f3a1b2c4d6e8f9a7b5c3d1e2f4a6b8c9d7e5f3a1b2c
      size: 4519
notes:
  description: Facts that are no fault, such as a build that does not serve.
  returned: when it was started
  type: list
  elements: str
  sample: []
failures:
  description: Each fault, with where it is, what it is, and what to do.
  returned: failure
  type: list
  elements: dict
  sample:
    - where: node comfyui-palette
      what: "can not be imported:\nModuleNotFoundError: No module named 'swatchbook'\n"
      remedy: Add the package that brings swatchbook to python_packages in the spec, and lock again
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.comfyops.fleet.plugins.module_utils import arguments
from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError, fail, raise_all
from ansible_collections.comfyops.fleet.plugins.module_utils.smoke.run import Smoke, Trial

OPTIONS: dict[str, t.Any] = {
    **arguments.LOCK,
    "workflow": {"type": "path"},
    "prompt": {"type": "dict"},
    "versions_dir": {"type": "path"},
    "gpu": {"type": "str"},
    "start_timeout": {"type": "float", "default": 600.0},
    "workflow_timeout": {"type": "float", "default": 1800.0},
    "stop_timeout": {"type": "float", "default": 30.0},
}


def trial_from(params: dict[str, t.Any]) -> Trial:
    """What to try, as the options say it."""
    return Trial(
        workflow=params["prompt"],
        workflow_name=params["workflow"] or "prompt",
        start_seconds=params["start_timeout"],
        workflow_seconds=params["workflow_timeout"],
        stop_seconds=params["stop_timeout"],
        gpu=params["gpu"],
    )


def main() -> None:
    """Run the module."""
    module = AnsibleModule(argument_spec=OPTIONS, supports_check_mode=True)
    try:
        context = arguments.context_from(module.params)
        smoke = Smoke(context, trial_from(module.params))
        if module.check_mode:
            module.exit_json(changed=False, build=context.build_name, command=smoke.command())
        report = smoke.run()
    except FleetError as error:
        fail(module, error)
    result = {"changed": bool(report.findings), **report.result()}
    try:
        raise_all(report.faults)
    except FleetError as error:
        fail(module, error, **result)
    module.exit_json(command=smoke.command(), **result)


if __name__ == "__main__":
    main()
