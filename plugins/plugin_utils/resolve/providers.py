# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One package for each module: of those that fill the same one, one is installed and shims stand for the others.

Known groups are settled as soon as two of a group are asked for, and by a rule for answers when packages ask for them.
That rule also finds what nobody has listed, by the files that packages would write: builds of one package are settled
like the known ones, and of a mere overlap the user is told.
"""

from __future__ import annotations

import collections.abc as c
import dataclasses
import difflib
import json
import pathlib
import typing as t

from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.comfyops.fleet.plugins.module_utils.lock.document import PROVIDED
from ansible_collections.comfyops.fleet.plugins.module_utils.lock.owners import CORE, SPEC
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve import provider_wishes, wheels
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.demands import TORCH_FAMILY
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.index_pages import ListedFile
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.indexes import LOCAL
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.provider_groups import GROUPS, Group, group_of
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.provider_overlaps import (
    Overlap,
    declares_namespace,
    find_overlaps,
    modules_of,
)
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.provider_shims import (
    Stock,
    is_shim,
    local_shims,
    stands_of,
)
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.rounds import Answer
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.uv_resolution import ALWAYS, Found, Question
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.wheel_look import (
    Look,
    Member,
    look_into,
    read_member,
)

_KEY: t.Final = "python.providers"
# Paths of an overlap in a message.
_SHOWN: t.Final = 2
_NEVER_SHIMS: t.Final = TORCH_FAMILY | {ALWAYS}


@dataclasses.dataclass(frozen=True)
class Settings:
    """chosen: the spec's ``python.providers``. accelerator: of the target. joint: whether all lines have to be met.

    uv_cache: uv's; its parent has what was seen of wheels.
    """

    chosen: c.Mapping[str, str]
    accelerator: str | None
    joint: bool
    uv_cache: pathlib.Path


class Providers:
    """Settles the groups of one target. replaced: lines that gave way to a provider, as the lock has them."""

    def __init__(self, settings: Settings) -> None:
        self.replaced: list[dict[str, str]] = []
        self._settings = settings
        self._stock = Stock(settings.uv_cache)
        # By module: the groups that were found by their files, the choice for those that were settled.
        self._found: dict[str, Group] = {}
        self._settled: dict[str, str] = {}
        self._overlaps: list[Overlap] = []
        self._unseen: list[str] = []
        self._files: dict[str, ListedFile] = {}

    def prepare(self, question: Question) -> Question:
        """The question with the groups settled that its lines name. Raises FleetError when their wishes disagree."""
        asked = {line.name for line in (*question.lines, *question.overrides)}
        for group in self._groups():
            there = asked & set(group.members) - set(group.limits)
            if self._is_to_settle(group, there) or group.module in self._settings.chosen:
                question = self._settle(question, group, there)
        return question

    def rule(self, answer: Answer) -> Question:
        """Settle what an answer has of groups that are not settled yet, or were settled for fewer packages."""
        present = {package.name: package.version for package in answer.found}
        for group in self._groups():
            there = {name for name, version in present.items() if group.holds(name, version)}
            if self._is_to_settle(group, there) and self._settled.get(group.module) != self._choice(group, there):
                return self._settle(answer.question, group, there)
        return self._settle_overlaps(answer)

    def notes(self, answer: Answer) -> c.Iterator[str]:
        """What a user should know of an answer that is final."""
        question, found = answer.question, {package.name: package for package in answer.found}
        for group in self._groups():
            shims = [name for name in group.members if name in found and is_shim(question, name)]
            provider = str(question.local[shims[0]][0].entry["provider"]) if shims else ""
            if shims:
                yield (
                    f"the module {group.module} comes from {provider} {found[provider].version} alone:"
                    f" {', '.join(shims)} would fill it too, and {'is' if len(shims) == 1 else 'are'} met without"
                    f" content{self._other_choice(question, group, shims)}"
                )
            yield from self._unused_accelerator(group, found)
            yield from self._other_accelerator(question, group, found)
        for overlap in self._overlaps:
            yield self._overlap_note(overlap)
        for name in self._unseen:
            yield f"the server of {name} gives no parts of files: whether it writes files of others is not known"
        yield from self._idle(found)

    def _groups(self) -> list[Group]:
        """The known groups and those that were found, with what the spec chose for them."""
        groups = [*GROUPS, *self._found.values()]
        chosen = self._settings.chosen
        return [
            dataclasses.replace(group, members=(chosen[group.module], *group.members))
            if chosen.get(group.module, group.members[0]) not in group.members
            else group
            for group in groups
        ]

    def _is_to_settle(self, group: Group, there: c.Collection[str]) -> bool:
        """Whether something else than what is asked for has to be installed."""
        if len(there) > 1:
            return True
        accelerator = self._settings.accelerator
        for name in there:
            useless = accelerator and not accelerator.startswith(group.made_for.get(name, accelerator))
            return name != self._settings.chosen.get(group.module, name) or bool(useless and group.plain)
        return False

    def _choice(self, group: Group, there: c.Collection[str]) -> str:
        chosen = self._settings.chosen.get(group.module)
        return chosen or group.choice(there, self._settings.accelerator)

    def _settle(self, question: Question, group: Group, there: c.Collection[str]) -> Question:
        """The question with one provider for the group, where there is a package that can be it."""
        choice = self._choice(group, there) if there else self._settings.chosen[group.module]
        self._settled[group.module] = choice
        provider = self._available(question, group, choice, there)
        if provider is None:
            return question
        versions = self._stock.fitting(question, provider)
        local = {
            name: wheels for name, wheels in question.local.items() if name != provider or not is_shim(question, name)
        }
        stands = {}
        for name in group.members:
            if name in (provider, *question.excluded, *_NEVER_SHIMS):
                continue
            self._check_shim(question, group, name, provider)
            own = self._stock.all(question, name) if name in there or not group.in_step else []
            stands[name] = stands_of(group, name, provider, versions, own)
            if stands[name]:
                local[name] = local_shims(name, provider, stands[name])
        wishes = provider_wishes.Wishes(group.module, provider, tuple(versions), stands)
        lines, replaced = wishes.settle(question, self._settings.joint and group.in_step)
        self.replaced += replaced
        return dataclasses.replace(question, lines=lines, local=local)

    def _available(self, question: Question, group: Group, choice: str, there: c.Collection[str]) -> str | None:
        """The package to be the provider: what is there in any case, the choice, or the next best that there is."""
        fixed = [name for name in group.members if _is_fixed(question, name)]
        chosen = self._settings.chosen.get(group.module)
        if chosen:
            if chosen in question.excluded:
                what = f"{chosen} is to fill {group.module}, and python.exclude leaves it out"
                raise FleetError(what, where=_KEY, remedy="Take it out of one of the two")
            if not self._stock.fitting(question, chosen):
                what = f"{chosen}, which is to fill {group.module}, has no wheel in its index that the target can have"
                raise FleetError(what, where=f"{question.environment.where}: {_KEY}", remedy=self._members(group))
        ranked = [name for name in group.members if name in there]
        candidates = [chosen] if chosen else [*fixed, choice, *ranked, *filter(None, [group.plain])]
        usable = [name for name in candidates if name not in question.excluded]
        return next((name for name in usable if self._stock.fitting(question, name)), None)

    def _check_shim(self, question: Question, group: Group, name: str, provider: str) -> None:
        """What the image provides is there, whatever is installed."""
        if any(wheel.entry.get("source") == PROVIDED for wheel in question.local.get(name, ())):
            raise FleetError(
                f"{name} is of the host's image (python.provided) and fills {group.module}, as does {provider}",
                where=_KEY,
                remedy=f"Write {json.dumps({group.module: name})}, or take {name} out of python.provided",
            )

    def _settle_overlaps(self, answer: Answer) -> Question:
        """Settle what is found by files; keep the overlaps that are left."""
        question, found = answer.question, {package.name: package for package in answer.found}
        contents = self._contents(question, answer.found)
        self._check_chosen(contents)

        def is_namespace(name: str, member: Member) -> bool:
            content = read_member(self._files[name], member.path, question.indexes.access)
            return content is None or declares_namespace(content)

        overlaps = find_overlaps(contents, is_namespace)
        together = {frozenset(pair) for group in GROUPS for pair in _pairs(group.members)}
        self._overlaps = [each for each in overlaps if frozenset(each.packages) not in together]
        for overlap in self._overlaps:
            winner = self._winner(overlap, found)
            if winner is not None:
                module = overlap.modules[0]
                earlier = self._found.get(module, Group(module, (), in_step=False))
                members = tuple(dict.fromkeys([winner, *earlier.members, *overlap.packages]))
                self._found[module] = dataclasses.replace(earlier, members=members)
                return self._settle(question, self._found[module], set(overlap.packages))
        return question

    def _check_chosen(self, contents: c.Mapping[str, c.Sequence[Member]]) -> None:
        """That what the spec chose for a module has it."""
        for module, name in self._settings.chosen.items():
            there = modules_of(contents.get(name, ()))
            if there and module.partition(".")[0] not in there:
                raise FleetError(
                    f"{name} is to fill {module}, and its wheel has no such module: it has {', '.join(sorted(there))}",
                    where=_KEY,
                    remedy="Name a package that has it, or take the entry out",
                )

    def _winner(self, overlap: Overlap, found: c.Mapping[str, Found]) -> str | None:
        """What is to be installed alone; None where both have modules of their own and nobody chose."""
        for module in overlap.modules:
            chosen = self._settings.chosen.get(module)
            if chosen and not (set(overlap.packages) - {chosen}) & _NEVER_SHIMS:
                return chosen
        losers = [name for name in overlap.covered if name not in _NEVER_SHIMS]
        ranked = sorted(overlap.packages, key=lambda name: (_rank(found[name]), name))
        return next((name for name in ranked if set(overlap.packages) - {name} <= set(losers)), None)

    def _contents(self, question: Question, found: c.Sequence[Found]) -> dict[str, t.Any]:
        """The files of the packages whose wheels can be looked into; what is wrong with others is told elsewhere."""
        tags = question.environment.wheel_tags()
        files = {package.name: file for package in found if (file := _file_of(question, package, tags)) is not None}
        self._files = files
        looks = look_into(list(files.values()), question.indexes.access, self._settings.uv_cache.parent)
        seen = {name: look for name, look in zip(files, looks, strict=True) if isinstance(look, Look)}
        self._unseen = sorted(name for name, look in seen.items() if look.members is None)
        return {name: look.members for name, look in seen.items() if look.members is not None}

    def _unused_accelerator(self, group: Group, found: c.Mapping[str, Found]) -> c.Iterator[str]:
        """Word of a package that has a sibling for the target's accelerator."""
        accelerator, plain = self._settings.accelerator or "", group.plain or ""
        special = next((name for name, kind in group.made_for.items() if accelerator.startswith(kind)), None)
        if special and plain in found and special not in found and group.module not in self._settings.chosen:
            yield (
                f"{plain} makes no use of the target's {accelerator}; for that add to {_KEY}"
                f" {json.dumps({group.module: special})}"
            )

    def _other_accelerator(self, question: Question, group: Group, found: c.Mapping[str, Found]) -> c.Iterator[str]:
        """Word of a package that was made for another accelerator than the target's, and is installed all the same."""
        accelerator = self._settings.accelerator
        for name, kind in group.made_for.items():
            if accelerator and name in found and not accelerator.startswith(kind) and not is_shim(question, name):
                better = next((other for other, fits in group.made_for.items() if accelerator.startswith(fits)), None)
                way = f"; for that add to {_KEY} {json.dumps({group.module: better})}" if better else ""
                yield f"{name} was made for {kind}, and the target's accelerator is {accelerator}{way}"

    def _other_choice(self, question: Question, group: Group, shims: c.Sequence[str]) -> str:
        """What to write for one of those that are stood in for, where there is one that the target can have."""
        if group.module in self._settings.chosen:
            return "; python.providers says so"
        other = next((name for name in shims if self._stock.fitting(question, name)), None)
        return f"; for another one add to {_KEY} {json.dumps({group.module: other})}" if other else ""

    def _overlap_note(self, overlap: Overlap) -> str:
        first, second = overlap.packages
        more = f" and {len(overlap.paths) - _SHOWN} more" if len(overlap.paths) > _SHOWN else ""
        return (
            f"{first} and {second} both write {', '.join(overlap.paths[:_SHOWN])}{more}, and {second} is installed"
            f" later; to install one of them alone add to {_KEY} {json.dumps({overlap.modules[0]: first})}, and the"
            " other is met without content"
        )

    def _idle(self, found: c.Mapping[str, Found]) -> c.Iterator[str]:
        """Entries of the spec that nothing came of."""
        for module, name in self._settings.chosen.items():
            if name in found:
                continue
            group = group_of(module) or self._found.get(module)
            if group is not None:
                yield f"{_KEY} names {name} for {module}, and no package that fills it is asked for"
                continue
            near = difflib.get_close_matches(module, [known.module for known in GROUPS], 1)
            guess = f"; did you mean {near[0]}?" if near else ""
            yield f"{_KEY} names {name} for {module}, and no two packages of this target fill that{guess}"

    @staticmethod
    def _members(group: Group) -> str:
        return f"Choose another one: {', '.join(group.members)}"


def _is_fixed(question: Question, name: str) -> bool:
    """Whether it is there at one version by the spec's will: provided, built, or a file by its URL."""
    if name in question.local and not is_shim(question, name):
        return True
    return any(line.name == name and line.url and line.demand.owner == SPEC for line in question.lines)


def _file_of(question: Question, package: Found, tags: c.Sequence[t.Any]) -> ListedFile | None:
    """The wheel of a package that can be looked into; None for shims and what the image provides."""
    offered = wheels.fitting(package.wheels, tags)
    if not offered:
        return None
    wheel = offered[0]
    if package.index != LOCAL:
        return ListedFile(wheel.file, wheel.url.partition("#")[0], sha256=wheel.sha256, size=wheel.size)
    local = next(each for each in question.local[package.name] if each.file == wheel.file)
    return ListedFile(local.file, local.path.as_uri(), sha256=local.sha256, size=local.size) if local.path else None


def _rank(package: Found) -> int:
    """Whose wish counts more: the spec's, then ComfyUI's, then a node's."""
    kinds = [owner.partition(":")[0] for owner in package.required_by]
    order = (SPEC, CORE, "node")
    return min((order.index(kind) for kind in kinds if kind in order), default=len(order))


def _pairs(names: c.Sequence[str]) -> c.Iterator[tuple[str, str]]:
    return ((first, second) for first in names for second in names if first != second)
