# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The strict meaning of specs."""

from __future__ import annotations

import json
import pathlib
import subprocess
import typing as t

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.comfyops.fleet.plugins.plugin_utils.spec.git_revisions import ref_problem
from ansible_collections.comfyops.fleet.plugins.plugin_utils.spec.load import known_versions, load
from ansible_collections.comfyops.fleet.plugins.plugin_utils.spec.model_source import ModelSource
from ansible_collections.comfyops.fleet.plugins.plugin_utils.spec.model_sources import read_source

if t.TYPE_CHECKING:
    from tests.unit.spec.conftest import Document, Specs

HEX40 = "637221995f7424a561bd825de3e61ea117dfe1e3"
HEX64 = "37f9a931c215f040aa6d50f711f2cb115f713c46df1d0d6469a8bd7bfe9a60bb"
SHIPPED = pathlib.Path(__file__).resolve().parents[3] / "versions"


def test_all_keys_are_always_there(specs: Specs) -> None:
    repo = "https://github.com/comfyanonymous/ComfyUI"
    assert specs.normalized({"comfy": {"repo": repo}}) == {
        "version_id": "x",
        "comfy": {"repo": repo, "ref": None, "commit": None},
        "custom_nodes": [],
        "models": [],
        "python_packages": [],
        "python": {
            "version": None,
            "targets": {"default": {"version": None, "platform": None, "accelerator": None, "match": {}}},
            "indexes": [],
            "resolution": "strict",
            "overrides": [],
            "exclude": [],
            "build": [],
            "providers": {},
            "provided": [],
            "exclude_newer": None,
        },
        "env": {},
        "options": {"offline": False, "skip_models": False},
        "system": {"commands": [], "libraries": [], "apt": []},
        "launch": {"args": [], "instances": [], "offline": False},
        "smoke": {"workflow": None},
        "verify": {"imports": []},
        "policy": {"allow_http": False, "pickle": "allow", "unhashed": "refuse"},
    }


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ({"commit": HEX40.upper()}, {"ref": None, "commit": HEX40}),
        ({"ref": "v1", "commit": HEX40}, {"ref": "v1", "commit": HEX40}),
        ({"commit": "main"}, {"ref": "main", "commit": None}),
        ({"ref": "main", "commit": "main"}, {"ref": "main", "commit": None}),
        ({"ref": HEX40.upper()}, {"ref": None, "commit": HEX40}),
        ({"ref": "refs/pull/5/head"}, {"ref": "refs/pull/5/head", "commit": None}),
    ],
)
def test_revisions(specs: Specs, entry: Document, expected: Document) -> None:
    repo = {"repo": "https://github.com/org/repo.git/"}
    normalized = specs.normalized({"comfy": {**repo, **entry}, "custom_nodes": [{**repo, **entry}]})
    assert normalized["comfy"] == {**repo, **expected}
    assert {key: normalized["custom_nodes"][0][key] for key in expected} == expected


@pytest.mark.parametrize(
    ("entry", "name", "directory"),
    [
        ({"repo": "https://github.com/org/Node"}, "Node", "Node"),
        ({"repo": "https://github.com/org/Node.git"}, "Node", "Node"),
        ({"repo": "https://github.com/org/Node.git/"}, "Node", "Node"),
        ({"repo": "git@github.com:org/Node.git"}, "Node", "Node"),
        ({"repo": "git@github.com:Node.git"}, "Node", "Node"),
        ({"repo": "ssh://git@github.com:22/org/Node"}, "Node", "Node"),
        ({"repo": "file:///srv/git/Node.git"}, "Node", "Node"),
        ({"repo": "https://h.org/r", "name": "Other Name"}, "Other Name", "Other Name"),
        ({"repo": "https://h.org/r", "target_dir": "$COMFY_HOME/custom_nodes/d"}, "d", "d"),
        ({"repo": "https://h.org/r", "target_dir": "${COMFY_HOME}/custom_nodes/d/"}, "d", "d"),
        ({"repo": "https://h.org/r", "target_dir": "custom_nodes/d"}, "d", "d"),
        ({"repo": "https://h.org/r", "name": "n/m", "target_dir": "$COMFY_HOME/custom_nodes/d"}, "n/m", "d"),
    ],
)
def test_names_of_nodes(specs: Specs, entry: Document, name: str, directory: str) -> None:
    node = specs.normalized({"custom_nodes": [entry]})["custom_nodes"][0]
    assert (node["name"], node["directory"], node["repo"]) == (name, directory, entry["repo"])


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ({}, True),
        ({"install_requirements": True}, True),
        ({"install_requirements": False}, False),
        ({"requirements": False}, False),
        ({"requirements": True}, True),
        ({"requirements": "reqs/gpu.txt"}, "reqs/gpu.txt"),
        ({"requirements": ["numpy", " einops>=0.7 --no-cache-dir"]}, ["numpy", "einops>=0.7"]),
        ({"requirements": []}, []),
    ],
)
def test_requirements_of_nodes(specs: Specs, entry: Document, expected: object) -> None:
    content = {"schema_version": 3, "custom_nodes": [{"repo": "https://h.org/r", **entry}]}
    assert specs.normalized(content)["custom_nodes"][0]["requirements"] == expected


def test_a_node_with_everything(specs: Specs) -> None:
    node = {
        "repo": "https://h.org/r",
        "submodules": False,
        "install_script": True,
        "enabled": False,
        "registry": {"id": "r", "version": None},
        "writable": ["config.json", "cache/x"],
    }
    assert specs.normalized({"schema_version": 3, "custom_nodes": [node]})["custom_nodes"] == [
        {
            "name": "r",
            "directory": "r",
            "repo": "https://h.org/r",
            "ref": None,
            "commit": None,
            "requirements": True,
            "submodules": False,
            "install_script": "install.py",
            "enabled": False,
            "registry": {"id": "r", "version": None},
            "writable": ["config.json", "cache/x"],
        }
    ]


@pytest.mark.parametrize(
    ("written", "text", "file_name"),
    [
        ("hf://org/repo/a/f.pt", "hf://org/repo@main/a/f.pt", "f.pt"),
        ("hf://org/repo@v1/f.pt", "hf://org/repo@v1/f.pt", "f.pt"),
        ("hf://org/repo/f.pt?rev=v1", "hf://org/repo@v1/f.pt", "f.pt"),
        ("hf://org/repo/f.pt?revision=v1", "hf://org/repo@v1/f.pt", "f.pt"),
        ("hf://org/repo@v1/f.pt?rev=v1", "hf://org/repo@v1/f.pt", "f.pt"),
        ("hf://org/repo@refs%2Fpr%2F1/f.pt", "hf://org/repo@refs%2Fpr%2F1/f.pt", "f.pt"),
        ("hf://org/repo@refs/pr/1/f.pt", "hf://org/repo@refs%2Fpr%2F1/f.pt", "f.pt"),
        ("hf://datasets/org/repo/a/f.onnx", "hf://datasets/org/repo@main/a/f.onnx", "f.onnx"),
        ("hf://org/repo/a%20b.pt", "hf://org/repo@main/a b.pt", "a b.pt"),
        ("hf://org/repo/merges", "hf://org/repo@main/merges", "merges"),
        ("hf://org/repo/a/", "hf://org/repo@main/a/", None),
        ("hf://org/repo/", "hf://org/repo@main/", None),
        ("hf://org/repo@v1/a/*.safetensors", "hf://org/repo@v1/a/*.safetensors", None),
        ("civitai://55", "civitai://55", None),
        ("civitai://models/55", "civitai://55", None),
        ("civitai://model-versions/55", "civitai://55", None),
        ("civitai://api/download/models/55", "civitai://55", None),
        (
            "civitai://api/download/models/55?format=SafeTensor&type=Model",
            "civitai://55?type=Model&format=SafeTensor",
            None,
        ),
        ("civitai://55?fileId=7&fp=fp16", "civitai://55?fp=fp16&fileId=7", None),
        ("urn:air:sdxl:lora:civitai:328553@368189", "civitai://368189?model=328553", None),
        (
            "urn:air:sdxl:lora:civitai:328553@368189.safetensors",
            "civitai://368189?format=SafeTensor&model=328553",
            None,
        ),
        (
            "urn:air:sdxl:checkpoint:civitai:827184@2514310+2402203",
            "civitai://2514310?fileId=2402203&model=827184",
            None,
        ),
        ("air:sdxl:checkpoint:civitai:827184@2514310", "civitai://2514310?model=827184", None),
        ("sdxl:checkpoint:civitai:827184@2514310", "civitai://2514310?model=827184", None),
        ("urn:air:civitai:827184@2514310.gguf", "civitai://2514310?format=GGUF&model=827184", None),
        (
            "urn:air:sdxl:vae:huggingface:org/repo@v1:a/f.safetensors",
            "hf://org/repo@v1/a/f.safetensors",
            "f.safetensors",
        ),
        ("urn:air:model:huggingface:org/repo:f.pt", "hf://org/repo@main/f.pt", "f.pt"),
        ("https://huggingface.co/org/repo/resolve/main/a/f.pt?download=true", "hf://org/repo@main/a/f.pt", "f.pt"),
        ("https://hf.co/org/repo/resolve/refs%2Fpr%2F1/f.pt", "hf://org/repo@refs%2Fpr%2F1/f.pt", "f.pt"),
        ("https://huggingface.co/datasets/o/r/resolve/v1/a%20b.pt", "hf://datasets/o/r@v1/a b.pt", "a b.pt"),
        ("https://h.org/a/f.pt", "https://h.org/a/f.pt", "f.pt"),
        ("https://h.org/a/f%20g.pt?download=true", "https://h.org/a/f%20g.pt?download=true", "f g.pt"),
        ("https://civitai.com/api/download/models/5?type=VAE", "civitai://5?type=VAE", None),
        ("https://civitai.red/models/1/a-name?modelVersionId=55", "civitai://55?model=1", None),
        ("https://www.civitai.com/models/1?modelVersionId=55&tab=x", "civitai://55?model=1", None),
        ("HTTPS://h.org/f.pt", "HTTPS://h.org/f.pt", "f.pt"),
        ("gs://bucket/a/f.pt", "gs://bucket/a/f.pt", "f.pt"),
        ("gs://bucket/a/f.pt#17", "gs://bucket/a/f.pt#17", "f.pt"),
        ("gs://bucket/f.pt?generation=17", "gs://bucket/f.pt#17", "f.pt"),
        ("gs://bucket/f.pt#17?endpoint=https://h.org/", "gs://bucket/f.pt#17?endpoint=https://h.org", "f.pt"),
        ("s3://bucket/a/f.pt", "s3://bucket/a/f.pt", "f.pt"),
        ("s3://my_bucket/a%20b%3F.pt", "s3://my_bucket/a%20b%3F.pt", "a b?.pt"),
        (
            "s3://bucket/f.pt?versionId=a.b_c&region=eu-central-1&endpoint=http://127.0.0.1:9000/",
            "s3://bucket/f.pt?endpoint=http://127.0.0.1:9000&region=eu-central-1&versionId=a.b_c",
            "f.pt",
        ),
        ("file:///mnt/models/f.pt", "file:///mnt/models/f.pt", "f.pt"),
    ],
)
def test_sources(written: str, text: str, file_name: str | None) -> None:
    source = read_source(written, allow_http=False)
    assert isinstance(source, ModelSource)
    assert (source.text, source.file_name) == (text, file_name)
    again = read_source(source.text, allow_http=False)
    assert isinstance(again, ModelSource)
    assert again.text == source.text
    assert again.quirk is None


@pytest.mark.parametrize(
    ("written", "text", "folder"),
    [
        ("https://huggingface.co/org/repo/blob/main/a/f.pt", "hf://org/repo@main/a/f.pt", False),
        ("https://huggingface.co/org/repo/raw/main/f.json", "hf://org/repo@main/f.json", False),
        ("https://huggingface.co/org/repo/tree/v1/a/b", "hf://org/repo@v1/a/b/", True),
        ("https://huggingface.co/org/repo/tree/main", "hf://org/repo@main/", True),
    ],
)
def test_pages_of_the_hub_are_taken_for_what_they_show(written: str, text: str, folder: bool) -> None:
    source = read_source(written, allow_http=False)
    assert isinstance(source, ModelSource)
    assert (source.text, source.folder) == (text, folder)
    assert source.quirk
    assert source.quirk.remedy == f"Write {text}"


@pytest.mark.parametrize(
    ("entry", "path"),
    [
        ({"target_subdir": "loras"}, "$MODELS_DIR/loras/f.pt"),
        ({"target_subdir": "loras/wan/"}, "$MODELS_DIR/loras/wan/f.pt"),
        ({"target_subdir": "$MODELS_DIR/loras"}, "$MODELS_DIR/loras/f.pt"),
        ({"target_subdir": "$COMFY_HOME/models/loras"}, "$MODELS_DIR/loras/f.pt"),
        ({"target_subdir": "loras", "name": "g.pt"}, "$MODELS_DIR/loras/g.pt"),
        ({"target_path": "$MODELS_DIR/vae/g.pt"}, "$MODELS_DIR/vae/g.pt"),
        ({"target_path": "${MODELS_DIR}/vae/g.pt"}, "$MODELS_DIR/vae/g.pt"),
        ({"target_path": "$COMFY_HOME/models/vae/g.pt"}, "$MODELS_DIR/vae/g.pt"),
        ({"target_path": "vae/g.pt"}, "$MODELS_DIR/vae/g.pt"),
        ({"target_path": "$MODELS_DIR/vae/"}, "$MODELS_DIR/vae/f.pt"),
        ({"path": "$MODELS_DIR/vae/g.pt"}, "$MODELS_DIR/vae/g.pt"),
        ({"path": "vae/g.pt", "target_path": "$MODELS_DIR/vae/g.pt"}, "$MODELS_DIR/vae/g.pt"),
        ({"target_path": "vae/g.pt", "target_subdir": "vae"}, "$MODELS_DIR/vae/g.pt"),
        ({"target_path": "$COMFY_HOME/custom_nodes/n/ckpts/g.pth"}, "$COMFY_HOME/custom_nodes/n/ckpts/g.pth"),
        ({"target_path": "$XDG_CACHE_HOME/torch/hub/g.pth"}, "$XDG_CACHE_HOME/torch/hub/g.pth"),
        ({"target_subdir": "${XDG_CACHE_HOME}/u2net"}, "$XDG_CACHE_HOME/u2net/f.pt"),
    ],
)
def test_targets(specs: Specs, entry: Document, path: str) -> None:
    content = {"custom_nodes": [{"repo": "https://h.org/n"}], "models": [{"source": "hf://o/r/f.pt", **entry}]}
    assert specs.normalized(content)["models"][0]["paths"] == [path]
    assert specs.load().warnings == []


INDEX = {"name": "pytorch-cu130", "url": "https://h.org/whl/cu130", "packages": ["torch", "Torch_Vision"]}
UNSAID: Document = {"sha256": None, "size": None, "optional": False, "hf_cache": False}


def test_models(specs: Specs) -> None:
    content = {
        "schema_version": 3,
        "models": [
            {
                "source": "hf://o/r/f.pt",
                "target_subdir": "loras",
                "checksum": f"SHA256:{HEX64.upper()}",
                "size": 5.0,
                "optional": True,
            },
            {"source": "civitai://55", "target_path": "loras/style.safetensors"},
            {"source": "hf://o/r/transformer/*.safetensors", "target_subdir": "diffusers/r"},
        ],
    }
    assert specs.normalized(content)["models"] == [
        {
            "name": "f.pt",
            "source": "hf://o/r@main/f.pt",
            "paths": ["$MODELS_DIR/loras/f.pt"],
            "sha256": HEX64,
            "size": 5,
            "optional": True,
            "hf_cache": False,
        },
        {
            "name": "style.safetensors",
            "source": "civitai://55",
            "paths": ["$MODELS_DIR/loras/style.safetensors"],
            **UNSAID,
        },
        {
            "name": "r",
            "source": "hf://o/r@main/transformer/*.safetensors",
            "paths": ["$MODELS_DIR/diffusers/r/"],
            **UNSAID,
        },
    ]


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("hf://org/repo/a/f.pt", "f.pt"),
        ("hf://org/repo/", "repo"),
        ("hf://org/repo@v1/*.json", "repo"),
        ("hf://org/repo/a/b/*.json", "b"),
    ],
)
def test_a_model_that_is_only_in_the_cache_of_the_hub(specs: Specs, source: str, name: str) -> None:
    content = {"schema_version": 3, "models": [{"source": source, "hf_cache": True}]}
    [model] = specs.normalized(content)["models"]
    assert (model["name"], model["paths"], model["hf_cache"]) == (name, [], True)
    assert specs.load().warnings == []


PACKAGE_WHEEL = "https://h.org/sageattention-2.2.0%2Bcu130-cp312-cp312-linux_x86_64.whl"
PACKAGES: list[t.Any] = [
    " onnx>=1.14 ",
    "name[extra]>=2,<3 ; python_version<'3.13'",
    "sageattention-x --no-build-isolation",
    "--upgrade",
    "onnx>=1.14",
    {"requirement": "torch==2.9.0", "index": "pytorch-cu130"},
    {"requirement": "numpy", "index": "pypi"},
    {"name": "sageattention", "url": PACKAGE_WHEEL, "sha256": HEX64.upper()},
    f"clip @ git+https://github.com/openai/CLIP.git@{HEX40}#subdirectory=a/b",
    {"name": "other", "git": "ssh://git@github.com/o/r", "commit": HEX40, "submodules": False},
    f"source @ https://h.org/v1.tar.gz#sha256={HEX64}",
    f"flash_attn @ https://h.org/flash_attn-2.8-py3-none-any.whl#sha256={HEX64}",
    "torch==2.9.0 ; sys_platform == 'linux'",
]


def test_python_packages(specs: Specs) -> None:
    content = {"schema_version": 3, "python_packages": PACKAGES, "python": {"indexes": [INDEX]}}
    normalized = specs.normalized(content)
    folder = {"subdirectory": "a/b", "submodules": True}
    assert normalized["python_packages"] == [
        {"requirement": "onnx>=1.14", "index": None},
        {"requirement": "name[extra]>=2,<3 ; python_version<'3.13'", "index": None},
        {"requirement": "sageattention-x", "index": None},
        {"requirement": "torch==2.9.0", "index": "pytorch-cu130"},
        {"requirement": "numpy", "index": "pypi"},
        {"name": "sageattention", "url": PACKAGE_WHEEL, "sha256": HEX64},
        {"name": "clip", "git": "https://github.com/openai/CLIP.git", "commit": HEX40, **folder},
        {
            "name": "other",
            "git": "ssh://git@github.com/o/r",
            "commit": HEX40,
            "subdirectory": None,
            "submodules": False,
        },
        {"name": "source", "url": "https://h.org/v1.tar.gz", "sha256": HEX64},
        {"name": "flash_attn", "url": "https://h.org/flash_attn-2.8-py3-none-any.whl", "sha256": HEX64},
        {"requirement": "torch==2.9.0 ; sys_platform == 'linux'", "index": None},
    ]
    assert normalized["python"]["indexes"][0]["packages"] == ["torch", "torch-vision"]
    assert [(finding.pointer, finding.severity) for finding in specs.load().warnings] == [
        ("/python_packages/2", "warning"),
        ("/python_packages/3", "warning"),
        ("/python_packages/4", "warning"),
    ]


@pytest.mark.parametrize(
    "requirements",
    [
        ["a==1.0", "a==1"],
        ["a==2.1.0", "a==2.1.0+cu121"],
        ["a>=1", "a<3", "a!=2"],
        ["a>=2", "a<=2"],
        ["a==1 ; sys_platform=='linux'", "a==2 ; sys_platform!='linux'"],
        ["a>=1.0rc1", "a<1.0"],
        ["a~=2.1", "a<3"],
        ["a==2.*", "a>=2.5"],
    ],
)
def test_requirements_that_agree(specs: Specs, requirements: list[str]) -> None:
    assert len(specs.normalized({"python_packages": requirements})["python_packages"]) == len(requirements)


@pytest.mark.parametrize(
    ("named", "version"),
    [
        ("python3.11", "3.11"),
        ("3.12.1", "3.12.1"),
        ("python3.12.1", "3.12.1"),
        ("/usr/bin/python3.13", "3.13"),
        ("python3", None),
        ("/opt/venv/bin/python", None),
    ],
)
def test_comfy_python(specs: Specs, named: str, version: str | None) -> None:
    normalized = specs.normalized({"env": {"COMFY_PYTHON": named}})
    assert normalized["env"] == {"COMFY_PYTHON": named}
    assert normalized["python"]["version"] == version


def test_python_version_counts_before_comfy_python(specs: Specs) -> None:
    content = {"schema_version": 3, "python": {"version": "3.12.4"}, "env": {"COMFY_PYTHON": "python3.12"}}
    assert specs.normalized(content)["python"]["version"] == "3.12.4"
    assert specs.load().warnings == []


def test_launch_and_system(specs: Specs) -> None:
    content = {
        "schema_version": 3,
        "launch": {
            "args": ["--cpu"],
            "instances": [{"name": "a", "gpu": 0, "port": 8188}, {"name": "b", "gpu": "1,2", "args": ["--lowvram"]}],
            "offline": True,
        },
        "system": {"apt": ["libgl1", "ffmpeg", "libgl1"], "commands": ["ffmpeg"], "libraries": ["libGL.so.1"]},
        "smoke": {"workflow": "workflows/smoke.json"},
        "verify": {"imports": ["torch", "cv2", "torch"]},
    }
    normalized = specs.normalized(content)
    assert normalized["launch"] == {
        "args": ["--cpu"],
        "instances": [
            {"name": "a", "gpu": "0", "port": 8188, "args": []},
            {"name": "b", "gpu": "1,2", "port": None, "args": ["--lowvram"]},
        ],
        "offline": True,
    }
    assert normalized["system"] == {"commands": ["ffmpeg"], "libraries": ["libGL.so.1"], "apt": ["ffmpeg", "libgl1"]}
    assert normalized["smoke"] == {"workflow": "workflows/smoke.json"}
    assert normalized["verify"] == {"imports": ["cv2", "torch"]}


def test_builds_and_what_the_image_provides(specs: Specs) -> None:
    further = {"name": "Flash_Attn", "requires": ["torch", "ninja>=1.11"], "env": {"MAX_JOBS": "4"}}
    python = {"build": ["insightface", further], "provided": ["torch==2.9.0a0+nv25.10"]}
    normalized = specs.normalized({"schema_version": 3, "python": python})["python"]
    assert normalized["build"] == [
        {"name": "flash-attn", "requires": ["torch", "ninja>=1.11"], "env": {"MAX_JOBS": "4"}},
        {"name": "insightface", "requires": [], "env": {}},
    ]
    assert normalized["provided"] == ["torch==2.9.0a0+nv25.10"]


# The two examples of the field that this format comes from, with the parts that they leave out filled in.
FIELD = {
    "wan22-fast": {
        "schema_version": 2,
        "version_id": "wan22-fast",
        "comfy": {"repo": "https://github.com/comfyanonymous/ComfyUI", "ref": "master"},
        "custom_nodes": [{"repo": "https://github.com/kijai/ComfyUI-WanVideoWrapper"}],
        "models": [{"source": "hf://Kijai/WanVideo_comfy/Wan2_1_VAE_bf16.safetensors", "target_subdir": "vae"}],
        "python_packages": ["sageattention", "onnx", "onnxruntime-gpu"],
    },
    "flux": {
        "schema_version": 2,
        "version_id": "flux",
        "comfy": {"repo": "https://github.com/comfyanonymous/ComfyUI"},
        "python_packages": ["torch==2.1.0", "transformers>=4.35.0", "diffusers==0.24.0"],
        "env": {},
        "options": {},
    },
}


@pytest.mark.parametrize("version", FIELD)
def test_specs_of_the_field_are_accepted_as_they_are(specs: Specs, version: str) -> None:
    packages = specs.normalized(FIELD[version], version)["python_packages"]
    assert [package["requirement"] for package in packages] == FIELD[version]["python_packages"]
    assert specs.load(version).warnings == []


def test_the_shipped_versions_are_clean() -> None:
    assert {"comfyui-cpu", "wan22-fast"} <= set(known_versions(SHIPPED))
    for version in known_versions(SHIPPED):
        assert load(SHIPPED, version).warnings == []


def test_the_shipped_versions_are_complete() -> None:
    cpu = load(SHIPPED, "comfyui-cpu").normalized
    assert cpu["comfy"]["commit"]
    assert len(cpu["custom_nodes"]) >= 4
    assert all(node["commit"] for node in cpu["custom_nodes"])
    assert cpu["python"]["targets"]["cpu"]["accelerator"] == "cpu"
    assert cpu["python"]["indexes"][0]["packages"] == ["torch", "torchaudio", "torchvision"]
    wan = load(SHIPPED, "wan22-fast").normalized
    assert len(wan["custom_nodes"]) >= 7
    assert len(wan["models"]) >= 12
    assert wan["python"]["version"] == "3.12"
    assert {"sageattention", "onnx", "onnxruntime-gpu"} <= {one["requirement"] for one in wan["python_packages"]}


REF_TEXT = st.text(st.sampled_from("ab.-/~^:?*[\\@{} \x7flock"), max_size=12)


@given(st.one_of(REF_TEXT, REF_TEXT.map("a{}.lock".format), REF_TEXT.map("a/{}/b".format)))
def test_refs_are_those_that_git_takes(ref: str) -> None:
    """As git check-ref-format has it, but for a dash at the beginning, which it leaves to commands to refuse."""
    checked = subprocess.run(["git", "check-ref-format", "--allow-onelevel", ref], check=False)
    assert (ref_problem(ref) is None) == (checked.returncode == 0 and not ref.startswith("-"))


def test_the_meaning_can_be_written_as_json(specs: Specs) -> None:
    specs.write("x", {"env": {"B": "\u00e9", "A": "1"}})
    text = json.dumps(specs.load().normalized)
    assert json.loads(text) == specs.load().normalized
