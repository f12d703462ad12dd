"""Tokens of Amazon ECR in pull secrets and auth files: asked for when they are due, and accepted by a registry until they end."""

from __future__ import annotations

import base64
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from aws import Aws, aws
from clusters import new_project, path, read, summaries
from unit.fake_registry import FakeRegistry, serve

from playbooks import environment, run_playbook
from support import run_module
from world.pki import Authority
from world.world import World

ANNOTATION = "quayside.registry/registries"


@pytest.fixture
def amazon(monkeypatch: pytest.MonkeyPatch) -> Iterator[Aws]:
    with aws() as running:
        for name, value in running.environment().items():
            monkeypatch.setenv(name, value)
        yield running


@pytest.fixture
def registry(tmp_path: Path, amazon: Aws) -> Iterator[FakeRegistry]:
    """A registry that accepts the tokens that were issued, for as long as they are listed in ``rights``."""

    class Issued(dict[str, set[str]]):
        def __contains__(self, password: object) -> bool:
            return password in amazon.issued

    authority = Authority.create("ECR's CA")
    with serve(tmp_path, authority, Issued()) as running:
        ca = authority.certificate.decode()
        run_module("certs_d", registries=[{"host": running.host, "ca_certificates": ca}])
        yield running


@pytest.fixture
def project(world: World) -> Iterator[str]:
    with new_project(world) as name:
        yield name


def give(world: World, project: str, host: str, **options: Any) -> dict[str, Any]:
    login = {"registry": host, "ecr": {"region": "eu-west-1", **options.pop("ecr", {})}, **options}
    wanted = {"name": "ecr", "namespaces": [project], "registries": [login]}
    return run_module("pull_secrets", kubeconfig=str(world.admin_kubeconfig), pull_secrets=[wanted])


def password(world: World, project: str, host: str) -> str:
    secret = read(world, "secrets", project, "ecr")
    entry = json.loads(base64.b64decode(secret["data"][".dockerconfigjson"]))["auths"][host]["auth"]
    return base64.b64decode(entry).decode().partition(":")[2]


@pytest.mark.parametrize("opaque", [True, False])
def test_a_token_is_kept_until_it_ends_soon(
    world: World, project: str, amazon: Aws, registry: FakeRegistry, opaque: bool
) -> None:
    amazon.opaque = opaque
    made = give(world, project, registry.host)
    assert summaries(made) == ["create Secret ecr"]
    assert "warnings" not in made  # it was proven
    shown = made["pull_secrets"][0]["registries"][0]
    assert shown["username"] == "AWS" and shown["expires_at"]
    assert [password(world, project, registry.host)] == amazon.issued
    assert amazon.issued[0] not in str(made)
    recorded = json.loads(read(world, "secrets", project, "ecr")["metadata"]["annotations"][ANNOTATION])
    assert recorded == {registry.host: shown["expires_at"] if opaque else ""}

    assert summaries(give(world, project, registry.host)) == []
    assert len(amazon.issued) == 1

    renewed = give(world, project, registry.host, renew_before=43199, force_renew=True)
    assert summaries(renewed) == ["update Secret ecr"]
    assert password(world, project, registry.host) == amazon.issued[1]


def test_an_expired_token_is_replaced(world: World, project: str, amazon: Aws, registry: FakeRegistry) -> None:
    amazon.opaque = True
    give(world, project, registry.host)
    past = {"metadata": {"annotations": {ANNOTATION: json.dumps({registry.host: "2026-01-01T00:00:00Z"})}}}
    world.plane.admin.request("PATCH", path("secrets", project, "ecr"), past)
    renewed = give(world, project, registry.host)
    assert renewed["pull_secrets"][0]["registries"][0]["reason"] == "the token has expired at 2026-01-01T00:00:00Z"
    assert password(world, project, registry.host) == amazon.issued[1]


def test_an_expired_token_promotes_nothing_and_says_whose_it_is(
    amazon: Aws, registry: FakeRegistry, tmp_path: Path
) -> None:
    ended = amazon.token()  # the registry knows only those that were issued
    auth_file = tmp_path / "auth.json"
    auth_file.write_text(json.dumps({"auths": {registry.host: {"username": "AWS", "password": ended}}}))
    images = [{"source": f"{registry.host}/shop/web:1", "destinations": [f"{registry.host}/shop/live:1"]}]
    result = run_module("image_promotion", images=images, auth_file=str(auth_file))
    assert result["msg"].startswith(f"{registry.host} does not let user AWS read shop/web:1: ")
    assert result["changed"] is False and ended not in json.dumps(result)


def test_as_another_role(world: World, project: str, amazon: Aws, registry: FakeRegistry) -> None:
    role = {"role_arn": "arn:aws:iam::123456789012:role/puller"}
    assert summaries(give(world, project, registry.host, ecr=role)) == ["create Secret ecr"]


def test_what_aws_refuses_names_the_source_and_leaves_what_is_stored(
    world: World, project: str, amazon: Aws, registry: FakeRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    give(world, project, registry.host)
    said = []
    for options in ({"ecr": {"profile": "nobody"}}, {}):
        if not options:
            monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
            monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
        said.append(give(world, project, registry.host, force_renew=True, **options)["msg"])
    assert all(text.startswith(f"pull_secrets[0].registries[0] ({registry.host}), Amazon ECR: AWS") for text in said)
    assert "The config profile (nobody) could not be found" in said[0]
    assert "Could not connect to the endpoint URL" in said[1] and "What is stored was left alone." in said[1]
    assert password(world, project, registry.host) == amazon.issued[0]


def test_a_login_on_a_host(amazon: Aws, registry: FakeRegistry, tmp_path: Path) -> None:
    file = tmp_path / "auth.json"
    login = {"registry": registry.host, "ecr": {"region": "eu-west-1"}}

    def run(**options: Any) -> dict[str, Any]:
        task = {"quayside.registry.registry_auth": {"registries": [{**login, **options}], "path": str(file)}}
        variables = {"ansible_python_interpreter": sys.executable}
        play = {"hosts": "localhost", "connection": "local", "gather_facts": False, "vars": variables, "tasks": [task]}
        (tmp_path / "playbook.yml").write_text(json.dumps([play]))
        env = environment(tmp_path / "no-kubeconfig", tmp_path)
        done = run_playbook(tmp_path / "playbook.yml", env, inventory=Path("localhost,"))
        assert not done.failures
        return done.results[0][2]

    made = run()
    assert made["changed"] and made["credentials"][0]["username"] == "AWS" and made["credentials"][0]["expires_at"]
    entry = json.loads(file.read_text())["auths"][registry.host]["auth"]
    assert base64.b64decode(entry).decode() == f"AWS:{amazon.issued[0]}"
    assert run()["changed"] is False
    assert len(amazon.issued) == 1
    assert run(force_renew=True)["changed"] is True


def test_a_repository_that_another_made_in_the_meantime_is_as_good(
    amazon: Aws, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ansible_collections.quayside.registry.plugins.module_utils import ecr

    wanted = {"region": "eu-west-1", "repositories": ["shop/web"]}
    assert summaries(run_module("ecr_repositories", **wanted)) == ["create EcrRepository shop/web"]
    monkeypatch.setattr(ecr, "missing_repositories", lambda *_arguments: ["shop/web"])
    assert summaries(run_module("ecr_repositories", **wanted)) == ["create EcrRepository shop/web"]


def test_bad_names_and_profiles(amazon: Aws) -> None:
    result = run_module("ecr_repositories", region="eu-west-1", repositories=["Shop"])
    assert result["msg"] == "repositories[0]: 'Shop' must be in lower case: 'shop'."
    result = run_module("ecr_repositories", region="eu-west-1", repositories=["shop"], profile="nobody")
    assert "The config profile (nobody) could not be found" in result["msg"]


@pytest.mark.filterwarnings("ignore:Exception.IAMException. with code AccessDenied")  # moto's list of errors is short
def test_whether_nodes_may_pull_is_asked_of_iam(amazon: Aws) -> None:
    iam = boto3.client("iam", region_name="eu-west-1")
    role = iam.create_role(RoleName="worker", AssumeRolePolicyDocument="{}")["Role"]["Arn"]

    def ask(*repositories: str) -> dict[str, Any]:
        return run_module(
            "ecr_repositories", region="eu-west-1", repositories=list(repositories), node_role_arn=role, check=True
        )

    nothing = ask("shop/web")
    arn = "arn:aws:ecr:eu-west-1:123456789012:repository/shop"
    assert nothing["node_pull_denied"] == [
        "ecr:GetAuthorizationToken *",
        f"ecr:BatchCheckLayerAvailability {arn}/web",
        f"ecr:BatchGetImage {arn}/web",
        f"ecr:GetDownloadUrlForLayer {arn}/web",
    ]
    (warning,) = nothing["warnings"]
    assert warning.startswith(f"{role} may not pull all of these repositories (ecr:GetAuthorizationToken *, ")

    # the policy that is returned is the one that is needed
    iam.put_role_policy(RoleName="worker", PolicyName="pull", PolicyDocument=json.dumps(nothing["node_pull_policy"]))
    allowed = ask("shop/web")
    assert allowed["node_pull_denied"] == [] and "warnings" not in allowed
    assert f"ecr:BatchGetImage {arn}/api" in ask("shop/web", "shop/api")["node_pull_denied"]

    amazon.may_simulate = False
    unknown = ask("shop/web")
    assert unknown["node_pull_denied"] is None and not unknown.get("failed")
    assert "could not be checked: the caller may not simulate it" in unknown["warnings"][0]


def test_a_role_of_nodes_that_cannot_be_meant(amazon: Aws) -> None:
    wanted = {"region": "eu-west-1", "repositories": ["shop/web"]}
    profile = run_module(
        "ecr_repositories", **wanted, node_role_arn="arn:aws:iam::123456789012:instance-profile/worker"
    )
    assert "is not the ARN of a role (arn:aws:iam::ACCOUNT:role/NAME)" in profile["msg"]
    missing = run_module("ecr_repositories", **wanted, node_role_arn="arn:aws:iam::123456789012:role/nobody")
    assert "does not simulate what arn:aws:iam::123456789012:role/nobody may" in missing["msg"]
    assert missing["changed"] is False
