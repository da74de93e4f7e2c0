# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Converges that are killed at any moment: what served still serves, and the next run ends as if nothing had been."""

from __future__ import annotations

import collections.abc as c
import json
import os
import pathlib
import random
import subprocess
import sys
import time
import typing as t

import pytest

from ansible_collections.comfyops.fleet.plugins.module_utils.packages.receipt import receipt_path
from tests.support.processes import kill_tree
from tests.support.trees import tree
from tests.unit.packages.conftest import Host, converge, locked, look, site

if t.TYPE_CHECKING:
    from ansible_collections.comfyops.fleet.plugins.module_utils.host.context import Context
    from tests.support.locks import Document

MODULE = "ansible_collections.comfyops.fleet.plugins.modules.comfy_pip_packages"
# The module in a process of its own, as a host runs it, without the connection.
RUN_MODULE = f"""
import sys
from ansible.module_utils import basic
from ansible.module_utils.testing import patch_module_args
import json
import {MODULE} as module
with patch_module_args(json.loads(sys.stdin.read())):
    module.main()
"""
MOMENTS = 20


def options(host: Host, document: Document, **more: t.Any) -> dict[str, t.Any]:
    """The module's options for a lock."""
    context = host.context([], document=document)
    return {
        "lock": document,
        "target": "default",
        "root": str(host.root),
        "uv": str(context.settings.uv),
        "python": context.settings.python,
        **more,
    }


def start(module_options: dict[str, t.Any], wrapper: c.Sequence[str] = ()) -> subprocess.Popen[str]:
    """The module, started; wrapper: a program that starts it."""
    process = subprocess.Popen(
        [*wrapper, sys.executable, "-c", RUN_MODULE],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdin is not None
    process.stdin.write(json.dumps(module_options))
    process.stdin.close()
    process.stdin = None
    return process


def run(module_options: dict[str, t.Any], wrapper: c.Sequence[str] = (), *, failing: bool = False) -> dict[str, t.Any]:
    """The module's result, when it ran to its end. failing: and that is a failure."""
    process = start(module_options, wrapper)
    output, _nothing = process.communicate(timeout=120)
    result: dict[str, t.Any] = json.loads(output)
    assert bool(result.get("failed")) == failing, result.get("msg")
    return result


def final_state(root: pathlib.Path) -> dict[str, str]:
    """What a run leaves, but for what tells of the run itself (receipts with inodes, logs) and what is only cached."""
    return tree(root, without=("receipts", "logs", "cache"))


@pytest.fixture
def versions(host: Host) -> tuple[Document, Document]:
    """The lock that serves, and one that changes half of it."""
    modules = {f"many/module{number}.py": "VALUE = 1\n" * 50 for number in range(60)}
    common = [locked(host.index.wheel("many", "1.0", modules=modules)), locked(host.index.wheel("attrs", "25.3.0"))]
    before = [*common, locked(host.index.wheel("six", "1.16.0", scripts={"six": "six:main"}))]
    after = [*common, locked(host.index.wheel("six", "1.17.0")), locked(host.index.wheel("tqdm", "4.67.1"))]
    return host.document(before), host.document(after)


def test_killed_at_any_moment_the_next_run_finishes(host: Host, versions: tuple[Document, Document]) -> None:
    old, new = versions
    serving, wanted = (host.context([], document=document) for document in versions)
    run(options(host, old))
    serving.layout.current.symlink_to(f"builds/{serving.build_name}")
    untouched = tree(serving.environment)
    begin = time.monotonic()
    run(options(host, new))
    seconds = time.monotonic() - begin
    expected = final_state(host.root)
    moments = random.Random(20)
    for _moment in range(MOMENTS):
        _forget(wanted)
        _kill_after(options(host, new), moments.uniform(0, seconds))
        assert tree(serving.environment) == untouched
        foretold = look(wanted).changes
        assert [change.result() for change in foretold] == run(options(host, new))["actions"]
        assert final_state(host.root) == expected
        assert look(wanted).changes == ()


def test_killed_while_it_rebuilds_the_next_run_finishes(host: Host, versions: tuple[Document, Document]) -> None:
    context = host.context([], document=versions[0])
    converge(context)
    expected = tree(host.root / "envs")
    moments = random.Random(21)
    for _moment in range(MOMENTS // 2):
        (site(context) / "six" / "__init__.py").unlink(missing_ok=True)
        _kill_after(options(host, versions[0]), moments.uniform(0.2, 1.0))
        run(options(host, versions[0]))
        assert tree(host.root / "envs") == expected
        assert look(context).changes == ()


def test_a_receipt_is_there_whenever_the_environment_is(host: Host, versions: tuple[Document, Document]) -> None:
    """Else a killed run would leave an environment that every later look would have to read in full."""
    context = host.context([], document=versions[0])
    process = start(options(host, versions[0]))
    while process.poll() is None:
        there = context.environment.exists()
        assert receipt_path(context.layout, context.environment.name).exists() or not there
    process.communicate()
    assert context.environment.exists()


def _kill_after(module_options: dict[str, t.Any], seconds: float) -> None:
    process = start(module_options)
    time.sleep(seconds)
    kill_tree(process.pid)
    process.communicate()


def _forget(context: Context) -> None:
    """Back to before the second converge, its cache aside."""
    subprocess.run(["rm", "-rf", context.environment, context.home], check=True)
    receipt_path(context.layout, context.environment.name).unlink()
