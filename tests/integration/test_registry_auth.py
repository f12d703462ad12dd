"""Logins as a user keeps them: through the action plugin, with tokens that a real API server makes and a registry accepts."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from clusters import new_project

from playbooks import environment, run_playbook
from support import run_module
from world.world import World


class Client:
    """A host with an auth file, and a playbook of one task that is run on it as a process of its own."""

    def __init__(self, world: World, project: str, folder: Path) -> None:
        self.world, self.project, self.folder = world, project, folder
        self.host = world.registry_host
        self.file = folder / "auth.json"
        self.output = ""

    def run(self, *registries: dict[str, Any], arguments: tuple[str, ...] = (), **options: Any) -> dict[str, Any]:
        task = {
            "quayside.registry.registry_auth": {"registries": list(registries), "path": str(self.file), **options},
            "module_defaults": {"group/quayside.registry.cluster": {"kubeconfig": str(self.world.admin_kubeconfig)}},
        }
        playbook = self.folder / "playbook.yml"
        variables = {"ansible_python_interpreter": sys.executable}
        play = {"hosts": "localhost", "connection": "local", "gather_facts": False, "vars": variables, "tasks": [task]}
        playbook.write_text(json.dumps([play]))
        env = environment(self.folder / "no-kubeconfig", self.folder)
        run = run_playbook(playbook, env, *arguments, inventory=Path("localhost,"))
        self.output = run.output
        assert run.results, run.output
        return run.results[0][2]

    def login(self, name: str = "builder", **options: Any) -> dict[str, Any]:
        return {
            "registry": self.host,
            "service_account": {"name": name, "namespace": self.project, **options},
        }

    def token(self) -> str:
        entry = json.loads(self.file.read_text())["auths"][self.host]["auth"]
        return base64.b64decode(entry).decode().partition(":")[2]

    def skopeo_says(self) -> str:
        """Nothing, or the refusal: the project's image is not there, which only those who may pull are told."""
        command = ["skopeo", "inspect", "--authfile", str(self.file), f"docker://{self.host}/{self.project}/none:1"]
        return subprocess.run(command, capture_output=True, text=True, check=False).stderr


@pytest.fixture
def client(world: World, tmp_path: Path) -> Iterator[Client]:
    connection = {"kubeconfig": str(world.admin_kubeconfig)}
    with new_project(world) as project:
        run_module("image_registry", **connection, default_route=True)
        found = run_module("router_ca_info", **connection, hosts=[world.registry_host])
        run_module(
            "certs_d",
            registries=[{"host": world.registry_host, "ca_certificates": found["registries"][0]["ca_certificates"]}],
        )
        accounts = [{"name": "builder", "token_secret": "builder-token"}, {"name": "other"}]
        run_module("service_accounts", **connection, namespace=project, service_accounts=accounts)
        yield Client(world, project, tmp_path)


def test_a_token_is_made_proven_kept_and_renewed(client: Client) -> None:
    world = client.world
    mark = world.mark()
    predicted = client.run(client.login(), arguments=("--check", "--diff"))
    assert predicted["changed"]
    assert not client.file.exists()
    assert world.requests(mark) == []

    made = client.run(client.login(), arguments=("--diff", "-vvvv"))
    assert [predicted[key] for key in ("changes", "diff")] == [made[key] for key in ("changes", "diff")]
    assert "needs" not in made
    assert [request.uri.rpartition("/")[2] for request in world.requests(mark) if request.verb == "create"][:1] == [
        "token"
    ]
    assert "manifest unknown" in client.skopeo_says() or "name unknown" in client.skopeo_says()
    token = client.token()
    assert token not in client.output

    mark = world.mark()
    again = client.run(client.login())
    assert (again["changed"], world.requests(mark), client.token()) == (False, [], token)

    renewed = client.run({**client.login(), "renew_before": 86399})
    assert (renewed["changed"], renewed["credentials"][0]["renewed"]) == (True, True)
    assert client.token() != token


def test_the_lasting_token_of_a_secret(client: Client) -> None:
    login = client.login(kind="secret", secret_name="builder-token")
    assert client.run(login)["credentials"][0]["expires_at"] == ""
    assert "unauthorized" not in client.skopeo_says()
    assert client.run(login)["changed"] is False
    assert client.run(client.login())["credentials"][0]["reason"] == "what is stored is a token that does not expire"


def test_a_token_of_an_account_that_was_made_anew_is_replaced(client: Client) -> None:
    client.run(client.login())
    for state in ("absent", "present"):
        account = {"name": "builder", "namespace": client.project, "state": state}
        made = run_module("service_accounts", kubeconfig=str(client.world.admin_kubeconfig), service_accounts=[account])
        assert made["changed"], made
    client.world.wait_for(lambda: "unauthorized" in client.skopeo_says(), "the end of the old token")
    predicted = client.run(client.login(), arguments=("--check",))
    made = client.run(client.login())
    assert predicted["changes"] == made["changes"]
    for result in (predicted, made):
        assert result["credentials"][0]["reason"] == "the registry does not accept what is stored"
    assert "unauthorized" not in client.skopeo_says()
    assert client.run(client.login())["changed"] is False


def test_another_account_replaces_the_login(client: Client) -> None:
    client.run(client.login())
    made = client.run({**client.login("other"), "username": "builder"})
    expected = f"what is stored is the token of system:serviceaccount:{client.project}:builder"
    assert made["credentials"][0]["reason"] == expected


def test_a_password_of_the_controller(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    token = client.world.service_account_token(client.project, "builder")
    (client.folder / "token").write_text(token + "\n")
    login = {"registry": client.host, "username": "ann", "password_file": "token"}
    made = client.run(login, arguments=("-vvvv",))
    assert "others may read it" in made["warnings"][0]
    assert client.token() == token
    assert token not in client.output
    monkeypatch.setenv("QUAYSIDE_TOKEN", token)
    login = {"registry": client.host, "username": "ann", "password_env": "QUAYSIDE_TOKEN"}
    assert client.run(login)["changed"] is False


def test_what_is_not_accepted_is_not_written(client: Client) -> None:
    client.run(client.login())
    before = client.file.read_bytes()
    result = client.run({"registry": client.host, "username": "eve", "password": "wrong-password"})
    assert f"{client.host} does not let user eve log in" in result["msg"]
    assert client.file.read_bytes() == before


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            {"service_account": {"name": "ghost", "namespace": "default"}},
            "There is no service account ghost in project default",
        ),
        ({"service_account": {"name": "x"}}, "missing required arguments: namespace"),
        ({"username": "ann", "password_env": "NO_SUCH_VARIABLE"}, "the environment has no variable NO_SUCH_VARIABLE"),
        ({"password": "x"}, "registries[0] (quay.io): username is missing"),
        ({}, "registries[0] (quay.io): give exactly one of"),
    ],
)
def test_bad_input(client: Client, change: dict[str, Any], said: str) -> None:
    result = client.run({"registry": "quay.io", **change})
    assert said in result["msg"]
    assert not client.file.exists()


def test_the_host_never_sees_the_connection_to_the_cluster(client: Client) -> None:
    made = client.run(client.login())
    given = made["invocation"]["module_args"]
    assert given["kubeconfig"] is None
    assert given["registries"][0]["password"] == "VALUE_SPECIFIED_IN_NO_LOG_PARAMETER"


def test_a_run_that_takes_no_token_needs_no_cluster(client: Client) -> None:
    client.run(client.login())
    began = time.monotonic()
    result = client.run(client.login(), kubeconfig="/nonexistent/kubeconfig")
    assert (result["changed"], "msg" in result) == (False, False)
    assert time.monotonic() - began < 60
