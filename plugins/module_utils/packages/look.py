# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Look at one environment: interpreter, distributions, and whether anything is not as it was when it was made.

This is what every run does. Where something has changed, ``close_look`` finds out what; it is imported only then.
"""

from __future__ import annotations

import collections
import collections.abc as c
import os
import pathlib
import re

from ansible_collections.comfyops.fleet.plugins.module_utils.host.context import Context
from ansible_collections.comfyops.fleet.plugins.module_utils.lock.document import PROVIDED
from ansible_collections.comfyops.fleet.plugins.module_utils.packages.compare import Environment, wanted_versions
from ansible_collections.comfyops.fleet.plugins.module_utils.packages.distributions import (
    BYTECODE,
    Distribution,
    distributions,
    environment_site,
)
from ansible_collections.comfyops.fleet.plugins.module_utils.packages.pip_settings import is_kept_out
from ansible_collections.comfyops.fleet.plugins.module_utils.packages.receipt import Fingerprints, changed_since


def inspect(context: Context, environment: pathlib.Path, seen: Fingerprints | None, deep: bool) -> Environment:
    """The environment in the directory ``environment``, held against the context's target.

    seen: the receipt; without one every recorded file's existence and size is looked at. deep: hash every file.
    """
    site = environment_site(environment, context.target.python)
    python, fault = _interpreter(environment)
    try:
        entries = os.listdir(site)
    except OSError:
        return Environment(python, fault or f"{site.name} is not there", {})
    installed, unreadable = distributions(site, entries, wanted_versions(context.target))
    damaged: dict[str, tuple[str, ...]] = dict.fromkeys((*unreadable, *_doubled(installed)), ())
    broken, linked = _of_the_image(context, environment, site)
    damaged |= broken
    changed = None if seen is None or deep else changed_since(site, seen)
    known = {BYTECODE, *linked, *(seen or ())}
    unknown = [entry for entry in entries if entry not in known]
    foreign: tuple[str, ...] = ()
    if changed is None or changed or unknown:
        from ansible_collections.comfyops.fleet.plugins.module_utils.packages.close_look import CloseLook

        close = CloseLook(context, site, installed, deep=deep)
        damaged |= close.damaged(changed)
        foreign = close.foreign(unknown, any_entry=seen is None)
    return Environment(python, fault, {each.name: each.version for each in installed}, damaged, foreign)


def _of_the_image(
    context: Context, environment: pathlib.Path, site: pathlib.Path
) -> tuple[dict[str, tuple[str, ...]], set[str]]:
    """What is wrong with the packages that the host's image brings, and which entries of the directory are theirs."""
    names = [package.name for package in context.target.packages if package.source == PROVIDED]
    if not names:
        return {}, set()
    from ansible_collections.comfyops.fleet.plugins.module_utils.packages.provided_links import (
        broken_links,
        kept_links,
        linked_entries,
    )

    kept = kept_links(environment)
    return broken_links(kept, site, names), linked_entries(kept)


def _interpreter(environment: pathlib.Path) -> tuple[str | None, str | None]:
    """The interpreter's version, and what is wrong with it. Source: PEP 405, and uv's key for the version."""
    try:
        text = (environment / "pyvenv.cfg").read_text("utf-8")
    except (OSError, ValueError):
        return None, "pyvenv.cfg is not there"
    settings = dict(re.findall(r"^\s*([a-z_-]+)\s*=\s*(.*?)\s*$", text, re.MULTILINE))
    python = settings.get("version_info") or settings.get("version")
    if settings.get("include-system-site-packages", "false").lower() != "false":
        return python, "it takes packages of the system too"
    if not os.access(environment / "bin" / "python", os.X_OK):
        return python, "its bin/python can not be run"
    if not is_kept_out(environment):
        return python, "its pip.conf lets pip install into it"
    return python, None


def _doubled(installed: c.Sequence[Distribution]) -> set[str]:
    counted = collections.Counter(each.name for each in installed)
    return {name for name, count in counted.items() if count > 1}
