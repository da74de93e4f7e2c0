# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A target's packages as a requirements file of pip's, with the hash of exactly one file each.

The format is described in pip's documentation, "Requirements File Format" and "Secure installs"; uv reads it as well.
"""

from __future__ import annotations

import collections.abc as c

from ansible_collections.comfyops.fleet.plugins.module_utils.lock.document import (
    DEFAULT_INDEX,
    INDEX,
    PROVIDED,
    WHEEL,
    Lock,
    Package,
    Target,
)
from ansible_collections.comfyops.fleet.plugins.plugin_utils.formats.local_wheels import WHEELS
from ansible_collections.comfyops.fleet.plugins.plugin_utils.formats.wording import described, kind_of_host


def written(lock: Lock, target: Target) -> str:
    """The text of ``requirements.txt``. What no server has is in the directory ``wheels`` beside it."""
    packages = sorted(target.packages, key=lambda package: package.name)
    blocks = [_head(lock, target), *_indexes(target, packages), *(_package(package) for package in packages)]
    return "\n".join(blocks)


def _head(lock: Lock, target: Target) -> str:
    return (
        f"# The Python packages of {kind_of_host(lock, target)}.\n"
        "# Written by comfyops.fleet from the lock; write it anew rather than edit it. In its directory:\n"
        "#\n"
        "#     python -m pip install --require-hashes --no-deps -r requirements.txt\n"
        "#     uv pip install --require-hashes --no-deps --index-strategy unsafe-best-match -r requirements.txt\n"
        "#\n"
        "# The hashes say which file is meant, whichever index has others of the name.\n"
        "--only-binary :all:\n"
    )


def _indexes(target: Target, packages: c.Sequence[Package]) -> c.Iterator[str]:
    """What is bound to an index, which this format cannot say, and where the index is."""
    for name, url in sorted(target.indexes.items()):
        bound = [package.name for package in packages if package.source == INDEX and package.index == name]
        if url and bound:
            option = "--index-url" if name == DEFAULT_INDEX else "--extra-index-url"
            yield f"# The index {name}, for {', '.join(bound)}.\n{option} {url}\n"


def _is_beside(package: Package) -> bool:
    return package.source not in (INDEX, WHEEL, PROVIDED)


def _package(package: Package) -> str:
    comments = "".join(f"    # {line}\n" for line in described(package))
    if package.source == PROVIDED:
        return f"# {package.name}=={package.version}: nothing to install\n{comments}"
    return f"{_named(package)} \\\n    --hash=sha256:{package.sha256}\n{comments}"


def _named(package: Package) -> str:
    if package.source == WHEEL:
        return f"{package.name} @ {package.url}"
    # By its path: of a name and version that an index has as well, pip would prefer the file with the closer tags, and
    # refuse it for its hash. Both tools take paths from the directory that they run in.
    return f"./{WHEELS}/{package.file}" if _is_beside(package) else f"{package.name}=={package.version}"
