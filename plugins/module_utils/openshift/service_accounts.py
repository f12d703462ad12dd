# Copyright (c) 2026, quayside.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Service accounts, the Secrets linked to them for pull and mount, and the token Secrets kept beside them."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ansible_collections.quayside.registry.plugins.module_utils.errors import InputError
from ansible_collections.quayside.registry.plugins.module_utils.openshift import projects
from ansible_collections.quayside.registry.plugins.module_utils.openshift.client import ApiError, Cluster
from ansible_collections.quayside.registry.plugins.module_utils.openshift.names import check_object, check_project
from ansible_collections.quayside.registry.plugins.module_utils.openshift.objects import (
    SECRET,
    SERVICE_ACCOUNT,
    Object,
    changes,
    is_ours,
    name_of,
    namespace_of,
    new,
)
from ansible_collections.quayside.registry.plugins.module_utils.plan import Change, Plan

#: A Secret of this type, annotated with a service account's name, is filled with a token by the token controller.
TOKEN_TYPE = "kubernetes.io/service-account-token"
TOKEN_ANNOTATION = "kubernetes.io/service-account.name"

#: OpenShift and Kubernetes make these in every project: never labelled as this collection's, so never purged.
_EVERYWHERE = ("builder", "default", "deployer")

#: Token Secrets of another type are looked for one by one up to this many.
_GET_AT_MOST = 8

_Key = tuple[str, str]  # namespace, name


@dataclasses.dataclass(frozen=True)
class Account:
    """One service account as wanted. A label or annotation that is None is removed."""

    namespace: str
    name: str
    present: bool = True
    labels: Mapping[str, str | None] = dataclasses.field(default_factory=dict)
    annotations: Mapping[str, str | None] = dataclasses.field(default_factory=dict)
    pull_secrets: Sequence[str] = ()
    mount_secrets: Sequence[str] = ()
    unlink_secrets: Sequence[str] = ()
    token_secret: str = ""

    def merged(self, before: Object | None) -> Object:
        """The account as it will be: what is wanted, beside what others wrote."""
        if before is None:
            account = new(SERVICE_ACCOUNT, self.name, self.namespace)
            if self.name in _EVERYWHERE:
                account["metadata"]["labels"] = {}
        else:
            account = {**before, "metadata": dict(before["metadata"])}
        for field, values in (("labels", self.labels), ("annotations", self.annotations)):
            merged = {**(account["metadata"].get(field) or {}), **values}
            kept = {key: value for key, value in merged.items() if value is not None}
            if kept or account["metadata"].get(field):
                account["metadata"][field] = kept
        for field, names in (("imagePullSecrets", self.pull_secrets), ("secrets", self.mount_secrets)):
            old = account.get(field) or []
            linked = [link for link in old if link.get("name") not in self.unlink_secrets]
            there = {link.get("name") for link in linked}
            linked += [{"name": name} for name in dict.fromkeys(names) if name not in there]
            if linked != old:
                account[field] = linked
        return account


@dataclasses.dataclass(frozen=True)
class State:
    accounts: Mapping[_Key, Object]
    secrets: Mapping[_Key, Object]
    projects: projects.Projects


class ServiceAccounts:
    """The module ``service_accounts``. Its constructor raises InputError for what cannot be meant."""

    def __init__(self, params: Mapping[str, Any]) -> None:
        self._create_projects = bool(params["create_projects"])
        self._purge = bool(params["purge"])
        self._wait = bool(params["wait"])
        self._timeout = int(params["wait_timeout"])
        default = params.get("namespace") or ""
        if default:
            check_project(default, "namespace")
        self.accounts: dict[_Key, Account] = {}
        for index, entry in enumerate(params["service_accounts"]):
            account = parse(entry, default, f"service_accounts[{index}]")
            other = self.accounts.setdefault((account.namespace, account.name), account)
            if other != account:
                raise InputError(
                    f"service_accounts[{index}]: {account.namespace}/{account.name} is listed before with other values."
                    " List each service account once."
                )
        self._namespaces = {account.namespace for account in self.accounts.values()} | ({default} if default else set())
        self._tokens: dict[_Key, Account] = {}
        for account in self.accounts.values():
            if account.token_secret:
                other = self._tokens.setdefault((account.namespace, account.token_secret), account)
                if other != account:
                    raise InputError(
                        f"service_accounts: {other.namespace}/{other.name} and {account.name} name the same token_secret"
                        f" {account.token_secret}. A token Secret belongs to one service account."
                    )

    def read(self, cluster: Cluster) -> State:
        """One LIST of service accounts, one of token Secrets where they matter; projects only where nothing was found."""
        refused: dict[str, ApiError] = {}
        accounts = _by_key(cluster.list_in(SERVICE_ACCOUNT, self._namespaces, refused=refused))
        known = {namespace for namespace, _name in accounts}
        wanted = {account.namespace for account in self.accounts.values() if account.present}
        found = projects.read(cluster, wanted - known, self._create_projects, refused)
        secrets = self._read_secrets(cluster, self._namespaces - set(found.missing) - set(refused))
        return State(accounts, secrets, found)

    def _read_secrets(self, cluster: Cluster, namespaces: set[str]) -> dict[_Key, Object]:
        if not self._purge:
            namespaces = namespaces & {namespace for namespace, _name in self._tokens}
        if not self._purge and not self._tokens:
            return {}
        found = _by_key(cluster.list_in(SECRET, namespaces, field_selector=f"type={TOKEN_TYPE}"))
        # A Secret of that name but of another type would stand in the way.
        unknown = [key for key in self._tokens if key not in found and key[0] in namespaces]
        if len(unknown) > _GET_AT_MOST:
            return {**found, **_by_key(cluster.list_in(SECRET, {namespace for namespace, _name in unknown}))}
        others = cluster.map(lambda key: cluster.get(SECRET, key[1], key[0]), unknown)
        return {**found, **_by_key(item for item in others if item is not None)}

    def plan(self, state: State) -> Plan:
        """Stage 0: projects; 1: accounts, and token Secrets that go; 2: token Secrets (their account must be there before
        them, or the token controller deletes them), and accounts that go."""
        plan = Plan(state.projects.creation(), warnings=state.projects.warnings())
        results: list[Object] = []
        for key, account in self.accounts.items():
            before = state.accounts.get(key)
            if account.present:
                after = account.merged(before)
                plan.changes += changes(SERVICE_ACCOUNT, before, after, stage=1)
                results.append(_result(account, after))
            else:
                plan.changes += changes(SERVICE_ACCOUNT, before, None, stage=2)
        for (namespace, name), account in self._tokens.items():
            plan.changes += _token_change(account, state.secrets.get((namespace, name)))
        if self._purge:
            plan.changes += self._purged(state)
        plan.result["service_accounts"] = results
        return plan

    def _purged(self, state: State) -> list[Change]:
        gone: list[Change] = []
        for key, item in state.accounts.items():
            if is_ours(item) and key not in self.accounts and name_of(item) not in _EVERYWHERE:
                gone += changes(SERVICE_ACCOUNT, item, None, stage=2)
        for key, item in state.secrets.items():
            if is_ours(item) and item.get("type") == TOKEN_TYPE and key not in self._tokens:
                gone += changes(SECRET, item, None, stage=1)
        return gone

    def wait(self, cluster: Cluster, plan: Plan) -> dict[str, Any]:
        """Wait until every token Secret is filled."""
        tokens = [key for key, account in self._tokens.items() if account.present]
        if not self._wait or not tokens:
            return {}
        deadline = time.monotonic() + self._timeout
        namespaces = {namespace for namespace, _name in tokens}
        found = _by_key(cluster.list_in(SECRET, namespaces, field_selector=f"type={TOKEN_TYPE}"))

        def wait_for(key: _Key) -> None:
            cluster.wait(SECRET, key[1], key[0], is_filled, deadline, lambda seen: self._describe(key, seen))

        cluster.map(wait_for, [key for key in tokens if not is_filled(found.get(key))])
        return {}

    def _describe(self, key: _Key, seen: Object | None) -> str:
        return (
            f"Secret {key[0]}/{key[1]} {'has no token' if seen else 'was deleted again'} after {self._timeout} seconds."
            " The token controller of kube-controller-manager fills it; see that it runs, or set wait_timeout higher."
        )


def parse(entry: Mapping[str, Any], default_namespace: str, where: str) -> Account:
    """An entry of the list, validated."""
    namespace = entry.get("namespace") or default_namespace
    if not namespace:
        raise InputError(f"{where}: namespace is missing. Set it there, or for all entries as the module's namespace.")
    check_project(namespace, f"{where}.namespace")
    links = {field: tuple(entry.get(field) or ()) for field in ("pull_secrets", "mount_secrets", "unlink_secrets")}
    token_secret = entry.get("token_secret") or ""
    given = [("name", entry["name"])] + [(field, name) for field, linked in links.items() for name in linked]
    for field, name in given + ([("token_secret", token_secret)] if token_secret else []):
        check_object(name, f"{where}.{field}")
    both = sorted(set(links["unlink_secrets"]) & {*links["pull_secrets"], *links["mount_secrets"]})
    if both:
        raise InputError(f"{where}: {', '.join(both)} cannot be linked and in unlink_secrets at the same time.")
    return Account(
        namespace=namespace,
        name=entry["name"],
        present=(entry.get("state") or "present") == "present",
        labels=_texts(entry.get("labels"), f"{where}.labels"),
        annotations=_texts(entry.get("annotations"), f"{where}.annotations"),
        token_secret=token_secret,
        **links,
    )


def is_filled(secret: Object | None) -> bool:
    """Whether the token controller has put a token into the Secret."""
    return bool(secret and (secret.get("data") or {}).get("token"))


def _texts(values: Mapping[str, Any] | None, where: str) -> dict[str, str | None]:
    """Labels or annotations as text: YAML's true is "true"."""
    texts: dict[str, str | None] = {}
    for key, value in (values or {}).items():
        if isinstance(value, (dict, list)):
            raise InputError(f"{where}.{key}: the value must be text.")
        texts[key] = str(value).lower() if isinstance(value, bool) else None if value is None else str(value)
    return texts


def _token_change(account: Account, before: Object | None) -> list[Change]:
    if before is not None:
        owner = (before["metadata"].get("annotations") or {}).get(TOKEN_ANNOTATION)
        if before.get("type") != TOKEN_TYPE or owner != account.name:
            if not account.present:
                return []
            raise InputError(
                f"token_secret {account.token_secret} of service account {account.namespace}/{account.name}: a Secret of"
                f" that name exists ({f'a token of {owner}' if owner else before.get('type')}). Choose another name."
            )
        return [] if account.present else changes(SECRET, before, None, stage=1)
    if not account.present:
        return []
    secret = new(SECRET, account.token_secret, account.namespace, type=TOKEN_TYPE)
    secret["metadata"]["annotations"] = {TOKEN_ANNOTATION: account.name}
    return changes(SECRET, None, secret, stage=2)


def _result(account: Account, after: Object) -> Object:
    return {
        "namespace": account.namespace,
        "name": account.name,
        "pull_secrets": [link.get("name") for link in after.get("imagePullSecrets") or []],
        "mount_secrets": [link.get("name") for link in after.get("secrets") or []],
    }


def _by_key(items: Iterable[Object]) -> dict[_Key, Object]:
    return {(namespace_of(item), name_of(item)): item for item in items}
