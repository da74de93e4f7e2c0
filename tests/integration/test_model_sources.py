# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Models from the spec to the machine: gated, private, and such as nobody says the sha256 of."""

from __future__ import annotations

import dataclasses
import json
import shutil
import typing as t

from tests.support.processes import command_lines
from tests.support.s3 import ACCESS_KEY, SECRET_KEY, s3_server

if t.TYPE_CHECKING:
    from tests.integration.conftest import World
    from tests.support.forge.models import Model
    from tests.support.forge.web import LoggedRequest
    from tests.support.playbook import Playbooks

SIZE = 11_000_000


def add(world: World, source: str, **more: t.Any) -> None:
    """One more model in the spec."""
    entry = {"source": source, "target_path": "$MODELS_DIR/loras/late.safetensors", **more}
    world.spec["models"] = [*world.spec["models"], entry]
    world.write()


def locked(world: World) -> dict[str, t.Any]:
    """The last model of the lock."""
    lock: dict[str, t.Any] = json.loads((world.directory / "versions/world.lock.json").read_text())
    model: dict[str, t.Any] = lock["models"][-1]
    return model


def reads(world: World, path: str) -> list[LoggedRequest]:
    """Requests for the bytes of a path, but those for one byte."""
    return [
        request
        for request in world.forge.requests
        if request.method == "GET" and path in request.path and request.headers.get("range") != "bytes=0-0"
    ]


def with_environment(world: World, **variables: str) -> Playbooks:
    playbooks = world.playbooks
    return dataclasses.replace(playbooks, environment={**playbooks.environment, **variables})


def test_a_host_reads_what_nobody_says_the_sha256_of(world: World) -> None:
    model = world.forge.model("late.safetensors", size=SIZE)
    add(world, model.url)
    refused = world.playbooks.run("realize")
    assert refused.returncode == 2
    assert "/models/1/source" in refused.output
    assert "nobody says its sha256" in refused.output
    assert "comfy_lock_models=download" in refused.output
    assert "comfy_lock_models=<host>" in refused.output
    assert not world.root.exists()
    world.playbooks.succeed("lock", comfy_lock_models="machine")
    assert (world.root / "store/sha256" / model.sha256[:2] / model.sha256).stat().st_size == SIZE
    assert_placed(world, model)


def test_the_first_host_fixes_the_sha256_where_the_policy_says_so(world: World) -> None:
    model = world.forge.model("late.safetensors", size=SIZE)
    world.spec |= {"schema_version": 3, "policy": {"unhashed": "first-use"}}
    add(world, model.url)
    inventory = json.loads((world.directory / "hosts.json").read_text())
    second = world.directory / "second"
    inventory["all"]["hosts"]["second"] = {"comfy_root": str(second)}
    (world.directory / "hosts.json").write_text(json.dumps(inventory))
    world.playbooks.succeed("realize")
    assert locked(world)["sha256"] == model.sha256
    for root in (world.root, second):
        assert (root / "models/loras/late.safetensors").read_bytes() == model.content.data
    assert len(reads(world, "late")) == 2, "one for each host"
    # On another day the source gives other bytes: no host that comes late may take them.
    world.forge.model("late.safetensors", size=SIZE, seed="other bytes")
    shutil.rmtree(second)
    refused = world.playbooks.run("realize")
    assert refused.returncode == 2
    assert f"the lock says {model.sha256}" in refused.output
    assert refused.recap["machine"]["changed"] == refused.recap["machine"]["failed"] == 0
    assert not (second / "models/loras/late.safetensors").exists()
    assert not list((second / "store/sha256").rglob(f"*{locked(world)['sha256']}"))


def assert_placed(world: World, model: Model) -> None:
    """Realize gives the host its bytes, which were asked for once."""
    world.playbooks.succeed("realize")
    assert locked(world)["sha256"] == model.sha256
    assert (world.root / "models/loras/late.safetensors").read_bytes() == model.content.data
    assert len(reads(world, "late")) == 1
    assert not list((world.root / "store/partial").iterdir())


def test_a_machine_has_it_already_under_another_name(world: World) -> None:
    world.lock()
    old = world.directory / "old install" / "renamed.bin"
    old.parent.mkdir()
    old.write_bytes(world.checkpoint.content.data)
    world.forge.remove_model("checkpoint.safetensors")
    paths = {"comfy_model_search_paths": ["/none/here", str(old.parent)]}
    foretold = world.playbooks.succeed("realize", "--check", **paths)
    done = world.playbooks.succeed("realize", **paths)
    assert foretold.changed == done.changed
    assert (world.root / "models/checkpoints/one.safetensors").read_bytes() == old.read_bytes()
    assert reads(world, "checkpoint") == []


def test_a_gated_repository(world: World) -> None:
    repository = world.forge.hub("org/gated", gated_token="hf_rightful")
    repository.unknown_tokens.add("hf_mistyped")
    file = repository.file("late.safetensors", size=300_000)
    repository.commit()
    add(world, "hf://org/gated/late.safetensors")
    variables = {"comfy_hf_endpoint": world.forge.hub_url}
    rightful = with_environment(world, HF_TOKEN="hf_rightful")
    assert "hf_rightful" not in rightful.succeed("lock", "-vvv", **variables).output
    refused = with_environment(world, HF_TOKEN="hf_mistyped").run("realize", "-vvv", **variables)
    assert refused.returncode == 2
    assert "The token was not accepted: it is mistyped, expired or revoked" in refused.output
    assert "hf_mistyped" not in refused.output
    # Asked for before anything changes.
    assert not (world.root / "builds").exists()
    # Slow enough to be seen at work.
    world.forge.fault("rate", "/blob/*", rate=300_000)
    with command_lines() as lines:
        assert "hf_rightful" not in rightful.succeed("realize", "-vvv", **variables).output
    assert [line for line in lines if b"comfy_hf_endpoint" in line], "they were seen"
    assert not [line for line in lines if b"hf_rightful" in line]
    assert locked(world)["sha256"] == file.sha256
    written = [path for path in world.directory.rglob("*") if path.is_file() and "forge" not in path.parts]
    assert not [path for path in written if b"hf_rightful" in path.read_bytes()]
    carried = {request.port for request in world.forge.requests if "hf_" in request.headers.get("authorization", "")}
    assert carried == {"main"}
    assert reads(world, "/blob/")


def test_a_private_bucket(world: World) -> None:
    content = world.forge.model("unused.safetensors", size=SIZE).content.data
    with s3_server() as (url, client):
        client.create_bucket(Bucket="models")
        client.put_object(Bucket="models", Key="a/late.safetensors", Body=content)
        add(world, f"s3://models/a/late.safetensors?endpoint={url}")
        playbooks = with_environment(
            world, AWS_ACCESS_KEY_ID=ACCESS_KEY, AWS_SECRET_ACCESS_KEY=SECRET_KEY, AWS_ENDPOINT_URL_S3=url
        )
        done = playbooks.succeed("lock", comfy_lock_models="download")
        assert "late.safetensors: read 11.0 MB of 11.0 MB for its sha256" in done.output
        assert locked(world)["url"] == f"{url}/models/a/late.safetensors"
        assert locked(world)["size"] == SIZE
        done = playbooks.succeed("realize", "-vvv")
    assert SECRET_KEY not in done.output
    assert (world.root / "models/loras/late.safetensors").read_bytes() == content
