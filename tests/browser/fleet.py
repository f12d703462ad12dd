"""Reports of a small fleet, as the module returns them: well, ailing, and one cluster that cannot be read."""

from __future__ import annotations

import datetime
from typing import Any

NOW = datetime.datetime.now(datetime.timezone.utc)


def at(days: float) -> str:
    return (NOW + datetime.timedelta(days=days)).strftime("%Y-%m-%dT%H:%M:%SZ")


def cluster(name: str, **parts: Any) -> dict[str, Any]:
    host = f"default-route-openshift-image-registry.apps.{name}.example.com"
    ready = {"status": "True", "reason": "Ready", "message": "The registry is ready"}
    return {
        "read_at": at(0),
        "warn_before": 30,
        "registry": {
            "management_state": "Managed",
            "hosts": [host],
            "internal_address": "image-registry.openshift-image-registry.svc:5000",
            "storage": ["pvc"],
            "replicas": 2,
            "read_only": False,
            "conditions": {"Available": ready},
            "refused_routes": [],
        },
        "counts": {"projects": 12, "image_streams": 148, "tags": 1204},
        "expiry": [],
        "access": [],
        "pull_secrets": [],
        "failing_imports": [],
        "drift": None,
        "failing_pulls": [],
        "quays": [],
        "quay_organizations": [],
        "quay_mirrors": [],
        "problems": [],
        "unread": [],
        **parts,
    }


def ends(days: float, kind: str = "certificate", name: str = "CN=*.apps.example.com", **more: Any) -> dict[str, Any]:
    return {
        "kind": kind,
        "name": name,
        "issuer": "CN=ingress-operator@1732000000",
        "where": "Secret openshift-ingress/router-certs-default",
        "used_for": ["default-route-openshift-image-registry.apps.example.com"],
        "not_after": at(days),
        **more,
    }


def access(project: str, kind: str, name: str, push: bool = False, through: tuple[str, ...] = ()) -> dict[str, Any]:
    return {
        "project": project,
        "kind": kind,
        "name": name,
        "pull": True,
        "push": push,
        "roles": ["system:image-builder" if push else "registry-viewer"],
        "through": list(through),
        "streams": [],
    }


def secret(namespace: str, registry: str, username: str = "ann", not_after: str = "", **more: Any) -> dict[str, Any]:
    return {
        "namespace": namespace,
        "name": "registries",
        "registry": registry,
        "username": username,
        "not_after": not_after,
        "linked": ["default"],
        "problem": "",
        **more,
    }


QUAY = "quay-quay-quay.apps.production.example.com"
GIB = 1 << 30


def quay(host: str = QUAY, **more: Any) -> dict[str, Any]:
    well = {"registry": "quay/quay", "version": "3.18.0", "available": True, "message": "", "error": "", "read": True}
    return {"host": host, **well, **more}


def organization(name: str, used: int | None = 0, quota: int | None = None, state: str = "") -> dict[str, Any]:
    shown = {"quota": quota, "used": used, "state": state, "repositories": 48, "public": 2, "robots": 5}
    return {"quay": QUAY, "organization": name, **shown}


def mirror(repository: str, status: str = "SUCCESS", enabled: bool = True) -> dict[str, Any]:
    return {
        "quay": QUAY,
        "organization": "acme",
        "repository": repository,
        "source": f"ghcr.io/acme/{repository}",
        "enabled": enabled,
        "status": status,
        "failing": enabled and status == "FAIL",
        "next": at(0.5),
        "interval": 86400,
        "retries_left": 2,
    }


def moved(tag: str, current: str = f"sha256:{'b' * 64}", scheduled: bool = False) -> dict[str, Any]:
    return {
        "namespace": "shop",
        "stream": "base",
        "tag": tag,
        "source": f"ghcr.io/acme/base:{tag}",
        "imported": f"sha256:{'a' * 64}",
        "current": current,
        "since": at(-40),
        "scheduled": scheduled,
    }


def fleet() -> dict[str, dict[str, Any]]:
    """Cluster → its report."""
    pull = {
        "image": "ghcr.io/acme/app:1.4",
        "registry": "ghcr.io",
        "cause": "credentials_missing",
        "summary": "the pod has no credentials for this registry",
        "evidence": "initializing source docker://ghcr.io/acme/app:1.4: reading manifest 1.4 in ghcr.io/acme/app: denied",
        "remedy": {
            "text": "Give project shop a pull secret for ghcr.io, linked to the pods' service account.",
            "playbook": "quayside.registry.pull_secrets",
            "variable": "pull_secrets_secrets",
        },
        "namespaces": ["shop"],
        "pods": 3,
    }
    limit = {
        **pull,
        "image": "docker.io/library/redis:7",
        "registry": "docker.io",
        "cause": "rate_limit",
        "summary": "the registry's limit of pulls is reached",
        "evidence": "reading manifest 7 in docker.io/library/redis: toomanyrequests: You have reached your pull rate limit.",
        "namespaces": ["cache", "shop"],
        "pods": 12,
    }
    failed = {
        "namespace": "shop",
        "stream": "base",
        "tag": "latest",
        "source": "registry.example.net/base:latest",
        "reason": "Unauthorized",
        "message": 'you may not have access to the container image "registry.example.net/base:latest"',
        "since": at(-2),
        "has_image": True,
    }
    degraded = cluster("staging", unread=["Could not list groups: groups.user.openshift.io is forbidden."])
    degraded["registry"]["conditions"]["Degraded"] = {
        "status": "True",
        "reason": "Unavailable",
        "message": "The deployment does not have available replicas",
    }
    return {
        "production": cluster(
            "production",
            expiry=[
                ends(12),
                ends(900, "CA", "CN=ingress-operator@1732000000", issuer="CN=ingress-operator@1732000000"),
                ends(0.4, "credential", "for registry.example.com", issuer="", where="Secret shop/registries"),
                ends(60, "token", "of quayadmin", issuer="", where="Secret quay/quay-first-user", used_for=[QUAY]),
            ],
            access=[
                access("all projects", "user", "admin", push=True),
                access("shop", "service account", "shop/pusher", push=True),
                access("shop", "user", "ann", through=("developers",)),
                access("shop", "user", "ben", through=("developers",)),
                access("shop", "everybody", "everybody, without a login"),
                access("shop", "service account", "shop-test/*"),
            ],
            pull_secrets=[
                secret("shop", "ghcr.io/acme"),
                secret("shop", "registry.example.com", "serviceaccount", at(0.4)),
                secret("legacy", "", "", problem="it cannot be read: it is no docker configuration", linked=[]),
                secret(
                    "openshift-config", "quay.io", "openshift-release-dev", linked=["all nodes"], name="pull-secret"
                ),
            ],
            failing_pulls=[pull, limit],
            failing_imports=[failed],
            drift=[moved("1.4"), moved("stable", scheduled=True), moved("9", current="")],
            quays=[quay()],
            quay_organizations=[
                organization("acme", 9 * GIB, 10 * GIB, "warning"),
                organization("shop", 21 * GIB, 20 * GIB, "exceeded"),
                organization("tools", 300 << 20),
            ],
            quay_mirrors=[
                mirror("app"),
                mirror("base", "FAIL"),
                mirror("new", "NEVER_RUN"),
                mirror("old", "FAIL", False),
            ],
        ),
        "staging": {
            **degraded,
            "quays": [
                quay("quay.staging.example.com", available=False, read=False, message="Database migration failed")
            ],
            "expiry": [ends(-3, name="CN=*.apps.staging.example.com")],
        },
        "nonproduction": cluster(
            "nonproduction",
            expiry=[ends(200)],
            access=[access("demo", "user", f"user-{number}") for number in range(250)],
        ),
        "edge-7": {
            "error": "The API server https://api.edge-7.example.com:6443 cannot be reached: timed out. Check host or kubeconfig"
            " and context, and the network.",
            "read_at": at(0),
        },
        "hostile": cluster(
            "hostile",
            pull_secrets=[secret("</script><script>document.title='broken'</script>", "<img src=x onerror=alert(1)>")],
        ),
    }
