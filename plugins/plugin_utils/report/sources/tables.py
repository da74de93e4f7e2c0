# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The tables that every form of the report has beside its list of packages, before they are Markdown or HTML."""

from __future__ import annotations

import collections.abc as c
import dataclasses

from ansible_collections.comfyops.fleet.plugins.module_utils.errors import failures
from ansible_collections.comfyops.fleet.plugins.module_utils.lock.owners import PACKAGE
from ansible_collections.comfyops.fleet.plugins.plugin_utils.report.sources.coverage import Coverage
from ansible_collections.comfyops.fleet.plugins.plugin_utils.report.sources.graph import shown
from ansible_collections.comfyops.fleet.plugins.plugin_utils.report.sources.model import Entry, TargetSources
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve import abi


@dataclasses.dataclass(frozen=True)
class Code:
    """A cell that is shown as it stands: a requirement line, a hash."""

    text: str


@dataclasses.dataclass(frozen=True)
class Name:
    """A cell that names a package, or one who asks for packages (``package:<name>``, an owner)."""

    reference: str


Cell = str | Code | Name


@dataclasses.dataclass(frozen=True)
class Table:
    """Rows under a title. note: what to know before reading them, if anything. is_list: whether their number counts."""

    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    note: str = ""
    is_list: bool = True

    @property
    def heading(self) -> str:
        """The title, with how many rows there are."""
        return f"{self.title} ({len(self.rows)})" if self.is_list else self.title


def built(sources: TargetSources) -> Table:
    """What was built of source, of which, and with what."""
    rows = [
        (
            Name(f"{PACKAGE}{entry.package.name}"),
            entry.package.version,
            entry.origin or "",
            built_by(entry),
            asked_by(entry),
        )
        for entry in sources.entries
        if entry.is_built
    ]
    head = ("package", "version", "built from", "built by", "asked for by")
    return Table("Built from source", head, tuple(rows))


def exceptions(sources: TargetSources) -> Table:
    """What does not come from the default index, and why."""
    rows = [
        (Name(f"{PACKAGE}{entry.package.name}"), entry.source, _reason(entry))
        for entry in sources.entries
        if not entry.is_of_default_index
    ]
    return Table("Not from the default index, and why", ("package", "source", "why"), tuple(rows))


def replaced(sources: TargetSources) -> Table:
    """The lines of core and nodes that do not count."""
    rows = [(Name(each.owner), Code(each.line), each.by, each.why) for each in sources.target.replaced]
    return Table("Requirement lines that do not count", ("of", "line", "replaced by", "why"), tuple(rows))


def held_back(sources: TargetSources) -> Table:
    """Who keeps which package below which version: lines with an upper end."""
    rows = [
        (
            Name(f"{PACKAGE}{name}"),
            entry.package.version,
            limit.at_most,
            Name(limit.edge.requester),
            Code(limit.edge.line),
        )
        for name, entry in sources.by_name.items()
        for limit in sources.limits(name)
        if limit.at_most and not limit.void
    ]
    head = ("package", "locked", "kept", "by", "line")
    note = "The version that is locked is at or below each of these; whoever wants more has to change them."
    return Table("Who keeps what below which version", head, tuple(rows), note)


def compiled(sources: TargetSources) -> Table:
    """The packages that were built for one torch, CUDA or GPU, and whether they fit the target."""
    rows = [
        (Name(f"{PACKAGE}{row.name}"), row.version, row.built_for or "any", row.runs_on or "any", row.why or "yes")
        for row in compiled_rows(sources)
    ]
    head = ("package", "version", "built for", "compute capability", "fits")
    return Table("Built for a torch, a CUDA or a GPU", head, tuple(rows))


def compiled_rows(sources: TargetSources) -> list[abi.Row]:
    """The same as data."""
    users = {edge.requester.removeprefix(PACKAGE) for edge in sources.graph.asking_for("torch")}
    return abi.abi_rows({entry.package.name: entry.package.version for entry in sources.entries}, users)


def counted(coverage: Coverage) -> Table:
    """How many packages are declared, locked, installed and can be imported."""
    looked = [
        *((f"installed on {host}", f"{coverage.installed(host)} of {coverage.to_install}") for host in coverage.hosts),
        *((f"installed on {host}", f"could not look: {why}") for host, why in coverage.unlooked.items()),
    ]
    modules = coverage.modules
    good = sum(error is None for error in modules.values())
    rows = [
        ("declared by core, nodes and spec", str(coverage.declared)),
        ("of these locked", str(coverage.declared_and_locked)),
        ("locked in all", str(coverage.locked)),
        *(looked or [("installed", "not looked at")]),
        ("modules of verify.imports that import", f"{good} of {len(modules)}" if modules else "not looked at"),
    ]
    return Table("Coverage", ("what", "packages"), tuple(rows), is_list=False)


def imports(coverage: Coverage) -> Table:
    """The modules that were imported on hosts, and what Python said against it."""
    rows = [
        (Code(module), Name(f"{PACKAGE}{row.name}") if row.locked else row.name, error or "imports")
        for row in coverage.rows
        for module, error in sorted(row.modules.items())
    ]
    return Table("Modules of verify.imports", ("module", "package", "result"), tuple(rows))


def faults(coverage: Coverage) -> Table:
    """What has no source, is missing, or is another one."""
    rows = [(each["where"], each["what"], each["remedy"]) for fault in coverage.all_faults for each in failures(fault)]
    return Table("Missing", ("where", "what", "what to do"), tuple(rows))


def built_by(entry: Entry) -> str:
    """What built a wheel, in words; empty for what was not built."""
    made = entry.package.built_from
    if not made:
        return ""
    held = ", ".join(f"{each['name']} {each['version']}" for each in made.get("requires", ()))
    return f"Python {made.get('python', '')} with {held or 'nothing else'}"


def asked_by(entry: Entry) -> str:
    """All who ask for a package themselves, in words."""
    return ", ".join(map(shown, entry.package.required_by))


def _reason(entry: Entry) -> str:
    package = entry.package
    reasons: c.Mapping[str, str] = {
        "index": f"bound to the index {package.index}: {entry.origin}",
        "wheel": f"named by its URL: {package.url}",
        "file": f"a file of the control node: {package.url}",
        "sdist": f"{'no wheel fits' if entry.is_of_index else 'named by its URL'}: built from {entry.origin}",
        "git": f"named by its repository: {entry.origin}",
        "shim": f"{package.provider} is installed in its place; this has no content of its own",
        "provided": "the host's image has it; nothing is downloaded",
    }
    return reasons[package.source]
