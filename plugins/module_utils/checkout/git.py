# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Git, run so that nothing of a fetched repository and nothing of the user's settings changes what it does.

Local commands see no configuration but the repository's own, and no hook, monitor or filter of anybody's runs. Commands
that reach a server keep the user's configuration, because proxies, certificates and credentials live there.
"""

from __future__ import annotations

import collections.abc as c
import os
import pathlib
import re
import time
import urllib.parse

from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.comfyops.fleet.plugins.module_utils.host.process import Completed, ProcessFailed, run

_SAFE = {
    "advice.detachedHead": "false",
    "core.excludesFile": os.devnull,
    "core.fsmonitor": "false",
    "core.hooksPath": os.devnull,
    "core.untrackedCache": "false",
    "fetch.writeCommitGraph": "false",
    "gc.auto": "0",
    "http.lowSpeedLimit": "1000",
    "http.lowSpeedTime": "60",
    "init.defaultBranch": "main",
    "maintenance.auto": "false",
    "protocol.ext.allow": "never",
    "safe.directory": "*",
    "submodule.recurse": "false",
}
_LOCAL = {"core.autocrlf": "false", "core.fileMode": "true", "core.symlinks": "true", "core.trustctime": "true"}
# Variables of a caller that would point git at another repository or run something.
_FOREIGN = (
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_OBJECT_DIRECTORY",
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_NAMESPACE",
    "GIT_EXTERNAL_DIFF",
    "GIT_TEMPLATE_DIR",
)
_ATTEMPTS = 3
_LOCK_SECONDS = 5.0
# What a killed run has started may be at work for a moment longer.
_BUSY = re.compile(r"another git process|\.lock': File exists|shallow file has changed since we read it", re.IGNORECASE)
_PASSING = re.compile(
    r"could not resolve|(could not|failed to|couldn't) connect|timed out|connection re(fused|set)|early EOF"
    r"|unexpected disconnect|RPC failed|HTTP 5\d\d"
    r"|error: 5\d\d|hung up|TLS|gnutls|SSL_",
    re.IGNORECASE,
)
_FORBIDDEN = re.compile(
    r"authentication failed|could not read (username|password)|error: 40[13]|permission denied", re.IGNORECASE
)
_NOT_FOUND = re.compile(r"not found|does not exist|does not appear to be a git repository|error: 404", re.IGNORECASE)


def local(
    directory: pathlib.Path, *arguments: str, index: pathlib.Path | None = None, stdin: bytes | None = None
) -> Completed:
    """Run git in ``directory`` without the network. index: used in place of the repository's own."""
    environment: dict[str, str | None] = {
        **dict.fromkeys(_FOREIGN),
        **_configuration({**_SAFE, **_LOCAL}),
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_NO_REPLACE_OBJECTS": "1",
        "GIT_OPTIONAL_LOCKS": "0",
        # Only this directory's own repository: never one that it happens to lie in.
        "GIT_CEILING_DIRECTORIES": str(directory.parent),
    }
    if index is not None:
        environment["GIT_INDEX_FILE"] = str(index)
    return run(("git", *arguments), cwd=directory, environment=environment, stdin=stdin, timeout=900)


def remote(
    directory: pathlib.Path | None, *arguments: str, url: str, credentials: c.Mapping[str, str] | None = None
) -> Completed:
    """Run a git command that talks to the server of ``url``; passing faults are tried again.

    credentials: host name to token, handed over by the environment. Raises FleetError with what to do.
    """
    environment: dict[str, str | None] = {
        **dict.fromkeys(_FOREIGN),
        **_configuration({**_SAFE, **_authorization(url, credentials or {})}),
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_ASKPASS": "true",
        "GIT_SSH_COMMAND": os.environ.get("GIT_SSH_COMMAND", "ssh -oBatchMode=yes -oConnectTimeout=15"),
    }
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            return run(("git", *arguments), cwd=directory, environment=environment, timeout=7200)
        except ProcessFailed as error:
            passing = _PASSING.search(error.stderr) or _BUSY.search(error.stderr)
            if attempt == _ATTEMPTS or not passing:
                raise _explained(url, error) from error
            time.sleep(attempt)
    raise FleetError("no attempt was made", where=shown(url))


def initialize_bare(directory: pathlib.Path) -> None:
    """Make a directory a bare repository that git can work in, also where a git that was killed left part of one."""
    directory.mkdir(parents=True, exist_ok=True)
    clear_locks(directory)
    # Safe to repeat. Of a part it can not be told by its files whether all are there: git writes objects/ last.
    local(directory, "init", "--quiet", "--bare", "--template=", ".")


def clear_locks(git_directory: pathlib.Path) -> None:
    """Remove lock files that a killed git left; one that still runs gets a few seconds to end by itself."""
    for lock in (*git_directory.glob("*.lock"), *git_directory.glob("refs/**/*.lock")):
        deadline = time.monotonic() + _LOCK_SECONDS
        while lock.exists() and time.monotonic() < deadline:
            time.sleep(0.1)
        lock.unlink(missing_ok=True)


def shown(url: str) -> str:
    """``url`` without a user name or password."""
    parts = urllib.parse.urlsplit(url)
    if parts.scheme in ("http", "https") and "@" in parts.netloc:
        return urllib.parse.urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
    return url


def mirrored(url: str, mirrors: c.Mapping[str, str]) -> str:
    """Where ``url`` is reached from here: the longest prefix of ``mirrors`` that it begins with is replaced."""
    fitting = [prefix for prefix in mirrors if url.startswith(prefix)]
    if not fitting:
        return url
    longest = max(fitting, key=len)
    return mirrors[longest] + url[len(longest) :]


def _configuration(values: c.Mapping[str, str]) -> dict[str, str]:
    """Settings for one run, by the environment: an argument would show a token in the list of processes."""
    environment = {"GIT_CONFIG_COUNT": str(len(values))}
    for number, (name, value) in enumerate(values.items()):
        environment[f"GIT_CONFIG_KEY_{number}"] = name
        environment[f"GIT_CONFIG_VALUE_{number}"] = value
    return environment


def _authorization(url: str, credentials: c.Mapping[str, str]) -> dict[str, str]:
    # Only here: a look asks no server.
    import base64

    parts = urllib.parse.urlsplit(url)
    token = credentials.get(parts.hostname or "")
    if not token or parts.scheme not in ("http", "https"):
        return {}
    user_and_token = token if ":" in token else f"x-access-token:{token}"
    encoded = base64.b64encode(user_and_token.encode()).decode()
    origin = f"{parts.scheme}://{parts.netloc}/"
    # An extra header goes along on a redirect to another host, so there is none.
    return {f"http.{origin}.extraHeader": f"Authorization: Basic {encoded}", "http.followRedirects": "false"}


def _explained(url: str, error: ProcessFailed) -> FleetError:
    host = urllib.parse.urlsplit(url).hostname or "that host"
    last = (error.stderr.strip().splitlines() or ["no message"])[-1]
    if _FORBIDDEN.search(error.stderr):
        return FleetError(
            f"the server wants credentials ({last})",
            where=shown(url),
            remedy=f"Set comfy_credentials['{host}'] to a token that may read it, or check the URL",
        )
    if _NOT_FOUND.search(error.stderr):
        return FleetError(
            f"there is no such repository ({last})", where=shown(url), remedy="Check the URL and comfy_git_mirrors"
        )
    if _PASSING.search(error.stderr):
        return FleetError(
            f"can not be reached ({last})",
            where=shown(url),
            remedy="Check the network, the proxy and comfy_git_mirrors, then run again",
        )
    return FleetError(str(error), where=shown(url))
