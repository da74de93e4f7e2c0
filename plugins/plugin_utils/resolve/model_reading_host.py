# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``comfy_lock_models=<host>``: a host reads files of which nobody says the sha256 into its store, and says it."""

from __future__ import annotations

import collections.abc as c
import dataclasses
import typing as t
import urllib.parse

from ansible_collections.comfyops.fleet.plugins.module_utils.errors import Failures, FleetError
from ansible_collections.comfyops.fleet.plugins.module_utils.host.url import token_for
from ansible_collections.comfyops.fleet.plugins.module_utils.models.first_read import Content
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.cloud_credentials import CloudCredentials
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.model_known import Known
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.model_unhashed import Unhashed

MODULE: t.Final = "comfyops.fleet.comfy_model_hash"


@dataclasses.dataclass(frozen=True)
class Host:
    """The host that an action is connected to. options: of the module, but for models and credentials.

    action: an ActionBase, most of whose methods are not annotated.
    """

    name: str
    action: t.Any
    task_vars: dict[str, t.Any] = dataclasses.field(repr=False)
    options: c.Mapping[str, t.Any]
    credentials: c.Mapping[str, str] = dataclasses.field(repr=False)
    cloud: CloudCredentials = dataclasses.field(repr=False)
    known: Known
    report: c.Callable[[str], None]

    def __call__(self, files: c.Sequence[Unhashed]) -> list[Content]:
        """The contents of files, in their order. Raises FleetError, or Failures with the faults of all."""
        found = {index: content for index, file in enumerate(files) if (content := self.known.get(file)) is not None}
        missing = [index for index in range(len(files)) if index not in found]
        if missing:
            self.report(f"{self.name}: reading {', '.join(files[index].name for index in missing)} for their sha256")
            found |= dict(zip(missing, self._read([files[index] for index in missing]), strict=True))
        return [found[index] for index in range(len(files))]

    def _read(self, files: c.Sequence[Unhashed]) -> list[Content]:
        if self.action._task.check_mode:
            raise FleetError(
                f"{self.name} is to read {len(files)} models, which it does not in check mode",
                where="comfy_lock_models",
                remedy="Run lock.yml without --check",
            )
        models = [
            {"name": file.name, "file_name": file.file_name, "url": file.url, "size": file.size} for file in files
        ]
        options = {**self.options, "models": models, "credentials": self._credentials(files)}
        done = self.action._execute_module(module_name=MODULE, module_args=options, task_vars=self.task_vars)
        contents = [content and Content(content["sha256"], content["size"]) for content in done.get("contents") or ()]
        for file, content in zip(files, contents, strict=False):
            if content:
                self.known.add(file, content)
        if done.get("failed") or done.get("unreachable"):
            raise self._fault(done)
        return [content for content in contents if content]

    def _credentials(self, files: c.Sequence[Unhashed]) -> dict[str, str]:
        found = dict(self.credentials)
        for file in files:
            credential = None if token_for(file.url, found) else self.cloud.credential(file.url)
            if credential is not None:
                found[urllib.parse.urlsplit(file.url).netloc] = credential
        return found

    def _fault(self, done: c.Mapping[str, t.Any]) -> FleetError:
        listed = [
            FleetError(fault["what"], where=f"{self.name}: {fault['where']}", remedy=fault["remedy"])
            for fault in done.get("failures") or ()
        ]
        if listed:
            return listed[0] if len(listed) == 1 else Failures(listed)
        text = str(done.get("module_stderr") or done.get("msg") or "it can not be reached").strip()
        return FleetError(text, where=self.name, remedy="Look at its connection")
