# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is declared, locked, installed and importable; and that what has no source is a failure."""

from __future__ import annotations

import json
import typing as t

from ansible_collections.comfyops.fleet.plugins.plugin_utils.report.sources.coverage import Look, read_look
from tests.unit.report.conftest import COMMIT

if t.TYPE_CHECKING:
    from tests.unit.report.conftest import Report

ORIGINS = {
    "archived": "https://files.example/archived-3.0.tar.gz",
    "gitty": f"git+https://git.example/people/gitty.git@{COMMIT}",
    "kernels": "https://files.example/kernels-1.0.2%2Btorch2.9-py3-none-any.whl",
    "own-tools": "file:///srv/wheels/own_tools-0.1-py3-none-any.whl",
}


def installed(report: Report) -> list[dict[str, t.Any]]:
    """All packages of the lock, as a host says that it has them; what its image brings is not in the environment."""
    return [
        {"name": each["name"], "version": each["version"], "origin": ORIGINS.get(each["name"])}
        for each in report.document["targets"]["gpu"]["packages"]
        if each["source"] != "provided"
    ]


def look(report: Report, host: str = "gpu-1", **values: t.Any) -> Look:
    """What a host answered that has everything, if ``values`` do not say otherwise."""
    answer = {"installed": installed(report), "imports": [], "target": "gpu", "changed": False, **values}
    found = read_look(host, answer)
    assert found is not None
    return found


def test_a_lock_by_itself_is_covered(report: Report) -> None:
    coverage = report.coverages["gpu"]
    assert report.faults == []
    assert (coverage.declared, coverage.declared_and_locked, coverage.locked) == (11, 11, 14)
    assert (coverage.hosts, coverage.modules) == ((), {})


def test_a_host_that_has_everything_is_covered(report: Report) -> None:
    report.looks = [look(report), look(report, "gpu-2")]
    assert report.faults == []
    coverage = report.coverages["gpu"]
    assert {host: coverage.installed(host) for host in coverage.hosts} == {"gpu-1": 13, "gpu-2": 13}
    assert (coverage.to_install, coverage.locked) == (13, 14)


def test_what_is_declared_and_not_locked_has_no_source(report: Report) -> None:
    report.document["requirements"][1]["lines"].append("Missing_One>=2")
    assert report.faults == [
        "node palette (requirements.txt): asks for Missing_One>=2, and the lock has no missing-one: it has no source."
        ' Run lock.yml; if it stays away on purpose, add "missing-one" to python.exclude'
    ]
    coverage = report.coverages["gpu"]
    assert (coverage.declared, coverage.declared_and_locked) == (12, 11)
    report.document["spec"]["python"] = {"exclude": ["missing.one"]}
    assert report.faults == []


def test_what_another_package_needs_and_is_not_locked_has_no_source(report: Report) -> None:
    report.package("torch")["requires"] = ["triton==3.5"]
    assert report.faults == [
        "torch: asks for triton==3.5, and the lock has no triton: it has no source."
        ' Run lock.yml; if it stays away on purpose, add "triton" to python.exclude'
    ]


def test_what_is_locked_without_a_source(report: Report) -> None:
    del report.document["targets"]["gpu"]["indexes"]["pytorch-cu130"]
    report.package("leaf")["file"] = None
    report.package("pip")["required_by"] = []
    assert report.faults == [
        "target gpu: leaf 1.5 has no source: no file is named. Make the lock again with lock.yml",
        "target gpu: pip 25.2 has no source: nobody asks for it. Make the lock again with lock.yml",
        "target gpu: torch 2.9.0+cu130 has no source: its index pytorch-cu130 has no entry in the lock."
        " Make the lock again with lock.yml",
    ]


def test_what_is_installed_and_not_locked_has_no_source(report: Report) -> None:
    report.looks = [
        look(report, installed=[*installed(report), {"name": "stranger", "version": "6.6", "origin": None}])
    ]
    assert report.faults == [
        "gpu-1: stranger 6.6 is installed, and has no source: the lock does not name it."
        " Run realize.yml with the same version, or add it to python_packages and lock again"
    ]
    (row,) = (row for row in report.coverages["gpu"].rows if row.name == "stranger")
    assert (row.locked, row.found) == (None, {"gpu-1": "6.6"})


def test_what_is_missing_or_another_version_on_a_host(report: Report) -> None:
    found = [each for each in installed(report) if each["name"] != "leaf"]
    next(each for each in found if each["name"] == "torch")["version"] = "2.9.0"
    report.looks = [look(report, installed=found)]
    assert report.faults == [
        "gpu-1: leaf 1.5 is not installed. Run realize.yml with the same version",
        "gpu-1: torch is 2.9.0, and the lock says 2.9.0+cu130. Run realize.yml with the same version",
    ]
    assert report.coverages["gpu"].installed("gpu-1") == 11


def test_what_is_from_elsewhere_on_a_host(report: Report) -> None:
    found = installed(report)
    other = f"git+https://git.example/people/gitty.git@{'0' * 40}"
    next(each for each in found if each["name"] == "gitty")["origin"] = other
    next(each for each in found if each["name"] == "kernels")["origin"] = None
    report.looks = [look(report, installed=found)]
    assert report.faults == [
        f"gpu-1: gitty 1.5 is from {other}, and the lock says {ORIGINS['gitty']}."
        " Run realize.yml with the same version",
        f"gpu-1: kernels 1.0.2+torch2.9 is from an index, and the lock says {ORIGINS['kernels']}."
        " Run realize.yml with the same version",
    ]


def test_another_spelling_of_a_version_is_no_other_version(report: Report) -> None:
    found = installed(report)
    next(each for each in found if each["name"] == "leaf")["version"] = "1.5.0"
    report.looks = [look(report, installed=found)]
    assert report.faults == []


def test_what_does_not_import(report: Report) -> None:
    failure = {"where": "verify.imports", "what": "cv2 does not import: libGL.so.1", "remedy": "Install libgl1"}
    imports: list[dict[str, t.Any]] = [
        {"module": "cv2", "package": "opencv-contrib-python", "error": "ImportError: libGL.so.1"},
        {"module": "leaf", "package": "leaf", "error": None},
    ]
    bad = look(report, imports=imports, failures=[failure], failed=True, msg="cv2")
    report.looks = [bad, look(report, "gpu-2", imports=[{**each, "error": None} for each in imports])]
    assert report.faults == ["gpu-1: verify.imports: cv2 does not import: libGL.so.1. Install libgl1"]
    assert report.coverages["gpu"].modules == {"cv2": "ImportError: libGL.so.1", "leaf": None}


def test_a_host_without_an_environment(report: Report) -> None:
    failure = {"where": "/opt/comfy", "what": "there is no environment", "remedy": "Make it first"}
    report.looks = [look(report, installed=[], failures=[failure], failed=True)]
    assert report.faults == ["gpu-1: /opt/comfy: there is no environment. Run realize.yml with the same version"]


def test_a_host_that_could_not_be_looked_at_is_not_said_to_be_fine(report: Report) -> None:
    unreachable = read_look("gpu-3", {"unreachable": True, "msg": "no route to host"})
    assert unreachable is not None
    report.looks = [unreachable]
    assert report.coverages["gpu"].unlooked == {"gpu-3": "no route to host"}
    assert "| installed on gpu-3 | could not look: no route to host |" in report.file("sources.md")
    target = json.loads(report.file("sources.json"))["targets"]["gpu"]
    assert target["coverage"]["not_looked_at"] == {"gpu-3": "no route to host"}


def test_nobody_looked() -> None:
    assert read_look("gpu-1", None) is None
    assert read_look("gpu-1", {"skipped": True, "changed": False}) is None
