#!/usr/bin/python
# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: comfy_sources
short_description: Report where the Python packages of a lock come from, on the control node
version_added: 1.0.0
author:
  - comfyops.fleet contributors (@comfyops)
description:
  - Writes a report on the packages of all targets of a lock as Markdown, JSON, CSV and one HTML page, and for each
    target a software bill of materials (CycloneDX).
  - The report has each package's version, source, hash, size and licence and who asks for it, how packages and bytes
    are distributed over sources, owners and licences, and who keeps which package below which version.
  - Says what is declared, locked, installed and importable. Hosts that the play registered as C(comfy_verified), from
    M(comfyops.fleet.comfy_pip_packages) with O(comfyops.fleet.comfy_pip_packages#module:state=verified), are counted;
    without such hosts the report says that nobody looked.
  - Fails when something has no source, or is missing from a host; the files are written all the same. A host that could
    not be looked at ends as unreachable.
  - The same lock and the same hosts give the same bytes.
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
  target:
    description:
      - The lock's target. By default all.
    type: str
  path:
    description:
      - Directory to write to. By default C(sources/<version>) below the working directory.
      - Other files in it stay.
    type: path
  sbom:
    description:
      - Whether to write bills of materials.
    type: bool
    default: true
  sbom_timestamp:
    description:
      - The time that bills of materials say they were made at, ISO 8601 with its zone.
      - By default they say none, so that the same lock gives the same bytes.
    type: str
  why:
    description:
      - Packages for which to print all shortest ways from core, nodes and spec to them.
    type: list
    elements: str
    default: []
  limits:
    description:
      - Packages for which to print who says what of their version, the tightest limit first.
    type: list
    elements: str
    default: []
requirements:
  - cyclonedx-python-lib on the control node, if O(sbom=true)
seealso:
  - module: comfyops.fleet.comfy_lock
  - module: comfyops.fleet.comfy_pip_packages
"""

EXAMPLES = r"""
- name: Load the lock
  comfyops.fleet.comfy_lock:
    version: wan22
    state: checked
  run_once: true
  register: comfy_locked

- name: Report the sources of its packages, and why numpy is there
  comfyops.fleet.comfy_sources:
    lock: "{{ comfy_locked.lock }}"
    path: /srv/reports/wan22
    why:
      - numpy
"""

RETURN = r"""
path:
  description: The directory of the report.
  returned: for the first host of the play
  type: str
  sample: /home/user/sources/wan22
files:
  description: The files of the report, relative to RV(path).
  returned: for the first host of the play
  type: list
  elements: str
  sample: [sbom-cu130.cdx.json, sources.csv, sources.html, sources.json, sources.md]
summary:
  description: How many packages of each target come from which source.
  returned: for the first host of the play
  type: dict
  sample:
    cu130:
      PyPI: 112
      index pytorch-cu130: 3
actions:
  description: What was written, or would be in check mode.
  returned: for the first host of the play
  type: list
  elements: dict
  sample:
    - part: sources
      action: create
      name: /home/user/sources/wan22/sources.md
failures:
  description: What has no source or is missing, one entry each.
  returned: failure
  type: list
  elements: dict
  sample:
    - where: gpu-7
      what: torch 2.9.0+cu130 is not installed
      remedy: Run realize.yml with the same version
"""
