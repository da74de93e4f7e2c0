# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs ansible-test sanity, with no exceptions: python -m tests.checks.sanity [options of ansible-test].

ansible-test works in .../ansible_collections/<namespace>/<name> only, and follows no links there: hence a copy of the
checkout. It makes virtual environments for its tests below its home; here that is .cache/ansible-test in the checkout,
so that nothing is left elsewhere and the second run is quick. It passes on no environment variables, so what says where
packages come from is written down for its pip.
"""

from __future__ import annotations

import configparser
import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.checks.checkout import ROOT, files, tool

CACHE = ROOT / ".cache" / "ansible-test"
# The oldest Python of hosts (tests/config.yml); modules are compiled and imported with it where this machine has it.
HOST_PYTHON = "3.10"
# pip's settings that say where packages come from, how to get there and whom to trust.
PIP_SETTINGS = (
    "cert",
    "client-cert",
    "extra-index-url",
    "find-links",
    "index-url",
    "no-index",
    "proxy",
    "timeout",
    "trusted-host",
)


def copy_checkout(target: Path) -> None:
    """Copy the checkout's files, but for the link that leads back to it."""
    for path in files():
        if path.parts[0] != "collections":
            (target / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / path, target / path, follow_symlinks=False)


def provide_pip(cache: Path) -> None:
    """Put the pips that ansible-test asks for, checked by hash, and the script that installs them into its cache."""
    cache.mkdir(parents=True, exist_ok=True)
    locked = ROOT / "requirements" / "ansible-test.txt"
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-qq"]
    choice = ["--no-deps", "--only-binary", ":all:", "--require-hashes", "--requirement", str(locked)]
    subprocess.run([*pip, "download", *choice, "--dest", str(cache)], check=True)
    for wheel in cache.glob("pip-*.whl"):
        version = wheel.name.split("-")[1]
        shutil.copyfile(Path(__file__).with_name("bootstrap_pip.py"), cache / f"get_pip_{version.replace('.', '_')}.py")


def pip_settings() -> configparser.RawConfigParser:
    """Give the caller's pip settings as one configuration: those of their files, then the environment's, which win."""
    settings = configparser.RawConfigParser()
    home = Path.home()
    configuration = Path(os.environ.get("XDG_CONFIG_HOME", home / ".config"))
    own = os.environ.get("PIP_CONFIG_FILE", os.devnull)
    settings.read([home / ".pip" / "pip.conf", configuration / "pip" / "pip.conf", own])
    if not settings.has_section("global"):
        settings.add_section("global")
    # What pip installs, and from where, is of interest only when it fails.
    settings.set("global", "quiet", "2")
    proxy = os.environ.get("HTTPS_PROXY") or os.environ.get("https_proxy")
    if proxy:
        settings.set("global", "proxy", proxy)
    for name in PIP_SETTINGS:
        value = os.environ.get(f"PIP_{name.upper().replace('-', '_')}")
        if value:
            settings.set("global", name, value)
    return settings


def make_home(home: Path) -> None:
    """Make the home that ansible-test sees: its cache is the checkout's, its pip has the caller's settings."""
    CACHE.mkdir(parents=True, exist_ok=True)
    (home / ".ansible").mkdir(parents=True)
    (home / ".ansible" / "test").symlink_to(CACHE)
    with contextlib.suppress(FileNotFoundError):
        (home / ".netrc").symlink_to((Path.home() / ".netrc").resolve(strict=True))
    configuration = home / ".config" / "pip" / "pip.conf"
    configuration.parent.mkdir(parents=True)
    with configuration.open("w", encoding="utf-8") as stream:
        pip_settings().write(stream)


def find_host_python() -> str | None:
    """Give the path of a HOST_PYTHON that runs: one of PATH, or one of pyenv's, whose shims run only when selected."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    folders = [Path(folder) for folder in os.get_exec_path()] + sorted(pyenv.glob(f"versions/{HOST_PYTHON}.*/bin"))
    for folder in folders:
        command = [str(folder / f"python{HOST_PYTHON}"), "-c", "import sys; print(sys.executable)"]
        with contextlib.suppress(OSError):
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode == 0:
                return done.stdout.strip()
    return None


def run_sanity(collection: Path, home: Path, options: list[str]) -> int:
    """Run ansible-test sanity in the copy; give its exit code."""
    folder = home / "bin"
    environment = {**os.environ, "HOME": str(home), "PATH": f"{folder}{os.pathsep}{os.environ['PATH']}"}
    print(f"+ ansible-test sanity {' '.join(options)}", flush=True)
    command = [tool("ansible-test"), "sanity", *options]
    return subprocess.run(command, cwd=collection, env=environment, check=False).returncode


def main(options: list[str]) -> int:
    """Run all sanity tests with this Python, then those that say whether modules work with the hosts' oldest Python."""
    controller = f"{sys.version_info.major}.{sys.version_info.minor}"
    with tempfile.TemporaryDirectory(prefix="sanity-") as folder:
        collection = Path(folder) / "ansible_collections" / "comfyops" / "fleet"
        home = Path(folder) / "home"
        copy_checkout(collection)
        make_home(home)
        provide_pip(CACHE / "cache")
        (home / "bin").mkdir()
        (home / "bin" / f"python{controller}").symlink_to(sys.executable)
        code = run_sanity(collection, home, ["--local", "--python", controller, *options])
        python = find_host_python()
        if code or options:
            return code
        if python is None:
            print(f"sanity: there is no Python {HOST_PYTHON} here: only mypy and ruff checked that modules run with it")
            return 0
        (home / "bin" / f"python{HOST_PYTHON}").symlink_to(python)
        oldest = ["--controller", f"origin:python={controller}", "--target-python", HOST_PYTHON]
        return run_sanity(collection, home, ["--test", "import", "--test", "compile", *oldest])


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
