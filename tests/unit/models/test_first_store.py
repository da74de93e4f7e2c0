# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host reads files of which nobody says the sha256, and has them afterwards."""

from __future__ import annotations

import hashlib

from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.comfyops.fleet.plugins.module_utils.host.http import Access
from ansible_collections.comfyops.fleet.plugins.module_utils.models.first_read import Content
from ansible_collections.comfyops.fleet.plugins.module_utils.models.first_store import Site, Wanted, read_into_store
from tests.unit.models.conftest import Host, converge, look

NAME = "x.safetensors"


def read(host: Host, *urls: str) -> list[Content | FleetError]:
    files = [Wanted(NAME, NAME, url, None) for url in urls]
    return read_into_store(host.layout, files, Site(None, None, Access()))


def test_what_was_read_is_not_fetched_again(host: Host) -> None:
    model = host.model(NAME, size=300_000)
    assert read(host, model["url"]) == [Content(model["sha256"], 300_000)]
    assert host.stored(model).stat().st_mode & 0o777 == 0o444
    assert list(host.layout.partial.iterdir()) == []
    host.forget()
    context = host.context(model)
    assert "fetch" not in [change.action for change in look(context).changes]
    converge(context)
    assert host.gets("") == []


def test_each_has_its_own_fault(host: Host) -> None:
    good, page = host.model(NAME), host.model("page.safetensors")
    short = host.forge.model("short.safetensors", b"\x10" + bytes(1000))
    host.forge.fault("html", "/models/page.safetensors")
    results = read(host, good["url"], f"{host.forge.base_url}/models/none", page["url"], short.url)
    assert results[0] == Content(good["sha256"], good["size"])
    texts = [str(result) for result in results[1:]]
    assert "answers 404" in texts[0]
    assert "gave an HTML page" in texts[1]
    assert "what came is no model: its safetensors header" in texts[2]
    assert all(text.startswith(f"model {NAME}: ") for text in texts)
    # Nothing of the refused ones stays behind as if it were whole.
    assert sum(path.is_file() for path in host.layout.store.rglob("*")) == 1


def test_a_file_of_the_host_stays_where_it_is(host: Host) -> None:
    path = host.directory / "local.bin"
    path.write_bytes(b"content")
    missing = host.directory / "none.bin"
    found, fault = read_into_store(
        host.layout,
        [Wanted("m", "m.bin", each.as_uri(), None) for each in (path, missing)],
        Site(None, None, Access()),
    )
    assert found == Content(hashlib.sha256(b"content").hexdigest(), 7)
    assert f"{missing}: No such file" in str(fault)
    assert path.read_bytes() == b"content"
