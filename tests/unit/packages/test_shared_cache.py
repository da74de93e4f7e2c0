# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hosts that share a cache make environments at the same time: what one of them tidies up is its own."""

from __future__ import annotations

import concurrent.futures
import dataclasses
import os
import pathlib
import time
import typing as t

from ansible_collections.comfyops.fleet.plugins.module_utils.host.layout import Layout
from tests.unit.packages.conftest import Host, converge, locked, look

if t.TYPE_CHECKING:
    from ansible_collections.comfyops.fleet.plugins.module_utils.host.context import Context

MIB = 1 << 20


def sharing(context: Context, root: pathlib.Path, cache: pathlib.Path) -> Context:
    """The same lock on another host."""
    return dataclasses.replace(context, layout=Layout(root, cache_dir=cache))


def test_a_host_that_is_done_takes_nothing_from_one_that_is_not(host: Host, tmp_path: pathlib.Path) -> None:
    cache = tmp_path / "volume"
    large = host.index.wheel("large", "1.0", modules={"large/__init__.py": "", "large/data.bin": os.urandom(MIB)})
    small = host.index.wheel("small", "1.0")
    slow = sharing(host.context([locked(large), locked(small)]), tmp_path / "slow", cache)
    quick = sharing(host.context([locked(small)]), tmp_path / "quick", cache)
    host.forge.fault("rate", f"*{large.filename}", rate=MIB // 4)
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        running = pool.submit(converge, slow)
        while not any(path.is_file() for path in cache.rglob("*")) and not running.done():
            time.sleep(0.05)
        converge(quick)
        assert not running.done(), "the other was at work all the time"
        assert running.result()
    assert [request.path for request in host.forge.requests].count(f"/files/pypi/{large.filename}") == 1
    assert look(slow).changes == ()
    assert look(quick).changes == ()
    assert [path.name for path in cache.rglob("*") if path.name in ("uv", "fetched")] == []
