# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which branches, tags and commits a spec may name."""

from __future__ import annotations

import re
import typing as t

from ansible_collections.comfyops.fleet.plugins.plugin_utils.spec.finding import shown
from ansible_collections.comfyops.fleet.plugins.plugin_utils.spec.values import as_text

if t.TYPE_CHECKING:
    from collections.abc import Mapping

    from ansible_collections.comfyops.fleet.plugins.plugin_utils.spec.finding import Findings, Location

_FULL_COMMIT = re.compile(r"[0-9a-f]{40}", re.IGNORECASE | re.ASCII)
_PART_OF_COMMIT = re.compile(r"[0-9a-f]{4,}", re.IGNORECASE | re.ASCII)
_REFUSED_IN_REF = re.compile(r"[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{|//")

COMMIT_REMEDY = "Write all 40 characters; 'git ls-remote <repo>' prints them"


class Revision(t.NamedTuple):
    """What of a repository is wanted. Both empty: its default branch."""

    ref: str | None
    commit: str | None


def read_revision(entry: Mapping[str, t.Any], at: Location, findings: Findings) -> Revision:
    """Read the keys ref and commit of an entry.

    A branch name in commit is a quirk of files in the field: it becomes the ref. A full commit in ref becomes the
    commit.
    """
    ref, commit = as_text(entry.get("ref")), as_text(entry.get("commit"))
    if ref:
        _is_ref(ref, (*at, "ref"), findings)
    if commit and not _FULL_COMMIT.fullmatch(commit):
        return Revision(_ref_in_commit(ref, commit, at, findings), None)
    if ref and _FULL_COMMIT.fullmatch(ref):
        return Revision(None, _commit_in_ref(ref, commit, at, findings))
    return Revision(ref, commit.lower() if commit else None)


def is_full_commit(text: str) -> bool:
    """Tell whether a text is a whole SHA-1 commit id."""
    return bool(_FULL_COMMIT.fullmatch(text))


def ref_problem(ref: str) -> str | None:
    """Tell what git check-ref-format has against a branch or tag name; nothing when git takes it."""
    if ref.startswith("-"):
        return "begins with '-', which git takes for an option"
    match = _REFUSED_IN_REF.search(ref)
    if match:
        return f"has {shown(match[0])} in it"
    if ref == "@" or not ref or ref.startswith("/") or ref.endswith(("/", ".")):
        return "has '/' or '.' at its end, or no name at all"
    for part in ref.split("/"):
        if part.startswith(".") or part.endswith(".lock"):
            return f"has the part {shown(part)}: none may begin with '.' or end with '.lock'"
    return None


def _is_ref(ref: str, at: Location, findings: Findings) -> bool:
    problem = ref_problem(ref)
    if problem:
        findings.error(at, f"{shown(ref)} is no branch or tag that git would take: it {problem}", "Write its real name")
    return problem is None


def _ref_in_commit(ref: str | None, commit: str, at: Location, findings: Findings) -> str:
    place = (*at, "commit")
    if _PART_OF_COMMIT.fullmatch(commit):
        findings.error(place, f"{shown(commit)} has {len(commit)} hexadecimal characters, not 40", COMMIT_REMEDY)
    elif ref and ref != commit:
        remedy = "Keep one: the branch or tag in ref, or a full commit in commit"
        findings.error(place, f"{shown(commit)} is no commit, and ref names {shown(ref)}", remedy)
    elif _is_ref(commit, place, findings):
        findings.warning(
            place, f"{shown(commit)} is a branch or tag, not a commit", f"Write it as ref: {shown(commit)}"
        )
    return commit


def _commit_in_ref(ref: str, commit: str | None, at: Location, findings: Findings) -> str:
    place = (*at, "ref")
    if commit and commit.lower() != ref.lower():
        findings.error(place, "names another commit than 'commit' does", "Keep one of the two")
    else:
        findings.warning(place, f"{shown(ref)} is a commit, not a branch or tag", "Write it as commit")
    return ref.lower()
