# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Credentials of object stores in their usual places on the control node.

Amazon's: the variables, then the profile of the credentials file. They are for Amazon's hosts, and for the one that
AWS_ENDPOINT_URL_S3 (or AWS_ENDPOINT_URL) names. Google's: what google-auth finds (application default credentials), as
a token that holds for an hour, for Google's hosts and the one of CLOUDSDK_API_ENDPOINT_OVERRIDES_STORAGE. Nothing is
asked for before a store has refused, or has objects that hosts need.
"""

from __future__ import annotations

import collections.abc as c
import configparser
import functools
import importlib
import pathlib
import urllib.parse

from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.comfyops.fleet.plugins.module_utils.host.key_pair import KeyPair
from ansible_collections.comfyops.fleet.plugins.module_utils.host.url import origin
from ansible_collections.comfyops.fleet.plugins.module_utils.models.origin import is_amazon, is_google

_READ_ONLY = "https://www.googleapis.com/auth/devstorage.read_only"
_PRODUCT = pathlib.Path("/sys/class/dmi/id/product_name")
_GOOGLE = ("", ".exceptions", ".transport.requests")
_AMAZON_ENDPOINTS = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")
_GOOGLE_ENDPOINTS = ("CLOUDSDK_API_ENDPOINT_OVERRIDES_STORAGE",)


class CloudCredentials:
    """What the control node has. environ: its environment, read when it is asked."""

    def __init__(self, environ: c.Mapping[str, str]) -> None:
        self._environ = environ

    def credential(self, url: str) -> str | None:
        """The credential for an https URL of a store, as credentials by host name have it; None: there is none.

        Raises FleetError for one that is there and cannot be used.
        """
        host = urllib.parse.urlsplit(url).hostname or ""
        if is_google(host) or self._is_named(url, _GOOGLE_ENDPOINTS):
            return self._google_token
        if is_amazon(host) or self._is_named(url, _AMAZON_ENDPOINTS):
            return self._amazon_pair
        return None

    def _is_named(self, url: str, variables: c.Iterable[str]) -> bool:
        """Whether the user has said that the credentials are for this place, too."""
        named = next((self._environ[name] for name in variables if self._environ.get(name)), None)
        return named is not None and origin(named) == origin(url)

    @functools.cached_property
    def _amazon_pair(self) -> str | None:
        key, secret = self._environ.get("AWS_ACCESS_KEY_ID"), self._environ.get("AWS_SECRET_ACCESS_KEY")
        if key and secret:
            return KeyPair(key, secret, self._environ.get("AWS_SESSION_TOKEN") or None).text
        return self._amazon_profile()

    def _amazon_profile(self) -> str | None:
        home = pathlib.Path(self._environ.get("HOME") or "~").expanduser()
        file = pathlib.Path(self._environ.get("AWS_SHARED_CREDENTIALS_FILE") or home / ".aws" / "credentials")
        profile = self._environ.get("AWS_PROFILE") or self._environ.get("AWS_DEFAULT_PROFILE") or "default"
        parser = configparser.RawConfigParser()
        try:
            parser.read_string(file.expanduser().read_text("utf-8"))
        except FileNotFoundError:
            return None
        except (OSError, UnicodeDecodeError, configparser.Error) as error:
            raise FleetError(
                f"cannot be read ({type(error).__name__})",
                where=str(file),
                remedy="Repair it, or set AWS_ACCESS_KEY_ID",
            ) from error
        if not parser.has_section(profile):
            return None
        said = parser[profile]
        key, secret = said.get("aws_access_key_id"), said.get("aws_secret_access_key")
        return KeyPair(key, secret, said.get("aws_session_token") or None).text if key and secret else None

    def _logged_in(self) -> bool:
        """Whether gcloud has left application default credentials."""
        home = pathlib.Path(self._environ.get("HOME") or "~").expanduser()
        directory = pathlib.Path(self._environ.get("CLOUDSDK_CONFIG") or home / ".config" / "gcloud")
        return (directory / "application_default_credentials.json").is_file()

    @functools.cached_property
    def _google_token(self) -> str | None:
        told = bool(self._environ.get("GOOGLE_APPLICATION_CREDENTIALS"))
        if not told and not self._logged_in() and not _is_at_google():
            return None
        try:
            auth, faults, transport = (importlib.import_module(f"google.auth{name}") for name in _GOOGLE)
        except ImportError:
            if not told:
                return None
            raise FleetError(
                "the Python library google-auth is not there",
                where="GOOGLE_APPLICATION_CREDENTIALS",
                remedy="Install google-auth[requests] on the control node, or put a token or an HMAC key pair for "
                "storage.googleapis.com into comfy_credentials",
            ) from None
        try:
            found, _project = auth.default(scopes=[_READ_ONLY])
            found.refresh(transport.Request())
        except faults.DefaultCredentialsError as error:
            if not told:
                return None
            raise _unusable(error) from error
        except faults.GoogleAuthError as error:
            raise _unusable(error) from error
        return str(found.token)


def _is_at_google() -> bool:
    """Whether this machine is one of Google's, with an identity of its own.

    Elsewhere its metadata server is not asked for, which takes long where a network drops what it does not know.
    """
    try:
        return "Google" in _PRODUCT.read_text("utf-8")
    except (OSError, UnicodeDecodeError):
        return False


def _unusable(error: Exception) -> FleetError:
    first = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return FleetError(
        f"Google's credentials cannot be used ({type(error).__name__}: {first[:200]})",
        where="GOOGLE_APPLICATION_CREDENTIALS",
        remedy="Check the file it names, or run 'gcloud auth application-default login'",
    )
