# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A small ComfyUI: command line, start, files and HTTP interface of the real one, but no real models."""

from __future__ import annotations

import logging
import os
import threading

import folder_paths
import node_loading
from app import user_files
from comfy.cli_args import args
from utils.extra_config import load_extra_path_config


def read_extra_paths() -> None:
    """Reads extra_model_paths.yaml beside this file, then what the command line names."""
    beside = os.path.join(os.path.dirname(os.path.realpath(__file__)), "extra_model_paths.yaml")
    if os.path.isfile(beside):
        load_extra_path_config(beside)
    for paths in args.extra_model_paths_config:
        for path in paths:
            load_extra_path_config(path)


def check_device() -> None:
    """Refuses to start without a GPU unless it is told to.

    Raises:
        RuntimeError: there is no GPU.
    """
    import torch  # noqa: PLC0415 - scripts of custom nodes run before it is loaded

    if not args.cpu and not torch.cuda.is_available():
        raise RuntimeError("No CUDA GPUs are available; with --cpu this runs without")


def start() -> None:
    """Everything up to the moment before requests are served."""
    user_files.set_up_log()
    read_extra_paths()
    node_loading.prepare_all()
    check_device()
    user_files.clean_temp()
    for kind in ("output", "input", "temp"):
        os.makedirs(folder_paths.get_directory(kind), exist_ok=True)
    user_files.note_start()
    user_files.write_settings()
    node_loading.load_all()


def serve() -> None:
    """Serves until it is interrupted."""
    import server  # noqa: PLC0415 - after the custom nodes, as it takes torch along

    logging.info(server.describe())
    servers = server.listen(args.listen, args.port)
    threading.Thread(target=server.queue.work, daemon=True).start()
    for listener in servers:
        threading.Thread(target=listener.serve_forever, daemon=True).start()
    logging.info("Starting server\n")
    try:
        for listener in servers:
            host = f"[{listener.server_name}]" if ":" in listener.server_name else listener.server_name
            logging.info("To see the GUI go to: http://%s:%d", host, listener.server_port)
        threading.Event().wait()
    except KeyboardInterrupt:
        logging.info("\nStopped server")


if __name__ == "__main__":
    start()
    if not args.quick_test_for_ci:
        serve()
    user_files.clean_temp()
