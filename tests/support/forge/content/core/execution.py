# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Workflows in API format: checking them, and running them one after the other."""

from __future__ import annotations

import collections
import graphlib
import itertools
import logging
import threading
import time
import traceback
import typing as t

import nodes

Prompt: t.TypeAlias = "dict[str, t.Any]"
LINK_LENGTH = 2
NUMBERS: dict[str, type[int] | type[float]] = {"INT": int, "FLOAT": float}


class Check(t.NamedTuple):
    """What a workflow's check found: the error that refuses it, the outputs that can run, the errors of its nodes."""

    error: dict[str, t.Any] | None
    outputs: list[str]
    node_errors: dict[str, t.Any]


def _error(kind: str, message: str, details: str = "") -> dict[str, t.Any]:
    return {"type": kind, "message": message, "details": details, "extra_info": {}}


def check(prompt: Prompt) -> Check:
    """Checks a workflow before it is queued. Outputs that cannot run are left out while others can."""
    for number, node in prompt.items():
        if not isinstance(node, dict) or "class_type" not in node:
            error = _error("invalid_prompt", "Cannot execute because a node is missing the class_type property.")
            return Check(error | {"details": f"Node ID '#{number}'"}, [], {})
        if node["class_type"] not in nodes.NODE_CLASS_MAPPINGS:
            message = f"Cannot execute because node {node['class_type']} does not exist."
            return Check(_error("missing_node_type", message, f"Node ID '#{number}'"), [], {})
    try:
        graphlib.TopologicalSorter({it: _links_of(node) for it, node in prompt.items()}).prepare()
    except graphlib.CycleError as error:
        return Check(_error("dependency_cycle", "Dependency cycle detected", str(error.args[1])), [], {})
    outputs = [it for it, node in prompt.items() if getattr(_class_of(node), "OUTPUT_NODE", False)]
    if not outputs:
        return Check(_error("prompt_no_outputs", "Prompt has no outputs"), [], {})
    good: list[str] = []
    node_errors: dict[str, t.Any] = {}
    for output in outputs:
        errors = _errors_below(prompt, output)
        for number, found in errors.items():
            entry = node_errors.setdefault(number, {"errors": found, "dependent_outputs": []})
            entry["dependent_outputs"].append(output)
            entry["class_type"] = prompt[number]["class_type"]
        if not errors:
            good.append(output)
    if not good:
        return Check(_error("prompt_outputs_failed_validation", "Prompt outputs failed validation"), [], node_errors)
    return Check(None, good, node_errors)


def _class_of(node: dict[str, t.Any]) -> t.Any:
    return nodes.NODE_CLASS_MAPPINGS[node["class_type"]]


def _errors_below(prompt: Prompt, output: str) -> dict[str, list[dict[str, t.Any]]]:
    """The errors of an output and of all that it depends on, by node."""
    found: dict[str, list[dict[str, t.Any]]] = {}
    waiting, seen = [output], set()
    while waiting:
        number = waiting.pop()
        if number in seen:
            continue
        seen.add(number)
        inputs = prompt[number].get("inputs", {})
        for name, (kind, *options) in _class_of(prompt[number]).INPUT_TYPES().get("required", {}).items():
            error = _input_error(prompt, inputs, name, kind, options[0] if options else {})
            if error is not None:
                found.setdefault(number, []).append(error)
        waiting += [source for source in _links_of(prompt[number]) if source in prompt]
    return found


def _links_of(node: dict[str, t.Any]) -> list[str]:
    """The nodes that a node takes inputs from."""
    return [value[0] for value in node.get("inputs", {}).values() if _is_link(value)]


def _is_link(value: object) -> bool:
    return isinstance(value, list) and len(value) == LINK_LENGTH


def _input_error(
    prompt: Prompt, inputs: dict[str, t.Any], name: str, kind: t.Any, options: dict[str, t.Any]
) -> dict[str, t.Any] | None:
    if name not in inputs:
        return _error("required_input_missing", "Required input is missing", name)
    value = inputs[name]
    if _is_link(value):
        return _link_error(prompt, value, name, kind)
    if isinstance(kind, list):
        details = f"{name}: '{value}' not in {kind}"
        return None if value in kind else _error("value_not_in_list", "Value not in list", details)
    return _number_error(value, name, options, NUMBERS[kind]) if kind in NUMBERS else None


def _link_error(prompt: Prompt, value: list[t.Any], name: str, kind: t.Any) -> dict[str, t.Any] | None:
    source, index = value
    types = _class_of(prompt[source]).RETURN_TYPES if source in prompt else ()
    if not isinstance(index, int) or not 0 <= index < len(types):
        return _error("bad_linked_input", "Bad linked input, must be a length-2 list of [node_id, slot_index]", name)
    if types[index] != kind:
        details = f"{name}, received_type({types[index]}) mismatch input_type({kind})"
        return _error("return_type_mismatch", "Return type mismatch between linked nodes", details)
    return None


def _number_error(
    value: t.Any, name: str, options: dict[str, t.Any], number: type[int] | type[float]
) -> dict[str, t.Any] | None:
    try:
        amount = number(value)
    except (TypeError, ValueError):
        return _error("invalid_input_type", f"Failed to convert an input value to a {number.__name__} value", name)
    if amount < options.get("min", amount):
        return _error("value_smaller_than_min", f"Value {value} smaller than min of {options['min']}", name)
    if amount > options.get("max", amount):
        return _error("value_bigger_than_max", f"Value {value} bigger than max of {options['max']}", name)
    return None


class Job(t.NamedTuple):
    """A workflow in the queue."""

    number: int
    prompt_id: str
    prompt: Prompt
    extra_data: dict[str, t.Any]
    outputs: list[str]


class Queue:
    """The workflows that wait, the one that runs, and those that are done."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._numbers = itertools.count()
        self._pending: collections.deque[Job] = collections.deque()
        self._running: list[Job] = []
        self._history: dict[str, t.Any] = {}

    def put(self, prompt_id: str, prompt: Prompt, extra_data: dict[str, t.Any], outputs: list[str]) -> int:
        """Queues a workflow and gives its number."""
        with self._changed:
            job = Job(next(self._numbers), prompt_id, prompt, extra_data, outputs)
            self._pending.append(job)
            self._changed.notify_all()
            return job.number

    def state(self) -> dict[str, list[Job]]:
        """What runs and what waits."""
        with self._changed:
            return {"queue_running": list(self._running), "queue_pending": list(self._pending)}

    def history(self, prompt_id: str | None = None) -> dict[str, t.Any]:
        """What was done, all of it or one workflow."""
        with self._changed:
            return {key: value for key, value in self._history.items() if prompt_id in (None, key)}

    def work(self) -> t.NoReturn:
        """Runs what comes, without end."""
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._pending)
                job = self._pending.popleft()
                self._running.append(job)
            logging.info("got prompt")
            started = time.perf_counter()
            result = run(job)
            logging.info("Prompt executed in %.2f seconds", time.perf_counter() - started)
            with self._changed:
                self._running.remove(job)
                self._history[job.prompt_id] = {"prompt": job, "meta": {}, **result}


def run(job: Job) -> dict[str, t.Any]:
    """Runs a workflow; a node's exception ends it and is told in the status."""
    messages: list[t.Any] = []

    def note(event: str, **details: t.Any) -> None:
        messages.append([event, {"prompt_id": job.prompt_id, "timestamp": int(time.time() * 1000), **details}])

    shown: dict[str, t.Any] = {}
    results: dict[str, t.Any] = {}
    note("execution_start")
    for output in job.outputs:
        try:
            _execute(job, output, results, shown)
        except _NodeFailedError as failure:
            logging.error("!!! Exception during processing !!! %s", failure)
            note("execution_error", **failure.details)
            return {"outputs": shown, "status": {"status_str": "error", "completed": False, "messages": messages}}
    note("execution_success")
    return {"outputs": shown, "status": {"status_str": "success", "completed": True, "messages": messages}}


class _NodeFailedError(Exception):
    def __init__(self, number: str, class_type: str, error: Exception) -> None:
        super().__init__(str(error))
        self.details = {
            "node_id": number,
            "node_type": class_type,
            "exception_message": str(error),
            "exception_type": type(error).__name__,
            "traceback": traceback.format_exception(type(error), error, error.__traceback__),
        }


def _execute(job: Job, number: str, results: dict[str, t.Any], shown: dict[str, t.Any]) -> t.Any:
    """What a node gives; what it depends on is run before, each node once."""
    if number in results:
        return results[number]
    node = job.prompt[number]
    values = dict(node.get("inputs", {}))
    for name, value in values.items():
        if _is_link(value):
            values[name] = _execute(job, value[0], results, shown)[value[1]]
    cls = _class_of(node)
    hidden = {"PROMPT": job.prompt, "EXTRA_PNGINFO": job.extra_data.get("extra_pnginfo"), "UNIQUE_ID": number}
    types = cls.INPUT_TYPES()
    values |= {name: hidden.get(kind) for name, kind in types.get("hidden", {}).items()}
    for name, (kind, *_options) in types.get("required", {}).items():
        if isinstance(kind, str) and kind in NUMBERS:
            values[name] = NUMBERS[kind](values[name])
    try:
        given = getattr(cls(), cls.FUNCTION)(**values)
    except Exception as error:
        raise _NodeFailedError(number, node["class_type"], error) from error
    if isinstance(given, dict):
        if "ui" in given:
            shown[number] = given["ui"]
        given = given.get("result", ())
    results[number] = given
    return given
