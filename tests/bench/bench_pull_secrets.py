"""A pull secret in every project of a fleet, linked to the account that its pods run as: 300 Secrets, 300 links."""

from __future__ import annotations

import base64
import json
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from clusters import path

from bench import Case
from bench.bench_service_accounts import BARE_CLIENT, Runner
from world.world import World

N = 300
TYPE = "kubernetes.io/dockerconfigjson"
LOGIN = {"registry": "registry.example.com", "username": "robot", "password": "s3cret"}


def projects(world: World, kind: str) -> list[str]:
    """Projects of a contender, each with its service account."""
    names = [f"bench-{kind}-{number}" for number in range(N)]

    def create(name: str) -> None:
        world.plane.admin.request("POST", "/api/v1/namespaces", {"metadata": {"name": name}})

    with ThreadPoolExecutor(16) as threads:
        list(threads.map(create, names))
    accounts = "/api/v1/serviceaccounts?fieldSelector=metadata.name=default"
    world.wait_for(
        lambda: (
            set(names)
            <= {item["metadata"]["namespace"] for item in world.plane.admin.request("GET", accounts)["items"]}
        ),
        "the projects' service accounts",
        120,
    )
    return names


def ours(names: list[str]) -> list[dict[str, Any]]:
    wanted = {"name": "pull", "namespaces": names, "registries": [LOGIN], "pull": ["default"]}
    options = {"pull_secrets": [wanted], "verify": False}  # example.com has no registry to prove it against
    return [{"name": "Pull secrets", "quayside.registry.pull_secrets": options}]


def secret(namespace: str) -> dict[str, Any]:
    auth = base64.b64encode(f"{LOGIN['username']}:{LOGIN['password']}".encode()).decode()
    config = json.dumps({"auths": {LOGIN["registry"]: {"auth": auth}}})
    metadata = {"name": "pull", "namespace": namespace}
    data = {".dockerconfigjson": base64.b64encode(config.encode()).decode()}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": TYPE, "data": data}


def measure(world: World, folder: Path) -> list[Case]:
    runner = Runner(world, folder)
    mine = ours(projects(world, "pull-ours"))
    first = runner.run(mine, changes=True)
    second = runner.best(mine, 3)

    names = projects(world, "pull-bare")
    writes: list[tuple[str, str, dict[str, Any]]] = [("POST", path("secrets", name), secret(name)) for name in names]
    link = {"imagePullSecrets": [{"name": "pull"}]}
    writes += [("PATCH", path("serviceaccounts", name, "default"), link) for name in names]
    file = folder / "pull-secrets.json"
    file.write_text(json.dumps(writes))
    command = [sys.executable, str(BARE_CLIENT), str(world.admin_kubeconfig), str(file)]
    bare = runner.run([{"name": "Bare", "ansible.builtin.command": {"argv": command}}], changes=True)

    # without the links, which one task cannot add to what others have linked
    definition = {"definition": [secret(name) for name in names]}
    listed = runner.best([{"name": "List", "kubernetes.core.k8s": definition}], 2)
    return [
        Case(
            "pull secrets, first run, task alone",
            first.tasks,
            bare.tasks,
            "a client of 16 threads that only writes",
            first.requests,
            N,
        ),
        Case(
            "pull secrets, second run",
            second.whole,
            listed.whole,
            "one kubernetes.core.k8s task with a list, no links",
            second.requests,
            N,
        ),
    ]
