# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whatever a host looks like: the plan is the same each time, is what is then done, and leaves nothing to do."""

from __future__ import annotations

import hashlib
import os
import pathlib
import shutil
import tempfile
import typing as t

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ansible_collections.comfyops.fleet.plugins.module_utils.change import Plan
from ansible_collections.comfyops.fleet.plugins.module_utils.host.atomic import replace_link, write_text
from ansible_collections.comfyops.fleet.plugins.module_utils.host.context import Context, Settings
from ansible_collections.comfyops.fleet.plugins.module_utils.host.layout import Layout
from ansible_collections.comfyops.fleet.plugins.module_utils.host.serving import lock_record
from ansible_collections.comfyops.fleet.plugins.module_utils.lock.document import canonical, read_lock
from ansible_collections.comfyops.fleet.plugins.module_utils.models import receipt
from ansible_collections.comfyops.fleet.plugins.module_utils.models.apply import apply
from ansible_collections.comfyops.fleet.plugins.module_utils.models.found import Found
from ansible_collections.comfyops.fleet.plugins.module_utils.models.observe import Blob, Spot, State, observe
from ansible_collections.comfyops.fleet.plugins.module_utils.models.plan import plan
from ansible_collections.comfyops.fleet.plugins.module_utils.models.switch import (
    observe_switch,
    plan_switch,
)
from ansible_collections.comfyops.fleet.plugins.module_utils.models.switch_apply import apply_switch
from ansible_collections.comfyops.fleet.plugins.module_utils.models.wanted import blob
from tests.support import locks
from tests.unit.models.conftest import CORE, entry, look, look_at_switch

CONTENTS = {name: f"the bytes of {name} ".encode() * 20 for name in "abcd"}
PATHS = [f"$MODELS_DIR/loras/{number}.bin" for number in range(4)]

# Which content is at which path: a version's models.
assignments = st.dictionaries(st.sampled_from(PATHS), st.sampled_from(sorted(CONTENTS)), max_size=4)
stored = st.dictionaries(st.sampled_from(sorted(CONTENTS)), st.sampled_from(["right", "cut", "edited"]))
at_paths = st.dictionaries(
    st.sampled_from(PATHS),
    st.one_of(
        st.sampled_from(["other", "directory", "dangling"]),
        st.sampled_from([f"{kind} {name}" for kind in ("hand", "linked", "elsewhere") for name in CONTENTS]),
    ),
)


class World:
    """A host made up for one example."""

    def __init__(self, directory: pathlib.Path) -> None:
        self.directory = directory
        self.layout = Layout(directory / "root")
        for name, content in CONTENTS.items():
            (directory / name).write_bytes(content)

    def context(self, assignment: dict[str, str], core: str, **more: t.Any) -> Context:
        """A version that has these contents at these paths; every content comes from a file."""
        models = [
            entry(name, (self.directory / name).as_uri(), CONTENTS[name], sorted(paths))
            for name in sorted(set(assignment.values()))
            if (paths := [path for path, content in assignment.items() if content == name])
        ]
        lock = read_lock(locks.lock(locks.checkout("https://git.example/core", core * 40), models=models))
        context = Context(lock, lock.targets["default"], self.layout, Settings(**more))
        context.home.mkdir(parents=True, exist_ok=True)
        shutil.copy(CORE / "folder_paths.py", context.home)
        return context

    def store(self, name: str, how: str) -> None:
        """A content in the store, as it should be or not."""
        path = self.blob(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        content = CONTENTS[name]
        path.write_bytes({"right": content, "cut": content[:9], "edited": b"!" + content[1:]}[how])

    def arrange(self, path: str, what: str) -> None:
        """Something at a path."""
        place = self.layout.models / path.partition("/")[2]
        place.parent.mkdir(parents=True, exist_ok=True)
        kind, _space, name = what.partition(" ")
        if kind == "directory":
            place.mkdir()
        elif kind in ("other", "hand"):
            place.write_bytes(CONTENTS.get(name, b"other"))
        else:
            targets = {"linked": self.blob(name), "elsewhere": self.directory / name, "dangling": self.directory / "no"}
            place.symlink_to(targets[kind])

    def blob(self, name: str) -> pathlib.Path:
        """A content's file in the store."""
        return blob(self.layout, hashlib.sha256(CONTENTS[name]).hexdigest() if name else "0" * 64)

    def serve(self, context: Context) -> None:
        """Let a version serve."""
        write_text(lock_record(context.layout, context.build_name), canonical(context.lock.document))
        replace_link(context.layout.current, f"builds/{context.build_name}")


def shows(context: Context, path: str, content: str) -> bool:
    return (context.layout.models / path.partition("/")[2]).read_bytes() == CONTENTS[content]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(stored, at_paths, assignments, assignments, st.booleans())
def test_a_converge_does_what_was_planned_and_ends(
    in_store: dict[str, str], there: dict[str, str], before: dict[str, str], after: dict[str, str], deep: bool
) -> None:
    with tempfile.TemporaryDirectory() as directory:
        receipt._read_here.clear()
        world = World(pathlib.Path(directory))
        for name, how in in_store.items():
            world.store(name, how)
        for path, what in there.items():
            world.arrange(path, what)
        world.serve(world.context(before, "1"))
        context = world.context(after, "2", deep=deep)
        foretold, foretold_switch = look(context), look_at_switch(context)
        assert look(context) == foretold, "the same state, the same plan"
        assert len({(change.action, change.name) for change in foretold.changes}) == len(foretold.changes)
        apply(context, foretold)
        assert look(context).changes == ()
        assert look_at_switch(context).changes == foretold_switch.changes
        apply_switch(context, foretold_switch)
        world.serve(context)
        assert look(context).changes == ()
        assert look_at_switch(context).changes == ()
        assert all(shows(context, path, content) for path, content in after.items())
        for path, what in there.items():
            if what == "other" and path in after:
                kept = [
                    each for each in world.layout.aside.rglob("*") if each.is_file() and each.read_bytes() == b"other"
                ]
                assert kept, "what was there is kept"
        assert [each.name for each in world.layout.models.rglob(".comfy-*")] == []


spots = st.builds(
    Spot,
    found=st.builds(Found, text=st.none() | st.just("other content, 3 B"), size=st.none() | st.integers(0, 9)),
    fits=st.booleans(),
    adopt=st.booleans(),
    adopt_copies=st.booleans(),
    obstruction=st.none() | st.just("it is not a directory"),
)
blobs = st.builds(Blob, right=st.booleans(), damaged=st.none() | st.just("damaged, 1 B"), part=st.integers(0, 500))


@settings(max_examples=100, deadline=None)
@given(st.data(), assignments, st.booleans())
def test_planning_needs_nothing_but_what_it_is_told(
    data: st.DataObject, assignment: dict[str, str], offline: bool
) -> None:
    with tempfile.TemporaryDirectory() as directory:
        world = World(pathlib.Path(directory))
        context = world.context(assignment, "1", offline=offline)
        model_paths = {str(world.layout.models / path.partition("/")[2]) for path in assignment}
        digests = {hashlib.sha256(CONTENTS[name]).hexdigest() for name in assignment.values()}
        state = State(
            blobs={digest: data.draw(blobs) for digest in sorted(digests)},
            spots={path: data.draw(spots) for path in sorted(model_paths)},
            lost_files=frozenset(digest for digest in sorted(digests) if data.draw(st.booleans())),
            extra_paths=data.draw(st.sampled_from([None, "absent", "different"])),
        )
    planned = plan(context, state)
    assert not os.path.exists(world.directory), "there is no host any more"
    assert repr(plan(context, state)) == repr(planned), "errors are equal by their text"
    fetched = {change.name for change in planned.changes if change.action in ("fetch", "adopt")}
    assert len(fetched) == sum(not blob.right for blob in state.blobs.values())
    assert all(need.size >= 0 for need in planned.needs)


def test_an_empty_lock_on_an_empty_host(tmp_path: pathlib.Path) -> None:
    context = World(tmp_path).context({}, "1")
    planned = plan(context, observe(context))
    assert [change.action for change in planned.changes] == ["write"]
    assert plan_switch(context, observe_switch(context)) == Plan()
