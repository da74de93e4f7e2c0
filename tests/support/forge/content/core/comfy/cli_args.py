# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command line. Like the real one it refuses flags that it does not know."""

from __future__ import annotations

import argparse
import os


def existing_directory(path: str) -> str:
    """A directory that must be there, as an absolute path."""
    if not os.path.isdir(path):
        raise argparse.ArgumentTypeError(f"{path} is not a directory")
    return os.path.abspath(path)


def build_parser() -> argparse.ArgumentParser:
    """The parser with every flag."""
    parser = argparse.ArgumentParser(description="A small ComfyUI")
    parser.add_argument("--listen", default="127.0.0.1", metavar="IP", nargs="?", const="0.0.0.0,::")
    parser.add_argument("--port", type=int, default=8188)
    parser.add_argument("--base-directory", metavar="PATH", help="where models, nodes and the user's files are")
    parser.add_argument("--extra-model-paths-config", metavar="PATH", nargs="+", action="append", default=[])
    parser.add_argument("--output-directory", metavar="PATH")
    parser.add_argument("--input-directory", metavar="PATH")
    parser.add_argument("--temp-directory", metavar="PATH", help="a directory temp is made in it, and emptied at start")
    parser.add_argument("--user-directory", metavar="PATH", type=existing_directory)
    parser.add_argument("--database-url", metavar="URL", help="sqlite:/// and a path")
    launch = parser.add_mutually_exclusive_group()
    launch.add_argument("--auto-launch", action="store_true")
    launch.add_argument("--disable-auto-launch", action="store_true")
    parser.add_argument("--cpu", action="store_true", help="work without a GPU")
    parser.add_argument("--disable-metadata", action="store_true", help="keep the workflow out of saved pictures")
    parser.add_argument("--disable-all-custom-nodes", action="store_true")
    parser.add_argument("--whitelist-custom-nodes", metavar="NAME", nargs="+", default=[])
    parser.add_argument("--quick-test-for-ci", action="store_true", help="load everything, then end")
    levels = ["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"]
    parser.add_argument("--verbose", default="INFO", const="DEBUG", nargs="?", choices=levels)
    return parser


args = build_parser().parse_args()
