# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who asks for Python packages, as a lock names them in ``required_by``, ``replaced`` and ``requirements``."""

from __future__ import annotations

CORE = "core"
SPEC = "spec"
# The collection itself, which wants pip to be there.
FLEET = "comfyops.fleet"
# What these stand before: the node's directory, and the name of the package that requires another.
NODE = "node:"
PACKAGE = "package:"
