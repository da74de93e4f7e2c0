# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The files of a report."""

from __future__ import annotations

import collections.abc as c
import datetime

from ansible_collections.comfyops.fleet.plugins.plugin_utils.report.sources.coverage import Coverage
from ansible_collections.comfyops.fleet.plugins.plugin_utils.report.sources.data import render_json
from ansible_collections.comfyops.fleet.plugins.plugin_utils.report.sources.markdown import render_markdown
from ansible_collections.comfyops.fleet.plugins.plugin_utils.report.sources.model import Sources
from ansible_collections.comfyops.fleet.plugins.plugin_utils.report.sources.page.document import render_html
from ansible_collections.comfyops.fleet.plugins.plugin_utils.report.sources.sbom import render_sbom
from ansible_collections.comfyops.fleet.plugins.plugin_utils.report.sources.table import render_csv


def render_files(
    sources: Sources,
    coverages: c.Mapping[str, Coverage],
    *,
    sbom: bool = True,
    timestamp: datetime.datetime | None = None,
) -> dict[str, str]:
    """File name to text. coverages: by target. timestamp: what bills of materials have, with its time zone.

    Raises FleetError when a bill of materials cannot be made.
    """
    files = {
        "sources.md": render_markdown(sources, coverages),
        "sources.json": render_json(sources, coverages),
        "sources.csv": render_csv(sources),
        "sources.html": render_html(sources, coverages),
    }
    if sbom:
        for name, target in sources.targets.items():
            files[f"sbom-{name}.cdx.json"] = render_sbom(sources, target, timestamp)
    return files
