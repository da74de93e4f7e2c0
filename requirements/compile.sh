#!/bin/sh
# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Locks requirements/*.in to requirements/*.txt: one file for every Python that is supported, a hash for every file, no index.
#   sh requirements/compile.sh               what the .in files ask for, moving nothing that still fits
#   sh requirements/compile.sh --upgrade     the newest of everything (any other option of uv pip compile is passed on too)

set -eu
cd "$(dirname "$0")/.."
. requirements/index.sh
cd requirements

# lock NAME [OPTION...]: NAME.in to NAME.txt. Packages come as wheels; reuse, which is published as source for most platforms, may not.
lock() {
    name=$1
    shift
    ../.venv/bin/uv pip compile --quiet --universal --generate-hashes --python-version 3.11 --only-binary :all: --no-binary reuse \
        --no-emit-index-url --custom-compile-command 'make requirements' "$@" "$name.in" --output-file "$name.txt"
}

lock control "$@"
lock test --constraint control.txt "$@"
lock uv --constraint control.txt "$@"
lock build "$@"
lock ansible-test "$@"
