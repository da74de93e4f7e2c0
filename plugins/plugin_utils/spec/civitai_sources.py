# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Models on civitai: ``civitai://<model version>``, the site's addresses, and AIR, its URN of a model.

AIR is ``urn:air:{ecosystem}:{type}:{source}:{id}[@{version}][+{fileId}][.{format}]``
(developer.civitai.com/site/guide/air); the file parameters are those of the site's download
(civitai/civitai, src/server/services/file.service.ts).
"""

from __future__ import annotations

import re
import typing as t
from urllib.parse import SplitResult, parse_qsl, urlencode

from ansible_collections.comfyops.fleet.plugins.plugin_utils.spec.finding import shown
from ansible_collections.comfyops.fleet.plugins.plugin_utils.spec.hub_sources import hub_source
from ansible_collections.comfyops.fleet.plugins.plugin_utils.spec.model_source import ModelSource
from ansible_collections.comfyops.fleet.plugins.plugin_utils.spec.problem import Problem

CIVITAI_HOSTS: t.Final = frozenset({"civitai.com", "civitai.green", "civitai.red"})
CIVITAI_FILE_CHOICES: t.Final = ("type", "format", "size", "fp", "quantType", "fileId")
"""What chooses between several files of one model version, in the order in which it is written."""

CIVITAI_MODEL: t.Final = "model"
"""The query parameter with the id of the model that the version has to be one of, where the spec says it."""

_CIVITAI = re.compile(
    r"civitai://(?P<form>|models/|model-versions/|api/download/models/)(?P<id>[0-9]{1,18})/?", re.ASCII
)
_REMEDY = "Write civitai://<model version id>, the number behind modelVersionId= in the page's address"
_PAGE = re.compile(r"/models/(?P<model>[0-9]{1,18})(/.*)?", re.ASCII)
_VERSION_ADDRESS = re.compile(r"/(api/download/models|api/v1/model-versions|model-versions)/(?P<id>[0-9]{1,18})/?")
_AIR_BEGINNING = re.compile(r"(urn:)?air:|[\w-]+:[\w-]+:(civitai|huggingface):[^/]", re.ASCII)
_AIR = re.compile(
    r"((urn:)?air:)?([\w-]+:){0,2}(?P<source>civitai|huggingface):(?P<id>[^@:+]+)(@(?P<version>[^:+]+))?"
    r"(\+(?P<file>[0-9]{1,18}(?![0-9])))?(?P<rest>.*)",
    re.ASCII,
)
_FORMATS: t.Final = {
    "safetensors": "SafeTensor",
    "safetensor": "SafeTensor",
    "ckpt": "PickleTensor",
    "pickletensor": "PickleTensor",
    "gguf": "GGUF",
    "diffuser": "Diffusers",
    "diffusers": "Diffusers",
    "onnx": "ONNX",
}


def read_civitai(text: str, parts: SplitResult) -> ModelSource | Problem:
    """Read ``civitai://<model version>``, also in the spellings of the field, with what chooses a file."""
    match = _CIVITAI.fullmatch(text.partition("?")[0])
    if not match or parts.fragment:
        return Problem(f"{shown(text)} names no model version", _REMEDY)
    source = _read_choices(match["id"], parts.query)
    if isinstance(source, ModelSource) and match["form"] == "models/":
        quirk = Problem(f"{shown(text)} is taken for the model *version* {match['id']}", f"Write {source.text}")
        return ModelSource(source.text, None, quirk=quirk)
    return source


def read_civitai_address(parts: SplitResult) -> ModelSource | Problem:
    """Read an address of the site: of a download, or of the page of a model with ``modelVersionId``."""
    version = _VERSION_ADDRESS.fullmatch(parts.path)
    if version:
        return _read_choices(version["id"], parts.query)
    page = _PAGE.fullmatch(parts.path)
    if not page:
        return Problem("is the address of a web page, not of a model", _REMEDY)
    number = dict(parse_qsl(parts.query)).get("modelVersionId", "")
    if not re.fullmatch(r"[0-9]{1,18}", number, re.ASCII):
        return Problem(
            "names a model but no version of it",
            "Choose the version on the page, and write its address with ?modelVersionId=<id>, or civitai://<id>",
        )
    return ModelSource(_text(number, {CIVITAI_MODEL: page["model"]}), None)


def is_air(text: str) -> bool:
    """Tell whether a text is meant as an AIR; ``urn:`` and ``air:`` before it may be missing."""
    return bool(_AIR_BEGINNING.match(text))


def read_air(text: str) -> ModelSource | Problem:
    """Read an AIR of civitai or of the Hub, where the layer (behind ``:``) is the path in the repository."""
    match = _AIR.fullmatch(text)
    if not match:
        remedy = "Write civitai://<model version id> or hf://org/repo/path"
        return Problem(f"{shown(text)} is no AIR of Civitai or the Hugging Face Hub", remedy)
    return _read_hub_air(text, match) if match["source"] == "huggingface" else _read_civitai_air(text, match)


def _read_civitai_air(text: str, match: re.Match[str]) -> ModelSource | Problem:
    version, dot, ending = (match["version"] or "").partition(".")
    ending = ending if dot else match["rest"].removeprefix(".")
    if not match["id"].isdigit() or (version and not version.isdigit()) or not re.fullmatch(r"\w*", ending):
        return Problem(
            f"{shown(text)} is no AIR of Civitai", "Write urn:air:<ecosystem>:<type>:civitai:<model>@<version>"
        )
    if not version:
        return Problem(f"{shown(text)} names a model but no version of it", "Add @<model version id>")
    chosen = {CIVITAI_MODEL: match["id"]}
    if match["file"]:
        chosen["fileId"] = match["file"]
    elif ending.lower() in _FORMATS:
        chosen["format"] = _FORMATS[ending.lower()]
    return ModelSource(_text(version, chosen), None)


def _read_hub_air(text: str, match: re.Match[str]) -> ModelSource | Problem:
    path = match["rest"].removeprefix(":")
    if match["id"].count("/") != 1 or not path or not match["rest"].startswith(":"):
        return Problem(
            f"{shown(text)} names a repository of the Hub but no file of it",
            "Add :<path in the repository>, or write hf://org/repo@revision/path",
        )
    return hub_source(match["id"], match["version"] or "main", path)


def _read_choices(version: str, query: str) -> ModelSource | Problem:
    choices = dict(parse_qsl(query, keep_blank_values=True))
    known = (*CIVITAI_FILE_CHOICES, CIVITAI_MODEL)
    unknown = sorted(set(choices) - set(known))
    if unknown:
        reason = f"has the query parameter {shown(unknown[0])}, which chooses no file"
        return Problem(reason, f"Keep only {', '.join(CIVITAI_FILE_CHOICES)}")
    for name in (CIVITAI_MODEL, "fileId"):
        if choices.get(name) and not re.fullmatch(r"[0-9]{1,18}", choices[name], re.ASCII):
            return Problem(f"has {name} {shown(choices[name])}, which is no number", "Write the number")
    return ModelSource(_text(version, choices), None)


def _text(version: str, choices: dict[str, str]) -> str:
    order = (*CIVITAI_FILE_CHOICES, CIVITAI_MODEL)
    query = urlencode({key: choices[key] for key in order if choices.get(key)})
    return f"civitai://{int(version)}{'?' if query else ''}{query}"
