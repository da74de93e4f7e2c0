# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What looks like a secret: a spec is read by many and copied into locks and logs, so it must hold none."""

from __future__ import annotations

import itertools
import re
import typing as t

REMEDY: t.Final = (
    "Take it out of the spec, replace it (it has been in a file), and hand it over in comfy_credentials from a vault"
)

_TOKENS = re.compile(
    r"""
    (?<![A-Za-z0-9])(?:
        hf_[A-Za-z0-9]{30,}                               # Hugging Face
      | gh[opsur]_[A-Za-z0-9]{30,} | github_pat_\w{30,}   # GitHub
      | glpat-[\w-]{16,}                                  # GitLab
      | sk-[A-Za-z0-9][\w-]{24,}                          # OpenAI and those that copied its form
      | (?:AKIA|ASIA)[0-9A-Z]{16}                         # AWS
      | AIza[\w-]{35}                                     # Google
      | xox[abprs]-[A-Za-z0-9-]{10,}                      # Slack
      | eyJ[\w-]{8,}\.eyJ[\w-]{8,}\.[\w-]{8,}             # JSON web token (RFC 7519)
    )
  | -----BEGIN\ [A-Z\ ]*PRIVATE\ KEY-----
    """,
    re.VERBOSE | re.ASCII,
)
_USER_AND_PASSWORD = re.compile(r"(?<=://)[^/\s@]*:[^/\s]*@")

_SECRET_WORDS = frozenset(
    {
        "apikey", "credential", "credentials", "passphrase", "passwd", "password", "pat", "pwd", "secret", "secrets",
        "sig", "signature", "token",
    }
)  # fmt: skip
_SECRET_PAIRS = frozenset({("api", "key"), ("access", "key"), ("private", "key"), ("secret", "key"), ("auth", "key")})
_HARMLESS_VALUE = re.compile(r"(?:true|false|yes|no|on|off|[0-9]{0,9})", re.IGNORECASE)


def holds_token(text: str) -> bool:
    """Tell whether a text has a token of a known form, or a user name with a password in a URL."""
    return bool(_TOKENS.search(text) or _USER_AND_PASSWORD.search(text))


def is_secret_name(name: str) -> bool:
    """Tell whether a variable or query parameter of that name holds a secret, such as HF_TOKEN or X-Amz-Signature."""
    words = re.split(r"[^a-z0-9]+", name.lower())
    return not _SECRET_WORDS.isdisjoint(words) or not _SECRET_PAIRS.isdisjoint(itertools.pairwise(words))


def is_secret_setting(name: str, value: str) -> bool:
    """Tell whether a name with this value is a secret; switches and small numbers are none, such as MAX_TOKEN=4096."""
    return is_secret_name(name) and not _HARMLESS_VALUE.fullmatch(value)


def without_secrets(text: str) -> str:
    """Blank out every secret that a text holds, for messages."""
    return _USER_AND_PASSWORD.sub("***@", _TOKENS.sub("***", text))
