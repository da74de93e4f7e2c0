# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Git over smart HTTP: real bare repositories, served by git's own ``git http-backend`` as CGI.

Repositories are made through ``git fast-import`` with a fixed author and fixed dates, so the same content has the same
commits on every machine.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import subprocess
import typing as t

from tests.support.forge.web import CHUNK, Request, Response, document, text

if t.TYPE_CHECKING:
    import io
    from collections.abc import Collection, Iterator, Mapping
    from pathlib import Path

# Where the repositories of the demo say they are; comfy_git_mirrors is how they are reached.
PUBLIC_URL = "https://git.forge.example/"
AUTHOR = "Forge <forge@forge.example>"
FIRST_DATE = 1_760_000_000
CGI_VARIABLES = {
    "content-type": "CONTENT_TYPE",
    "content-encoding": "HTTP_CONTENT_ENCODING",
    "git-protocol": "GIT_PROTOCOL",
}


@dataclasses.dataclass(frozen=True)
class Link:
    """A symbolic link as the content of a path in a commit."""

    target: str


@dataclasses.dataclass(frozen=True)
class Submodule:
    """A commit of another repository as the content of a path in a commit."""

    commit: str


FileContent: t.TypeAlias = "bytes | str | Link | Submodule | None"


def environment() -> dict[str, str]:
    """What git gets: no configuration of the user or the machine, and nothing of a hook that may have started us."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    return {**kept, "GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": os.devnull, "LC_ALL": "C"}


def run_git(*arguments: str, stdin: bytes = b"") -> str:
    """Runs git and gives what it printed.

    Raises:
        RuntimeError: git failed; the message has what it said.
    """
    done = subprocess.run(["git", *arguments], input=stdin, capture_output=True, env=environment(), check=False)
    if done.returncode:
        raise RuntimeError(f"git {' '.join(arguments)}: {done.stderr.decode(errors='replace').strip()}")
    return done.stdout.decode().strip()


class Repository:
    """One bare repository of the forge.

    ``fetch_by_commit`` False makes it a server that gives only what a branch or a tag names, ``filters`` False one
    without partial clones; ``token`` is asked for by basic or bearer authentication where it is given.
    """

    def __init__(self, directory: Path, name: str, base_url: str) -> None:
        self.name = name
        self.path = directory / f"{name}.git"
        self.url = f"{base_url}/git/{name}"
        self.public_url = PUBLIC_URL + name
        self.fetch_by_commit = True
        self.filters = True
        self.token: str | None = None
        self._commits = 0
        self.path.mkdir(parents=True)
        run_git("init", "--quiet", "--bare", "--template=", "--initial-branch=main", str(self.path))

    def commit(
        self,
        files: Mapping[str, FileContent],
        message: str = "Change files",
        *,
        executable: Collection[str] = (),
        branch: str = "main",
    ) -> str:
        """Commits on top of a branch (which begins here where it is new) and gives the commit's full name.

        None as a content removes the path, which may be a directory.
        """
        reference = f"refs/heads/{branch}"
        parent = self._resolve(reference)
        lines = [f"commit {reference}\nmark :1\ncommitter {AUTHOR} {self._next_date()} +0000\n".encode()]
        lines.append(_counted(message.encode()))
        if parent is not None:
            lines.append(f"from {parent}\n".encode())
        lines += [_file_change(path, content, path in executable) for path, content in sorted(files.items())]
        return self._import(b"".join([*lines, b"\nget-mark :1\n"]))

    def tag(self, name: str, commit: str | None = None, *, annotated: bool = False) -> None:
        """Names a commit (the head of main where none is given)."""
        target = commit or self.head()
        if not annotated:
            run_git("-C", str(self.path), "update-ref", f"refs/tags/{name}", target)
            return
        tagger = f"tag {name}\nfrom {target}\ntagger {AUTHOR} {self._next_date()} +0000\n".encode()
        self._import(tagger + _counted(f"Tag {name}".encode()))

    def branch(self, name: str, commit: str | None = None) -> None:
        """Sets a branch to a commit (the head of main where none is given), as a forced push does."""
        run_git("-C", str(self.path), "update-ref", f"refs/heads/{name}", commit or self.head())

    def default_branch(self, name: str) -> None:
        """Makes a branch the one that HEAD names."""
        run_git("-C", str(self.path), "symbolic-ref", "HEAD", f"refs/heads/{name}")

    def submodule(self, path: str, url: str, commit: str, *, branch: str = "main") -> str:
        """Commits a submodule: the gitlink and its section in .gitmodules."""
        try:
            modules = run_git("-C", str(self.path), "cat-file", "blob", f"refs/heads/{branch}:.gitmodules") + "\n"
        except RuntimeError:
            modules = ""
        modules += f'[submodule "{path}"]\n\tpath = {path}\n\turl = {url}\n'
        return self.commit({".gitmodules": modules, path: Submodule(commit)}, f"Add {path}", branch=branch)

    def head(self, reference: str = "refs/heads/main") -> str:
        """The commit that a reference names.

        Raises:
            LookupError: there is none.
        """
        commit = self._resolve(reference)
        if commit is None:
            raise LookupError(f"{self.name} has no {reference}")
        return commit

    def _resolve(self, reference: str) -> str | None:
        try:
            return run_git("-C", str(self.path), "rev-parse", "--verify", "--quiet", f"{reference}^{{commit}}")
        except RuntimeError:
            return None

    def _next_date(self) -> int:
        """An hour after the last commit or tag of this repository."""
        self._commits += 1
        return FIRST_DATE + 3600 * self._commits

    def _import(self, stream: bytes) -> str:
        return run_git("-C", str(self.path), "fast-import", "--quiet", "--force", stdin=stream)


def _counted(value: bytes) -> bytes:
    return b"data %d\n%s\n" % (len(value), value)


def _file_change(path: str, content: FileContent, executable: bool) -> bytes:
    """One line of a fast-import commit."""
    if content is None:
        return f"D {path}\n".encode()
    if isinstance(content, Submodule):
        return f"M 160000 {content.commit} {path}\n".encode()
    if isinstance(content, Link):
        return f"M 120000 inline {path}\n".encode() + _counted(content.target.encode())
    body = content.encode() if isinstance(content, str) else content
    return f"M {'100755' if executable else '100644'} inline {path}\n".encode() + _counted(body)


class GitService:
    """Serves the repositories under /git/<owner>/<name>, with or without .git at the end."""

    def __init__(self, directory: Path, base_url: str) -> None:
        self._directory = directory
        self._base_url = base_url
        self._repositories: dict[str, Repository] = {}
        self._backend = os.path.join(run_git("--exec-path"), "git-http-backend")

    def repository(self, name: str) -> Repository:
        """The repository of that name, made where it is new."""
        if name not in self._repositories:
            self._repositories[name] = Repository(self._directory, name, self._base_url)
        return self._repositories[name]

    def answer(self, request: Request) -> Response:
        """One step of git's smart (or dumb) HTTP protocol."""
        name, rest = "/".join(request.parts[1:3]).removesuffix(".git"), "/".join(request.parts[3:])
        repository = self._repositories.get(name)
        if request.method == "HEAD":
            return Response(405, {"Allow": "GET, POST"})
        if repository is None:
            return text(404, f"no repository {name}")
        if repository.token is not None and request.token != repository.token:
            status = 401 if request.token is None else 403
            return document({"message": "Bad credentials"}, status, {"WWW-Authenticate": 'Basic realm="forge"'})
        return _cgi(self._backend, request, self._cgi_environment(request, repository, rest))

    def _cgi_environment(self, request: Request, repository: Repository, rest: str) -> dict[str, str]:
        by_commit = repository.fetch_by_commit and not request.has_fault("refuse-commit")
        values = {
            "uploadpack.allowAnySHA1InWant": str(by_commit).lower(),
            "uploadpack.allowFilter": str(repository.filters).lower(),
        }
        result = {
            **environment(),
            "GIT_PROJECT_ROOT": str(self._directory),
            "GIT_HTTP_EXPORT_ALL": "1",
            "REQUEST_METHOD": request.method,
            "PATH_INFO": f"/{repository.name}.git/{rest}",
            "QUERY_STRING": request.query_string,
            "CONTENT_LENGTH": str(len(request.body)),
            "REMOTE_ADDR": "127.0.0.1",
            "GIT_CONFIG_COUNT": str(len(values)),
        }
        for number, (key, value) in enumerate(values.items()):
            result |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}
        result |= {CGI_VARIABLES[name]: value for name, value in request.headers.items() if name in CGI_VARIABLES}
        if not by_commit:
            # Version 2 of the protocol gives any object that is there; servers that refuse speak version 0.
            result.pop("GIT_PROTOCOL", None)
        return result


def _cgi(program: str, request: Request, variables: Mapping[str, str]) -> Response:
    """Runs a CGI program (RFC 3875); its body is handed on as it comes."""
    process = subprocess.Popen(
        [program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=variables
    )
    if process.stdin is None or process.stdout is None:
        raise RuntimeError("a process with pipes has them")
    # It may answer before it has read everything: with an error, which its output tells.
    with contextlib.suppress(BrokenPipeError):
        process.stdin.write(request.body)
        process.stdin.close()
    headers: dict[str, str] = {}
    while line := process.stdout.readline().strip():
        name, _colon, value = line.decode("latin-1").partition(":")
        headers[name.strip()] = value.strip()
    status = int(headers.pop("Status", "200").split()[0])
    return Response(status, headers, _output(process), None)


def _output(process: subprocess.Popen[bytes]) -> Iterator[bytes]:
    """The rest of what a CGI program prints; the program ends with it, whoever stops reading first."""
    with t.cast("io.BufferedReader", process.stdout) as stream:
        try:
            while block := stream.read1(CHUNK):
                yield block
        finally:
            stream.close()
            process.wait()
