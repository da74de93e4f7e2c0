# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What every module of the collection says about itself: check mode, diff mode, platform, idempotency, action group.

Private to the collection: it may change at any time.
"""

from __future__ import annotations


class ModuleDocFragment:
    """The variants of the fragment: DOCUMENTATION is for every module; the others go with it, named before it."""

    DOCUMENTATION = r"""
options: {}
attributes:
  check_mode:
    description: Can run in C(check_mode) and predict what it would change, without changing anything.
    support: full
  diff_mode:
    description: Returns what has changed, or would change in C(check_mode), when in diff mode.
    support: full
  idempotent:
    description:
      - When run twice in a row outside check mode, with the same arguments, the second invocation indicates no change.
      - This assumes that nothing else has changed on the host in between.
    support: full
  platform:
    description: The operating systems that the module can be used on.
    support: full
    platforms: posix
  action_group:
    description: Use C(group/comfyops.fleet.comfy) in C(module_defaults) to set defaults for all its modules.
    support: full
    membership:
      - comfyops.fleet.comfy
"""

    # For modules that only look. Of two fragments that say the same, Ansible takes the first: name this one first.
    READ_ONLY = r"""
options: {}
attributes:
  check_mode:
    support: full
    details:
      - This action does not modify state.
  diff_mode:
    support: N/A
    details:
      - This action does not modify state.
  idempotent:
    support: full
    details:
      - This action does not modify state.
"""

    # For actions that run on the control node, not on the host.
    CONTROL_NODE = r"""
options: {}
attributes:
  action:
    description: Has a corresponding action plugin, so that parts of it run on the control node.
    support: full
  delegation:
    description: Can be used in conjunction with C(delegate_to) and related keywords.
    support: none
    details:
      - It always runs on the control node.
"""
