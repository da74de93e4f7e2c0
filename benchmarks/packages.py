# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The numbers of Python packages, each against a peer in the same run.

- A look at an environment of 140 packages in which nothing is to be done, against the start of Python.
- The first environment of them, against pip with the same wheels from the same index.
- A second environment that shares 95 % of them: seconds, and bytes against those of the first.

``make benchmark`` runs it with the others. Alone, after ``make setup-test``::

    PYTHONPATH=collections .venv/bin/python -m benchmarks.packages

With a directory as its argument it takes the wheels from there, such as those of a real ComfyUI:
``pip download -r requirements.txt -d DIR``.
"""

from __future__ import annotations

import collections.abc as c
import json
import os
import pathlib
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import typing as t

from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.uv import find_uv
from tests.support import locks
from tests.support.forge import Forge, Index, Release
from tests.support.forge.demo_packages import pip_wheel

PACKAGES, SHARED = 140, 133
MODULES, BINARY_BYTES = 40, 400_000
ROUNDS = 7
PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
MODULE = "ansible_collections.comfyops.fleet.plugins.module_utils"
# A look as a process of its own, so that the import of our modules counts.
LOOK = f"""
import json, pathlib, sys
from {MODULE}.host.context import Context, Settings
from {MODULE}.host.layout import Layout
from {MODULE}.lock.document import read_lock
from {MODULE}.packages.observe import observe
from {MODULE}.packages.plan import plan
document = json.loads(pathlib.Path(sys.argv[1]).read_text())
lock = read_lock(document)
settings = Settings(python=sys.executable, uv=pathlib.Path(sys.argv[3]))
context = Context(lock, lock.targets["default"], Layout(pathlib.Path(sys.argv[2])), settings)
planned = plan(context, observe(context))
"""
APPLY = LOOK + f"from {MODULE}.packages.apply import apply\napply(context, planned)\n"
CHECK = LOOK + "sys.exit(len(planned.changes))\n"
NOTHING = "import json, pathlib, sys; json.loads(pathlib.Path(sys.argv[1]).read_text())"


def main() -> None:
    """Measure and print."""
    directory = pathlib.Path(tempfile.mkdtemp(prefix="comfy-bench."))
    try:
        with Forge(directory / "forge") as forge:
            wheels = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else None
            releases = given(forge.index(), wheels) if wheels else generated(forge.index())
            measure(directory, forge.index(), releases)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def generated(index: Index) -> list[Release]:
    """Packages of text and a binary, as real ones are."""
    index.wheel_file(pip_wheel())
    for number in range(PACKAGES):
        chance = random.Random(number)
        modules: dict[str, str | bytes] = {f"pack{number}/m{each}.py": code(chance) for each in range(MODULES)}
        modules[f"pack{number}/__init__.py"] = ""
        modules[f"pack{number}/library.bin"] = chance.randbytes(BINARY_BYTES)
        index.wheel(f"pack{number}", "1.0", modules=modules)
    return index.releases


def code(chance: random.Random) -> str:
    """A module of some 4 kB."""
    return "".join(
        f"def function_{number}(first, second={chance.random()}):\n    return [first, second, {chance.random()!r}]\n"
        for number in range(40)
    )


def given(index: Index, wheels: pathlib.Path) -> list[Release]:
    """The wheels of a directory."""
    for path in sorted(wheels.glob("*.whl")):
        index.wheel_file(path)
    return index.releases


def lock(index: Index, releases: c.Sequence[Release]) -> locks.Document:
    """A lock of these files."""
    packages = [
        locks.package(each.name, each.version, each.filename, each.sha256, size=each.size, index=each.index)
        for each in releases
    ]
    target = {**locks.target(packages), "python": PYTHON, "indexes": {index.name: index.url}}
    return locks.lock(locks.checkout("https://forge.example/core", "0" * 40), targets={"default": target})


def measure(directory: pathlib.Path, index: Index, releases: c.Sequence[Release]) -> None:
    """All of it, in one run: a slow machine is slow for both sides."""
    share = len(releases) * SHARED // PACKAGES
    changed = [replaced(index, each) for each in releases[share:] if each.name != "pip"]
    documents = {"first": releases, "second": [*releases[:share], *changed]}
    for name, chosen in documents.items():
        (directory / f"{name}.json").write_text(json.dumps(lock(index, chosen)))
    total = sum(each.size for each in releases)
    print(f"{len(releases)} wheels of {total / 1e6:.0f} MB, Python {PYTHON}, {os.cpu_count()} cores")

    ours, root = ours_of(directory), directory / "root"
    first = timed(ours(APPLY, "first"))
    whole = disk(root)
    report("first environment against pip", first, pip(directory, index, releases))
    looks = [timed(ours(CHECK, "first")) for _round in range(ROUNDS)]
    starts = [timed(ours(NOTHING, "first")) for _round in range(ROUNDS)]
    beyond = statistics.median(looks) - statistics.median(starts)
    print(f"nothing to do: {1000 * beyond:.0f} ms beyond Python's start (to reach: under 50 ms)")
    second = timed(ours(APPLY, "second"))
    more = disk(root) - whole
    new = sum(each.size for each in changed) / total
    print(f"second environment, {new:.1%} of the wheels' bytes are new: {second:.2f} s (to reach: under 5 s), ", end="")
    print(f"{more / 1e6:.1f} MB on disk, {more / whole:.1%} of the first (to reach: under 5 %)")


def replaced(index: Index, release: Release) -> Release:
    """Another package in its place, a small one."""
    return index.wheel(
        f"other-{release.name}", "1.0", modules={f"other_{len(release.name)}_{release.sha256[:8]}.py": ""}
    )


def ours_of(directory: pathlib.Path) -> t.Callable[[str, str], list[str]]:
    """What makes commands of our side."""
    return lambda program, name: [
        sys.executable, "-c", program, str(directory / f"{name}.json"), str(directory / "root"), find_uv()
    ]  # fmt: skip


def pip(directory: pathlib.Path, index: Index, releases: c.Sequence[Release]) -> float:
    """Seconds that pip takes for the same files, in an environment of its own and without a cache, as ours was."""
    begin = time.monotonic()
    environment = directory / "peer"
    subprocess.run([sys.executable, "-m", "venv", str(environment)], check=True)
    lines = "".join(f"{each.name}=={each.version} --hash=sha256:{each.sha256}\n" for each in releases)
    requirements = directory / "requirements.txt"
    requirements.write_text(lines)
    options = ("--no-deps", "--require-hashes", "--no-cache-dir", "--disable-pip-version-check", "--quiet")
    argv = [str(environment / "bin" / "pip"), "install", *options, "--index-url", index.url, "-r", str(requirements)]
    isolated = {**os.environ, "PIP_CONFIG_FILE": os.devnull, "PIP_FIND_LINKS": "", "PIP_NO_INDEX": ""}
    subprocess.run(argv, env=isolated, check=True)
    return time.monotonic() - begin


def timed(argv: c.Sequence[str]) -> float:
    """Seconds of a process that must succeed."""
    begin = time.monotonic()
    subprocess.run(argv, env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}, check=True)
    return time.monotonic() - begin


def disk(directory: pathlib.Path) -> int:
    """The bytes that a tree takes on the disk, files with several names once."""
    seen: dict[tuple[int, int], int] = {}
    for parent, directories, files in os.walk(directory):
        for name in (*directories, *files):
            status = os.lstat(os.path.join(parent, name))
            seen[status.st_dev, status.st_ino] = status.st_blocks * 512
    return sum(seen.values())


def report(what: str, ours: float, theirs: float) -> None:
    """A line: seconds and their ratio."""
    print(f"{what}: {ours:.2f} s against {theirs:.2f} s, ratio {ours / theirs:.2f}")


if __name__ == "__main__":
    main()
