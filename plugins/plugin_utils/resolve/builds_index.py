# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an index has of one package: versions, wheels, source archives.

Source: the PyPA specification "Simple repository API" (PEP 503 as HTML, PEP 691 as JSON, PEP 592 and 700).
"""

from __future__ import annotations

import dataclasses
import html.parser
import http.client
import json
import typing as t
import urllib.error
import urllib.parse
import urllib.request

from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.indexes import without_credentials

_ACCEPT: t.Final = "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.1"
_TIMEOUT: t.Final = 60.0
_NOT_THERE: t.Final = 404


@dataclasses.dataclass(frozen=True)
class File:
    """A file of an index. sha256, uploaded (RFC 3339) and requires_python are None where the index does not say."""

    name: str
    url: str
    sha256: str | None
    requires_python: str | None
    uploaded: str | None
    yanked: bool

    @property
    def is_wheel(self) -> bool:
        """Whether it is a wheel; else it is a source archive, or something older."""
        return self.name.endswith(".whl")

    @property
    def version(self) -> str | None:
        """The version that its name says, None for a name that is none of today's."""
        from packaging.utils import (
            InvalidSdistFilename,
            InvalidWheelFilename,
            parse_sdist_filename,
            parse_wheel_filename,
        )

        try:
            return str((parse_wheel_filename(self.name) if self.is_wheel else parse_sdist_filename(self.name))[1])
        except (InvalidWheelFilename, InvalidSdistFilename, ValueError):
            return None


def files_of(index: str, package: str, authorization: str | None) -> list[File]:
    """The files of ``package`` (a canonical name) on the index at the URL ``index``; none where it has no such package.

    authorization: the header of that name. Raises FleetError when the index does not answer, or with something else.
    """
    url = f"{without_credentials(index)}/{package}/"
    request = urllib.request.Request(url, headers={"Accept": _ACCEPT})
    if authorization:
        request.add_unredirected_header("Authorization", authorization)
    try:
        with urllib.request.build_opener().open(request, timeout=_TIMEOUT) as answer:
            base, kind, content = answer.url, answer.headers.get_content_type(), answer.read()
        return _of_json(content, base) if kind.endswith("json") else _of_html(content, base)
    except urllib.error.HTTPError as error:
        if error.code == _NOT_THERE:
            return []
        raise _fault(url, error) from error
    except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError) as error:
        raise _fault(url, error) from error


def _of_json(content: bytes, base: str) -> list[File]:
    return [
        File(
            name=file["filename"],
            url=urllib.parse.urljoin(base, file["url"]),
            sha256=file.get("hashes", {}).get("sha256"),
            requires_python=file.get("requires-python"),
            uploaded=file.get("upload-time"),
            yanked=file.get("yanked", False) is not False,
        )
        for file in json.loads(content)["files"]
    ]


def _of_html(content: bytes, base: str) -> list[File]:
    links = _Links()
    links.feed(content.decode("utf-8", "replace"))
    files = []
    for attributes in links.found:
        url, _mark, fragment = urllib.parse.urljoin(base, attributes["href"] or "").partition("#")
        files.append(
            File(
                name=urllib.parse.unquote(urllib.parse.urlsplit(url).path.rpartition("/")[2]),
                url=url,
                sha256=dict(urllib.parse.parse_qsl(fragment)).get("sha256"),
                requires_python=attributes.get("data-requires-python"),
                uploaded=None,
                yanked="data-yanked" in attributes,
            )
        )
    return files


class _Links(html.parser.HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[dict[str, str | None]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "a" and dict(attrs).get("href"):
            self.found.append(dict(attrs))


def _fault(url: str, error: Exception) -> FleetError:
    return FleetError(f"cannot be read: {error}", where=url, remedy="Look at python.indexes and comfy_python_indexes")
