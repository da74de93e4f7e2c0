# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One sha256 in the forms that people write it: hexadecimal, SRI, and the base 32 of Nix.

Sources: the W3C's "Subresource Integrity" (``sha256-<base64>``), and src/libutil/hash.cc of Nix, whose base 32 has
digits of its own, the last bits first.
"""

from __future__ import annotations

import base64
import binascii
import re
import typing as t

from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError

_BYTES: t.Final = 32
_SRI: t.Final = "sha256-"
_TYPED: t.Final = "sha256:"
_DIGITS: t.Final = "0123456789abcdfghijklmnpqrsvwxyz"
_BASE32_LENGTH: t.Final = 52
_FORMS: t.Final = {
    "hexadecimal": re.compile(r"[0-9a-fA-F]{64}"),
    "Nix base 32": re.compile(rf"[{_DIGITS}]{{{_BASE32_LENGTH}}}"),
    "base 64": re.compile(r"[A-Za-z0-9+/]{43}="),
}
_REMEDY: t.Final = (
    "Write 64 hexadecimal digits, sha256-<44 characters of base 64>, or 52 digits of Nix's base 32;"
    " 'nix hash to-sri --type sha256 <digest>' brings one of Nix's forms into another"
)


def read_sha256(text: str, where: str = "") -> str:
    """The sha256 in lower-case hexadecimal, of any of the forms, with or without ``sha256:`` before it.

    Raises FleetError for what is none of them, and for the digest of one form behind the prefix of another, such as
    ``sha256-`` before base 32: what was meant then is a guess.
    """
    prefix = next((each for each in (_SRI, _TYPED) if text.startswith(each)), "")
    digest = text.removeprefix(prefix)
    form = next((form for form, pattern in _FORMS.items() if pattern.fullmatch(digest)), None)
    if form is None:
        raise FleetError(f"{text!r} is no sha256{_why(prefix, digest)}", where=where, remedy=_REMEDY)
    if (form == "base 64") is not (prefix == _SRI):
        said = "SRI, which takes base 64," if prefix == _SRI else "no SRI"
        mixed = f"{text!r} mixes two forms: it begins as {said} and goes on in {form}"
        raise FleetError(mixed, where=where, remedy=_REMEDY)
    return _decoded(digest, form, where).hex()


def in_hexadecimal(text: str) -> str | None:
    """The same in hexadecimal, for who has another form where that is wanted; None for what is no sha256."""
    try:
        return read_sha256(text)
    except FleetError:
        return None


def to_sri(sha256: str) -> str:
    """``sha256-<base64>`` of hexadecimal."""
    return f"{_SRI}{base64.b64encode(bytes.fromhex(sha256)).decode()}"


def to_base32(sha256: str) -> str:
    """Nix's base 32 of hexadecimal."""
    number = int.from_bytes(bytes.fromhex(sha256), "little")
    return "".join(_DIGITS[number >> 5 * place & 31] for place in reversed(range(_BASE32_LENGTH)))


def _decoded(digest: str, form: str, where: str) -> bytes:
    try:
        if form == "hexadecimal":
            return bytes.fromhex(digest)
        if form == "base 64":
            return _canonical(digest)
        number = 0
        for digit in digest:
            number = number << 5 | _DIGITS.index(digit)
        return number.to_bytes(_BYTES, "little")
    except (ValueError, OverflowError, binascii.Error) as error:
        raise FleetError(f"{digest!r} is no sha256: it has more than 256 bits", where=where, remedy=_REMEDY) from error


def _canonical(digest: str) -> bytes:
    """The bytes of base 64 whose last bits, which carry nothing, are zero: each sha256 has one form only."""
    value = base64.b64decode(digest, validate=True)
    if base64.b64encode(value).decode() != digest:
        raise ValueError(digest)
    return value


def _why(prefix: str, digest: str) -> str:
    if not prefix and re.match(r"(sha1|sha512|md5|blake3)[-:]", digest):
        return f", but a {digest[: digest.index('-' if '-' in digest else ':')]}"
    return f": {len(digest)} characters, of no form of it"
