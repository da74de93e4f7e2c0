# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The bill of materials: valid CycloneDX that says what a lock says, in the same bytes every time."""

from __future__ import annotations

import datetime
import json
import typing as t
import uuid

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packageurl import PackageURL

from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError

if t.TYPE_CHECKING:
    from tests.unit.report.conftest import Report

FILE = "sbom-gpu.cdx.json"
Document = dict[str, t.Any]


def components(report: Report) -> dict[str, Document]:
    """Reference to component."""
    document = json.loads(report.file(FILE))
    return {each["bom-ref"]: each for each in document["components"]}


def properties(component: Document) -> dict[str, str]:
    """Our own properties of a component."""
    return {each["name"].removeprefix("comfyops:"): each["value"] for each in component["properties"]}


def test_it_is_valid_and_the_same_every_time(report: Report) -> None:
    text = report.file(FILE)
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    assert report.file(FILE) == text
    document = json.loads(text)
    assert (document["bomFormat"], document["specVersion"]) == ("CycloneDX", "1.6")
    assert uuid.UUID(document["serialNumber"].removeprefix("urn:uuid:")).version == 5
    assert "timestamp" not in document["metadata"]
    report.document["targets"]["other"] = report.document["targets"]["gpu"]
    assert json.loads(report.file(FILE))["serialNumber"] != document["serialNumber"]


def test_it_says_when_only_if_asked(report: Report) -> None:
    moment = datetime.datetime(2026, 11, 21, 9, 30, tzinfo=datetime.UTC)
    text = report.file(FILE, timestamp=moment)
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    assert json.loads(text)["metadata"]["timestamp"] == "2026-11-21T09:30:00+00:00"


def test_every_package_node_submodule_and_model_is_in_it(report: Report) -> None:
    found = components(report)
    packages = {f"package:{name}" for name in report.target.by_name}
    assert found.keys() == {
        *packages,
        "core",
        "node:palette",
        f"model:{'d' * 64}:$MODELS_DIR/checkpoints/one.safetensors",
    }
    assert found["core"]["purl"] == f"pkg:github/comfy-org/comfyui@{'1' * 40}"
    (part,) = found["node:palette"]["components"]
    assert (part["name"], part["version"]) == ("lib/part", "3" * 40)
    hashes = {name: each.get("hashes") for name, each in found.items() if name in packages}
    for entry in report.target.entries:
        stated = [{"alg": "SHA-256", "content": entry.package.sha256}] if entry.package.sha256 else None
        assert hashes[f"package:{entry.package.name}"] == stated


def test_what_identifies_packages_for_others(report: Report) -> None:
    found = components(report)
    purls = {name: PackageURL.from_string(each["purl"]) for name, each in found.items() if "purl" in each}
    leaf = purls["package:leaf"]
    assert (leaf.type, leaf.name, leaf.version) == ("pypi", "leaf", "1.5")
    assert leaf.qualifiers == {"file_name": "leaf-1.5-py3-none-any.whl"}
    torch = purls["package:torch"]
    assert (torch.version, torch.qualifiers["repository_url"]) == ("2.9.0+cu130", "https://torch.example/whl/cu130")
    gitty = f"git+https://git.example/people/gitty.git@{'c0ffee' * 6}c0ff#subdirectory=python"
    assert purls["package:gitty"].qualifiers == {"vcs_url": gitty}
    kernels = "https://files.example/kernels-1.0.2%2Btorch2.9-py3-none-any.whl"
    assert purls["package:kernels"].qualifiers == {"download_url": kernels}
    assert purls["package:archived"].qualifiers == {"download_url": "https://files.example/archived-3.0.tar.gz"}
    ink = {"file_name": "ink-0.9.tar.gz", "repository_url": "https://torch.example/whl/cu130"}
    assert purls["package:ink"].qualifiers == ink
    own = purls["package:own-tools"]
    assert (own.type, own.qualifiers["file_name"]) == ("generic", "own_tools-0.1-py3-none-any.whl")
    assert own.qualifiers["checksum"].startswith("sha256:")


def test_stand_ins_and_what_the_image_brings_are_marked(report: Report) -> None:
    found = components(report)
    shim = found["package:opencv-python"]
    assert "purl" not in shim
    assert (
        shim["description"]
        == "Metadata alone, made by the host itself: opencv-contrib-python is installed in its place"
    )
    assert (properties(shim)["source"], properties(shim)["provider"]) == ("shim", "opencv-contrib-python")
    vendor = found["package:vendor"]
    assert (properties(vendor)["source"], vendor["purl"]) == ("provided", "pkg:pypi/vendor@7.0")


def test_what_was_built_says_of_what_and_with_what(report: Report) -> None:
    found = components(report)
    archived, gitty = found["package:archived"], found["package:gitty"]
    assert archived["externalReferences"] == [
        {
            "type": "source-distribution",
            "url": "https://files.example/archived-3.0.tar.gz",
            "hashes": [{"alg": "SHA-256", "content": "a" * 64}],
        }
    ]
    assert gitty["pedigree"]["commits"][0]["uid"] == "c0ffee" * 6 + "c0ff"
    ink = found["package:ink"]
    assert "externalReferences" not in ink
    archive = f"ink-0.9.tar.gz of the index pytorch-cu130 (sha256 {'b' * 64})"
    assert ink["pedigree"]["notes"].startswith(f"Built from {archive} with Python 3.11.9 and setuptools 80.9.0")
    assert gitty["pedigree"]["notes"] == f"Built with Python 3.11.9 and setuptools 80.9.0 (sha256 {'9' * 64})"


def test_licences_are_expressions_identifiers_or_names(report: Report) -> None:
    found = {name: each.get("licenses") for name, each in components(report).items()}
    declared = {"acknowledgement": "declared"}
    assert found["package:app"] == [{"license": {"id": "MIT", **declared}}]
    assert found["package:gitty"] == [{"expression": "MIT OR Apache-2.0", **declared}]
    assert found["package:kernels"] == [{"license": {"name": "BSD, no variant stated", **declared}}]
    assert found["package:own-tools"] == [{"license": {"name": "a text of its own: Copyright X", **declared}}]
    assert found["package:torch"] is None


def test_who_depends_on_whom(report: Report) -> None:
    document = json.loads(report.file(FILE))
    found = {each["ref"]: set(each.get("dependsOn", ())) for each in document["dependencies"]}
    assert found["core"] == {"package:app", "package:opencv-python"}
    assert found["package:app"] == {"package:leaf", "package:torch"}
    assert found["package:opencv-python"] == {"package:opencv-contrib-python"}
    assert found["package:hen"] == {"package:egg", "package:leaf"}
    root = document["metadata"]["component"]["bom-ref"]
    assert {"core", "node:palette", "package:gitty", "package:pip", "package:vendor"} <= found[root]
    everything = {each["bom-ref"] for each in document["components"]}
    reached, waiting = set[str](), [root]
    while waiting:
        name = waiting.pop()
        waiting += found.get(name, set()) - reached
        reached |= found.get(name, set())
    assert reached == everything


def test_a_branch_in_the_cache_of_the_hub_is_no_model(report: Report) -> None:
    before = components(report).keys()
    reference = {"name": "org/repo@main", "source": "data:,abc", "url": "data:,abc", "sha256": "e" * 64, "size": 3}
    paths = ["$HF_HOME/hub/models--org--repo/refs/main"]
    report.document["models"].append({**reference, "paths": paths, "optional": False})
    assert components(report).keys() == before


def test_nothing_of_the_control_node_is_in_it(report: Report) -> None:
    report.package("archived")["built_from"]["url"] = "file:///srv/archived-3.0.tar.gz"
    report.document["targets"]["gpu"]["indexes"]["pytorch-cu130"] = "file:///srv/index"
    report.package("gitty")["built_from"]["git"] = "file:///srv/gitty.git"
    report.document["nodes"][0]["repo"] = "file:///srv/palette.git"
    report.document["models"][0]["url"] = "file:///srv/one.safetensors"
    text = report.file(FILE)
    assert "file:" not in text
    assert "/srv" not in text


@pytest.mark.parametrize("repo", ["git@github.com:Comfy-Org/ComfyUI.git", "ssh://git@github.com/Comfy-Org/ComfyUI.git"])
def test_repositories_that_are_reached_by_ssh(report: Report, repo: str) -> None:
    report.document["core"]["repo"] = repo
    core = components(report)["core"]
    assert core["purl"] == f"pkg:github/comfy-org/comfyui@{'1' * 40}"
    assert core["externalReferences"] == [{"type": "vcs", "url": "ssh://git@github.com/Comfy-Org/ComfyUI.git"}]


def test_what_is_not_valid_is_not_written(report: Report) -> None:
    # CycloneDX has an end to the length of versions.
    report.document["targets"]["gpu"]["packages"][0]["version"] = "1" * 1025
    refused = pytest.raises(FleetError, match="target gpu is not valid CycloneDX")
    with pytest.warns(UserWarning, match="maximum length"), refused:
        report.file(FILE)
