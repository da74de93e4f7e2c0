#!/usr/bin/python
# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: comfy_model_access
short_description: Ask whether the sources give a host the models that it lacks, before anything changes
version_added: 1.0.0
author:
  - comfyops.fleet contributors (@comfyops)
description:
  - Asks for one byte of each model that the host would have to fetch, with the credentials that the download would
    have, and fails with all that is refused at once.
  - A missing token, a token that is not accepted, and a licence that the token's account has not accepted each have
    their own message.
  - What may pass, such as a busy server, is no failure here; M(comfyops.fleet.comfy_models) tries again.
extends_documentation_fragment:
  - comfyops.fleet.attributes
  - comfyops.fleet.lock
  - comfyops.fleet.host
  - comfyops.fleet.host.offline
  - comfyops.fleet.host.skip_models
  - comfyops.fleet.host.model_search
  - comfyops.fleet.host.models
attributes:
  check_mode:
    support: full
    details:
      - Changes nothing in any mode.
  diff_mode:
    support: none
  idempotent:
    support: full
  platform:
    platforms: linux
seealso:
  - module: comfyops.fleet.comfy_models
"""

EXAMPLES = r"""
- name: Load the lock
  comfyops.fleet.comfy_lock:
    version: demo
  run_once: true
  register: comfy_locked

- name: Fail now where a token or a licence is missing
  comfyops.fleet.comfy_model_access:
    lock: "{{ comfy_locked.lock }}"
    root: /opt/comfy
    credentials:
      huggingface.co: "{{ hf_token }}"
"""

RETURN = r"""
failures:
  description: Each model that is refused.
  returned: failure
  type: list
  elements: dict
  sample:
    - where: model flux1-dev.safetensors
      what: https://huggingface.co/org/gated/resolve/main/flux1-dev.safetensors answers 401 Unauthorized
      remedy: It needs HF_TOKEN and acceptance of the licence at https://huggingface.co/org/gated
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.comfyops.fleet.plugins.module_utils import arguments
from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError, fail, raise_all
from ansible_collections.comfyops.fleet.plugins.module_utils.models.observe import observe
from ansible_collections.comfyops.fleet.plugins.module_utils.models.permission import refusals
from ansible_collections.comfyops.fleet.plugins.module_utils.models.plan import plan


def main() -> None:
    """Run the module."""
    options = {**arguments.LOCK, **arguments.OFFLINE, **arguments.MODELS}
    module = AnsibleModule(argument_spec=options, supports_check_mode=True)
    try:
        context = arguments.context_from(module.params)
        raise_all(refusals(context, plan(context, observe(context))))
    except FleetError as error:
        fail(module, error)
    module.exit_json(changed=False)


if __name__ == "__main__":
    main()
