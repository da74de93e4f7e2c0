# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The HTTP interface; every route is also under /api. There is no websocket."""

from __future__ import annotations

import http.server
import json
import logging
import mimetypes
import os
import platform
import re
import socket
import socketserver
import sys
import typing as t
import urllib.parse
import uuid

import execution
import folder_paths
import frontpanel
import nodes
import torch
from comfyui_version import __version__

if t.TYPE_CHECKING:
    from collections.abc import Callable

queue = execution.Queue()


class NotFoundError(Exception):
    """There is nothing at that path."""


def system_stats(_match: re.Match[str], _query: dict[str, str]) -> object:
    """What runs here."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    free = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_AVPHYS_PAGES")
    system = {
        "os": sys.platform,
        "ram_total": memory,
        "ram_free": free,
        "comfyui_version": __version__,
        "required_frontend_version": frontpanel.__version__,
        "python_version": sys.version,
        "pytorch_version": torch.__version__,
        "embedded_python": False,
        "argv": sys.argv,
    }
    device = {"name": "cpu", "type": "cpu", "index": None, "vram_total": memory, "vram_free": free}
    return {"system": system, "devices": [{**device, "torch_vram_total": memory, "torch_vram_free": free}]}


def _class_information(name: str) -> dict[str, t.Any]:
    cls = nodes.NODE_CLASS_MAPPINGS[name]
    inputs = cls.INPUT_TYPES()
    return {
        "input": inputs,
        "input_order": {kind: list(values) for kind, values in inputs.items()},
        "output": list(cls.RETURN_TYPES),
        "output_is_list": [False] * len(cls.RETURN_TYPES),
        "output_name": list(getattr(cls, "RETURN_NAMES", cls.RETURN_TYPES)),
        "name": name,
        "display_name": nodes.NODE_DISPLAY_NAME_MAPPINGS.get(name, name),
        "description": getattr(cls, "DESCRIPTION", ""),
        "python_module": getattr(cls, "RELATIVE_PYTHON_MODULE", "nodes"),
        "category": getattr(cls, "CATEGORY", "sd"),
        "output_node": bool(getattr(cls, "OUTPUT_NODE", False)),
    }


def object_info(match: re.Match[str], _query: dict[str, str]) -> object:
    """What nodes there are. One whose description fails is left out, as it is unusable."""
    information = {}
    for name in [match["name"]] if match["name"] else list(nodes.NODE_CLASS_MAPPINGS):
        try:
            information[name] = _class_information(name)
        except Exception:
            logging.exception("[ERROR] An error occurred while retrieving information for the '%s' node.", name)
    return information


def history(match: re.Match[str], _query: dict[str, str]) -> object:
    """What was done."""
    return queue.history(match["name"])


def queue_state(_match: re.Match[str], _query: dict[str, str]) -> object:
    """What runs and what waits."""
    return queue.state()


def queue_remaining(_match: re.Match[str], _query: dict[str, str]) -> object:
    """How much there is to do."""
    return {"exec_info": {"queue_remaining": sum(len(jobs) for jobs in queue.state().values())}}


def models(match: re.Match[str], _query: dict[str, str]) -> object:
    """The types of models, or the files of one."""
    if match["name"] is None:
        return list(folder_paths.folder_names_and_paths)
    try:
        return folder_paths.get_filename_list(match["name"])
    except KeyError as error:
        raise NotFoundError from error


def extensions(_match: re.Match[str], _query: dict[str, str]) -> object:
    """The scripts that custom nodes bring for the browser."""
    found = []
    for name, directory in nodes.EXTENSION_WEB_DIRS.items():
        for parent, _folders, files in os.walk(directory):
            below = os.path.relpath(parent, directory)
            paths = [os.path.normpath(os.path.join(name, below, it)) for it in files if it.endswith(".js")]
            found += [f"/extensions/{urllib.parse.quote(path)}" for path in paths]
    return sorted(found)


def extension_file(match: re.Match[str], _query: dict[str, str]) -> str:
    """One of the files that custom nodes bring for the browser."""
    name, _slash, path = match["name"].partition("/")
    if name not in nodes.EXTENSION_WEB_DIRS:
        raise NotFoundError
    return _file_below(nodes.EXTENSION_WEB_DIRS[name], path)


def view(_match: re.Match[str], query: dict[str, str]) -> str:
    """A picture."""
    kind = query.get("type", "output")
    if kind not in ("output", "input", "temp") or not query.get("filename"):
        raise NotFoundError
    return _file_below(folder_paths.get_directory(kind), os.path.join(query.get("subfolder", ""), query["filename"]))


def front_page(_match: re.Match[str], _query: dict[str, str]) -> str:
    """The page for the browser."""
    return _file_below(os.path.dirname(frontpanel.__file__), "index.html")


def _file_below(directory: str, path: str) -> str:
    root = os.path.realpath(directory)
    full = os.path.realpath(os.path.join(root, path))
    if os.path.commonpath([root, full]) != root or not os.path.isfile(full):
        raise NotFoundError
    return full


# What answers GET: a value is sent as JSON, the path of a file as that file.
ROUTES: list[tuple[str, Callable[[re.Match[str], dict[str, str]], object]]] = [
    ("/", front_page),
    ("/system_stats", system_stats),
    ("/object_info(?:/(?P<name>[^/]+))?", object_info),
    ("/history(?:/(?P<name>[^/]+))?", history),
    ("/queue", queue_state),
    ("/prompt", queue_remaining),
    ("/models(?:/(?P<name>[^/]+))?", models),
    ("/extensions", extensions),
    ("/extensions/(?P<name>.+)", extension_file),
    ("/view", view),
]
FILES = (front_page, extension_file, view)


def queue_prompt(body: dict[str, t.Any]) -> tuple[int, object]:
    """Checks and queues a workflow: the status and the answer."""
    if "prompt" not in body:
        error = {"type": "no_prompt", "message": "No prompt provided", "details": "", "extra_info": {}}
        return 400, {"error": error, "node_errors": {}}
    found = execution.check(body["prompt"])
    if found.error is not None:
        logging.warning("invalid prompt: %s", found.error)
        return 400, {"error": found.error, "node_errors": found.node_errors}
    prompt_id = str(body.get("prompt_id") or uuid.uuid4())
    extra_data = dict(body.get("extra_data") or {})
    if "client_id" in body:
        extra_data["client_id"] = body["client_id"]
    number = queue.put(prompt_id, body["prompt"], extra_data, found.outputs)
    return 200, {"prompt_id": prompt_id, "number": number, "node_errors": found.node_errors}


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers one connection's requests."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class has it so
        """Requests are not worth a line."""

    def do_GET(self) -> None:
        """Looks things up."""
        target = urllib.parse.urlsplit(self.path)
        path = _without_api(urllib.parse.unquote(target.path))
        query = dict(urllib.parse.parse_qsl(target.query))
        for pattern, function in ROUTES:
            match = re.fullmatch(pattern, path)
            if match is not None:
                self._answer(match, query, function)
                return
        self._send(404, "text/plain", b"404: Not Found")

    def do_POST(self) -> None:
        """Takes a workflow."""
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if _without_api(self.path) != "/prompt":
            self._send(404, "text/plain", b"404: Not Found")
            return
        try:
            status, answer = queue_prompt(json.loads(body))
        except (TypeError, ValueError):
            self._send(400, "text/plain", b"400: Bad Request")
            return
        self._send(status, "application/json", json.dumps(answer).encode())

    def _answer(
        self, match: re.Match[str], query: dict[str, str], function: Callable[[re.Match[str], dict[str, str]], object]
    ) -> None:
        try:
            answer = function(match, query)
        except NotFoundError:
            self._send(404, "text/plain", b"404: Not Found")
            return
        if function not in FILES:
            self._send(200, "application/json", json.dumps(answer).encode())
            return
        with open(str(answer), "rb") as stream:
            self._send(200, mimetypes.guess_type(str(answer))[0] or "application/octet-stream", stream.read())

    def _send(self, status: int, content_type: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def _without_api(path: str) -> str:
    return path[4:] if path.startswith("/api/") else path


class Server(http.server.ThreadingHTTPServer):
    """Listens on one address."""

    request_queue_size = 64

    def server_bind(self) -> None:
        """Binds without asking a name server for this host's name."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])


class Server6(Server):
    """Listens on one IPv6 address, beside a server on the IPv4 one of the same port."""

    address_family = socket.AF_INET6

    def server_bind(self) -> None:
        """Binds to IPv6 alone."""
        self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        super().server_bind()


def listen(addresses: str, port: int) -> list[Server]:
    """Servers on each of the addresses, which are separated by commas."""
    kinds = [(Server6 if ":" in address else Server, address) for address in addresses.split(",")]
    return [kind((address, port), Handler) for kind, address in kinds]


def describe() -> str:
    """A line about what runs."""
    return f"ComfyUI version: {__version__}, Python version: {platform.python_version()}, torch {torch.__version__}"
