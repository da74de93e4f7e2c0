# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How large a spec may be. The JSON Schema holds the same numbers where it has a keyword for them."""

from __future__ import annotations

import typing as t

MAX_FILE_BYTES: t.Final = 1_048_576
"""Bytes of one spec file."""

MAX_DEPTH: t.Final = 16
"""Objects and lists inside each other."""

MAX_VALUES: t.Final = 50_000
"""Values of all kinds in one file."""

MAX_TEXT: t.Final = 4096
"""Characters of any one text."""

MAX_URL: t.Final = 2048
"""Characters of a URL."""

MAX_PATH: t.Final = 1024
"""Characters of a path."""

MAX_SEGMENT_BYTES: t.Final = 255
"""Bytes of one part of a path: what ext4, XFS and NFS take."""

MAX_CUSTOM_NODES: t.Final = 512
MAX_MODELS: t.Final = 2000
MAX_PYTHON_PACKAGES: t.Final = 1000
MAX_ENV: t.Final = 256
MAX_TARGETS: t.Final = 32
MAX_INDEXES: t.Final = 32
MAX_INSTANCES: t.Final = 64

MAX_EXTENDS: t.Final = 8
"""Specs in one chain of extends."""
