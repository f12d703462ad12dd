"""Ways to a cluster that work, and those that do not, each with its sentence."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from support import run_module
from world.pki import Authority
from world.world import World

Read = Callable[..., dict[str, Any]]
ABSENT = [{"name": "nobody", "namespace": "default", "state": "absent"}]


@pytest.fixture
def read(world: World) -> Read:
    """A module that only reads, with a token as its credentials unless told otherwise."""
    token = world.service_account_token("default", "default")
    world.plane.admin.create(
        "/apis/rbac.authorization.k8s.io/v1/namespaces/default/rolebindings",
        {
            "metadata": {"name": "connection-test"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"},
            "subjects": [{"kind": "ServiceAccount", "name": "default", "namespace": "default"}],
        },
    )
    ca = world.directory / "api-ca.crt"
    ca.write_bytes(world.plane.ca)
    defaults = {"host": world.url, "api_key": token, "ca_cert": str(ca), "service_accounts": ABSENT}

    def read(**params: Any) -> dict[str, Any]:
        return run_module("service_accounts", **{**defaults, **params})

    return read


@pytest.fixture
def stranger(tmp_path: Path) -> str:
    """A CA that signed nothing here."""
    file = tmp_path / "stranger.crt"
    file.write_bytes(Authority.create("somebody else").certificate)
    return str(file)


def without(**options: Any) -> dict[str, Any]:
    return {"host": None, "api_key": None, "ca_cert": None, **options}


def test_a_token_and_a_ca(read: Read) -> None:
    assert not read().get("failed")


@pytest.mark.filterwarnings("ignore:Unverified HTTPS request")
def test_unverified_where_asked(read: Read, stranger: str) -> None:
    assert not read(validate_certs=False).get("failed")
    assert not read(validate_certs=False, ca_cert=stranger).get("failed")


def test_a_kubeconfig_as_a_file_in_the_environment_and_as_data(
    read: Read, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not read(**without(kubeconfig=str(world.admin_kubeconfig))).get("failed")
    assert not read(**without(kubeconfig=yaml.safe_load(world.admin_kubeconfig.read_text()))).get("failed")
    monkeypatch.setenv("K8S_AUTH_KUBECONFIG", str(world.admin_kubeconfig))
    assert not read(**without()).get("failed")


def test_a_plugin_for_credentials(read: Read, world: World, tmp_path: Path) -> None:
    plugin = tmp_path / "plugin"
    token = world.service_account_token("default", "default")
    answer = {"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": {"token": token}}
    plugin.write_text(f"#!/bin/sh\ncat <<EOF\n{yaml.safe_dump(answer, default_flow_style=True, width=9999)}EOF\n")
    plugin.chmod(0o700)
    config = yaml.safe_load(world.admin_kubeconfig.read_text())
    config["users"][0]["user"] = {
        "exec": {
            "apiVersion": "client.authentication.k8s.io/v1",
            "command": str(plugin),
            "interactiveMode": "Never",
        }
    }
    file = tmp_path / "kubeconfig"
    file.write_text(yaml.safe_dump(config))
    result = read(**without(kubeconfig=str(file)))
    assert "is forbidden" not in str(result.get("msg")) and not result.get("failed"), result["msg"]


def test_a_token_that_is_not_accepted(read: Read) -> None:
    message = read(api_key="expired-or-wrong")["msg"]
    assert "does not accept the credentials: the token or certificate is wrong or has expired" in message


def test_a_certificate_that_is_not_trusted(read: Read, world: World, stranger: str) -> None:
    message = read(ca_cert=stranger)["msg"]
    assert message.startswith(f"The certificate of the API server {world.url} could not be verified:")
    assert "Set ca_cert" in message


def test_a_ca_that_is_none(read: Read, tmp_path: Path) -> None:
    garbage, missing = tmp_path / "garbage.crt", tmp_path / "missing.crt"
    garbage.write_text("no certificate")
    assert read(ca_cert=str(garbage))["msg"].startswith("The file of ca_cert holds no certificate in PEM form")
    assert read(ca_cert=str(missing))["msg"].startswith(f"ca_cert {missing} cannot be read.")


def test_a_server_that_is_not_there(read: Read, world: World) -> None:
    host = f"https://{world.address}:1"
    message = read(host=host)["msg"]
    assert message.startswith(f"The API server {host} cannot be reached:")
    assert "Check host or kubeconfig and context, and the network." in message


def test_a_context_that_is_not_there(read: Read, world: World) -> None:
    message = read(**without(kubeconfig=str(world.admin_kubeconfig), context="nosuch"))["msg"]
    assert message.startswith("No usable connection to a cluster:") and "nosuch" in message


def test_a_right_that_is_missing(read: Read) -> None:
    message = read(service_accounts=[{"name": "new", "namespace": "default"}])["msg"]
    assert message.startswith("Could not create ServiceAccount default/new:")
    assert "Grant that right to the account, or connect as one that has it." in message
