# Copyright (c) 2026, quayside.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How to reach an API server: kubernetes.core's options, environment variables and rules, or a login with a password.

The usual case, a host with a token or certificate or a kubeconfig file with static credentials, is read here, because
importing the package kubernetes takes up to 1.3 seconds (up to version 33, measured; 0.2 from 36). All else (plugins,
OIDC, in-cluster, proxies, several files) is kubernetes.core's, which means the same by the same options: a test compares.
"""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import os
import ssl
import tempfile
import traceback
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from ansible_collections.kubernetes.core.plugins.module_utils.args_common import AUTH_ARG_MAP

from ansible_collections.quayside.registry.plugins.module_utils.errors import InputError, RegistryError
from ansible_collections.quayside.registry.plugins.module_utils.plan import WORKERS

IMPORT_ERROR: str | None = None
try:
    import urllib3
    import yaml
    from urllib3.util.ssl_ import create_urllib3_context
except ImportError:
    IMPORT_ERROR = traceback.format_exc()

#: What a kubeconfig's cluster and user may say to be read here.
_CLUSTER_KEYS = {
    "server",
    "certificate-authority",
    "certificate-authority-data",
    "insecure-skip-tls-verify",
    "tls-server-name",
}
_USER_KEYS = {"client-certificate", "client-certificate-data", "client-key", "client-key-data", "token"}
#: kubernetes.core's (kubernetes') names of the options that are read here.
_PLAIN = {"kubeconfig", "context", "host", "api_key", "verify_ssl", "ssl_ca_cert", "cert_file", "key_file"}
_PROXIES = ("http_proxy", "https_proxy", "all_proxy")


@dataclasses.dataclass(frozen=True)
class Connection:
    """An open way to an API server. ``credentials`` are the headers of the next request: a plugin's token changes."""

    host: str
    pool: Any
    credentials: Callable[[], Mapping[str, str]]
    impersonation: Mapping[str, str | list[str]]
    close: Callable[[], None] = lambda: None


@dataclasses.dataclass(frozen=True)
class Plain:
    """Static credentials. Certificates and the key are PEM."""

    host: str
    token: str = ""
    verify: bool = True
    ca: bytes = b""
    certificate: bytes = b""
    key: bytes = b""
    server_name: str = ""

    def pool(self) -> Any:
        """Raises OSError for certificates or keys that cannot be read."""
        context = create_urllib3_context()
        context.check_hostname = self.verify
        context.verify_mode = ssl.CERT_REQUIRED if self.verify else ssl.CERT_NONE
        if self.ca:
            _from_file(context.load_verify_locations, self.ca)
        else:
            context.load_default_certs()
        if self.certificate:
            _from_file(context.load_cert_chain, self.certificate + b"\n" + self.key)
        named = {"server_hostname": self.server_name} if self.server_name else {}
        reqs = "CERT_REQUIRED" if self.verify else "CERT_NONE"
        return urllib3.PoolManager(maxsize=WORKERS, ssl_context=context, cert_reqs=reqs, **named)


def open_connection(params: Mapping[str, Any]) -> Connection:
    """A connection from kubernetes.core's options (``params``) and the environment.

    With ``username``, ``password`` and ``host`` it logs in on OpenShift's OAuth server; closing it logs out.
    """
    if IMPORT_ERROR:
        raise RegistryError(
            "The Python packages urllib3 and PyYAML are needed where this module runs. Install them with: pip install"
            f" kubernetes. {IMPORT_ERROR}"
        )
    auth = given(params)
    impersonation = _impersonation(params)
    try:
        simple = plain(auth)
        if simple is None:
            return _from_kubernetes_core(params, impersonation)
        headers = {"Authorization": f"Bearer {simple.token}"} if simple.token else {}
        return Connection(simple.host, simple.pool(), lambda: headers, impersonation)
    except (OSError, ValueError) as error:
        raise unusable(error) from error


@contextlib.contextmanager
def without_environment() -> Iterator[None]:
    """Without the environment variables that name a cluster (K8S_AUTH_…). Not for use beside other threads."""
    hidden = {name: os.environ.pop(name) for name in list(os.environ) if name.startswith("K8S_AUTH_")}
    try:
        yield
    finally:
        os.environ.update(hidden)


def unusable(error: Exception) -> InputError:
    return InputError(
        f"No usable connection to a cluster: {error}. Set kubeconfig (and context), or host and api_key, or the"
        " environment variables K8S_AUTH_KUBECONFIG, K8S_AUTH_HOST and K8S_AUTH_API_KEY."
    )


def given(params: Mapping[str, Any]) -> dict[str, Any]:
    """The options that are set, by kubernetes' names: of the module, else of the environment (K8S_AUTH_…)."""
    auth: dict[str, Any] = {}
    for name, option in AUTH_ARG_MAP.items():
        value = params.get(option)
        if value is None:
            value = os.environ.get(f"K8S_AUTH_{option.upper()}") or os.environ.get(f"K8S_AUTH_{name.upper()}")
            if name == "verify_ssl" and value is not None:
                value = value.lower() not in ("0", "false", "no")
        if value is not None:
            auth[name] = value
    return auth


def plain(auth: Mapping[str, Any]) -> Plain | None:
    """The static credentials that these options mean; None where it takes kubernetes.core to tell."""
    if set(auth) - _PLAIN or any(name.startswith("K8S_AUTH_PROXY") for name in os.environ):
        return None
    if any(os.environ.get(name) or os.environ.get(name.upper()) for name in _PROXIES):
        return None
    host, token, certificate, key = (auth.get(name) for name in ("host", "api_key", "cert_file", "key_file"))
    simple = Plain(str(host)) if host and (token or (certificate and key)) else _from_kubeconfig(auth)
    if simple is None or bool(certificate) != bool(key):
        return None
    changed: dict[str, Any] = {"host": str(host or simple.host).rstrip("/")}
    if token:
        changed["token"] = token
    if "verify_ssl" in auth:
        changed["verify"] = bool(auth["verify_ssl"])
    if auth.get("ssl_ca_cert"):
        changed["ca"] = Path(auth["ssl_ca_cert"]).read_bytes()
    if certificate and key:
        changed.update(certificate=Path(certificate).read_bytes(), key=Path(key).read_bytes())
    return dataclasses.replace(simple, **changed)


def _from_kubeconfig(auth: Mapping[str, Any]) -> Plain | None:
    where = auth.get("kubeconfig")
    if not where:
        if not auth.get("context") and "KUBERNETES_SERVICE_HOST" in os.environ:
            return None
        where = os.environ.get("KUBECONFIG") or "~/.kube/config"
    if not isinstance(where, str):
        return None
    file = Path(where).expanduser()
    try:
        config = yaml.load(file.read_text(encoding="utf-8"), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
        context = _named(config, "contexts", "context", auth.get("context") or config["current-context"])
        cluster = _named(config, "clusters", "cluster", context["cluster"])
        user = _named(config, "users", "user", context["user"])
        if set(cluster) - _CLUSTER_KEYS or set(user) - _USER_KEYS or not str(cluster["server"]).startswith("https:"):
            return None
        return Plain(
            host=cluster["server"],
            token=user.get("token") or "",
            verify=not cluster.get("insecure-skip-tls-verify"),
            ca=_content(cluster, "certificate-authority", file.parent),
            certificate=_content(user, "client-certificate", file.parent),
            key=_content(user, "client-key", file.parent),
            server_name=cluster.get("tls-server-name") or "",
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError, yaml.YAMLError):
        return None  # several files, none, or a broken one: kubernetes.core knows, or has the words for it


def _named(config: Mapping[str, Any], plural: str, singular: str, name: str) -> Mapping[str, Any]:
    """The value of that name in one of a kubeconfig's lists. Raises KeyError."""
    for item in config[plural]:
        if item["name"] == name:
            value: Mapping[str, Any] = item[singular]
            return value
    raise KeyError(name)


def _content(section: Mapping[str, Any], key: str, folder: Path) -> bytes:
    """PEM out of a kubeconfig: given as data, or as a file's name relative to the kubeconfig."""
    if section.get(f"{key}-data"):
        return base64.b64decode(section[f"{key}-data"])
    return (folder / section[key]).read_bytes() if section.get(key) else b""


def _from_file(load: Callable[[str], Any], content: bytes) -> None:
    """The ssl module reads only files: one that nobody else may read, for a moment."""
    with tempfile.NamedTemporaryFile(prefix="quayside-") as file:
        file.write(content)
        file.flush()
        load(file.name)


def _impersonation(params: Mapping[str, Any]) -> dict[str, str | list[str]]:
    user = params.get("impersonate_user") or os.environ.get("K8S_AUTH_IMPERSONATE_USER")
    groups = params.get("impersonate_groups")
    if groups is None:
        groups = [name for name in os.environ.get("K8S_AUTH_IMPERSONATE_GROUPS", "").split(",") if name]
    headers = {"Impersonate-User": user, "Impersonate-Group": groups}
    return {name: value for name, value in headers.items() if value}


def _from_kubernetes_core(params: Mapping[str, Any], impersonation: Mapping[str, str | list[str]]) -> Connection:
    try:
        from ansible_collections.kubernetes.core.plugins.module_utils.k8s import client as core_client
        from kubernetes.client.rest import RESTClientObject
        from kubernetes.config import ConfigException
    except ImportError as error:
        raise RegistryError(
            "The Python package kubernetes and the collection kubernetes.core are needed where this module runs. Install"
            f" them with: pip install kubernetes; ansible-galaxy collection install kubernetes.core. {error}"
        ) from error
    auth = core_client._create_auth_spec(None, **params)
    username, password = auth.pop("username", None), auth.pop("password", None)
    close: Callable[[], None] = Connection.close
    if username and password and not auth.get("api_key"):
        if not auth.get("host"):
            raise InputError(
                "username and password are for OpenShift's OAuth server: set host to the API server's URL, too."
            )
        from ansible_collections.quayside.registry.plugins.module_utils.openshift import oauth

        login = oauth.log_in(auth, username, password)
        configuration, close = login.configuration, login.log_out
    else:
        try:
            configuration = core_client._create_configuration(auth)
        except ConfigException as error:
            raise unusable(error) from error

    def credentials() -> dict[str, str]:
        settings = configuration.auth_settings().values()
        return {item["key"]: item["value"] for item in settings if item["in"] == "header" and item["value"]}

    configuration.connection_pool_maxsize = WORKERS
    pool = RESTClientObject(configuration).pool_manager
    return Connection(str(configuration.host).rstrip("/"), pool, credentials, impersonation, close)
