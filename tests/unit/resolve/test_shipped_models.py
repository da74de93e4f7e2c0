# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The models of the version that is shipped for the real Hub, against stand-ins at their real paths."""

from __future__ import annotations

import dataclasses
import json
import pathlib
import re
import typing as t
import urllib.parse

from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.models import ModelResolution, resolve_models
from ansible_collections.comfyops.fleet.plugins.plugin_utils.spec.load import load
from tests.support.forge import Forge
from tests.support.forge.hub import HubRepository

VERSIONS = pathlib.Path(__file__).resolve().parents[3] / "versions"
# A real model version, in the spellings of the field; the shipped specs have none of this site.
CIVITAI = 128713
ADDRESSES = (
    f"civitai://models/{CIVITAI}",
    f"civitai://api/download/models/{CIVITAI}?type=Model&format=SafeTensor",
    f"https://civitai.com/models/12871/dreamshaper?modelVersionId={CIVITAI}",
    f"urn:air:sd1:checkpoint:civitai:12871@{CIVITAI}",
)


def staged(forge: Forge, models: t.Sequence[dict[str, t.Any]]) -> dict[str, str]:
    """The Hub with these files at their paths; gives their sha256 by source."""
    digests = {}
    repositories: dict[str, HubRepository] = {}
    for model in models:
        found = re.fullmatch(r"hf://(?P<repo>[^@]+)@main/(?P<path>.+)", model["source"])
        assert found, model["source"]
        repository = repositories.setdefault(found["repo"], forge.hub(found["repo"]))
        file = repository.file(found["path"], size=2048)
        if model["sha256"]:
            # The Hub says the digest that the spec has; nobody reads the bytes while locking.
            content = dataclasses.replace(file.content, sha256=model["sha256"])
            repository._staged[found["path"]] = dataclasses.replace(file, content=content)
        digests[model["source"]] = model["sha256"] or file.sha256
    for repository in repositories.values():
        repository.commit()
    return digests


def test_wan22_fast(forge: Forge) -> None:
    spec = load(VERSIONS, "wan22-fast")
    assert spec.warnings == []
    models = spec.normalized["models"]
    assert len(models) == 17
    digests = staged(forge, models)
    settings = ModelResolution(forge.hub_url, forge.civitai_url, {}, False, ())
    entries = resolve_models(models, kept={}, upgrade=(), settings=settings, report=lambda _line: None)
    assert {entry["source"]: entry["sha256"] for entry in entries} == digests
    for entry, model in zip(entries, models, strict=True):
        repo, _at, path = model["source"].removeprefix("hf://").partition("@main/")
        commit = forge.hub(repo).resolve("main")
        assert entry["url"] == f"https://huggingface.co/{repo}/resolve/{commit}/{urllib.parse.quote(path)}"
        assert entry["paths"] == model["paths"]
    assert {request.method for request in forge.requests} == {"HEAD"}
    wanted = {"$MODELS_DIR", "$COMFY_HOME"}
    assert {path.partition("/")[0] for entry in entries for path in entry["paths"]} == wanted


def test_civitai_in_the_spellings_of_the_field(forge: Forge, tmp_path: pathlib.Path) -> None:
    file = forge.civitai(CIVITAI).file("dreamshaper_8.safetensors")
    models = [
        {"source": source, "name": f"{number}.safetensors", "target_subdir": "checkpoints"}
        for number, source in enumerate(ADDRESSES)
    ]
    spec = {"schema_version": 2, "version_id": "x", "comfy": {"repo": "https://h.org/c"}, "models": models}
    (tmp_path / "x.json").write_text(json.dumps(spec))
    normalized = load(tmp_path, "x").normalized["models"]
    settings = ModelResolution(forge.hub_url, forge.civitai_url, {}, False, ())
    entries = resolve_models(normalized, kept={}, upgrade=(), settings=settings, report=lambda _line: None)
    assert {entry["sha256"] for entry in entries} == {file.sha256}
    assert {entry["url"].partition("?")[0] for entry in entries} == {
        f"https://civitai.com/api/download/models/{CIVITAI}"
    }
