"""Promotion between two real registries: ours as a whole `ansible-playbook` process, beside skopeo as people run it."""

from __future__ import annotations

import contextlib
import shlex
import subprocess
import time
from pathlib import Path
from typing import Any

from registries import Distribution, delayed

from bench import Case
from bench.bench_service_accounts import Runner
from world.images import tiny_image
from world.world import World

N = 300
N_FIRST = 100
N_LOOP = 50  # a task loop takes long for each image
N_DELAYED = 20  # so does a shell's loop on a slow line
PARALLEL = 4
DELAY = 0.05
COPY = ["skopeo", "copy", "-q", "--all", "--preserve-digests", "--src-tls-verify=false", "--dest-tls-verify=false"]
XARGS = ["xargs", "-P", str(PARALLEL), "-d", "\n", "-n", "1"]
INSPECT = ["skopeo", "inspect", "--tls-verify=false", "--format", "{{.Digest}}"]


def name(number: int) -> str:
    return f"team/app-{number}:1"


def ours(source: str, target: str, count: int) -> list[dict[str, Any]]:
    images = [{"source": f"{source}/{name(n)}", "destinations": [f"{target}/{name(n)}"]} for n in range(count)]
    access = [{"host": host, "insecure": True} for host in (source, target)]
    promotion = {"images": images, "registries": access, "parallel": PARALLEL}
    return [{"name": "Promote", "quayside.registry.image_promotion": promotion}]


def shell(commands: list[list[str]], at_once: bool = False) -> float:
    """Seconds of the commands in a shell's loop, or several at a time."""
    lines = "\n".join(shlex.join(command) for command in commands)
    started = time.monotonic()
    run = [*XARGS, "sh", "-c", 'eval "$0"'] if at_once else ["sh", "-e"]
    subprocess.run(run, input=lines, text=True, check=True, stdout=subprocess.DEVNULL)
    return time.monotonic() - started


def copies(source: str, target: str, count: int) -> list[list[str]]:
    return [[*COPY, f"docker://{source}/{name(n)}", f"docker://{target}/{name(n)}"] for n in range(count)]


def inspects(source: str, target: str, count: int) -> list[list[str]]:
    return [[*INSPECT, f"docker://{host}/{name(n)}"] for n in range(count) for host in (source, target)]


def bare(folder: Path, commands: list[list[str]]) -> list[dict[str, Any]]:
    """One task that runs the commands, so many at a time, and looks at nothing."""
    script = folder / "commands"
    script.write_text("\n".join(shlex.join(command) for command in commands))
    argv = [*XARGS, "-a", str(script), "sh", "-c", 'eval "$0"']
    return [{"name": "Copy", "ansible.builtin.command": {"argv": argv}}]


def measure(world: World, folder: Path) -> list[Case]:
    runner = Runner(world, folder)
    cases = []
    with contextlib.ExitStack() as stack:
        source, target, other = (
            stack.enter_context(Distribution(folder / kind)) for kind in ("source", "target", "other")
        )
        local = [tiny_image(folder / f"image-{n}", text=str(n)) for n in range(N)]
        shell([[*COPY, image, f"docker://{source.host}/{name(n)}"] for n, image in enumerate(local)], at_once=True)

        first = runner.run(ours(source.host, target.host, N_FIRST), changes=True)
        plain = runner.run(bare(folder, copies(source.host, other.host, N_FIRST)), changes=True)
        what = f"a task that runs the same skopeo commands, {PARALLEL} at a time"
        cases.append(Case("first copy", first.whole, plain.whole, what, 0, N_FIRST))

        tasks = ours(source.host, target.host, N)
        runner.run(tasks, changes=True)
        marks = source.mark(), target.mark()
        second = runner.best(tasks, 1).whole
        requests = len(source.requests(marks[0])) + len(target.requests(marks[1]))
        second = min(second, runner.best(tasks, 2).whole)
        looped = shell(copies(source.host, target.host, N))
        cases.append(Case("promoted already", second, looped, "a shell loop of skopeo copy", requests, N))
        looped = shell(inspects(source.host, target.host, N))
        cases.append(Case("promoted already", second, looped, "skopeo inspect of both sides", requests, N))
        loop = {"name": "Loop", "ansible.builtin.command": {"argv": "{{ item }}"}, "register": "copied",
                "changed_when": False, "loop": copies(source.host, target.host, N_LOOP)}  # fmt: skip
        task_loop = runner.best([loop], 1).whole
        what = f"a task loop over skopeo copy, on {N_LOOP}"
        cases.append(Case("promoted already, per image", second / N, task_loop / N_LOOP, what, requests, N))

        far = [stack.enter_context(delayed(registry.host, DELAY, folder)) for registry in (source, target)]
        slow = runner.best(ours(far[0], far[1], N), 2).whole
        what = f"a shell loop of skopeo copy, on {N_DELAYED}"
        each = shell(copies(far[0], far[1], N_DELAYED)) / N_DELAYED
        cases.append(Case("50 ms a round trip, per image", slow / N, each, what, requests, N))
    return cases
