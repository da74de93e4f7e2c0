# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What holds for every spec: the same meaning whatever the order of keys, and never any other error."""

from __future__ import annotations

import json
import pathlib
import tempfile
import typing as t

from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.comfyops.fleet.plugins.plugin_utils.spec.finding import SpecInvalid
from ansible_collections.comfyops.fleet.plugins.plugin_utils.spec.load import load
from ansible_collections.comfyops.fleet.plugins.plugin_utils.spec.schema import schema

KEYS = sorted(
    {key for definition in schema()["$defs"].values() for key in definition.get("properties", {})} | {"schema_version"}
)
TEXTS = [
    "main",
    "x",
    "637221995f7424a561bd825de3e61ea117dfe1e3",
    "https://github.com/o/r.git",
    "https://[::1",
    "http://127.0.0.1:80/a.pt",
    "git@h:o/r",
    "hf://o/r@v/f.pt",
    "hf://o/r/",
    "civitai://models/5",
    "urn:air:a:b:civitai:1@2.pt",
    "$MODELS_DIR/loras/x.pt",
    "$COMFY_HOME/custom_nodes/x/y.pt",
    "sha256:" + "ab" * 32,
    "a==1",
    "a>=2 --upgrade",
    "-r x",
    "a @ https://h.org/a-1-py3-none-any.whl#sha256=" + "ab" * 32,
    "a @ git+https://h.org/r@main",
    "python3.12",
    "3.12",
    "2025-10-15",
    "{{ x }}",
]
LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**9), 10**15),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from(TEXTS),
    st.text(max_size=20),
)
ANY_JSON = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(st.one_of(st.sampled_from(KEYS), st.text(max_size=5)), inner, max_size=6),
    ),
    max_leaves=40,
)


def of_schema(subschema: dict[str, t.Any] | bool, depth: int = 0) -> st.SearchStrategy[t.Any]:
    """Values that have the shape of a part of the schema, and mostly fit."""
    if isinstance(subschema, bool):
        return st.just(3)
    if "$ref" in subschema:
        return of_schema(schema()["$defs"][subschema["$ref"].rpartition("/")[2]], depth)
    if "enum" in subschema:
        return st.sampled_from(subschema["enum"])
    options: list[st.SearchStrategy[t.Any]] = []
    if subschema.get("examples"):
        options.append(st.sampled_from(subschema["examples"]))
    if "properties" in subschema:
        required = set(subschema.get("required", []))
        parts = {key: of_schema(value, depth + 1) for key, value in subschema["properties"].items()}
        options.append(
            st.fixed_dictionaries(
                {key: value for key, value in parts.items() if key in required},
                optional={key: value for key, value in parts.items() if key not in required},
            )
        )
    elif "items" in subschema:
        options.append(st.lists(of_schema(subschema["items"], depth + 1), max_size=4))
    elif "additionalProperties" in subschema:
        options.append(
            st.dictionaries(st.sampled_from("abc"), of_schema(subschema["additionalProperties"], depth + 1), max_size=3)
        )
    elif "boolean" in subschema.get("type", ""):
        options.append(st.booleans())
    elif "string" in subschema.get("type", ""):
        options.append(st.sampled_from(TEXTS))
    return st.one_of(options) if options else LEAVES


def specs_of(definition: str, number: int) -> st.SearchStrategy[dict[str, t.Any]]:
    """Whole specs of a schema; those that extend another are for other tests."""
    identity = {"schema_version": number, "version_id": "x", "comfy": {"repo": "https://h.org/r"}}
    return of_schema(schema()["$defs"][definition]).map(
        lambda value: {key: value[key] for key in value if key not in {"extends", "id", "$schema"}} | identity
    )


SPECS = st.one_of(specs_of("version2", 2), specs_of("version3", 3))


def outcome(document: object, directory: str | None = None) -> tuple[object, list[str]]:
    """The strict meaning of a document, if it has one, and what was found, without the place of the file."""
    with tempfile.TemporaryDirectory(dir=directory) as folder:
        path = pathlib.Path(folder) / "x.json"
        path.write_text(json.dumps(document), encoding="utf-8")
        try:
            spec = load(path.parent, "x")
        except SpecInvalid as error:
            return None, [f"{finding.pointer}: {finding.reason}" for finding in error.findings]
        return spec.normalized, [f"{finding.pointer}: {finding.reason}" for finding in spec.warnings]


def reordered(value: object) -> object:
    """The same JSON with the keys of every object the other way round."""
    if isinstance(value, dict):
        return {key: reordered(item) for key, item in reversed(value.items())}
    return [reordered(item) for item in value] if isinstance(value, list) else value


@settings(max_examples=200, deadline=None)
@given(ANY_JSON)
def test_any_json_is_a_spec_or_invalid(document: object) -> None:
    normalized, findings = outcome(document)
    assert normalized is not None or findings


@settings(max_examples=200, deadline=None)
@given(SPECS)
def test_what_looks_like_a_spec_is_a_spec_or_invalid(document: dict[str, t.Any]) -> None:
    normalized, findings = outcome(document)
    assert normalized is not None or findings
    assert len(findings) == len(set(findings))


@settings(max_examples=200, deadline=None)
@given(SPECS)
def test_the_order_of_keys_and_the_place_of_the_file_say_nothing(document: dict[str, t.Any]) -> None:
    first, second = outcome(document), outcome(reordered(document), directory="/var/tmp")
    assert first == second
    assert json.dumps(first[0]) == json.dumps(second[0])
