"""Service accounts with a role binding each: everybody as a whole `ansible-playbook` process, in a project of their own."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

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


class Runner:
    """Runs tasks as a playbook of its own process and takes the time and the requests."""

    def __init__(self, world: World, folder: Path) -> None:
        self.world = world
        self.folder = folder
        self.env = {**environment(world.admin_kubeconfig, folder), "K8S_AUTH_KUBECONFIG": str(world.admin_kubeconfig)}

    def project(self, name: str) -> str:
        self.world.plane.admin.request("POST", "/api/v1/namespaces", {"metadata": {"name": name}})
        return name

    def run(self, tasks: list[dict[str, Any]], changes: bool, **env: str) -> tuple[float, int]:
        """Seconds and requests; whether it changed something must be as expected."""
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
        mark = self.world.mark()
        started = time.monotonic()
        done = subprocess.run(command, env={**self.env, **env}, capture_output=True, text=True, check=False)
        seconds = time.monotonic() - started
        changed = bool(re.search(r"changed=[1-9]", done.stdout))
        if done.returncode != 0 or changed != changes:
            raise RuntimeError(f"status {done.returncode}, changed {changed}: {done.stdout[-2000:]}")
        return seconds, len(self.world.requests(mark))

    def best(self, tasks: list[dict[str, Any]], times: int) -> tuple[float, int]:
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
            return self.run(tasks, changes=False, KUBECONFIG=str(file), K8S_AUTH_KUBECONFIG=str(file))[0]


def measure(world: World, folder: Path) -> list[Case]:
    runner = Runner(world, folder)
    mine = ours(runner.project("bench-ours"))
    first, first_requests = runner.run(mine, changes=True)
    second, second_requests = runner.best(mine, 3)
    far = runner.far(mine)

    accounts, bindings = objects(runner.project("bench-loop"), N_LOOP)
    loop = [{"name": "Loop", "kubernetes.core.k8s": {"definition": "{{ item }}"}, "loop": accounts + bindings}]
    loop[0]["loop_control"] = {"label": "{{ item.metadata.name }}"}
    loop_first, _requests = runner.run(loop, changes=True)
    loop_second, _requests = runner.best(loop, 1)

    accounts, bindings = objects(runner.project("bench-list"), N)
    listed = [{"name": "List", "kubernetes.core.k8s": {"definition": accounts + bindings}}]
    list_first, _requests = runner.run(listed, changes=True)
    list_second, _requests = runner.best(listed, 2)
    list_far = runner.far(listed)

    accounts, bindings = objects(runner.project("bench-bare"), N)
    bare = []
    for kind, items in (("serviceaccounts", accounts), ("rolebindings", bindings)):
        file = folder / f"{kind}.json"
        file.write_text(json.dumps([[path(kind, "bench-bare"), item] for item in items]))
        command = [sys.executable, str(BARE_CLIENT), str(world.admin_kubeconfig), str(file)]
        bare.append({"name": f"Bare {kind}", "ansible.builtin.command": {"argv": command}})
    bare_first, _requests = runner.run(bare, changes=True)

    each, each_of_loop = 2 * N, 2 * N_LOOP
    k8s_loop = f"a loop over kubernetes.core.k8s, on {N_LOOP} each"
    k8s_list = "one kubernetes.core.k8s task with a list"
    return [
        Case("second run, per object", second / each, loop_second / each_of_loop, k8s_loop, second_requests, N),
        Case("second run", second, list_second, k8s_list, second_requests, N),
        Case(f"second run, {ROUND_TRIP * 1000:.0f} ms away", far, list_far, k8s_list, second_requests, N),
        Case("first run, per object", first / each, loop_first / each_of_loop, k8s_loop, first_requests, N),
        Case("first run", first, list_first, k8s_list, first_requests, N),
        Case("first run, bare", first, bare_first, "a client of 16 threads that only writes", first_requests, N),
    ]
