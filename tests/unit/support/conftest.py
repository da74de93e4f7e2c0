# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A forge for each test that wants one."""

from __future__ import annotations

import typing as t

import pytest

from tests.support.forge import Forge

if t.TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def forge(tmp_path: Path) -> Iterator[Forge]:
    """An empty forge on two free ports of loopback."""
    with Forge(tmp_path / "forge") as forge:
        yield forge
