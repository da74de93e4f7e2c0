# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options that say where things are on a host."""

from __future__ import annotations


class ModuleDocFragment:
    """Fragments C(host) and C(host.offline)."""

    DOCUMENTATION = r"""
options:
  root:
    description:
      - Directory on the host below which everything is; the user that runs the module must be able to write there.
    type: path
    required: true
  shared_root:
    description:
      - A volume that several hosts mount; store, models and wheels are below it instead of O(root).
    type: path
  models_dir:
    description:
      - MODELS_DIR, the tree that ComfyUI reads. Defaults to C(models) below O(shared_root) or O(root).
    type: path
  cache_dir:
    description:
      - What can be fetched again (git mirrors, wheels). Defaults to C(cache) below O(root).
    type: path
  lock_timeout:
    description:
      - Seconds to wait for another converge on the same host. A holder that is dead is taken over.
    type: float
    default: 120.0
"""

    OFFLINE = r"""
options:
  offline:
    description:
      - Use no network on the host. What is missing is an error that names it before anything changes.
      - Defaults to the spec's C(options.offline).
    type: bool
"""

    VERIFY = r"""
options:
  verify:
    description:
      - How closely to look.
    type: str
    default: stat
    choices:
      stat: Read a file again only when its size, times or inode are not as recorded.
      deep: Read every byte.
"""

    GIT = r"""
options:
  git_mirrors:
    description:
      - Where repositories are reached from this host, as a mapping of URL prefixes; the longest that fits is used.
      - The lock and the checkouts keep the original URL.
    type: dict
    default: {}
  credentials:
    description:
      - Host name to token, for hosts that want one. Never shown, logged, or sent to another host.
    type: dict
    default: {}
"""

    SKIP_MODELS = r"""
options:
  skip_models:
    description:
      - Leave the models alone. Defaults to the spec's C(options.skip_models).
    type: bool
"""
