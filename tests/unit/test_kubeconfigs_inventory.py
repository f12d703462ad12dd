"""The inventory plugin ``kubeconfigs``, as ansible-inventory shows it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from playbooks import environment

SECRET = "sha256~dont-show-this-token"


def kubeconfig(path: Path, *contexts: str, current: str = "", domain: str = "example.com") -> None:
    """A kubeconfig with one cluster for each context."""
    names = [context.rpartition("/")[2].replace(":", "-") for context in contexts]
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": f"c-{n}", "cluster": {"server": f"https://api.{n}.{domain}:6443"}} for n in names],
        "users": [{"name": "ann", "user": {"token": SECRET}}],
        "contexts": [
            {"name": context, "context": {"cluster": f"c-{name}", "user": "ann", "namespace": "shop"}}
            for context, name in zip(contexts, names, strict=True)
        ],
        "current-context": current or contexts[0],
    }
    path.parent.mkdir(exist_ok=True)
    path.write_text(yaml.safe_dump(content))


def run(tmp_path: Path, *arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    inventory = tmp_path / "kubeconfigs.yml"
    inventory.write_text(yaml.safe_dump({"plugin": "quayside.registry.kubeconfigs", **options}))
    command = [Path(sys.executable).with_name("ansible-inventory"), "-i", inventory, *(arguments or ["--list"])]
    env = {**environment(tmp_path / "none", tmp_path), "ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED": "true"}
    return subprocess.run(list(map(str, command)), env=env, capture_output=True, text=True, check=False)


def inventory(tmp_path: Path, **options: Any) -> dict[str, Any]:
    done = run(tmp_path, **options)
    assert done.returncode == 0, done.stderr
    assert SECRET not in done.stdout + done.stderr
    # ansible-core 2.19 and newer mark strings that are no templates
    content: dict[str, Any] = json.loads(done.stdout, object_hook=lambda item: item.get("__ansible_unsafe", item))
    return content


def test_a_folder_is_a_fleet(tmp_path: Path) -> None:
    kubeconfig(tmp_path / "fleet" / "a.kubeconfig", "prod-a", "test-a")
    kubeconfig(tmp_path / "fleet" / "b", "prod-b")
    (tmp_path / "fleet" / "README").write_text(f"no kubeconfig: [{SECRET}")
    found = inventory(tmp_path, paths=["fleet"])
    assert sorted(found["clusters"]["hosts"]) == ["prod-a", "prod-b", "test-a"]
    assert found["_meta"]["hostvars"]["test-a"] == {
        "ansible_connection": "local",
        "ansible_python_interpreter": "{{ ansible_playbook_python }}",
        "cluster_connection": {"kubeconfig": str(tmp_path / "fleet" / "a.kubeconfig"), "context": "test-a"},
        "kubeconfig_cluster": "c-test-a",
        "kubeconfig_file": str(tmp_path / "fleet" / "a.kubeconfig"),
        "kubeconfig_namespace": "shop",
        "kubeconfig_server": "https://api.test-a.example.com:6443",
        "kubeconfig_user": "ann",
    }


def test_filters_groups_and_composed_variables(tmp_path: Path) -> None:
    kubeconfig(tmp_path / "fleet" / "a.kubeconfig", "prod-a", "test-a", "prod-old")
    kubeconfig(tmp_path / "fleet" / "b.kubeconfig", "prod-b", domain="example.net")
    found = inventory(
        tmp_path,
        paths=["fleet/*.kubeconfig"],
        contexts=["prod-*"],
        exclude_contexts=["*-old"],
        group="fleet",
        groups={"abroad": "'example.net' in kubeconfig_server"},
        keyed_groups=[{"key": "inventory_hostname.split('-')[0]", "prefix": "stage"}],
        compose={"builders_auth_file": "'/etc/' ~ kubeconfig_cluster"},
    )
    assert sorted(found["stage_prod"]["hosts"]) == ["prod-a", "prod-b"]
    assert found["abroad"]["hosts"] == ["prod-b"]
    assert "fleet" in found["all"]["children"]
    assert found["_meta"]["hostvars"]["prod-b"]["builders_auth_file"] == "/etc/c-prod-b"


@pytest.mark.parametrize(
    ("hostname", "expected"),
    [
        ("context", ["default_api-prod-example-com_6443_ann"]),
        ("cluster", ["c-ann"]),
        ("server", ["api.ann.example.com"]),
        ("file", ["prod"]),
    ],
)
def test_names_of_hosts(tmp_path: Path, hostname: str, expected: list[str]) -> None:
    """``oc login`` makes contexts whose names are no names of hosts."""
    kubeconfig(tmp_path / "prod.yaml", "default/api-prod-example-com:6443/ann", "second")
    found = inventory(tmp_path, paths=["prod.yaml"], hostname=hostname, current_context_only=True)
    assert found["clusters"]["hosts"] == expected


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"paths": ["fleet"]}, "Two hosts would be called admin: context admin of "),
        ({"paths": ["nowhere"]}, "there is no kubeconfig at "),
        ({"paths": ["broken"]}, "broken is no kubeconfig: it is not YAML."),
        ({"paths": ["empty"]}, "empty is no kubeconfig: it has no contexts."),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, options: dict[str, Any], message: str) -> None:
    kubeconfig(tmp_path / "fleet" / "a", "admin")
    kubeconfig(tmp_path / "fleet" / "b", "admin")
    (tmp_path / "broken").write_text(f"token: [{SECRET}")
    (tmp_path / "empty").write_text("kind: Config\n")
    done = run(tmp_path, **options)
    assert done.returncode != 0
    assert message in " ".join(done.stderr.split())
    assert SECRET not in done.stdout + done.stderr
