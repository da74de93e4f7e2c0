#!/usr/bin/python
# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: comfy_model_hash
short_description: Read models of which nobody says the sha256 into a host's store, and say it
version_added: 1.0.0
author:
  - comfyops.fleet contributors (@comfyops)
description:
  - Fetches each file once, computes its sha256 while it comes, and keeps it in the store of this host by that sha256,
    so that converging the host does not fetch it again.
  - What breaks off is continued where the server can say that the file is still the same.
  - An HTML page, a Git LFS pointer, or a file that cannot be the model by its form is refused.
  - M(comfyops.fleet.comfy_lock) uses it on the host that its option O(comfyops.fleet.comfy_lock#module:models) names.
extends_documentation_fragment:
  - comfyops.fleet.attributes
  - comfyops.fleet.host
attributes:
  check_mode:
    support: full
    details:
      - Nothing is read, and RV(contents) is empty.
  diff_mode:
    support: none
  idempotent:
    support: none
    details:
      - Reads whenever it is called; who calls it knows what is not known yet.
  platform:
    platforms: linux
options:
  models:
    description:
      - The files.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description:
          - What messages call the model.
        type: str
        required: true
      file_name:
        description:
          - Name of its file, which says what may be in it.
        type: str
        required: true
      url:
        description:
          - Where it is.
        type: str
        required: true
      size:
        description:
          - Its size in bytes, where that is known.
        type: int
  hf_endpoint:
    description:
      - Where the Hugging Face Hub is reached from this host.
    type: str
  civitai_endpoint:
    description:
      - Where civitai is reached from this host.
    type: str
  credentials:
    description:
      - Host name, or host name and port, to token or key pair. Never shown, logged, or sent to another host.
    type: dict
    default: {}
  allow_http:
    description:
      - Allow plain HTTP to other hosts than this one.
    type: bool
    default: false
seealso:
  - module: comfyops.fleet.comfy_lock
  - module: comfyops.fleet.comfy_models
"""

EXAMPLES = r"""
- name: Read a model that its server gives no sha256 for
  comfyops.fleet.comfy_model_hash:
    root: /opt/comfy
    models:
      - name: style.safetensors
        file_name: style.safetensors
        url: https://models.example.com/style.safetensors
"""

RETURN = r"""
contents:
  description: The sha256 and size of each file, in the order of O(models); null for one that could not be read.
  returned: always
  type: list
  elements: dict
  sample:
    - sha256: 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef
      size: 1500000000
failures:
  description: Each fault of the batch.
  returned: failure
  type: list
  elements: dict
  sample:
    - where: model style.safetensors
      what: https://models.example.com/style.safetensors answers 404 Not Found
      remedy: It is gone, or hidden from those without a token. Change the source of style.safetensors in the spec
"""

import dataclasses
import os
import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.comfyops.fleet.plugins.module_utils import arguments
from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError, fail, raise_all
from ansible_collections.comfyops.fleet.plugins.module_utils.host.converge_lock import ConvergeLock
from ansible_collections.comfyops.fleet.plugins.module_utils.host.http import Access
from ansible_collections.comfyops.fleet.plugins.module_utils.host.key_pair import as_texts
from ansible_collections.comfyops.fleet.plugins.module_utils.models.first_store import Site, Wanted, read_into_store

_MODEL: dict[str, t.Any] = {
    "name": {"type": "str", "required": True},
    "file_name": {"type": "str", "required": True},
    "url": {"type": "str", "required": True},
    "size": {"type": "int"},
}
OPTIONS: dict[str, t.Any] = {
    **arguments.ROOT,
    **arguments.CREDENTIALS,
    "models": {"type": "list", "elements": "dict", "required": True, "options": _MODEL},
    "hf_endpoint": {"type": "str"},
    "civitai_endpoint": {"type": "str"},
    "allow_http": {"type": "bool", "default": False},
}


def main() -> None:
    """Run the module."""
    module = AnsibleModule(argument_spec=OPTIONS, supports_check_mode=True)
    params = module.params
    if module.check_mode:
        module.exit_json(changed=False, contents=[])
    try:
        layout = arguments.layout_from(params)
        site = Site(
            params["hf_endpoint"],
            params["civitai_endpoint"],
            Access(as_texts(params["credentials"]), params["allow_http"]),
        )
        with ConvergeLock(layout.state, "comfy_model_hash", float(params["lock_timeout"])):
            # What it makes is for others to read: the user that ComfyUI runs as, whatever umask this one has.
            os.umask(0o022)
            results = read_into_store(layout, [Wanted(**model) for model in params["models"]], site)
    except FleetError as error:
        fail(module, error)
    contents = [None if isinstance(result, FleetError) else dataclasses.asdict(result) for result in results]
    try:
        raise_all([result for result in results if isinstance(result, FleetError)])
    except FleetError as error:
        fail(module, error, contents=contents)
    module.exit_json(changed=bool(contents), contents=contents)


if __name__ == "__main__":
    main()
