# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The report as data (JSON), for other programs. Its form is plugins/schemas/sources.schema.json."""

from __future__ import annotations

import collections.abc as c
import json
import typing as t

from ansible_collections.comfyops.fleet.plugins.module_utils.errors import failures
from ansible_collections.comfyops.fleet.plugins.module_utils.lock.document import Checkout
from ansible_collections.comfyops.fleet.plugins.plugin_utils.report.sources.coverage import Coverage
from ansible_collections.comfyops.fleet.plugins.plugin_utils.report.sources.limits import Limit
from ansible_collections.comfyops.fleet.plugins.plugin_utils.report.sources.model import (
    Entry,
    Part,
    Sources,
    TargetSources,
)
from ansible_collections.comfyops.fleet.plugins.plugin_utils.report.sources.tables import compiled_rows

SOURCES_VERSION: t.Final = 1
Document = dict[str, t.Any]


def render_json(sources: Sources, coverages: c.Mapping[str, Coverage]) -> str:
    """The report as the text of a JSON document. coverages: by target."""
    lock = sources.lock
    document = {
        "sources_version": SOURCES_VERSION,
        "version_id": lock.version_id,
        "lock_sha256": sources.digest,
        "core": _checkout(lock.core),
        "nodes": [_checkout(node) for node in lock.nodes],
        "targets": {name: _target(target, coverages[name]) for name, target in sources.targets.items()},
    }
    return json.dumps(document, indent=2, sort_keys=True) + "\n"


def _checkout(checkout: Checkout) -> Document:
    return {"name": checkout.name, "repo": checkout.repo, "commit": checkout.commit}


def _target(sources: TargetSources, coverage: Coverage) -> Document:
    target = sources.target
    capped = {name: sources.limits(name) for name in sources.by_name}
    return {
        "python": target.python,
        "platform": target.platform,
        "accelerator": target.accelerator,
        "count": len(sources.entries),
        "size": sources.size,
        "unsized": sources.unsized,
        "by_source": [_part(part) for part in sources.by_source],
        "by_owner": [_part(part) for part in sources.by_owner],
        "by_license": [_part(part) for part in sources.by_license],
        "by_subject": [_part(part) for part in sources.parts(lambda entry: entry.subject)],
        "packages": [_package(entry) for entry in sources.entries],
        "edges": [
            {"requester": edge.requester, "package": edge.package, "line": edge.line, "place": edge.place}
            for edge in sources.graph.edges
        ],
        "limits": {
            name: [_limit(limit) for limit in limits if limit.at_most]
            for name, limits in capped.items()
            if any(limit.at_most for limit in limits)
        },
        "compiled": [
            {"name": row.name, "built_for": row.built_for, "runs_on": row.runs_on, "misfit": row.why or None}
            for row in compiled_rows(sources)
        ],
        "replaced": [
            {"owner": each.owner, "line": each.line, "by": each.by, "why": each.why} for each in target.replaced
        ],
        "coverage": _coverage(coverage),
    }


def _package(entry: Entry) -> Document:
    package = entry.package
    return {
        "name": package.name,
        "version": package.version,
        "source": package.source,
        "source_label": entry.source,
        "index": package.index,
        "origin": entry.origin,
        "file": package.file,
        "sha256": package.sha256,
        "size": package.size,
        "license": entry.license.shown if entry.license.text else None,
        "spdx": entry.license.expression,
        "subject": entry.subject,
        "built_from": package.built_from,
        "provider": package.provider,
        "asked_by": list(entry.direct),
        "needed_by": list(entry.owners),
        "required_by": list(package.required_by),
    }


def _part(part: Part) -> Document:
    return {
        "label": part.label,
        "count": part.count,
        "size": part.size,
        "count_share": float(part.count_share),
        "size_share": float(part.size_share),
    }


def _limit(limit: Limit) -> Document:
    edge = limit.edge
    return {"requester": edge.requester, "line": edge.line, "at_most": limit.at_most, "void": limit.void or None}


def _coverage(coverage: Coverage) -> Document:
    return {
        "declared": coverage.declared,
        "declared_and_locked": coverage.declared_and_locked,
        "locked": coverage.locked,
        "to_install": coverage.to_install,
        "installed": {host: coverage.installed(host) for host in coverage.hosts},
        "imports": dict(sorted(coverage.modules.items())),
        "not_looked_at": dict(coverage.unlooked),
        "failures": [failure for fault in coverage.all_faults for failure in failures(fault)],
    }
