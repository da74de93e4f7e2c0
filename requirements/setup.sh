#!/bin/sh
# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Makes .venv: the newest Python that fits, and exactly the packages of one of the two locked sets, checked by hash.
#   sh requirements/setup.sh control    what running the collection needs
#   sh requirements/setup.sh test       the same, and what its tests need
# PYTHON=/path/to/python3.x chooses the interpreter. Nothing is installed outside .venv, except Debian's own venv package where it is
# missing and this runs as root. Running it again does nothing, quickly, until a locked set, the interpreter or this file changes.

set -eu
cd "$(dirname "$0")/.."

oldest=11 # ansible-core 2.19 needs Python 3.11
newest=14 # ansible-core 2.21 has been tested up to 3.14
venv=.venv
stamp=$venv/requirements.stamp

fail() {
    printf 'setup: %s\n' "$*" >&2
    exit 1
}

# Variables of the caller that would put packages elsewhere, change the locked set, or leave .venv without bytecode. Those that say where an
# index is, how to reach it and whom to trust stay: they are how a closed network reaches its mirror.
unset PYTHONDONTWRITEBYTECODE PYTHONHOME PYTHONPATH VIRTUAL_ENV CONDA_PREFIX
unset PIP_CONSTRAINT PIP_DRY_RUN PIP_NO_BINARY PIP_PREFIX PIP_PYTHON PIP_REQUIREMENT PIP_ROOT PIP_TARGET
unset UV_BUILD_CONSTRAINT UV_CONSTRAINT UV_EXCLUDE_NEWER UV_NO_BINARY UV_OVERRIDE UV_PYTHON UV_SYSTEM_PYTHON UV_PRERELEASE
export PIP_USER=0 PIP_DISABLE_PIP_VERSION_CHECK=1 UV_PYTHON_DOWNLOADS=never

# fits INTERPRETER MODULE: prints the path of the interpreter (of a virtual environment's: the one it was made from) when it runs, has a
# version that fits, and has the module. A pyenv shim of a Python that is not selected, a pre-release and a broken installation fail here.
fits() {
    "$1" -c '
import importlib, sys
if not (3, int(sys.argv[1])) <= sys.version_info[:2] <= (3, int(sys.argv[2])) or sys.version_info.releaselevel != "final":
    raise SystemExit(1)
for module in ("ssl", "venv", sys.argv[3]):
    importlib.import_module(module)
print(getattr(sys, "_base_executable", "") or sys.executable)' "$oldest" "$newest" "$2" 2>/dev/null
}

# Every file that may be a Python, the newest version first; within a version, those of PATH before pyenv's.
candidates() {
    minor=$newest
    while [ "$minor" -ge "$oldest" ]; do
        printf '%s' "$PATH" | tr ':' '\n' | while IFS= read -r directory || [ -n "$directory" ]; do
            printf '%s\n' "${directory:-.}/python3.$minor"
        done
        printf '%s\n' "${PYENV_ROOT:-${HOME:-/root}/.pyenv}/versions/3.$minor".*/bin/python3."$minor"
        minor=$((minor - 1))
    done
    command -v python3 || true
}

# find_python MODULE: the first candidate that fits and has the module.
find_python() {
    candidates | while IFS= read -r candidate; do
        if [ -x "$candidate" ] && fits "$candidate" "$1"; then
            break
        fi
    done
}

# Debian keeps the venv module's pip in a package of its own (pythonX.Y-venv). Prints the interpreter once that is there.
python_with_venv_package() {
    bare=$(find_python sys)
    [ -n "$bare" ] || fail "no Python 3.$oldest to 3.$newest was found on PATH or in pyenv. Install one (Debian: apt-get install python3" \
        "python3-venv), or name one: make setup PYTHON=/path/to/python3"
    package=python$("$bare" -c 'import sys; print("%d.%d" % sys.version_info[:2])')-venv
    if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
        fail "$bare has no ensurepip, so it cannot make a virtual environment with pip in it. On Debian and Ubuntu: sudo apt-get install" \
            "$package, then run this again."
    fi
    printf 'setup: %s has no ensurepip: installing %s\n' "$bare" "$package" >&2
    apt-get update -qq >&2 || fail "apt-get update failed (its message is above)"
    DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "$package" >&2 ||
        fail "apt-get could not install $package (its message is above)"
    fits "$bare" ensurepip || fail "$bare still has no ensurepip after installing $package"
}

named_python() {
    command -v "$PYTHON" >/dev/null || fail "PYTHON=$PYTHON is not there"
    fits "$PYTHON" ensurepip || fail "PYTHON=$PYTHON does not fit: a released Python 3.$oldest to 3.$newest with ssl, venv and ensurepip is needed"
}

newest_python() {
    found=$(find_python ensurepip)
    if [ -n "$found" ]; then printf '%s\n' "$found"; else python_with_venv_package; fi
}

stamped() {
    grep -qxF "$1" "$stamp" 2>/dev/null
}

# What a set's installation depends on, as one line of the stamp.
fingerprint() {
    printf '%s %s\n' "$1" "$(cat requirements/*.sh requirements/uv.txt requirements/build.txt "requirements/$1.txt" | cksum)"
}

# Scripts of a virtual environment hold its path: it is of no use to a checkout that was moved or copied.
is_usable() {
    stamped "checkout $PWD" && "$venv/bin/python" -c '' 2>/dev/null
}

# The test set has the control set in it, at the same versions: where it is installed, both are.
is_up_to_date() {
    is_usable || return 1
    if [ -n "$python" ]; then stamped "python $python" || return 1; fi
    stamped "$(fingerprint "$1")" || stamped "$(fingerprint test)"
}

make_venv() {
    if ! is_usable || ! stamped "python $python"; then
        printf 'setup: making %s with %s\n' "$venv" "$python"
        "$python" -m venv --clear "$venv"
    fi
    rm -f "$stamp"
}

install_set() {
    "$venv/bin/python" -m pip install -qq --no-deps --only-binary :all: --require-hashes -r requirements/uv.txt ||
        fail "pip could not install uv from requirements/uv.txt (its message is above). In a closed network, say where the index is:" \
            "PIP_INDEX_URL=https://mirror.example/simple make setup"
    . requirements/index.sh
    # reuse is published as source for most platforms: the only package that is built, with the build tool of build.txt, hash-checked too.
    "$venv/bin/uv" pip sync --quiet --python "$venv/bin/python" --require-hashes --compile-bytecode --only-binary :all: --no-binary reuse \
        --build-constraint requirements/build.txt "requirements/$1.txt" ||
        fail "uv could not install requirements/$1.txt (its message is above). In a closed network, say where the index is:" \
            "UV_DEFAULT_INDEX=https://mirror.example/simple make setup"
}

case "${1:-}" in
control | test) ;;
*) fail "usage: sh requirements/setup.sh control|test" ;;
esac
python=
if [ -n "${PYTHON:-}" ]; then python=$(named_python); fi
if ! is_up_to_date "$1"; then
    if [ -z "$python" ]; then python=$(newest_python); fi
    make_venv
    install_set "$1"
    { printf 'python %s\ncheckout %s\n' "$python" "$PWD" && fingerprint "$1"; } >"$stamp"
    printf 'setup: %s has the locked %s set (%s)\n' "$venv" "$1" "$("$venv/bin/python" -V)"
fi
