"""The playbooks as AWX runs them: ansible-runner, credentials from injectors only, slices of the inventory, artifacts."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from automation import ELSEWHERE, INVENTORY, PASSWORD, STEPS, first_run, remove_what_runs_made, surroundings
from clusters import new_project
from quays import SUPERUSER

from ansible_collections.quayside.registry.plugins.module_utils.openshift.rights import RIGHTS
from playbooks import environment
from staging import ROOT
from support import run_module
from world.external import ExternalRegistry
from world.world import World

RUNNER = Path(sys.executable).with_name("ansible-runner")
FLEET = ["berlin", "lisbon", "oslo"]
#: Why these playbooks run elsewhere: `awx_setup` makes AWX itself.
NOT_HERE = {"awx_setup"}
#: Variables of those that need no rights on a cluster, and of `site`.
OTHERS: dict[str, dict[str, Any]] = {
    "automation_access": {"automation_access_name": "of-awx", "automation_access_playbooks": ["verify_registry"]},
    "promote_images": {
        "promote_images_images": [
            {"source": "ghcr.io/acme/app:1.4", "destinations": ["{{ registry_host }}/automated/promoted:1.4"]}
        ],
        "promote_images_registries": [
            {"host": "ghcr.io", "ca_cert": "{{ ca_file }}"},
            {
                "host": "{{ registry_host }}",
                "ca_cert": "{{ ca_file }}",
                "username": "{{ lookup('env', 'QUAYSIDE_REGISTRY_USERNAME') }}",
                "password": "{{ lookup('env', 'QUAYSIDE_REGISTRY_PASSWORD') }}",
            },
        ],
    },
    "publish_workflow": {
        "publish_workflow_checkout": "{{ folder }}/checkout",
        "publish_workflow_registries": [{"kind": "ghcr"}],
    },
    "site": first_run("builders") | first_run("image_streams"),
}
#: Those that change nothing.
LOOKING = {"diagnose", "report"}


@pytest.fixture(scope="module")
def kubeconfig(world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Of an account with the rights of every playbook."""
    run_module("image_registry", kubeconfig=str(world.admin_kubeconfig), default_route=True)
    path = tmp_path_factory.mktemp("account") / "kubeconfig"
    admin = str(world.admin_kubeconfig)
    made = run_module("automation_access", kubeconfig=admin, playbooks=sorted(RIGHTS), account_kubeconfig=str(path))
    assert not made.get("failed"), made["msg"]
    namespaces = "/api/v1/namespaces"
    world.wait_for(
        lambda: (
            not any(
                item["metadata"]["name"].startswith("automated")
                for item in world.plane.admin.request("GET", namespaces)["items"]
            )
        ),
        "the projects of other tests to be gone",
    )
    with new_project(world, "automated", "automated-test", *(f"automated-{name}" for name in FLEET)):
        for name in ("automated", "automated-test", *(f"automated-{name}" for name in FLEET)):
            world.plane.admin.create(namespaces, {"metadata": {"name": name}})
        yield path
        remove_what_runs_made(world)
    for account in ({"name": "automation"}, {"name": "of-awx"}):
        run_module("automation_access", kubeconfig=admin, state="absent", **account)


class Job:
    """A private data directory as AWX makes one: project, inventory, extra variables, and what credentials inject."""

    def __init__(self, folder: Path, inventory: Any, variables: dict[str, Any], injected: dict[str, str]) -> None:
        self.folder = folder
        (folder / "env").mkdir(parents=True)
        (folder / "inventory").mkdir()
        (folder / "project").mkdir()
        for playbook in (ROOT / "playbooks").glob("*.yml"):
            (folder / "project" / playbook.name).write_text(playbook.read_text())
        (folder / "inventory" / "hosts.json").write_text(json.dumps(inventory))
        # awx.main's settings: no colour, and nothing of the user who runs it
        home = {key: value for key, value in environment(folder / "none", folder).items() if key.startswith("ANSIBLE_")}
        (folder / "env" / "envvars").write_text(json.dumps({**home, "ANSIBLE_FORCE_COLOR": "false", **injected}))
        (folder / "env" / "extravars").write_text(json.dumps(variables))

    def run(self, playbook: str, *arguments: str) -> int:
        return self._runner("run", self.folder, "-p", f"{playbook}.yml", *arguments)

    def run_elsewhere(self, playbook: str, worker: Path, *arguments: str) -> None:
        """On another machine: what is to be done goes there as a stream, what was done comes back as one."""
        stream, back = self.folder / "stream", self.folder / "back"
        self._runner("transmit", self.folder, "-p", f"{playbook}.yml", *arguments, output=stream)
        self._runner("worker", "--private-data-dir", worker, source=stream, output=back)
        self._runner("process", self.folder, source=back)

    def _runner(self, *arguments: object, source: Path | None = None, output: Path | None = None) -> int:
        bare = {key: value for key, value in os.environ.items() if not key.startswith(("K8S_AUTH_", "KUBECONFIG"))}
        bare["PATH"] = f"{RUNNER.parent}{os.pathsep}{bare['PATH']}"
        with (source or Path(os.devnull)).open("rb") as stdin, (output or self.folder / "log").open("wb") as stdout:
            command = [str(RUNNER), *map(str, arguments)]
            return subprocess.run(command, env=bare, stdin=stdin, stdout=stdout, timeout=110, check=False).returncode

    def stdout(self) -> str:
        return "\n".join(file.read_text() for file in sorted(self.folder.glob("artifacts/**/stdout")))

    def artifacts(self) -> dict[str, Any]:
        """What the job leaves for the next one of a workflow."""
        found: dict[str, Any] = {}
        for file in self.folder.glob("artifacts/**/job_events/*.json"):
            event = json.loads(file.read_text())
            if event["event"] == "playbook_on_stats":
                found.update(event["event_data"].get("artifact_data") or {})
        return found

    def rc(self) -> list[str]:
        return [file.read_text() for file in self.folder.glob("artifacts/**/rc")]

    def recorded(self) -> str:
        """What AWX stores and shows: the output and the events (not the environment, which it masks by itself)."""
        events = self.folder.glob("artifacts/**/job_events/*.json")
        return "\n".join([self.stdout(), *(file.read_text() for file in events)])


def test_every_playbook_is_run() -> None:
    playbooks = {file.stem for file in (ROOT / "playbooks").glob("*.yml")}
    assert set(STEPS) | set(OTHERS) | NOT_HERE == playbooks
    assert set(OTHERS) | NOT_HERE == set(ELSEWHERE) | {"site"}


@pytest.mark.timeout(240)
@pytest.mark.parametrize("playbook", [*STEPS, *OTHERS])
def test_every_playbook_with_a_bearer_token(
    playbook: str, world: World, ghcr: ExternalRegistry, kubeconfig: Path, tmp_path: Path
) -> None:
    """AWX's own credential type `OpenShift or Kubernetes API Bearer Token` injects these variables and a file."""
    for name in ("registry", "renewed"):
        certificate, key = world.certificate_for("registry.example.com")
        (tmp_path / f"{name}.crt").write_text(certificate)
        (tmp_path / f"{name}.key").write_text(key)
    (tmp_path / "checkout").mkdir()
    content = yaml.safe_load(kubeconfig.read_text())
    secrets = [content["users"][0]["user"]["token"]]
    ca = tmp_path / "awx_ca"
    ca.write_bytes(world.ca_bundle.read_bytes())
    injected = {
        "K8S_AUTH_HOST": content["clusters"][0]["cluster"]["server"],
        "K8S_AUTH_API_KEY": secrets[0],
        "K8S_AUTH_VERIFY_SSL": "True",
        "K8S_AUTH_SSL_CA_CERT": str(ca),
    }
    inventory = yaml.safe_load(INVENTORY.read_text())
    with surroundings(world, playbook, tmp_path) as around:
        variables = {**around, **(OTHERS[playbook] if playbook in OTHERS else first_run(playbook))}
        if playbook == "verify_registry":
            pushes = [{"project": "automated", "level": "push", "service_accounts": ["default"]}]
            run_module("registry_access", kubeconfig=str(world.admin_kubeconfig), access=pushes)
            login = base64.b64encode(f"builder:{world.service_account_token('automated', 'default')}".encode()).decode()
            (tmp_path / "auth.json").write_text(json.dumps({"auths": {world.registry_host: {"auth": login}}}))
        if playbook == "automation_access":  # to give rights takes an administrator
            injected = {"K8S_AUTH_KUBECONFIG": str(world.admin_kubeconfig)}
        if playbook == "promote_images":  # the credential type of a registry
            secrets.append(variables.pop("push_token"))
            injected = {"QUAYSIDE_REGISTRY_USERNAME": "pusher", "QUAYSIDE_REGISTRY_PASSWORD": secrets[-1]}
        if playbook == "quay_content":  # the credential type of Quay: no variable says where it is, nor who signs in
            secrets.append(PASSWORD)
            injected |= {"QUAY_HOST": variables.pop("quay_host"), "QUAY_USERNAME": SUPERUSER, "QUAY_PASSWORD": PASSWORD}
            injected |= {"QUAY_TOKEN": "", "QUAY_CA_CERT": world.ca_bundle.read_text()}
            variables = {
                key: value
                for key, value in variables.items()
                if key not in ("quay_content_host", "quay_content_secret")
            }
        job = Job(tmp_path / "job", inventory, variables, injected)
        if playbook == "quay_content":
            job.run_elsewhere(playbook, tmp_path / "worker")
        else:
            job.run(playbook)
        assert job.rc() == ["0"], job.stdout()
    if playbook not in LOOKING | {"publish_workflow"}:
        changed = next(iter(job.artifacts()["quayside_changes"].values()))
        assert "builders" in changed if playbook == "site" else playbook in changed
    assert [secret for secret in secrets if secret in job.recorded()] == []


def fleet(folder: Path, kubeconfig: Path) -> dict[str, str]:
    """One kubeconfig with a context for each cluster, as the credential type of `awx_setup` injects it."""
    content = yaml.safe_load(kubeconfig.read_text())
    content["contexts"] = [{**content["contexts"][0], "name": name} for name in FLEET]
    del content["current-context"]
    file = folder / "awx_kubeconfig"
    file.touch(0o600)
    file.write_text(yaml.safe_dump(content))
    return {"K8S_AUTH_KUBECONFIG": str(file)}


def inventory() -> dict[str, Any]:
    local = {"ansible_connection": "local", "ansible_python_interpreter": "{{ ansible_playbook_python }}"}
    hosts = {
        name: {
            "cluster_connection": {"context": name},
            "builders_accounts": [{"name": "pusher", "namespace": f"automated-{name}"}],
            "builders_access": [{"project": f"automated-{name}", "level": "push", "service_accounts": ["pusher"]}],
        }
        for name in FLEET
    }
    return {"clusters": {"hosts": hosts, "vars": local}}


@pytest.mark.timeout(240)
def test_three_slices_are_one_whole(world: World, kubeconfig: Path, tmp_path: Path) -> None:
    injected = fleet(tmp_path, kubeconfig)
    whole = Job(tmp_path / "whole", inventory(), {}, injected)
    assert whole.run("builders", "--cmdline=--check") == 0, whole.stdout()
    slices: dict[str, Any] = {}
    for name in FLEET:
        job = Job(tmp_path / name, inventory(), {}, injected)
        job.run_elsewhere("builders", tmp_path / f"worker-{name}", "--limit", name)
        assert job.rc() == ["0"], job.stdout()
        slices.update(job.artifacts()["quayside_changes"])
        assert yaml.safe_load(kubeconfig.read_text())["users"][0]["user"]["token"] not in job.recorded()
    assert slices == whole.artifacts()["quayside_changes"]
    assert set(slices) == set(FLEET)
    assert all(len(changed["builders"]) == 2 for changed in slices.values())
    again = Job(tmp_path / "again", inventory(), {}, injected)
    assert again.run("builders") == 0
    assert again.artifacts()["quayside_changes"] == {name: {"builders": []} for name in FLEET}
