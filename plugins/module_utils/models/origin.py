# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a locked URL is reached from here, and what to tell the user when its site refuses."""

from __future__ import annotations

import re
import urllib.parse

from ansible_collections.comfyops.fleet.plugins.module_utils.host.http import HttpFault

HUB = "https://huggingface.co"
CIVITAI = "https://civitai.com"
_GONE = (404, 410)
_HUB_FILE = re.compile(r"/(?P<repo>(datasets/)?[^/]+/[^/]+)/resolve/")


def reached(url: str, hf_endpoint: str | None, civitai_endpoint: str | None) -> str:
    """The URL as it is asked: the Hub's and civitai's origins are replaced by their endpoints where those are set."""
    for site, endpoint in ((HUB, hf_endpoint), (CIVITAI, civitai_endpoint)):
        if endpoint and url.startswith(f"{site}/"):
            return endpoint.rstrip("/") + url[len(site) :]
    return url


def mirror_url(base: str, sha256: str) -> str:
    """Where a content-addressed mirror has a content."""
    return f"{base.rstrip('/')}/sha256/{sha256[:2]}/{sha256}"


def token_variable(url: str) -> str | None:
    """The variable that has the token for a public URL's site, where the site has one of its own."""
    if url.startswith(f"{HUB}/"):
        return "HF_TOKEN"
    return "CIVITAI_TOKEN" if url.startswith(f"{CIVITAI}/") else None


def how_to_get_in(url: str, asked: str) -> str:
    """What lets a user in. url: the public one; asked: the one that was asked."""
    host = urllib.parse.urlsplit(asked).netloc.rpartition("@")[2]
    other = asked != url
    variable = token_variable(url)
    tokens = [f"set {variable}"] if variable else []
    tokens += [f"put a token for {host} into comfy_credentials"] if other or not variable else []
    page = _HUB_FILE.match(urllib.parse.urlsplit(url).path) if variable == "HF_TOKEN" else None
    licence = (
        f", and accept the licence at {HUB}/{page['repo']} with the token's account if it is gated" if page else ""
    )
    text = f"{' or '.join(tokens)}{licence}"
    return text[0].upper() + text[1:]


def advice(fault: HttpFault, url: str, asked: str, name: str) -> str:
    """The remedy for a fault of asking for a model."""
    if fault.remedy:
        return fault.remedy
    if fault.denied:
        return _advice_for_denial(fault, url, asked)
    if fault.status in _GONE:
        return f"It is gone, or hidden from those without a token. Change the source of {name} in the spec"
    if fault.status is None:
        return "Check the network and proxies, comfy_hf_endpoint, comfy_civitai_endpoint and comfy_model_mirrors"
    return "Try again later"


def _advice_for_denial(fault: HttpFault, url: str, asked: str) -> str:
    if fault.redirected:
        return "The site has led there and its storage refuses: try again later, or lock the model again"
    way = how_to_get_in(url, asked)
    return f"The token was not accepted. {way}" if fault.sent_token else way
