# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files that appeared, as entries of ``models`` to paste into the spec. Pure."""

from __future__ import annotations

import dataclasses
import pathlib
import typing as t

from ansible_collections.comfyops.fleet.plugins.module_utils.host.context import Context
from ansible_collections.comfyops.fleet.plugins.module_utils.host.layout import Layout
from ansible_collections.comfyops.fleet.plugins.module_utils.smoke.appeared import Appeared, HubFile
from ansible_collections.comfyops.fleet.plugins.module_utils.smoke.origins import ORDER, Origin

Entry = dict[str, t.Any]


@dataclasses.dataclass(frozen=True)
class Finding:
    """A file and what is known of it. entry: for the spec's models; without a source where the URL is not known, and
    None where no spec can name its place. hint: what a person should know before using it.
    """

    item: Appeared
    origin: Origin | None
    entry: Entry | None
    hint: str | None

    @property
    def is_complete(self) -> bool:
        """Whether the entry can be pasted as it is."""
        return self.entry is not None and "source" in self.entry

    def result(self) -> dict[str, t.Any]:
        """As the module returns it."""
        return {
            "path": str(self.item.path),
            "size": self.item.size,
            "sha256": self.item.sha256,
            "url": self.origin.url if self.origin else None,
            "url_known_by": self.origin.known_by if self.origin else None,
            "model": self.entry,
            "hint": self.hint,
        }


def finding(context: Context, item: Appeared, origin: Origin | None) -> Finding:
    """What the spec could say of a file that appeared."""
    layout = context.layout
    if item.hub is not None and item.path.is_relative_to(layout.hf_home / "hub"):
        return _hub_finding(item, item.hub)
    target = _target(context, item.path)
    if target is None:
        return Finding(item, origin, None, "It is outside of what a version owns, so no spec can place it there")
    source = _source(item.hub) if item.hub else origin.url if origin else None
    facts = {"target_path": target, **_facts(item)}
    if source is None:
        what = "What it was fetched from is not known: add its URL as source"
        return Finding(item, origin, facts, what)
    return Finding(item, origin, {"source": source, **facts}, _hint(item, origin, layout, context.home))


def _hub_finding(item: Appeared, hub: HubFile) -> Finding:
    if "/" not in hub.repo:
        hint = f"{hub.repo} has no organisation in its name, as old repositories of the Hub: a source needs one"
        return Finding(item, None, None, hint)
    return Finding(item, None, {"source": _source(hub), "hf_cache": True, **_facts(item)}, None)


def _source(hub: HubFile) -> str:
    """By the branch that it was asked by, since it will be asked for so again; the checksum keeps the bytes."""
    kind = "datasets/" if hub.kind == "datasets" else ""
    return f"hf://{kind}{hub.repo}@{hub.revision or hub.commit}/{hub.path}"


def _facts(item: Appeared) -> Entry:
    return {"checksum": f"sha256:{item.sha256}", "size": item.size}


def _target(context: Context, path: pathlib.Path) -> str | None:
    """The path as target_path has it; None where there is no such notation."""
    layout, home = context.layout, context.home
    for root, notation in (
        (layout.models, "$MODELS_DIR"),
        (home / "models", "$MODELS_DIR"),
        (layout.data_cache, "$XDG_CACHE_HOME"),
        (home / "custom_nodes", "$COMFY_HOME/custom_nodes"),
        (layout.data / "nodes", "$COMFY_HOME/custom_nodes"),
    ):
        if path.is_relative_to(root):
            return f"{notation}/{path.relative_to(root)}"
    return None


def _hint(item: Appeared, origin: Origin | None, layout: Layout, home: pathlib.Path) -> str | None:
    hints = []
    if origin is not None and origin.secret:
        hints.append("What may be a secret was left out of the URL: see whether it answers without, or with a token")
    if origin is not None and origin.known_by == ORDER and item.hub is None:
        hints.append("The URL is what the same code asked for just before; the checksum tells when it is another")
    if item.path.is_relative_to(home / "models") and not item.path.is_relative_to(layout.models):
        hints.append("The node wrote into the build's own models directory; from MODELS_DIR ComfyUI's lists have it")
    return ". ".join(hints) or None
