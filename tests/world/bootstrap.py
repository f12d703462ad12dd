"""What a new control plane gets first: OpenShift's bootstrap roles and the custom resource definitions."""

from __future__ import annotations

import functools
import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from .apiclient import YAML, ApiClient, ApiError, concurrently

POLICY = Path(__file__).parent / "manifests" / "bootstrap-policy.json"

RBAC = "/apis/rbac.authorization.k8s.io/v1"
CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
API_SERVICES = "/apis/apiregistration.k8s.io/v1/apiservices"

_PATHS = {
    "ClusterRole": f"{RBAC}/clusterroles",
    "ClusterRoleBinding": f"{RBAC}/clusterrolebindings",
    "Role": RBAC + "/namespaces/{namespace}/roles",
    "RoleBinding": RBAC + "/namespaces/{namespace}/rolebindings",
}


def apply(admin: ApiClient, *, policy: bool, crds: Sequence[Path], deadline: float, check: Callable[[], None]) -> None:
    """Create what is missing, concurrently, and wait until it is in effect.

    crds: files named PLURAL.GROUP.yaml. check: raises when the control plane has died meanwhile.
    """
    roles = json.loads(POLICY.read_text())["items"] if policy else []
    namespaces = {"default"} | {role["metadata"]["namespace"] for role in roles if "namespace" in role["metadata"]}
    concurrently(
        functools.partial(admin.create, "/api/v1/namespaces", {"metadata": {"name": name}}) for name in namespaces
    )
    # The definitions go first: the API server has the most to do with them. It reads YAML itself, faster than we do.
    concurrently(
        [functools.partial(admin.create, CRDS, path.read_bytes(), YAML) for path in crds]
        + [functools.partial(admin.create, _path(role), role) for role in roles]
    )
    wait_until(functools.partial(_aggregated, admin), "cluster roles to be aggregated", deadline, check)
    names = {path.stem for path in crds}
    wait_until(lambda: names <= discovered(admin), "custom resources to be discovered", deadline, check)


def discovered(admin: ApiClient) -> set[str]:
    """PLURAL.GROUP of every resource that the API server's aggregated discovery lists."""
    accept = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
    groups = admin.request("GET", "/apis", accept=accept)["items"]
    return {
        f"{resource['resource']}.{group['metadata']['name']}"
        for group in groups
        for version in group["versions"]
        for resource in version.get("resources", [])
    }


def wait_for_api_services(admin: ApiClient, deadline: float, check: Callable[[], None]) -> None:
    """Until every APIService is Available."""

    def available() -> bool:
        waiting = []
        for item in admin.request("GET", API_SERVICES)["items"]:
            conditions = {condition["type"]: condition for condition in item.get("status", {}).get("conditions", [])}
            condition = conditions.get("Available", {})
            if condition.get("status") != "True":
                waiting.append(f"{item['metadata']['name']}: {condition.get('message', 'no condition yet')}")
        if waiting:
            raise OSError("; ".join(waiting))
        return True

    wait_until(available, "aggregated APIs to become available", deadline, check)


def wait_until(condition: Callable[[], bool], what: str, deadline: float, check: Callable[[], None]) -> None:
    """Poll until the condition holds. An unreachable server or an error answer counts as "not yet" until the deadline.

    `deadline` is on time.monotonic's clock; TimeoutError carries the last error; whatever `check` raises ends it.
    """
    problem = ""
    while True:
        try:
            if condition():
                return
            problem = ""
        except (OSError, ApiError) as error:
            problem = f": {error}"
        check()
        if time.monotonic() > deadline:
            raise TimeoutError(f"timed out waiting for {what}{problem}")
        time.sleep(0.05)


def _path(role: dict[str, Any]) -> str:
    return _PATHS[role["kind"]].format(namespace=role["metadata"].get("namespace"))


def _aggregated(admin: ApiClient) -> bool:
    """Whether every aggregating cluster role has the rules of those that it selects (view, edit, admin, …)."""
    roles = admin.request("GET", f"{RBAC}/clusterroles")["items"]
    for role in roles:
        selectors = (role.get("aggregationRule") or {}).get("clusterRoleSelectors", [])
        rules = role.get("rules") or []
        for other in roles:
            labels = (other["metadata"].get("labels") or {}).items()
            selected = any(selector["matchLabels"].items() <= labels for selector in selectors)
            if selected and other is not role and any(rule not in rules for rule in other.get("rules") or []):
                return False
    return True
