# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Requirement lists as entries of a spec: what pip freeze writes, and layers of lists as images install them."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import typing as t

import pytest

from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.comfyops.fleet.plugins.plugin_utils.formats import import_report
from ansible_collections.comfyops.fleet.plugins.plugin_utils.formats.import_entries import Lookups
from ansible_collections.comfyops.fleet.plugins.plugin_utils.formats.importing import Imported, import_lists
from ansible_collections.comfyops.fleet.plugins.plugin_utils.formats.new_spec import new_spec
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve import git
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.uv import find_uv
from ansible_collections.comfyops.fleet.plugins.plugin_utils.spec.load import SpecInvalid, VersionUnknown
from tests.support.forge import Forge

if t.TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

COMMIT = "0123456789abcdef0123456789abcdef01234567"
SHA256 = "ab" * 32
# The lists that an image of ComfyUI installs one after the other.
PAK3 = """\
# PyTorch family and what nodes ask for most
accelerate
aiohttp
albumentations
av
cupy-cuda12x
dill
einops
huggingface-hub[hf_xet]
kornia
numexpr
numpy
opencv-contrib-python
opencv-contrib-python-headless
opencv-python
opencv-python-headless
pillow
scikit-image
torch
torchvision
torchaudio
transformers
"""
PAK5 = """\
-r pak3.txt

albumentations>=1.4
black
clip-interrogator>=0.6.0
color-matcher
imageio-ffmpeg       # for video
numpy<2
onnxruntime-gpu ; platform_machine == 'x86_64'
pydantic~=2.0
rembg[gpu]
segment-anything
ultralytics!=8.3.41,!=8.3.42
"""
PAK7 = f"""\
--extra-index-url https://download.pytorch.org/whl/cu130
git+https://git.forge.example/openai/CLIP@{COMMIT}#egg=clip
git+https://git.forge.example/cozy/cozy_comfyui@{COMMIT}#egg=cozy_comfyui&subdirectory=src
-e git+https://git.forge.example/ltdrdata/ffmpy.git@{COMMIT}#egg=ffmpy
cstr @ git+https://git.forge.example/ltdrdata/cstr@{COMMIT}
torch==2.10.0+cu130
https://releases.forge.example/v1/sageattention-2.2.0%2Bcu130torch2.10.0-cp314-cp314-linux_x86_64.whl \\
    --hash=sha256:{SHA256}
numpy>=2
ffmpy
"""


@pytest.fixture
def forge(tmp_path: Path) -> Iterator[Forge]:
    """An empty forge."""
    with Forge(tmp_path / "forge") as forge:
        yield forge


def imported(directory: Path, *lists: str | bytes, lookups: Lookups | None = None) -> Imported:
    """Import lists, which are written to the directory."""
    paths = [directory / f"list{number}.txt" for number in range(len(lists))]
    for path, content in zip(paths, lists, strict=True):
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    return import_lists(paths, lookups)


def outcomes(found: Imported) -> dict[str, str]:
    """What became of lines, by line."""
    return {account.line: f"{account.outcome}: {account.detail}" for account in found.accounts}


def only(directory: Path, line: str, lookups: Lookups | None = None) -> str:
    """What becomes of a single line."""
    (account,) = imported(directory, f"{line}\n", lookups=lookups).accounts
    return f"{account.outcome}: {account.detail}"


def test_layers_of_an_image(tmp_path: Path) -> None:
    paths = [tmp_path / name for name in ("pak3.txt", "pak5.txt", "pak7.txt")]
    for path, content in zip(paths, (PAK3, PAK5, PAK7), strict=True):
        path.write_text(content)
    found = import_lists(paths, None)
    assert not found.undecided
    written = [line for text in (PAK3, PAK5, PAK7) for line in text.splitlines() if line and line[0] not in "# "]
    assert len(found.accounts) == len(written)
    summary = "42 lines: 36 kept, 5 merged, 1 dropped, 0 to decide; 35 entries of python_packages"
    assert import_report.summary(found) == summary
    said = outcomes(found)
    assert said["numpy"] == "merged: into pak5.txt, line 8"
    assert said["numpy<2"] == "dropped: pak7.txt, line 9 contradicts it and is later: numpy>=2"
    assert said["torch"] == "merged: into pak7.txt, line 6"
    assert said["torchvision"] == "kept: as torchvision; from pytorch-cu130"
    assert said["imageio-ffmpeg"] == "kept: as imageio-ffmpeg"
    assert said["-r pak3.txt"] == "merged: its lines are there already"
    assert said["ffmpy"] == "merged: into pak7.txt, line 4, which says where it comes from"
    assert {"numpy>=2", "albumentations>=1.4", "rembg[gpu]"} < {
        each for each in found.packages if isinstance(each, str)
    }
    folder = {"git": "https://git.forge.example/cozy/cozy_comfyui", "commit": COMMIT, "subdirectory": "src"}
    assert {"name": "cozy_comfyui", **folder} in found.packages
    wheel = "sageattention-2.2.0%2Bcu130torch2.10.0-cp314-cp314-linux_x86_64.whl"
    address = f"https://releases.forge.example/v1/{wheel}"
    assert {"name": "sageattention", "url": address, "sha256": SHA256} in found.packages
    family = {"packages": ["torch", "torchaudio", "torchvision"], "url": "https://download.pytorch.org/whl/cu130"}
    assert found.indexes == [{"name": "pytorch-cu130", **family}]


def test_what_pip_freeze_prints_is_taken_as_it_is(tmp_path: Path) -> None:
    frozen = subprocess.run(
        [find_uv(), "pip", "freeze", "--python", sys.executable], check=True, capture_output=True, text=True
    ).stdout
    found = imported(tmp_path, frozen)
    assert [account.line for account in found.accounts] == frozen.splitlines()
    assert found.packages == [line for line in frozen.splitlines() if "==" in line]
    assert len(found.packages) > 30


@pytest.mark.parametrize(
    ("line", "outcome"),
    [
        ("git+https://git.forge.example/o/n#egg=n", r"names no commit.*Write @<full commit"),
        ("n @ git+https://git.forge.example/o/n@v1.0", r"names the branch or tag v1.0"),
        ("git+https://git.forge.example/o/n", r"does not say the package's name.*Write 'name @ ' before it"),
        ("git+https://word@git.forge.example/o/n#egg=n", r"https://\*\*\*@git.*has credentials.*comfy_credentials"),
        ("n @ hg+https://hg.forge.example/o/n", r"is a repository of hg"),
        ("n @ https://host.example/n-1.0-py3-none-any.whl", r"has no sha256.*#sha256=<64"),
        ("n @ http://host.example/n-1.0.tar.gz#sha256=" + SHA256, r"is plain http"),
        ("n @ https://host.example/n.tar.gz#sha256=" + SHA256 + " ; python_version < '4'", r"a URL counts everywhere"),
        (f"n @ https://host.example/n.tar.gz#sha256={SHA256}&subdirectory=p", r"is a folder of an archive"),
        ("certifi @ file:///croot/certifi_17/work/certifi", r"no other machine has it: .* Write certifi==<version>"),
        ("/tmp/n-1.2-py3-none-any.whl", r"is a path \(n 1.2\).* Write n==1.2 if"),
        ("-e .", r"is a path"),
        ("${TOKEN}", r"environment variable TOKEN"),
        ("numpy=1.26", r"no requirement \(PEP 508\) at character 6.*Correct it in the list"),
        ("flash_attn==2.8.3+cu12torch2.8", r"build \+cu12torch2.8 is in no public index"),
        ("-i https://mirror.example/simple", r'which packages come from there\?.*"name": "mirror.example"'),
        ("--index-url https://a.example/simple --extra-index-url https://b.example/simple", r"names several indexes"),
        ("--find-links https://host.example/wheels", r"has the option --find-links. Name the wheel"),
        ("--no-binary :all:", r"wants to build everything"),
        ("--pre", r"has the option --pre. Name the pre-release itself"),
        ("--hash=sha256:" + SHA256, r"belongs to a requirement"),
        ("-r missing.txt", r"cannot be read \(No such file"),
        ("n --index-url https://a.example/simple", r"has the option --index-url"),
    ],
)
def test_what_a_person_has_to_decide(tmp_path: Path, line: str, outcome: str) -> None:
    found = imported(tmp_path, f"kept\n{line}\n")
    (account,) = found.undecided
    assert account.place == "list0.txt, line 2"
    assert re.search(outcome, account.detail)
    assert "word@" not in json.dumps([account.line, account.detail])
    assert found.packages == ["kept"]


@pytest.mark.parametrize(
    ("line", "outcome"),
    [
        ("-U", "dropped: every environment is new, and every package locked"),
        ("--trusted-host pypi.example", "dropped: certificates are always checked"),
        ("pkg-resources==0.0.0", "dropped: there is no such project"),
        ("--no-binary dlib,Insight_Face", "kept: python.build: dlib, insight-face"),
        (f"n==1 --hash=sha256:{SHA256}", "kept: as n==1; hashes are left out: the lock has its own"),
        ("torch==2.9.0+cpu", "kept: as torch==2.9.0+cpu; from pytorch-cpu"),
        ("Pillow >= 10 # pictures", "kept: as Pillow>=10"),
        (
            f"n @ git+ssh://git@git.forge.example/o/n.git@{COMMIT}",
            f'kept: as {{"name": "n", "git": "ssh://git@git.forge.example/o/n.git", "commit": "{COMMIT}"}}',
        ),
    ],
)
def test_what_becomes_of_single_lines(tmp_path: Path, line: str, outcome: str) -> None:
    assert only(tmp_path, line) == outcome


def test_bounds_add_up_until_they_contradict(tmp_path: Path) -> None:
    found = imported(tmp_path, "a>=1\nb==2.1\nc[x]\nd~=2.0\ne ; os_name == 'nt'\n", "a<3\nb>=2\nc[y]>1\nd==1.9\ne\n")
    assert found.packages == ["a<3,>=1", "b==2.1", "c[x,y]>1", "d==1.9", 'e; os_name == "nt"', "e"]
    assert [account.outcome for account in found.accounts[:5]] == ["merged", "merged", "merged", "dropped", "kept"]


def test_the_later_source_wins(tmp_path: Path) -> None:
    repository = f"git+https://git.forge.example/o/a@{COMMIT}#egg=a"
    found = imported(tmp_path, f"a==1.0\n{repository}\n", repository.replace("/o/", "/other/"), "a[extra]\n")
    assert found.packages == [{"name": "a", "git": "https://git.forge.example/other/a", "commit": COMMIT}, "a[extra]"]
    assert [account.outcome for account in found.accounts] == ["dropped", "dropped", "kept", "kept"]


def test_constraints_bound_what_is_asked_for(tmp_path: Path) -> None:
    (tmp_path / "bounds.txt").write_text("a<2\nb==1\nc>=2\n")
    found = imported(tmp_path, "-c bounds.txt\na>=1\nc<1\n")
    assert found.packages == ["a<2,>=1", "c<1"]
    said = outcomes(found)
    assert said["a<2"] == "merged: into list0.txt, line 2"
    assert said["b==1"].startswith("dropped: it bounds a package that the lists do not name")
    assert said["c>=2"].startswith("decision: it bounds list0.txt, line 3 (c<1), and both cannot hold")


def test_a_constraint_for_some_hosts_alone_is_decided_by_a_person(tmp_path: Path) -> None:
    old, new = "a ; python_version < '3.12'", "a>=1 ; python_version >= '3.12'"
    (tmp_path / "bounds.txt").write_text("a<2 ; python_version < '3.12'\nb<2\n")
    found = imported(tmp_path, f"-c bounds.txt\na\n{new}\nb ; sys_platform == 'linux'\n")
    assert found.packages == ["a", 'a>=1; python_version >= "3.12"', 'b<2; sys_platform == "linux"']
    said = outcomes(found)
    assert said["a<2 ; python_version < '3.12'"] == (
        'decision: it bounds list0.txt, line 2 (a) only where python_version < "3.12" holds. Write a line for these'
        ' hosts and one for the others, such as a<2; python_version < "3.12"'
    )
    assert said["b<2"] == "merged: into list0.txt, line 4"
    assert imported(tmp_path, f"-c bounds.txt\n{old}\n").packages == ['a<2; python_version < "3.12"']


def test_what_bounds_several_lines_is_undecided_when_it_is_for_one(tmp_path: Path) -> None:
    (tmp_path / "bounds.txt").write_text("a<2\n")
    found = imported(tmp_path, "-c bounds.txt\na>=2 ; python_version < '3.12'\na>=1 ; python_version >= '3.12'\n")
    assert outcomes(found)["a<2"].startswith("decision: it bounds list0.txt, line 2")


def test_lists_in_the_encoding_of_a_shell_elsewhere(tmp_path: Path) -> None:
    found = imported(
        tmp_path, "a==1\r\nb==2\r\n".encode("utf-16"), b"\xef\xbb\xbfc==3\n", "d==4 # gr\u00fcn".encode("latin-1")
    )
    assert found.packages == ["a==1", "b==2", "c==3", "d==4"]
    assert found.notes == ["list2.txt: is not UTF-8 and is read as Latin-1"]


def test_remarks_of_pip_freeze_say_what_a_path_was(tmp_path: Path) -> None:
    found = imported(tmp_path, "# Editable install with no version control (mine==0.3)\n-e /home/me/mine\n")
    assert "Write mine==0.3 if the published release is what is meant" in found.undecided[0].detail


def test_files_of_this_machine_are_entries(tmp_path: Path, forge: Forge) -> None:
    wheel = forge.index().wheel("own", "1.0")
    place = tmp_path / wheel.filename
    place.write_bytes(wheel.content.data)
    entry = {"name": "own", "url": place.as_uri(), "sha256": wheel.sha256}
    for line in (f"./{wheel.filename}", f"own @ {place.as_uri()}", place.as_uri()):
        assert imported(tmp_path, line).packages == [entry]


def test_what_is_missing_is_looked_up(tmp_path: Path, forge: Forge) -> None:
    repository = forge.repository("owner/silent")
    commit = repository.commit({"pyproject.toml": '[project]\nname = "silent-one"\nversion = "1"\n'})
    repository.tag("v1")
    wheel = forge.index().wheel("w", "1.0")
    lookups = Lookups(git.Access(tmp_path / "git", {"https://git.forge.example/": f"{forge.base_url}/git/"}), tmp_path)
    address = "https://git.forge.example/owner/silent"
    found = imported(tmp_path, f"git+{address}\n", f"git+{address}@v1\n{wheel.url}\n", lookups=lookups)
    assert found.packages == [
        {"name": "silent-one", "git": address, "commit": commit},
        {"name": "w", "url": wheel.url, "sha256": wheel.sha256},
    ]
    assert [account.outcome for account in found.accounts] == ["merged", "kept", "kept"]
    assert "v1 has this commit now" in found.accounts[1].detail
    gone = only(tmp_path, "git+https://git.forge.example/owner/gone#egg=gone", lookups)
    assert gone.startswith("decision: ")
    assert "no such repository" in gone


def test_a_new_spec_is_one_that_can_be_used(tmp_path: Path) -> None:
    fragment = imported(tmp_path, PAK3, PAK7).fragment()
    path, document = new_spec(tmp_path, "new", None, fragment)
    assert (path.name, document["comfy"]["ref"], path.exists()) == ("new.json", "master", False)
    path.write_text(json.dumps(document))
    _path, extended = new_spec(tmp_path, "more", "new", {"python_packages": ["black"]})
    assert extended == {"schema_version": 3, "version_id": "more", "extends": "new", "python_packages": ["black"]}
    with pytest.raises(VersionUnknown, match="there is no version 'nwe'"):
        new_spec(tmp_path, "more", "nwe", fragment)
    bad = re.escape(str(tmp_path / "bad.json"))
    with pytest.raises(SpecInvalid, match=f"^{bad}: /python_packages/1: .*contradicts"):
        new_spec(tmp_path, "bad", None, {"python_packages": ["a==1", "a==2"]})


@pytest.mark.parametrize("version", ["../outside", "a/b", "", "-e", "a b", "x" * 65, "old.lock"])
def test_an_id_that_cannot_be_one_is_refused_before_anything_is_written(tmp_path: Path, version: str) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tempfile.tempdir", str(scratch))
        with pytest.raises(FleetError, match=r"is no version id\. Write letters, digits"):
            new_spec(tmp_path, version, None, {"python_packages": ["a==1"]})
    assert list(scratch.rglob("*")) == []


def test_a_list_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FleetError, match=r"nowhere.txt: cannot be read \(No such file or directory\)"):
        import_lists([tmp_path / "nowhere.txt"], None)
