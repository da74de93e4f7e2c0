# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Stands in for a large library: a version, and the answer that there is no GPU."""

from __future__ import annotations

from torch import cuda, version

__version__ = version.__version__
__all__ = ["__version__", "cuda", "version"]
