# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""comfy_lock: make, check or load the lock of a version, on the control node."""

from __future__ import annotations

import dataclasses
import os
import pathlib
import typing as t
import urllib.parse

from ansible.utils.display import Display

from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.comfyops.fleet.plugins.module_utils.host.key_pair import as_texts
from ansible_collections.comfyops.fleet.plugins.module_utils.lock.digest import build_name
from ansible_collections.comfyops.fleet.plugins.module_utils.lock.document import canonical, read_lock
from ansible_collections.comfyops.fleet.plugins.plugin_utils.control_node import ControlNodeAction
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve import lock_file
from ansible_collections.comfyops.fleet.plugins.plugin_utils.spec.directory import cache_directory, versions_directory
from ansible_collections.comfyops.fleet.plugins.plugin_utils.spec.load import load
from ansible_collections.comfyops.fleet.plugins.plugin_utils.spec.spec import Spec

if t.TYPE_CHECKING:
    from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.builds_host import BuilderHost
    from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.builds_store import Store
    from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.lock import Resolution
    from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.models import ModelResolution

    Result = dict[str, t.Any]

ARGUMENTS: dict[str, t.Any] = {
    "version": {"type": "str", "required": True},
    "versions_dir": {"type": "path"},
    "bundle": {"type": "path"},
    "state": {"type": "str", "default": "present", "choices": ["present", "checked", "validated"]},
    "stale": {"type": "str", "default": "renew", "choices": ["renew", "refuse"]},
    "upgrade": {"type": "list", "elements": "str", "default": []},
    "verify": {"type": "str", "default": "none", "choices": ["none", "all"]},
    "python": {"type": "str"},
    "python_mirror": {"type": "str"},
    "builder": {"type": "str"},
    "uv_source": {"type": "path"},
    "git_mirrors": {"type": "dict", "default": {}},
    "python_indexes": {"type": "dict", "default": {}},
    "hf_endpoint": {"type": "str"},
    "civitai_endpoint": {"type": "str"},
    "model_mirrors": {"type": "list", "elements": "str", "default": []},
    "credentials": {"type": "dict", "default": {}, "no_log": True},
    "allow_http": {"type": "bool"},
    "models": {"type": "str"},
    "unhashed": {"type": "str", "choices": ["refuse", "first-use"]},
    # Of a host that reads models; paths there, so nothing of them is expanded here.
    "root": {"type": "str", "default": "/opt/comfy"},
    "shared_root": {"type": "str"},
    "cache_dir": {"type": "str"},
    "lock_timeout": {"type": "float", "default": 120.0},
}
_DOWNLOAD = "download"
_OF_A_HOST = ("root", "shared_root", "cache_dir", "lock_timeout", "hf_endpoint", "civitai_endpoint")
# The site's own host, the option that may name another, and the variable with the token for it.
_TOKENS = (
    ("huggingface.co", "hf_endpoint", "HF_TOKEN"),
    ("civitai.com", "civitai_endpoint", "CIVITAI_TOKEN"),
)
_ASK_PYTHON = "python3 -I -c 'import sys; print(\"%d.%d\" % sys.version_info[:2])'"
display = Display()


class ActionModule(ControlNodeAction):
    """Runs once in a play, where the hosts are; asks a host at most for its Python's version."""

    argument_spec = ARGUMENTS

    def outcome(self, options: Result, task_vars: Result) -> Result:
        """See the module's documentation."""
        if options["bundle"]:
            return _bundled(options)
        directory = versions_directory(options["versions_dir"])
        spec = load(directory, options["version"])
        warnings = [str(finding) for finding in spec.warnings]
        if options["state"] == "validated":
            return {"changed": False, "version_id": spec.version_id, "path": str(spec.path), "warnings": warnings}
        path = lock_file.lock_path(directory, spec.version_id)
        before = lock_file.read(path)
        after, actions = self._lock(options, task_vars, spec, path, before)
        if actions and not self._task.check_mode:
            lock_file.write(path, after)
        outcome = {
            "changed": bool(actions),
            "actions": actions,
            "version_id": spec.version_id,
            "path": str(path),
            "lock": after,
            "builds": _builds(after),
            "warnings": warnings + self._unpinned_python(after, actions),
        }
        if actions and self._task.diff:
            outcome["diff"] = {
                "before": canonical(before) if before else "",
                "after": canonical(after),
                "before_header": str(path),
                "after_header": str(path),
            }
        return outcome

    def _lock(
        self, options: Result, task_vars: Result, spec: Spec, path: pathlib.Path, before: Result | None
    ) -> tuple[Result, list[Result]]:
        """The lock that fits, and what was done to get it."""
        stale = lock_file.differences(before, spec.normalized) if before else []
        if options["state"] == "checked" or (options["stale"] == "refuse" and before):
            _refuse(path, before, stale)
        asked = options["upgrade"] or options["verify"] == "all"
        if before and not stale and not asked and not self._lost(options, before):
            return before, []
        # What makes locks is imported when one is made: most runs only load one.
        from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.lock import make_lock

        after = make_lock(spec.normalized, before, self._resolution(options, task_vars, spec.normalized["policy"]))
        if after == before:
            return after, []
        for line in lock_file.changes(before, after) if before else ():
            display.display(line)
        action = {"part": "lock", "action": "change" if before else "create", "name": path.name}
        return after, [{**action, "before": _summary(before), "after": _summary(after)}]

    def _lost(self, options: Result, before: Result) -> bool:
        """Whether the lock is to be renewed and names wheels that were built and are gone, which are made again."""
        if options["stale"] == "refuse":
            return False
        packages = [package for target in before["targets"].values() for package in target["packages"]]
        return any(package["built_from"] for package in packages) and bool(self._store(options).lost(packages))

    def _resolution(self, options: Result, task_vars: Result, policy: Result) -> Resolution:
        from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.builds import Site
        from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.builds_places import ControlNode
        from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.git import Access
        from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.lock import Resolution

        credentials = {**_environment_tokens(options), **as_texts(options["credentials"])}
        cache = cache_directory()
        access = Access(cache / "git", options["git_mirrors"], credentials)
        return Resolution(
            git=access,
            models=self._models(options, task_vars, policy, credentials),
            python_indexes=options["python_indexes"],
            cache=cache,
            python=_python_version(options["python"]),
            host_python=lambda: self._host_python(task_vars),
            upgrade=frozenset(options["upgrade"]),
            report=display.display,
            builds=Site(access, self._store(options), (ControlNode(), *self._builder_host(options, task_vars)), cache),
            python_mirror=options["python_mirror"],
            every_byte=options["verify"] == "all",
        )

    def _models(
        self, options: Result, task_vars: Result, policy: Result, credentials: dict[str, str]
    ) -> ModelResolution:
        """How models are resolved, and who reads those of which nobody says the sha256."""
        from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve import model_reading, model_reading_host
        from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.cloud_credentials import CloudCredentials
        from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.model_known import Known
        from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.models import ModelResolution

        known, cloud = Known(cache_directory() / "model-hashes.json"), CloudCredentials(os.environ)
        models = ModelResolution(
            hf_endpoint=options["hf_endpoint"],
            civitai_endpoint=options["civitai_endpoint"],
            credentials=credentials,
            allow_http=policy["allow_http"] if options["allow_http"] is None else options["allow_http"],
            model_mirrors=tuple(options["model_mirrors"]),
            cloud=cloud,
        )
        if options["models"] == _DOWNLOAD:
            reader = model_reading.ControlNode(models.ways, known, display.display)
            return dataclasses.replace(models, read=reader)
        if not options["models"] and (options["unhashed"] or policy["unhashed"]) == "refuse":
            return models
        host = model_reading_host.Host(
            name=self._reading_host(options["models"], task_vars),
            action=self,
            task_vars=task_vars,
            options={**_given(options, _OF_A_HOST), "allow_http": models.allow_http},
            credentials=credentials,
            cloud=cloud,
            known=known,
            report=display.display,
        )
        return dataclasses.replace(models, read=host)

    def _reading_host(self, name: str | None, task_vars: Result) -> str:
        """The host that the task runs for: the first one of the play, where none is named."""
        here = str(self._task.delegate_to or task_vars.get("inventory_hostname"))
        if name and here != name:
            raise FleetError(
                f"the task runs for {here}, and {name} is to read models",
                where="models",
                remedy=f"Give the task delegate_to: {name}; where comfy_builder names another host, name one for both",
            )
        return here

    def _store(self, options: Result) -> Store:
        """Where built wheels are kept: beside the locks; in check mode, what is built is no part of them yet."""
        from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.builds_store import Store

        kept = versions_directory(options["versions_dir"]) / "wheels"
        return Store(cache_directory() / "built", (kept,)) if self._task.check_mode else Store(kept)

    def _builder_host(self, options: Result, task_vars: Result) -> list[BuilderHost]:
        from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.builds_host import BuilderHost
        from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.uv import find_uv

        name = options["builder"]
        if not name:
            return []
        here = self._task.delegate_to or task_vars.get("inventory_hostname")
        if here != name:
            raise FleetError(
                f"the task runs for {here}, and {name} is to build",
                where="builder",
                remedy=f"Give the task delegate_to: {name}",
            )
        return [BuilderHost(name, self, task_vars, options["uv_source"] or find_uv())]

    def _host_python(self, task_vars: Result) -> str:
        answered = self._low_level_execute_command(_ASK_PYTHON)
        version = str(answered["stdout"]).strip()
        if answered["rc"] != 0 or not version:
            raise FleetError(
                f"{task_vars.get('inventory_hostname')} did not say which Python it has "
                f"({str(answered['stderr']).strip() or answered['rc']})",
                remedy="Set python.version (schema 3) or env.COMFY_PYTHON in the spec, or comfy_python",
            )
        return version

    def _unpinned_python(self, lock: Result, actions: list[Result]) -> list[str]:
        if not actions:
            return []
        spec = lock["spec"]
        loose = [
            f"target {name} is locked for Python {lock['targets'][name]['python']}, which the spec does not say; "
            f"pin it with env.COMFY_PYTHON or python.version"
            for name, target in spec["python"]["targets"].items()
            if not target["version"] and not spec["python"]["version"]
        ]
        return sorted(loose)


def _bundled(options: Result) -> Result:
    """The lock of a bundle, which is read through. Raises FleetError for one that is incomplete or was altered."""
    from ansible_collections.comfyops.fleet.plugins.plugin_utils.bundle import read

    bundle = read.open_bundle(pathlib.Path(options["bundle"]))
    read.refuse_another(bundle, options["version"], _path(options["versions_dir"]))
    read.verify(bundle, cache_directory() / "bundles", options["verify"] == "all", display.display)
    return {
        "changed": False,
        "actions": [],
        "version_id": bundle.manifest.version,
        "path": str(bundle.path),
        "lock": bundle.lock,
        "builds": _builds(bundle.lock),
        "warnings": [],
    }


def _path(given: str | None) -> pathlib.Path | None:
    return pathlib.Path(given) if given else None


def _given(options: Result, names: tuple[str, ...]) -> Result:
    return {name: options[name] for name in names if options[name] is not None}


def _refuse(path: pathlib.Path, before: Result | None, stale: list[str]) -> None:
    if before is None:
        raise FleetError("there is no lock", where=str(path), remedy="Make it: lock.yml with the same version")
    if stale:
        listed = "".join(f"\n  {difference}" for difference in stale)
        raise FleetError(
            f"the lock is stale, the spec has changed since:{listed}\nRun lock.yml with the same version",
            where=str(path),
        )


def _summary(lock: Result | None) -> str | None:
    if lock is None:
        return None
    packages = sum(len(target["packages"]) for target in lock["targets"].values())
    return (
        f"core {lock['core']['commit'][:12]}, {len(lock['nodes'])} nodes, {packages} packages, "
        f"{len(lock['models'])} models"
    )


def _builds(document: Result) -> dict[str, str]:
    lock = read_lock(document)
    return {name: build_name(lock, target) for name, target in lock.targets.items()}


def _environment_tokens(options: Result) -> dict[str, str]:
    found = {}
    for host, option, variable in _TOKENS:
        asked = urllib.parse.urlsplit(options[option]).netloc if options[option] else host
        if os.environ.get(variable):
            found[asked] = os.environ[variable]
    return found


def _python_version(given: str | None) -> str | None:
    """``3.12`` of ``python3.12``, ``/usr/bin/python3.12`` or ``3.12``; None when it does not say."""
    name = pathlib.PurePath(given).name.removeprefix("python") if given else ""
    return name if name.count(".") else None
