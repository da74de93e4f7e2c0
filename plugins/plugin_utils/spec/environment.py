# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The environment variables of a spec."""

from __future__ import annotations

import re
import typing as t

from ansible_collections.comfyops.fleet.plugins.plugin_utils.spec import credentials
from ansible_collections.comfyops.fleet.plugins.plugin_utils.spec.finding import shown
from ansible_collections.comfyops.fleet.plugins.plugin_utils.spec.paths import CACHE_HOME
from ansible_collections.comfyops.fleet.plugins.plugin_utils.spec.values import as_object

if t.TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ansible_collections.comfyops.fleet.plugins.plugin_utils.spec.finding import Findings, Location

PYTHON_VARIABLE: t.Final = "COMFY_PYTHON"

_OWNED: t.Final = {
    "COMFY_HOME": "the build's directory is set for it",
    "MODELS_DIR": "comfy_models_dir sets it",
    "COMFY_CACHE_ROOT": "comfy_cache_dir sets it",
    "COMFY_OFFLINE": "options.offline sets it",
    "VIRTUAL_ENV": "the build's environment is set for it",
    "PATH": "the build's environment comes first in it",
    "HOME": "it is the service user's",
    "PYTHONHOME": "it would break the build's environment",
    "PYTHONPATH": "it would bring packages that no lock names",
    "PYTHONSTARTUP": "it runs code that no lock names",
    "PYTHONUSERBASE": "it would bring packages that no lock names",
    "LD_PRELOAD": "it loads code that no lock names into every process",
    "LD_AUDIT": "it loads code that no lock names into every process",
    "BASH_ENV": "it runs code that no lock names",
    "ENV": "it runs code that no lock names",
}
_OWNED_BEGINNINGS: t.Final = {
    "ANSIBLE_": "Ansible reads it",
    "GIT_": "git reads it",
    "PIP_": "pip reads it, and nothing is installed from here",
    "UV_": "uv reads it, and nothing is installed from here",
}
# Each of them moves what huggingface_hub and transformers look into.
_HUB_CACHES: t.Final = ("HF_HOME", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "TRANSFORMERS_CACHE")
_PYTHON = re.compile(r"(?:[^\s]*/)?(?:python)?(?P<version>3\.[0-9]{1,2}(?:\.[0-9]{1,2})?)", re.ASCII)


def read_environment(value: object, at: Location, findings: Findings) -> dict[str, str]:
    """Give the variables of env, by name."""
    variables = {name: text for name, text in sorted(as_object(value).items()) if isinstance(text, str)}
    for name, text in variables.items():
        place = (*at, name)
        owner = _owner(name)
        if owner:
            findings.error(place, f"{shown(name)} is not for a spec to set: {owner}", "Take it out")
        elif credentials.is_secret_setting(name, text) or credentials.holds_token(text):
            findings.error(place, f"{shown(name)} holds a secret", credentials.REMEDY)
    return variables


def check_caches(
    variables: Mapping[str, str], models: Sequence[Mapping[str, t.Any]], at: Location, findings: Findings
) -> None:
    """Report variables that lead libraries elsewhere than the models are that were placed for them."""
    uses = {
        "models of hf_cache are": (_HUB_CACHES, any(model["hf_cache"] for model in models)),
        f"models at {CACHE_HOME} are": (
            (CACHE_HOME.removeprefix("$"),),
            any(path.startswith(f"{CACHE_HOME}/") for model in models for path in model["paths"]),
        ),
    }
    for what, (names, used) in uses.items():
        for name in names if used else ():
            if name in variables:
                remedy = "Take it out: every run has it in data/cache"
                findings.error((*at, name), f"{shown(name)} leads elsewhere than where {what}", remedy)


def named_python(variables: dict[str, str], at: Location, findings: Findings) -> str | None:
    """Give the Python version that COMFY_PYTHON names: python3.11 is 3.11."""
    text = variables.get(PYTHON_VARIABLE)
    if text is None:
        return None
    match = _PYTHON.fullmatch(text)
    if not match:
        findings.warning(
            (*at, PYTHON_VARIABLE),
            f"{shown(text)} tells no version of Python",
            "Write python3.12, or set python.version (schema_version 3)",
        )
        return None
    return match["version"]


def _owner(name: str) -> str | None:
    if name.upper() in _OWNED:
        return _OWNED[name.upper()]
    return next((owner for start, owner in _OWNED_BEGINNINGS.items() if name.upper().startswith(start)), None)
