# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options that say what a host is to become."""

from __future__ import annotations


class ModuleDocFragment:
    """Fragment C(lock)."""

    DOCUMENTATION = r"""
options:
  lock:
    description:
      - The lock, as M(comfyops.fleet.comfy_lock) returns it in RV(comfyops.fleet.comfy_lock#module:lock).
    type: dict
    required: true
  target:
    description:
      - The lock's target that this host is. By default the one whose platform and accelerator fit the host.
    type: str
"""
