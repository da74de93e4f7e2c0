# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Of packages that fill one module one is locked, and shims for the others; what the host's image brings."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.packages import Demand
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.provider_groups import GROUPS
from tests.support.forge.distributions import Project, wheel

if t.TYPE_CHECKING:
    from tests.unit.resolve.conftest import Document, Resolver

CONTRIB = "opencv-contrib-python-headless"
OPENCV = ("opencv-python", "opencv-python-headless", "opencv-contrib-python", CONTRIB)


def core(*lines: str) -> Demand:
    return Demand("core", "requirements.txt", lines)


def node(name: str, *lines: str) -> Demand:
    return Demand(f"node:{name}", "requirements.txt", lines)


def publish(resolver: Resolver, *versions: str, names: t.Sequence[str] = OPENCV, **more: t.Any) -> None:
    """Packages with the same module in the same versions, each with a content of its own."""
    for name in names:
        for version in versions:
            module = more.get("module", "cv2")
            files = {f"{module}/__init__.py": f"FROM = {name!r}\n" * 40, f"{module}/data.py": f"{name}\n"}
            resolver.default.wheel(name, version, modules=files)


def locked(target: Document) -> dict[str, tuple[str, str]]:
    """Version, and the source or for shims the provider, by name; less pip."""
    return {
        each["name"]: (each["version"], each["provider"] or each["source"])
        for each in target["packages"]
        if each["name"] != "pip"
    }


def fault(resolver: Resolver, *demands: Demand, **given: t.Any) -> str:
    """What a failing resolution says."""
    with pytest.raises(FleetError) as caught:
        resolver(*demands, **given)
    return str(caught.value)


# Choice


@pytest.mark.parametrize(
    ("module", "asked", "accelerator", "choice"),
    [
        ("cv2", ["opencv-python", "opencv-python-headless"], None, "opencv-python-headless"),
        ("cv2", ["opencv-python", "opencv-contrib-python"], None, CONTRIB),
        ("onnxruntime", ["onnxruntime", "onnxruntime-gpu"], "cu130", "onnxruntime-gpu"),
        ("onnxruntime", ["onnxruntime", "onnxruntime-gpu"], "cpu", "onnxruntime"),
        ("onnxruntime", ["onnxruntime", "onnxruntime-gpu"], "rocm", "onnxruntime"),
        ("onnxruntime", ["onnxruntime", "onnxruntime-gpu"], None, "onnxruntime-gpu"),
        ("onnxruntime", ["onnxruntime-gpu"], "cpu", "onnxruntime"),
        ("cupy", ["cupy-cuda12x", "cupy-cuda13x"], "cu126", "cupy-cuda12x"),
        ("cupy", ["cupy-cuda12x", "cupy-cuda13x"], "cu130", "cupy-cuda13x"),
        ("cupy", ["cupy-cuda12x", "cupy"], "cpu", "cupy"),
        ("cupy", ["cupy-cuda12x"], "cpu", "cupy-cuda12x"),
        ("pynvml", ["pynvml", "nvidia-ml-py"], "cu130", "nvidia-ml-py"),
    ],
)
def test_the_choice_of_a_known_group(module: str, asked: list[str], accelerator: str | None, choice: str) -> None:
    group = next(group for group in GROUPS if group.module == module)
    assert group.choice(asked, accelerator) == choice


# Known groups


def test_four_opencv_packages_become_one(resolver: Resolver) -> None:
    publish(resolver, "4.10.0.84", "4.11.0.86", "5.0.0.93")
    demands = [core("opencv-python<5"), node("a", "opencv-python-headless>=4.10"), node("b", "opencv-contrib-python")]
    target = resolver(*demands)
    assert locked(target) == {
        "opencv-contrib-python": ("4.11.0.86", CONTRIB),
        CONTRIB: ("4.11.0.86", "index"),
        "opencv-python": ("4.11.0.86", CONTRIB),
        "opencv-python-headless": ("4.11.0.86", CONTRIB),
    }
    by_name = {each["name"]: each for each in target["packages"]}
    shim = by_name["opencv-python"]
    assert (shim["source"], shim["index"], shim["url"], shim["required_by"]) == ("shim", None, None, ["core"])
    assert shim["file"] == "opencv_python-4.11.0.86-py3-none-any.whl"
    assert shim["requires"] == [f"{CONTRIB}==4.11.0.86"]
    assert by_name[CONTRIB]["required_by"] == [f"package:{name}" for name in sorted(set(OPENCV) - {CONTRIB})]
    assert target["replaced"] == []
    (note,) = resolver.notes
    assert note.endswith(
        f"the module cv2 comes from {CONTRIB} 4.11.0.86 alone: opencv-python-headless, opencv-contrib-python,"
        " opencv-python would fill it too, and are met without content; for another one add to python.providers"
        ' {"cv2": "opencv-python-headless"}'
    )


def test_packages_that_ask_for_one_are_found_in_the_answer(resolver: Resolver) -> None:
    publish(resolver, "4.10", "4.11", "5.0", names=OPENCV)
    resolver.default.wheel("faces", "1.0", requires=["opencv-python<5"])
    resolver.default.wheel("depth", "1.0", requires=["opencv-contrib-python!=4.11"])
    assert locked(resolver(core("opencv-python-headless"), node("a", "faces"))) == {
        "faces": ("1.0", "index"),
        "opencv-python": ("4.11", "opencv-python-headless"),
        "opencv-python-headless": ("4.11", "index"),
    }
    assert locked(resolver(core("opencv-python-headless"), node("a", "faces", "depth"))) == {
        "depth": ("1.0", "index"),
        "faces": ("1.0", "index"),
        CONTRIB: ("4.10", "index"),
        "opencv-contrib-python": ("4.10", CONTRIB),
        "opencv-python": ("4.10", CONTRIB),
        "opencv-python-headless": ("4.10", CONTRIB),
    }


def test_one_alone_stays_as_it_is_asked_for(resolver: Resolver) -> None:
    publish(resolver, "4.10")
    publish(resolver, "1.2", names=["onnxruntime-gpu", "onnxruntime"], module="onnxruntime")
    lines = core("opencv-python", "onnxruntime-gpu")
    assert locked(resolver(lines)) == {"onnxruntime-gpu": ("1.2", "index"), "opencv-python": ("4.10", "index")}
    assert not resolver.notes
    assert locked(resolver(lines, accelerator="cpu")) == {
        "onnxruntime": ("1.2", "index"),
        "onnxruntime-gpu": ("1.2", "onnxruntime"),
        "opencv-python": ("4.10", "index"),
    }


def test_a_package_that_makes_no_use_of_the_accelerator_is_told(resolver: Resolver) -> None:
    publish(resolver, "1.2", names=["onnxruntime"], module="onnxruntime")
    resolver(core("onnxruntime"), accelerator="cu130")
    assert resolver.notes[-1].endswith(
        "onnxruntime makes no use of the target's cu130; for that add to python.providers"
        ' {"onnxruntime": "onnxruntime-gpu"}'
    )


def test_a_package_for_another_accelerator_is_told(resolver: Resolver) -> None:
    publish(resolver, "14.0.0", names=["cupy-cuda12x", "cupy-cuda13x"], module="cupy")
    resolver(core("cupy-cuda12x"), accelerator="cu130")
    assert [note.partition("): ")[2] for note in resolver.notes] == [
        "cupy-cuda12x was made for cu12, and the target's accelerator is cu130; for that add to python.providers"
        ' {"cupy": "cupy-cuda13x"}'
    ]
    resolver.notes.clear()
    target = resolver(core("cupy-cuda12x"), accelerator="cu130", providers={"cupy": "cupy-cuda13x"})
    assert locked(target)["cupy-cuda12x"] == ("14.0.0", "cupy-cuda13x")
    assert not any("was made for" in note for note in resolver.notes)


def test_a_release_that_was_taken_back_is_had_where_it_is_named(resolver: Resolver) -> None:
    for name in OPENCV:
        resolver.default.yank(resolver.default.wheel(name, "4.10.0.82"), "broken")
        resolver.default.wheel(name, "4.10.0.84")
    spec: list[Document | str] = ["opencv-python-headless==4.10.0.82"]
    found = locked(resolver(core("opencv-python"), spec=spec))
    assert {name: version for name, (version, _source) in found.items()} == {
        "opencv-python": "4.10.0.82",
        "opencv-python-headless": "4.10.0.82",
    }


def test_the_spec_chooses(resolver: Resolver) -> None:
    publish(resolver, "4.10")
    providers = {"cv2": "opencv-contrib-python"}
    assert locked(resolver(core("opencv-python"), providers=providers)) == {
        "opencv-contrib-python": ("4.10", "index"),
        "opencv-python": ("4.10", "opencv-contrib-python"),
    }
    assert "python.providers says so" in resolver.notes[-1]
    resolver.default.wheel("my-opencv", "4.10", modules={"cv2/__init__.py": "OWN = True\n"})
    assert locked(resolver(core("opencv-python"), providers={"cv2": "my-opencv"})) == {
        "my-opencv": ("4.10", "index"),
        "opencv-python": ("4.10", "my-opencv"),
    }
    assert locked(resolver(core("pip"), providers=providers)) == {}
    assert "python.providers names opencv-contrib-python for cv2, and no package that fills it" in resolver.notes[-1]


def test_a_choice_that_the_target_cannot_have_is_not_proposed(resolver: Resolver) -> None:
    publish(resolver, "12.3.0", names=["pillow"], module="PIL")
    resolver.default.sdist("pillow-simd", "9.5.0")
    resolver(core("pillow", "Pillow-SIMD"))
    assert [note.partition("): ")[2] for note in resolver.notes] == [
        "the module PIL comes from pillow 12.3.0 alone: pillow-simd would fill it too, and is met without content"
    ]


def test_a_source_archive_is_stood_for_by_its_wheel(resolver: Resolver) -> None:
    """cupy and dlib have no wheels: nobody could ask for them without the spec's choice."""
    resolver.default.sdist("cupy", "13.6.0")
    publish(resolver, "13.6.0", "14.0.0", names=["cupy-cuda12x"], module="cupy")
    text = fault(resolver, node("a", "cupy<14"))
    assert "cupy is published as source alone" in text or "cupy==13.6.0 has no wheel" in text
    assert 'Take what fills cupy too: python.providers {"cupy": "cupy-cuda13x"} (or cupy-cuda12x, cupy-cuda11x)' in text
    target = resolver(node("a", "cupy<14"), providers={"cupy": "cupy-cuda12x"})
    assert locked(target) == {"cupy": ("13.6.0", "cupy-cuda12x"), "cupy-cuda12x": ("13.6.0", "index")}


def test_what_the_target_cannot_have_is_not_chosen(resolver: Resolver) -> None:
    publish(resolver, "1.2", names=["onnxruntime"], module="onnxruntime")
    resolver.default.wheel("onnxruntime-gpu", "1.2", tag="cp312-cp312-manylinux_2_28_x86_64")
    asked: Document = {"platform": "aarch64-manylinux_2_28", "accelerator": "cu130"}
    assert locked(resolver(core("onnxruntime", "onnxruntime-gpu"), **asked))["onnxruntime-gpu"] == (
        "1.2",
        "onnxruntime",
    )
    text = fault(resolver, core("onnxruntime"), providers={"onnxruntime": "onnxruntime-gpu"}, **asked)
    assert "onnxruntime-gpu, which is to fill onnxruntime, has no wheel in its index that the target can have" in text


def test_a_release_that_the_provider_has_left_out_is_the_one_next_to_it(resolver: Resolver) -> None:
    publish(resolver, "1.21.0", "1.22.0", names=["onnxruntime", "onnxruntime-gpu"], module="onnxruntime")
    publish(resolver, "1.22.1", names=["onnxruntime"], module="onnxruntime")
    target = resolver(core("onnxruntime==1.22.1"), node("a", "onnxruntime-gpu"), accelerator="cu126")
    assert locked(target) == {"onnxruntime": ("1.22.1", "onnxruntime-gpu"), "onnxruntime-gpu": ("1.22.0", "index")}


def test_versions_that_differ_by_nature_are_not_compared(resolver: Resolver) -> None:
    resolver.default.wheel("pynvml", "11.5.0", modules={"pynvml/__init__.py": "A = 1\n"})
    resolver.default.wheel("pynvml", "13.0", requires=["nvidia-ml-py>=12"], modules={"pynvml_utils/__init__.py": ""})
    resolver.default.wheel("nvidia-ml-py", "13.5", modules={"pynvml.py": "A = 2\n"})
    new = resolver(core("pynvml", "nvidia-ml-py"))
    assert locked(new) == {"nvidia-ml-py": ("13.5", "index"), "pynvml": ("13.0", "index")}
    old = resolver(core("pynvml<12", "nvidia-ml-py"))
    assert locked(old) == {"nvidia-ml-py": ("13.5", "index"), "pynvml": ("11.5.0", "nvidia-ml-py")}


# Wishes that disagree


def test_wishes_that_disagree_and_the_entry_that_settles_them(resolver: Resolver) -> None:
    publish(resolver, "4.8", "4.10", "4.11")
    demands = [core("opencv-python"), node("a", "opencv-python-headless<4.9"), node("b", "opencv-contrib-python>=4.10")]
    text = fault(resolver, *demands)
    assert text.startswith(
        "target gpu (Python 3.12, x86_64-manylinux_2_28): one package fills the module cv2,"
        f" {CONTRIB}, and no version of it suits all:\n"
        "  node a (requirements.txt): opencv-python-headless<4.9\n"
        "  node b (requirements.txt): opencv-contrib-python>=4.10"
    )
    assert f'Put "{CONTRIB}==4.11" into python_packages' in text
    target = resolver(*demands, spec=[f"{CONTRIB}==4.11"])
    assert locked(target)["opencv-python-headless"] == ("4.11", CONTRIB)
    assert target["replaced"] == [
        {
            "owner": "node:a",
            "line": "opencv-python-headless<4.9",
            "by": f"spec: {CONTRIB}==4.11",
            "why": "of cv2: they cannot be met together, and python_packages overrides",
        }
    ]


def test_layered_the_later_wish_wins(resolver: Resolver) -> None:
    publish(resolver, "4.8", "4.10", "4.11")
    demands = [node("a", "opencv-python-headless<4.9"), node("b", "opencv-contrib-python>=4.10")]
    target = resolver(*demands, resolution="layered")
    assert {version for version, _source in locked(target).values()} == {"4.11"}
    assert [each["line"] for each in target["replaced"]] == ["opencv-python-headless<4.9"]


def test_a_file_by_its_url_is_the_provider(resolver: Resolver) -> None:
    publish(resolver, "4.10", "4.11")
    own = resolver.forge.index("files").wheel("opencv-python", "4.10", modules={"cv2/__init__.py": "CUDA = True\n"})
    entry = {"name": "opencv-python", "url": own.url, "sha256": own.sha256}
    target = resolver(node("a", "opencv-python-headless", "opencv-contrib-python>=4.9"), spec=[entry])
    assert locked(target) == {
        "opencv-contrib-python": ("4.10", "opencv-python"),
        "opencv-python": ("4.10", "wheel"),
        "opencv-python-headless": ("4.10", "opencv-python"),
    }


# Another day


def test_a_lock_stays_and_moves_when_asked_to(resolver: Resolver) -> None:
    publish(resolver, "4.10")
    demands = [core("opencv-python"), node("a", "opencv-python-headless")]
    first = resolver(*demands)
    publish(resolver, "4.11")
    assert resolver(*demands, kept=first["packages"]) == first
    moved = resolver(*demands, kept=first["packages"], upgrade=["opencv-python-headless", "opencv-python"])
    assert {version for version, _source in locked(moved).values()} == {"4.11"}
    alone = resolver(core("opencv-python"), kept=first["packages"])
    assert locked(alone) == {"opencv-python": ("4.10", "index")}


# Packages that nobody has listed


def test_builds_of_one_package_are_found_by_their_files(resolver: Resolver) -> None:
    resolver.default.wheel("blend", "1.0", modules={"blend/__init__.py": "A = 1\n" * 99, "blend/core.so": b"one"})
    resolver.default.wheel("blend-cuda", "2.0", modules={"blend/__init__.py": "A = 2\n" * 99, "blend/core.so": b"two"})
    resolver.default.wheel("user", "1.0", requires=["blend>=1"])
    target = resolver(core("user"), node("a", "blend-cuda"))
    assert locked(target) == {"blend": ("1.0", "blend-cuda"), "blend-cuda": ("2.0", "index"), "user": ("1.0", "index")}
    assert 'add to python.providers {"blend": "blend"}' in resolver.notes[-1]
    other = resolver(core("user"), node("a", "blend-cuda"), providers={"blend": "blend"})
    assert locked(other)["blend-cuda"] == ("2.0", "blend")


def test_a_third_package_stands_in_for_builds_that_nobody_has_listed(resolver: Resolver) -> None:
    for name in ("blend", "blend-cuda"):
        resolver.default.wheel(name, "1.0", modules={"blend/__init__.py": f"{name}\n" * 99})
    resolver.default.wheel("blend-ours", "3.0", modules={"blend/__init__.py": "A = 3\n" * 99})
    assert locked(resolver(core("blend", "blend-cuda"), providers={"blend": "blend-ours"})) == {
        "blend": ("1.0", "blend-ours"),
        "blend-cuda": ("1.0", "blend-ours"),
        "blend-ours": ("3.0", "index"),
    }


def test_of_builds_that_nobody_has_listed_one_is_a_file_by_its_url(resolver: Resolver) -> None:
    files = resolver.forge.index("files")
    own = files.wheel("blend-cuda", "2.0+mine", modules={"blend/__init__.py": "A = 2\n" * 99})
    resolver.default.wheel("blend", "1.0", modules={"blend/__init__.py": "A = 1\n" * 99})
    entry = {"name": "blend-cuda", "url": own.url, "sha256": own.sha256}
    target = resolver(core("blend"), spec=[entry])
    assert locked(target) == {"blend": ("1.0", "blend-cuda"), "blend-cuda": ("2.0+mine", "wheel")}
    other = resolver(core("blend"), spec=[entry], providers={"blend": "blend"})
    assert locked(other) == {"blend": ("1.0", "index"), "blend-cuda": ("2.0+mine", "blend")}
    assert [(each["owner"], each["by"]) for each in other["replaced"]] == [("spec", "blend")]


def test_a_provider_that_has_no_such_module(resolver: Resolver) -> None:
    publish(resolver, "4.10")
    resolver.default.wheel("numpy", "4.10")
    text = fault(resolver, core("opencv-python"), providers={"cv2": "numpy"})
    assert text.startswith("python.providers: numpy is to fill cv2, and its wheel has no such module: it has numpy")


def test_a_provider_that_is_left_out(resolver: Resolver) -> None:
    publish(resolver, "4.10")
    text = fault(resolver, core("opencv-python"), providers={"cv2": CONTRIB}, exclude=[CONTRIB])
    assert text.startswith(f"python.providers: {CONTRIB} is to fill cv2, and python.exclude leaves it out")
    target = resolver(core("opencv-python", "opencv-contrib-python"), exclude=[CONTRIB])
    assert locked(target)["opencv-python"] == ("4.10", "opencv-contrib-python")


def test_a_mere_overlap_is_told_and_settled_by_the_spec(resolver: Resolver) -> None:
    for name in ("one", "two"):
        files = {f"{name}/{number}.py": "" for number in range(9)}
        resolver.default.wheel(name, "1.0", modules={**files, "shared/__init__.py": f"{name}\n" * 300})
    assert set(locked(resolver(core("one", "two"))).values()) == {("1.0", "index")}
    assert (
        "one and two both write shared/__init__.py, and two is installed later; to install one of them alone add to"
        ' python.providers {"shared": "one"}, and the other is met without content'
    ) in resolver.notes[-1]
    target = resolver(core("one", "two"), providers={"shared": "one"})
    assert locked(target) == {"one": ("1.0", "index"), "two": ("1.0", "one")}


def test_what_does_no_harm_is_no_overlap(resolver: Resolver) -> None:
    for name in ("one", "two"):
        files = {
            f"{name}/__init__.py": "",
            "space/__init__.py": f"# {name}\n__path__ = __import__('pkgutil').extend_path(__path__, __name__)\n",
            "space/same.py": "A = 1\n" * 999,
            "tests/test_it.py": f"{name}\n" * 300,
            "LICENSE": f"{name}\n" * 300,
            f"{name}-1.0.data/scripts/run": name,
        }
        resolver.default.wheel(name, "1.0", modules=files)
    assert set(locked(resolver(core("one", "two"))).values()) == {("1.0", "index")}
    assert not resolver.notes


def test_two_small_packages_of_one_name_are_told(resolver: Resolver) -> None:
    """ffmpeg-python and python-ffmpeg."""
    resolver.default.wheel(
        "one", "1.0", modules={"mpeg/__init__.py": "from .a import *\n", "mpeg/a.py": "", "one.py": ""}
    )
    resolver.default.wheel(
        "two", "1.0", modules={"mpeg/__init__.py": "from .b import *\n", "mpeg/b.py": "", "two.py": ""}
    )
    resolver(core("one", "two"))
    assert "one and two both write mpeg/__init__.py, and two is installed later" in resolver.notes[0]


def test_a_wheel_that_was_renamed_for_more_pythons(resolver: Resolver) -> None:
    """decord."""
    name, content = wheel(Project("box", "1.0"), "cp36-cp36m-manylinux2010_x86_64")
    resolver.default.publish(name.replace("cp36-cp36m", "py3-none"), content, Project("box", "1.0").metadata())
    assert locked(resolver(core("box"))) == {"box": ("1.0", "index")}


def test_a_module_that_nobody_fills_is_told(resolver: Resolver) -> None:
    resolver(core("pip"), providers={"cv": "opencv-python", "nothing": "box"})
    assert "no two packages of this target fill that; did you mean cv2?" in resolver.notes[0]
    assert resolver.notes[1].endswith("names box for nothing, and no two packages of this target fill that")


# What the host's image brings


def test_what_the_image_brings_is_a_fact(resolver: Resolver) -> None:
    resolver.default.wheel("torch", "2.12")
    resolver.default.wheel("fast", "2.0", requires=["torch>=2.10"])
    resolver.default.wheel("fast", "1.0", requires=["torch==2.9.0"])
    target = resolver(core("torch", "fast"), provided=["torch==2.9.0+cu130", "Nvidia_Cublas==13.1"])
    assert locked(target) == {
        "fast": ("1.0", "index"),
        "nvidia-cublas": ("13.1", "provided"),
        "torch": ("2.9.0+cu130", "provided"),
    }
    torch = next(each for each in target["packages"] if each["name"] == "torch")
    assert (torch["file"], torch["sha256"], torch["size"], torch["requires"]) == (None, None, None, [])
    assert torch["required_by"] == ["core", "package:fast", "spec"]


def test_what_the_image_brings_fills_its_module(resolver: Resolver) -> None:
    publish(resolver, "4.10", "4.11")
    target = resolver(core("opencv-python-headless"), provided=["opencv-python==4.10"])
    assert locked(target) == {
        "opencv-python": ("4.10", "provided"),
        "opencv-python-headless": ("4.10", "opencv-python"),
    }
    text = fault(resolver, provided=["opencv-python==4.10"], providers={"cv2": CONTRIB})
    assert "opencv-python is of the host's image (python.provided) and fills cv2" in text


def test_what_the_image_brings_is_not_there_twice(resolver: Resolver) -> None:
    entry = {"name": "torch", "url": "https://wheels.example/torch-2.9.0-py3-none-any.whl", "sha256": "0" * 64}
    text = fault(resolver, spec=[entry], provided=["torch==2.9.0"])
    assert "python.provided: torch is brought by the host's image, and the spec has a file or a build of it" in text
