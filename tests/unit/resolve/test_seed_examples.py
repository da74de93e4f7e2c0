# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two specs of the field, "Wan Video with optimizations" and "Flux with exact versions", as they stand there.

GitHub and the default index are the forge's, with packages of the same names, versions and requirements as the real
ones of 2026-11, as far as these packages have to do with each other.
"""

from __future__ import annotations

import json
import pathlib
import re
import typing as t

import pytest

from ansible_collections.comfyops.fleet.plugins.module_utils.errors import Failures, FleetError
from ansible_collections.comfyops.fleet.plugins.module_utils.lock.digest import environment_name
from ansible_collections.comfyops.fleet.plugins.module_utils.lock.document import read_lock
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.builds import Site
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.builds_places import ControlNode
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.builds_store import Store
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.git import Access
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.lock import Resolution, make_lock
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.models import ModelResolution
from ansible_collections.comfyops.fleet.plugins.plugin_utils.spec.load import load
from tests.unit.resolve.test_resolution import after, versions

if t.TYPE_CHECKING:
    from tests.support.forge import Forge
    from tests.unit.resolve.conftest import Document

DOCUMENTATION: t.Final = pathlib.Path(__file__).parents[3] / "docs/python_packages.md"
WAN: t.Final[dict[str, t.Any]] = {
    "schema_version": 2,
    "version_id": "wan22-fast",
    "comfy": {"repo": "https://github.com/comfyanonymous/ComfyUI", "ref": "master"},
    "custom_nodes": [],
    "models": [],
    "python_packages": ["sageattention", "onnx", "onnxruntime-gpu"],
}
FLUX: t.Final[dict[str, t.Any]] = {
    **WAN,
    "python_packages": ["torch==2.1.0", "transformers>=4.35.0", "diffusers==0.24.0"],
}
CORE: t.Final = "\n".join(
    ["torch", "torchvision", "torchaudio", "numpy>=1.25.0", "transformers>=4.37.2", "safetensors", "kornia>=0.7.1"]
)
CUDA_12: t.Final = ["triton==2.1.0", "nvidia-cuda-runtime-cu12==12.1.105"]
# Name, version, what it requires, of which year.
PACKAGES: t.Final[list[tuple[str, str, list[str], int]]] = [
    ("torch", "2.15.0", ["cuda-toolkit==13.2.2", "triton~=3.9.0"], 2026),
    ("torch", "2.14.0", ["cuda-toolkit==13.0.3.0", "triton==3.8.0"], 2026),
    ("cuda-toolkit", "13.2.2", [], 2026),
    ("cuda-toolkit", "13.0.3.0", [], 2026),
    ("triton", "3.9.0", [], 2026),
    ("triton", "3.8.0", [], 2026),
    ("triton", "2.1.0", [], 2023),
    ("nvidia-cuda-runtime-cu12", "12.1.105", [], 2023),
    ("torchvision", "0.29.2", ["numpy", "torch>=2.14.0"], 2026),
    ("torchvision", "0.16.0", ["numpy", "torch==2.1.0"], 2023),
    ("torchaudio", "2.11.0", [], 2026),
    ("torchaudio", "2.1.0", ["torch==2.1.0"], 2023),
    ("numpy", "2.5.5", [], 2026),
    ("numpy", "1.26.4", [], 2024),
    ("huggingface-hub", "2.4.0", [], 2026),
    ("huggingface-hub", "0.36.0", [], 2025),
    ("huggingface-hub", "0.25.2", [], 2024),
    ("tokenizers", "0.23.3", ["huggingface-hub<3.0,>=0.16.4"], 2026),
    ("tokenizers", "0.22.1", ["huggingface-hub<2.0,>=0.16.4"], 2025),
    ("tokenizers", "0.21.4", ["huggingface-hub<1.0,>=0.16.4"], 2025),
    ("safetensors", "0.8.0", [], 2026),
    ("diffusers", "0.42.1", ["huggingface-hub<3.0,>=1.0", "numpy"], 2026),
    ("diffusers", "0.24.0", ["huggingface-hub>=0.19.4", "numpy", "safetensors>=0.3.1"], 2023),
    ("kornia", "0.9.0", ["numpy>=1.21", "torch>=2.5.1"], 2026),
    ("kornia", "0.8.3", ["torch>=2.0.0"], 2026),
    ("kornia", "0.8.2", ["torch>=1.9.1"], 2025),
    ("sageattention", "1.0.6", [], 2024),
    ("onnx", "1.23.2", ["numpy>=1.23.2"], 2026),
    ("onnxruntime-gpu", "1.31.1", ["numpy>=1.21.6"], 2026),
]
# Version, its hub, its tokenizers, its torch, of which year.
TRANSFORMERS: t.Final = [
    ("4.48.3", "huggingface-hub<1.0,>=0.24.0", "tokenizers<0.22,>=0.21", "torch>=2.0", 2025),
    ("4.55.4", "huggingface-hub<1.0,>=0.34.0", "tokenizers<0.22,>=0.21", "torch>=2.1", 2025),
    ("4.57.1", "huggingface-hub<1.0,>=0.34.0", "tokenizers<=0.23.0,>=0.22.0", "torch>=2.2", 2025),
    ("5.23.0", "huggingface-hub<3.0,>=1.31.0", "tokenizers<0.24.0,>=0.23.1", "torch>=2.6", 2026),
]


class Fleet:
    """Locks of specs in a directory, with GitHub and the default index on a forge."""

    def __init__(self, forge: Forge, directory: pathlib.Path) -> None:
        self._directory = directory
        self.forge = forge
        (directory / "versions").mkdir()
        self.core = forge.repository("comfyanonymous/ComfyUI")
        self.core.commit({"main.py": "", "requirements.txt": CORE}, branch="master")
        self.index = forge.index()
        self.index.wheel("pip", "26.0")
        for name, version, requires, year in PACKAGES:
            self.index.wheel(name, version, requires=requires, upload_time=f"{year}-06-01T00:00:00Z")
        early = "2023-10-04T00:00:00Z"
        self.index.wheel("torch", "2.1.0", requires=CUDA_12, tag="cp311-cp311-manylinux1_x86_64", upload_time=early)
        for version, hub, tokenizers, torch, year in TRANSFORMERS:
            extras = {"torch": [torch, "accelerate"]}
            day = f"{year}-06-01T00:00:00Z"
            self.index.wheel("transformers", version, requires=[hub, tokenizers], extras=extras, upload_time=day)
        self.notes: list[str] = []

    def lock(self, spec: Document, before: Document | None = None, python: str = "3.11") -> Document:
        """The lock of a spec, which is checked as users' are."""
        (self._directory / "versions" / f"{spec['version_id']}.json").write_text(json.dumps(spec))
        cache = self._directory / "cache"
        mirrors = {"https://github.com/": self.core.url.removesuffix("comfyanonymous/ComfyUI")}
        access = Access(cache / "git", mirrors)
        resolution = Resolution(
            git=access,
            models=ModelResolution(None, None, {}, False, ()),
            python_indexes={"pypi": self.index.url},
            cache=cache,
            python=python,
            host_python=lambda: python,
            upgrade=frozenset(),
            report=self.notes.append,
            builds=Site(access, Store(self._directory / "versions" / "wheels"), (ControlNode(),), cache),
        )
        return make_lock(load(self._directory / "versions", spec["version_id"]).normalized, before, resolution)


@pytest.fixture
def fleet(forge: Forge, tmp_path: pathlib.Path) -> Fleet:
    return Fleet(forge, tmp_path)


def of_target(lock: Document) -> dict[str, str]:
    """Versions of the only target."""
    return versions(lock["targets"]["default"])


def environment(lock: Document) -> str:
    """The name of the environment on hosts."""
    return environment_name(read_lock(lock).targets["default"])


def test_wan_video_with_optimizations(fleet: Fleet) -> None:
    found = of_target(fleet.lock(WAN, python="3.12"))
    assert found.items() >= {"sageattention": "1.0.6", "onnx": "1.23.2", "onnxruntime-gpu": "1.31.1"}.items()
    assert found.items() >= {"transformers": "5.23.0", "numpy": "2.5.5"}.items()
    # The newest that is built for the CUDA of the newest torchaudio.
    assert found.items() >= {"torch": "2.14.0", "torchaudio": "2.11.0", "torchvision": "0.29.2"}.items()
    assert any("SageAttention 1.x, and not 2.x with its CUDA kernels" in note for note in fleet.notes)


def test_the_order_of_nodes_counts_where_the_later_line_wins(fleet: Fleet) -> None:
    nodes = []
    for name, line in (("a", "numpy<2"), ("b", "numpy>=2")):
        repository = fleet.forge.repository(f"owner/{name}")
        repository.commit({"requirements.txt": line})
        nodes.append({"repo": repository.url})
    spec = {**WAN, "schema_version": 3, "python": {"resolution": "layered"}, "custom_nodes": nodes}
    first = fleet.lock(spec)
    assert of_target(first)["numpy"] == "2.5.5"
    second = fleet.lock({**spec, "custom_nodes": nodes[::-1]}, first)
    assert of_target(second)["numpy"] == "1.26.4"


def test_the_order_of_nodes_asks_nobody_else(fleet: Fleet) -> None:
    nodes = []
    for name, line in (("a", "numpy"), ("b", "einops")):
        repository = fleet.forge.repository(f"owner/{name}")
        repository.commit({"requirements.txt": line})
        nodes.append({"repo": repository.url})
    fleet.index.wheel("einops", "0.8.1")
    first = fleet.lock({**WAN, "custom_nodes": nodes})
    fleet.forge.forget_requests()
    assert fleet.lock({**WAN, "custom_nodes": nodes[::-1]}, first)["targets"] == first["targets"]
    assert fleet.forge.requests == []


def test_faults_of_packages_and_of_models_are_told_together(fleet: Fleet) -> None:
    models = [{"source": f"{fleet.core.url}/none.safetensors", "target_subdir": "loras"}]
    packages = ["numpy==9.9"]
    with pytest.raises(Failures) as caught:
        fleet.lock({**WAN, "python_packages": packages, "models": models})
    told = [str(fault) for fault in caught.value.faults]
    assert len(told) == 2
    assert "numpy==9.9" in told[0]
    assert "none.safetensors" in told[1]


def test_flux_with_exact_versions_becomes_an_environment_of_one_time(fleet: Fleet) -> None:
    lock = fleet.lock(FLUX)
    assert (
        of_target(lock).items()
        >= {
            "torch": "2.1.0",
            "torchvision": "0.16.0",
            "torchaudio": "2.1.0",
            # Built against numpy 1.
            "numpy": "1.26.4",
            "diffusers": "0.24.0",
            # The last with the cached_download that diffusers 0.24 imports.
            "huggingface-hub": "0.25.2",
            # The last that compiles with it.
            "kornia": "0.8.2",
            # Newer ones want a newer hub, and in the end a newer torch.
            "transformers": "4.48.3",
        }.items()
    )
    assert lock["targets"]["default"]["replaced"] == []


def test_transformers_is_one_that_works_with_a_torch_that_is_held(fleet: Fleet) -> None:
    lock = fleet.lock({**FLUX, "python_packages": ["torch==2.1.0"]})
    assert of_target(lock).items() >= {"torch": "2.1.0", "transformers": "4.55.4", "huggingface-hub": "0.36.0"}.items()


def test_a_transformers_that_does_not_work_with_that_torch_is_refused(fleet: Fleet) -> None:
    fleet.core.commit({"requirements.txt": CORE.replace("transformers>=4.37.2", "transformers>=5")}, branch="master")
    spec = {**FLUX, "python_packages": ["torch==2.1.0"]}
    with pytest.raises(FleetError) as caught:
        fleet.lock(spec)
    text = str(caught.value)
    assert "\n  core (requirements.txt): transformers>=5\n  spec: torch==2.1.0\n" in text
    assert "comfyops.fleet (the torch that transformers works with): transformers[torch]" in text
    entries = after(text, '"python_packages": ')
    assert entries == ["transformers==4.55.4"]
    found = of_target(fleet.lock({**spec, "python_packages": [*spec["python_packages"], *entries]}))
    assert found.items() >= {"torch": "2.1.0", "transformers": "4.55.4"}.items()


def test_a_torch_of_another_cuda_than_torchaudio(fleet: Fleet) -> None:
    spec = {**WAN, "python_packages": ["torch==2.15.0"]}
    with pytest.raises(FleetError) as caught:
        fleet.lock(spec, python="3.12")
    text = str(caught.value)
    assert "(torchaudio 2.11.0 refuses a torch of another CUDA than its own, 13.0): cuda-toolkit<13.1\n" in text
    assert 'Change in "python_packages" "torch==2.15.0" to "torch==2.14.0"\n' in text
    found = of_target(fleet.lock({**spec, "python_packages": ["torch==2.14.0"]}, python="3.12"))
    assert found.items() >= {"torch": "2.14.0", "torchaudio": "2.11.0"}.items()


def test_a_core_that_is_newer_than_what_is_pinned(fleet: Fleet) -> None:
    fleet.core.commit(
        {"requirements.txt": CORE.replace("transformers>=4.37.2", "transformers>=4.50.3")}, branch="master"
    )
    with pytest.raises(FleetError) as caught:
        fleet.lock(FLUX)
    text = str(caught.value)
    assert "\n  core (requirements.txt): transformers>=4.50.3\n" in text
    assert "(diffusers 0.24.0 imports cached_download, which later ones do not have): huggingface-hub<0.26\n" in text
    entries = after(text, '"python_packages": ')
    assert entries == ["transformers==4.48.3"]
    lock = fleet.lock({**FLUX, "python_packages": [*FLUX["python_packages"], *entries]})
    assert of_target(lock).items() >= {"diffusers": "0.24.0", "huggingface-hub": "0.25.2"}.items()
    layered = {**FLUX, "schema_version": 3, "python": {"resolution": "layered"}}
    (given_way,) = fleet.lock(layered)["targets"]["default"]["replaced"]
    assert (given_way["line"], given_way["by"]) == ("transformers>=4.50.3", "comfyops.fleet: huggingface-hub<0.26")
    assert given_way["why"] == "diffusers 0.24.0 imports cached_download, which later ones do not have"


def test_flux_on_a_python_that_its_torch_has_no_wheel_for(fleet: Fleet) -> None:
    with pytest.raises(FleetError) as caught:
        fleet.lock(FLUX, python="3.12")
    text = str(caught.value)
    assert "torch==2.1.0 has no wheel for Python 3.12" in text
    assert "\nOr set python.version to 3.11; or " in text
    before, changed = text.partition('in "python_packages" "')[2].partition("\n")[0].removesuffix(".").split('" to "')
    packages = [changed.rstrip('"') if entry == before else entry for entry in FLUX["python_packages"]]
    found = of_target(fleet.lock({**FLUX, "python_packages": packages}, python="3.12"))
    assert found.items() >= {"torch": "2.14.0", "diffusers": "0.24.0", "huggingface-hub": "0.25.2"}.items()
    again = {**FLUX, "schema_version": 3, "python": {"version": "3.11"}}
    assert of_target(fleet.lock(again, python="3.12"))["torch"] == "2.1.0"


def test_adding_the_field_to_a_version_adds_what_it_names(fleet: Fleet) -> None:
    bare = {**WAN, "python_packages": []}
    before = fleet.lock(bare)
    fleet.index.wheel("numpy", "2.6.0")
    after_edit = fleet.lock(WAN, before)
    kept = {package["name"]: package["sha256"] for package in before["targets"]["default"]["packages"]}
    now = {package["name"]: package["sha256"] for package in after_edit["targets"]["default"]["packages"]}
    assert now.items() > kept.items()
    assert now.keys() - kept.keys() == {"sageattention", "onnx", "onnxruntime-gpu"}
    assert environment(after_edit) != environment(before)
    assert environment(fleet.lock(bare, after_edit)) == environment(before)


def test_nodes_whose_files_are_named_or_written_otherwise(fleet: Fleet, forge: Forge) -> None:
    files = {"requirements.txt": "absent==1\n", "needs/gpu.txt": "onnx\n"}
    forge.repository("people/node").commit(files)
    node = {"repo": "https://github.com/people/node", "ref": "main"}
    base = {**WAN, "schema_version": 3, "python_packages": []}
    for requirements, asked in (
        ("needs/gpu.txt", {"onnx"}),
        (["diffusers"], {"diffusers"}),
        ([], set()),
        (False, set()),
    ):
        lock = fleet.lock({**base, "custom_nodes": [{**node, "requirements": requirements}]})
        packages = lock["targets"]["default"]["packages"]
        assert {package["name"] for package in packages if "node:node" in package["required_by"]} == asked
    with pytest.raises(FleetError, match="no package absent"):
        fleet.lock({**base, "custom_nodes": [node]})


def test_the_documentation_shows_these_specs() -> None:
    blocks = re.findall(r"```json\n(.*?)```", DOCUMENTATION.read_text(), re.DOTALL)
    shown = [json.loads(block) for block in blocks]
    assert shown == [WAN, {**FLUX, "version_id": "flux-exact", "env": {"COMFY_PYTHON": "python3.11"}}]
