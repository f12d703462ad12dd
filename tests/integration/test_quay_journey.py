"""Quay from nothing, by its playbook: predicted, done, repeated, used by real clients; and finished after any interruption."""

from __future__ import annotations

import base64
import json
import os
import subprocess
from pathlib import Path

import pytest

from playbooks import ANSIBLE_PLAYBOOK, INVENTORY, Run, environment, run_playbook
from staging import ROOT
from world.images import tiny_image
from world.world import CORE, World

HOST = "quay-quay-quay.apps.fresh.example.com"
STORAGE = {
    "default": ["RadosGWStorage", {"hostname": "s3.example.com", "secret_key": "s3cr3t-k3y", "bucket_name": "quay"}]
}


@pytest.fixture
def variables(tmp_path: Path) -> list[str]:
    """What an administrator writes into his inventory."""
    wanted = {
        "quay_registry_components": [{"kind": "objectstorage", "managed": False}],
        "quay_registry_config": {"FEATURE_USER_CREATION": False},
        "quay_registry_secret_config": {"DISTRIBUTED_STORAGE_CONFIG": STORAGE},
        "quay_lock_down": True,
        "builders_auth_file": str(tmp_path / "auth.json"),
    }
    (tmp_path / "variables.json").write_text(json.dumps(wanted))
    return ["-e", f"@{tmp_path / 'variables.json'}"]


def client(*command: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)


def test_quay_from_nothing(fresh_world: World, variables: list[str], tmp_path: Path) -> None:
    world = fresh_world
    env = environment(world.admin_kubeconfig, tmp_path)

    def run(*arguments: str) -> Run:
        return run_playbook("quayside.registry.quay", env, *variables, *arguments)

    predicted = run("--check", "--diff")
    assert not predicted.failures
    done = run("--diff")
    assert not done.failures
    assert predicted.changes == done.changes
    assert "s3cr3t-k3y" not in predicted.output + done.output

    quay = world.simulation.quays.running["quay", "quay"]
    asked = len(quay.requests)
    again = run()
    assert (again.status, again.changed, again.changes) == (0, 0, [])
    assert len(quay.requests) - asked == 1, quay.requests[asked:]
    assert quay.config["FEATURE_USER_INITIALIZE"] is False
    assert world.simulation.quay_operator.rollouts["quay", "quay"] == 2

    image, auth_file = tiny_image(tmp_path / "image"), tmp_path / "auth.json"
    pushed = client("skopeo", "copy", "--authfile", auth_file, image, f"docker://{HOST}/quayadmin/app:1")
    assert pushed.returncode == 0, pushed.stderr
    pulled = client("podman", "pull", "-q", "--authfile", auth_file, f"{HOST}/quayadmin/app:1")
    assert pulled.returncode == 0, pulled.stderr
    refused = client("skopeo", "inspect", "--no-creds", f"docker://{HOST}/quayadmin/app:1")
    assert "unauthorized" in refused.stderr


def test_lost_credentials_of_a_client_come_back_from_the_secret(
    fresh_world: World, variables: list[str], tmp_path: Path
) -> None:
    world = fresh_world
    env = environment(world.admin_kubeconfig, tmp_path)
    assert not run_playbook("quayside.registry.quay", env, *variables).failures
    secret = world.plane.admin.request("GET", f"{CORE}/quay/secrets/quay-first-user")
    (tmp_path / "auth.json").unlink()
    again = run_playbook("quayside.registry.quay", env, *variables)
    assert not again.failures
    assert [change["kind"] for change in again.changes] == ["AuthFile"]
    assert world.plane.admin.request("GET", f"{CORE}/quay/secrets/quay-first-user") == secret


#: A tenth of the writes in every run of the tests; QUAYSIDE_SWEEP=1 (`make sweep`) for each of them.
WRITES = range(1, 19) if os.environ.get("QUAYSIDE_SWEEP") else (8, 15)


def killed(variables: list[str], env: dict[str, str], folder: Path, after: int) -> list[str]:
    """Run the playbook and kill it right after its n-th write, to whatever server; the writes."""
    count = folder / "writes"
    hooks = {"PYTHONPATH": str(ROOT / "tests" / "killer"), "KILL_AFTER": str(after), "KILL_COUNT": str(count)}
    run = subprocess.run(
        [str(ANSIBLE_PLAYBOOK), "-i", str(INVENTORY), "quayside.registry.quay", *variables],
        env={**env, **hooks},
        cwd=ROOT,
        capture_output=True,
        text=True,
        start_new_session=True,  # the signal is for a group of processes
        check=False,
    )
    assert run.returncode, run.stdout + run.stderr
    return count.read_text().splitlines()


@pytest.mark.parametrize("after", WRITES)
def test_killed_after_a_write_the_next_run_ends_as_if_nothing_had_been(
    fresh_world: World, variables: list[str], tmp_path: Path, after: int
) -> None:
    world = fresh_world
    env = environment(world.admin_kubeconfig, tmp_path)
    assert len(killed(variables, env, tmp_path, after)) == after
    finished = run_playbook("quayside.registry.quay", env, *variables)
    assert not finished.failures

    quay = world.simulation.quays.running["quay", "quay"]
    accounts = [row["name"] for row in quay.database.all("SELECT name FROM account ORDER BY id")]
    assert accounts == ["quayadmin", "automation"]
    assert quay.config["FEATURE_USER_INITIALIZE"] is False
    secrets = {
        item["metadata"]["name"]: item for item in world.plane.admin.request("GET", f"{CORE}/quay/secrets")["items"]
    }
    kept = {key: base64.b64decode(text).decode() for key, text in secrets.pop("quay-first-user")["data"].items()}
    good = [
        row["secret"] for row in quay.database.all("SELECT secret, expires FROM token") if row["expires"] > quay.now()
    ]
    assert good == [kept["token"]]
    registry = world.plane.admin.request("GET", "/apis/quay.redhat.com/v1/namespaces/quay/quayregistries/quay")
    ours = {name for name, item in secrets.items() if "ownerReferences" not in item["metadata"]}
    assert ours == {registry["spec"]["configBundleSecret"]}

    again = run_playbook("quayside.registry.quay", env, *variables)
    assert (again.failures, again.changes, again.changed) == ([], [], 0)
