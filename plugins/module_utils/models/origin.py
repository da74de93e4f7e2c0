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
HUB_TOKENS = f"{HUB}/settings/tokens"
CIVITAI_TOKENS = f"{CIVITAI}/user/account"
GATED = "GatedRepo"
_UNAUTHORIZED = 401
_GONE = (404, 410)
_HUB_FILE = re.compile(r"/(?P<repo>(datasets/)?[^/]+/[^/]+)/resolve/")
_AMAZON = re.compile(r"(^|\.)s3([.-][a-z0-9-]+)*\.amazonaws\.com(\.cn)?$")
_GOOGLE = re.compile(r"(^|\.)(storage|storage-[a-z0-9-]+\.p)\.googleapis\.com$")


def reached(url: str, hf_endpoint: str | None, civitai_endpoint: str | None) -> str:
    """The URL as it is asked: the Hub's and civitai's origins are replaced by their endpoints where those are set."""
    for site, endpoint in ((HUB, hf_endpoint), (CIVITAI, civitai_endpoint)):
        if endpoint and url.startswith(f"{site}/"):
            return endpoint.rstrip("/") + url[len(site) :]
    return url


def mirror_url(base: str, sha256: str) -> str:
    """Where a content-addressed mirror has a content."""
    return f"{base.rstrip('/')}/sha256/{sha256[:2]}/{sha256}"


def is_amazon(host: str) -> bool:
    """Whether a host is Amazon's S3: there the credentials of AWS in their usual places are meant."""
    return bool(_AMAZON.search(host.lower()))


def is_google(host: str) -> bool:
    """Whether a host is Google Cloud Storage."""
    return bool(_GOOGLE.search(host.lower()))


def token_variable(url: str) -> str | None:
    """The variable that has the token for a public URL's site, where the site has one of its own."""
    if url.startswith(f"{HUB}/"):
        return "HF_TOKEN"
    return "CIVITAI_TOKEN" if url.startswith(f"{CIVITAI}/") else None


def how_to_get_in(url: str, asked: str) -> str:
    """What lets a user in. url: the public one; asked: the one that was asked."""
    page = _licence_page(url)
    licence = f", and accept the licence at {page} with the token's account if it is gated" if page else ""
    return f"{_means(url, asked)}{licence}"


def advice(fault: HttpFault, url: str, asked: str, name: str) -> str:
    """The remedy for a fault of asking for a model. url: the public one; asked: the one that was asked."""
    if fault.remedy:
        return fault.remedy
    if fault.code == "RepoNotFound":
        return f"Check the repository's name. If it is private: {_means(url, asked)} of an account that may read it"
    if fault.denied:
        return _advice_for_denial(fault, url, asked)
    if fault.status in _GONE:
        return f"It is gone, or hidden from those without a token. Change the source of {name} in the spec"
    if fault.status is None:
        return "Check the network and proxies, comfy_hf_endpoint, comfy_civitai_endpoint and comfy_model_mirrors"
    return "Try again later"


def _advice_for_denial(fault: HttpFault, url: str, asked: str) -> str:
    variable = token_variable(url)
    if fault.redirected:
        return "The site has led there and its storage refuses: try again later, or lock the model again"
    if variable == "HF_TOKEN":
        return _advice_of_the_hub(fault, url, asked)
    if variable == "CIVITAI_TOKEN":
        return _advice_of_civitai(fault, url, asked)
    means = _means(url, asked)
    if not fault.sent_token:
        return f"It is not for everybody. {means}"
    if fault.status == _UNAUTHORIZED:
        return f"The token was not accepted. {means}"
    return f"The token was not accepted, or it may not read this (or there is no such file). {means}"


def _advice_of_the_hub(fault: HttpFault, url: str, asked: str) -> str:
    page, means = _licence_page(url) or HUB, _means(url, asked)
    if fault.sent_token and fault.status == _UNAUTHORIZED:
        return f"The token was not accepted: it is mistyped, expired or revoked. {means} of {HUB_TOKENS}"
    if fault.sent_token and fault.code == GATED:
        return (
            f"The token was accepted, but its account has no access yet: accept the licence at {page} with it (some "
            "authors grant access by hand). A fine-grained token also needs the permission to read gated repositories"
        )
    if fault.sent_token:
        return f"The token was accepted, but may not read it: give it access to {page}"
    if fault.code == GATED:
        return f"It needs HF_TOKEN and acceptance of the licence at {page}. {means} of the account that has accepted it"
    return f"It is not for everybody. {means} of an account that may read {page}"


def _advice_of_civitai(fault: HttpFault, url: str, asked: str) -> str:
    means = _means(url, asked)
    if not fault.sent_token:
        return f"It needs CIVITAI_TOKEN. {means} of {CIVITAI_TOKENS}"
    if fault.status == _UNAUTHORIZED:
        return f"The token was not accepted: it is mistyped or deleted. {means} of {CIVITAI_TOKENS}"
    return "The token was accepted, but its account may not download this: early access, or withdrawn by its author"


def _licence_page(url: str) -> str | None:
    page = _HUB_FILE.match(urllib.parse.urlsplit(url).path) if token_variable(url) == "HF_TOKEN" else None
    return f"{HUB}/{page['repo']}" if page else None


def _means(url: str, asked: str) -> str:
    """How a token is handed over for the site of a URL."""
    host = urllib.parse.urlsplit(asked).netloc.rpartition("@")[2]
    variable = token_variable(url)
    map_entry = f"put one for {host} into comfy_credentials"
    if variable and asked != url:
        return f"Set {variable} to a token (or {map_entry})"
    if variable:
        return f"Set {variable} to a token"
    if is_amazon(host):
        return f"Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or put a key pair for {host} into comfy_credentials"
    if is_google(host):
        return (
            "Set GOOGLE_APPLICATION_CREDENTIALS (or run 'gcloud auth application-default login') on the control node, "
            f"or put a token or an HMAC key pair for {host} into comfy_credentials"
        )
    return f"Put a token for {host} into comfy_credentials (a key pair where it speaks S3)"
