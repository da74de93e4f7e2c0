# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The pages of package indexes: what one lists of a project, read in both forms and written in one.

Source: the PyPA specification "Simple repository API" (PEP 503 and 691, with PEP 592, 658, 700 and 714).
"""

from __future__ import annotations

import collections.abc as c
import contextlib
import dataclasses
import datetime
import html.parser
import json
import re
import typing as t
import urllib.parse

from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.comfyops.fleet.plugins.module_utils.host.http import Access, HttpFault, request
from ansible_collections.comfyops.fleet.plugins.module_utils.host.url import shown
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.patience import patiently

Value = t.TypeVar("Value")

JSON_TYPE: t.Final = "application/vnd.pypi.simple.v1+json"
_ACCEPT: t.Final = f"{JSON_TYPE}, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.1"
# The largest pages there are have some 10 MB.
_MOST_BYTES: t.Final = 256 << 20
_NOT_THERE: t.Final = 404
_SHA256 = re.compile(r"[0-9a-f]{64}")
# Others are no package's, and would lead to another directory where a file is kept by its name.
_PLAIN_NAME = re.compile(r"[^/\\\x00-\x1f\x7f]+")
_SUFFIXES: t.Final = (".whl", ".tar.gz", ".zip", ".tar.bz2", ".tgz", ".egg", ".exe", ".rpm", ".msi")


@dataclasses.dataclass(frozen=True)
class ListedFile:
    """A file as an index lists it: by its decoded name, at an absolute URL without fragment.

    What the index does not say is None: sha256 (lower-case hex), size (bytes), requires_python, uploaded (RFC 3339).
    yanked: the reason, which may be empty, None for a file that is not. has_metadata: its core metadata is beside it,
    at ``<url>.metadata``, with the sha256 metadata_sha256 where that is said.
    """

    name: str
    url: str
    sha256: str | None = None
    size: int | None = None
    requires_python: str | None = None
    uploaded: str | None = None
    yanked: str | None = None
    has_metadata: bool = False
    metadata_sha256: str | None = None

    @property
    def is_wheel(self) -> bool:
        """Whether it is a wheel; else it is a source archive, or something older."""
        return self.name.endswith(".whl")


def read_project(index: str, package: str, access: Access) -> list[ListedFile] | None:
    """What the index at the URL ``index`` lists of ``package`` (a canonical name); None where it has no such project.

    Raises HttpFault when the index does not answer, FleetError when the answer is no page of an index.
    """
    url = f"{index.rstrip('/')}/{package}/"

    def ask() -> list[ListedFile]:
        with request(url, access, headers={"Accept": _ACCEPT}) as answer:
            return read_page(answer.read_all(_MOST_BYTES), answer.headers.get_content_type(), answer.url)

    try:
        return patiently(ask)
    except HttpFault as fault:
        if fault.status == _NOT_THERE:
            return None
        raise


def read_page(content: bytes, media_type: str, url: str) -> list[ListedFile]:
    """The files of a project's page, which was at ``url``. Raises FleetError for what is no such page."""
    try:
        if media_type.endswith("json"):
            files = [_of_json(file, url) for file in json.loads(content)["files"]]
        elif media_type.endswith("html"):
            files = _of_html(content.decode(errors="replace"), url)
        else:
            raise _no_page(url, f"its type is {media_type}")
        return [file for file in files if _PLAIN_NAME.fullmatch(file.name)]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise _no_page(url, f"it cannot be read: {error!r}") from error


def write_page(package: str, files: c.Iterable[ListedFile]) -> bytes:
    """A project's page in the JSON form. Their URLs may be relative to the page."""
    value = {"meta": {"api-version": "1.1"}, "name": package, "files": [_to_json(file) for file in files]}
    return json.dumps(value).encode()


def _of_json(file: c.Mapping[str, t.Any], base: str) -> ListedFile:
    metadata = file.get("core-metadata", file.get("dist-info-metadata"))
    yanked = file.get("yanked", False)
    return ListedFile(
        name=file["filename"],
        url=urllib.parse.urldefrag(urllib.parse.urljoin(base, file["url"])).url,
        sha256=_sha256(file.get("hashes", {}).get("sha256")),
        size=_of_type(int, file.get("size")),
        requires_python=_of_type(str, file.get("requires-python")),
        uploaded=_time(file.get("upload-time")),
        yanked=yanked if isinstance(yanked, str) else ("" if yanked else None),
        has_metadata=bool(metadata),
        metadata_sha256=_sha256(metadata.get("sha256")) if isinstance(metadata, dict) else None,
    )


def _to_json(file: ListedFile) -> dict[str, object]:
    return {
        "filename": file.name,
        "url": file.url,
        "hashes": {"sha256": file.sha256} if file.sha256 else {},
        "yanked": False if file.yanked is None else file.yanked or True,
        "core-metadata": {"sha256": file.metadata_sha256} if file.metadata_sha256 else file.has_metadata,
        **({"requires-python": file.requires_python} if file.requires_python else {}),
        **({"size": file.size} if file.size is not None else {}),
        **({"upload-time": file.uploaded} if file.uploaded else {}),
    }


def _of_html(page: str, base: str) -> list[ListedFile]:
    links = _Links(base)
    links.feed(page)
    links.close()
    files = [_of_link(attributes, links.base) for attributes in links.found]
    return [file for file in files if file.name.endswith(_SUFFIXES)]


def _of_link(attributes: c.Mapping[str, str | None], base: str) -> ListedFile:
    url, fragment = urllib.parse.urldefrag(urllib.parse.urljoin(base, attributes["href"] or ""))
    metadata = attributes.get("data-core-metadata", attributes.get("data-dist-info-metadata", "false"))
    return ListedFile(
        name=urllib.parse.unquote(urllib.parse.urlsplit(url).path.rpartition("/")[2]),
        url=url,
        sha256=_sha256(fragment.removeprefix("sha256=")),
        requires_python=attributes.get("data-requires-python"),
        yanked=(attributes["data-yanked"] or "") if "data-yanked" in attributes else None,
        has_metadata=metadata != "false",
        metadata_sha256=_sha256((metadata or "").removeprefix("sha256=")),
    )


def _sha256(value: object) -> str | None:
    text = value.lower() if isinstance(value, str) else ""
    return text if _SHA256.fullmatch(text) else None


def _of_type(wanted: type[Value], value: object) -> Value | None:
    """What is of another type was not said."""
    return value if isinstance(value, wanted) else None


def _time(value: object) -> str | None:
    text = _of_type(str, value)
    with contextlib.suppress(ValueError):
        datetime.datetime.fromisoformat(text or "")
        return text
    return None


def _no_page(url: str, why: str) -> FleetError:
    return FleetError(f"{shown(url)} is no page of a package index: {why}")


class _Links(html.parser.HTMLParser):
    """The attributes of all anchors with an address, and what the addresses are relative to."""

    def __init__(self, base: str) -> None:
        super().__init__()
        self.base = base
        self.found: list[dict[str, str | None]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = dict(attrs)
        if tag == "base" and attributes.get("href"):
            self.base = urllib.parse.urljoin(self.base, attributes["href"])
        elif tag == "a" and attributes.get("href"):
            self.found.append(attributes)
