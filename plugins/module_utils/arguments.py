# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options that the modules share, and the context that they make."""

from __future__ import annotations

import collections.abc as c
import pathlib
import re
import typing as t

from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.comfyops.fleet.plugins.module_utils.host.context import (
    MODEL_CONNECTIONS,
    PICKLE_REFUSED,
    Context,
    Peer,
    Settings,
)
from ansible_collections.comfyops.fleet.plugins.module_utils.host.facts import gather
from ansible_collections.comfyops.fleet.plugins.module_utils.host.key_pair import as_texts
from ansible_collections.comfyops.fleet.plugins.module_utils.host.layout import Layout
from ansible_collections.comfyops.fleet.plugins.module_utils.lock.document import read_lock
from ansible_collections.comfyops.fleet.plugins.module_utils.lock.matching import choose_target

_RATE = re.compile(r"(\d+(?:\.\d+)?)\s*([kKmMgG])?[bB]?(?:/s)?")

ROOT: dict[str, t.Any] = {
    "root": {"type": "path", "required": True},
    "shared_root": {"type": "path"},
    "models_dir": {"type": "path"},
    "cache_dir": {"type": "path"},
    "lock_timeout": {"type": "float", "default": 120.0},
}
LOCK: dict[str, t.Any] = {
    "lock": {"type": "dict", "required": True},
    "target": {"type": "str"},
    **ROOT,
}
# Not given: what the spec's options say.
OFFLINE: dict[str, t.Any] = {"offline": {"type": "bool"}}
SKIP_MODELS: dict[str, t.Any] = {"skip_models": {"type": "bool"}}
MODEL_SEARCH: dict[str, t.Any] = {"model_search_paths": {"type": "list", "elements": "path", "default": []}}
VERIFY: dict[str, t.Any] = {"verify": {"type": "str", "default": "stat", "choices": ["stat", "deep"]}}
CREDENTIALS: dict[str, t.Any] = {"credentials": {"type": "dict", "default": {}, "no_log": True}}
GIT: dict[str, t.Any] = {"git_mirrors": {"type": "dict", "default": {}}, **CREDENTIALS}
PYTHON: dict[str, t.Any] = {
    "python": {"type": "str"},
    "python_indexes": {"type": "dict", "default": {}},
    "wheels_dir": {"type": "path"},
    "wheels_coming": {"type": "list", "elements": "str", "default": []},
    "space": {"type": "str", "default": "beside", "choices": ["beside", "replace"]},
}
UV: dict[str, t.Any] = {"uv": {"type": "path"}}
MIRRORS: dict[str, t.Any] = {
    "model_mirrors": {"type": "list", "elements": "str", "default": []},
    # Not given: what the spec's policy says.
    "allow_http": {"type": "bool"},
}
MODELS: dict[str, t.Any] = {
    **SKIP_MODELS,
    **MODEL_SEARCH,
    **CREDENTIALS,
    **MIRRORS,
    "hf_endpoint": {"type": "str"},
    "civitai_endpoint": {"type": "str"},
}
PEERS: dict[str, t.Any] = {
    "peers": {"type": "dict", "default": {}},
    "seed": {"type": "str"},
    "peers_token": {"type": "str", "no_log": True},
}
DOWNLOADS: dict[str, t.Any] = {
    "model_connections": {"type": "int", "default": MODEL_CONNECTIONS},
    "model_rate_limit": {"type": "str"},
    "pickle": {"type": "str", "choices": ["allow", PICKLE_REFUSED]},
}


def layout_from(params: dict[str, t.Any]) -> Layout:
    """The host's directory tree."""
    return Layout(
        root=pathlib.Path(params["root"]),
        shared_root=_path(params.get("shared_root")),
        models_dir=_path(params.get("models_dir")),
        cache_dir=_path(params.get("cache_dir")),
    )


def context_from(params: dict[str, t.Any]) -> Context:
    """The context that a module's options say; options that it does not have keep their defaults.

    Raises FleetError for a lock that is none, and for a host that fits no target of it or several.
    """
    lock = read_lock(params["lock"])
    return Context(
        lock=lock,
        target=choose_target(lock.targets, gather(), params.get("target")),
        layout=layout_from(params),
        settings=settings_from(params, lock.spec),
    )


def settings_from(params: dict[str, t.Any], spec: c.Mapping[str, t.Any]) -> Settings:
    """What the options say, and the spec where they say nothing. Raises FleetError."""
    said = {**spec["options"], **spec["policy"]}

    def option(name: str) -> bool:
        return bool(said[name] if params.get(name) is None else params[name])

    return Settings(
        offline=option("offline"),
        deep=params.get("verify") == "deep",
        skip_models=option("skip_models"),
        replace_environments=params.get("space") == "replace",
        git_mirrors=params.get("git_mirrors") or {},
        python=params.get("python"),
        python_indexes=params.get("python_indexes") or {},
        wheels_dir=_path(params.get("wheels_dir")),
        wheels_coming=frozenset(params.get("wheels_coming") or ()),
        uv=_path(params.get("uv")),
        model_mirrors=tuple(params.get("model_mirrors") or ()),
        model_search_paths=tuple(map(pathlib.Path, params.get("model_search_paths") or ())),
        hf_endpoint=params.get("hf_endpoint"),
        civitai_endpoint=params.get("civitai_endpoint"),
        credentials=as_texts(params.get("credentials") or {}),
        allow_http=option("allow_http"),
        model_connections=max(1, params.get("model_connections") or MODEL_CONNECTIONS),
        pickle=params.get("pickle") or said.get("pickle") or "allow",
        model_rate_limit=rate_from(params, "model_rate_limit"),
        peers=tuple(Peer(name, url) for name, url in (params.get("peers") or {}).items()),
        peers_token=params.get("peers_token") or "",
        seed=params.get("seed"),
    )


def rate_from(params: dict[str, t.Any], option: str) -> int | None:
    """Bytes per second of a text such as ``50 MB`` (decimal units) or ``20000000``. Raises FleetError."""
    text = params.get(option)
    if not text:
        return None
    found = _RATE.fullmatch(text.strip())
    if found is None or not float(found[1]):
        raise FleetError(
            f"{text!r} is no number of bytes per second",
            where=option,
            remedy="Write it like 50MB, 1.5 GB or 800kB; leave it out for no limit",
        )
    return max(1, int(float(found[1]) * 1000 ** ("kmg".index(found[2].lower()) + 1 if found[2] else 0)))


def _path(value: str | None) -> pathlib.Path | None:
    return pathlib.Path(value) if value else None
