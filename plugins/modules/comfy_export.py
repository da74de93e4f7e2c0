#!/usr/bin/python
# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: comfy_export
short_description: Write the Python packages of a lock in the form of other tools, on the control node
version_added: 1.0.0
author:
  - comfyops.fleet contributors (@comfyops)
description:
  - Writes the packages of one target as a C(requirements.txt) with hashes, as a C(pylock.toml) (PEP 751), or as
    expressions for Nix.
  - Wheels that no server has, because the control node built them or has them in a file, are copied beside.
  - Runs on the control node alone.
extends_documentation_fragment:
  - comfyops.fleet.attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
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
  format:
    description:
      - V(requirements) is C(requirements.txt) for pip and uv.
      - V(pylock) is C(pylock.<version>-<target>.toml). Indexes are asked for the addresses of files.
      - V(nix) is C(flake.nix) and C(python-packages.nix). Indexes are asked too, and repositories of packages that are
        built from git are checked out for their hash.
    type: str
    choices:
      - requirements
      - pylock
      - nix
    required: true
  target:
    description:
      - The lock's target. By default the only one.
    type: str
  path:
    description:
      - Directory to write to. By default C(exports/<version>/<target>) below the working directory.
      - Other files in it stay.
    type: path
  versions_dir:
    description:
      - Directory of the lock, with the wheels that were built for it. By default C(versions) of the working directory,
        else of the collection.
    type: path
  nixpkgs:
    description:
      - The only input of the flake, as a flake reference to a public nixpkgs.
    type: str
    default: github:NixOS/nixpkgs/nixos-25.11
  python_indexes:
    description:
      - Where package indexes are reached from here, by name; C(pypi) is the default index.
    type: dict
    default: {}
  git_mirrors:
    description:
      - Where repositories are reached from here, as a mapping of URL prefixes.
    type: dict
    default: {}
  credentials:
    description:
      - Host name to token, or to user and password with a colon between.
    type: dict
    default: {}
  allow_http:
    description:
      - Whether plain HTTP to other hosts is allowed. By default what the spec's policy says.
    type: bool
seealso:
  - module: comfyops.fleet.comfy_lock
"""

EXAMPLES = r"""
- name: Load the lock
  comfyops.fleet.comfy_lock:
    version: wan22
    state: checked
  register: comfy_locked

- name: Write requirements for pip
  comfyops.fleet.comfy_export:
    lock: "{{ comfy_locked.lock }}"
    format: requirements
    target: cu130
    path: /srv/exports/wan22
"""

RETURN = r"""
path:
  description: The directory of the export.
  returned: success
  type: str
  sample: /home/user/exports/wan22/cu130
target:
  description: The target that was exported.
  returned: success
  type: str
  sample: cu130
files:
  description: The files of the export, relative to RV(path).
  returned: success
  type: list
  elements: str
  sample: [requirements.txt, wheels/cstr-0.1-py3-none-any.whl]
notes:
  description: What of the lock the export does not have, or has as a name alone.
  returned: success
  type: list
  elements: str
  sample: ["left out, because the hosts' image brings them: torch 2.9.0a0+nv25.10"]
actions:
  description: What was written, or would be in check mode.
  returned: success
  type: list
  elements: dict
  sample:
    - part: export
      action: create
      name: /home/user/exports/wan22/cu130/requirements.txt
failures:
  description: What is wrong, one entry each.
  returned: failure
  type: list
  elements: dict
  sample:
    - where: wan22
      what: the lock has the targets cpu, cu130, and an export is of one of them
      remedy: "Say which: -e target=..."
"""
