# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The Python packages of a target: everything that core, nodes and spec ask for, resolved together to one file each.

uv resolves, for the target's Python and platform and from wheels alone: no build code of others runs here.
"""

from __future__ import annotations

import collections.abc as c
import dataclasses
import pathlib
import typing as t

from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError, raise_all
from ansible_collections.comfyops.fleet.plugins.module_utils.host.http import Access
from ansible_collections.comfyops.fleet.plugins.module_utils.lock.document import DEFAULT_INDEX, INDEX, SHIM
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve import (
    abi,
    builds,
    coherence,
    known_breaks,
    package_notes,
    resolution,
    torch_users,
)
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.abi_tags import tag_faults
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.builds_asked import build_what_is_asked
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.builds_store import BuiltWheel
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.demands import (
    TORCH_FAMILY,
    Demand,
    Line,
    demand_of_spec,
    lines_for,
)
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.indexes import Indexes, read_indexes
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.package_entries import Checks, make_entries
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.provided import (
    demand_of_image,
    provided_twice,
    provided_wheels,
)
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.providers import Providers
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.providers import Settings as ProviderSettings
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.requirement_sources import (
    Lookups,
    entry_to_add,
    settle_sources,
)
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.resolution_remedies import EntryOf
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.rounds import Answer, Rule, settle
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.target_environment import (
    TargetEnvironment,
    target_environment,
)
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.uv_resolution import (
    ALWAYS,
    Found,
    Question,
)
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.wheel_choices import WheelChoices, choose_wheels

__all__ = ["Demand", "resolve_target"]

Section = c.Mapping[str, t.Any]
Document = dict[str, t.Any]

_OVERRIDES: t.Final = "python.overrides"
_STRICT: t.Final = "strict"
_RULES: t.Final[c.Sequence[Rule]] = (abi.fitting_torch, known_breaks.known_breaks)


def resolve_target(
    name: str,
    target: Section,
    *,
    python: str,
    demands: c.Sequence[Demand],
    python_section: Section,
    packages: c.Sequence[Section],
    index_urls: c.Mapping[str, str],
    kept: c.Sequence[Section] | None,
    upgrade: c.Collection[str],
    work: pathlib.Path,
    cache: pathlib.Path,
    site: builds.Site,
    report: c.Callable[[str], None],
    access: Access | None = None,
    every_byte: bool = False,
) -> Document:
    """The lock's entry of the target ``name``, the same for the same input and the same state of the indexes.

    target, python_section and packages: of the normalized spec. demands: of core and nodes. index_urls: where indexes
    are reached from here, by name. kept: the packages of an earlier lock, which stay where they still fit, but for the
    canonical names in ``upgrade`` (or ``all``). work: a directory for scratch files. cache: uv's. site: where what
    has no wheel is built. report: told what a user should know. access: credentials by host, for indexes and files.
    every_byte: believe no index, and read all files.

    Raises FleetError, or Failures with all faults of the input.
    """
    environment = target_environment(name, target["platform"], python)
    question, replaced, choices = _question(
        environment, demands, python_section, packages, index_urls, kept or (), upgrade, access or Access(), site
    )
    built = _built(question, python_section, packages, kept or (), site, work, cache, report)
    local = {name: [builds.local_wheel(wheel)] for name, wheel in built.items()}
    question = dataclasses.replace(question, local={**question.local, **local})
    answer = _settled(question, choices.rule, python_section, target["accelerator"], site, work, cache, report)
    question, found = answer.question, answer.found
    raise_all(builds.built_against_others(built, {package.name: package.version for package in found}))
    entries = make_entries(_with_default(question, found), found, kept or (), Checks(cache.parent, report, every_byte))
    return {
        "python": python,
        "platform": environment.platform,
        "accelerator": target["accelerator"],
        "match": dict(target["match"]),
        "indexes": dict(question.indexes.urls),
        "interpreter": None,
        "packages": entries,
        "replaced": _told((*replaced, *answer.replaced), environment, report),
    }


def _built(
    question: Question,
    section: Section,
    packages: c.Sequence[Section],
    kept: c.Sequence[Section],
    site: builds.Site,
    work: pathlib.Path,
    cache: pathlib.Path,
    report: c.Callable[[str], None],
) -> dict[str, BuiltWheel]:
    """The wheels that no index has, by name."""
    asked = _builds_question(question, kept)

    def build(wanted: c.Sequence[builds.Wanted], spare: c.Sequence[builds.Wanted]) -> dict[str, BuiltWheel]:
        return builds.build_wheels(wanted, asked, site, work=work, report=report, spare=spare)

    wanted = builds.wanted_of(packages, section["build"], asked, site)
    return build_what_is_asked(wanted, question, build, work=work, cache=cache, report=report)


def _ask(
    rules: str, entry_of: EntryOf, work: pathlib.Path, cache: pathlib.Path, report: c.Callable[[str], None]
) -> c.Callable[[Question], Answer]:
    """Who answers questions by the rules that the spec names."""

    def ask(question: Question) -> Answer:
        return resolution.answer(question, rules, work=work, cache=cache, entry_of=entry_of, report=report)

    return ask


def _entry_of(lookups: Lookups) -> EntryOf:
    """Who gives the entry of python_packages for a line that names a file."""
    return lambda line: entry_to_add(line.name, str(line.url), lookups)


def _lookups(site: builds.Site, indexes: Indexes) -> Lookups:
    return Lookups(site.access, indexes.access, site.cache / "wheels")


def _settled(
    question: Question,
    choice_of_wheels: Rule,
    section: Section,
    accelerator: str | None,
    site: builds.Site,
    work: pathlib.Path,
    cache: pathlib.Path,
    report: c.Callable[[str], None],
) -> Answer:
    """What meets the question and works together, with word of what a user should know of it."""
    where = question.environment.where
    asked = {line.name for line in question.lines}
    for note in package_notes.namesakes(question, asked):
        report(f"{where}: {note}")

    rules = section["resolution"]
    providers = Providers(ProviderSettings(section["providers"], accelerator, rules == _STRICT, cache))
    entry_of = _entry_of(_lookups(site, question.indexes))
    ask, users = _ask(rules, entry_of, work, cache, report), torch_users.TorchUsers(work, cache, entry_of)
    own = (*coherence.rules(rules != _STRICT, accelerator), choice_of_wheels, *_RULES)
    answer = settle(providers.prepare(question), ask, (*own, users.rule, providers.rule))
    further = package_notes.namesakes(question, {package.name for package in answer.found} - asked)
    others = [target["accelerator"] for target in section["targets"].values()]
    notes = package_notes.notes(answer.question, answer.found, accelerator, others)
    for note in (*further, *notes, *providers.notes(answer)):
        report(f"{where}: {note}")
    return dataclasses.replace(answer, replaced=[*providers.replaced, *answer.replaced])


def _question(
    environment: TargetEnvironment,
    demands: c.Sequence[Demand],
    section: Section,
    packages: c.Sequence[Section],
    index_urls: c.Mapping[str, str],
    kept: c.Sequence[Section],
    upgrade: c.Collection[str],
    access: Access,
    site: builds.Site,
) -> tuple[Question, list[Document], WheelChoices]:
    indexes, index_faults = read_indexes(section, packages, index_urls, access)
    excluded = frozenset(section["exclude"])
    every = [*demands, demand_of_spec(packages), demand_of_image(section)]
    lines, line_faults = lines_for(environment, every, excluded)
    choices = choose_wheels(lines, environment)
    settled = settle_sources(choices.lines, packages, _lookups(site, indexes))
    overrides, override_faults = lines_for(environment, [_overriding(section)], frozenset())
    faults = [
        *index_faults,
        *line_faults,
        *settled.faults,
        *provided_twice(lines, packages, section["build"]),
        *override_faults,
        *_line_faults([*settled.lines, *overrides], indexes, environment),
        *_refused_names(overrides, excluded),
    ]
    raise_all(faults)
    question = Question(
        environment=environment,
        lines=settled.lines,
        indexes=indexes,
        overrides=overrides,
        excluded=excluded,
        exclude_newer=section["exclude_newer"],
        kept={entry["name"]: entry["version"] for entry in kept if entry["source"] in (INDEX, SHIM)},
        upgrade=upgrade,
        local=provided_wheels(lines),
    )
    return question, settled.replaced, choices


def _overriding(section: Section) -> Demand:
    return Demand(_OVERRIDES, None, tuple(section["overrides"]))


def _builds_question(question: Question, kept: c.Sequence[Section]) -> builds.Question:
    overridden = {line.name for line in question.overrides}
    return builds.Question(
        environment=question.environment,
        indexes=question.indexes,
        exclude_newer=question.exclude_newer,
        # What an override says counts in place of all else that is said of its package.
        lines=[*(line for line in question.lines if line.name not in overridden), *question.overrides],
        kept=kept,
        upgrade=question.upgrade,
    )


def _with_default(question: Question, found: c.Sequence[Found]) -> Question:
    """The question with the address of uv's default index: where pip is from, unless pip is bound."""
    url = next((package.index_url for package in found if package.name == ALWAYS), None)
    if url is None or question.indexes.of(ALWAYS) != DEFAULT_INDEX:
        return question
    return dataclasses.replace(question, indexes=question.indexes.with_default(url))


def _told(
    replaced: c.Iterable[Section], environment: TargetEnvironment, report: c.Callable[[str], None]
) -> list[Document]:
    """The lines that gave way, of which the user is told."""
    told = [dict(each) for each in replaced]
    for each in told:
        report(f"{environment.where}: {each['line']} of {each['owner']} gives way to {each['by']}: {each['why']}")
    return told


def _line_faults(lines: c.Sequence[Line], indexes: Indexes, environment: TargetEnvironment) -> list[FleetError]:
    """Files that fit no host of the target, and packages that are bound to an index and given by URL as well."""
    bound = [
        FleetError(
            f"{line.name} is bound to the index {indexes.bound[line.name]}, and given as the file {line.url}",
            where=line.demand.label,
            remedy="Keep one of the two",
        )
        for line in lines
        if line.url and line.name in indexes.bound
    ]
    return [*tag_faults(lines, environment), *bound]


def _refused_names(overrides: c.Sequence[Line], excluded: c.Collection[str]) -> list[FleetError]:
    faults = [
        FleetError(
            f"{line.name} is of the torch family, whose parts only fit together as they say themselves",
            where=_OVERRIDES,
            remedy="Pin it in python_packages, and give a node that wants another one lines of its own in"
            " custom_nodes[].requirements",
        )
        for line in overrides
        if line.name in TORCH_FAMILY
    ]
    if ALWAYS in excluded:
        faults.append(FleetError(f"every environment holds {ALWAYS}", where="python.exclude", remedy="Take it out"))
    return faults
