# Copyright (c) 2026, quayside.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Secrets that pods pull images with: credentials of registries, merged, in many namespaces, linked to service accounts."""

from __future__ import annotations

import dataclasses
import functools
import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext, suppress
from typing import Any

from ansible_collections.quayside.registry.plugins.module_utils import credentials
from ansible_collections.quayside.registry.plugins.module_utils.errors import InputError, RegistryError
from ansible_collections.quayside.registry.plugins.module_utils.oci import auth
from ansible_collections.quayside.registry.plugins.module_utils.oci.auth import Credential
from ansible_collections.quayside.registry.plugins.module_utils.oci.client import Refused, Registry
from ansible_collections.quayside.registry.plugins.module_utils.oci.reference import registry_scope
from ansible_collections.quayside.registry.plugins.module_utils.oci.transport import Transport
from ansible_collections.quayside.registry.plugins.module_utils.openshift import docker_config, projects, sources
from ansible_collections.quayside.registry.plugins.module_utils.openshift.client import ApiError, Cluster
from ansible_collections.quayside.registry.plugins.module_utils.openshift.docker_config import DockerConfig
from ansible_collections.quayside.registry.plugins.module_utils.openshift.earlier import Earlier
from ansible_collections.quayside.registry.plugins.module_utils.openshift.links import Links, listing
from ansible_collections.quayside.registry.plugins.module_utils.openshift.names import check_object, check_project
from ansible_collections.quayside.registry.plugins.module_utils.openshift.objects import (
    NAMESPACE,
    SECRET,
    SERVICE_ACCOUNT,
    Object,
    is_ours,
    name_of,
    namespace_of,
    new,
)
from ansible_collections.quayside.registry.plugins.module_utils.openshift.sources import Made, Source
from ansible_collections.quayside.registry.plugins.module_utils.plan import Change, Plan

#: OpenShift: what all nodes pull with, beside the Secrets of a pod's own project.
GLOBAL = ("openshift-config", "pull-secret")

#: Secrets that are missing, or of another type, are looked for one by one up to this many.
_GET_AT_MOST = 8

#: Seconds to wait for a registry that a new credential is proven against.
_PROOF_TIMEOUT = 10.0

#: Kubernetes makes this service account in every project, a moment after it; seconds to wait for it.
_DEFAULT_ACCOUNT = "default"
_ACCOUNT_TIMEOUT = 10.0

_Key = tuple[str, str]  # namespace, name


@dataclasses.dataclass(frozen=True)
class Login:
    """One registry of a Secret: the key of its entry, and the source of its credential."""

    source: Source
    key: str
    host: str
    present: bool

    @property
    def options(self) -> Mapping[str, Any]:
        return self.source.options

    def given(self) -> Credential | None:
        """The credential, where the source does not have to be asked for one."""
        if credentials.is_asked_for(self.options):
            return None
        return Credential(self.options["username"], self.options["password"])


@dataclasses.dataclass(frozen=True)
class Entry:
    """A Secret as wanted, in each of its namespaces."""

    where: str
    name: str
    namespaces: Sequence[str]
    selector: str
    present: bool
    logins: Sequence[Login]
    pull: Sequence[str]
    mount: Sequence[str]


@dataclasses.dataclass(frozen=True)
class State:
    targets: Mapping[_Key, Entry]
    secrets: Mapping[_Key, Object]
    accounts: Mapping[_Key, Object]
    warnings: Sequence[str]
    cluster: Cluster


class PullSecrets:
    """The module ``pull_secrets``. Its constructor raises InputError for what cannot be meant."""

    def __init__(self, params: Mapping[str, Any]) -> None:
        self._now = time.time()
        self._purge = bool(params["purge"])
        self._verify = bool(params["verify"])
        self._adopt = bool(params["adopt"])
        self._earlier = Earlier(params["earlier_changes"])
        self._warnings: list[str] = []
        self._made: dict[str, Made] = {}
        self._proven: dict[tuple[str, Credential], str] = {}
        self._refused: dict[tuple[str, Credential], bool] = {}
        self._why: dict[tuple[_Key, str], str] = {}
        default = params["namespace"] or ""
        if default:
            check_project(default, "namespace")
        self.entries = [
            self._entry(entry, default, f"pull_secrets[{index}]") for index, entry in enumerate(params["pull_secrets"])
        ]
        _targets([(entry, entry.namespaces) for entry in self.entries])
        self._purged = {default} if default and self._purge else set()
        self._global: Entry | None = None
        if params["global_registries"]:
            logins = self._logins(params["global_registries"], "global_registries")
            self._global = Entry("global_registries", GLOBAL[1], [GLOBAL[0]], "", True, logins, (), ())

    # What is wanted

    def _entry(self, entry: Mapping[str, Any], default: str, where: str) -> Entry:
        check_object(entry["name"], f"{where}.name")
        namespaces = list(dict.fromkeys(entry["namespaces"]))
        selector = entry["namespace_selector"] or ""
        if not namespaces and not selector:
            if not default:
                raise InputError(
                    f"{where}: namespaces is missing. Set it or namespace_selector there, or namespace for all entries."
                )
            namespaces = [default]
        for namespace in namespaces:
            check_project(namespace, f"{where}.namespaces")
        present = entry["state"] == "present"
        if present and not entry["registries"]:
            raise InputError(f"{where}: registries is empty. List what the Secret shall hold, or set state: absent.")
        for field in ("pull", "mount"):
            for account in entry[field]:
                check_object(account, f"{where}.{field}")
        logins = self._logins(entry["registries"], f"{where}.registries") if present else []
        pull, mount = tuple(dict.fromkeys(entry["pull"])), tuple(dict.fromkeys(entry["mount"]))
        return Entry(where, entry["name"], namespaces, selector, present, logins, pull, mount)

    def _logins(self, registries: Sequence[Mapping[str, Any]], where: str) -> list[Login]:
        logins: dict[str, Login] = {}
        for index, given in enumerate(registries):
            options = dict(given)
            host, namespace = registry_scope(options["registry"], f"{where}[{index}].registry")
            what = f"{where}[{index}] ({options['registry']})"
            source = Source(options, what)
            present = options["state"] == "present"
            if present:
                source.check()
                self._read_local(options, what)
            login = Login(source, auth.key(host, namespace, docker=True), host, present)
            if logins.setdefault(login.key, login) is not login:
                raise InputError(f"{what}: the registry is listed before. List each registry of a Secret once.")
        return list(logins.values())

    def _read_local(self, options: dict[str, Any], what: str) -> None:
        password, warning = credentials.read_local(options, what, os.environ)
        if password is not None:
            options["password"] = password
        if warning:
            self._warnings.append(warning)
        end = credentials.expiry(options["password"]) if options["password"] is not None else None
        if end is not None and end <= self._now:
            raise InputError(
                f"{what}: the token of user {options['username']} has expired at {credentials.timestamp(end)}. Give a new one,"
                " or let a service_account be the source, which is renewed."
            )

    # What there is

    def read(self, cluster: Cluster) -> State:
        """One LIST of Secrets and one of service accounts where links matter; namespaces only by selector or when missing."""
        warnings = list(self._warnings)
        selected = [(entry, [*entry.namespaces, *self._selected(cluster, entry, warnings)]) for entry in self.entries]
        targets = _targets(selected)
        namespaces = {namespace for namespace, _name in targets} | self._purged
        refused: dict[str, ApiError] = {}
        secrets = self._read_secrets(cluster, targets, namespaces, refused)
        linked = {
            namespace for (namespace, _name), entry in targets.items() if entry.pull or entry.mount or not entry.present
        }
        linked |= namespaces if self._purge else set()
        accounts = _by_key(cluster.list_in(SERVICE_ACCOUNT, linked - set(refused), refused=refused))
        wanted = {namespace for (namespace, _name), entry in targets.items() if entry.present}
        known = {namespace for namespace, _name in (*secrets, *accounts)} | {
            namespace for entry, found in selected for namespace in found if namespace not in entry.namespaces
        }
        coming = self._check_namespaces(cluster, (wanted - known) | (wanted & set(refused)), refused)
        warnings += [
            f"Project {name} does not exist, or you may not see it: nothing is removed there."
            for name in sorted(set(refused) - wanted)
        ]
        accounts = {**self._coming_accounts(cluster, targets, accounts, coming), **accounts}
        if self._global:
            targets = {**targets, GLOBAL: self._global}
            found = cluster.get(SECRET, GLOBAL[1], GLOBAL[0])
            secrets = {**secrets, **_by_key([found] if found else [])}
        state = State(targets, secrets, accounts, warnings, cluster)
        self._look_into_sources(state)
        if self._verify:
            self._try_stored(state)
        return state

    def _look_into_sources(self, state: State) -> None:
        """Read the Secrets that logins come from: who keeps them may have put a new token there, as ``quay_content`` does.

        That one cannot be read is no reason to touch what was stored from it.
        """
        logins = [login for entry in state.targets.values() if entry.present for login in entry.logins]
        for source in {login.source.key: login.source for login in logins if login.present}.values():
            if source.options["secret"] is not None and source.key not in self._made:
                with suppress(RegistryError):
                    (self._made[source.key],) = sources.ask([source], lambda: nullcontext(state.cluster))

    def _try_stored(self, state: State) -> None:
        """Try tokens that look good, each once: their account or cluster may have been made anew, and they with it.

        That the registry cannot be asked is no reason to replace one.
        """
        stored = {
            (login.host, found)
            for key, entry in state.targets.items()
            for secret in [state.secrets.get(key)]
            if entry.present and secret is not None and secret.get("type") == docker_config.TYPE
            for content in [docker_config.read(secret)]
            for login in entry.logins
            for found in [content.stored(login.key)]
            if found and login.present and login.given() is None
            if not self._reason(login, found, content.ours.get(login.key))
        }
        new = [key for key in stored if key not in self._refused]
        self._refused.update(zip(new, state.cluster.map(_is_refused, new), strict=True))

    def _selected(self, cluster: Cluster, entry: Entry, warnings: list[str]) -> list[str]:
        if not entry.selector:
            return []
        found = [
            name_of(item)
            for item in cluster.list_objects(NAMESPACE, label_selector=entry.selector)
            if not item["metadata"].get("deletionTimestamp")
        ]
        if not found:
            text = f"{entry.where}: namespace_selector {entry.selector} matches no namespace."
            if entry.present:
                raise InputError(f"{text} Label the namespaces, or correct the selector (oc get namespaces -l …).")
            warnings.append(text)
        return found

    def _read_secrets(
        self, cluster: Cluster, targets: Mapping[_Key, Entry], namespaces: set[str], refused: dict[str, ApiError]
    ) -> dict[_Key, Object]:
        selector = f"type={docker_config.TYPE}"
        found = _by_key(cluster.list_in(SECRET, namespaces, field_selector=selector, refused=refused))
        # A Secret of that name but of another type would stand in the way.
        unknown = [key for key in targets if key not in found and key[0] not in refused]
        if len(unknown) > _GET_AT_MOST:
            return {**_by_key(cluster.list_in(SECRET, {namespace for namespace, _name in unknown})), **found}
        others = cluster.map(lambda key: cluster.get(SECRET, key[1], key[0]), unknown)
        return {**found, **_by_key(item for item in others if item is not None)}

    def _check_namespaces(self, cluster: Cluster, unknown: set[str], refused: Mapping[str, ApiError]) -> set[str]:
        """Those that are not there yet, because the tasks before this one were in check mode."""
        found = projects.find(cluster, unknown) if unknown else {}
        for name in sorted(found):
            if name in refused:
                raise refused[name]
            if found[name]["metadata"].get("deletionTimestamp"):
                raise RegistryError(f"Project {name} is being deleted. Run again when it is gone, or leave it out.")
        coming = unknown - set(found)
        missing = sorted(coming - self._earlier.projects)
        if missing:
            raise RegistryError(
                f"Project{'s' if len(missing) > 1 else ''} {listing(missing)} cannot get a pull secret: there is none of that name,"
                " or you may not see it. Create it first (quayside.registry.service_accounts with create_projects)."
            )
        return coming

    def _coming_accounts(
        self, cluster: Cluster, targets: Mapping[_Key, Entry], there: Mapping[_Key, Object], coming: set[str]
    ) -> dict[_Key, Object]:
        """The wanted service accounts that tasks before this one would have made, or that come with their new project."""
        wanted = {
            (namespace, account)
            for (namespace, _name), entry in targets.items()
            if entry.present
            for account in (*entry.pull, *entry.mount)
        } - set(there)
        expected = wanted & (self._earlier.service_accounts | {(namespace, _DEFAULT_ACCOUNT) for namespace in coming})
        late = sorted(namespace for namespace, name in wanted - expected if name == _DEFAULT_ACCOUNT)
        deadline = time.monotonic() + _ACCOUNT_TIMEOUT

        def wait_for(namespace: str) -> Object | None:
            return cluster.wait(
                SERVICE_ACCOUNT,
                _DEFAULT_ACCOUNT,
                namespace,
                bool,
                deadline,
                lambda _seen: (
                    f"Project {namespace} has no service account {_DEFAULT_ACCOUNT} after {_ACCOUNT_TIMEOUT:.0f} seconds."
                    " kube-controller-manager makes it; see that it runs."
                ),
            )

        found = _by_key(item for item in cluster.map(wait_for, late) if item)
        return {**{(namespace, name): new(SERVICE_ACCOUNT, name, namespace) for namespace, name in expected}, **found}

    # What is to be done

    def plan(self, state: State) -> Plan:
        """Stage 1: Secrets that come, links that go. Stage 2: links to them, Secrets that go."""
        plan = Plan(warnings=list(state.warnings))
        links = Links(state.accounts)
        contents: dict[_Key, DockerConfig] = {}
        for key, entry in state.targets.items():
            before = state.secrets.get(key)
            if not entry.present:
                plan.changes += self._removal(key, before, links, plan)
                continue
            contents[key] = content = self._content(key, entry, before)
            if before is not None or content.config:
                plan.changes += docker_config.change(before, *key, content, stage=1)
                links.add(key, entry.where, entry.pull, entry.mount)
        if self._purge:
            for key, secret in state.secrets.items():
                annotations = secret["metadata"].get("annotations") or {}
                if key not in state.targets and is_ours(secret) and docker_config.ANNOTATION in annotations:
                    plan.changes += self._removal(key, secret, links, plan)
        plan.changes += links.changes()
        plan.result = self._result(state, contents)
        plan.prepare = functools.partial(self._prepare, state, plan)
        return plan

    def _content(self, key: _Key, entry: Entry, before: Object | None) -> DockerConfig:
        """What the Secret will hold. A token that has not been asked for yet is an empty password."""
        content = DockerConfig() if before is None else self._read_content(key, before)
        for login in entry.logins:
            stored = content.stored(login.key)
            theirs = key == GLOBAL and login.key not in content.ours
            if not login.present:
                if theirs and login.key in content.config.get("auths", {}):
                    raise InputError(
                        f"{login.source.what}: this entry of the cluster's global pull secret was not added by this module, and is"
                        f" not removed: the cluster may need it. Remove it by hand (oc edit secret -n {GLOBAL[0]} {GLOBAL[1]})."
                    )
                content = content.without(login.key)
                continue
            reason = self._reason(login, stored, content.ours.get(login.key))
            if not reason:
                continue
            if theirs and login.key in content.config.get("auths", {}) and not self._adopt:
                raise InputError(
                    f"{login.source.what}: the cluster's global pull secret has another credential for it, which this module did"
                    " not add. Set adopt: true to replace it, or write a part of the registry (HOST/NAMESPACE)."
                )
            self._why.setdefault((key, login.key), reason)
            made = self._made.get(login.source.key) if credentials.is_asked_for(login.options) else None
            credential = made.credential if made else login.given()
            credential = credential or Credential(credentials.username(login.options), "")
            content = content.with_credential(login.key, credential, made.expires_at if made else None)
        if self._purge:
            for name in set(content.ours) - {login.key for login in entry.logins}:
                content = content.without(name)
        return content

    def _read_content(self, key: _Key, secret: Object) -> DockerConfig:
        if secret.get("type") != docker_config.TYPE:
            raise InputError(
                f"Secret {'/'.join(key)} exists and is of type {secret.get('type')}. Kubernetes never changes a Secret's type, and"
                f" pods pull only with {docker_config.TYPE}. Delete it if nothing else needs it (oc delete secret -n {key[0]}"
                f" {key[1]}) and run again, or choose another name."
            )
        return docker_config.read(secret)

    def _reason(self, login: Login, stored: Credential | None, expires_at: int | None) -> str | None:
        made = self._made.get(login.source.key) if credentials.is_asked_for(login.options) else None
        if made and stored == made.credential:  # this run wrote it
            return None
        reason = credentials.why_renew(stored, login.options, self._now, expires_at)
        if not reason and made and login.options["secret"] is not None:
            return "its Secret holds another one"
        if not reason and stored and self._refused.get((login.host, stored)):
            return "the registry does not accept what is stored"
        return reason

    def _removal(self, key: _Key, secret: Object | None, links: Links, plan: Plan) -> list[Change]:
        if secret is not None and secret.get("type") not in (docker_config.TYPE, "kubernetes.io/dockercfg"):
            plan.warnings.append(
                f"Secret {'/'.join(key)} is of type {secret.get('type')}: it is no pull secret, and is kept."
            )
            return []
        links.remove(key)
        return docker_config.removal(secret, stage=2) if secret is not None else []

    def _result(self, state: State, contents: Mapping[_Key, DockerConfig]) -> dict[str, Any]:
        result: dict[str, Any] = {"pull_secrets": []}
        for entry in self.entries:
            keys = [key for key, other in state.targets.items() if other is entry]
            if entry.present:
                shown = self._shown(entry, {key: contents[key] for key in keys})
                namespaces = sorted(namespace for namespace, _name in keys)
                result["pull_secrets"].append({"name": entry.name, "namespaces": namespaces, "registries": shown})
        if self._global:
            result["global_registries"] = self._shown(self._global, {GLOBAL: contents[GLOBAL]})
        return result

    def _shown(self, entry: Entry, contents: Mapping[_Key, DockerConfig]) -> list[dict[str, Any]]:
        shown = []
        for login in entry.logins:
            if not login.present:
                continue
            ends = [_end(content, login.key) for content in contents.values()]
            known = [end for end in ends if end is not None]
            reasons = [reason for key in contents for reason in [self._why.get((key, login.key))] if reason]
            shown.append(
                {
                    "registry": login.options["registry"],
                    "username": credentials.username(login.options),
                    "expires_at": credentials.timestamp(min(known)) if known else "",
                    "renewed": len(reasons),
                    "reason": reasons[0] if reasons else "",
                }
            )
        return shown

    # What is needed for it

    def _prepare(self, state: State, plan: Plan) -> None:
        """Ask the sources that have to be asked, each once however many Secrets wait for it, and prove what is new."""
        new = list(self._renewals(state))
        needed = {login.source.key: login.source for login in new if login.given() is None}
        asked = [source for key, source in needed.items() if key not in self._made]
        for source, made in zip(asked, sources.ask(asked, lambda: nullcontext(state.cluster)), strict=True):
            self._made[source.key] = made
            warning = credentials.too_short(source.options, made.expires_at, time.time())
            if warning:
                self._warnings.append(warning)
                plan.warnings.append(warning)
        if self._verify:
            plan.warnings += self._prove(state.cluster, new)
        if asked:
            complete = self.plan(state)
            plan.changes, plan.result = complete.changes, complete.result

    def _renewals(self, state: State) -> Iterator[Login]:
        for key, entry in state.targets.items():
            if entry.present:
                before = state.secrets.get(key)
                content = DockerConfig() if before is None else self._read_content(key, before)
                for login in entry.logins:
                    if login.present and self._reason(login, content.stored(login.key), content.ours.get(login.key)):
                        yield login

    def _prove(self, cluster: Cluster, logins: Iterable[Login]) -> list[str]:
        """Log in with every new credential once. That a registry refuses it is an error; that it can't be asked, a warning."""
        proofs: dict[tuple[str, Credential], Login] = {}
        for login in logins:
            credential = login.given() or self._made[login.source.key].credential
            if (login.host, credential) not in self._proven:
                proofs.setdefault((login.host, credential), login)
        texts = cluster.map(lambda key: _proof(proofs[key], key[1]), list(proofs))
        self._proven.update(zip(proofs, texts, strict=True))
        return [text for text in texts if text]

    def wait(self, cluster: Cluster, plan: Plan) -> dict[str, Any]:
        """Nothing else has to happen."""
        return {}


def _targets(selected: Sequence[tuple[Entry, Sequence[str]]]) -> dict[_Key, Entry]:
    targets: dict[_Key, Entry] = {}
    for entry, namespaces in selected:
        for namespace in namespaces:
            if (namespace, entry.name) == GLOBAL:
                raise InputError(
                    f"{entry.where}: {'/'.join(GLOBAL)} is the cluster's global pull secret. Give its registries as"
                    " global_registries."
                )
            other = targets.setdefault((namespace, entry.name), entry)
            if other is not entry:
                raise InputError(
                    f"{entry.where}: Secret {namespace}/{entry.name} is wanted by {other.where}, too. List each Secret once."
                )
    return targets


def _proof(login: Login, credential: Credential) -> str:
    """Empty, or a warning that nothing could be proven. Raises RegistryError for a credential that is refused."""
    try:
        with Transport(login.host, timeout=_PROOF_TIMEOUT) as transport:
            Registry(login.host, transport.send, credential).log_in()
    except Refused as error:
        raise RegistryError(
            f"{login.source.what}: the new credential of {credentials.describe(login.options)} could not be proven, and nothing was"
            f" written: {error} Check it, or set verify: false to write it all the same."
        ) from error
    except RegistryError as error:
        return f"The new credential for {login.host} could not be proven from here: {error}"
    return ""


def _is_refused(key: tuple[str, Credential]) -> bool:
    """Whether the registry refuses a credential."""
    host, credential = key
    try:
        with Transport(host, timeout=_PROOF_TIMEOUT) as transport:
            Registry(host, transport.send, credential).log_in()
    except Refused:
        return True
    except RegistryError:
        return False
    return False


def _end(content: DockerConfig, key: str) -> int | None:
    stored = content.stored(key)
    return (credentials.expiry(stored.password) if stored else None) or content.ours.get(key)


def _by_key(items: Iterable[Object]) -> dict[_Key, Object]:
    return {(namespace_of(item), name_of(item)): item for item in items}
