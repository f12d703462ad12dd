"""User and password on the OAuth server: logged in for the task, and really logged out after it."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from clusters import new_project, summaries

from ansible_collections.quayside.registry.plugins.module_utils.openshift import oauth
from support import run_module
from world.pki import Authority
from world.world import World

TOKENS = "/apis/oauth.openshift.io/v1/oauthaccesstokens"
Login = Callable[..., dict[str, Any]]


@pytest.fixture
def log_in(world: World) -> Login:
    """Run a module that only reads, as a user with a password."""

    def log_in(user: str = "admin", **params: Any) -> dict[str, Any]:
        defaults = {
            "host": world.url,
            "username": user,
            "password": world.password(user),
            "ca_cert": str(world.ca_bundle),
            "service_accounts": [{"name": "nobody", "namespace": "default", "state": "absent"}],
        }
        return run_module("service_accounts", **{**defaults, **params})

    return log_in


def tokens(world: World) -> set[str]:
    return {item["metadata"]["name"] for item in world.plane.admin.request("GET", TOKENS)["items"]}


def accepted(world: World, token: str) -> bool:
    review = {"spec": {"token": token}}
    answer = world.plane.admin.request("POST", "/apis/authentication.k8s.io/v1/tokenreviews", review)
    return bool(answer["status"].get("authenticated"))


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The tokens that the OAuth server gave while the test ran."""
    given: list[str] = []
    get_token = oauth.Login.get_token

    def noted(self: Any) -> None:
        get_token(self)
        given.append(self.token["access_token"])

    monkeypatch.setattr(oauth.Login, "get_token", noted)
    return given


def assert_logged_out(world: World, given: list[str]) -> None:
    """One token was given, and its object is gone."""
    (token,) = given
    assert oauth.token_object_name(token) not in tokens(world)


@pytest.mark.parametrize("user", ["admin", "developer", "other"])
def test_any_password_works_and_ends_with_a_logout(log_in: Login, world: World, given: list[str], user: str) -> None:
    assert not log_in(user).get("failed")
    assert_logged_out(world, given)


def test_a_token_ends_with_the_logout(log_in: Login, world: World, given: list[str]) -> None:
    assert not log_in().get("failed")
    deadline = time.monotonic() + 20  # the API server remembers a token that it has just seen for a while
    while accepted(world, given[0]) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert not accepted(world, given[0])


def test_the_passwords_have_what_is_hard() -> None:
    from world.world import PASSWORDS

    assert any(":" in password for password in PASSWORDS.values())
    assert not all(password.isascii() for password in PASSWORDS.values())


def test_it_is_that_user_who_writes(world: World, given: list[str]) -> None:
    connection = {"host": world.url, "username": "developer", "password": world.password("developer")}
    wanted = [{"name": "ci", "namespace": "by-password"}]
    with new_project(world, "by-password"):
        result = run_module(
            "service_accounts",
            service_accounts=wanted,
            create_projects=True,
            ca_cert=str(world.ca_bundle),
            **connection,
        )
        assert summaries(result) == ["create ProjectRequest by-password", "create ServiceAccount ci"]
        project = world.plane.admin.request("GET", "/api/v1/namespaces/by-password")
        assert project["metadata"]["annotations"]["openshift.io/requester"] == "developer"
    assert given[0] not in str(result) and world.password("developer") not in str(result)


def test_an_administrator_acts_as_another_user_with_all_his_groups(world: World) -> None:
    groups = ["system:authenticated", "system:authenticated:oauth"]  # only the second may request projects
    with new_project(world, "by-impersonation"):
        result = run_module(
            "service_accounts",
            service_accounts=[{"name": "ci", "namespace": "by-impersonation"}],
            create_projects=True,
            kubeconfig=str(world.admin_kubeconfig),
            impersonate_user="developer",
            impersonate_groups=groups,
        )
        assert summaries(result)[0] == "create ProjectRequest by-impersonation"
        project = world.plane.admin.request("GET", "/api/v1/namespaces/by-impersonation")
        assert project["metadata"]["annotations"]["openshift.io/requester"] == "developer"


def test_a_failing_task_logs_out(log_in: Login, world: World, given: list[str]) -> None:
    missing = [{"name": "ci", "namespace": "no-such-project"}]
    assert log_in(service_accounts=missing)["failed"]
    assert_logged_out(world, given)


@pytest.mark.parametrize(
    ("username", "password"), [("developer", "wrong"), ("nobody", "wrong"), ("Developer", "wrong")]
)
def test_a_wrong_password_is_named(log_in: Login, world: World, username: str, password: str) -> None:
    before = tokens(world)
    message = log_in(username=username, password=password)["msg"]
    assert message == f"The OAuth server of {world.url} does not accept username {username} with this password."
    assert tokens(world) == before


def test_a_host_is_needed(log_in: Login) -> None:
    assert "set host to the API server's URL" in log_in(host=None)["msg"]


def test_an_unreachable_host_is_named(log_in: Login, world: World) -> None:
    host = f"https://{world.address}:1"
    message = log_in(host=host)["msg"]
    assert message.startswith(f"The OAuth server of {host} cannot be reached:")


def test_an_untrusted_certificate_names_the_option(log_in: Login, tmp_path: Path) -> None:
    stranger = tmp_path / "stranger.crt"
    stranger.write_bytes(Authority.create("somebody else").certificate)
    message = log_in(ca_cert=str(stranger))["msg"]
    assert "could not be verified" in message
    assert "Set ca_cert to a file with the CA of the API server and the CA of the ingress" in message


def test_the_api_servers_ca_alone_is_not_enough(log_in: Login, world: World, tmp_path: Path) -> None:
    only = tmp_path / "api.crt"
    only.write_bytes(world.plane.ca)
    assert "the CA of the ingress (the OAuth server is behind the router)" in log_in(ca_cert=str(only))["msg"]


@pytest.mark.filterwarnings("ignore:Unverified HTTPS request")
def test_unverified_where_asked(log_in: Login, world: World, given: list[str]) -> None:
    assert not log_in(ca_cert=None, validate_certs=False).get("failed")
    assert_logged_out(world, given)


def test_the_environment_does_not_replace_ca_cert_or_credentials(
    log_in: Login, world: World, given: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stranger = tmp_path / "stranger.crt"
    stranger.write_bytes(Authority.create("somebody else").certificate)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(stranger))
    netrc = tmp_path / "netrc"
    netrc.write_text("default login somebody password else\n")
    monkeypatch.setenv("NETRC", str(netrc))
    assert not log_in().get("failed")
    assert_logged_out(world, given)


def test_a_cluster_without_an_oauth_server_is_named(log_in: Login, world: World) -> None:
    document = world.directory / "oauth-metadata.json"
    content = document.read_text()
    document.unlink()
    try:
        message = log_in()["msg"]
    finally:
        document.write_text(content)
    assert message.startswith(f"{world.url} offers no login with username and password (no OAuth server;")
    assert "Use api_key or kubeconfig." in message


def test_the_token_objects_name_is_a_hash() -> None:
    token = "sha256~CaCZ9tG2Qs8kPX0q_vmR5NDBQeTBnAWTuTDh7ptf3kA"
    name = oauth.token_object_name(token)
    assert name.startswith("sha256~") and name != token and len(name) == len(token)
    assert oauth.token_object_name("legacy") == "legacy"
