# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lock's types, the names that follow from it, and which target a host is."""

from __future__ import annotations

import json
import pathlib
import typing as t

import jsonschema
import pytest

from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.comfyops.fleet.plugins.module_utils.host.facts import Facts
from ansible_collections.comfyops.fleet.plugins.module_utils.lock.digest import build_name, environment_name
from ansible_collections.comfyops.fleet.plugins.module_utils.lock.document import canonical, read_lock
from ansible_collections.comfyops.fleet.plugins.module_utils.lock.matching import choose_target
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve import lock_file
from tests.support import locks

SCHEMA = pathlib.Path(__file__).resolve().parents[3] / "plugins/schemas/lock.schema.json"
PACKAGE = locks.package("colours", "2.0", "colours-2.0-py3-none-any.whl", "a" * 64, size=10, required_by=["core"])
MODEL = {
    "name": "one",
    "source": "https://models.example/one",
    "url": "https://models.example/one",
    "sha256": "b" * 64,
    "size": 5,
    "paths": ["$MODELS_DIR/loras/one.safetensors"],
    "optional": False,
}
HOST = Facts("x86_64", (2, 36), "cpu", (), "pod-7")
GPU_HOST = Facts("x86_64", (2, 36), "cuda", ("NVIDIA H100",), "gpu-1")


def document(**more: t.Any) -> locks.Document:
    """A small lock."""
    nodes = [locks.node("palette", "https://git.example/palette", "2" * 40)]
    made = locks.lock(locks.checkout("https://git.example/core", "1" * 40), nodes, models=[MODEL])
    made["targets"]["default"]["packages"] = [dict(PACKAGE)]
    return {**made, **more}


def build(changed: locks.Document) -> str:
    """The name of the build."""
    lock = read_lock(changed)
    return build_name(lock, lock.targets["default"])


def test_the_schema_says_what_a_lock_is() -> None:
    schema = json.loads(SCHEMA.read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(document(), schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(document(surprise=1), schema)


@pytest.mark.parametrize("file", ["../../etc/cron.d/x-1.0-py3-none-any.whl", "/x.whl", "a\0b.whl", "..", ""])
def test_a_package_whose_file_would_be_kept_elsewhere(file: str) -> None:
    changed = document()
    changed["targets"]["default"]["packages"][0]["file"] = file
    with pytest.raises(FleetError, match=r"is not a lock \(ValueError: .* is no name of a file\)"):
        read_lock(changed)


def test_the_canonical_text_does_not_depend_on_order() -> None:
    made = document()
    shuffled = dict(reversed(made.items()))
    assert canonical(made) == canonical(shuffled)
    assert canonical(made).endswith("}\n")
    assert json.loads(canonical(made)) == made


@pytest.mark.parametrize(
    "broken",
    [
        {"lock_version": 2},
        {"core": {}},
        {"nodes": [{"name": "x"}]},
        {"models": [{**MODEL, "sha256": "short"}]},
        {"core": locks.checkout("r", "main")},
    ],
)
def test_what_is_no_lock_is_refused(broken: locks.Document) -> None:
    with pytest.raises(FleetError, match=r"lock"):
        read_lock(document(**broken))


def test_a_model_or_an_option_makes_no_new_build() -> None:
    assert build(document(models=[])) == build(document())
    spec = {**document()["spec"], "env": {"A": "1"}}
    assert build(document(spec=spec)) == build(document())


def test_commits_and_packages_do() -> None:
    nodes = [locks.node("palette", "https://git.example/palette", "3" * 40)]
    assert build(document(nodes=nodes)) != build(document())
    other = document()
    other["targets"]["default"]["packages"][0]["sha256"] = "c" * 64
    assert build(other) != build(document())
    assert build(document()).startswith("test-")


def test_environments_are_shared_by_builds_that_need_the_same() -> None:
    first = read_lock(document())
    second = read_lock(document(nodes=[]))
    names = {environment_name(lock.targets["default"]) for lock in (first, second)}
    assert len(names) == 1


def targets(**entries: locks.Document) -> t.Any:
    """Targets by name."""
    made = document(targets={name: {**locks.target(), **entry} for name, entry in entries.items()})
    return read_lock(made).targets


def test_a_gpu_host_takes_the_gpu_target() -> None:
    both = targets(cpu={"accelerator": "cpu"}, gpu={"accelerator": "cu130"})
    assert choose_target(both, GPU_HOST, None).name == "gpu"
    assert choose_target(both, HOST, None).name == "cpu"
    assert choose_target(both, GPU_HOST, "cpu").name == "cpu"


@pytest.mark.parametrize(
    ("entries", "reason"),
    [
        ({"gpu": {"accelerator": "cu130"}}, "it has cpu, cu130 needs cuda"),
        ({"arm": {"platform": "aarch64-manylinux_2_28"}}, "it is x86_64, not aarch64"),
        ({"new": {"platform": "x86_64-manylinux_2_39"}}, r"it has glibc 2\.36, .* needs 2\.39"),
        ({"a": {}, "b": {}}, "fits several targets: a, b"),
        ({"named": {"match": {"hostname": "gpu-*"}}}, "its name pod-7 is not gpu-"),
    ],
)
def test_none_or_two_that_match_are_listed(entries: dict[str, locks.Document], reason: str) -> None:
    with pytest.raises(FleetError, match=reason):
        choose_target(targets(**entries), HOST, None)


def test_an_unknown_target_names_those_that_are_there() -> None:
    with pytest.raises(FleetError, match=r"no target 'x'\. It has: a, b"):
        choose_target(targets(a={}, b={}), HOST, "x")


def test_differences_are_pointers_with_before_and_after() -> None:
    before = {"comfy": {"ref": "main"}, "models": [{"name": "a"}], "env": {}}
    after = {"comfy": {"ref": "v1"}, "models": [{"name": "a"}, {"name": "b"}], "env": {"X": "1"}}
    assert lock_file.differences({"spec": before}, after) == [
        '/comfy/ref: "main" -> "v1"',
        '/env/X: null -> "1"',
        '/models: added "b"',
    ]
    assert lock_file.differences({"spec": before}, before) == []


def test_what_moved_from_one_lock_to_the_next() -> None:
    before, after = document(), document()
    after["nodes"][0]["commit"] = "3" * 40
    packages = after["targets"]["default"]["packages"]
    packages[0] = {**PACKAGE, "version": "2.1"}
    before["targets"]["default"]["packages"] += [{**PACKAGE, "name": "brush"}, {**PACKAGE, "name": "easel"}]
    packages += [{**PACKAGE, "name": "ink"}, {**PACKAGE, "name": "easel", "sha256": "c" * 64}]
    after["models"] = []
    assert lock_file.changes(before, after) == [
        "core and nodes: palette 222222222222 -> 333333333333",
        "target default: colours 2.0 -> 2.1; added ink 2.0; removed brush; other files of easel",
        "models: removed one",
    ]
    assert lock_file.changes(before, before) == []
