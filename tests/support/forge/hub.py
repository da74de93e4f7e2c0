# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A Hugging Face Hub for the real huggingface_hub client, with its base URL as HF_ENDPOINT.

It answers what the client asks when it downloads: ``resolve`` (small files directly, large ones by a redirect to the
second port), the model's information, tree and paths at a revision, and errors by the ``X-Error-Code`` header.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import typing as t
import urllib.parse

from tests.support.forge.contents import ContentKind, generated
from tests.support.forge.web import Request, Response, document, redirect, static

if t.TYPE_CHECKING:
    from tests.support.forge.blobs import BlobService
    from tests.support.forge.contents import Content, ContentStore

INVALID = "Invalid credentials in Authorization header"


@dataclasses.dataclass(frozen=True)
class HubFile:
    """A file of a Hub repository; ``lfs`` files are stored and hashed as large ones."""

    path: str
    content: Content
    lfs: bool

    @property
    def sha256(self) -> str:
        """The content's sha256 in lower-case hex."""
        return self.content.sha256

    @property
    def size(self) -> int:
        """The content's size in bytes."""
        return self.content.size

    @property
    def blob_id(self) -> str:
        """The id that git gives the file's entry: of the content, or of the pointer where the content is large."""
        body = self.pointer if self.lfs else self.content.data
        return hashlib.sha1(b"blob %d\0%s" % (len(body), body)).hexdigest()

    @property
    def pointer(self) -> bytes:
        """The Git LFS pointer file."""
        return f"version https://git-lfs.github.com/spec/v1\noid sha256:{self.sha256}\nsize {self.size}\n".encode()

    def entry(self) -> dict[str, object]:
        """What the tree listing says about it."""
        entry: dict[str, object] = {"type": "file", "oid": self.blob_id, "size": self.size, "path": self.path}
        if self.lfs:
            entry["lfs"] = {"oid": self.sha256, "size": self.size, "pointerSize": len(self.pointer)}
        return entry


class HubRepository:
    """A model repository. Files are staged with ``file`` and become a revision with ``commit``.

    With a ``gated_token`` only that token may read: 401 without one, 403 with another, and 401 again with one of
    ``unknown_tokens``, which are no account's. Listings come in pages of
    ``page_size`` entries; ``next_page_origin``: where they say that the next page is, as a mirror that passes them on.
    """

    def __init__(self, name: str, contents: ContentStore, gated_token: str | None) -> None:
        self.name = name
        self.gated_token = gated_token
        self.unknown_tokens: set[str] = set()
        self.page_size = 1000
        self.next_page_origin: str | None = None
        self.references: dict[str, str] = {}
        self.revisions: dict[str, dict[str, HubFile]] = {}
        self._staged: dict[str, HubFile] = {}
        self._contents = contents

    def file(
        self,
        path: str,
        content: bytes | str | None = None,
        *,
        size: int = 4096,
        kind: ContentKind = "safetensors",
        seed: str | None = None,
        lfs: bool = True,
    ) -> HubFile:
        """Stages a file, with generated content where none is given."""
        if content is None:
            stored = self._contents.add(generated(kind, size, seed or f"{self.name}/{path}"))
        else:
            stored = self._contents.add((content.encode() if isinstance(content, str) else content,))
        self._staged[path] = HubFile(path, stored, lfs)
        return self._staged[path]

    def remove(self, path: str) -> None:
        """Stages the removal of a file."""
        del self._staged[path]

    def commit(self, branch: str = "main") -> str:
        """Makes a revision of what is staged, moves the branch to it and gives its 40 hex digits."""
        entries = [file.entry() for _path, file in sorted(self._staged.items())]
        state = json.dumps([self.references.get(branch), entries])
        revision = hashlib.sha1(f"{self.name} {state}".encode()).hexdigest()
        self.revisions[revision] = dict(self._staged)
        self.references[branch] = revision
        return revision

    def resolve(self, revision: str) -> str | None:
        """The commit that a branch, a tag or a commit names."""
        return self.references.get(revision) or (revision if revision in self.revisions else None)


class HubService:
    """Serves the repositories under /hub/."""

    def __init__(self, contents: ContentStore, blobs: BlobService) -> None:
        self._contents = contents
        self._blobs = blobs
        self._repositories: dict[str, HubRepository] = {}

    def repository(self, name: str, gated_token: str | None = None) -> HubRepository:
        """The repository ``organisation/name``, made where it is new."""
        if name not in self._repositories:
            self._repositories[name] = HubRepository(name, self._contents, gated_token)
        return self._repositories[name]

    def answer(self, request: Request) -> Response:
        """One call of the Hub's interface."""
        parts = request.parts[1:]
        if parts[:2] == ["api", "models"]:
            return self._interface(request, parts[2:])
        if parts[:2] == ["api", "datasets"]:
            return self._interface(request, parts[1:])
        if "resolve" in parts[1:4]:
            at = parts.index("resolve", 1)
            return self._file(request, "/".join(parts[:at]), parts[at + 1], "/".join(parts[at + 2 :]))
        return _error(404, "NotFound", "the forge's Hub has no such page")

    def _find(self, request: Request, name: str, revision: str) -> tuple[HubRepository, str] | Response:
        """The repository and the commit asked for, or the error to answer."""
        repository = self._repositories.get(name)
        if repository is None:
            # The Hub does not tell strangers which private repositories there are.
            status = 401 if request.token is None else 404
            return _error(status, "RepoNotFound", "Repository not found")
        commit = repository.resolve(revision)
        if commit is None:
            return _error(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        return repository, commit

    def _file(self, request: Request, name: str, revision: str, path: str) -> Response:
        found = self._find(request, name, revision)
        if isinstance(found, Response):
            return found
        repository, commit = found
        if request.token in repository.unknown_tokens:
            return document({"error": INVALID}, 401, {"X-Error-Message": INVALID})
        if repository.gated_token not in (None, request.token):
            status = 401 if request.token is None else 403
            return _error(status, "GatedRepo", f"Access to model {name} is restricted", {"X-Repo-Commit": commit})
        file = repository.revisions[commit].get(path)
        if file is None:
            return _error(404, "EntryNotFound", "Entry not found", {"X-Repo-Commit": commit})
        if not file.lfs:
            return static(request, file.content.path, file.blob_id, headers={"X-Repo-Commit": commit})
        headers = {
            "X-Repo-Commit": commit,
            "X-Linked-Etag": f'"{file.sha256}"',
            "X-Linked-Size": str(file.size),
            "Vary": "Origin",
        }
        return redirect(self._blobs.signed_url(file.content, path.rpartition("/")[2]), headers)

    def _interface(self, request: Request, parts: list[str]) -> Response:
        """``<repository>[/revision/<rev> | /tree/<rev>[/<folder>] | /paths-info/<rev>]``."""
        call = next((word for word in ("revision", "tree", "paths-info") if word in parts[1:4]), None)
        at = len(parts) if call is None else parts.index(call, 1)
        rest = parts[at + 1 :]
        found = self._find(request, "/".join(parts[:at]), rest[0] if rest else "main")
        if isinstance(found, Response):
            return found
        repository, commit = found
        files = repository.revisions[commit]
        if call == "tree":
            return _page(request, repository, _tree(request, files, "/".join(rest[1:])))
        if call == "paths-info":
            return document([files[path].entry() for path in _wanted_paths(request) if path in files])
        return document(_information(request, repository, commit))


def _error(status: int, code: str, message: str, headers: dict[str, str] | None = None) -> Response:
    return document({"error": message}, status, {"X-Error-Code": code, "X-Error-Message": message, **(headers or {})})


def _information(request: Request, repository: HubRepository, commit: str) -> dict[str, object]:
    """What the model's page says: with ``blobs``, sizes and hashes of its files too."""
    siblings: list[dict[str, object]] = []
    for path, file in sorted(repository.revisions[commit].items()):
        sibling: dict[str, object] = {"rfilename": path}
        if request.query.get("blobs", "").lower() == "true":
            sibling |= {"size": file.size, "blobId": file.blob_id}
            if file.lfs:
                sibling["lfs"] = {"sha256": file.sha256, "size": file.size, "pointerSize": len(file.pointer)}
        siblings.append(sibling)
    return {
        "id": repository.name,
        "modelId": repository.name,
        "sha": commit,
        "private": False,
        "gated": "manual" if repository.gated_token else False,
        "siblings": siblings,
    }


def _page(request: Request, repository: HubRepository, entries: list[dict[str, object]] | None) -> Response:
    """One page of a listing, with the next one's address in the header Link."""
    if entries is None:
        return _error(404, "EntryNotFound", "the folder does not exist")
    begin = int(request.query.get("cursor", "0"))
    end = begin + repository.page_size
    headers = {}
    if end < len(entries):
        origin = repository.next_page_origin or f"http://{request.headers['host']}/hub"
        path = request.path.removeprefix("/hub")
        query = urllib.parse.urlencode({**request.query, "cursor": end})
        headers["Link"] = f'<{origin}{path}?{query}>; rel="next"'
    return document(entries[begin:end], headers=headers)


def _tree(request: Request, files: dict[str, HubFile], folder: str) -> list[dict[str, object]] | None:
    """The entries below a folder: all of them with ``recursive``, else its own; None where there is no such folder."""
    prefix = f"{folder}/" if folder else ""
    recursive = request.query.get("recursive", "").lower() in ("true", "1")
    entries: dict[str, dict[str, object]] = {}
    for path, file in sorted(files.items()):
        if not path.startswith(prefix):
            continue
        names = path[len(prefix) :].split("/")
        for depth in range(1, len(names)) if recursive else range(1, min(2, len(names))):
            below = prefix + "/".join(names[:depth])
            oid = hashlib.sha1(below.encode()).hexdigest()
            entries[below] = {"type": "directory", "oid": oid, "size": 0, "path": below}
        if recursive or len(names) == 1:
            entries[path] = file.entry()
    return list(entries.values()) if entries or not folder else None


def _wanted_paths(request: Request) -> list[str]:
    """The paths that a paths-info call names, in JSON or as a form."""
    if request.headers.get("content-type", "").startswith("application/json"):
        return list(json.loads(request.body)["paths"])
    return urllib.parse.parse_qs(request.body.decode()).get("paths", [])
