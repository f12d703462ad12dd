"""Connections are made by kubernetes.core's rules, and what cannot be used is one sentence."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.quayside.registry.plugins.module_utils.errors import InputError
from ansible_collections.quayside.registry.plugins.module_utils.openshift.client import connect_elsewhere
from ansible_collections.quayside.registry.plugins.module_utils.openshift.connection import open_connection


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine without clusters."""
    for name in [*os.environ]:
        if name.startswith(("K8S_AUTH_", "KUBE")) or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)


def kubeconfig(file: Path, host: str = "https://file.example.com:6443", token: str = "of-the-file") -> str:
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "one",
        "clusters": [{"name": "one", "cluster": {"server": host}}],
        "users": [{"name": "one", "user": {"token": token}}],
        "contexts": [{"name": "one", "context": {"cluster": "one", "user": "one"}}],
    }
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(yaml.safe_dump(config))
    return str(file)


def bearer(params: dict[str, Any]) -> tuple[str, str]:
    connection = open_connection(params)
    headers = {name.lower(): value for name, value in connection.credentials().items()}
    return connection.host, headers.get("authorization", "")


def test_a_kubeconfig_and_its_home(tmp_path: Path) -> None:
    given = {"kubeconfig": kubeconfig(tmp_path / "config")}
    assert bearer(given) == ("https://file.example.com:6443", "Bearer of-the-file")
    kubeconfig(tmp_path / "other", "https://env.example.com:6443")
    os.environ["K8S_AUTH_KUBECONFIG"] = str(tmp_path / "other")
    assert bearer({})[0] == "https://env.example.com:6443"
    del os.environ["K8S_AUTH_KUBECONFIG"]


def test_an_option_goes_before_the_kubeconfig(tmp_path: Path) -> None:
    file = kubeconfig(tmp_path / "config")
    assert bearer({"kubeconfig": file, "api_key": "given"}) == ("https://file.example.com:6443", "Bearer given")


def test_credentials_as_awx_injects_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("K8S_AUTH_HOST", "https://awx.example.com:6443/")
    monkeypatch.setenv("K8S_AUTH_API_KEY", "injected")
    monkeypatch.setenv("K8S_AUTH_VERIFY_SSL", "False")
    assert bearer({}) == ("https://awx.example.com:6443", "Bearer injected")


def test_two_connections_of_one_process_share_nothing(tmp_path: Path) -> None:
    open_connection({"kubeconfig": kubeconfig(tmp_path / "config")})
    assert bearer({"host": "https://two.example.com", "api_key": "two"}) == ("https://two.example.com", "Bearer two")
    open_connection({"kubeconfig": kubeconfig(tmp_path / "config")})
    with pytest.raises(InputError, match="No usable connection"):
        open_connection({})


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"kubeconfig": "no-such-file"}, "No usable connection to a cluster: .*Set kubeconfig"),
        ({"kubeconfig": "config", "context": "nosuch"}, "No usable connection to a cluster: .*nosuch"),
        ({"host": "https://x", "api_key": "k", "ca_cert": "no-such-ca"}, "ca_cert no-such-ca cannot be read"),
        ({"username": "u", "password": "p"}, "set host to the API server's URL"),
    ],
)
def test_what_cannot_be_used_is_one_sentence(tmp_path: Path, params: dict[str, Any], message: str) -> None:
    kubeconfig(tmp_path / "config")
    with pytest.raises(InputError, match=message):
        open_connection(params)


def test_impersonation(monkeypatch: pytest.MonkeyPatch) -> None:
    token = {"host": "https://x", "api_key": "k"}
    asked = open_connection({**token, "impersonate_user": "alice", "impersonate_groups": ["a", "b"]})
    assert asked.impersonation == {"Impersonate-User": "alice", "Impersonate-Group": ["a", "b"]}
    monkeypatch.setenv("K8S_AUTH_IMPERSONATE_USER", "bob")
    monkeypatch.setenv("K8S_AUTH_IMPERSONATE_GROUPS", "c,d")
    assert open_connection(token).impersonation == {"Impersonate-User": "bob", "Impersonate-Group": ["c", "d"]}


def test_another_cluster_is_not_reached_by_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("K8S_AUTH_HOST", "https://own.example.com")
    monkeypatch.setenv("K8S_AUTH_API_KEY", "of-the-own-cluster")
    monkeypatch.setenv("K8S_AUTH_SSL_CA_CERT", "/nonexistent")
    with connect_elsewhere({"host": "https://other.example.com", "api_key": "of-the-other"}) as other:
        assert other.host == "https://other.example.com"
        assert other._connection.credentials() == {"Authorization": "Bearer of-the-other"}
    assert os.environ["K8S_AUTH_API_KEY"] == "of-the-own-cluster"
