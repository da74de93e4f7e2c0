# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The numbers of models, each against a peer in the same run.

- 1 GB over a fast loopback link against ``curl``, in bytes per second; and the processor's seconds for it.
- Connections that the server limits to 4 MB/s each against ``aria2c -x8``.
- 16 files of 16 MB against ``ansible.builtin.get_url`` in a loop, as playbooks.
- A look at 100 GB in 100 sparse files of which nothing was touched.
- A deep look against ``openssl dgst`` on all cores.
- With ``kills`` as an argument: 200 kills at random moments of a set of 1 GB (some minutes).

``make benchmark`` runs it with the others. Alone, after ``make setup-test``, with the names of what is wanted
(``fast``, ``slow``, ``many``, ``untouched``, ``deep``, ``kills``) or nothing for all but the kills::

    PYTHONPATH=collections .venv/bin/python -m benchmarks.models fast slow

It needs nginx, curl, aria2c and openssl. What is fetched goes to ``$BENCH_DIR`` (default: ``/dev/shm`` where that is,
so that no disk is measured).
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import os
import pathlib
import random
import resource
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import typing as t

from ansible_collections.comfyops.fleet.plugins.module_utils.host.context import MODEL_CONNECTIONS, Context, Settings
from ansible_collections.comfyops.fleet.plugins.module_utils.host.http import Access
from ansible_collections.comfyops.fleet.plugins.module_utils.host.layout import Layout
from ansible_collections.comfyops.fleet.plugins.module_utils.lock.document import Model, read_lock
from ansible_collections.comfyops.fleet.plugins.module_utils.models import receipt
from ansible_collections.comfyops.fleet.plugins.module_utils.models.apply import apply
from ansible_collections.comfyops.fleet.plugins.module_utils.models.connections import Connections
from ansible_collections.comfyops.fleet.plugins.module_utils.models.observe import observe
from ansible_collections.comfyops.fleet.plugins.module_utils.models.part import Part
from ansible_collections.comfyops.fleet.plugins.module_utils.models.part_journal import bytes_held
from ansible_collections.comfyops.fleet.plugins.module_utils.models.plan import plan
from ansible_collections.comfyops.fleet.plugins.module_utils.models.receipt import Receipts
from ansible_collections.comfyops.fleet.plugins.module_utils.models.transfer import Transfer
from ansible_collections.comfyops.fleet.plugins.module_utils.models.wanted import blob
from tests.support import locks
from tests.support.nginx import Nginx, nginx

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MB = 1_000_000
PROGRAMS = ("nginx", "curl", "aria2c", "openssl")
# Where servers are, which the PATH of a user may not have.
SEARCHED = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin"
ROUNDS = 5
KILLS = 200
CHECKOUT = pathlib.Path(__file__).resolve().parents[1]
SERVERS = """
server {{
  listen {{address}}; root {files};
  location /slow/ {{ alias {files}/; limit_rate {rate}; }}
}}
"""


@dataclasses.dataclass(frozen=True)
class Server:
    """nginx over a directory: ``/<name>`` as fast as it can, ``/slow/<name>`` at a rate for each connection."""

    nginx: Nginx
    directory: pathlib.Path

    @property
    def url(self) -> str:
        """Where it is."""
        return self.nginx.url

    def file(self, name: str, size: int) -> str:
        """Put a file there; gives its sha256."""
        path, chance, digest = self.directory / name, random.Random(name), hashlib.sha256()
        block = chance.randbytes(MB)
        with path.open("wb") as stream:
            for number in range(-(-size // MB)):
                piece = (number.to_bytes(8, "little") + block[8:])[: size - number * MB]
                digest.update(piece)
                stream.write(piece)
        return digest.hexdigest()

    def sent(self) -> int:
        """Bytes of bodies that it has sent so far."""
        return sum(size for _path, _status, size in self.nginx.requests())


@contextlib.contextmanager
def served(directory: pathlib.Path, rate: str = "4m") -> Iterator[Server]:
    """Runs nginx for as long as this lasts."""
    files = directory / "files"
    files.mkdir(parents=True)
    with nginx(directory, SERVERS.format(files=files, rate=rate)) as server:
        yield Server(server, files)


@dataclasses.dataclass(frozen=True)
class Cost:
    """Seconds of the clock, and of the processor."""

    seconds: float
    processor: float


def cost(work: Callable[[], object], who: int = resource.RUSAGE_SELF) -> Cost:
    """What a piece of work takes."""
    before, begin = resource.getrusage(who), time.monotonic()
    work()
    after = resource.getrusage(who)
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Cost(time.monotonic() - begin, spent)


def program(*command: str) -> Cost:
    """What a program takes that must succeed."""
    return cost(lambda: subprocess.run(command, check=True, stdout=subprocess.DEVNULL), resource.RUSAGE_CHILDREN)


def ours(url: str, sha256: str, size: int, place: pathlib.Path, most: int = MODEL_CONNECTIONS) -> Cost:
    """Fetch with our engine, hashed and put at its place."""
    model = Model(place.name, "", url, sha256, size, (), optional=False)

    def fetch() -> None:
        with Connections(most) as budget, Part(place.parent / "parts", sha256) as part:
            Transfer(model, part, Access(), threading.Event(), 5, budget).run(url)
            part.commit(place)

    found = cost(fetch)
    place.unlink()
    return found


def fast(server: Server, target: pathlib.Path) -> None:
    """1 GB over a link that is as fast as this machine."""
    size = 1000 * MB
    url, sha256 = f"{server.url}/big", server.file("big", size)
    mine, theirs = [], []
    for _round in range(ROUNDS):
        theirs.append(program("curl", "-sS", "-o", str(target / "curl"), url))
        (target / "curl").unlink()
        mine.append(ours(url, sha256, size, target / "ours"))
    us, them = statistics.median(each.seconds for each in mine), statistics.median(each.seconds for each in theirs)
    ratios = statistics.median(other.seconds / each.seconds for each, other in zip(mine, theirs, strict=True))
    print(f"1 GB over loopback: {us:.2f} s, hashed, against curl's {them:.2f} s: {ratios:.0%} of it (to reach: 95 %)")
    processor = statistics.median(each.processor for each in mine)
    others = statistics.median(each.processor for each in theirs)
    print(f"processor: {processor:.2f} s per GB, sha256 included, against curl's {others:.2f} s")
    hashing = program("openssl", "dgst", "-sha256", str(server.directory / "big")).processor
    both = others + hashing
    print(f"processor: curl, and openssl dgst after it: {both:.2f} s, ratio {processor / both:.2f}")


def slow(server: Server, target: pathlib.Path) -> None:
    """A server that limits each connection."""
    size = 400 * MB
    url, sha256 = f"{server.url}/slow/medium", server.file("medium", size)
    for most in (8, MODEL_CONNECTIONS):
        theirs = program(
            "aria2c", "-q", "-x8", "-s8", "-k1M", "--file-allocation=none", "-d", str(target), "-o", "aria", url
        )
        (target / "aria").unlink()
        before = server.sent()
        mine = ours(url, sha256, size, target / "ours", most)
        time.sleep(1)
        more = (server.sent() - before) / size - 1
        compared = f"{mine.seconds:.1f} s against aria2c -x8's {theirs.seconds:.1f} s"
        print(
            f"400 MB, 4 MB/s a connection, at most {most}: {compared}: {theirs.seconds / mine.seconds:.2f} x as fast "
            f"(to reach: 1); {more:.1%} fetched twice"
        )


def host(directory: pathlib.Path, models: list[locks.Document], **settings: t.Any) -> Context:
    """A host of these models."""
    lock = read_lock(locks.lock(locks.checkout("https://git.example/core", "1" * 40), models=models))
    context = Context(lock, lock.targets["default"], Layout(directory), Settings(**settings))
    context.home.mkdir(parents=True, exist_ok=True)
    shutil.copy(CHECKOUT / "tests/support/forge/content/core/folder_paths.py", context.home)
    return context


def entry(name: str, url: str, sha256: str, size: int) -> locks.Document:
    """A model of a lock."""
    paths = [f"$MODELS_DIR/loras/{name}"]
    return {"name": name, "source": url, "url": url, "sha256": sha256, "size": size, "optional": False, "paths": paths}


def many(server: Server, target: pathlib.Path) -> None:
    """Files of middle size, as two playbooks fetch them."""
    size = 16 * MB
    sums = {f"m{number}.bin": server.file(f"m{number}.bin", size) for number in range(16)}
    context = host(target / "root", [entry(name, f"{server.url}/{name}", sums[name], size) for name in sums])
    get_url = {
        "ansible.builtin.get_url": {
            "url": f"{server.url}/{{{{ item.key }}}}",
            "dest": f"{target}/peer/{{{{ item.key }}}}",
            "checksum": "sha256:{{ item.value }}",
        },
        "loop": "{{ sums | dict2items }}",
        "loop_control": {"label": "{{ item.key }}"},
    }
    task = {"comfyops.fleet.comfy_models": {"lock": dict(context.lock.document), "root": str(context.layout.root)}}
    mine, theirs = [], []
    for _round in range(3):
        shutil.rmtree(target / "peer", ignore_errors=True)
        (target / "peer").mkdir()
        theirs.append(playbook(target, get_url, sums))
        for name in ("store", "models", "state"):
            shutil.rmtree(context.layout.root / name, ignore_errors=True)
        mine.append(playbook(target, task, sums))
    us, them = statistics.median(mine), statistics.median(theirs)
    print(f"16 files of 16 MB: {us:.1f} s against get_url's {them:.1f} s: {them / us:.1f} x as fast")


def playbook(target: pathlib.Path, task: dict[str, t.Any], sums: dict[str, str]) -> float:
    """Seconds of a playbook with one task on this machine."""
    variables = {"ansible_python_interpreter": sys.executable, "sums": sums}
    play = {"hosts": "localhost", "connection": "local", "gather_facts": False, "vars": variables, "tasks": [task]}
    path = target / "play.yml"
    path.write_text(json.dumps([play]))
    ansible = pathlib.Path(sys.executable).with_name("ansible-playbook")
    environment = {**os.environ, "ANSIBLE_CONFIG": str(CHECKOUT / "ansible.cfg")}
    begin = time.monotonic()
    command = [str(ansible), "-i", "localhost,", str(path)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=environment, cwd=CHECKOUT)
    return time.monotonic() - begin


def untouched(_server: Server, target: pathlib.Path) -> None:
    """A look at 100 GB of which nothing was touched since it was read."""
    models = [entry(f"s{number}.bin", "https://models.example/s", f"{number:064x}", 1000 * MB) for number in range(100)]
    context = host(target / "sparse", models)
    receipts = Receipts(context.layout, deep=False)
    for model in models:
        path = blob(context.layout, model["sha256"])
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as stream:
            stream.truncate(1000 * MB)
        receipts.remember(str(path), model["sha256"])
    receipts.save()
    apply(context, plan(context, observe(context)))
    receipt._read_here.clear()
    seconds = statistics.median(cost(lambda: look(context)).seconds for _round in range(ROUNDS))
    print(f"a look at 100 GB in 100 files: {1000 * seconds:.0f} ms (to reach: under 1 s)")


def look(context: Context) -> None:
    """A look that must find nothing to do."""
    if plan(context, observe(context)).changes:
        raise RuntimeError("there is something to do")


def deep(server: Server, target: pathlib.Path) -> None:
    """Every byte of 2 GB is read, on all cores."""
    count, size = 8, 250 * MB
    models = []
    for number in range(count):
        sha256 = server.file(f"deep{number}", size)
        models.append(entry(f"deep{number}", f"{server.url}/deep{number}", sha256, size))
    context = host(target / "deep", models)
    apply(context, plan(context, observe(context)))
    files = [str(blob(context.layout, model["sha256"])) for model in models]
    checked = host(target / "deep", models, deep=True)
    mine, theirs = [], []
    for _round in range(ROUNDS):
        mine.append(cost(lambda: deep_look(checked)).seconds)
        command = ["xargs", "-n1", f"-P{os.cpu_count()}", "openssl", "dgst", "-sha256"]
        begin = time.monotonic()
        subprocess.run(command, input="\n".join(files), text=True, check=True, stdout=subprocess.DEVNULL)
        theirs.append(time.monotonic() - begin)
    us, them = statistics.median(mine), statistics.median(theirs)
    ratio = statistics.median(other / each for each, other in zip(mine, theirs, strict=True))
    print(f"a deep look at 2 GB: {us:.2f} s against openssl's {them:.2f} s: {ratio:.0%} of its speed (to reach: 90 %)")


def deep_look(context: Context) -> None:
    """A look that believes nothing which was read before."""
    receipt._read_here.clear()
    look(context)


def kills(server: Server, target: pathlib.Path) -> None:
    """Sets of 1 GB, killed at most twenty times each on their way.

    A run is a converge that is killed, and the next one, which goes on. What of it is fetched twice is what the server
    has sent for it by the kill and the host has not kept.
    """
    sizes = [400 * MB, 300 * MB, 200 * MB, 60 * MB, 40 * MB]
    models = [
        entry(f"k{number}", f"{server.url}/slow/k{number}", server.file(f"k{number}", size), size)
        for number, size in enumerate(sizes)
    ]
    whole, chance = sum(sizes), random.Random()
    again: list[float] = []
    sets: list[float] = []
    while len(again) < KILLS:
        context = host(target / f"kills{len(sets)}", models)
        begin = sent = server.sent()
        for _kill in range(min(20, KILLS - len(again))):
            before = kept(context)
            if not one_kill(context, target, chance.uniform(0.5, 3.0)):
                break
            check_visible(context)
            # nginx says what it has sent once it has noticed.
            time.sleep(1)
            again.append((server.sent() - sent - (kept(context) - before)) / whole)
            sent = server.sent()
        one_kill(context, target, None)
        check_visible(context)
        time.sleep(1)
        sets.append((server.sent() - begin) / whole - 1)
        if len(list((context.layout.models / "loras").iterdir())) != len(models):
            raise RuntimeError("not all models are there")
        shutil.rmtree(context.layout.root)
    print(f"{len(again)} runs of 1 GB, each killed at a random moment: nothing wrong to be seen")
    most = statistics.quantiles(again, n=20)[-1]
    print(f"fetched twice: {statistics.median(again):.2%} of the set in the median run (to reach: at most 1 %)")
    print(f"fetched twice: at most {most:.2%} in 95 % of the runs; {statistics.median(sets):.2%} by all kills of a set")


def kept(context: Context) -> int:
    """Bytes of the models that the host has, whole or in parts."""
    store = [blob(context.layout, model.sha256) for model in context.lock.models]
    whole = sum(path.stat().st_size for path in store if path.exists())
    return whole + sum(bytes_held(context.layout.partial, model.sha256) for model in context.lock.models)


def one_kill(context: Context, target: pathlib.Path, seconds: float | None) -> bool:
    """Converge in another process and kill it after so long; False when it had ended before."""
    lock = target / "lock.json"
    lock.write_text(json.dumps(context.lock.document))
    command = [sys.executable, "-m", "tests.unit.models.converging", str(lock), str(context.layout.root)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, start_new_session=True) as process:
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
    if process.returncode not in (0, -signal.SIGKILL):
        raise RuntimeError(f"the converge ended with {process.returncode}")
    return process.returncode == -signal.SIGKILL


def check_visible(context: Context) -> None:
    """Every file that ComfyUI would see has its right bytes."""
    right = {model.name: model.sha256 for model in context.lock.models}
    for path in (context.layout.models / "loras").glob("*"):
        with path.open("rb") as stream:
            if hashlib.file_digest(stream, "sha256").hexdigest() != right[path.name]:
                raise RuntimeError(f"{path} is wrong")


WORKS: dict[str, Callable[[Server, pathlib.Path], None]] = {
    "fast": fast,
    "slow": slow,
    "many": many,
    "untouched": untouched,
    "deep": deep,
    "kills": kills,
}


def check(chosen: list[str]) -> None:
    """End with a message where a program or what was named is not there."""
    missing = [program for program in PROGRAMS if shutil.which(program, path=SEARCHED) is None]
    if missing:
        sys.exit(f"not installed: {', '.join(missing)} (Debian's packages: nginx-light, curl, aria2, openssl)")
    unknown = [name for name in chosen if name not in WORKS]
    if unknown:
        sys.exit(f"nothing is called {', '.join(unknown)}; there are {', '.join(WORKS)}")


def main() -> None:
    """Measure and print."""
    chosen = sys.argv[1:] or [name for name in WORKS if name != "kills"]
    check(chosen)
    given = os.environ.get("BENCH_DIR") or ("/dev/shm" if os.path.isdir("/dev/shm") else None)
    target = pathlib.Path(tempfile.mkdtemp(prefix="comfy-bench.", dir=given))
    directory = pathlib.Path(tempfile.mkdtemp(prefix="comfy-serve."))
    try:
        with served(directory) as server:
            print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, into {target.parent}")
            for name in chosen:
                WORKS[name](server, target)
    finally:
        for each in (target, directory):
            shutil.rmtree(each, ignore_errors=True)


if __name__ == "__main__":
    main()
