# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Amazon's S3 on loopback by moto, with Amazon's own client to fill it. What is not public wants a signature."""

from __future__ import annotations

import collections.abc as c
import contextlib
import importlib
import logging
import typing as t

ACCESS_KEY, SECRET_KEY = "AKIAFORGE", "s3cret/of+the=forge"


@contextlib.contextmanager
def s3_server() -> c.Iterator[tuple[str, t.Any]]:
    """Its address, and a client of boto3 for it."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = importlib.import_module("moto.server").ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        url = f"http://{host}:{port}"
        client = importlib.import_module("boto3").client(
            "s3",
            endpoint_url=url,
            aws_access_key_id=ACCESS_KEY,
            aws_secret_access_key=SECRET_KEY,
            region_name="us-east-1",
        )
        yield url, client
    finally:
        server.stop()
