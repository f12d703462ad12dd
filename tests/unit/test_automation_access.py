"""What the module ``automation_access`` wants to be there, and what it refuses. No network."""

from __future__ import annotations

import base64
import json
import time
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.quayside.registry.plugins.module_utils.errors import InputError
from ansible_collections.quayside.registry.plugins.module_utils.openshift.automation_access import (
    AutomationAccess,
    State,
)

ACCOUNT = {"metadata": {"name": "automation", "namespace": "quayside-automation", "uid": "1"}}


def subject(**given: Any) -> AutomationAccess:
    defaults = {
        "playbooks": ["builders"],
        "projects": None,
        "name": "automation",
        "namespace": "quayside-automation",
        "account_kubeconfig": None,
        "expires_in": 3600,
        "renew_before": None,
        "state": "present",
    }
    return AutomationAccess({**defaults, **given})


def planned(wanted: AutomationAccess, state: State | None = None) -> list[tuple[str, str, str, str]]:
    changes = wanted.plan(state or State("https://api.example.com:6443", "", None, None, {}, None)).changes
    return [(change.action, change.kind, change.namespace, change.name.rpartition(":")[2]) for change in changes]


def test_everywhere() -> None:
    changes = planned(subject())
    assert changes[:2] == [
        ("create", "Namespace", "", "quayside-automation"),
        ("create", "ServiceAccount", "quayside-automation", "automation"),
    ]
    assert changes[2:] == [
        ("create", "ClusterRole", "", "builders"),
        ("create", "ClusterRoleBinding", "", "builders"),
        ("create", "Role", "openshift-image-registry", "builders"),
        ("create", "RoleBinding", "openshift-image-registry", "builders"),
    ]


def test_in_two_projects_no_secret_of_another_is_open() -> None:
    wanted = subject(projects=["b", "a"])
    plan = wanted.plan(State("https://api.example.com:6443", "", None, None, {}, None))
    bound = [(c.namespace, c.name.rpartition(":")[2]) for c in plan.changes if c.kind == "RoleBinding"]
    assert [item for item in bound if item[1] == "projects"] == [("a", "projects"), ("b", "projects")]
    everywhere = next(role for role in plan.result["roles"] if role["name"].endswith(":builders"))
    assert not any("secrets" in rule["resources"] or "namespaces" in rule["resources"] for rule in everywhere["rules"])


def test_no_project_at_all_is_none() -> None:
    assert not [change for change in planned(subject(projects=[])) if change[3] == "projects"]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            {"playbooks": ["bilders"]},
            "playbooks: bilders is none that needs rights on a cluster. Those are: builders, ",
        ),
        ({"playbooks": None}, "playbooks: name what the account shall run: builders, "),
        ({"projects": ["Not a name"]}, "projects: 'Not a name' cannot be the name of a project"),
        ({"name": "x" * 60}, "is longer than 63 characters"),
        ({"expires_in": 5}, "expires_in: a token lives from 600 to "),
    ],
)
def test_what_cannot_be_meant(given: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        subject(**given)


def token(seconds: float, uid: str = "1") -> str:
    claims = {"exp": time.time() + seconds, "kubernetes.io": {"serviceaccount": {"uid": uid}}}
    return f"h.{base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip('=')}.s"


@pytest.mark.parametrize(
    ("seconds", "uid", "host", "reason"),
    [
        (3000, "1", "https://api.example.com:6443", ""),
        (1000, "1", "https://api.example.com:6443", "its token ends soon"),
        (3000, "2", "https://api.example.com:6443", "its token is of an account that is gone"),
        (3000, "1", "https://api.example.net:6443", "it is for another cluster or another account"),
    ],
)
def test_when_a_kubeconfig_is_renewed(tmp_path: Path, seconds: int, uid: str, host: str, reason: str) -> None:
    wanted = subject(account_kubeconfig=str(tmp_path / "kubeconfig"))
    stored = wanted._content("https://api.example.com:6443", "", token(seconds, uid))
    plan = wanted.plan(State(host, "", {"metadata": {}}, ACCOUNT, {}, stored))
    found = [change.after for change in plan.changes if change.kind == "Kubeconfig"]
    assert found == ([{"token": "VALUE_HIDDEN_NEW", "reason": reason}] if reason else [])
