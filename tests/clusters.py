"""What tests of cluster modules have in common: a project of their own, a user's connection, what is there."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from world.world import World

IMAGE_CONFIG = "/apis/config.openshift.io/v1/images/cluster"

_numbers = itertools.count(1)


@contextlib.contextmanager
def new_project(world: World, *names: str) -> Iterator[str]:
    """A project made by an administrator, or projects that a test makes itself (`names`); deleted in the end."""
    name = "" if names else f"test-{next(_numbers)}"
    if name:
        world.plane.admin.request("POST", "/api/v1/namespaces", {"metadata": {"name": name}})
    try:
        yield name
    finally:
        for namespace in names or (name,):
            world.plane.admin.request("DELETE", f"/api/v1/namespaces/{namespace}")


def path(plural: str, namespace: str, name: str = "") -> str:
    """URL path of a core object or of a role binding."""
    prefix = "/apis/rbac.authorization.k8s.io/v1" if plural.startswith("role") else "/api/v1"
    return f"{prefix}/namespaces/{namespace}/{plural}" + (f"/{name}" if name else "")


def read(world: World, plural: str, namespace: str, name: str) -> dict[str, Any]:
    item: dict[str, Any] = world.plane.admin.request("GET", path(plural, namespace, name))
    return item


def names(world: World, plural: str, namespace: str) -> set[str]:
    return {item["metadata"]["name"] for item in world.plane.admin.request("GET", path(plural, namespace))["items"]}


def summaries(result: dict[str, Any]) -> list[str]:
    """The changes of a module that did not fail, one line each."""
    assert not result.get("failed"), result["msg"]
    assert result["changed"] == bool(result["changes"])
    return [f"{change['action']} {change['kind']} {change['name']}" for change in result["changes"]]


def trusted(world: World, folder: Path) -> dict[str, Path]:
    """certs.d as the cluster's nodes have it: a folder for each host of the ConfigMap (OpenShift: `..` is a colon)."""
    admin = world.plane.admin
    name = admin.request("GET", IMAGE_CONFIG)["spec"]["additionalTrustedCA"]["name"]
    data: dict[str, str] = admin.request("GET", f"/api/v1/namespaces/openshift-config/configmaps/{name}")["data"]
    found = {}
    for key, pem in data.items():
        found[key] = folder / key.replace("..", ":")
        found[key].mkdir(parents=True, exist_ok=True)
        (found[key] / "ca.crt").write_text(pem)
    return found
