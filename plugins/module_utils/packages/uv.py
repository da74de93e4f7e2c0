# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""uv, run so that nothing of the host's or the user's settings changes what it does.

It sees no configuration file, no project, no variable of its own but those that say how the network is reached, no
netrc file but ours and no other Python's settings. All that it says is kept in a log.
"""

from __future__ import annotations

import collections.abc as c
import contextlib
import os
import pathlib
import time

from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.comfyops.fleet.plugins.module_utils.host.context import Context
from ansible_collections.comfyops.fleet.plugins.module_utils.host.layout import Layout
from ansible_collections.comfyops.fleet.plugins.module_utils.host.process import Completed, run
from ansible_collections.comfyops.fleet.plugins.module_utils.packages.uv_faults import explain

# How the network is reached is the host's own affair: proxies (which have other names, too), certificates, patience.
_NETWORK = frozenset(
    (
        *("UV_HTTP_PROXY", "UV_HTTPS_PROXY", "UV_NO_PROXY", "UV_NATIVE_TLS", "UV_SYSTEM_CERTS"),
        *("UV_HTTP_TIMEOUT", "UV_HTTP_CONNECT_TIMEOUT", "UV_HTTP_RETRIES", "UV_CONCURRENT_DOWNLOADS"),
    )
)
# COLUMNS: uv would break its messages into lines of that length.
_FOREIGN = ("UV_", "COLUMNS", "PYTHON", "VIRTUAL_ENV", "CONDA", "RUST_")
_OPTIONS = ("--no-config", "--no-progress", "--color", "never")
# Some GB over a slow line.
_SECONDS = 6 * 3600
_LOGS_KEPT = 20


def uv_cache(layout: Layout) -> pathlib.Path:
    """uv's cache: what it has fetched and not brought into the store yet."""
    return layout.own_cache / "uv"


class Uv:
    """The uv of this host. ``log`` is the file that keeps what the runs of this object said.

    credentials: text in the form of netrc(5). Use it as a context manager: they live as long as that.
    """

    def __init__(self, context: Context, credentials: str) -> None:
        self._program = _program(context)
        self._layout = context.layout
        self._credentials = credentials
        self._netrc = -1
        self.log = _new_log(context.layout)

    def __enter__(self) -> Uv:
        # In memory only: a killed run leaves no secret behind.
        self._netrc = os.memfd_create("netrc")
        os.write(self._netrc, self._credentials.encode())
        uv_cache(self._layout).mkdir(parents=True, exist_ok=True)
        return self

    def __exit__(self, *_exception: object) -> None:
        os.close(self._netrc)

    def run(self, *arguments: str, stdin: str = "") -> Completed:
        """Run uv; a failure is told by the result. Raises FleetError when it can not be started or never ends."""
        argv = [str(self._program), *_OPTIONS, *arguments]
        settings = self._environment()
        completed = run(
            argv, cwd=self.log.parent, environment=settings, timeout=_SECONDS, stdin=stdin.encode(), check=False
        )
        with self.log.open("a", encoding="utf-8") as stream:
            said = f"{completed.text}{completed.stderr}".rstrip("\n")
            stream.write(f"$ uv {' '.join(arguments)}\n{said}\n[exit status {completed.returncode}]\n")
        return completed

    def _environment(self) -> dict[str, str | None]:
        foreign = (name for name in os.environ if name.startswith(_FOREIGN) and name not in _NETWORK)
        return {
            **dict.fromkeys(foreign),
            "NETRC": f"/proc/{os.getpid()}/fd/{self._netrc}",
            "UV_CACHE_DIR": str(uv_cache(self._layout)),
            # Between its cache and the store, which are neighbours; uv copies where it can not link.
            "UV_LINK_MODE": "hardlink",
            "UV_PYTHON_DOWNLOADS": "never",
        }


def make_virtual_environment(uv: Uv, place: pathlib.Path, interpreter: pathlib.Path) -> None:
    """Make an empty environment in the directory ``place``, which is there; it may be moved. Raises FleetError."""
    # mkdtemp makes it for its owner alone, and ComfyUI may run as another user.
    place.chmod(0o755)
    options = ("--relocatable", "--no-project", "--allow-existing", "--python", str(interpreter))
    made = uv.run("venv", *options, str(place))
    if made.returncode != 0:
        raise explain(made.stderr, str(interpreter), uv.log)


def _program(context: Context) -> pathlib.Path:
    """The uv that the options name, else the newest that was brought to this host."""
    brought = sorted(context.layout.agent.glob("uv-*/uv"), key=lambda path: path.stat().st_mtime)
    program = context.settings.uv or (brought[-1] if brought else None)
    if program is None or not os.access(program, os.X_OK):
        raise FleetError(
            "uv is not on this host",
            where=str(program or context.layout.agent),
            remedy="comfyops.fleet.comfy_pip_packages brings it from the control node; elsewhere set the option uv",
        )
    return program


def _new_log(layout: Layout) -> pathlib.Path:
    directory = layout.state / "logs"
    directory.mkdir(parents=True, exist_ok=True)
    _forget(sorted(directory.glob("uv-*.log"))[: 1 - _LOGS_KEPT])
    return directory / f"uv-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}-{os.getpid()}.log"


def _forget(logs: c.Iterable[pathlib.Path]) -> None:
    for log in logs:
        with contextlib.suppress(FileNotFoundError):
            log.unlink()
