#!/bin/sh
# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Read in by setup.sh and compile.sh, in the checkout's root: where uv finds packages, and whom it trusts. uv does not read pip's settings; where
# nothing tells uv its index, pip's own is handed over, and the certificates that pip was told to trust.

pip_setting() {
    .venv/bin/python -m pip config get "global.$1" 2>/dev/null || true
}

if [ -z "${UV_DEFAULT_INDEX:-}${UV_INDEX_URL:-}${UV_CONFIG_FILE:-}" ] && [ ! -e "${XDG_CONFIG_HOME:-${HOME:-/root}/.config}/uv/uv.toml" ] &&
    [ ! -e /etc/uv/uv.toml ]; then
    index=${PIP_INDEX_URL:-$(pip_setting index-url)}
    if [ -n "$index" ]; then export UV_DEFAULT_INDEX="$index"; fi
fi

if [ -z "${SSL_CERT_FILE:-}" ]; then
    certificates=${PIP_CERT:-$(pip_setting cert)}
    if [ -n "$certificates" ]; then export SSL_CERT_FILE="$certificates"; fi
fi
# Behind a proxy that signs with a certificate of its own, uv's built-in certificates do not fit; the machine's do, where it has some.
if [ -n "$(ls -A /etc/ssl/certs 2>/dev/null)" ]; then export UV_SYSTEM_CERTS="${UV_SYSTEM_CERTS:-1}"; fi
