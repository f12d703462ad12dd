"""Service accounts with a role binding each, in a project for each contender.

Whole `ansible-playbook` processes are compared, and for the second run also the tasks alone: the start of `ansible-playbook`,
about a second, is the same for all.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from clusters import path

from bench import Case
from bench.distance import at_distance
from playbooks import ANSIBLE_PLAYBOOK, environment
from world.world import World

N = 500
N_LOOP = 50  # a loop takes about a second for each object
ROUND_TRIP = 0.01  # seconds to an API server in another data centre of the region; the world's is on this machine
ROLE = "system:image-builder"
BARE_CLIENT = Path(__file__).with_name("bare_client.py")


def objects(namespace: str, count: int) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Service accounts and their role bindings."""
    accounts = [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": f"ci-{number}", "namespace": namespace}}
        for number in range(count)
    ]
    bindings = [
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "RoleBinding",
            "metadata": {"name": f"{ROLE}-ci-{number}", "namespace": namespace},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": ROLE},
            "subjects": [{"kind": "ServiceAccount", "name": f"ci-{number}", "namespace": namespace}],
        }
        for number in range(count)
    ]
    return accounts, bindings


def ours(namespace: str) -> list[dict[str, Any]]:
    names = [f"ci-{number}" for number in range(N)]
    access = [{"project": namespace, "level": "push", "service_accounts": [name]} for name in names]
    return [
        {
            "name": "Service accounts",
            "quayside.registry.service_accounts": {
                "namespace": namespace,
                "service_accounts": [{"name": name} for name in names],
            },
        },
        {"name": "Access", "quayside.registry.registry_access": {"access": access}},
    ]


class Measured(NamedTuple):
    """Seconds of the whole process and of its tasks; requests to the API server."""

    whole: float
    tasks: float
    requests: int


class Runner:
    """Runs tasks as a playbook of its own process and takes the time and the requests."""

    def __init__(self, world: World, folder: Path) -> None:
        self.world = world
        self.folder = folder
        self.env = {**environment(world.admin_kubeconfig, folder), "K8S_AUTH_KUBECONFIG": str(world.admin_kubeconfig)}

    def project(self, name: str) -> str:
        self.world.plane.admin.request("POST", "/api/v1/namespaces", {"metadata": {"name": name}})
        return name

    def run(self, tasks: list[dict[str, Any]], changes: bool, **env: str) -> Measured:
        """One run; whether it changed something must be as expected."""
        playbook = self.folder / "bench.yml"
        play = {
            "hosts": "localhost",
            "connection": "local",
            "gather_facts": False,
            "vars": {"ansible_python_interpreter": "{{ ansible_playbook_python }}"},
            "tasks": tasks,
        }
        playbook.write_text(json.dumps([play]))
        command = [str(ANSIBLE_PLAYBOOK), "-i", "localhost,", str(playbook)]
        env = {**self.env, **env, "ANSIBLE_STDOUT_CALLBACK": "ansible.posix.json"}
        mark = self.world.mark()
        started = time.monotonic()
        done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
        whole = time.monotonic() - started
        report = json.loads(done.stdout)
        if done.returncode != 0 or bool(report["stats"]["localhost"]["changed"]) != changes:
            raise RuntimeError(f"status {done.returncode}: {done.stdout[-2000:]}")
        spans = [task["task"]["duration"] for play in report["plays"] for task in play["tasks"]]
        times = [[datetime.fromisoformat(span[end]) for end in ("start", "end")] for span in spans]
        seconds = sum((end - start).total_seconds() for start, end in times)
        return Measured(whole, seconds, len(self.world.requests(mark)))

    def best(self, tasks: list[dict[str, Any]], times: int) -> Measured:
        """The shortest of several runs that change nothing."""
        return min(self.run(tasks, changes=False) for _number in range(times))

    def far(self, tasks: list[dict[str, Any]]) -> float:
        """Seconds of a run that changes nothing on an API server that is `ROUND_TRIP` away."""
        host, port = self.world.plane.address, self.world.ports.api
        with at_distance(host, port, ROUND_TRIP) as proxy:
            kubeconfig = yaml.safe_load(self.world.admin_kubeconfig.read_text())
            kubeconfig["clusters"][0]["cluster"]["server"] = f"https://localhost:{proxy}"
            file = self.folder / "far.kubeconfig"
            file.touch(0o600)
            file.write_text(json.dumps(kubeconfig))
            return self.run(tasks, changes=False, KUBECONFIG=str(file), K8S_AUTH_KUBECONFIG=str(file)).whole


def measure(world: World, folder: Path) -> list[Case]:
    runner = Runner(world, folder)
    mine = ours(runner.project("bench-ours"))
    first = runner.run(mine, changes=True)
    second = runner.best(mine, 3)
    far = runner.far(mine)

    accounts, bindings = objects(runner.project("bench-loop"), N_LOOP)
    loop = [{"name": "Loop", "kubernetes.core.k8s": {"definition": "{{ item }}"}, "loop": accounts + bindings}]
    loop[0]["loop_control"] = {"label": "{{ item.metadata.name }}"}
    loop_first = runner.run(loop, changes=True)
    loop_second = runner.best(loop, 1)

    accounts, bindings = objects(runner.project("bench-list"), N)
    listed = [{"name": "List", "kubernetes.core.k8s": {"definition": accounts + bindings}}]
    list_first = runner.run(listed, changes=True)
    list_second = runner.best(listed, 2)
    list_far = runner.far(listed)

    accounts, bindings = objects(runner.project("bench-bare"), N)
    bare = []
    for kind, items in (("serviceaccounts", accounts), ("rolebindings", bindings)):
        file = folder / f"{kind}.json"
        file.write_text(json.dumps([["POST", path(kind, "bench-bare"), item] for item in items]))
        command = [sys.executable, str(BARE_CLIENT), str(world.admin_kubeconfig), str(file)]
        bare.append({"name": f"Bare {kind}", "ansible.builtin.command": {"argv": command}})
    bare_first = runner.run(bare, changes=True)

    each, each_of_loop = 2 * N, 2 * N_LOOP
    k8s_loop = f"a loop over kubernetes.core.k8s, on {N_LOOP} each"
    k8s_list = "one kubernetes.core.k8s task with a list"
    return [
        Case(
            "second run, per object",
            second.whole / each,
            loop_second.whole / each_of_loop,
            k8s_loop,
            second.requests,
            N,
        ),
        Case("second run", second.whole, list_second.whole, k8s_list, second.requests, N),
        Case("second run, tasks alone", second.tasks, list_second.tasks, k8s_list, second.requests, N),
        Case(f"second run, {ROUND_TRIP * 1000:.0f} ms away", far, list_far, k8s_list, second.requests, N),
        Case("first run, per object", first.whole / each, loop_first.whole / each_of_loop, k8s_loop, first.requests, N),
        Case("first run", first.whole, list_first.whole, k8s_list, first.requests, N),
        Case(
            "first run, tasks alone",
            first.tasks,
            bare_first.tasks,
            "a client of 16 threads that only writes",
            first.requests,
            N,
        ),
    ]
