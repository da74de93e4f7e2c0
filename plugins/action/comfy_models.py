# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""comfy_models: run the module of the same name on the host, and say meanwhile how far its downloads are.

The module runs as every module does, so that become, pipelining and secrets are as the user has set them; a second
command over the same connection reads the file that it writes. When that can not be read, nothing is said.
"""

from __future__ import annotations

import contextlib
import copy
import pathlib
import shlex
import threading
import time
import typing as t

from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from ansible_collections.comfyops.fleet.plugins.module_utils.host.layout import Layout
from ansible_collections.comfyops.fleet.plugins.plugin_utils.hosts.progress_lines import (
    Lines,
    parsed,
    repeated,
    summary,
)
from ansible_collections.comfyops.fleet.plugins.plugin_utils.hosts.run_token import run_token

if t.TYPE_CHECKING:
    import collections.abc as c

    Result = dict[str, t.Any]

MODULE = "comfyops.fleet.comfy_models"
LOOK_SECONDS = 2.0


class ActionModule(ActionBase):
    """Watches the module's progress, unless it only looks or runs in the background by itself."""

    _supports_check_mode = True
    _supports_diff = True
    _supports_async = True

    def run(self, tmp: str | None = None, task_vars: Result | None = None) -> Result:
        """Ansible's entry point. See the module's documentation for options and return values."""
        result: Result = super().run(tmp, task_vars)
        options = dict(self._task.args)
        if options.get("peers"):
            options.setdefault("peers_token", run_token())
        wrap_async = bool(self._task.async_val) and not self._connection.has_native_async
        watched = options.get("root") and not (wrap_async or self._task.check_mode)
        host = str((task_vars or {}).get("inventory_hostname", ""))
        begin = time.monotonic()
        with self._watching(str(options["root"]), host) if watched else contextlib.nullcontext():
            done: Result = self._execute_module(
                module_name=MODULE, module_args=options, task_vars=task_vars or {}, wrap_async=wrap_async
            )
        downloads = done.get("downloads") or ()
        for said in (*repeated(downloads), summary(downloads, time.monotonic() - begin)):
            if said:
                Display().display(f"{host}: models: {said}")
        return {**result, **done}

    @property
    def _base(self) -> t.Any:
        """This object, for methods of ActionBase that are not annotated."""
        return self

    @contextlib.contextmanager
    def _watching(self, root: str, host: str) -> c.Iterator[None]:
        """Say how far the downloads are for as long as this lasts."""
        path = Layout(root=pathlib.Path(self._base._remote_expand_user(root))).models_progress
        over = threading.Event()
        reader = self._second_reader()
        watcher = threading.Thread(target=_watch, args=(reader, str(path), host, over), daemon=True)
        watcher.start()
        try:
            yield
        finally:
            over.set()
            # It may wait for a host that is gone; the module's end is the task's end.
            watcher.join(LOOK_SECONDS)

    def _second_reader(self) -> ActionModule:
        """This action with a connection of its own: become's prompt of one command is not that of another."""
        reader = copy.copy(self)
        reader._connection = copy.copy(self._connection)
        if reader._connection.become is not None:
            reader._connection.become = copy.copy(reader._connection.become)
        return reader


def _watch(reader: ActionModule, path: str, host: str, over: threading.Event) -> None:
    lines, begin = Lines(), time.monotonic()
    while not over.wait(LOOK_SECONDS):
        try:
            seen = reader._low_level_execute_command(f"cat {shlex.quote(path)} 2>/dev/null; true")
            line = lines.line(parsed(str(seen["stdout"])), time.monotonic() - begin)
        except Exception:  # whatever a connection plugin raises: the module's own run will tell
            return
        if line and not over.is_set():
            Display().display(f"{host}: models: {line}")
