# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The files that a running ComfyUI leaves behind: its log, its settings, its database, its temporary directory."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import shutil
import sqlite3
import sys

import folder_paths
from comfy.cli_args import args


def set_up_log() -> None:
    """Logs to standard output and to user/comfyui.log, which begins anew at each start."""
    user = folder_paths.get_directory("user")
    os.makedirs(user, exist_ok=True)
    logging.basicConfig(level=args.verbose, format="%(message)s", stream=sys.stdout)
    logging.getLogger().addHandler(logging.FileHandler(os.path.join(user, "comfyui.log"), mode="w"))


def write_settings() -> None:
    """Makes the default user's settings where there are none."""
    directory = os.path.join(folder_paths.get_directory("user"), "default")
    path = os.path.join(directory, "comfy.settings.json")
    os.makedirs(directory, exist_ok=True)
    if not os.path.exists(path):
        with open(path, "w", encoding="utf-8") as stream:
            json.dump({"Comfy.TutorialCompleted": True}, stream, indent=4)


def database_path() -> str:
    """The file of the database.

    Raises:
        ValueError: --database-url names another kind of database.
    """
    url = args.database_url or f"sqlite:///{os.path.join(folder_paths.get_directory('user'), 'comfyui.db')}"
    if not url.startswith("sqlite:///"):
        raise ValueError(f"--database-url begins with sqlite:///, not as {url} does")
    return str(url).removeprefix("sqlite:///")


def note_start() -> None:
    """Makes the database and notes this start in it."""
    with contextlib.closing(sqlite3.connect(database_path())) as database:
        columns = "id INTEGER PRIMARY KEY, at TEXT DEFAULT CURRENT_TIMESTAMP"
        database.execute(f"CREATE TABLE IF NOT EXISTS starts ({columns})")
        database.execute("INSERT INTO starts DEFAULT VALUES")
        database.commit()


def clean_temp() -> None:
    """Removes the temporary directory."""
    shutil.rmtree(folder_paths.get_directory("temp"), ignore_errors=True)
