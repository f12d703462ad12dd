# Copyright (c) 2026, quayside.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How to reach an API server: kubernetes.core's options, environment variables and rules, or a login with a password."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import traceback
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ansible_collections.quayside.registry.plugins.module_utils.errors import InputError, RegistryError
from ansible_collections.quayside.registry.plugins.module_utils.plan import WORKERS

IMPORT_ERROR: str | None = None
try:
    from ansible_collections.kubernetes.core.plugins.module_utils.k8s import client as core_client
    from kubernetes.client import Configuration
    from kubernetes.client.rest import RESTClientObject
    from kubernetes.config import ConfigException
except ImportError:
    IMPORT_ERROR = traceback.format_exc()


@dataclasses.dataclass(frozen=True)
class Connection:
    """An open way to an API server. ``credentials`` are the headers of the next request: a plugin's token changes."""

    host: str
    pool: Any
    credentials: Callable[[], Mapping[str, str]]
    impersonation: Mapping[str, str | list[str]]
    close: Callable[[], None] = lambda: None


def open_connection(params: Mapping[str, Any]) -> Connection:
    """A connection from kubernetes.core's options (``params``) and the environment.

    With ``username``, ``password`` and ``host`` it logs in on OpenShift's OAuth server; closing it logs out.
    """
    if IMPORT_ERROR:
        raise RegistryError(
            "The Python package kubernetes and the collection kubernetes.core are needed where this module runs. Install"
            f" them with: pip install kubernetes; ansible-galaxy collection install kubernetes.core. {IMPORT_ERROR}"
        )
    auth = core_client._create_auth_spec(None, **params)
    impersonation = core_client._create_headers(None, **params)
    username, password = auth.get("username"), auth.get("password")
    by_password = bool(username and password and not auth.get("api_key"))
    if by_password and not auth.get("host"):
        raise InputError(
            "username and password are for OpenShift's OAuth server: set host to the API server's URL, too."
        )
    # A kubeconfig becomes the process's default, which a second connection with fewer options would take over.
    Configuration.set_default(None)
    try:
        configuration = core_client._create_configuration(auth)
    except (ConfigException, OSError, ValueError, TypeError) as error:
        raise InputError(
            f"No usable connection to a cluster: {error}. Set kubeconfig (and context), or host and api_key, or the"
            " environment variables K8S_AUTH_KUBECONFIG, K8S_AUTH_HOST and K8S_AUTH_API_KEY."
        ) from error
    # with user and password kubernetes.core looks for nothing else; the API server itself has no use for them
    configuration.username = configuration.password = None
    configuration.connection_pool_maxsize = WORKERS
    files = {"ca_cert": "ssl_ca_cert", "client_cert": "cert_file", "client_key": "key_file"}
    for option, name in files.items():
        path = getattr(configuration, name)
        if path and not os.access(path, os.R_OK):
            raise InputError(f"{option} {path} cannot be read. Name a file in PEM form that this account may read.")
    pool = RESTClientObject(configuration).pool_manager
    host = str(configuration.host).rstrip("/")
    if by_password:
        from ansible_collections.quayside.registry.plugins.module_utils.openshift import oauth

        login = oauth.log_in(configuration, username, password)
        bearer = {"Authorization": f"Bearer {login.access_token}"}
        return Connection(host, pool, lambda: bearer, impersonation, login.log_out)

    def credentials() -> dict[str, str]:
        if auth.get("api_key"):  # a kubeconfig's own token would come back with kubernetes' refresh hook
            return {"Authorization": f"Bearer {auth['api_key']}"}
        settings = configuration.auth_settings().values()
        return {item["key"]: item["value"] for item in settings if item["in"] == "header" and item["value"]}

    return Connection(host, pool, credentials, impersonation)


@contextlib.contextmanager
def without_environment() -> Iterator[None]:
    """Without the environment variables that name a cluster (K8S_AUTH_…). Not for use beside other threads."""
    hidden = {name: os.environ.pop(name) for name in list(os.environ) if name.startswith("K8S_AUTH_")}
    try:
        yield
    finally:
        os.environ.update(hidden)
