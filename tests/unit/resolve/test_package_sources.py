# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where packages and their hashes come from: each from its index alone, asked with its own credentials, and checked."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import json
import subprocess
import typing as t
import urllib.parse

import pytest

from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.comfyops.fleet.plugins.module_utils.host.http import Access
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve import package_entries, packages, patience
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.packages import Demand
from tests.support.forge import Fault, Forge
from tests.support.forge.distributions import Project, wheel
from tests.support.forge.web import redirect
from tests.unit.resolve.conftest import CPU, Document, Resolver

if t.TYPE_CHECKING:
    from pathlib import Path

    from tests.support.forge import Index
    from tests.support.forge.web import LoggedRequest, Request, Response

WHERE = "target gpu (Python 3.12, x86_64-manylinux_2_28): "
SECRET = "s3cret"


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(patience, "_PAUSES", (0.01, 0.02))
    monkeypatch.setenv("NETRC", str(tmp_path / "no-netrc"))


@pytest.fixture
def bound(resolver: Resolver) -> Index:
    """An index to bind packages to."""
    return resolver.forge.index(CPU)


def core(*lines: str) -> Demand:
    return Demand("core", "requirements.txt", lines)


def fault(resolver: Resolver, *demands: Demand, **given: t.Any) -> str:
    """What a failing resolution says."""
    with pytest.raises(FleetError) as caught:
        resolver(*demands, **given)
    return str(caught.value)


def origins(target: Document) -> dict[str, tuple[str, str | None]]:
    """Version and index by name, less pip's."""
    return {each["name"]: (each["version"], each["index"]) for each in target["packages"] if each["name"] != "pip"}


def entry(target: Document, name: str) -> Document:
    """The entry of one package."""
    return next(each for each in target["packages"] if each["name"] == name)


def asked(forge: Forge, path: str) -> list[LoggedRequest]:
    """The requests whose path begins so."""
    return [request for request in forge.requests if request.path.startswith(path)]


# Binding


def test_no_index_answers_for_the_packages_of_another(resolver: Resolver, bound: Index) -> None:
    resolver.default.wheel("app", "1.0", requires=["Inner_Tool", "common"])
    resolver.default.wheel("inner-tool", "99.0")
    resolver.default.wheel("common", "1.0")
    bound.wheel("inner_tool", "1.0", requires=["common"])
    bound.wheel("common", "99.0")
    bound.wheel("app", "99.0")
    target = resolver(core("app"), indexes=[resolver.bound("inner.tool")])
    assert origins(target) == {"app": ("1.0", "pypi"), "common": ("1.0", "pypi"), "inner-tool": ("1.0", CPU)}
    assert not asked(resolver.forge, "/simple/inner-tool")
    assert {request.path.split("/")[4] for request in asked(resolver.forge, f"/index/{CPU}/")} == {"inner-tool"}


def test_a_bound_package_that_its_index_lacks_is_not_taken_from_the_default_one(
    resolver: Resolver, bound: Index
) -> None:
    bound.wheel("other", "1.0")
    resolver.default.wheel("app", "2.0", requires=["inner"])
    resolver.default.wheel("app", "1.0")
    resolver.default.wheel("inner", "99.0")
    indexes = [resolver.bound("inner")]
    assert origins(resolver(core("app"), indexes=indexes)) == {"app": ("1.0", "pypi")}
    text = fault(resolver, core("app>1"), indexes=indexes)
    assert text.startswith(f"{WHERE}the index {CPU} ({bound.url}) has no package inner\n")


@pytest.mark.parametrize(
    ("sabotage", "reason"),
    [
        (Fault("status", f"/index/{CPU}/simple/inner/", status=500), "answers 500"),
        (Fault("status", f"/index/{CPU}/simple/inner/", status=403), "answers 403"),
        (Fault("drop", f"/index/{CPU}/simple/inner/"), "cannot be reached"),
        (Fault("short-body", f"/index/{CPU}/simple/inner/"), "broke off"),
        (Fault("redirect-loop", f"/index/{CPU}/simple/inner/"), "redirects in a circle"),
    ],
)
def test_a_bound_index_that_fails_stops_the_lock_though_another_version_would_do(
    resolver: Resolver, bound: Index, sabotage: Fault, reason: str
) -> None:
    bound.wheel("inner", "1.0")
    resolver.default.wheel("app", "2.0", requires=["inner"])
    resolver.default.wheel("app", "1.0")
    resolver.forge.faults.add(sabotage)
    text = fault(resolver, core("app"), indexes=[resolver.bound("inner")])
    assert text.startswith(f"{WHERE}the index {CPU} ({bound.url}), which inner is bound to, cannot be read: ")
    assert f"{bound.url}/inner/" in text
    assert reason in text
    assert "comfy_" in text or "Open the address in a browser" in text


def test_a_page_that_is_none(resolver: Resolver, bound: Index) -> None:
    release = bound.wheel("inner", "1.0")
    own = {"name": CPU, "url": release.url.rpartition("/")[0], "packages": [release.filename]}
    page = {"name": CPU, "url": f"{resolver.forge.base_url}/forge/faults", "packages": ["inner"]}
    for index in (own, page):
        text = fault(resolver, core("inner"), indexes=[{**index, "packages": ["inner"]}])
        assert "is no page of a package index" in text or "has no package inner" in text


@pytest.mark.parametrize("json_pages", [True, False])
@pytest.mark.parametrize("metadata", [True, False])
def test_indexes_of_all_habits(resolver: Resolver, bound: Index, json_pages: bool, metadata: bool) -> None:
    bound.habits.json, bound.habits.metadata, bound.habits.hashes = json_pages, metadata, not json_pages
    newest = bound.wheel("inner", "3.0+cu130", requires=["needed"])
    bound.yank(bound.wheel("inner", "4.0"), "broken")
    bound.wheel("inner", "5.0", requires_python=">=3.14")
    needed = resolver.default.wheel("needed", "1.0")
    target = resolver(core("inner"), indexes=[resolver.bound("inner")])
    assert origins(target) == {"inner": ("3.0+cu130", CPU), "needed": ("1.0", "pypi")}
    for release in (newest, needed):
        found = entry(target, release.name)
        assert (found["file"], found["sha256"], found["size"]) == (release.filename, release.sha256, release.size)


def test_metadata_that_is_promised_and_not_there_is_read_from_the_wheel(resolver: Resolver, bound: Index) -> None:
    bound.wheel("inner", "1.0", requires=["needed"])
    resolver.default.wheel("needed", "1.0")
    resolver.forge.faults.add(Fault("status", f"/files/{CPU}/*.metadata", status=404))
    assert set(origins(resolver(core("inner"), indexes=[resolver.bound("inner")]))) == {"inner", "needed"}


def test_metadata_that_is_another_than_the_index_says(resolver: Resolver, bound: Index) -> None:
    release = bound.wheel("inner", "1.0")
    resolver.forge.faults.add(Fault("wrong-content", f"/files/{CPU}/*.metadata"))
    text = fault(resolver, core("inner"), indexes=[resolver.bound("inner")])
    assert f"the metadata of {release.filename} at {release.url}.metadata has the sha256 " in text
    assert f"says {release.metadata.sha256}" in text


def test_the_origin_of_each_file_is_asserted_after_all(
    resolver: Resolver, bound: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    bound.wheel("inner", "1.0")
    make = package_entries.make_entries

    def from_elsewhere(question: t.Any, found: t.Any, *more: t.Any) -> t.Any:
        return make(question, [dataclasses.replace(each, index="pypi") for each in found], *more)

    monkeypatch.setattr(packages, "make_entries", from_elsewhere)
    text = fault(resolver, core("inner"), indexes=[resolver.bound("inner")])
    assert f"inner 1.0 has to come from the index {CPU} ({bound.url}), and was found in pypi, for core" in text


def test_two_targets_give_the_same_bytes_again(resolver: Resolver, bound: Index) -> None:
    for machine in ("x86_64", "aarch64"):
        bound.wheel("inner", "1.0", tag=f"cp312-cp312-manylinux_2_28_{machine}", requires=["needed"])
    resolver.default.wheel("needed", "1.0")
    files = set()
    for platform in ("x86_64-manylinux_2_28", "aarch64-manylinux_2_28"):
        pair = [
            resolver(core("inner"), indexes=[resolver.bound("inner")], platform=platform, place=f"{platform}-{number}")
            for number in range(2)
        ]
        assert json.dumps(pair[0], sort_keys=True) == json.dumps(pair[1], sort_keys=True)
        files.add(entry(pair[0], "inner")["file"])
    assert len(files) == 2


def test_dates_count_for_bound_packages_as_well(resolver: Resolver, bound: Index) -> None:
    bound.wheel("inner", "1.0", upload_time="2025-03-01T12:00:00Z")
    bound.wheel("inner", "2.0", upload_time="2025-03-02T00:30:00Z")
    indexes = [resolver.bound("inner")]
    assert origins(resolver(core("inner"), indexes=indexes, exclude_newer="2025-03-02")) == {"inner": ("1.0", CPU)}
    assert not resolver.notes
    text = fault(resolver, core("inner"), indexes=indexes, exclude_newer="2025-03-01")
    assert text.startswith(f"{WHERE}no version of inner was uploaded before python.exclude_newer\n")


# Hashes


def whole(forge: Forge) -> set[str]:
    """The wheels that were read, of which more was asked for than what they say of themselves."""
    return {each.path for each in forge.requests if each.path.endswith(".whl") and each.status == 200}


def test_the_default_index_is_believed_and_others_that_say_hashes_are(resolver: Resolver, bound: Index) -> None:
    resolver.default.wheel("box", "1.0")
    bound.wheel("inner", "1.0")
    resolver(core("box", "inner"), indexes=[resolver.bound("inner")])
    assert not whole(resolver.forge)


@pytest.mark.parametrize("which", ["lock", "all", "misstated"])
def test_a_hash_that_an_index_misstates(
    resolver: Resolver, bound: Index, which: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    release = bound.wheel("inner", "1.0", modules={"inner.py": "A = 1\n"})
    if which == "misstated":
        monkeypatch.setattr(package_entries, "_MISSTATING", ("127.0.0.1",))
    indexes = [resolver.bound("inner")]
    resolver.forge.faults.add(Fault("wrong-content", "/files/*/inner*.whl", after=40))
    if which == "lock":
        assert entry(resolver(core("inner"), indexes=indexes), "inner")["sha256"] == release.sha256
        return
    text = fault(resolver, core("inner"), indexes=indexes, every_byte=which == "all")
    assert f"inner 1.0: {release.url} has the sha256 " in text
    assert f"and the index {CPU} ({bound.url}) says {release.sha256}" in text
    assert f'{{"name": "inner", "url": "{release.url}", "sha256": "' in text


def test_an_index_that_is_known_to_misstate_hashes_is_read_and_a_lock_stays(resolver: Resolver, bound: Index) -> None:
    release = bound.wheel("inner", "1.0")
    own = {"name": CPU, "url": "https://download.pytorch.org/whl/cpu", "packages": ["inner"]}
    given: Document = {"indexes": [own], "reached": {"pypi": resolver.default.url, CPU: bound.url}}
    target = resolver(core("inner"), **given)
    assert entry(target, "inner")["sha256"] == release.sha256
    assert [request.method for request in asked(resolver.forge, urllib.parse.urlsplit(release.url).path)][-1] == "GET"
    resolver.forge.forget_requests()
    bound.publish(release.filename, b"PK other", b"Name: inner\nVersion: 1.0\n")
    assert resolver(core("inner"), kept=target["packages"], **given) == target


def test_all_files_are_read_again_where_that_is_asked_for(resolver: Resolver) -> None:
    box = resolver.default.wheel("box", "1.0", modules={"box.py": "A = 1\n" * 99})
    target = resolver(core("box"), every_byte=True)
    assert whole(resolver.forge) == {f"/files/pypi/{box.filename}", "/files/pypi/pip-25.2-py3-none-any.whl"}
    assert resolver(core("box"), every_byte=True, kept=target["packages"]) == target
    resolver.forge.faults.add(Fault("wrong-content", "/files/pypi/box*", after=200))
    text = fault(resolver, core("box"), every_byte=True, kept=target["packages"], place="new")
    assert f"box 1.0: {box.url} has the sha256 " in text
    assert f"and the lock says {box.sha256}" in text


def test_a_file_that_an_index_lists_and_has_not(resolver: Resolver, bound: Index) -> None:
    release = bound.wheel("inner", "1.0")
    bound.habits.json = False
    resolver.forge.faults.add(Fault("status", f"/files/{CPU}/*.whl", status=404, methods=("GET", "HEAD")))
    text = fault(resolver, core("inner"), indexes=[resolver.bound("inner")])
    assert text.startswith(f"{WHERE}inner 1.0 of the index {CPU} ({bound.url}): {release.url} answers 404")


def test_a_wheel_that_holds_another_package(resolver: Resolver, bound: Index) -> None:
    _name, content = wheel(Project("lid", "1.0"))
    bound.habits.hashes = False
    release = bound.publish("inner-1.0-py3-none-any.whl", content, Project("inner", "1.0").metadata())
    text = fault(resolver, core("inner"), indexes=[resolver.bound("inner")])
    assert f"{release.url}: inner-1.0-py3-none-any.whl holds lid 1.0, which is not what its name says" in text


# Files of the spec


def test_a_wheel_of_this_machine(resolver: Resolver, tmp_path: Path) -> None:
    name, content = wheel(Project("box", "1.0+local", requires=["needed"]))
    place = tmp_path / "my wheels" / name
    place.parent.mkdir()
    place.write_bytes(content)
    needed = resolver.default.wheel("needed", "1.0")
    spec: Document = {"name": "box", "url": place.as_uri(), "sha256": hashlib.sha256(content).hexdigest()}
    target = resolver(spec=[spec])
    found = entry(target, "box")
    assert (found["source"], found["index"], found["url"]) == ("file", None, place.as_uri())
    assert (found["file"], found["sha256"], found["size"]) == (name, spec["sha256"], len(content))
    assert entry(target, "needed")["sha256"] == needed.sha256
    assert resolver(spec=[spec], kept=target["packages"]) == target
    place.write_bytes(wheel(Project("box", "1.0+local", requires=["needed", "pip"]))[1])
    text = fault(resolver, spec=[spec], kept=target["packages"], place="new")
    assert f"and the lock says {spec['sha256']}" in text


def test_a_wheel_by_its_url_is_read_and_has_to_be_what_the_spec_says(resolver: Resolver) -> None:
    release = resolver.forge.index("files").wheel("box", "1.0+cu130torch2.9")
    assert "%2B" in release.url
    target = resolver(spec=[{"name": "box", "url": release.url, "sha256": release.sha256}])
    assert (entry(target, "box")["size"], entry(target, "box")["file"]) == (release.size, release.filename)
    text = fault(resolver, spec=[{"name": "box", "url": release.url, "sha256": "ab" * 32}])
    assert f"{release.url} has the sha256 {release.sha256}, and spec: box @ {release.url}" in text
    assert f"says {'ab' * 32}" in text


# Credentials


@pytest.fixture
def spied(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Arguments and environment of all runs of uv."""
    seen: list[str] = []
    run = subprocess.run

    def spy(command: list[str], **more: t.Any) -> t.Any:
        seen.append(json.dumps([command, more["env"]]))
        return run(command, check=more.pop("check"), **more)

    monkeypatch.setattr(subprocess, "run", spy)
    return seen


@pytest.mark.parametrize("way", ["url", "credentials", "token", "port", "netrc"])
def test_credentials_of_indexes_and_files(
    resolver: Resolver, bound: Index, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spied: list[str], way: str
) -> None:
    files = resolver.forge.index("files")
    own = files.wheel("sage", "1.0")
    resolver.default.wheel("box", "1.0")
    bound.wheel("inner", "1.0")
    bound.habits.hashes = bound.habits.metadata = False
    for index in (resolver.default, bound, files):
        index.token = SECRET
    host = urllib.parse.urlsplit(bound.url)
    reached = {"pypi": resolver.default.url, CPU: bound.url}
    known: dict[str, str] = {}
    if way == "url":
        reached = {name: url.replace("://", f"://some%40one:{SECRET}@") for name, url in reached.items()}
    elif way == "netrc":
        (tmp_path / "netrc").write_text(f"machine 127.0.0.1 login someone password {SECRET}\n")
        monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    else:
        key = f"{host.hostname}:{host.port}" if way == "port" else "127.0.0.1"
        known = {key: SECRET if way == "token" else f"someone:{SECRET}"}
    spec: list[Document | str] = [{"name": "sage", "url": own.url, "sha256": own.sha256}] if way != "port" else []
    target = resolver(
        core("box", "inner"), spec=spec, indexes=[resolver.bound("inner")], reached=reached, access=Access(known)
    )
    assert {"box", "inner"} < {each["name"] for each in target["packages"]}
    if way == "token":
        expected = base64.b64encode(f"__token__:{SECRET}".encode()).decode()
        assert asked(resolver.forge, f"/index/{CPU}/")[0].headers["authorization"] == f"Basic {expected}"
    assert SECRET not in json.dumps(target)
    assert SECRET not in "".join([*spied, *resolver.notes])
    assert not [path for path in tmp_path.rglob("*") if SECRET in path.name]
    bound.token = "other"
    text = fault(resolver, core("inner"), indexes=[resolver.bound("inner")], reached=reached, access=Access(known))
    assert SECRET not in text
    assert f'comfy_credentials {{"{host.netloc}": "user:password"}}' in text


def test_credentials_stay_on_their_host(
    resolver: Resolver, bound: Index, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bound.token = SECRET
    with Forge(tmp_path / "elsewhere") as elsewhere:
        release = elsewhere.index(CPU).wheel("inner", "1.0")
        elsewhere.index(CPU).habits.hashes = elsewhere.index(CPU).habits.metadata = False
        page = type(bound).page

        def moved(index: Index, request: Request, project: str | None) -> Response:
            if index is bound and project:
                return redirect(f"{elsewhere.index(CPU).url}/{project}/")
            return page(index, request, project)

        monkeypatch.setattr("tests.support.forge.packages.Index.page", moved)
        reached = {"pypi": resolver.default.url, CPU: bound.url.replace("://", f"://someone:{SECRET}@")}
        target = resolver(core("inner"), indexes=[resolver.bound("inner")], reached=reached)
        assert entry(target, "inner")["sha256"] == release.sha256
        assert asked(resolver.forge, f"/index/{CPU}/simple/inner/")[0].headers["authorization"]
        assert elsewhere.requests
        assert not [request for request in elsewhere.requests if "authorization" in request.headers]


def test_a_netrc_file_that_cannot_be_read(resolver: Resolver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "netrc").write_text(f"machine 127.0.0.1 passwort {SECRET}\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    text = fault(resolver, core("box"))
    assert text.startswith(f"{tmp_path / 'netrc'}: cannot be read: ")
    assert SECRET not in text


def test_plain_http_is_asked_only_where_the_policy_has_it(resolver: Resolver) -> None:
    own = {"name": CPU, "url": "http://wheels.example/simple", "packages": ["inner"]}
    text = fault(resolver, core("inner"), indexes=[own])
    assert text == (
        f"python.indexes: the index {CPU} is not asked: http://wheels.example/simple is plain http, where anybody"
        " between can read and alter what passes. Use https, or set comfy_policy.allow_http"
    )


# Names and builds that are not meant


def test_names_that_are_not_what_people_think(resolver: Resolver, bound: Index) -> None:
    resolver.default.wheel("nunchaku", "0.16")
    resolver.default.wheel("box", "1.0", requires=["sageattention"])
    resolver.default.wheel("sageattention", "1.0.6")
    resolver(core("box", "Nunchaku"))
    assert resolver.notes == [
        f"{WHERE}nunchaku of the default index is a package that splits data into linear segments, and not the"
        ' inference engine of nunchaku-ai; if you mean the latter, put into python_packages {"name": "nunchaku", "url":'
        ' "https://github.com/nunchaku-ai/nunchaku/releases/download/....whl", "sha256": "..."}',
        f"{WHERE}sageattention of the default index is SageAttention 1.x, and not 2.x with its CUDA kernels;"
        ' if you mean the latter, put into python_packages {"name": "sageattention", "url": "https://.../sageattention-2....whl",'
        ' "sha256": "..."}, or its repository with "git" and "commit"',
    ]
    resolver.notes.clear()
    fault(resolver, core("clip"))
    told = "clip of the default index is another package, and not OpenAI's CLIP; if you mean the latter, put into"
    assert resolver.notes[0].startswith(f"{WHERE}{told}")
    resolver.notes.clear()
    wheel_of = bound.wheel("clip", "1.0")
    bound.wheel("nunchaku", "1.2+torch2.9")
    spec: list[Document | str] = [{"name": "clip", "url": wheel_of.url, "sha256": wheel_of.sha256}]
    resolver(core("nunchaku"), spec=spec, indexes=[resolver.bound("nunchaku")])
    assert [note for note in resolver.notes if "default index" in note] == []
    resolver(spec=["sageattention==1.0.6"])
    assert [note for note in resolver.notes if "default index" in note] == []


@pytest.mark.parametrize(
    ("version", "requires", "accelerator", "has"),
    [
        ("2.9.0", ["nvidia-cuda-runtime-cu12==12.8.90"], "cpu", "cu128"),
        ("2.9.0", ["nvidia-cuda-runtime-cu12==12.8.90"], "cu130", "cu128"),
        ("2.9.0", ["nvidia-cuda-runtime-cu12==12.8.90"], "cu128", None),
        ("2.12.0", ["cuda-toolkit[cudart]==13.0.2"], "rocm", "cu130"),
        ("2.12.0", ["cuda-toolkit[cudart]==13.0.2"], None, None),
        ("2.9.0", [], "cu128", "cpu"),
        ("2.9.0", [], "cpu", None),
        ("2.9.0+cu130", [], "cu130", None),
        ("2.9.0+rocm6.4", [], "rocm", None),
    ],
)
def test_a_torch_of_the_default_index_for_another_accelerator(
    resolver: Resolver, version: str, requires: list[str], accelerator: str | None, has: str | None
) -> None:
    resolver.default.wheel("nvidia-cuda-runtime-cu12", "12.8.90")
    resolver.default.wheel("cuda-toolkit", "13.0.2", extras={"cudart": []})
    resolver.default.wheel("torch", version, requires=requires)
    resolver.default.wheel("torchvision", "0.27" if version == "2.12.0" else "0.24", requires=["torch"])
    resolver(core("torchvision"), accelerator=accelerator)
    if has is None:
        assert not resolver.notes
        return
    (note,) = resolver.notes
    expected = (
        f"torch {version} of the default index is a build for {has}, and the target's accelerator is {accelerator};"
    )
    assert note.startswith(f"{WHERE}{expected} for that add to python.indexes ")
    given = json.loads(note.partition("python.indexes ")[2])
    place = "rocm<version>" if accelerator == "rocm" else accelerator
    assert given == {
        "name": f"pytorch-{accelerator}",
        "url": f"https://download.pytorch.org/whl/{place}",
        "packages": ["torch", "torchvision"],
    }
