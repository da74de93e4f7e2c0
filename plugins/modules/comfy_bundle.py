#!/usr/bin/python
# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: comfy_bundle
short_description: Write all that a lock names into one directory or tar, on the control node
version_added: 1.0.0
author:
  - comfyops.fleet contributors (@comfyops)
description:
  - A bundle has the repositories, wheels, managed Pythons, models and the uv of a lock, the lock itself, and a manifest
    with the sha256 of each file. Hosts are realized from it without any network.
  - What is there with the right bytes is not fetched again, also after a run that was killed. The manifest is written
    last, so that a bundle is whole or known not to be.
  - Runs on the control node alone.
extends_documentation_fragment:
  - comfyops.fleet.attributes
  - comfyops.fleet.host.skip_models
  - comfyops.fleet.host.git
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
  idempotent:
    support: full
  platform:
    platforms: posix
options:
  lock:
    description:
      - The lock, as M(comfyops.fleet.comfy_lock) returns it in RV(comfyops.fleet.comfy_lock#module:lock).
    type: dict
    required: true
  targets:
    description:
      - The lock's targets that the bundle is for. By default all.
    type: list
    elements: str
    default: []
  path:
    description:
      - Where to write it. By default C(bundles/<version>), or C(bundles/<version>.tar), below the working directory.
    type: path
  form:
    description:
      - Whether it is a directory or one tar, which is not compressed.
    type: str
    choices:
      - directory
      - tar
    default: directory
  versions_dir:
    description:
      - Directory of the lock, with the wheels that were built for it. By default C(versions) of the working directory,
        else of the collection.
    type: path
  wheels_dir:
    description:
      - Directory with wheels of your own, which are taken before any index is asked.
    type: path
  uv_source:
    description:
      - The uv that the bundle has for hosts. By default the control node's own.
    type: path
  python_indexes:
    description:
      - Where package indexes are reached from here, by name; C(pypi) is the default index.
    type: dict
    default: {}
  model_mirrors:
    description:
      - Base URLs that are tried first; a file is at C(<base>/sha256/ab/ab12...).
    type: list
    elements: str
    default: []
  hf_endpoint:
    description:
      - Where the Hugging Face Hub is reached from here.
    type: str
  civitai_endpoint:
    description:
      - Where civitai is reached from here.
    type: str
  allow_http:
    description:
      - Whether plain HTTP to other hosts is allowed. By default what the spec's policy says.
    type: bool
  model_connections:
    description:
      - How many connections the downloads of models may have at a time, all together.
    type: int
    default: 16
  model_rate_limit:
    description:
      - Bytes per second of all downloads of models together, such as V(50MB). No limit by default.
    type: str
seealso:
  - module: comfyops.fleet.comfy_lock
  - module: comfyops.fleet.comfy_unbundle
"""

EXAMPLES = r"""
- name: Load the lock
  comfyops.fleet.comfy_lock:
    version: wan22
    state: checked
  register: comfy_locked

- name: Write a bundle for the machines with an NVIDIA GPU
  comfyops.fleet.comfy_bundle:
    lock: "{{ comfy_locked.lock }}"
    targets: [cu130]
    path: /media/disk/wan22.tar
    form: tar
"""

RETURN = r"""
path:
  description: The bundle.
  returned: success
  type: str
  sample: /home/user/bundles/wan22
notes:
  description: What the bundle lacks, such as an optional model that its source did not give.
  returned: success
  type: list
  elements: str
  sample: []
actions:
  description: What was written, or would be in check mode.
  returned: success
  type: list
  elements: dict
  sample:
    - part: bundle
      action: write
      name: /home/user/bundles/wan22
      before: null
      after: 231 file(s) fetched, 42.1 GB; 0 were there
failures:
  description: What is wrong, one entry each.
  returned: failure
  type: list
  elements: dict
  sample:
    - where: model one.safetensors
      what: https://models.example/one.safetensors answers 404 Not Found
      remedy: It is gone, or hidden from those without a token. Change the source of one.safetensors in the spec
"""
