# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run in ComfyUI's Python as its ``sitecustomize``: notes what is asked of the network and which files are written.

Python tells it through audit hooks (PEP 578; docs.python.org, "Audit events table"): ``urllib.Request`` and
``http.client.send`` (urllib, requests and urllib3 go through it) have the URL, ``open``, ``os.rename`` and
``shutil.copyfile`` the paths, ``subprocess.Popen`` the URLs that another program gets. httpx raises none; its logger
has the URLs. Each is a line of JSON in a file: what, process, thread, and the rest. Nothing of ComfyUI's is changed.
Its text is what is run, so it imports nothing of the collection.
"""

from __future__ import annotations

import _thread
import http.client
import importlib.machinery
import importlib.util
import json
import logging
import os
import re
import sys
import types
import typing as t

_URL = re.compile(r"https?://[^\s'\"<>]+")
# pip and uv as nodes call them, from the program's name on.
_INSTALLS = re.compile(r"\b(?:pip3?|uv|conda) (?:.*? )?(?:install|uninstall|sync|add|remove)\b.*", re.DOTALL)
_LONGEST_COMMAND = 300
_SECRET = re.compile(r"//[^/@\s]*@")
_NODE = re.compile(r"/custom_nodes/([^/]+)")
_WRITING = os.O_WRONLY | os.O_RDWR
# huggingface_hub asks with HEAD, and lets another library than Python's fetch.
_METHODS = ("GET", "HEAD")
_HTTPX = ("httpx", "httpx2")
_LONGEST_TARGET = 16384
_UNINTERESTING = (".pyc", ".lock", ".log", ".db", ".db-journal")


class Recorder:
    """Appends to one file, whole lines at a time, from any thread and process."""

    def __init__(self, path: str) -> None:
        # Kept open: opening it for each line would be an event, too.
        self._descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._written: dict[int, str] = {}
        self._handlers: dict[str, t.Callable[..., None]] = {
            "urllib.Request": self._urllib,
            "http.client.send": self._http_client,
            "open": self._open,
            "os.rename": self._move,
            "os.link": self._move,
            "shutil.copyfile": self._move,
            "subprocess.Popen": self._command,
            "os.system": self._command,
        }

    def hook(self, event: str, arguments: tuple[t.Any, ...]) -> None:
        """The audit hook. It must never raise: that would stop what it watches."""
        handler = self._handlers.get(event)
        if handler is not None:
            try:
                handler(*arguments)
            except Exception:
                return

    def note(self, what: str, *values: str) -> None:
        """Write one line."""
        line = json.dumps([what, os.getpid(), _thread.get_ident(), *values])
        os.write(self._descriptor, f"{line}\n".encode())

    def _urllib(self, url: str, _data: object, _headers: object, method: str | None, *_more: object) -> None:
        if method in (None, *_METHODS):
            self._asked(url)

    def _http_client(self, connection: t.Any, data: object, *_more: object) -> None:
        if not isinstance(data, bytes) or not data.startswith(tuple(f"{method} ".encode() for method in _METHODS)):
            return
        target = data[:_LONGEST_TARGET].split(b" ", 2)[1].decode("latin-1")
        if "://" in target:
            self._asked(target)
            return
        default = getattr(connection, "default_port", http.client.HTTP_PORT)
        scheme = "https" if default == http.client.HTTPS_PORT else "http"
        host = getattr(connection, "_tunnel_host", None) or connection.host
        port = getattr(connection, "_tunnel_port", None) or connection.port
        self._asked(f"{scheme}://{host}{f':{port}' if port not in (None, default) else ''}{target}")

    def _open(self, path: object, _mode: object, flags: int, *_more: object) -> None:
        if not flags & _WRITING or not isinstance(path, (str, bytes, os.PathLike)):
            return
        name = os.path.abspath(os.fsdecode(path))
        if not name.endswith(_UNINTERESTING) and not name.startswith(("/dev/", "/proc/", "/sys/")):
            self._written[_thread.get_ident()] = name
            self.note("write", name)

    def _asked(self, url: str) -> None:
        """Code may open a file first and ask for its content then: it is empty at that time."""
        self.note("get", url)
        opened = self._written.get(_thread.get_ident())
        if opened is not None and os.path.isfile(opened) and os.path.getsize(opened) == 0:
            self.note("into", url, opened)

    def _move(self, source: t.Any, destination: t.Any, *_more: object) -> None:
        if not isinstance(source, int) and not isinstance(destination, int):
            self.note("move", *(os.path.abspath(os.fsdecode(path)) for path in (source, destination)))

    def _command(self, *arguments: t.Any) -> None:
        words = arguments[1] if len(arguments) > 1 else arguments[0]
        texts = [os.fsdecode(word) for word in (words if isinstance(words, (list, tuple)) else [words])]
        for text in texts:
            for url in _URL.findall(text):
                self.note("command", url)
        found = _INSTALLS.search(" ".join(texts))
        if found:
            self.note("install", _node(sys._getframe()), _SECRET.sub("//", found[0])[:_LONGEST_COMMAND])


def _node(frame: types.FrameType | None) -> str:
    """The directory of the node whose code runs, by the files of the frames; empty where none is."""
    while frame is not None:
        found = _NODE.search(frame.f_code.co_filename)
        if found:
            return found[1]
        frame = frame.f_back
    return ""


class HttpxLog(logging.Handler):
    """Takes the requests that httpx logs: method, URL, protocol, status, reason."""

    def __init__(self, recorder: Recorder) -> None:
        super().__init__(logging.INFO)
        self._recorder = recorder

    def emit(self, record: logging.LogRecord) -> None:
        """Note one request."""
        if isinstance(record.args, tuple) and record.args[:1] and record.args[0] in _METHODS:
            self._recorder.note("get", str(record.args[1]))


def install(path: str) -> None:
    """Note everything from now on in the file ``path``."""
    recorder = Recorder(path)
    sys.addaudithook(recorder.hook)
    for name in _HTTPX:
        logger = logging.getLogger(name)
        logger.setLevel(logging.INFO)
        logger.addHandler(HttpxLog(recorder))


def run_next(directory: str) -> None:
    """Run the ``sitecustomize`` that there would be without the one in ``directory``, if there is one."""
    sys.path[:] = [entry for entry in sys.path if entry != directory]
    spec = importlib.machinery.PathFinder.find_spec("sitecustomize", sys.path)
    if spec is not None and spec.loader is not None:
        module = importlib.util.module_from_spec(spec)
        sys.modules["sitecustomize"] = module
        spec.loader.exec_module(module)
