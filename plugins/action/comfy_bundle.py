# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""comfy_bundle: write all that a lock names into one directory or tar, on the control node."""

from __future__ import annotations

import collections.abc as c
import contextlib
import pathlib
import typing as t

from ansible.utils.display import Display

from ansible_collections.comfyops.fleet.plugins.module_utils import arguments
from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.comfyops.fleet.plugins.module_utils.host.context import Settings
from ansible_collections.comfyops.fleet.plugins.module_utils.host.http import Access
from ansible_collections.comfyops.fleet.plugins.module_utils.host.space import human
from ansible_collections.comfyops.fleet.plugins.module_utils.lock.document import Lock, Target, read_lock
from ansible_collections.comfyops.fleet.plugins.plugin_utils.bundle.places import place_of
from ansible_collections.comfyops.fleet.plugins.plugin_utils.bundle.sources import Origins
from ansible_collections.comfyops.fleet.plugins.plugin_utils.bundle.write import (
    Outlook,
    Wanted,
    is_whole,
    look,
    summary,
    write,
)
from ansible_collections.comfyops.fleet.plugins.plugin_utils.control_node import ControlNodeAction
from ansible_collections.comfyops.fleet.plugins.plugin_utils.formats.places import Site
from ansible_collections.comfyops.fleet.plugins.plugin_utils.hosts.transfer import Program, read_program
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve import git
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.uv import find_uv
from ansible_collections.comfyops.fleet.plugins.plugin_utils.spec.directory import cache_directory, versions_directory

if t.TYPE_CHECKING:
    Result = dict[str, t.Any]

ARGUMENTS: dict[str, t.Any] = {
    "lock": {"type": "dict", "required": True},
    "targets": {"type": "list", "elements": "str", "default": []},
    "path": {"type": "path"},
    "form": {"type": "str", "default": "directory", "choices": ["directory", "tar"]},
    "versions_dir": {"type": "path"},
    "wheels_dir": {"type": "path"},
    "uv_source": {"type": "path"},
    "python_indexes": {"type": "dict", "default": {}},
    "git_mirrors": {"type": "dict", "default": {}},
    **arguments.MODELS,
    **arguments.DOWNLOADS,
}
display = Display()


class ActionModule(ControlNodeAction):
    """Runs once in a play, and asks no host."""

    argument_spec = ARGUMENTS
    _supports_diff = False

    def outcome(self, options: Result, task_vars: Result) -> Result:
        """See the module's documentation."""
        lock = read_lock(options["lock"])
        settings = arguments.settings_from(options, lock.spec)
        uv = read_program(options["uv_source"] or find_uv())
        targets = _targets(lock, options["targets"])
        origins = _origins(options, settings, uv)
        wanted = Wanted(lock, targets, not settings.skip_models, uv)
        suffix = ".tar" if options["form"] == "tar" else ""
        path = pathlib.Path(options["path"] or pathlib.Path("bundles", f"{lock.version_id}{suffix}")).absolute()
        place = place_of(path, options["form"])
        with _writing(path):
            outlook = look(place, wanted, origins.versions, display.display)
        found: Result = {"changed": not is_whole(outlook, wanted), "path": str(path), "notes": _notes(targets, uv)}
        if found["changed"] and not self._task.check_mode:
            with _writing(path):
                manifest, notes = write(place, wanted, origins, outlook, display.display)
            found["notes"] += notes
            display.display(
                "\n".join([f"{path}: {summary(manifest)}", *(f"  note: {note}" for note in found["notes"])])
            )
        return {**found, "actions": _actions(path, outlook) if found["changed"] else []}


@contextlib.contextmanager
def _writing(path: pathlib.Path) -> c.Iterator[None]:
    try:
        yield
    except OSError as error:
        raise FleetError(
            f"can not be written ({error.strerror})",
            where=str(error.filename or path),
            remedy="Make room, give yourself the right to write there, or set comfy_bundle_path, and run again",
        ) from error


def _targets(lock: Lock, names: list[str]) -> tuple[Target, ...]:
    unknown = [name for name in names if name not in lock.targets]
    if unknown:
        raise FleetError(
            f"the lock has no target {', '.join(unknown)}",
            where=lock.version_id,
            remedy=f"Name some of {', '.join(lock.targets)}, or none for all of them",
        )
    return tuple(target for name, target in lock.targets.items() if not names or name in names)


def _origins(options: Result, settings: Settings, uv: Program) -> Origins:
    cache = cache_directory()
    site = Site(
        python_indexes=options["python_indexes"],
        access=Access(settings.credentials, settings.allow_http),
        repositories=git.Access(cache / "git", options["git_mirrors"], settings.credentials),
        cache=cache,
    )
    wheels = pathlib.Path(options["wheels_dir"]) if options["wheels_dir"] else None
    return Origins(versions_directory(options["versions_dir"]), wheels, uv, site, settings)


def _notes(targets: tuple[Target, ...], uv: Program) -> list[str]:
    others = [target.name for target in targets if not target.platform.startswith(uv.machine)]
    return [
        f"uv in the bundle is for {uv.machine}; hosts of {', '.join(others)} need comfy_uv when they are realized"
        for _once in others[:1]
    ]


def _actions(path: pathlib.Path, outlook: Outlook) -> list[Result]:
    before = "incomplete" if outlook.right else None
    after = f"{len(outlook.missing)} file(s) fetched, {human(outlook.size)}; {len(outlook.right)} were there"
    return [{"part": "bundle", "action": "write", "name": str(path), "before": before, "after": after}]
