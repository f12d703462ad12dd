# Copyright (c) 2026, quayside.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""User and password on OpenShift's OAuth server: log in for a token, and log out again.

The login is the ``openshift`` package's. Its constructor passes an argument that current ``kubernetes`` no longer takes, and
its logout revokes nothing (it names the token instead of the token object); both are put right here.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import traceback
from typing import Any

from ansible_collections.quayside.registry.plugins.module_utils.errors import RegistryError

IMPORT_ERROR: str | None = None
try:
    import requests
    from kubernetes.client import Configuration
    from openshift.helper.userpassauth import OCPLoginConfiguration, OCPLoginException
except ImportError:
    IMPORT_ERROR = traceback.format_exc()
    OCPLoginConfiguration = object


class Login(OCPLoginConfiguration):  # type: ignore[misc]
    """A session of one user. Its ``access_token`` is good until ``log_out``."""

    def __init__(self, configuration: Any, username: str, password: str) -> None:
        # past the parent's own constructor, which current kubernetes refuses
        Configuration.__init__(self, host=configuration.host)
        self.verify_ssl, self.ssl_ca_cert = configuration.verify_ssl, configuration.ssl_ca_cert
        # OpenShift reads Basic credentials as UTF-8, urllib3 writes them as Latin-1
        self.ocp_username, self.ocp_password = (text.encode().decode("latin-1") for text in (username, password))
        self.get_token()
        del self.ocp_password
        self.access_token = str(self.token["access_token"])

    def log_out(self) -> None:
        """Delete the token's object. That it may still be accepted for two minutes is the API server's cache.

        A failure is not one of the task's: the token ends by itself, after a day unless configured otherwise.
        """
        name = token_object_name(self.access_token)
        with contextlib.suppress(requests.RequestException):
            requests.delete(
                f"{self.host}/apis/oauth.openshift.io/v1/oauthaccesstokens/{name}",
                headers={"Authorization": f"Bearer {self.access_token}"},
                auth=lambda request: request,  # not a .netrc's
                verify=self.con_verify_ca,
                timeout=30,
            )


def token_object_name(token: str) -> str:
    """Name of the OAuthAccessToken object of a token: the hash of what follows ``sha256~`` (OpenShift 4.6 and newer)."""
    prefix = "sha256~"
    if not token.startswith(prefix):
        return token
    digest = hashlib.sha256(token[len(prefix) :].encode()).digest()
    return prefix + base64.urlsafe_b64encode(digest).decode().rstrip("=")


def log_in(configuration: Any, username: str, password: str) -> Login:
    """Log in on the cluster of a configuration of the package kubernetes (host, CA, whether to verify).

    Raises RegistryError: wrong credentials, no OAuth server, untrusted certificate, unreachable.
    """
    if IMPORT_ERROR:
        raise RegistryError(
            "Logging in with username and password needs the Python packages openshift, requests and requests-oauthlib"
            f" where this module runs. Install them with: pip install openshift requests-oauthlib. {IMPORT_ERROR}"
        )
    host = configuration.host
    try:
        return Login(configuration, username, password)
    except OCPLoginException as error:
        status = getattr(error, "req_info", {}).get("req_status_code")
        if status == 401:
            raise RegistryError(
                f"The OAuth server of {host} does not accept username {username} with this password."
            ) from error
        if "OAuth API" in str(error):
            raise RegistryError(
                f"{host} offers no login with username and password (no OAuth server; HTTP status {status}): it is not"
                " an OpenShift cluster or uses an external OIDC provider. Use api_key or kubeconfig."
            ) from error
        raise RegistryError(
            f"The OAuth server of {host} could not log in username {username} (HTTP status {status})."
            " The user's identity may be mapped to another user; see the OAuth server's log."
        ) from error
    except requests.exceptions.SSLError as error:
        raise RegistryError(
            f"The certificate of {host} or of its OAuth server could not be verified: {error}. Set ca_cert to a file with"
            " the CA of the API server and the CA of the ingress (the OAuth server is behind the router)."
        ) from error
    except requests.RequestException as error:
        raise RegistryError(f"The OAuth server of {host} cannot be reached: {error}.") from error
