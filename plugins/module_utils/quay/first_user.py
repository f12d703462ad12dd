# Copyright (c) 2026, quayside.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Quay's side of the first user: whether there is one yet, signing in, and lasting tokens of an OAuth application.

``user/initialize`` gives a token of two and a half hours; it is not asked for one. What is kept is a token of an OAuth
application: one with a name where Quay has such tokens (3.18 and newer), else one of the authorization flow.
"""

from __future__ import annotations

import dataclasses
import datetime
import time
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from ansible_collections.quayside.registry.plugins.module_utils.errors import RegistryError
from ansible_collections.quayside.registry.plugins.module_utils.quay.client import MissingApi, Quay, QuayError

#: Everything that a token can be allowed.
SCOPE = "org:admin repo:admin repo:create repo:read repo:write super:user user:admin user:read"

_TOKENS = "/api/v1/organization/{orgname}/applications/{client_id}/tokens"
_TOKEN_NAME = "quayside.registry"
_TOO_SHORT = "-"


@dataclasses.dataclass(frozen=True)
class Found:
    """What the signed-in user has: whether the organization, the application's client_id, its tokens' uuids."""

    organization: bool = False
    client_id: str = ""
    tokens: Sequence[str] = ()


@dataclasses.dataclass(frozen=True)
class Token:
    """A new token; ``expires`` in seconds since the epoch."""

    secret: str = dataclasses.field(repr=False)
    uuid: str
    expires: int


class FirstUser:
    """What is said to Quay of its first user and the application that has his token."""

    def __init__(self, quay: Quay, organization: str, application: str) -> None:
        self._quay = quay
        self._organization, self._application = organization, application
        self._by_name: bool | None = None

    def emptiness(self) -> str:
        """``empty``, or why there cannot be a first user: ``users``, ``off``, ``authentication``. Changes nothing.

        Quay looks for users before it looks at the password, and this one is too short for any user to be made.
        """
        body = {"username": "quayadmin", "password": _TOO_SHORT}
        try:
            self._quay.request("POST", "/api/v1/user/initialize", body, about="see whether Quay has users")
        except MissingApi:
            raise
        except QuayError as error:
            if "non-empty database" in error.text:
                return "users"
            if "non-database auth" in error.text:
                return "authentication"
            if "Invalid password" in error.text:
                return "empty"
            if error.status == 404:
                return "off"
            raise
        raise RegistryError("Quay accepted a password of one character: this is not a Quay that this module knows.")

    def initialize(self, name: str, password: str, email: str) -> None:
        """Make the first user. On a Quay that has users it fails."""
        body = {"username": name, "password": password, **({"email": email} if email else {})}
        try:
            self._quay.request("POST", "/api/v1/user/initialize", body, about=f"create the first user {name}")
        except QuayError as error:
            if "email" in error.text:
                raise RegistryError(
                    f"{error} Set the option email: this Quay has FEATURE_MAILING on and wants one."
                ) from error
            raise

    def sign_in(self, name: str, password: str) -> None:
        """A session for all that follows. Raises SignInRefused."""
        self._quay.sign_in(name, password)

    def is_superuser(self, token: str) -> bool | None:
        """What the token may do: True all of it, False nothing of a superuser's; None for one that is not good any more.

        One request tells both. ``/user/`` would not do: it refuses good tokens that lack a scope (recorded).
        """
        self._quay.use_token(token)
        try:
            self._quay.request("GET", "/api/v1/superuser/users/?limit=1", about="check the stored token")
        except MissingApi as error:
            raise RegistryError(
                f"Quay at {self._quay.server.url} has no API for superusers: set FEATURE_SUPER_USERS: true in its config.yaml."
                f" {error}"
            ) from error
        except QuayError as error:
            if error.status == 401:
                return None
            if error.status == 403:
                return False
            raise
        return True

    def look(self) -> Found:
        """What there is of the organization, the application and its tokens."""
        try:
            self._quay.request("GET", f"/api/v1/organization/{self._organization}", about="read the organization")
        except QuayError as error:
            if error.status == 404 and not isinstance(error, MissingApi):
                return Found()
            raise
        path = f"/api/v1/organization/{self._organization}/applications"
        applications = self._quay.request("GET", path, about="list the OAuth applications")["applications"]
        fitting = [
            item["client_id"]
            for item in applications
            if item["name"] == self._application and (self._names_tokens() or item["redirect_uri"] == self._redirect)
        ]
        if not fitting:
            return Found(True)
        return Found(True, fitting[0], self._list_tokens(fitting[0]))

    def create_organization(self) -> None:
        body = {"name": self._organization}
        self._quay.request("POST", "/api/v1/organization/", body, about=f"create organization {self._organization}")

    def create_application(self) -> str:
        """Its client_id."""
        body = {
            "name": self._application,
            "redirect_uri": self._redirect,
            "application_uri": "",
            "description": "Tokens kept by the Ansible collection quayside.registry",
        }
        path = f"/api/v1/organization/{self._organization}/applications"
        answer = self._quay.request("POST", path, body, about=f"create OAuth application {self._application}")
        return str(answer["client_id"])

    def create_token(self, client_id: str, expires_in: int, known: Sequence[str]) -> Token:
        """A new token. ``known``: the uuids of those that were there."""
        if self._names_tokens():
            body = {"name": _TOKEN_NAME, "scope": SCOPE, "expiration": expires_in}
            answer = self._quay.request("POST", self._tokens_path(client_id), body, about="create the token")
            return Token(str(answer["token"]), str(answer["uuid"]), _seconds(answer["expires_at"]))
        began = int(time.time())
        secret, life = self._quay.authorize(client_id, self._redirect, SCOPE)
        new = [uuid for uuid in self._list_tokens(client_id) if uuid not in known]
        return Token(secret, new[-1] if new else "", began + life)

    def delete_token(self, client_id: str, uuid: str) -> None:
        """Revoke a token; one that is gone already is no error."""
        by_name = self._names_tokens()
        path = f"{self._tokens_path(client_id)}/{uuid}" if by_name else f"/api/v1/user/authorizations/{uuid}"
        try:
            self._quay.request("DELETE", path, about="revoke an old token")
        except QuayError as error:
            if error.status != 404:
                raise

    def _list_tokens(self, client_id: str) -> list[str]:
        if self._names_tokens():
            items = self._quay.pages(self._tokens_path(client_id), "tokens", about="list the application's tokens")
            return [item["uuid"] for item in items if item["name"] == _TOKEN_NAME]
        answer = self._quay.request("GET", "/api/v1/user/authorizations", about="list the user's authorizations")
        return [item["uuid"] for item in answer["authorizations"] if self._is_ours(item["application"])]

    def _is_ours(self, application: Mapping[str, Any]) -> bool:
        organization = (application.get("organization") or {}).get("name")
        return (application.get("name"), organization) == (self._application, self._organization)

    def _tokens_path(self, client_id: str) -> str:
        return _TOKENS.format(orgname=self._organization, client_id=quote(client_id))

    @property
    def _redirect(self) -> str:
        return f"{self._quay.server.url}/oauth/localapp"

    def _names_tokens(self) -> bool:
        """Whether this Quay has tokens with names."""
        if self._by_name is None:
            paths = self._quay.request("GET", "/api/v1/discovery", about="see what this Quay can do")["paths"]
            self._by_name = _TOKENS in paths
        return self._by_name


def _seconds(moment: str) -> int:
    """Seconds since the epoch of ``2036-11-20T11:58:48.568347Z``."""
    return int(datetime.datetime.fromisoformat(moment.replace("Z", "+00:00")).timestamp())
