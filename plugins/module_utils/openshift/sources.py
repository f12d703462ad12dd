# Copyright (c) 2026, quayside.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Asking sources for credentials: service accounts and Secrets of this cluster and of others, and Amazon ECR."""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import json
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from typing import Any

from ansible_collections.quayside.registry.plugins.module_utils import credentials, ecr
from ansible_collections.quayside.registry.plugins.module_utils.errors import InputError, RegistryError
from ansible_collections.quayside.registry.plugins.module_utils.oci.auth import Credential
from ansible_collections.quayside.registry.plugins.module_utils.oci.reference import registry_scope
from ansible_collections.quayside.registry.plugins.module_utils.openshift import tokens
from ansible_collections.quayside.registry.plugins.module_utils.openshift.client import Cluster, connect_elsewhere
from ansible_collections.quayside.registry.plugins.module_utils.openshift.objects import SECRET
from ansible_collections.quayside.registry.plugins.module_utils.plan import WORKERS

#: Seconds for a new token Secret to be filled.
_TOKEN_SECRET_TIMEOUT = 30


@dataclasses.dataclass(frozen=True)
class Made:
    """A credential as its source made it just now. ``expires_at`` is in seconds since the epoch."""

    credential: Credential
    expires_at: int | None = None


@dataclasses.dataclass(frozen=True)
class Source:
    """One credential that is wanted: the options of its entry (``credentials.LOGIN``), and how messages call it."""

    options: Mapping[str, Any] = dataclasses.field(repr=False)
    what: str

    def check(self) -> None:
        """Refuse what cannot be meant (InputError)."""
        credentials.check_source(self.options, self.what)
        if self.options["ecr"] is not None:
            self._region()

    def _region(self) -> str:
        return ecr.region_of(registry_scope(self.options["registry"])[0], self.options["ecr"], self.what)

    @property
    def key(self) -> str:
        """The same for all entries that one token will do for. No secret is told by it that the options do not hold."""
        fields: dict[str, Any] = {name: self.options[name] for name in ("username", "service_account", "secret", "ecr")}
        if self.options["ecr"] is not None:
            fields["region"] = self._region()
        return json.dumps(fields, sort_keys=True, default=str)

    @property
    def of_cluster(self) -> Mapping[str, Any] | None:
        """The part of the options that a cluster answers; None where none is asked."""
        found: Mapping[str, Any] | None = self.options["service_account"] or self.options["secret"]
        return found

    @property
    def cluster_key(self) -> str:
        """Which cluster has to be asked: empty for the module's own."""
        cluster = (self.of_cluster or {}).get("cluster")
        return json.dumps(cluster, sort_keys=True, default=str) if cluster else ""

    def ask(self, clusters: Mapping[str, Cluster]) -> Made:
        """A new credential. The error says which source failed."""
        name = credentials.username(self.options)
        try:
            if self.options["ecr"] is not None:
                token = ecr.get_token(self.options["ecr"], self._region())
                return Made(Credential(name, token.value), token.expires_at)
            if self.options["secret"] is not None:
                return Made(_secret_login(clusters[self.cluster_key], self.options["secret"], name))
            made = _account_token(clusters[self.cluster_key], self.options["service_account"])
            return Made(Credential(name, made.value), made.expires_at)
        except RegistryError as error:
            raise self.failed(error) from error

    def failed(self, error: RegistryError) -> RegistryError:
        """The error with the source's name; whether it is the input's fault stays known."""
        kind = InputError if isinstance(error, InputError) else RegistryError
        return kind(f"{self.what}, {credentials.describe(self.options)}: {error} What is stored was left alone.")


def ask(sources: Sequence[Source], here: Callable[[], AbstractContextManager[Cluster]]) -> list[Made]:
    """The sources' credentials, in their order; every cluster is connected to once, and only when it is needed."""
    with contextlib.ExitStack() as stack:
        clusters: dict[str, Cluster] = {}
        for source in sources:
            asked, key = source.of_cluster, source.cluster_key
            if asked is None or key in clusters:
                continue
            try:
                clusters[key] = stack.enter_context(connect_elsewhere(asked["cluster"]) if key else here())
            except RegistryError as error:
                raise source.failed(error) from error
        with ThreadPoolExecutor(max_workers=max(1, min(WORKERS, len(sources)))) as pool:
            return list(pool.map(lambda source: source.ask(clusters), sources))


def _account_token(cluster: Cluster, account: Mapping[str, Any]) -> tokens.Token:
    namespace, name = account["namespace"], account["name"]
    if account["kind"] == "secret":
        deadline = time.monotonic() + _TOKEN_SECRET_TIMEOUT
        return tokens.read_token_secret(cluster, namespace, account["secret_name"], deadline)
    return tokens.request_token(cluster, namespace, name, account["expires_in"], account["audiences"])


def _secret_login(cluster: Cluster, wanted: Mapping[str, Any], username: str) -> Credential:
    """What a Secret holds, for example that of the first user of a Quay. ``username``: what counts instead of its own."""
    where = f"Secret {wanted['namespace']}/{wanted['name']}"
    secret = cluster.get(SECRET, wanted["name"], wanted["namespace"])
    if secret is None:
        raise RegistryError(f"{where} does not exist.")
    data = secret.get("data") or {}

    def text(option: str) -> str:
        if wanted[option] not in data:
            raise InputError(
                f"{where} has no key {wanted[option]}: set secret.{option} to one of {', '.join(sorted(data))}."
            )
        return base64.b64decode(data[wanted[option]]).decode().rstrip("\r\n")

    username = username or text("username_key")
    password = text("password_key")
    credentials.check_password(password, f"the key {wanted['password_key']} of {where}")
    return Credential(username, password)
