# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Models on the Hugging Face Hub: the client library asks, because it knows the Hub's answers best."""

from __future__ import annotations

import dataclasses
import hashlib
import re
import urllib.parse

from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.comfyops.fleet.plugins.module_utils.host.http import Access, HttpFault, request
from ansible_collections.comfyops.fleet.plugins.module_utils.host.url import refusal, token_for
from ansible_collections.comfyops.fleet.plugins.module_utils.models.origin import HUB
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.model_facts import SMALL, Facts

_SOURCE = re.compile(r"hf://(?P<kind>datasets/)?(?P<repo>[^/]+/[^/@]+)@(?P<revision>[^/]+)/(?P<path>.+)")
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclasses.dataclass(frozen=True)
class File:
    """A file of a repository; kind is ``datasets/`` or empty."""

    kind: str
    repo: str
    revision: str
    path: str

    def url(self, endpoint: str, revision: str) -> str:
        """Where its bytes are at a revision."""
        quoted = urllib.parse.quote(self.path)
        return f"{endpoint.rstrip('/')}/{self.kind}{self.repo}/resolve/{urllib.parse.quote(revision, safe='')}/{quoted}"


def facts(source: str, endpoint: str | None, access: Access) -> Facts:
    """What the Hub says of ``hf://org/repo@revision/path``.

    The sha256 of an LFS file is its ETag there; a small file without one is read. Raises FleetError with what to do.
    """
    parsed = _SOURCE.fullmatch(source)
    if parsed is None:
        raise FleetError("is no file of the Hub", where=source, remedy="Write hf://org/repo@revision/path")
    file = File(parsed["kind"] or "", parsed["repo"], urllib.parse.unquote(parsed["revision"]), parsed["path"])
    asked = endpoint or HUB
    reason = refusal(asked, access.allow_http)
    if reason:
        raise FleetError(reason, where="comfy_hf_endpoint", remedy="Use https, or set comfy_policy.allow_http")
    commit, etag, size = _metadata(file, asked, access)
    sha256 = etag if _SHA256.fullmatch(etag) else _read(file, asked, commit, size, access)
    return Facts(file.url(HUB, commit), sha256, size)


def _metadata(file: File, endpoint: str, access: Access) -> tuple[str, str, int]:
    """Commit, ETag and size."""
    import huggingface_hub
    from huggingface_hub import errors

    page = f"{HUB}/{file.kind}{file.repo}"
    token = token_for(endpoint, access.credentials)
    try:
        found = huggingface_hub.get_hf_file_metadata(file.url(endpoint, file.revision), token=token or False)
    except errors.GatedRepoError as error:
        raise FleetError(
            f"{file.repo} is gated", remedy=f"Set HF_TOKEN, and accept the licence at {page} with the token's account"
        ) from error
    except errors.RepositoryNotFoundError as error:
        raise FleetError(
            f"there is no repository {file.repo}, or it is private", remedy="Check its name, or set HF_TOKEN"
        ) from error
    except errors.RevisionNotFoundError as error:
        raise FleetError(f"{file.repo} has no revision {file.revision!r}", remedy=f"See {page}") from error
    except errors.EntryNotFoundError as error:
        raise FleetError(
            f"{file.repo} has no file {file.path!r} at {file.revision}",
            remedy=f"See {page}/tree/{urllib.parse.quote(file.revision)}",
        ) from error
    except (errors.HfHubHTTPError, OSError, ValueError) as error:
        raise _unclear(endpoint, error) from error
    except Exception as error:
        # The library's HTTP client has exceptions of its own, and has changed it once.
        raise _unclear(endpoint, error) from error
    if found.commit_hash is None or found.etag is None or found.size is None:
        raise FleetError(f"{endpoint} does not answer as the Hub does", remedy="Check comfy_hf_endpoint")
    return found.commit_hash, found.etag, found.size


def _unclear(endpoint: str, error: Exception) -> FleetError:
    first = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return FleetError(
        f"{endpoint} did not answer ({first})", remedy="Check the network and comfy_hf_endpoint, then try again"
    )


def _read(file: File, endpoint: str, commit: str, size: int, access: Access) -> str:
    if size > SMALL:
        raise FleetError(f"the Hub does not say the sha256 of {file.path}", remedy="Put its checksum into the spec")
    try:
        with request(file.url(endpoint, commit), access) as answer:
            return hashlib.sha256(answer.read_all(SMALL)).hexdigest()
    except HttpFault as error:
        raise FleetError(error.what, remedy=error.remedy or "Try again later") from error
