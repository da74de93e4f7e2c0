# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Models on the Hugging Face Hub: commit, size and sha256 of a file.

The client library asks for a single file, because it knows the Hub's answers best: they are on the first of several
hops, and storage behind them knows no HEAD.
"""

from __future__ import annotations

import dataclasses
import hashlib
import re
import urllib.parse

from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.comfyops.fleet.plugins.module_utils.host.http import Access, HttpFault, request
from ansible_collections.comfyops.fleet.plugins.module_utils.host.url import refusal, token_for
from ansible_collections.comfyops.fleet.plugins.module_utils.models.origin import HUB, advice
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.model_facts import SMALL, Facts
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.patience import patiently

_SOURCE = re.compile(r"hf://(?P<kind>datasets/)?(?P<repo>[^/]+/[^/@]+)@(?P<revision>[^/]+)/(?P<path>.*)")
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclasses.dataclass(frozen=True)
class HubPath:
    """A file, folder or pattern of a repository at a revision; kind is ``datasets/`` or empty."""

    kind: str
    repo: str
    revision: str
    path: str

    @property
    def page(self) -> str:
        """The repository's page on the site."""
        return f"{HUB}/{self.kind}{self.repo}"

    def url(self, endpoint: str) -> str:
        """Where its bytes are."""
        quoted = urllib.parse.quote(self.path)
        revision = urllib.parse.quote(self.revision, safe="")
        return f"{endpoint.rstrip('/')}/{self.kind}{self.repo}/resolve/{revision}/{quoted}"


def read_source(source: str) -> HubPath:
    """What a normalized ``hf://`` source names. Raises FleetError when it is none."""
    parsed = _SOURCE.fullmatch(source)
    if parsed is None:
        raise FleetError("is no file of the Hub", where=source, remedy="Write hf://org/repo@revision/path")
    return HubPath(parsed["kind"] or "", parsed["repo"], urllib.parse.unquote(parsed["revision"]), parsed["path"])


def asked_endpoint(endpoint: str | None, access: Access) -> str:
    """Where the Hub is asked. Raises FleetError for an endpoint that may not be."""
    asked = (endpoint or HUB).rstrip("/")
    reason = refusal(asked, access.allow_http)
    if reason:
        raise FleetError(reason, where="comfy_hf_endpoint", remedy="Use https, or set comfy_policy.allow_http")
    return asked


def facts(source: str, endpoint: str | None, access: Access) -> Facts:
    """What the Hub says of ``hf://org/repo@revision/path``.

    The sha256 of an LFS file is its ETag there; a small file without one is read. Raises FleetError with what to do.
    """
    file = read_source(source)
    asked = asked_endpoint(endpoint, access)
    commit, etag, size = _metadata(file, asked, access)
    locked = dataclasses.replace(file, revision=commit)
    sha256 = etag if _SHA256.fullmatch(etag) else read_small(locked, asked, size, etag, access)
    return Facts(locked.url(HUB), sha256, size)


def read_small(file: HubPath, endpoint: str, size: int, blob: str, access: Access) -> str:
    """The sha256 of a file that is in git itself: it is read, and has to be the one that git calls ``blob``.

    file: at a full commit. Raises FleetError when it is too large to be read, or another.
    """
    if size > SMALL:
        raise FleetError(f"the Hub does not say the sha256 of {file.path}", remedy="Put its checksum into the spec")
    url = file.url(endpoint)
    try:
        content = patiently(lambda: _content(url, access))
    except HttpFault as error:
        raise FleetError(error.what, remedy=advice(error, file.url(HUB), url, file.path)) from error
    if hashlib.sha1(b"blob %d\0%s" % (len(content), content), usedforsecurity=False).hexdigest() != blob:
        raise FleetError(
            f"{url} gives {len(content)} bytes that are not the {size} of the file at that commit",
            remedy="Try again; if it stays so, check comfy_hf_endpoint and proxies",
        )
    return hashlib.sha256(content).hexdigest()


def _content(url: str, access: Access) -> bytes:
    with request(url, access) as answer:
        return answer.read_all(SMALL)


def _metadata(file: HubPath, endpoint: str, access: Access) -> tuple[str, str, int]:
    """Commit, ETag and size."""
    import huggingface_hub
    from huggingface_hub import errors

    token = token_for(endpoint, access.credentials)
    try:
        found = huggingface_hub.get_hf_file_metadata(file.url(endpoint), token=token or False)
    except errors.HfHubHTTPError as error:
        raise refused(_fault(error, endpoint, token is not None), file, endpoint) from error
    except (OSError, ValueError) as error:
        raise _unclear(endpoint, error) from error
    except Exception as error:
        # The library's HTTP client has exceptions of its own, and has changed it once.
        raise _unclear(endpoint, error) from error
    if found.commit_hash is None or found.etag is None or found.size is None:
        raise FleetError(f"{endpoint} does not answer as the Hub does", remedy="Check comfy_hf_endpoint")
    return found.commit_hash, found.etag, found.size


def _fault(error: Exception, endpoint: str, sent_token: bool) -> HttpFault:
    """The library's error as ours, which says what to do about it."""
    response = getattr(error, "response", None)
    first = (str(error).strip().splitlines() or [type(error).__name__])[0]
    if response is None:
        return HttpFault(f"{endpoint} did not answer ({first})")
    code = response.headers.get("X-Error-Code", "")
    return HttpFault(
        f"{endpoint} answers {response.status_code}", status=response.status_code, code=code, sent_token=sent_token
    )


def refused(fault: HttpFault, file: HubPath, endpoint: str) -> FleetError:
    """What the Hub does not give, as the user reads it."""
    public = file.url(HUB)
    remedy = advice(fault, public, file.url(endpoint), file.path)
    if fault.code == "RevisionNotFound":
        return FleetError(f"{file.repo} has no revision {file.revision!r}", remedy=f"See {file.page}")
    if fault.code == "EntryNotFound":
        what = f"no file {file.path!r}" if file.path else "no files"
        tree = f"{file.page}/tree/{urllib.parse.quote(file.revision)}"
        return FleetError(f"{file.repo} has {what} at {file.revision}", remedy=f"See {tree}")
    if fault.code == "GatedRepo":
        return FleetError(f"{file.repo} is gated", remedy=remedy)
    if fault.code == "RepoNotFound":
        return FleetError(f"there is no repository {file.repo}, or it is private", remedy=remedy)
    return FleetError(fault.what, remedy=remedy)


def _unclear(endpoint: str, error: Exception) -> FleetError:
    first = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return FleetError(
        f"{endpoint} did not answer ({first})", remedy="Check the network and comfy_hf_endpoint, then try again"
    )
