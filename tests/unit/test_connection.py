"""What is read without the package kubernetes is what kubernetes.core reads from the same options and files."""

from __future__ import annotations

import base64
import os
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.kubernetes.core.plugins.module_utils.k8s import client as core_client
from kubernetes.client import Configuration

from ansible_collections.quayside.registry.plugins.module_utils.errors import InputError
from ansible_collections.quayside.registry.plugins.module_utils.openshift.connection import (
    Plain,
    configuration,
    given,
    open_connection,
    plain,
)

PEM = {name: f"-----BEGIN {name}-----\n".encode() for name in ("ca", "cert", "key", "other")}


def data(name: str) -> str:
    return base64.b64encode(PEM[name]).decode()


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine without clusters, with some PEM files in the current folder."""
    for name in [*os.environ]:
        if name.startswith(("K8S_AUTH_", "KUBE")) or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for name, content in PEM.items():
        (tmp_path / f"{name}.pem").write_bytes(content)
    monkeypatch.chdir(tmp_path)


CLUSTERS: dict[str, dict[str, Any]] = {
    "data": {"server": "https://data.example.com:6443", "certificate-authority-data": data("ca")},
    "file": {"server": "https://file.example.com:6443/", "certificate-authority": "ca.pem"},
    "unverified": {"server": "https://u.example.com:6443", "insecure-skip-tls-verify": True},
    "named": {"server": "https://10.0.0.1:6443", "tls-server-name": "api.example.com"},
    "proxied": {"server": "https://p.example.com:6443", "proxy-url": "http://proxy:3128"},
    "http": {"server": "http://h.example.com:8080"},
}
USERS: dict[str, dict[str, Any]] = {
    "token": {"token": "t0ken"},
    "certificate": {"client-certificate-data": data("cert"), "client-key-data": data("key")},
    "files": {"client-certificate": "cert.pem", "client-key": "key.pem"},
    "both": {"token": "t0ken", "client-certificate": "cert.pem", "client-key": "key.pem"},
    "nobody": {},
    "password": {"username": "u", "password": "p"},
    "plugin": {"exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": "true"}},
}


def kubeconfig(folder: Path, current: str = "data-token") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in PEM.items():
        (folder / f"{name}.pem").write_bytes(content)
    contexts = [
        {"name": f"{cluster}-{user}", "context": {"cluster": cluster, "user": user}}
        for cluster in CLUSTERS
        for user in USERS
    ]
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": current,
        "clusters": [{"name": name, "cluster": value} for name, value in CLUSTERS.items()],
        "users": [{"name": name, "user": value} for name, value in USERS.items()],
        "contexts": contexts,
    }
    (folder / "config").write_text(yaml.safe_dump(config))
    return folder / "config"


def reference(params: dict[str, Any]) -> Plain:
    """What kubernetes.core makes of the same options, in a process that has done nothing before."""
    Configuration.set_default(None)
    configuration = core_client._create_configuration(core_client._create_auth_spec(None, **params))
    configuration.refresh_api_key_hook = None  # it would put back what the options have replaced
    token = configuration.auth_settings().get("BearerToken", {}).get("value") or ""

    def content(path: str | None) -> bytes:
        return Path(path).read_bytes() if path else b""

    return Plain(
        configuration.host,
        token.removeprefix("Bearer "),
        configuration.verify_ssl,
        content(configuration.ssl_ca_cert),
        content(configuration.cert_file),
        content(configuration.key_file),
        configuration.tls_server_name or "",
    )


def read(params: dict[str, Any]) -> Plain | None:
    return plain(given(params))


@pytest.mark.parametrize("cluster", ["data", "file", "unverified", "named"])
@pytest.mark.parametrize("user", ["token", "certificate", "files", "both", "nobody"])
def test_a_kubeconfig_with_static_credentials(tmp_path: Path, cluster: str, user: str) -> None:
    params = {"kubeconfig": str(kubeconfig(tmp_path / "elsewhere")), "context": f"{cluster}-{user}"}
    assert read(params) == reference(params)


@pytest.mark.parametrize(
    "options",
    [
        {"host": "https://x.example.com/", "api_key": "given"},
        {"host": "https://x.example.com", "api_key": "given", "validate_certs": False},
        {"host": "https://x.example.com", "api_key": "given", "ca_cert": "other.pem"},
        {"host": "https://x.example.com", "client_cert": "cert.pem", "client_key": "key.pem"},
        {"kubeconfig": "config"},
        {"kubeconfig": "config", "api_key": "given"},
        {"kubeconfig": "config", "host": "https://x.example.com"},
        {"kubeconfig": "config", "validate_certs": False},
        {"kubeconfig": "config", "context": "unverified-token", "validate_certs": True},
        {"kubeconfig": "config", "ca_cert": "other.pem"},
        {"kubeconfig": "config", "client_cert": "other.pem", "client_key": "other.pem"},
        {"context": "file-certificate"},
        {},
    ],
    ids=str,
)
@pytest.mark.parametrize("by", ["options", "environment"])
def test_options_and_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: dict[str, Any], by: str
) -> None:
    kubeconfig(tmp_path)
    kubeconfig(tmp_path / "home" / ".kube", "named-files")
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "home" / ".kube" / "config"))
    # read when the package is imported
    monkeypatch.setattr("kubernetes.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION", os.environ["KUBECONFIG"])
    params = options
    if by == "environment":
        params = {}
        for name, value in options.items():
            monkeypatch.setenv(f"K8S_AUTH_{name.upper()}", str(value))
    assert read(params) == reference(params)


def test_the_home_folders_kubeconfig(tmp_path: Path) -> None:
    kubeconfig(tmp_path / "home" / ".kube", "file-token")
    simple = read({})
    assert simple is not None
    assert (simple.host, simple.token, simple.ca) == ("https://file.example.com:6443", "t0ken", PEM["ca"])


@pytest.mark.parametrize(
    "params",
    [
        {"kubeconfig": "config", "context": "data-token"},
        {"kubeconfig": "config", "context": "proxied-token"},
        {"kubeconfig": "config", "proxy": "http://proxy:3128", "no_proxy": "example.com", "validate_certs": False},
        {"kubeconfig": f"config{os.pathsep}other", "host": "https://x.example.com/"},
        {"kubeconfig": {"from": "dict"}},
        {"host": "https://x.example.com", "username": "u", "password": "p", "ca_cert": "ca.pem"},
        {"context": "file-files", "proxy_headers": {"proxy_basic_auth": "a:b"}},
    ],
    ids=str,
)
def test_the_package_kubernetes_is_given_what_kubernetes_core_gives_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, params: dict[str, Any]
) -> None:
    file = kubeconfig(tmp_path)
    monkeypatch.setattr("kubernetes.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION", str(file))
    (tmp_path / "other").write_text(yaml.safe_dump({"current-context": "data-token"}))
    if isinstance(params.get("kubeconfig"), dict):
        params = {"kubeconfig": yaml.safe_load(file.read_text())}
    Configuration.set_default(None)
    theirs = core_client._create_configuration(core_client._create_auth_spec(None, **params))
    ours = configuration(given(params))
    assert ours.host == theirs.host.rstrip("/")
    for name in ("verify_ssl", "proxy", "no_proxy", "tls_server_name"):
        assert getattr(ours, name) == getattr(theirs, name), name
    assert dict(ours.proxy_headers or {}) == dict(theirs.proxy_headers or {})
    for name in ("ssl_ca_cert", "cert_file", "key_file"):
        paths = getattr(ours, name), getattr(theirs, name)
        contents = [Path(path).read_bytes() if path else b"" for path in paths]
        assert contents[0] == contents[1], name


@pytest.mark.parametrize(
    "params",
    [
        {"kubeconfig": "config", "context": "data-password"},
        {"kubeconfig": "config", "context": "data-plugin"},
        {"kubeconfig": "config", "context": "proxied-token"},
        {"kubeconfig": "config", "context": "http-token"},
        {"kubeconfig": "config", "context": "no-such-context"},
        {"kubeconfig": "no-such-file"},
        {"kubeconfig": "ca.pem"},
        {"kubeconfig": f"config{os.pathsep}other"},
        {"kubeconfig": {"clusters": []}},
        {"kubeconfig": "config", "proxy": "http://proxy:3128"},
        {"kubeconfig": "config", "client_cert": "cert.pem"},
        {"host": "https://x.example.com", "username": "u", "password": "p"},
    ],
    ids=str,
)
def test_all_else_is_left_to_kubernetes_core(tmp_path: Path, params: dict[str, Any]) -> None:
    kubeconfig(tmp_path)
    assert read(params) is None


@pytest.mark.parametrize(
    "name", ["HTTPS_PROXY", "https_proxy", "KUBERNETES_SERVICE_HOST", "K8S_AUTH_PROXY_HEADERS_USER_AGENT"]
)
def test_an_environment_that_takes_more_is_left_to_kubernetes_core(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    kubeconfig(tmp_path / "home" / ".kube")
    assert read({}) is not None
    monkeypatch.setenv(name, "http://proxy:3128")
    assert read({}) is None


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"kubeconfig": "no-such-file"}, "No usable connection to a cluster: .*Set kubeconfig"),
        ({"kubeconfig": "config", "context": "nosuch"}, "No usable connection to a cluster: .*nosuch"),
        ({"host": "https://x", "api_key": "k", "ca_cert": "no-such-ca"}, "No usable connection.*no-such-ca"),
        ({"host": "https://x", "api_key": "k", "ca_cert": "ca.pem"}, "No usable connection to a cluster"),
        ({"username": "u", "password": "p"}, "set host to the API server's URL"),
    ],
)
def test_what_cannot_be_used_is_one_sentence(tmp_path: Path, params: dict[str, Any], message: str) -> None:
    kubeconfig(tmp_path)
    with pytest.raises(InputError, match=message):
        open_connection(params)


def test_impersonation(monkeypatch: pytest.MonkeyPatch) -> None:
    token = {"host": "https://x", "api_key": "k"}
    asked = open_connection({**token, "impersonate_user": "alice", "impersonate_groups": ["a", "b"]})
    assert asked.impersonation == {"Impersonate-User": "alice", "Impersonate-Group": ["a", "b"]}
    monkeypatch.setenv("K8S_AUTH_IMPERSONATE_USER", "bob")
    monkeypatch.setenv("K8S_AUTH_IMPERSONATE_GROUPS", "c,d")
    assert open_connection(token).impersonation == {"Impersonate-User": "bob", "Impersonate-Group": ["c", "d"]}
