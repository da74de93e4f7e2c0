# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Python distributions made from a few words: wheels, and sdists that prove whether somebody built them.

The bytes depend on the arguments alone: archives hold stored (uncompressed) members with a fixed date, so that the
sha256 is the same with every Python and every zlib.
"""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import io
import re
import tarfile
import typing as t
import zipfile
import zlib

if t.TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

ZIP_DATE = (2025, 1, 1, 0, 0, 0)
TAR_DATE = 1_735_689_600
# The largest stored block of the deflate format (RFC 1951 section 3.2.4).
STORED_BLOCK = 65535


def normalize(name: str) -> str:
    """A project's name as PEP 503 normalizes it."""
    return re.sub(r"[-_.]+", "-", name).lower()


@dataclasses.dataclass(frozen=True)
class Project:
    """What a distribution says about itself.

    ``modules`` are the files that it installs, by their path in site-packages; where none are given it is one package
    of the project's name with its version. ``scripts`` maps console script names to ``module:function``.
    """

    name: str
    version: str
    requires: Sequence[str] = ()
    modules: Mapping[str, str | bytes] = dataclasses.field(default_factory=dict)
    requires_python: str | None = None
    extras: Mapping[str, Sequence[str]] = dataclasses.field(default_factory=dict)
    scripts: Mapping[str, str] = dataclasses.field(default_factory=dict)

    @property
    def escaped(self) -> str:
        """The name as file names have it."""
        return normalize(self.name).replace("-", "_")

    def files(self) -> dict[str, bytes]:
        """The installed files."""
        modules = self.modules or {f"{self.escaped}/__init__.py": f'__version__ = "{self.version}"\n'}
        return {path: body.encode() if isinstance(body, str) else body for path, body in modules.items()}

    def metadata(self) -> bytes:
        """The core metadata, version 2.1."""
        lines = ["Metadata-Version: 2.1", f"Name: {self.name}", f"Version: {self.version}"]
        lines += [f"Summary: {self.name}, made by the forge"]
        lines += [f"Requires-Python: {self.requires_python}"] if self.requires_python else []
        lines += [f"Requires-Dist: {requirement}" for requirement in self.requires]
        for extra, requirements in self.extras.items():
            lines += [f"Provides-Extra: {extra}"]
            lines += [f"Requires-Dist: {_with_extra(requirement, extra)}" for requirement in requirements]
        return ("\n".join(lines) + "\n").encode()


def _with_extra(requirement: str, extra: str) -> str:
    requirement, _semicolon, marker = (part.strip() for part in requirement.partition(";"))
    condition = f'extra == "{extra}"'
    return f"{requirement} ; ({marker}) and {condition}" if marker else f"{requirement} ; {condition}"


def wheel(project: Project, tag: str = "py3-none-any") -> tuple[str, bytes]:
    """File name and content of a wheel (the binary distribution format of PEP 427)."""
    information = f"{project.escaped}-{project.version}.dist-info"
    pure = str(tag.endswith("-none-any")).lower()
    files = project.files()
    files[f"{information}/METADATA"] = project.metadata()
    files[f"{information}/WHEEL"] = (
        f"Wheel-Version: 1.0\nGenerator: forge\nRoot-Is-Purelib: {pure}\nTag: {tag}\n".encode()
    )
    if project.scripts:
        scripts = "".join(f"{name} = {target}\n" for name, target in sorted(project.scripts.items()))
        files[f"{information}/entry_points.txt"] = f"[console_scripts]\n{scripts}".encode()
    record = "".join(f"{path},sha256={_record_digest(body)},{len(body)}\n" for path, body in files.items())
    files[f"{information}/RECORD"] = f"{record}{information}/RECORD,,\n".encode()
    return f"{project.escaped}-{project.version}-{tag}.whl", _zip(files)


def _record_digest(body: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(body).digest()).rstrip(b"=").decode()


def _zip(files: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for path, body in files.items():
            member = zipfile.ZipInfo(path, ZIP_DATE)
            member.create_system = 3
            member.external_attr = 0o100644 << 16
            archive.writestr(member, body)
    return buffer.getvalue()


PYPROJECT = """[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]
"""

BACKEND = '''"""A build backend without requirements: it copies the files of ``payload`` into a wheel."""
import base64
import hashlib
import os
import zipfile

MARKER = {marker!r}
INFORMATION = "{escaped}-{version}.dist-info"
METADATA = {metadata!r}
WHEEL = b"Wheel-Version: 1.0\\nGenerator: forge\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n"

if MARKER:
    with open(MARKER, "a") as stream:
        stream.write("{escaped}\\n")


def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    files = {{}}
    for folder, _folders, names in os.walk("payload"):
        for name in names:
            path = os.path.join(folder, name)
            with open(path, "rb") as stream:
                files[os.path.relpath(path, "payload")] = stream.read()
    files[INFORMATION + "/METADATA"] = METADATA
    files[INFORMATION + "/WHEEL"] = WHEEL
    record = INFORMATION + "/RECORD,,\\n"
    for path, body in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(body).digest()).rstrip(b"=").decode()
        record += "%s,sha256=%s,%d\\n" % (path, digest, len(body))
    files[INFORMATION + "/RECORD"] = record.encode()
    filename = "{escaped}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(os.path.join(wheel_directory, filename), "w") as archive:
        for path, body in files.items():
            archive.writestr(path, body)
    return filename
'''


def sdist(project: Project, marker: str | None = None) -> tuple[str, bytes]:
    """File name and content of a source distribution whose metadata is only known once it is built.

    Whoever imports its build backend appends a line to the file ``marker``.
    """
    root = f"{project.escaped}-{project.version}"
    backend = BACKEND.format(
        marker=marker or "", escaped=project.escaped, version=project.version, metadata=project.metadata()
    )
    files = {f"{root}/payload/{path}": body for path, body in project.files().items()}
    files[f"{root}/PKG-INFO"] = project.metadata()
    files[f"{root}/pyproject.toml"] = PYPROJECT.encode()
    files[f"{root}/backend.py"] = backend.encode()
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for path, body in files.items():
            member = tarfile.TarInfo(path)
            member.size, member.mtime, member.mode = len(body), TAR_DATE, 0o644
            archive.addfile(member, io.BytesIO(body))
    return f"{root}.tar.gz", _gzip(buffer.getvalue())


def stored_deflate(content: bytes) -> bytes:
    """Content in the deflate format without compression: the same bytes whatever zlib a machine has."""
    result = io.BytesIO()
    for start in range(0, max(len(content), 1), STORED_BLOCK):
        block = content[start : start + STORED_BLOCK]
        final = start + STORED_BLOCK >= len(content)
        size = len(block)
        result.write(bytes([final]) + size.to_bytes(2, "little") + (size ^ 0xFFFF).to_bytes(2, "little") + block)
    return result.getvalue()


def stored_zlib(content: bytes) -> bytes:
    """The zlib format (RFC 1950) around stored blocks."""
    return b"\x78\x01" + stored_deflate(content) + zlib.adler32(content).to_bytes(4, "big")


def _gzip(content: bytes) -> bytes:
    """The gzip format (RFC 1952) around stored blocks."""
    header = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
    trailer = zlib.crc32(content).to_bytes(4, "little") + (len(content) & 0xFFFFFFFF).to_bytes(4, "little")
    return header + stored_deflate(content) + trailer
