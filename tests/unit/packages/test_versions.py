# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Versions that are the same though their texts differ, by the rules that packaging knows."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st
from packaging.version import Version

from ansible_collections.comfyops.fleet.plugins.module_utils.packages.versions import same_version

SPELLINGS = (
    *("1.0", "1", "1.0.0", "v1.0", "0!1", "01.0", "1!1.0", "1.0.1", "1.10", "1.1"),
    *(
        "1.0a1",
        "1.0.alpha-1",
        "1.0A1",
        "1.0b2",
        "1.0-beta.2",
        "1.0rc1",
        "1.0c1",
        "1.0-pre1",
        "1.0-preview_1",
        "1.0a",
        "1.0a0",
    ),
    *("1.0.post1", "1.0-1", "1.0-r1", "1.0rev1", "1.0.post", "1.0.dev3", "1.0dev3", "1.0-dev", "1.0a1.post2.dev3"),
    *("1.0+cpu", "1.0+CPU", "1.0+ubuntu-1", "1.0+ubuntu.1", "1.0+ubuntu_01", "1.0+cu130torch2.10.0"),
    *("2023.07.22", "2023.7.22"),
)


def test_spellings() -> None:
    for first, second in itertools.combinations_with_replacement(SPELLINGS, 2):
        assert same_version(first, second) == (Version(first) == Version(second)), f"{first} and {second}"


NUMBER = st.integers(0, 999).map(str)
RELEASE = st.lists(NUMBER, min_size=1, max_size=4).map(".".join)
SUFFIXES = st.tuples(*(st.just("") | NUMBER.map(name.__add__) for name in ("rc", ".post", ".dev", "+cu")))


@given(RELEASE, SUFFIXES)
def test_the_normal_form_is_the_version(release: str, suffixes: tuple[str, ...]) -> None:
    text = release + "".join(suffixes)
    assert same_version(text, str(Version(text)))


def test_what_is_no_version_is_only_itself() -> None:
    assert same_version("unknown", "unknown")
    assert not same_version("unknown", "other")
