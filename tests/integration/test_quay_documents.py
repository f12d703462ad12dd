"""The example documents for Quay: predicted, applied, and nothing to do the second time; and the robots' tokens in use."""

from __future__ import annotations

import base64
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from clusters import new_project, path
from quays import SUPERUSER, RunningQuay, quay_in
from registries import skopeo

from playbooks import Run, environment, run_playbook
from staging import ROOT
from world.images import tiny_image
from world.pki import Authority
from world.simulators.quay import Quay
from world.simulators.quay.database import hashed
from world.world import World

PASSWORD = "content-Pa55word"
DOCUMENTS = ROOT / "docs" / "quay_documents"
#: How many changes of which kind.
EXPECTED = {
    "small_team": {"User": 3, "Organization": 1, "Repository": 2, "Secret": 2, "ImmutabilityPolicy": 1},
    "company": {"Organization": 20, "Team": 41, "Robot": 40, "Quota": 20, "Repository": 4, "DefaultPermission": 80},
    "mirror": {"Organization": 2, "ProxyCache": 1, "RepositoryMirror": 2, "Robot": 1},
}


@pytest.fixture(scope="module")
def quay(world: World) -> Iterator[tuple[str, Quay]]:
    """A Quay with a superuser behind a route of the cluster; its host and itself."""
    config = {"SSRF_ALLOWED_HOSTS": ["docker.io"]}
    with new_project(world) as namespace, quay_in(world, namespace, config=config) as (host, quay):
        first = {"kind": "user", "name": SUPERUSER, "email": "quayadmin@example.com", "created": 0}
        quay.database.insert("account", **first, password=hashed(PASSWORD))
        yield host, quay


def variables(host: str, **more: Any) -> list[str]:
    options = {"host": host, "username": SUPERUSER, "password": PASSWORD}
    return ["-e", json.dumps({**{f"quay_content_{key}": text for key, text in options.items()}, **more})]


def test_every_document_is_tested_and_in_the_guide() -> None:
    names = sorted(file.stem for file in DOCUMENTS.glob("*.yml"))
    assert names == sorted([*EXPECTED, "migration"])
    guide = (ROOT / "docs/quay_content.md").read_text(encoding="utf-8")
    assert [name for name in names if f"quay_documents/{name}.yml" not in guide] == []


@pytest.mark.parametrize("name", EXPECTED)
def test_document(name: str, world: World, quay: tuple[str, Quay], tmp_path: Path) -> None:
    env = {**environment(world.admin_kubeconfig, tmp_path), "DOCKERHUB_USERNAME": "ann", "DOCKERHUB_TOKEN": "s3cret"}
    arguments = ["-e", f"@{DOCUMENTS / name}.yml", *variables(quay[0])]

    def run(*more: str) -> Run:
        done = run_playbook("quayside.registry.quay_content", env, *arguments, *more)
        assert not done.failures
        return done

    predicted = run("--check")
    done = run()
    assert predicted.changes == done.changes
    kinds = [change["kind"] for change in done.changes]
    assert {kind: kinds.count(kind) for kind in EXPECTED[name]} == EXPECTED[name]
    assert run().changed == 0


def test_from_one_quay_to_another(tmp_path: Path) -> None:
    document = yaml.safe_load((DOCUMENTS / "small_team.yml").read_text(encoding="utf-8"))
    organizations = document["quay_content_organizations"]
    for robot in organizations[0]["robots"]:
        del robot["store"]
        robot.pop("rotate", None)
    quay = {"username": SUPERUSER, "password": PASSWORD}
    authority = Authority.create("Quay CA")
    ca, _key = authority.write(tmp_path, "ca")
    with (
        RunningQuay(tmp_path / "old", authority=authority, images=True) as old,
        RunningQuay(tmp_path / "new", authority=authority, images=True) as new,
    ):
        for running in (old, new):
            first = {"kind": "user", "name": SUPERUSER, "email": "quayadmin@example.com", "created": 0}
            running.quay.database.insert("account", **first, password=hashed(PASSWORD))
        trust = {"QUAY_CA_CERT": str(ca), "SSL_CERT_FILE": str(ca)}
        env = {**environment(tmp_path / "kubeconfig", tmp_path), **trust}
        wanted = {"users": document["quay_content_users"], "messages": [{"content": "We move."}]}
        options = {"quay_host": old.host, **{f"quay_{key}": text for key, text in quay.items()}, **wanted}
        task = {"quayside.registry.quay_content": {**options, "organizations": organizations}}
        begin = tmp_path / "begin.yml"
        begin.write_text(json.dumps([{"hosts": "workstation", "gather_facts": False, "tasks": [task]}]))
        made = run_playbook(begin, env)
        assert not made.failures
        login = f"--dest-creds={SUPERUSER}:{PASSWORD}"
        image = f"docker://{old.host}/shop/web:1"
        skopeo("copy", "--dest-tls-verify=false", login, tiny_image(tmp_path / "image"), image)

        given = {"old_host": old.host, "new_host": new.host, "tokens_directory": str(tmp_path / "tokens")}
        for where in ("old", "new"):
            given |= {f"{where}_{key}": text for key, text in quay.items()}
        arguments = ["-e", json.dumps(given)]
        moved = run_playbook(DOCUMENTS / "migration.yml", env, *arguments)
        assert not moved.failures
        again = run_playbook(DOCUMENTS / "migration.yml", env, *arguments)
        assert not again.failures
        assert again.changed == 0
        token = json.loads((tmp_path / "tokens" / "shop-builder.json").read_text())
        login = f"--creds={token['username']}:{token['password']}"
        assert token["host"] == new.host
        skopeo("inspect", "--tls-verify=false", login, f"docker://{new.host}/shop/web:1")


def test_a_pull_secret_pulls_as_a_robot_of_quay_before_and_after_a_rotation(
    world: World, quay: tuple[str, Quay], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    host, _quay = quay
    admin = world.plane.admin
    env = environment(world.admin_kubeconfig, tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(world.ca_bundle))  # for the clients below, as nodes have it
    with new_project(world) as builds, new_project(world) as project:
        stored = {"name": "quay-pull", "namespace": builds}
        loop = {
            "quay_content_organizations": [
                {
                    "name": "pulled",
                    "robots": [{"name": "puller", "store": {"secret": stored}, "rotate": {"after": "30d"}}],
                    "repositories": [{"name": "app", "permissions": [{"robot": "puller", "role": "read"}]}],
                }
            ],
            "pull_secrets_secrets": [
                {"name": "quay", "namespaces": [project], "registries": [{"registry": host, "secret": stored}]}
            ],
        }
        playbook = tmp_path / "loop.yml"
        roles = ["quayside.registry.quay_content", "quayside.registry.pull_secrets"]
        playbook.write_text(json.dumps([{"hosts": "clusters", "gather_facts": False, "roles": roles}]))

        def run() -> set[str]:
            done = run_playbook(playbook, env, *variables(host, **loop))
            assert not done.failures
            return {f"{change['action']} {change['kind']}" for change in done.changes}

        def pull(auth_file: Path) -> subprocess.CompletedProcess[str]:
            command = ["podman", "pull", "-q", "--authfile", str(auth_file), f"{host}/pulled/app:1"]
            return subprocess.run(command, capture_output=True, text=True, check=False)

        def secret(name: str) -> Path:
            """What a kubelet has of the pull secret, as an auth file."""
            data = admin.request("GET", path("secrets", project, "quay"))["data"][".dockerconfigjson"]
            file = tmp_path / f"{name}.json"
            file.touch(0o600)
            file.write_bytes(base64.b64decode(data))
            return file

        assert {"create Robot", "create Secret"} <= run()
        login = f"--dest-creds={SUPERUSER}:{PASSWORD}"
        skopeo("copy", login, tiny_image(tmp_path / "image"), f"docker://{host}/pulled/app:1")
        first = secret("first")
        pulled = pull(first)
        assert pulled.returncode == 0, pulled.stderr
        assert run() == set()

        long_ago = base64.b64encode(b"2020-01-01T00:00:00Z").decode()
        admin.request("PATCH", path("secrets", builds, "quay-pull"), {"data": {"token_issued": long_ago}})
        assert run() == {"update RobotToken", "update Secret"}
        refused = pull(first)
        assert refused.returncode != 0
        assert "unauthorized" in refused.stderr.lower() or "invalid username/password" in refused.stderr.lower()
        second = pull(secret("second"))
        assert second.returncode == 0, second.stderr
        assert run() == set()
