# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From nothing to models at their paths, and nothing to do after that."""

from __future__ import annotations

import os
import stat

from ansible_collections.comfyops.fleet.plugins.module_utils.change import Need
from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError
from tests.unit.models.conftest import Host, actions, converge, entry, leads_to, look


def test_models_are_fetched_into_the_store_and_linked_at_their_paths(host: Host) -> None:
    style = {
        **host.model("style.safetensors"),
        "paths": ["$MODELS_DIR/loras/style.safetensors", "$MODELS_DIR/vae/s.sft"],
    }
    base = {**host.model("base.safetensors"), "paths": ["$COMFY_HOME/custom_nodes/x/base.safetensors"]}
    context = host.context(style, base)
    (context.home / "custom_nodes/x").mkdir(parents=True)
    planned = converge(context)
    assert actions(planned) == [
        ("fetch", "style.safetensors"),
        ("fetch", "base.safetensors"),
        ("place", str(host.file("loras/style.safetensors"))),
        ("place", str(host.file("vae/s.sft"))),
        ("place", str(context.home / "custom_nodes/x/base.safetensors")),
    ]
    for path in (host.file("loras/style.safetensors"), host.file("vae/s.sft")):
        assert leads_to(path) == str(host.stored(style))
        assert not os.path.isabs(os.readlink(path)), "the root may be mounted elsewhere"
    assert leads_to(context.home / "custom_nodes/x/base.safetensors") == str(host.stored(base))
    assert stat.S_IMODE(host.stored(style).stat().st_mode) == 0o444
    assert list(host.layout.partial.iterdir()) == []


def test_changes_say_what_and_nothing_that_only_a_download_tells(host: Host) -> None:
    style = host.model("style.safetensors", size=4096)
    first, second, third = look(host.context(style)).changes
    assert (first.before, first.after) == (None, f"sha256:{style['sha256'][:12]}, 4.1 kB")
    assert (second.before, second.after) == (None, f"sha256:{style['sha256'][:12]}, 4.1 kB")
    assert (third.action, third.name, third.before, third.after) == ("write", "extra_model_paths.yaml", None, "present")
    assert host.forge.requests == []


def test_a_second_look_finds_nothing_and_asks_the_network_nothing(host: Host) -> None:
    context = host.context(*(host.model(f"{number}.safetensors") for number in range(6)))
    converge(context)
    host.forget()
    assert look(context) == look(context)
    assert look(context).changes == ()
    assert host.forge.requests == []
    assert host.forge.connections == 0


def test_a_check_before_there_is_a_build_says_what_the_run_after_it_does(host: Host) -> None:
    style = host.model("style.safetensors")
    before = look(host.context(style, build=False))
    assert not host.layout.root.exists()
    assert converge(host.context(style)).changes == before.changes


def test_one_content_under_several_names_is_fetched_once(host: Host) -> None:
    one = host.model("one.safetensors")
    converge(host.context(one, {**one, "name": "two", "paths": ["$MODELS_DIR/vae/two.safetensors"]}))
    assert len(host.gets("/models/one.safetensors")) == 1
    assert leads_to(host.file("vae/two.safetensors")) == leads_to(host.file("loras/one.safetensors"))


def test_models_of_the_same_name_are_told_apart_by_the_store(host: Host) -> None:
    one = host.model("a/model.safetensors", "model.safetensors")
    two = {**host.model("b/model.safetensors", "model.safetensors"), "paths": ["$MODELS_DIR/vae/model.safetensors"]}
    planned = look(host.context(one, two))
    assert actions(planned)[:2] == [("fetch", str(host.stored(one))), ("fetch", str(host.stored(two)))]
    converge(host.context(one, two))


def test_skip_models_leaves_everything_alone(host: Host) -> None:
    assert look(host.context(host.model("style.safetensors"), skip_models=True)).changes == ()


def test_room_is_known_beforehand_less_what_a_download_has_left(host: Host) -> None:
    style = host.model("style.safetensors", size=100_000)
    host.layout.partial.mkdir(parents=True)
    (host.layout.partial / f"{style['sha256']}.part").write_bytes(bytes(40_000))
    needs = look(host.context(style)).needs
    assert sum(need.size for need in needs) == 60_000
    assert Need(host.layout.store, 60_000) in needs


def test_a_path_that_leaves_its_root_is_refused_even_if_a_lock_has_it(host: Host) -> None:
    for path in ("$MODELS_DIR/../x", "/etc/x", "$HOME/x", "$MODELS_DIR//x", "$MODELS_DIR"):
        try:
            look(host.context(entry("x", "https://models.example/x", b"x", [path])))
        except FleetError as error:
            assert "is no path below $MODELS_DIR" in str(error)
        else:
            raise AssertionError(path)
