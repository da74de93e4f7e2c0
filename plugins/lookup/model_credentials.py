# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lookup model_credentials: what the control node has for the object stores that models are in."""

from __future__ import annotations

DOCUMENTATION = r"""
name: model_credentials
short_description: Credentials of the control node for the object stores that models are in
version_added: 1.0.0
author:
  - comfyops.fleet contributors (@comfyops)
description:
  - "For URLs of Amazon S3: the key pair of E(AWS_ACCESS_KEY_ID), E(AWS_SECRET_ACCESS_KEY) and E(AWS_SESSION_TOKEN), or
    that of the profile E(AWS_PROFILE) in C(~/.aws/credentials) or E(AWS_SHARED_CREDENTIALS_FILE). Hosts sign their
    requests with it."
  - "For URLs of Google Cloud Storage: a token of the application default credentials, those of
    E(GOOGLE_APPLICATION_CREDENTIALS) or C(gcloud auth application-default login). It holds for an hour."
  - They are also for the places that E(AWS_ENDPOINT_URL_S3) (or E(AWS_ENDPOINT_URL)) and
    E(CLOUDSDK_API_ENDPOINT_OVERRIDES_STORAGE) name, and for no others.
options:
  _terms:
    description: The URLs, as lists or single texts.
    type: list
    elements: raw
    required: true
  given:
    description: Credentials by host name that are there already. Nothing is looked for in their place.
    type: dict
    default: {}
"""

EXAMPLES = r"""
- name: Fetch models of a bucket with the control node's credentials
  comfyops.fleet.comfy_models:
    lock: "{{ comfy_locked.lock }}"
    root: /opt/comfy
    credentials: >-
      {{ lookup('comfyops.fleet.model_credentials', comfy_locked.lock.models | map(attribute='url') | list) }}
"""

RETURN = r"""
_raw:
  description: One mapping of host name to token or key pair.
  type: list
  elements: dict
"""

import collections.abc as c
import os
import typing as t
import urllib.parse

from ansible.errors import AnsibleError
from ansible.plugins.lookup import LookupBase

from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.comfyops.fleet.plugins.module_utils.host.url import token_for
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.cloud_credentials import CloudCredentials


class LookupModule(LookupBase):
    """Looks only for what a URL needs: without objects of stores, nothing is read and nobody asked."""

    def run(self, terms: c.Sequence[t.Any], variables: t.Any = None, **options: t.Any) -> list[dict[str, t.Any]]:
        """Ansible's entry point. See the documentation above for options and result."""
        # The base class is not annotated.
        own: t.Any = self
        own.set_options(var_options=variables, direct=options)
        given = {str(host): "given" for host in own.get_option("given")}
        try:
            return [found(list(_texts(terms)), given, CloudCredentials(os.environ))]
        except FleetError as error:
            raise AnsibleError(str(error)) from error


def found(urls: c.Iterable[str], given: c.Mapping[str, str], cloud: CloudCredentials) -> dict[str, t.Any]:
    """The credentials for the URLs' hosts that ``given`` lacks."""
    credentials: dict[str, t.Any] = {}
    for url in urls:
        host = urllib.parse.urlsplit(url).netloc
        if not host or host in credentials or token_for(url, given):
            continue
        credential = cloud.credential(url)
        if credential is not None:
            credentials[host] = credential
    return credentials


def _texts(terms: c.Iterable[t.Any]) -> c.Iterator[str]:
    for term in terms:
        if isinstance(term, str):
            yield term
        else:
            yield from _texts(term)
