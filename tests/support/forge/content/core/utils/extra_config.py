# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Further places of models, from a YAML file."""

from __future__ import annotations

import logging
import os

import folder_paths
import plainyaml


def load_extra_path_config(yaml_path: str) -> None:
    """Adds the places that the file names.

    Of each section, ``base_path`` is where its relative paths begin (itself relative to the file), ``is_default`` puts
    its paths in front; every other key is a type of model with one path a line.
    """
    with open(yaml_path, encoding="utf-8") as stream:
        sections = plainyaml.load(stream.read())
    directory = os.path.dirname(os.path.abspath(yaml_path))
    for section in (sections or {}).values():
        if section is None:
            continue
        values = dict(section)
        base = os.path.join(directory, os.path.expandvars(os.path.expanduser(values.pop("base_path", None) or "")))
        is_default = bool(values.pop("is_default", False))
        for folder_name, paths in values.items():
            for path in str(paths).split("\n"):
                if path:
                    _add(folder_name, os.path.normpath(os.path.abspath(os.path.join(base, path))), is_default)


def _add(folder_name: str, path: str, is_default: bool) -> None:
    logging.info("Adding extra search path %s %s", folder_name, path)
    folder_paths.add_model_folder_path(folder_name, path, is_default)
