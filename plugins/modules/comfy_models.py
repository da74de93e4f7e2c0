#!/usr/bin/python
# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: comfy_models
short_description: Fetch a version's models, each verified and stored once, and place them where ComfyUI looks
version_added: 1.0.0
author:
  - comfyops.fleet contributors (@comfyops)
description:
  - Models are kept by their sha256 in a store, read-only, each once whatever its names, and placed at their paths as
    links into it, or as copies where links do not work.
  - All files are fetched in parallel, large ones over several connections where that helps. They resume after a cut, a
    kill or a reboot, and are checked while they come; what is not a model (an HTML page, a Git LFS pointer, a short
    file) is refused and never placed.
  - While it runs, lines on the control node say how far the downloads of each host are; on the host they are in
    C(state/progress/models.json).
  - Bytes that the host already has, at a path of the lock, below MODELS_DIR under any name, or in
    O(model_search_paths), are adopted by their sha256 instead of being downloaded. Another file at a path is kept in
    C(state/aside).
  - A path whose content the serving build has otherwise changes only with the switch, which is
    M(comfyops.fleet.comfy_version) with O(comfyops.fleet.comfy_version#module:state=current).
  - A model that the lock has as optional and whose source does not give it is named in RV(notes) and does not fail the
    host; it is tried again with O(verify=deep).
  - Writes the build's C(extra_model_paths.yaml), so that ComfyUI looks into MODELS_DIR first. The build must be there.
extends_documentation_fragment:
  - comfyops.fleet.attributes
  - comfyops.fleet.lock
  - comfyops.fleet.host
  - comfyops.fleet.host.offline
  - comfyops.fleet.host.verify
  - comfyops.fleet.host.skip_models
  - comfyops.fleet.host.model_search
  - comfyops.fleet.host.models
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
  idempotent:
    support: full
  platform:
    platforms: linux
options:
  model_connections:
    description:
      - How many connections the downloads of this host may have at a time, all together. One for each file, and more
        for large ones as long as that makes them measurably faster.
    type: int
    default: 16
  model_rate_limit:
    description:
      - Bytes per second of all downloads of this host together, such as V(50MB) or V(1.5 GB) (decimal units). No limit
        by default.
    type: str
  pickle:
    description:
      - What to do with a new model that is a pickle, as older checkpoints are. Its bytes are looked at, not its name.
      - By default, what the spec's policy says.
    type: str
    choices:
      allow: Take it.
      refuse: Fail; loading it would run code of whoever has made it.
  peers:
    description:
      - Other hosts of the site, by name, that serve what they have, each with the URL that M(comfyops.fleet.comfy_seed)
        gave there. A model that one of them has comes from it.
    type: dict
    default: {}
  seed:
    description:
      - The one of O(peers) that fetches what none of them has, for all of them; this host asks no source then. By
        default this host is that one.
    type: str
  peers_token:
    description:
      - What O(peers) want to hear. By default a secret of this run of Ansible.
    type: str
seealso:
  - module: comfyops.fleet.comfy_version
  - module: comfyops.fleet.comfy_seed
  - module: comfyops.fleet.comfy_lock
"""

EXAMPLES = r"""
- name: Load the lock
  comfyops.fleet.comfy_lock:
    version: demo
  run_once: true
  register: comfy_locked

- name: Fetch and place the models
  comfyops.fleet.comfy_models:
    lock: "{{ comfy_locked.lock }}"
    root: /opt/comfy

- name: Fetch gated models, from a mirror on the local network where it has them
  comfyops.fleet.comfy_models:
    lock: "{{ comfy_locked.lock }}"
    root: /opt/comfy
    model_mirrors:
      - https://models.example.com
    credentials:
      huggingface.co: "{{ hf_token }}"

- name: Read every byte of every model, and repair what is damaged
  comfyops.fleet.comfy_models:
    lock: "{{ comfy_locked.lock }}"
    root: /opt/comfy
    verify: deep
"""

RETURN = r"""
actions:
  description:
      - What was done, or in check mode would be done.
      - C(action) is V(fetch) or V(adopt) for the bytes of a model, V(place) or V(replace) for a path, and
        V(write) for C(extra_model_paths.yaml).
  returned: success
  type: list
  elements: dict
  sample:
    - part: models
      action: fetch
      name: one.safetensors
      before: null
      after: sha256:0123456789ab, 1.5 GB
notes:
  description: Facts that are no change, such as an optional model that is missing.
  returned: success
  type: list
  elements: str
  sample:
    - "optional model style.safetensors is missing: https://models.example/style.safetensors answers 404 Not Found"
home:
  description: COMFY_HOME of the build.
  returned: success
  type: str
  sample: /opt/comfy/builds/demo-0a1b2c3d4e5f
downloads:
  description:
      - What was fetched, each with the address without its query. C(fetched) counts bytes of this run, less than the
        size where a part was there already; C(state) is V(whole) or V(failed). C(again) says what of it had to be
        fetched once more, and why, such as bytes with another sha256, or a file that changed at its source.
  returned: always
  type: list
  elements: dict
  sample:
    - name: one.safetensors
      state: whole
      from: https://huggingface.co/org/repo/resolve/0123456789abcdef0123456789abcdef01234567/one.safetensors
      fetched: 1500000000
      seconds: 12.3
      again: []
failures:
  description: Each fault of the batch.
  returned: failure
  type: list
  elements: dict
  sample:
    - where: model one.safetensors
      what: https://models.example/one.safetensors answers 404 Not Found
      remedy: It is gone, or hidden from those without a token. Change the source of one.safetensors in the spec
"""

import contextlib

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.comfyops.fleet.plugins.module_utils import arguments
from ansible_collections.comfyops.fleet.plugins.module_utils.converge import converge
from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError, fail
from ansible_collections.comfyops.fleet.plugins.module_utils.models.apply import apply
from ansible_collections.comfyops.fleet.plugins.module_utils.models.observe import observe
from ansible_collections.comfyops.fleet.plugins.module_utils.models.plan import plan
from ansible_collections.comfyops.fleet.plugins.module_utils.models.progress import Progress


def main() -> None:
    """Run the module."""
    options = {**arguments.LOCK, **arguments.OFFLINE, **arguments.VERIFY, **arguments.MODELS}
    options |= {**arguments.DOWNLOADS, **arguments.PEERS}
    module = AnsibleModule(argument_spec=options, supports_check_mode=True)
    try:
        context = arguments.context_from(module.params)
    except FleetError as error:
        fail(module, error)
    progress = Progress(context.layout.models_progress)
    # Other hosts of the site look at it, too: from the beginning, and whether it ended well.
    with progress if context.settings.peers else contextlib.nullcontext():
        converge(
            module,
            context.layout,
            look=lambda: plan(context, observe(context)),
            apply=lambda planned: apply(context, planned, progress),
            home=str(context.home),
            downloads=progress.downloads,
        )


if __name__ == "__main__":
    main()
