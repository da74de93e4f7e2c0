# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Builds the collection, looks at what is in it, installs it and uses it from there: python -m tests.checks.artifact.

What a run needs lives in meta, plugins, roles and playbooks: everything else is removed from the installed copy before
it is used.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import typing as t
from pathlib import Path

from tests.checks.checkout import COLLECTION, MODULES, PLAYBOOKS, ROOT, files, report, tool

if t.TYPE_CHECKING:
    from collections.abc import Iterator

# Galaxy takes 20 MB; this is text.
LARGEST = 4 * 1024 * 1024
SHIPPED = ("README.md", "meta/runtime.yml", "plugins", "roles", "playbooks", "versions", "inventories")
NEEDED_AT_RUN_TIME = ("meta", "plugins", "roles", "playbooks", "MANIFEST.json", "FILES.json")


def run(folder: Path, *command: str) -> str:
    """Run a tool as somebody who has installed the collection in the folder; give what it printed, or end with it."""
    settings = folder / "ansible.cfg"
    settings.write_text(f"[defaults]\ncollections_path = {folder}\nnocolor = true\n", encoding="utf-8")
    environment = {**os.environ, "ANSIBLE_CONFIG": str(settings)}
    done = subprocess.run(
        [tool(command[0]), *command[1:]], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        sys.exit(f"{' '.join(command)} failed with exit code {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout


def build(folder: Path) -> Path:
    """Build the collection from the checkout as it lies here, caches and all; give the path of the archive."""
    run(folder, "ansible-galaxy", "collection", "build", "--output-path", str(folder), str(ROOT))
    return next(folder.glob("*.tar.gz"))


def content_problems(archive: Path) -> Iterator[str]:
    """Compare the archive with the files of the checkout."""
    with tarfile.open(archive) as stream:
        names = {member.name for member in stream.getmembers() if not member.isdir()}
    names -= {"MANIFEST.json", "FILES.json"}
    for name in sorted(names - {path.as_posix() for path in files()}):
        yield f"the archive has {name}, which is no file of the checkout: add it to build_ignore in galaxy.yml"
    for wanted in SHIPPED:
        if not any(name == wanted or name.startswith(f"{wanted}/") for name in names):
            yield f"the archive lacks {wanted}"
    size = archive.stat().st_size
    if size > LARGEST:
        yield f"the archive has {size} bytes; at most {LARGEST} are expected"


def use_problems(archive: Path, folder: Path) -> Iterator[str]:
    """Install the archive, leave only what a run needs, then read each module's documentation, check each playbook."""
    run(folder, "ansible-galaxy", "collection", "install", str(archive), "--offline", "-p", str(folder))
    for path in folder.joinpath("ansible_collections", *COLLECTION.split(".")).iterdir():
        if path.name in NEEDED_AT_RUN_TIME:
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
    names = [f"{COLLECTION}.{module}" for module in MODULES]
    documents = json.loads(run(folder, "ansible-doc", "--json", *names)) if names else {}
    for name in names:
        if name not in documents:
            yield f"{name}: ansible-doc does not find it once the collection is installed"
    for playbook in PLAYBOOKS:
        options = ("--syntax-check", "--inventory", "localhost,", "--extra-vars", "version=example")
        run(folder, "ansible-playbook", *options, f"{COLLECTION}.{playbook}")


def main() -> int:
    """Build, look, install, use."""
    with tempfile.TemporaryDirectory(prefix="artifact-") as folder:
        archive = build(Path(folder))
        problems = [*content_problems(archive), *use_problems(archive, Path(folder))]
        return report(f"artifact {archive.name} ({archive.stat().st_size // 1024} KiB)", problems)


if __name__ == "__main__":
    raise SystemExit(main())
