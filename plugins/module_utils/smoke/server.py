# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What ComfyUI answers on this host: the few of its routes that a trial needs.

Source: ComfyUI's ``server.py`` (docs.comfy.org, "Routes").
"""

from __future__ import annotations

import http.client
import json
import typing as t
import urllib.error
import urllib.request

from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError

WHERE = "ComfyUI"
_SECONDS = 60.0
_BAD_REQUEST = 400


class Server:
    """A ComfyUI on a port of the loopback; the host's proxies are not asked."""

    def __init__(self, port: int) -> None:
        self._base = f"http://127.0.0.1:{port}"
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def get(self, path: str, seconds: float = _SECONDS) -> t.Any:
        """What GET answers. Raises FleetError where that is no JSON, or there is no answer."""
        return self._ask(urllib.request.Request(f"{self._base}{path}"), seconds)[1]

    def post(self, path: str, body: t.Any) -> tuple[int, t.Any]:
        """Status and answer of POST; a refusal (400) is an answer too. Raises FleetError as ``get`` does."""
        data = json.dumps(body).encode()
        return self._ask(
            urllib.request.Request(f"{self._base}{path}", data, {"Content-Type": "application/json"}), _SECONDS
        )

    def _ask(self, request: urllib.request.Request, seconds: float) -> tuple[int, t.Any]:
        try:
            with self._opener.open(request, timeout=seconds) as answer:
                return int(answer.status), _parsed(answer.read())
        except urllib.error.HTTPError as error:
            with error:
                if error.code == _BAD_REQUEST:
                    return error.code, _parsed(error.read())
                raise _fault(request, f"answers {error.code} {error.reason}") from error
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise _fault(request, f"does not answer ({error})") from error


def _parsed(body: bytes) -> t.Any:
    return json.loads(body) if body.strip() else None


def _fault(request: urllib.request.Request, what: str) -> FleetError:
    return FleetError(f"{request.get_method()} {request.selector} {what}", where=WHERE)
