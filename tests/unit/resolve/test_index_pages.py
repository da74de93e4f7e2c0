# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The pages of indexes as they are met: both forms, with all that they may say and all that they do wrong."""

from __future__ import annotations

import json
import typing as t
import urllib.parse

import pytest

from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.comfyops.fleet.plugins.module_utils.host.http import Access, HttpFault
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve import patience
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.index_pages import (
    ListedFile,
    read_page,
    read_project,
    write_page,
)
from tests.support.forge import Fault

if t.TYPE_CHECKING:
    from tests.support.forge import Forge

HASH = "ab" * 32
OTHER = "cd" * 32
PAGE = "https://index.example/simple/box/"
HTML = f"""<!DOCTYPE html><html><head><meta name="pypi:repository-version" content="1.0"></head><body>
<h1>Links for box</h1>
<a href="../../files/box-1.0%2Bcu130-py3-none-any.whl#sha256={HASH.upper()}" data-requires-python="&gt;=3.10"
   data-dist-info-metadata="sha256={OTHER}" data-core-metadata="sha256={HASH}">box-1.0+cu130-py3-none-any.whl</a><br/>
<A HREF='https://cdn.example/box-0.9.tar.gz?token=1#md5=0123' data-yanked="it &quot;broke&quot;">box-0.9.tar.gz</A>
<a href="box-0.8-py3-none-any.whl" data-yanked data-dist-info-metadata="true">box-0.8-py3-none-any.whl</a>
<a href="https://index.example/help">Help</a> <a name="top">no address</a> <a href="../">up</a>
</body></html>"""


def test_a_page_in_html() -> None:
    assert read_page(HTML.encode(), "text/html", PAGE) == [
        ListedFile(
            "box-1.0+cu130-py3-none-any.whl",
            "https://index.example/files/box-1.0%2Bcu130-py3-none-any.whl",
            sha256=HASH,
            requires_python=">=3.10",
            has_metadata=True,
            metadata_sha256=HASH,
        ),
        ListedFile("box-0.9.tar.gz", "https://cdn.example/box-0.9.tar.gz?token=1", yanked='it "broke"'),
        ListedFile(
            "box-0.8-py3-none-any.whl",
            "https://index.example/simple/box/box-0.8-py3-none-any.whl",
            yanked="",
            has_metadata=True,
        ),
    ]


def test_the_base_of_a_page_counts() -> None:
    page = '<base href="/mirror/"><a href="a-1-py3-none-any.whl">a</a>'
    (file,) = read_page(page.encode(), "application/vnd.pypi.simple.v1+html", PAGE)
    assert file.url == "https://index.example/mirror/a-1-py3-none-any.whl"


def test_a_page_in_json() -> None:
    files = [
        {
            "filename": "box-1.0+cu130-py3-none-any.whl",
            "url": "../../files/box-1.0%2Bcu130-py3-none-any.whl#sha256=00",
            "hashes": {"sha256": HASH, "md5": "00"},
            "size": 12,
            "requires-python": ">=3.10",
            "upload-time": "2025-01-01T00:00:00.123456Z",
            "yanked": False,
            "core-metadata": {"sha256": OTHER},
            "dist-info-metadata": False,
        },
        {"filename": "box-0.9.tar.gz", "url": "box-0.9.tar.gz", "hashes": {}, "yanked": "broken"},
        {"filename": "box-0.8.tar.gz", "url": "box-0.8.tar.gz", "hashes": {}, "yanked": True, "core-metadata": True},
    ]
    content = json.dumps({"meta": {"api-version": "1.9"}, "name": "box", "files": files}).encode()
    first, second, third = read_page(content, "application/vnd.pypi.simple.v1+json", PAGE)
    assert first == ListedFile(
        "box-1.0+cu130-py3-none-any.whl",
        "https://index.example/files/box-1.0%2Bcu130-py3-none-any.whl",
        sha256=HASH,
        size=12,
        requires_python=">=3.10",
        uploaded="2025-01-01T00:00:00.123456Z",
        has_metadata=True,
        metadata_sha256=OTHER,
    )
    assert (second.yanked, third.yanked, third.has_metadata, third.metadata_sha256) == ("broken", "", True, None)
    again = read_page(write_page("box", [first, second, third]), "application/vnd.pypi.simple.v1+json", PAGE)
    assert again == [first, second, third]


@pytest.mark.parametrize("name", ["box-1.0-1/../../x-py3-none-any.whl", "..\\box-1.0.tar.gz", "box-1.0\n.tar.gz", ""])
def test_a_name_that_leads_elsewhere_is_no_file(name: str) -> None:
    said = {"meta": {}, "files": [{"filename": name, "url": "box.whl"}]}
    assert read_page(json.dumps(said).encode(), "application/json", PAGE) == []
    page = f'<a href="{urllib.parse.quote(name, safe="")}.whl">box</a>'
    assert [file.name for file in read_page(page.encode(), "text/html", PAGE)] == ([] if name else [".whl"])


def test_what_a_page_says_in_a_wrong_form_was_not_said() -> None:
    said = {"filename": "box-1.0.tar.gz", "url": "box-1.0.tar.gz", "size": "12", "requires-python": 3}
    for time in ("yesterday", 17, "2025-13-01T00:00:00Z"):
        content = json.dumps({"files": [{**said, "upload-time": time}]}).encode()
        assert read_page(content, "application/json", PAGE) == [ListedFile("box-1.0.tar.gz", f"{PAGE}box-1.0.tar.gz")]


@pytest.mark.parametrize(
    ("content", "media_type", "reason"),
    [
        (b"{}", "application/json", "KeyError"),
        (b"[", "application/vnd.pypi.simple.v1+json", "JSONDecodeError"),
        (b'{"files": ["box"]}', "application/vnd.pypi.simple.v1+json", "it cannot be read"),
        (b"PK", "application/octet-stream", "its type is application/octet-stream"),
    ],
)
def test_what_is_no_page(content: bytes, media_type: str, reason: str) -> None:
    with pytest.raises(FleetError, match=f"{PAGE} is no page of a package index: .*{reason}"):
        read_page(content, media_type, PAGE)


def test_a_passing_fault_is_waited_for_and_a_lasting_one_is_told(forge: Forge, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "_PAUSES", (0.01, 0.02))
    index = forge.index()
    release = index.wheel("box", "1.0")
    forge.faults.add(Fault("status", "/simple/box/", status=503, times=2))
    (file,) = read_project(index.url, "box", Access()) or []
    assert (file.url, file.sha256) == (release.url, release.sha256)
    assert read_project(index.url, "lid", Access()) is None
    forge.faults.add(Fault("status", "/simple/box/", status=500))
    with pytest.raises(HttpFault, match="/simple/box/ answers 500"):
        read_project(index.url, "box", Access())
