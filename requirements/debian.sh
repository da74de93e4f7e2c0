#!/bin/sh
# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Sees to the Debian packages that the tests use (debian.txt): installs what is missing as root, else names the command that does.

set -eu
cd "$(dirname "$0")"

wanted=$(sed 's/#.*//' debian.txt | tr '\n' ' ')

if ! command -v dpkg-query >/dev/null; then
    printf 'debian: this is no Debian: the tests need what these packages have: %s\n' "$wanted" >&2
    exit 1
fi

missing=
for package in $wanted; do
    state=$(dpkg-query --show --showformat '${db:Status-Status}' "$package" 2>/dev/null || true)
    [ "$state" = installed ] || missing="$missing $package"
done

if [ -z "$missing" ]; then
    exit 0
fi
if [ "$(id -u)" -ne 0 ]; then
    printf 'debian: missing packages, and this does not run as root. Run:\n    sudo apt-get install --no-install-recommends%s\n' "$missing" >&2
    exit 1
fi
printf 'debian: installing%s\n' "$missing"
apt-get update -qq
# shellcheck disable=SC2086 # a list of names
DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends $missing
