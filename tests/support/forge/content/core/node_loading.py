# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Loads custom nodes, one after the other. One that fails is told and left out; the others are not harmed by it."""

from __future__ import annotations

import importlib.util
import logging
import os
import sys
import time
import traceback
import typing as t

import folder_paths
import nodes
from comfy.cli_args import args

if t.TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType


def load_all() -> None:
    """Loads every custom node and prints how long each took."""
    built_in = set(nodes.NODE_CLASS_MAPPINGS)
    _do_each("Import times for custom nodes:", "IMPORT FAILED", _module_paths(), lambda path: _load(path, built_in))


def prepare_all() -> None:
    """Runs the ``prestartup_script.py`` of every custom node that has one."""
    paths = [path for path in _module_paths() if os.path.isfile(os.path.join(path, "prestartup_script.py"))]
    _do_each("Prestartup times for custom nodes:", "PRESTARTUP FAILED", paths, _prepare)


def _do_each(title: str, failure: str, paths: list[str], work: Callable[[str], bool]) -> None:
    """Does the work for each path and prints how long each took."""
    times = []
    for path in paths:
        started = time.perf_counter()
        succeeded = work(path)
        times.append((time.perf_counter() - started, path, succeeded))
    if times:
        logging.info("\n%s", title)
        for seconds, path, succeeded in sorted(times):
            logging.info("%6.1f seconds%s: %s", seconds, "" if succeeded else f" ({failure})", path)
        logging.info("")


def _module_paths() -> list[str]:
    """The packages and single files in the directories of custom nodes that are to be loaded."""
    found = []
    for directory in folder_paths.get_folder_paths("custom_nodes"):
        for name in sorted(os.listdir(directory)) if os.path.isdir(directory) else []:
            path = os.path.join(os.path.realpath(directory), name)
            is_module = os.path.isdir(path) or name.endswith(".py")
            if is_module and name != "__pycache__" and not name.endswith(".disabled") and _is_wanted(name):
                found.append(path)
    return found


def _is_wanted(name: str) -> bool:
    return not args.disable_all_custom_nodes or name in args.whitelist_custom_nodes


def _import(path: str, name: str, directory: str | None) -> ModuleType:
    locations = [directory] if directory else None
    spec = importlib.util.spec_from_file_location(name, path, submodule_search_locations=locations)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is no Python module")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def _prepare(path: str) -> bool:
    script = os.path.join(path, "prestartup_script.py")
    try:
        _import(script, f"{_module_name(path)}.prestartup_script", None)
    except Exception as error:
        logging.error("Failed to execute startup-script: %s / %s", script, error)
        return False
    return True


def _module_name(path: str) -> str:
    """A name in sys.modules that no import statement can mean."""
    return path.replace(".", "_x_")


def _load(path: str, built_in: set[str]) -> bool:
    file = os.path.join(path, "__init__.py") if os.path.isdir(path) else path
    try:
        module = _import(file, _module_name(path), path if os.path.isdir(path) else None)
        return _register(module, path, built_in)
    except Exception as error:
        logging.warning("%s", traceback.format_exc())
        logging.warning("Cannot import %s module for custom nodes: %s", path, error)
        return False


def _register(module: ModuleType, path: str, built_in: set[str]) -> bool:
    """Takes the classes of a module over, but none in place of the core's own. False: it has no classes."""
    name = os.path.splitext(os.path.basename(path))[0] if path.endswith(".py") else os.path.basename(path)
    web = getattr(module, "WEB_DIRECTORY", None)
    if web is not None:
        nodes.EXTENSION_WEB_DIRS[name] = os.path.abspath(os.path.join(path, web))
    classes = getattr(module, "NODE_CLASS_MAPPINGS", None)
    if classes is None:
        logging.warning("Skip %s module for custom nodes due to the lack of NODE_CLASS_MAPPINGS.", path)
        return False
    for class_name, node in classes.items():
        if class_name not in built_in:
            nodes.NODE_CLASS_MAPPINGS[class_name] = node
            node.RELATIVE_PYTHON_MODULE = f"custom_nodes.{name}"
    nodes.NODE_DISPLAY_NAME_MAPPINGS.update(getattr(module, "NODE_DISPLAY_NAME_MAPPINGS", {}))
    return True
