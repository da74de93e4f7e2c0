#!/usr/bin/python
# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: comfy_report
short_description: Report what the hosts of a play were found to be, on the control node
version_added: 1.0.0
author:
  - comfyops.fleet contributors (@comfyops)
description:
  - Prints a table for the host and, if asked to, writes a JSON file for all hosts of the play.
  - Reads what the play registered as C(comfy_locked) and C(comfy_probe).
  - With O(verdict=true), a host that drifted ends as failed and one that could not be looked at as unreachable, so that
    C(ansible-playbook) exits with 0 (in sync), 2 (drifted) or 4 (could not look, which wins).
extends_documentation_fragment:
  - comfyops.fleet.attributes
attributes:
  check_mode:
    support: full
    details:
      - Writes the file in check mode too, because it describes the run and not the fleet.
  diff_mode:
    support: none
  idempotent:
    support: full
  platform:
    platforms: posix
options:
  path:
    description:
      - File on the control node for the JSON report.
    type: path
  verdict:
    description:
      - Whether to print the table and to end the host according to what it is.
    type: bool
    default: true
seealso:
  - module: comfyops.fleet.comfy_drift
"""

EXAMPLES = r"""
- name: Look at the host
  comfyops.fleet.comfy_drift:
    lock: "{{ comfy_locked.lock }}"
    root: /opt/comfy
  ignore_errors: true
  ignore_unreachable: true
  register: comfy_probe

- name: Report
  comfyops.fleet.comfy_report:
    path: drift.json
"""

RETURN = r"""
status:
  description: What the host is.
  returned: always
  type: str
  sample: in sync
"""
