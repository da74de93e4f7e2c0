# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Apply the planned changes of one checkout."""

from __future__ import annotations

import collections.abc as c
import contextlib
import functools
import pathlib

from ansible_collections.comfyops.fleet.plugins.module_utils.checkout import git
from ansible_collections.comfyops.fleet.plugins.module_utils.checkout.create import MirrorOf, create_tree
from ansible_collections.comfyops.fleet.plugins.module_utils.checkout.links import make_link
from ansible_collections.comfyops.fleet.plugins.module_utils.checkout.mirror import ensure_commit
from ansible_collections.comfyops.fleet.plugins.module_utils.checkout.plan import (
    CHECK_OUT,
    CREATE,
    LINK,
    PUT_ASIDE,
    RESTORE,
    Placed,
)
from ansible_collections.comfyops.fleet.plugins.module_utils.checkout.restore import check_out, put_aside, restore_files
from ansible_collections.comfyops.fleet.plugins.module_utils.host.atomic import new_aside, remove_tree
from ansible_collections.comfyops.fleet.plugins.module_utils.host.context import Context
from ansible_collections.comfyops.fleet.plugins.module_utils.host.layout import Layout
from ansible_collections.comfyops.fleet.plugins.module_utils.lock.document import Checkout


def clear_making(layout: Layout) -> None:
    """Remove checkouts that a killed run left half-made; a git of it that still writes there does no harm."""
    with contextlib.suppress(OSError):
        remove_tree(layout.making)


def mirrors_of(context: Context) -> MirrorOf:
    """Where this host gets commits from: its cache, filled from the repository or where comfy_git_mirrors says."""
    settings = context.settings

    def mirror_of(repo: str, commit: str) -> pathlib.Path:
        return ensure_commit(
            context.layout.git_mirrors,
            repo,
            commit,
            reachable_at=git.mirrored(repo, settings.git_mirrors),
            credentials=settings.credentials,
        )

    return mirror_of


def apply_tree(
    context: Context,
    directory: pathlib.Path,
    wanted: Checkout,
    placed: c.Sequence[Placed],
    links: c.Mapping[str, str],
    left_out: c.Sequence[str] = (),
    foreign_below: str | None = None,
) -> None:
    """Do what was planned for the checkout at ``directory``; what is replaced goes below ``state/aside``.

    left_out and foreign_below: as for check_out.
    """
    mirror_of = mirrors_of(context)
    layout = context.layout
    if any(each.change.action == CREATE for each in placed):
        create_tree(directory, wanted, mirror_of, making=layout.making, aside=layout.aside, links=links)
        return
    aside = functools.cache(lambda: new_aside(layout.aside) / directory.relative_to(layout.builds))
    if "" in _checked_out(placed):
        mirror = mirror_of(wanted.repo, wanted.commit)
        outside = [*left_out, *links, *(each.path for each in wanted.submodules)]
        check_out(
            *(directory, wanted.repo, wanted.commit, mirror),
            aside=aside(),
            left_out=outside,
            foreign_below=foreign_below,
        )
    for submodule in wanted.submodules:
        if submodule.path in _checked_out(placed):
            mirror = mirror_of(submodule.repo, submodule.commit)
            place = directory / submodule.path
            check_out(place, submodule.repo, submodule.commit, mirror, aside=aside() / submodule.path)
    _restore_and_link(directory, wanted, placed, aside, links, layout.aside)


def _restore_and_link(
    directory: pathlib.Path,
    wanted: Checkout,
    placed: c.Sequence[Placed],
    aside: c.Callable[[], pathlib.Path],
    links: c.Mapping[str, str],
    asides: pathlib.Path,
) -> None:
    commits = {"": wanted.commit, **{each.path: each.commit for each in wanted.submodules}}
    for submodule, commit in commits.items():
        inside = directory / submodule
        restored = _paths(placed, RESTORE, submodule)
        if restored:
            restore_files(inside, commit, restored, aside() / submodule)
        put_aside(inside, _paths(placed, PUT_ASIDE, submodule), aside() / submodule)
    for path in _paths(placed, LINK, ""):
        make_link(directory / path, links[path], base=directory / path, aside=asides)


def _checked_out(placed: c.Sequence[Placed]) -> set[str]:
    return {each.submodule for each in placed if each.change.action == CHECK_OUT}


def _paths(placed: c.Sequence[Placed], action: str, submodule: str) -> list[str]:
    return [each.path for each in placed if each.change.action == action and each.submodule == submodule]
