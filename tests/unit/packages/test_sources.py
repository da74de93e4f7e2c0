# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a host gets wheels from: what it was brought, mirrors, then index or URL; always exactly the locked file."""

from __future__ import annotations

import pathlib
import shutil
import sys
import typing as t

import pytest

from ansible_collections.comfyops.fleet.plugins.action.comfy_pip_packages import Kept, pushed_files
from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError
from tests.support import locks
from tests.unit.packages.conftest import Host, converge, locked, look, site, told

if t.TYPE_CHECKING:
    from ansible_collections.comfyops.fleet.plugins.module_utils.host.context import Context
    from tests.support.forge import Release

COMMIT = "1" * 40


def asked(host: Host, end: str = ".whl") -> set[str]:
    """What was asked of the forge, by path."""
    return {request.path for request in host.forge.requests if request.path.endswith(end)}


def mirrored(release: Release) -> str:
    """Where the mirror has a file."""
    return f"/mirror/sha256/{release.sha256[:2]}/{release.sha256}"


def test_mirrors_are_asked_before_indexes_and_urls(host: Host) -> None:
    six = host.index.wheel("six", "1.17.0")
    elsewhere = host.forge.index("elsewhere").wheel("sage", "1.0")
    packages = [locked(six), locked(elsewhere, index=None, url="https://unreachable.example/x.whl", source="wheel")]
    converge(host.context(packages, model_mirrors=(host.forge.mirror_url,)))
    assert {request.path for request in host.forge.requests} == {mirrored(each) for each in (six, elsewhere, host.pip)}


@pytest.mark.parametrize("fault", ["lacks", "lies", "fails", "silent", "breaks"])
def test_what_a_mirror_does_not_give_comes_from_the_index(host: Host, fault: str) -> None:
    six, tqdm = host.index.wheel("six", "1.17.0"), host.index.wheel("tqdm", "4.0")
    mirror = host.forge.mirror_url
    if fault == "lacks":
        host.forge.mirror.withheld.add(six.sha256)
    elif fault == "lies":
        host.forge.fault("wrong-content", mirrored(six))
    elif fault == "fails":
        host.forge.fault("status", mirrored(six), status=503)
    elif fault == "breaks":
        host.forge.fault("short-body", mirrored(six))
    else:
        mirror = "http://127.0.0.1:9/mirror"
    context = host.context([locked(six), locked(tqdm)], model_mirrors=(mirror,))
    converge(context)
    from_index = {"/files/pypi/six-1.17.0-py3-none-any.whl"}
    assert asked(host) >= from_index
    if fault != "silent":
        assert asked(host) == from_index
    assert {path.name for path in context.layout.cache.iterdir()} == {"wheels"}


def test_the_second_mirror_has_what_the_first_has_not(host: Host) -> None:
    mirrors = ("http://127.0.0.1:9/mirror", host.forge.mirror_url)
    converge(host.context([locked(host.index.wheel("six", "1.17.0"))], model_mirrors=mirrors))
    assert asked(host) == set()


def test_offline_no_mirror_is_asked(host: Host) -> None:
    context = host.context([locked(host.index.wheel("six", "1.17.0"))], offline=True, model_mirrors=("http://x",))
    with pytest.raises(FleetError, match="comfy_offline is set"):
        converge(context)


def test_of_several_files_of_a_version_it_is_the_locked_one(host: Host) -> None:
    """The index has got a file that fits better since; another one was built again."""
    plain = host.index.wheel("six", "1.17.0", modules={"six.py": "FILE = 'plain'\n"})
    python = f"cp{sys.version_info.major}{sys.version_info.minor}"
    host.index.wheel("six", "1.17.0", modules={"six.py": "FILE = 'better'\n"}, tag=f"{python}-{python}-linux_x86_64")
    context = host.context([locked(plain)])
    converge(context)
    assert (site(context) / "six.py").read_text() == "FILE = 'plain'\n"
    assert asked(host) == {f"/files/pypi/{plain.filename}", f"/files/pypi/{host.pip.filename}"}


def built(host: Host, name: str, source: str) -> tuple[locks.Document, Release]:
    """A package that was built, or is a local wheel, and its file."""
    release = host.forge.index("built").wheel(name, "1.0")
    origin = {"requires": [], "python": "3.12.1"}
    origins: dict[str, dict[str, t.Any]] = {
        "git": {"built_from": {"git": "https://git.example/x", "commit": COMMIT, "subdirectory": "sub", **origin}},
        "sdist": {"built_from": {"url": "https://files.example/x-1.0.tar.gz", "sha256": "2" * 64, **origin}},
        "file": {"url": f"file://{release.content.path.parent}/{name}%20of%20mine.whl"},
    }
    return locked(release, index=None, source=source, **origins[source]), release


def push(context: Context, document: locks.Document, release: Release) -> pathlib.Path:
    """As the action plugin does."""
    place = context.layout.cache / "pushed" / str(document["sha256"])[:12] / release.filename
    place.parent.mkdir(parents=True)
    shutil.copy(release.content.path, place)
    return place


@pytest.mark.parametrize(
    ("source", "origin"),
    [
        ("git", f'"subdirectory": "sub", "url": "https://git.example/x", "vcs_info": {{"commit_id": "{COMMIT}"'),
        ("sdist", f'"sha256": "{"2" * 64}"}}}}, "url": "https://files.example/x-1.0.tar.gz"'),
        ("file", "%20of%20mine.whl"),
    ],
)
def test_what_was_pushed_is_installed_and_says_its_origin(host: Host, source: str, origin: str) -> None:
    document, release = built(host, "ours", source)
    context = host.context([document])
    assert look(context).obstacles == ()
    push(context, document, release)
    host.forge.forget_requests()
    converge(context)
    assert origin in (site(context) / "ours-1.0.dist-info" / "direct_url.json").read_text()
    assert "ours" not in "".join(asked(host))
    (site(context) / "ours-1.0.dist-info" / "direct_url.json").write_text("{}")
    assert look(context).changes[0].name == "ours"


def test_what_should_have_been_pushed_and_was_not_is_named(host: Host) -> None:
    document, _release = built(host, "ours", "git")
    with pytest.raises(FleetError) as caught:
        converge(host.context([document]))
    assert "ours-1.0-py3-none-any.whl: is on the control node alone and did not come from there" in str(caught.value)
    offline = host.context([document], offline=True)
    assert [obstacle.what.split()[0] for obstacle in look(offline).obstacles] == ["pip"]


def test_the_control_node_knows_what_only_it_has(host: Host, tmp_path: pathlib.Path) -> None:
    git, _one = built(host, "ours", "git")
    file, _two = built(host, "local", "file")
    interpreter = {"version": "3.12.1", "file": "p.tar.gz", "url": "file:///m/p.tar.gz", "sha256": "3" * 64, "size": 1}
    document = host.document([git, file, locked(host.index.wheel("six", "1.17.0"))], interpreter=interpreter)
    layout = host.context([]).layout
    found = {each.source: each.place for each in pushed_files(document, None, layout, Kept(tmp_path, None))}
    pushed = layout.cache / "pushed"
    assert found == {
        tmp_path / "wheels" / git["sha256"][:12] / git["file"]: pushed / git["sha256"][:12] / git["file"],
        pathlib.Path(file["url"][7:].replace("%20", " ")): pushed / file["sha256"][:12] / file["file"],
        pathlib.Path("/m/p.tar.gz"): pushed / ("3" * 12) / "p.tar.gz",
    }
    remote = {**interpreter, "url": "https://pythons.example/p.tar.gz"}
    assert pushed_files(host.document([], interpreter=remote), "default", layout, Kept(tmp_path, None)) == []


def test_a_check_counts_wheels_that_the_run_will_bring(host: Host, tmp_path: pathlib.Path) -> None:
    six = host.index.wheel("six", "1.17.0")
    nowhere = tmp_path / "not-yet"
    coming = frozenset({six.filename, host.pip.filename})
    planned = look(host.context([locked(six)], offline=True, wheels_dir=nowhere, wheels_coming=coming))
    assert planned.obstacles == ()
    assert told(planned.changes)[0] == "install six: None > 1.17.0"
