#!/usr/bin/python
# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: comfy_lock
short_description: Make, check or load the lock of a version, on the control node
version_added: 1.0.0
author:
  - comfyops.fleet contributors (@comfyops)
description:
  - A version's spec is C(versions/<id>.json), written by a person. Its lock, C(versions/<id>.lock.json), is what the
    spec resolves to, exactly; hosts are converged to the lock alone.
  - Every git reference becomes a full commit, the requirements of core and nodes at these commits are resolved together
    with the spec's packages to one file with a sha256 for each distribution, and every model gets an immutable URL,
    a size and a sha256.
  - The same spec against the same upstream gives the same bytes. What is locked stays as long as it fits the spec; only
    O(upgrade) moves it.
  - Git repositories and source archives that the spec names are built first, in a sandbox, and their wheels kept beside
    the lock. A wheel that is gone from there is built again when the lock is made or renewed.
  - Runs on the control node in the play of the hosts, usually with C(run_once); no host is needed.
extends_documentation_fragment:
  - comfyops.fleet.attributes
attributes:
  check_mode:
    support: full
    details:
      - Resolves in memory and writes nothing.
  diff_mode:
    support: full
  idempotent:
    support: full
  platform:
    platforms: posix
options:
  version:
    description:
      - The version's id, which is the name of its spec without C(.json).
    type: str
    required: true
  versions_dir:
    description:
      - The directory of specs and locks on the control node. Defaults to C(versions) in the working directory, or else
        the one of the collection's checkout.
    type: path
  bundle:
    description:
      - A bundle that M(comfyops.fleet.comfy_bundle) wrote. Its lock is loaded once the bundle is known to be complete
        and as it was written; with O(verify=all) also where it was read before and looks the same.
      - It has to be of O(version), and its lock the one in O(versions_dir) where that is given and has one.
    type: path
  state:
    description:
      - How far to go.
    type: str
    default: present
    choices:
      present: There is a lock that fits the spec.
      checked: The same, but nothing is made; a missing or stale lock is a failure.
      validated: Only the spec is checked; no lock and no network is needed.
  stale:
    description:
      - What to do with a lock whose spec has changed since.
    type: str
    default: renew
    choices:
      renew: Lock again, and keep what still fits.
      refuse: Fail, and say what has changed.
  upgrade:
    description:
      - Names of nodes, models or Python packages that may move to what upstream has now.
      - V(core) is ComfyUI itself, V(all) everything.
    type: list
    elements: str
    default: []
  verify:
    description:
      - V(all) believes no package index and reads every file of the packages, those that are locked already as well; a
        sha256 that is another than the index or the lock says is an error that names both.
      - With V(none), the default, what the default index says counts. Read are files of indexes that say no sha256 or
        are known to misstate it (those of PyTorch), and files that the spec names by their URL.
    type: str
    choices: [none, all]
    default: none
  python:
    description:
      - The Python of the targets when the spec does not say, as V(3.12), V(python3.12) or a path.
    type: str
  python_mirror:
    description:
      - Directory or URL with archives of Python (those of uv's managed Pythons), for hosts that have none of the
        target's version. The newest that fits is written into the lock, by its hash; hosts get it when they need it.
      - In a lock that there is, it is entered or moved with V(python) in O(upgrade).
    type: str
  builder:
    description:
      - Inventory name of a host that builds what has no wheel, where the control node has another machine type, a newer
        C library or no Python of the target's version.
      - The task has to be delegated to it. Nothing is built on a host that is not named here.
    type: str
  uv_source:
    description:
      - uv on the control node for the host that O(builder) names, if that is of another machine type.
    type: path
  git_mirrors:
    description:
      - Where repositories are reached from here, as a mapping of URL prefixes; the longest that fits is used.
      - The lock keeps the original URL.
    type: dict
    default: {}
  python_indexes:
    description:
      - Where package indexes are reached from here, by name; V(pypi) is the default index.
    type: dict
    default: {}
  model_mirrors:
    description:
      - Base URLs of content-addressed mirrors of models.
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
  credentials:
    description:
      - Host name, or host name and port, to a token, or to a key pair of an object store, which is a mapping with
        C(access_key), C(secret_key) and, where they are needed, C(session_token) and C(region).
      - E(HF_TOKEN) and E(CIVITAI_TOKEN) of the control node are used as well, and for object stores the credentials of
        AWS and Google Cloud in their usual places.
    type: dict
    default: {}
  allow_http:
    description:
      - Allow plain HTTP to other hosts than this one. Defaults to the spec's C(policy.allow_http).
    type: bool
  models:
    description:
      - Who reads models of which neither spec nor server says the sha256. Without it, and where O(unhashed) does not
        say otherwise, such a model is an error.
      - V(download) reads them on the control node, which keeps no byte of them; else the inventory name of a host,
        which keeps them in its store. The task has to be delegated to that host.
    type: str
  unhashed:
    description:
      - What becomes of such models where O(models) is not set. Defaults to the spec's C(policy.unhashed).
    type: str
    choices:
      refuse: They are an error that names them.
      first-use: The host that the task runs for, the first one of the play, reads them into its store. Its bytes are
        what the lock has, and so what every other host must get.
  root:
    description:
      - Directory of the version on a host that reads models.
    type: str
    default: /opt/comfy
  shared_root:
    description:
      - Where the store is on a host that reads models, if not below O(root).
    type: str
  cache_dir:
    description:
      - The cache on a host that reads models.
    type: str
  lock_timeout:
    description:
      - Seconds to wait for another converge on a host that reads models.
    type: float
    default: 120.0
requirements:
  - git, uv, jsonschema, packaging and huggingface_hub on the control node
seealso:
  - module: comfyops.fleet.comfy_drift
"""

EXAMPLES = r"""
- name: Make the lock of a version, or renew it
  comfyops.fleet.comfy_lock:
    version: demo
  run_once: true
  register: comfy_locked

- name: Only say whether the lock fits the spec
  comfyops.fleet.comfy_lock:
    version: demo
    state: checked
  run_once: true

- name: Make it with wheels that are built on a host of the target
  comfyops.fleet.comfy_lock:
    version: demo
    builder: gpu-builder
  delegate_to: gpu-builder
  run_once: true

- name: Make it, and read models of which nobody says the sha256
  comfyops.fleet.comfy_lock:
    version: demo
    models: download
  run_once: true

- name: Move one package to what its index has now
  comfyops.fleet.comfy_lock:
    version: demo
    upgrade:
      - transformers
  run_once: true
"""

RETURN = r"""
lock:
  description: The lock, for the option O(comfyops.fleet.comfy_drift#module:lock) of the other modules.
  returned: when O(state) is V(present) or V(checked)
  type: dict
  sample:
    lock_version: 1
path:
  description: The lock's file; the spec's with O(state=validated).
  returned: success
  type: str
  sample: versions/demo.lock.json
version_id:
  description: The version's id.
  returned: success
  type: str
  sample: demo
builds:
  description: The name of the build that each target makes.
  returned: when O(state) is V(present) or V(checked)
  type: dict
  sample:
    default: demo-0a1b2c3d4e5f
actions:
  description: What was done to the lock.
  returned: when O(state) is V(present) or V(checked)
  type: list
  elements: dict
  sample:
    - part: lock
      action: create
      name: demo.lock.json
      before: null
      after: core 4f1c0a9be2d7, 3 nodes, 14 packages, 4 models
failures:
  description: Each fault, with where it is, what it is, and what to do.
  returned: failure
  type: list
  elements: dict
  sample:
    - where: versions/demo.lock.json
      what: there is no lock
      remedy: "Make it: lock.yml with the same version"
"""
