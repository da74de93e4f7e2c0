# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options that say where things are on a host."""

from __future__ import annotations


class ModuleDocFragment:
    """Fragment C(host) with its variants, such as C(host.offline)."""

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

    MODEL_SEARCH = r"""
options:
  model_search_paths:
    description:
      - Directories on the host that are searched, after MODELS_DIR, for the bytes of models that are missing, under any
        name and in any depth. What is found is copied into the store instead of being fetched, and stays as it is.
      - One that is not there is passed over. Nothing is searched where all models are there.
    type: list
    elements: path
    default: []
"""

    MODELS = r"""
options:
  model_mirrors:
    description:
      - Base URLs that are tried first; a file is at C(<base>/sha256/ab/ab12...).
    type: list
    elements: str
    default: []
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
      - Allow plain HTTP to other hosts than this one. Defaults to the spec's C(policy.allow_http).
    type: bool
"""

    SPACE = r"""
options:
  space:
    description:
      - What to do where an environment does not fit beside those that there are.
    type: str
    default: beside
    choices:
      beside: Fail, before anything changes.
      replace: >-
        Remove all environments, and the stored wheels that the target has no use for, and make the new one then. Every
        wheel that is missing has to be offered by its index or URL before, and nothing may run from an environment.
        There is no way back to an earlier build without making its environment again.
"""
