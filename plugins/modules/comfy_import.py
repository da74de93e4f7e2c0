#!/usr/bin/python
# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: comfy_import
short_description: Turn lists of Python requirements into entries of a spec, on the control node
version_added: 1.0.0
author:
  - comfyops.fleet contributors (@comfyops)
description:
  - Reads what C(pip freeze) prints, and the lists that images install one after the other, and says of every line what
    became of it.
  - Prints what to put into a spec, or writes a new one.
  - Repositories without a commit are asked for theirs, and files of URLs without a sha256 are read, unless O(offline).
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
  lists:
    description:
      - The lists, in the order in which they are installed. Where lines contradict each other, the later one wins.
    type: list
    elements: path
    required: true
  version:
    description:
      - A new version, whose spec is written. By default nothing is written.
      - A spec that is there is not replaced.
    type: str
  extends:
    description:
      - The version that the new one extends. By default it has ComfyUI alone, of its branch C(master).
    type: str
  undecided:
    description:
      - What to do about lines that a person has to decide on when a spec is written.
    type: str
    default: refuse
    choices:
      refuse: Write nothing.
      leave_out: Write the spec without them.
  versions_dir:
    description:
      - Directory of specs. By default C(versions) of the working directory, else of the collection.
    type: path
  offline:
    description:
      - Ask nobody; what would have to be looked up is for a person to decide.
    type: bool
    default: false
  git_mirrors:
    description:
      - Where repositories are reached from here, as a mapping of URL prefixes.
    type: dict
    default: {}
  credentials:
    description:
      - Host name to token.
    type: dict
    default: {}
seealso:
  - module: comfyops.fleet.comfy_lock
"""

EXAMPLES = r"""
- name: Show what the layers of an image come to
  comfyops.fleet.comfy_import:
    lists: [pak3.txt, pak5.txt, pak7.txt]

- name: Write a version that adds them to another one
  comfyops.fleet.comfy_import:
    lists: [pak3.txt, pak5.txt, pak7.txt]
    version: wan22-full
    extends: wan22
"""

RETURN = r"""
lines:
  description: Every line that says something, in order, and what became of it.
  returned: success
  type: list
  elements: dict
  contains:
    place:
      description: List and line.
      type: str
      returned: always
      sample: pak3.txt, line 12
    line:
      description: The line, without secrets.
      type: str
      returned: always
      sample: numpy
    outcome:
      description: V(kept), V(merged), V(dropped), or V(decision) where a person has to decide.
      type: str
      returned: always
      sample: merged
    detail:
      description: As what it was kept, into what it was merged, why it was dropped, or what there is to decide.
      type: str
      returned: always
      sample: into pak5.txt, line 3
spec:
  description: What the lists come to, as keys of a spec.
  returned: success
  type: dict
  sample:
    python_packages: ["numpy<2"]
summary:
  description: How many lines there are, and what became of how many.
  returned: success
  type: str
  sample: "2 lines: 1 kept, 1 merged, 0 dropped, 0 to decide; 1 entries of python_packages"
path:
  description: The new spec.
  returned: when O(version) is given
  type: str
  sample: versions/wan22-full.json
failures:
  description: What is wrong, one entry each.
  returned: failure
  type: list
  elements: dict
  sample:
    - where: pak7.txt, line 2
      what: "git+https://host/repo: names no commit, and what that is changes"
      remedy: ""
"""
