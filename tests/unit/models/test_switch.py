# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Models change with the switch: not before it, all at once with it, and back again."""

from __future__ import annotations

import dataclasses
import errno
import os
import pathlib
import platform
import typing as t

import pytest

from ansible_collections.comfyops.fleet.plugins.module_utils.change import Change, Plan
from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.comfyops.fleet.plugins.module_utils.host.atomic import write_text
from ansible_collections.comfyops.fleet.plugins.module_utils.host.layout import Layout
from ansible_collections.comfyops.fleet.plugins.module_utils.host.serving import lock_record
from ansible_collections.comfyops.fleet.plugins.module_utils.lock.document import canonical
from ansible_collections.comfyops.fleet.plugins.module_utils.models import receipt
from ansible_collections.comfyops.fleet.plugins.module_utils.models.switch_apply import apply_switch
from tests.unit.models.conftest import (
    Host,
    actions,
    converge,
    entry,
    leads_to,
    look,
    look_at_switch,
    switch,
)

if t.TYPE_CHECKING:
    from tests.support import locks


@dataclasses.dataclass(frozen=True)
class Versions:
    """Two contents for one path, and one more model of each version."""

    old: locks.Document
    new: locks.Document
    only_old: locks.Document
    only_new: locks.Document


@pytest.fixture
def versions(host: Host) -> Versions:
    """What two versions have."""
    return Versions(
        old=host.model("v1/style.safetensors", "style.safetensors"),
        new=host.model("v2/style.safetensors", "style.safetensors"),
        only_old=host.model("only-old.safetensors"),
        only_new=host.model("only-new.safetensors"),
    )


@pytest.mark.parametrize("cores", ["12", "11"], ids=["another build", "the same build"])
def test_contents_change_with_the_switch_and_a_rollback_brings_them_back(
    host: Host, versions: Versions, cores: str
) -> None:
    path, gone, come = (host.file(f"loras/{name}.safetensors") for name in ("style", "only-old", "only-new"))
    first = host.context(versions.old, versions.only_old, core=cores[0])
    second = host.context(versions.new, versions.only_new, core=cores[1])
    assert actions(switch(first)) == []
    planned = converge(second)
    assert actions(planned) == [
        ("fetch", "style.safetensors"),
        ("fetch", "only-new.safetensors"),
        ("place", str(come)),
    ]
    assert leads_to(path) == str(host.stored(versions.old)), "the serving build is served what it has"
    assert gone.exists()
    assert look(first).changes == ()
    assert actions(look_at_switch(second)) == [("replace", str(path)), ("remove", str(gone))]
    switch(second)
    assert leads_to(path) == str(host.stored(versions.new))
    assert not os.path.lexists(gone)
    assert host.stored(versions.only_old).exists(), "bytes stay"
    host.forget()
    assert actions(switch(first)) == [("replace", str(path)), ("remove", str(come))]
    assert leads_to(path) == str(host.stored(versions.old))
    assert gone.exists()
    assert host.forge.requests == [], "a rollback needs no network"
    assert host.asides() == {}


def test_a_check_before_the_models_are_there_foretells_the_switch(host: Host, versions: Versions) -> None:
    switch(host.context(versions.old, versions.only_old, core="1"))
    second = host.context(versions.new, versions.only_new, core="2")
    before = look_at_switch(second).changes
    assert [(change.before, change.after) for change in before] == [
        (f"sha256:{versions.old['sha256'][:12]}", f"sha256:{versions.new['sha256'][:12]}, 4.1 kB"),
        (f"sha256:{versions.only_old['sha256'][:12]}", None),
    ]
    assert {change.part for change in before} == {"current"}
    assert switch(second).changes == before


def test_a_version_that_is_only_prepared_is_no_drift_of_the_one_that_serves(host: Host, versions: Versions) -> None:
    first = host.context(versions.old, core="1")
    switch(first)
    converge(host.context(versions.new, versions.only_new, core="2"))
    assert look(first).changes == ()
    assert look_at_switch(first).changes == ()


def test_the_first_switch_has_nothing_to_do(host: Host, versions: Versions) -> None:
    context = host.context(versions.old)
    converge(context)
    assert look_at_switch(context).changes == ()


def test_a_switch_without_the_bytes_changes_nothing(host: Host, versions: Versions) -> None:
    switch(host.context(versions.old, versions.only_old, core="1"))
    second = host.context(versions.new, core="2")
    planned = look_at_switch(second)
    with pytest.raises(FleetError, match=r"the store does not have the models for .*style\.safetensors"):
        apply_switch(second, planned)
    assert host.file("loras/only-old.safetensors").exists()
    assert look(host.context(versions.old, versions.only_old, core="1")).changes == ()


def test_somebodys_file_at_a_path_that_changes_is_kept_aside(host: Host, versions: Versions) -> None:
    switch(host.context(versions.old, core="1"))
    path = host.file("loras/style.safetensors")
    path.unlink()
    path.write_bytes(b"mine")
    switch(host.context(versions.new, core="2"))
    assert host.asides() == {"models/loras/style.safetensors": b"mine"}


def test_a_path_that_is_empty_at_the_switch_is_filled(host: Host, versions: Versions) -> None:
    switch(host.context(versions.old, core="1"))
    path = host.file("loras/style.safetensors")
    path.unlink()
    assert actions(switch(host.context(versions.new, core="2"))) == [("place", str(path))]


def test_what_somebody_put_in_place_of_our_model_is_not_removed(host: Host, versions: Versions) -> None:
    switch(host.context(versions.old, versions.only_old, core="1"))
    path = host.file("loras/only-old.safetensors")
    path.unlink()
    path.write_bytes(b"mine")
    assert ("remove", str(path)) not in actions(switch(host.context(versions.new, core="2")))
    assert path.read_bytes() == b"mine"
    path.unlink()
    path.symlink_to(host.stored(versions.only_old))
    switch(host.context(versions.old, core="1"))
    assert path.is_symlink(), "it is not in the record any more"


def test_what_was_there_by_hand_and_in_the_lock_is_not_removed(host: Host, versions: Versions) -> None:
    converge(host.context({**versions.only_old, "paths": ["$MODELS_DIR/vae/x.safetensors"]}))
    path = host.file("loras/only-old.safetensors")
    path.parent.mkdir(parents=True)
    path.write_bytes(host.stored(versions.only_old).read_bytes())
    switch(host.context(versions.only_old, core="1"))
    switch(host.context(versions.new, core="2"))
    assert path.exists()


@pytest.mark.parametrize("links", ["hard", "none"])
def test_the_same_without_symbolic_links(
    host: Host, versions: Versions, links: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cannot(*_arguments: object, **_options: object) -> t.NoReturn:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "symlink", cannot)
    monkeypatch.setattr("ansible_collections.comfyops.fleet.plugins.module_utils.host.atomic.os.symlink", cannot)
    if links == "none":
        monkeypatch.setattr(os, "link", cannot)
    first = host.context(versions.old, versions.only_old)
    second = host.context(versions.new)
    served(host, first)
    served(host, second)
    path = host.file("loras/style.safetensors")
    assert path.read_bytes() == host.stored(versions.new).read_bytes()
    assert not host.file("loras/only-old.safetensors").exists()
    with monkeypatch.context() as patch:
        receipt._read_here.clear()
        patch.setattr(receipt, "_read", cannot)
        assert actions(look(first)) == [("place", str(host.file("loras/only-old.safetensors")))]
        assert look(second).changes == (), "names that came and went cost no reading"
    served(host, first)
    assert path.read_bytes() == host.stored(versions.old).read_bytes()
    assert host.asides() == {}, "what is in the store need not be kept aside"


def served(host: Host, context: t.Any) -> None:
    """Switch with a record of what serves, but without a link to the build: there are none here."""
    converge(context)
    apply_switch(context, look_at_switch(context))
    write_text(lock_record(context.layout, context.build_name), canonical(context.lock.document))
    if not host.layout.current.is_symlink():
        os.close(os.open(host.layout.root / "link", os.O_CREAT))
        os_symlink(f"builds/{context.build_name}", host.layout.current)


os_symlink = os.symlink


def test_paths_inside_of_another_build_stay_with_it(host: Host, versions: Versions) -> None:
    inside = {**versions.old, "paths": ["$COMFY_HOME/custom_nodes/x/style.safetensors"]}
    first, second = host.context(inside, core="1"), host.context(versions.new, core="2")
    switch(first)
    switch(second)
    assert (first.home / "custom_nodes/x/style.safetensors").exists()
    switch(first)
    third = host.context(versions.only_new, core="1")
    assert third.home == first.home
    assert ("remove", str(first.home / "custom_nodes/x/style.safetensors")) in actions(switch(third))


def test_with_skip_models_nothing_is_removed(host: Host, versions: Versions) -> None:
    switch(host.context(versions.old, versions.only_old, core="1"))
    second = host.context(versions.new, core="2", skip_models=True)
    planned = look_at_switch(second)
    assert planned.changes == ()
    apply_switch(second, planned)
    assert host.file("loras/only-old.safetensors").exists()


def test_a_shared_directory_keeps_what_another_host_serves(
    host: Host, versions: Versions, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def on(name: str) -> None:
        monkeypatch.setattr(platform, "node", lambda: name)
        host.layout = Layout(tmp_path / name, shared_root=tmp_path / "volume")

    on("one")
    switch(host.context(versions.old, versions.only_old, core="1"))
    on("two")
    switch(host.context(versions.old, versions.only_old, core="1"))
    on("one")
    second = host.context(versions.new, core="2")
    gone, path = host.file("loras/only-old.safetensors"), host.file("loras/style.safetensors")
    assert look_at_switch(second).notes == (f"{path}: two serves another content from there until it switches",)
    switch(second)
    assert gone.exists(), "two still serves it"
    on("two")
    switch(host.context(versions.new, core="2"))
    on("one")
    switch(host.context(versions.new, versions.only_new, core="2"))
    assert not os.path.lexists(gone)


def test_a_record_that_can_not_be_read_is_no_reason_to_remove(host: Host, versions: Versions) -> None:
    switch(host.context(versions.old, versions.only_old, core="1"))
    (host.layout.state / "placed.json").write_text("{")
    with pytest.raises(FleetError, match="the record of models can not be read"):
        look_at_switch(host.context(versions.new, core="2"))


def test_a_serving_build_without_a_record_serves_what_is_there(host: Host, versions: Versions) -> None:
    first = host.context(versions.old, core="1")
    switch(first)
    (host.layout.served_locks / f"{first.build_name}.json").unlink()
    assert ("replace", str(host.file("loras/style.safetensors"))) in actions(look(host.context(versions.new, core="2")))


def test_the_changes_of_others_in_the_plan_are_left_to_them(host: Host) -> None:
    context = host.context(entry("x", "https://models.example/x", b"x"))
    others = Change("current", "switch", "current"), Change("current", "remove", str(host.layout.current))
    host.layout.current.symlink_to("builds/x")
    apply_switch(context, Plan(others))
    assert host.layout.current.is_symlink()
