"""Every module's target (``tests/integration/targets``) and every module's documented examples, run as playbooks."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
import yaml
from aws import aws
from clusters import new_project
from quays import SUPERUSER, quay_in
from registries import PASSWORD, USER, Distribution, Hub, skopeo

from playbooks import environment, run_playbook
from staging import ROOT
from world.external import ExternalRegistry
from world.images import tiny_image
from world.pki import Authority
from world.simulators.quay.database import hashed
from world.world import World

TARGETS = sorted(folder.name for folder in (ROOT / "tests/integration/targets").iterdir())
MODULES = sorted(file.stem for file in (ROOT / "plugins/modules").glob("*.py"))


@pytest.fixture(scope="module", autouse=True)
def amazon() -> Iterator[None]:
    """AWS on loopback for the whole of this file."""
    with aws() as running, pytest.MonkeyPatch.context() as patch:
        for name, value in running.environment().items():
            patch.setenv(name, value)
        iam = boto3.client("iam", region_name="eu-west-1")
        iam.create_role(RoleName="worker", AssumeRolePolicyDocument="{}")  # of the nodes
        yield


def play(tmp_path: Path, **content: object) -> Path:
    playbook = tmp_path / "playbook.yml"
    playbook.write_text(json.dumps([{"hosts": "localhost", "connection": "local", "gather_facts": False, **content}]))
    return playbook


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Variables of something that behaves as the Docker Hub does."""
    folder = tmp_path_factory.mktemp("hub")
    authority = Authority.create("Hub CA")
    ca, _key = authority.write(folder, "ca")
    certificate = authority.server(["localhost"]).write(folder, "server")
    with Distribution(folder / "registry") as registry, Hub(registry, 100, {USER: 200}, certificate) as front:
        image = f"docker://{registry.host}/ratelimitpreview/test:latest"
        skopeo("copy", "--dest-tls-verify=false", tiny_image(folder / "image"), image)
        yield {"hub_host": front.host, "hub_ca": str(ca), "hub_user": USER, "hub_password": PASSWORD}


@pytest.fixture
def quay(world: World, request: pytest.FixtureRequest) -> Iterator[dict[str, str]]:
    """Variables of a Quay, for what is about one: without users, or with a first one for what is about its content."""
    about = " ".join(map(str, request.node.callspec.params.values()))
    if "quay_first" not in about and "quay_content" not in about:
        yield {}
        return
    with new_project(world) as namespace, quay_in(world, namespace) as (host, quay):
        variables = {"quay_host": host, "quay_ca_cert": str(world.ca_bundle)}
        if "quay_content" in about:
            first = {"kind": "user", "name": SUPERUSER, "email": "quayadmin@example.com", "created": 0}
            quay.database.insert("account", **first, password=hashed("content-Pa55word"))
            variables.update(quay_username=SUPERUSER, quay_password="content-Pa55word")
        yield variables


@pytest.fixture(scope="module", autouse=True)
def nothing_left_behind() -> None:
    """No logins of earlier worlds in the folder that the examples use."""
    shutil.rmtree("/tmp/quayside-examples", ignore_errors=True)


def test_every_module_and_role_has_a_target() -> None:
    roles = {folder.name for folder in (ROOT / "roles").iterdir()}
    assert set(TARGETS) == set(MODULES) | roles


@pytest.mark.parametrize("target", TARGETS)
def test_target(
    target: str, world: World, ghcr: ExternalRegistry, hub: dict[str, str], quay: dict[str, str], tmp_path: Path
) -> None:
    env = {**environment(world.admin_kubeconfig, tmp_path), "K8S_AUTH_KUBECONFIG": str(world.admin_kubeconfig)}
    ghcr_ca = tmp_path / "ghcr.crt"
    ghcr_ca.write_text(world.certificate_for("ghcr.io")[0])  # with its CA
    facts = {
        **hub,
        "ghcr_ca": str(ghcr_ca),
        **quay,
        "target_directory": str(tmp_path),
        "registry_host": world.registry_host,
        "ansible_python_interpreter": "{{ ansible_playbook_python }}",
    }
    playbook = play(tmp_path, roles=[str(ROOT / "tests/integration/targets" / target)], vars=facts)
    run = run_playbook(playbook, env, inventory=Path("localhost,"), show=True)
    assert run.status == 0


@pytest.mark.parametrize("module", MODULES)
def test_documented_examples_run(
    module: str, world: World, ghcr: ExternalRegistry, hub: dict[str, str], quay: dict[str, str], tmp_path: Path
) -> None:
    source = (ROOT / "plugins/modules" / f"{module}.py").read_text(encoding="utf-8")
    scope: dict[str, str] = {}
    start = source.index('EXAMPLES = r"""')
    exec(source[start : source.index('"""', start + 20) + 3], scope)
    tasks = yaml.safe_load(scope["EXAMPLES"])
    env = {**environment(world.admin_kubeconfig, tmp_path), "K8S_AUTH_KUBECONFIG": str(world.admin_kubeconfig)}
    for name, (certificate, key) in {"registry.example.com": world.certificate_for("registry.example.com")}.items():
        (tmp_path / f"{name}.crt").write_text(certificate)
        (tmp_path / f"{name}.key").write_text(key)
    playbook = play(
        tmp_path, tasks=tasks, vars={**hub, **quay, "ansible_python_interpreter": "{{ ansible_playbook_python }}"}
    )
    run = run_playbook(playbook, env, inventory=Path("localhost,"), show=True)
    assert run.status == 0
