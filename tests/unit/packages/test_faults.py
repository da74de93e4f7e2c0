# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bad days: what the user is told, and that nothing is left of it."""

from __future__ import annotations

import io
import os
import pathlib
import re
import sys
import typing as t
import zipfile

import pytest

from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.comfyops.fleet.plugins.module_utils.packages.apply import apply
from ansible_collections.comfyops.fleet.plugins.module_utils.packages.uv_faults import explain
from tests.unit.packages.conftest import Host, converge, locked, look, site, told

if t.TYPE_CHECKING:
    from tests.support.forge.faults import FaultKind
    from tests.support.locks import Document


def _logged(host: Host) -> str:
    """All that uv said."""
    return "".join(log.read_text() for log in (host.root / "state" / "logs").iterdir())


def fault(host: Host, *packages: Document, **settings: t.Any) -> str:
    """What a first converge ends with; a build that serves is as it was, and its log is named and is there."""
    served = host.context([locked(host.index.wheel("served", "1.0"))])
    converge(served)
    context = host.context(packages, **settings)
    before = set(context.layout.envs.iterdir())
    with pytest.raises(FleetError) as caught:
        converge(context)
    assert look(served).changes == ()
    assert set(context.layout.envs.iterdir()) == before
    logs = re.findall(r"uv's whole output: (\S+)|Its whole output: (\S+)", str(caught.value))
    assert all(pathlib.Path("".join(log)).read_text().startswith("$ uv venv") for log in logs)
    return str(caught.value)


def test_other_bytes_than_the_lock(host: Host) -> None:
    release = host.index.wheel("six", "1.17.0")
    text = fault(host, locked(release, sha256="0" * 64))
    assert f"pypi ({host.index.url}): has other bytes for six==1.17.0 than the lock" in text
    assert release.sha256 in text
    assert "0" * 64 in text
    assert "lock again; else check comfy_python_indexes" in text


def test_a_cached_wheel_is_held_against_the_lock_too(host: Host) -> None:
    release = host.index.wheel("six", "1.17.0")
    converge(host.context([locked(release)]))
    assert "has other bytes for six==1.17.0" in fault(host, locked(release, sha256="0" * 64))


def test_a_version_that_the_index_does_not_have(host: Host) -> None:
    release = host.index.wheel("six", "1.17.0")
    entry = locked(release)
    host.index.remove(release)
    host.index.wheel("six", "1.16.0")
    assert "does not have six==1.17.0 (any more)" in fault(host, entry)


def test_a_wheel_for_another_platform(host: Host) -> None:
    python = f"cp{sys.version_info.major}{sys.version_info.minor}"
    text = fault(host, locked(host.index.wheel("winonly", "1.0", tag=f"{python}-{python}-win_amd64")))
    assert "the locked wheel of winonly==1.0 is not for this host's Python or platform" in text
    assert "win_amd64" in text


def test_an_index_that_is_down(host: Host) -> None:
    release = host.index.wheel("six", "1.17.0")
    text = fault(host, locked(release), python_indexes={"pypi": "http://127.0.0.1:9/simple"})
    assert "pypi (http://127.0.0.1:9/simple): can not be reached (Connection refused" in text


def test_an_index_that_fails(host: Host) -> None:
    release = host.index.wheel("six", "1.17.0")
    host.forge.fault("status", "/files/pypi/six*", status=503)
    assert "can not be reached (HTTP status server error (503" in fault(host, locked(release))


@pytest.mark.parametrize("kind", ["html", "wrong-content", "short-body"])
def test_something_that_is_no_wheel(host: Host, kind: FaultKind) -> None:
    release = host.index.wheel("six", "1.17.0")
    host.forge.fault(kind, "/files/pypi/six*.whl")
    text = fault(host, locked(release))
    assert "six" in text
    assert "no whole wheel" in text or "has other bytes" in text


def test_all_indexes_are_asked_before_it_ends(host: Host) -> None:
    first = locked(host.index.wheel("six", "1.17.0"), sha256="0" * 64)
    second = locked(host.forge.index("cpu").wheel("torch", "2.9.0+cpu"), sha256="1" * 64)
    text = fault(host, first, second)
    assert "six==1.17.0" in text
    assert "torch==2.9.0+cpu" in text


def test_an_index_that_wants_a_token(host: Host) -> None:
    private = host.forge.index("private")
    private.token = "s3cret"
    release = private.wheel("ours", "1.0")
    text = fault(host, locked(release))
    assert "127.0.0.1 refuses ours==1.0 (401 Unauthorized)" in text, _logged(host)
    assert "Set comfy_credentials['127.0.0.1'] to a token" in text


@pytest.mark.parametrize("credential", ["s3cret", "somebody:s3cret"])
def test_a_token_opens_its_index_and_is_nowhere_to_be_read(host: Host, credential: str) -> None:
    private = host.forge.index("private")
    private.token = "s3cret"
    by_index = locked(private.wheel("ours", "1.0"))
    release = private.wheel("mine", "1.0")
    by_url = locked(release, index=None, url=release.url, source="wheel")
    context = host.context([by_index, by_url], credentials={"127.0.0.1": credential})
    converge(context)
    written = [path for path in host.root.rglob("*") if path.is_file()]
    assert not [path for path in written if b"s3cret" in path.read_bytes()]


def test_a_token_in_an_indexs_url_is_used_and_not_shown(host: Host) -> None:
    private = host.forge.index("private")
    private.token = "s3cret"
    url = private.url.replace("http://", "http://somebody:s3cret@")
    context = host.context([locked(private.wheel("ours", "1.0"))], python_indexes={"private": url})
    converge(context)
    assert "s3cret" not in _logged(host)
    text = fault(host, locked(private.wheel("ours", "2.0"), sha256="0" * 64), python_indexes={"private": url})
    assert "s3cret" not in text


def test_a_token_that_can_not_be_handed_over(host: Host) -> None:
    release = host.index.wheel("six", "1.17.0")
    assert "have a blank, a quote or #" in fault(host, locked(release), credentials={"forge.example": "a b"})


def test_an_index_that_nobody_locates_is_an_obstacle(host: Host) -> None:
    release = host.index.wheel("six", "1.17.0")
    (obstacle,) = look(host.context([locked(release, index="lost")])).obstacles
    assert "nobody says where the package index 'lost' is" in str(obstacle)
    assert "comfy_python_indexes['lost']" in str(obstacle)


def test_a_wheel_whose_content_is_not_what_its_name_says(host: Host) -> None:
    other = host.index.wheel("liar", "2.0")
    liar = host.index.publish("liar-1.0-py3-none-any.whl", other.content.data, other.metadata.data)
    text = fault(host, locked(liar, version="1.0"))
    assert "sends something for liar-1.0-py3-none-any.whl that is no whole wheel (Wheel version does not match" in text
    assert "pip" not in text


def test_a_damaged_cache_is_healed(host: Host) -> None:
    """An edit in one environment reaches uv's cache by the hard link, and from there the next environment."""
    modules = {"six/__init__.py": "VALUE = 1\n", "six/other.py": "VALUE = 2\n"}
    six, attrs = locked(host.index.wheel("six", "1.17.0", modules=modules)), locked(host.index.wheel("attrs", "25.3.0"))
    first = host.context([six])
    converge(first)
    (site(first) / "six" / "other.py").write_text("VALUE = 3\n")
    second = host.context([six, attrs])
    host.forge.forget_requests()
    converge(second)
    assert (site(second) / "six" / "other.py").read_text() == "VALUE = 2\n"
    fetched = [request.path for request in host.forge.requests if "/files/" in request.path]
    assert len([path for path in fetched if "six" in path and path.endswith(".whl")]) == 1


@pytest.mark.parametrize("victim", ["METADATA", "RECORD", "WHEEL"])
def test_a_cache_that_lost_a_wheels_metadata_is_healed(host: Host, victim: str) -> None:
    six = locked(host.index.wheel("six", "1.17.0"))
    converge(host.context([six]))
    for path in host.context([six]).layout.cache.rglob(victim):
        if "six" in path.parent.name:
            path.unlink()
    second = host.context([six, locked(host.index.wheel("attrs", "25.3.0"))])
    converge(second)
    assert (site(second) / "six-1.17.0.dist-info" / victim).is_file()


def test_a_wheel_that_contradicts_its_own_record_is_no_success(host: Host) -> None:
    faulty = _with_wrong_record(host)
    text = fault(host, faulty)
    assert "freshly installed files are not as their wheels record them: wrong: wrong/__init__.py" in text


def _with_wrong_record(host: Host) -> Document:
    release = host.index.wheel("wrong", "1.0")
    archive = io.BytesIO()
    with zipfile.ZipFile(release.content.path) as source, zipfile.ZipFile(archive, "w") as target:
        for name in source.namelist():
            body = source.read(name)
            target.writestr(name, body + b"# more\n" if name == "wrong/__init__.py" else body)
    again = host.index.publish(release.filename, archive.getvalue(), release.metadata.data)
    return locked(again)


def test_uv_that_is_not_there(host: Host) -> None:
    context = host.context([locked(host.index.wheel("six", "1.17.0"))], uv=pathlib.Path("/no/such/uv"))
    with pytest.raises(FleetError, match="/no/such/uv: uv is not on this host"):
        apply(context, look(context))
    without = host.context([locked(host.index.wheel("six", "1.17.0"))], uv=None)
    with pytest.raises(FleetError, match="brings it from the control node"):
        apply(without, look(without))


def test_uv_that_was_brought_is_found(host: Host) -> None:
    context = host.context([locked(host.index.wheel("six", "1.17.0"))], uv=None)
    brought = context.layout.agent / "uv-0123456789ab" / "uv"
    brought.parent.mkdir(parents=True)
    brought.symlink_to(os.fspath(host.context([]).settings.uv or ""))
    assert told(converge(context))[0] == "install six: None > 1.17.0"


def test_only_the_newest_logs_are_kept(host: Host) -> None:
    context = host.context([locked(host.index.wheel("six", "1.17.0"))])
    logs = context.layout.state / "logs"
    logs.mkdir(parents=True)
    for number in range(30):
        (logs / f"uv-20000101T0000{number:02}Z-1.log").write_text("")
    converge(context)
    left = sorted(path.name for path in logs.iterdir())
    assert len(left) == 20
    assert left[0] == "uv-20000101T000011Z-1.log"


def test_a_full_disk_is_named(host: Host) -> None:
    said = "error: Failed to install: six\n  cause: failed to write\n  cause: No space left on device (os error 28)\n"
    assert "the disk is full" in str(explain(said, "pypi", pathlib.Path("/log")))


def test_what_nobody_foresaw_is_shown_as_it_is(host: Host) -> None:
    text = str(explain("error: something new\n", "pypi", pathlib.Path("/log")))
    assert text == "pypi: uv failed: error: something new. Its whole output: /log"
