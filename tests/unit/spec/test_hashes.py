# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The forms of a sha256, as Nix writes and reads them; and NAR hashes of what a tree can have."""

from __future__ import annotations

import hashlib
import os
import pathlib
import typing as t

import pytest

from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.comfyops.fleet.plugins.plugin_utils.formats.nar import nar_sha256
from ansible_collections.comfyops.fleet.plugins.plugin_utils.spec.hashes import read_sha256, to_base32, to_sri
from ansible_collections.comfyops.fleet.plugins.plugin_utils.spec.load import SpecInvalid, load
from tests.support.nix import Nix

DIGEST = "37f9a931c215f040aa6d50f711f2cb115f713c46df1d0d6469a8bd7bfe9a60bb"
BASE32 = to_base32(DIGEST)
SRI = to_sri(DIGEST)
BASE64 = SRI.removeprefix("sha256-")


@pytest.fixture
def nix(tmp_path: pathlib.Path) -> Nix:
    """Nix with an empty store."""
    return Nix(tmp_path / "nix")


def test_nix_writes_the_same_forms(nix: Nix) -> None:
    digests = [DIGEST, "0" * 64, "f" * 64, *(hashlib.sha256(bytes([number])).hexdigest() for number in range(3))]
    for digest in digests:
        base32, sri = to_base32(digest), to_sri(digest)
        assert nix.run("nix-hash", "--type", "sha256", "--to-base32", digest) == base32
        assert nix.run("nix", "hash", "to-sri", "--type", "sha256", base32) == sri
        forms = (digest, digest.upper(), base32, sri, f"sha256:{digest}", f"sha256:{base32}")
        assert {read_sha256(form) for form in forms} == {digest}


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (f"sha256-{DIGEST}", "mixes two forms: it begins as SRI, .* goes on in hexadecimal"),
        (f"sha256-{BASE32}", "begins as SRI, .* goes on in Nix base 32"),
        (f"sha256:{BASE64}", "begins as no SRI and goes on in base 64"),
        (BASE64, "begins as no SRI and goes on in base 64"),
        (SRI.replace("=", ""), "of no form of it"),
        # The last bits carry nothing: 's' and 't' would decode to the same bytes.
        (f"{SRI[:-2]}{chr(ord(SRI[-2]) + 1)}=", "is no sha256"),
        (f"z{BASE32[1:]}", "more than 256 bits"),
        (BASE32.replace(BASE32[3], "e"), "of no form"),
        (DIGEST[:-1], "63 characters, of no form of it"),
        ("sha512-" + "A" * 86 + "==", "but a sha512"),
        ("", "is no sha256"),
    ],
)
def test_what_is_none_or_a_mixture_is_refused(text: str, fault: str) -> None:
    with pytest.raises(FleetError, match=fault) as told:
        read_sha256(text, "here")
    assert str(told.value).startswith("here: ")


@pytest.mark.parametrize("form", [SRI, BASE32, f"sha256:{BASE32}"])
def test_a_spec_says_what_another_form_is_in_hexadecimal(tmp_path: pathlib.Path, form: str) -> None:
    wheel = "https://host.example/x-1.0-py3-none-any.whl"
    document = f"""{{"schema_version": 3, "version_id": "v", "comfy": {{"repo": "https://host.example/core"}},
        "python_packages": [{{"name": "x", "url": "{wheel}", "sha256": "{form}"}}],
        "models": [{{"source": "https://host.example/m.bin", "target_subdir": "loras", "checksum": "{form}"}}]}}"""
    (tmp_path / "v.json").write_text(document)
    with pytest.raises(SpecInvalid) as told:
        load(tmp_path, "v")
    assert f"/python_packages/0/sha256: sha256 '{form}' is not hexadecimal. Write {DIGEST}" in str(told.value)
    assert f"/models/0/checksum: '{form}' is not hexadecimal. Write sha256:{DIGEST}" in str(told.value)


def odd_tree(directory: pathlib.Path) -> pathlib.Path:
    """A tree with what hashes of trees get wrong: order of bytes, empty things, links, modes, odd names and sizes."""
    tree = directory / "tree"
    (tree / "empty").mkdir(parents=True)
    for name, size in (("a", 0), ("a.b", 1), ("a-b", 7), ("B", 8), ("\u00fc", 9), ("big", 3_000_001)):
        (tree / name).write_bytes(b"x" * size)
    (tree / "script").write_text("#!/bin/sh\n")
    (tree / "script").chmod(0o755)
    (tree / "group").write_text("executable for its group alone")
    (tree / "group").chmod(0o654)
    (tree / "link").symlink_to("nowhere/at all")
    (tree / "folder").symlink_to("empty")
    os.mkdir(os.fsencode(tree) + b"/\xff\xfe")
    return tree


def test_nix_hashes_trees_and_files_alike(tmp_path: pathlib.Path, nix: Nix) -> None:
    tree = odd_tree(tmp_path)
    paths: t.Final = (tree, tree / "a", tree / "script", tree / "empty")
    assert [nix.run("nix-hash", "--type", "sha256", str(path)) for path in paths] == [nar_sha256(p) for p in paths]
    (tree / "deeper").mkdir()
    before = nar_sha256(tree)
    (tree / "deeper" / ".git").write_text("left out")
    assert nar_sha256(tree, without={".git"}) == before
    os.mkfifo(tree / "pipe")
    with pytest.raises(FleetError, match=r"pipe: is no file, directory or link"):
        nar_sha256(tree)
