# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The report as Markdown, JSON and CSV: all of them say the same, and other programs can read them."""

from __future__ import annotations

import csv
import decimal
import io
import json
import pathlib
import re
import typing as t

import jsonschema

if t.TYPE_CHECKING:
    from tests.unit.report.conftest import Report

SCHEMA = pathlib.Path(__file__).parents[3] / "plugins" / "schemas" / "sources.schema.json"
# The bars of cells that are none: GitHub's tables take those behind a backslash for text.
CELL = re.compile(r"(?<!\\)\|")


def tables(text: str) -> dict[str, list[list[str]]]:
    """Heading to the rows of the table under it, its head first."""
    found: dict[str, list[list[str]]] = {}
    heading = ""
    for line in text.splitlines():
        if line.startswith("#"):
            heading = line.lstrip("# ")
        if line.startswith("|"):
            found.setdefault(heading, []).append([cell.strip() for cell in CELL.split(line)[1:-1]])
    return found


def read_json(report: Report) -> dict[str, t.Any]:
    """The report as JSON, its numbers as they stand there."""
    found: dict[str, t.Any] = json.loads(report.file("sources.json"), parse_float=decimal.Decimal)
    return found


def test_tables_of_markdown_are_whole(report: Report) -> None:
    report.document["targets"]["gpu"]["replaced"][0]["why"] = "a | b\nand `c`, <d> _e_ f_g"
    report.package("leaf")["license"] = "Some *licence* | other"
    text = report.file("sources.md")
    for heading, (head, line, *rows) in tables(text).items():
        assert set(line) == {"---"}, heading
        assert {len(row) for row in (head, line, *rows)} == {len(head)}, heading
    (replaced,) = tables(text)["Requirement lines that do not count (1)"][2:]
    assert replaced == ["**node palette**", "`torch==2.8`", "torch>=2", r"a \| b and \`c\`, \<d> \_e\_ f_g"]
    assert r"Some \*licence\* \| other" in text


def test_markdown_has_the_sections_of_the_document_it_replaces(report: Report) -> None:
    text = report.file("sources.md")
    found = tables(text)
    summary = found["Summary statistics"]
    assert summary[-1] == ["**all**", "**14**", "**100.0 %**", "**87.0 kB**", "**100.0 %**"]
    assert summary[2][:3] == ["PyPI", "6", "42.9 %"]
    assert {row[0] for row in summary[3:-1]} >= {"built from git", "built from a source archive", "index pytorch-cu130"}
    assert [row[0] for row in found["Built from source (3)"][2:]] == ["**archived**", "**gitty**", "**ink**"]
    reasons = {row[0]: row[2] for row in found["Not from the default index, and why (8)"][2:]}
    assert reasons["**torch**"] == "bound to the index pytorch-cu130: https://torch.example/whl/cu130"
    assert reasons["**archived**"] == "named by its URL: built from https://files.example/archived-3.0.tar.gz"
    assert reasons["**ink**"] == "no wheel fits: built from ink-0.9.tar.gz of https://torch.example/whl/cu130"
    assert reasons["**opencv-python**"] == (
        "opencv-contrib-python is installed in its place; this has no content of its own"
    )
    assert ["**leaf**", "1.5", "below 1.9", "**hen**", "`leaf<1.9`"] in found["Who keeps what below which version (3)"]
    built = [row[:3] for row in found["Built for a torch, a CUDA or a GPU (1)"][2:]]
    assert built == [["**kernels**", "1.0.2+torch2.9", "torch 2.9"]]
    assert len(found["Hashes"]) == 2 + 14
    assert "    PyPI                              42.9 %  #################" in text.splitlines()


def test_json_is_of_its_schema_and_adds_up(report: Report) -> None:
    schema = json.loads(SCHEMA.read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.Draft202012Validator(schema).validate(json.loads(report.file("sources.json")))
    target = read_json(report)["targets"]["gpu"]
    for name in ("by_source", "by_owner", "by_license", "by_subject"):
        assert sum(part["count"] for part in target[name]) == target["count"] == len(target["packages"]) == 14
        assert sum(part["size"] for part in target[name]) == target["size"]
        assert sum(part["count_share"] for part in target[name]) == 100
        assert sum(part["size_share"] for part in target[name]) == 100
    assert target["unsized"] == 0
    assert target["limits"]["leaf"][0] == {
        "requester": "package:hen",
        "line": "leaf<1.9",
        "at_most": "below 1.9",
        "void": None,
    }


def test_csv_has_a_row_for_each_package_of_each_target(report: Report) -> None:
    report.document["targets"]["cpu"] = report.document["targets"]["gpu"]
    rows = list(csv.DictReader(io.StringIO(report.file("sources.csv"))))
    assert [(row["target"], row["name"]) for row in rows] == [
        (target, name) for target in ("cpu", "gpu") for name in report.target.by_name
    ]
    gitty = next(row for row in rows if row["name"] == "gitty")
    assert (gitty["source"], gitty["built"], gitty["license"]) == ("git", "yes", "MIT OR Apache-2.0")
    leaf = next(row for row in rows if row["name"] == "leaf")
    assert (leaf["asked_by"], leaf["needed_by"]) == ("", "core; node palette; the spec")
    assert leaf["required_by"] == "app; archived; hen"


def test_all_forms_agree(report: Report) -> None:
    hashes = {entry.package.sha256 for entry in report.target.entries if entry.package.sha256}
    for name in ("sources.md", "sources.json", "sources.csv", "sources.html", "sbom-gpu.cdx.json"):
        text = report.file(name)
        assert all(sha256 in text for sha256 in hashes), name
        assert report.file(name) == text


def test_what_is_missing_is_said_in_every_form(report: Report) -> None:
    report.document["requirements"][0]["lines"].append("Gone>=2")
    assert "asks for Gone>=2, and the lock has no gone: it has no source" in report.file("sources.md").replace("\\", "")
    failures = read_json(report)["targets"]["gpu"]["coverage"]["failures"]
    assert [each["where"] for each in failures] == ["core (requirements.txt)"]
    assert "Missing (1)" in report.file("sources.html")
