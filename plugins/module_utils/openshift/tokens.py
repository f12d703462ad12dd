# Copyright (c) 2026, quayside.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tokens of service accounts: bound ones made to measure, and the lasting one of a token Secret."""

from __future__ import annotations

import base64
import dataclasses
import datetime
from collections.abc import Sequence

from ansible_collections.quayside.registry.plugins.module_utils.errors import InputError, RegistryError
from ansible_collections.quayside.registry.plugins.module_utils.openshift.client import ApiError, Cluster
from ansible_collections.quayside.registry.plugins.module_utils.openshift.objects import (
    SECRET,
    SERVICE_ACCOUNT,
    Object,
)
from ansible_collections.quayside.registry.plugins.module_utils.openshift.service_accounts import (
    TOKEN_TYPE,
    is_filled,
)

#: Seconds. The API server accepts no shorter and no longer life of a bound token.
SHORTEST = 600
LONGEST = 2**32


@dataclasses.dataclass(frozen=True)
class Token:
    """A bearer token. ``expires_at`` is in seconds since the epoch, None for one that lasts as long as its Secret."""

    value: str = dataclasses.field(repr=False)
    expires_at: int | None = None


def request_token(cluster: Cluster, namespace: str, name: str, expires_in: int, audiences: Sequence[str] = ()) -> Token:
    """A new token of a service account that expires after ``expires_in`` seconds (TokenRequest).

    The API server may shorten its life (--service-account-max-token-expiration); ``expires_at`` is what it says.
    Raises InputError for an impossible life, RegistryError where there is no such account, ApiError where the caller may
    not have its tokens.
    """
    if not SHORTEST <= expires_in <= LONGEST:
        raise InputError(
            f"expires_in: {expires_in} seconds is not possible: a token lives from {SHORTEST} to {LONGEST}."
        )
    spec: Object = {"expirationSeconds": expires_in}
    if audiences:
        spec["audiences"] = list(audiences)
    try:
        answer = cluster.request(
            "POST",
            SERVICE_ACCOUNT.path(namespace, name) + "/token",
            {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec},
            about=f"make a token of service account {namespace}/{name}",
        )
    except ApiError as error:
        if error.status == 404:
            raise RegistryError(
                f"There is no service account {name} in project {namespace} to make a token of."
                " Create it with the module quayside.registry.service_accounts."
            ) from error
        raise
    expires = datetime.datetime.fromisoformat(answer["status"]["expirationTimestamp"].replace("Z", "+00:00"))
    return Token(answer["status"]["token"], int(expires.timestamp()))


def read_token_secret(cluster: Cluster, namespace: str, secret_name: str, deadline: float) -> Token:
    """The token of a Secret that the module ``service_accounts`` keeps, awaited until ``deadline`` (time.monotonic)."""
    where = f"{namespace}/{secret_name}"
    secret = cluster.get(SECRET, secret_name, namespace)
    if secret is None:
        raise RegistryError(
            f"There is no Secret {where} to take a token from. Let the module quayside.registry.service_accounts keep one"
            " (token_secret)."
        )
    if secret.get("type") != TOKEN_TYPE:
        raise InputError(f"Secret {where} holds no token of a service account: its type is {secret.get('type')}.")
    if not is_filled(secret):
        secret = cluster.wait(
            SECRET,
            secret_name,
            namespace,
            is_filled,
            deadline,
            lambda _seen: (
                f"Secret {where} was not filled with a token. See that the service account it names exists: the token"
                " controller of kube-controller-manager fills it."
            ),
        )
    return Token(base64.b64decode((secret or {})["data"]["token"]).decode())
