# Copyright (c) 2026, quayside.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A service account for automation, with exactly the rights that chosen playbooks need, and a kubeconfig with its token."""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import json
import os
import re
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ansible_collections.quayside.registry.plugins.module_utils.credentials import jwt_claims
from ansible_collections.quayside.registry.plugins.module_utils.errors import InputError, RegistryError
from ansible_collections.quayside.registry.plugins.module_utils.openshift import rights
from ansible_collections.quayside.registry.plugins.module_utils.openshift.client import Cluster
from ansible_collections.quayside.registry.plugins.module_utils.openshift.names import check_object, check_project
from ansible_collections.quayside.registry.plugins.module_utils.openshift.objects import (
    CLUSTER_ROLE,
    CLUSTER_ROLE_BINDING,
    NAMESPACE,
    ROLE,
    ROLE_BINDING,
    SERVICE_ACCOUNT,
    Kind,
    Object,
    changes,
    name_of,
    namespace_of,
    new,
)
from ansible_collections.quayside.registry.plugins.module_utils.openshift.tokens import LONGEST, SHORTEST, request_token
from ansible_collections.quayside.registry.plugins.module_utils.plan import HIDDEN, HIDDEN_NEW, Change, Plan

#: On every role and binding of an account; its value is NAMESPACE.NAME.
LABEL = "quayside.registry/automation-access"

_KINDS = (CLUSTER_ROLE, ROLE, CLUSTER_ROLE_BINDING, ROLE_BINDING)

#: (kind, namespace, name)
Key = tuple[str, str, str]


@dataclasses.dataclass(frozen=True)
class State:
    """What there is. ``kubeconfig`` is None where there is no file."""

    host: str
    ca: str
    namespace: Object | None
    account: Object | None
    items: Mapping[Key, Object]
    kubeconfig: str | None


class AutomationAccess:
    """The module ``automation_access``. Its constructor raises InputError for what cannot be meant."""

    def __init__(self, params: Mapping[str, Any]) -> None:
        self.name, self.namespace = str(params["name"]), str(params["namespace"])
        self._present = params["state"] == "present"
        self._playbooks = sorted(set(params["playbooks"] or ()))
        self._projects: list[str] | None = None if params["projects"] is None else sorted(set(params["projects"]))
        self._kubeconfig = str(params["account_kubeconfig"] or "")
        self._expires_in, self._renew_before = int(params["expires_in"]), params["renew_before"]
        check_object(self.name, "name")
        for project in (self.namespace, *(self._projects or ())):
            check_project(project, "namespace" if project == self.namespace else "projects")
        self._label = f"{self.namespace}.{self.name}"
        if len(self._label) > 63:
            raise InputError(f"name and namespace: {self._label} is longer than 63 characters. Choose shorter ones.")
        unknown = [name for name in self._playbooks if name not in rights.RIGHTS]
        if unknown:
            raise InputError(
                f"playbooks: {', '.join(unknown)} is none that needs rights on a cluster. Those are:"
                f" {', '.join(sorted(rights.RIGHTS))}."
            )
        if self._present and not self._playbooks:
            raise InputError(f"playbooks: name what the account shall run: {', '.join(sorted(rights.RIGHTS))}.")
        if not SHORTEST <= self._expires_in <= LONGEST:
            raise InputError(f"expires_in: a token lives from {SHORTEST} to {LONGEST} seconds, not {self._expires_in}.")

    def read(self, cluster: Cluster) -> State:
        """Six concurrent requests, whatever the size of the cluster."""

        def read_all(kind: Kind) -> list[Object]:
            return cluster.list_objects(kind, label_selector=f"{LABEL}={self._label}")

        def read_one(what: tuple[Kind, str, str]) -> Object | None:
            return cluster.get(*what)

        reads: list[Any] = [lambda kind=kind: read_all(kind) for kind in _KINDS]
        reads.append(lambda: read_one((NAMESPACE, self.namespace, "")))
        reads.append(lambda: read_one((SERVICE_ACCOUNT, self.name, self.namespace)))
        *lists, namespace, account = cluster.map(lambda read: read(), reads)
        items = {
            (kind.kind, namespace_of(item), name_of(item)): item
            for kind, found in zip(_KINDS, lists, strict=True)
            for item in found
        }
        if (namespace or {}).get("metadata", {}).get("deletionTimestamp"):
            raise RegistryError(f"Project {self.namespace} is being deleted. Run again when it is gone.")
        ca = Path(cluster.ca_file).read_text(encoding="utf-8") if cluster.ca_file else ""
        return State(cluster.host, ca, namespace, account, items, self._read_kubeconfig())

    def plan(self, state: State) -> Plan:
        """Stage 0: project; 1: account and roles; 2: bindings, with what is no longer granted taken away; 3: kubeconfig."""
        plan = Plan(result={"service_account": {"namespace": self.namespace, "name": self.name}})
        plan.result["roles"] = []
        account = None
        if self._present:
            if state.namespace is None:
                plan.changes += changes(NAMESPACE, None, new(NAMESPACE, self.namespace))
            account = state.account or self._object(SERVICE_ACCOUNT, self.name, self.namespace)
        plan.changes += changes(SERVICE_ACCOUNT, state.account, account, stage=1)
        wanted = dict(self._wanted()) if self._present else {}
        for key in sorted(wanted.keys() | state.items.keys()):
            kind = next(kind for kind in _KINDS if kind.kind == key[0])
            before, after = state.items.get(key), wanted.get(key)
            if before is not None and after is not None:
                content: Object = {name: after[name] for name in ("rules", "roleRef", "subjects") if name in after}
                after = {**before, **content}
            stage = 2 if "Binding" in kind.kind or after is None else 1
            plan.changes += changes(kind, before, after, stage=stage)
        plan.result["roles"] = [
            {"kind": kind, "namespace": namespace, "name": name, "rules": item["rules"]}
            for (kind, namespace, name), item in wanted.items()
            if "rules" in item
        ]
        if self._kubeconfig:
            plan.changes += self._kubeconfig_change(state)
        return plan

    def wait(self, _cluster: Cluster, _plan: Plan) -> dict[str, Any]:
        """Nothing to wait for: RBAC sees a new binding within milliseconds."""
        return {}

    def write(self, cluster: Cluster, change: Change) -> Any:
        """Carry out one change: of an object, or of the kubeconfig."""
        if change.kind != "Kubeconfig":
            return cluster.write(change)
        if change.action == "delete":
            return Path(self._kubeconfig).unlink(missing_ok=True)
        token = request_token(cluster, self.namespace, self.name, self._expires_in)
        ca = Path(cluster.ca_file).read_text(encoding="utf-8") if cluster.ca_file else ""
        return _write_secret(Path(self._kubeconfig), self._content(cluster.host, ca, token.value))

    # Roles and bindings

    def _wanted(self) -> Iterator[tuple[Key, Object]]:
        for playbook, needed in rights.of(self._playbooks).items():
            base = f"quayside.registry:{self._label}:{playbook}"
            everywhere = [right for right in needed if self._is_everywhere(right.where)]
            if everywhere:
                yield from self._granted(CLUSTER_ROLE, base, everywhere, [""])
            inside = [right for right in needed if right.where == rights.PROJECTS]
            if inside and self._projects:
                yield from self._granted(CLUSTER_ROLE, f"{base}:projects", inside, self._projects)
            special = (rights.CLUSTER, rights.PROJECTS, rights.ALL_PROJECTS)
            for namespace in sorted({right.where for right in needed} - set(special)):
                here = [right for right in needed if right.where == namespace]
                yield from self._granted(ROLE, base, here, [namespace])

    def _is_everywhere(self, where: str) -> bool:
        return where == rights.CLUSTER or (where in (rights.PROJECTS, rights.ALL_PROJECTS) and self._projects is None)

    def _granted(
        self, kind: Kind, name: str, needed: list[rights.Right], namespaces: list[str]
    ) -> Iterator[tuple[Key, Object]]:
        """A role, and a binding to it in each of the namespaces ("" for the whole cluster)."""
        role = self._object(kind, name, namespaces[0] if kind is ROLE else "", rules=[item.rule() for item in needed])
        yield (kind.kind, namespace_of(role), name), role
        reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": kind.kind, "name": name}
        subject = {"kind": "ServiceAccount", "name": self.name, "namespace": self.namespace}
        for namespace in namespaces:
            binding_kind = ROLE_BINDING if namespace else CLUSTER_ROLE_BINDING
            binding = self._object(binding_kind, name, namespace, roleRef=reference, subjects=[subject])
            yield (binding_kind.kind, namespace, name), binding

    def _object(self, kind: Kind, name: str, namespace: str, **content: Any) -> Object:
        """Not labelled as other objects of this collection: whoever purges those must not take his own rights away."""
        item = new(kind, name, namespace, **content)
        item["metadata"]["labels"] = {LABEL: self._label}
        return item

    # The kubeconfig

    def _read_kubeconfig(self) -> str | None:
        if not self._kubeconfig:
            return None
        try:
            return Path(self._kubeconfig).read_text(encoding="utf-8")
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise InputError(f"account_kubeconfig: {self._kubeconfig} cannot be read: {error}.") from error

    def _kubeconfig_change(self, state: State) -> list[Change]:
        path, before = self._kubeconfig, state.kubeconfig
        if not self._present:
            return [] if before is None else [Change("delete", "Kubeconfig", path, before=_shown(HIDDEN), stage=3)]
        reason = self._why_renew(state)
        if not reason:
            return []
        action = "create" if before is None else "update"
        shown = None if before is None else _shown(HIDDEN)
        return [Change(action, "Kubeconfig", path, before=shown, after=_shown(HIDDEN_NEW, reason), stage=3)]

    def _why_renew(self, state: State) -> str:
        """Why the file is written anew; empty where it is as wanted and its token lasts."""
        if state.kubeconfig is None:
            return "there is none"
        try:
            token = str(json.loads(state.kubeconfig)["users"][0]["user"]["token"])
        except (ValueError, LookupError, TypeError):
            return "another program wrote it"
        if state.kubeconfig != self._content(state.host, state.ca, token):
            return "it is for another cluster or another account"
        claims = jwt_claims(token) or {}
        uid = ((claims.get("kubernetes.io") or {}).get("serviceaccount") or {}).get("uid")
        if state.account is None or uid != state.account["metadata"].get("uid"):
            return "its token is of an account that is gone"
        left = int(claims.get("exp", 0)) - time.time()
        enough = self._expires_in // 2 if self._renew_before is None else int(self._renew_before)
        return "its token ends soon" if left <= enough else ""

    def _content(self, host: str, ca: str, token: str) -> str:
        server = {"server": host}
        if ca:
            server["certificate-authority-data"] = base64.b64encode(ca.encode()).decode()
        name = re.sub(r"^https?://([^:/]+).*", r"\1", host)
        document = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": name, "cluster": server}],
            "users": [{"name": self.name, "user": {"token": token}}],
            "contexts": [{"name": name, "context": {"cluster": name, "user": self.name}}],
            "current-context": name,
        }
        return json.dumps(document, indent=2) + "\n"


def _shown(token: str, reason: str = "") -> dict[str, str]:
    return {"token": token, **({"reason": reason} if reason else {})}


def _write_secret(path: Path, text: str) -> None:
    """Whole or not at all, and for nobody else to read."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # 0600
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(text)
            Path(name).replace(path)
        finally:
            with contextlib.suppress(FileNotFoundError):
                Path(name).unlink()
    except OSError as error:
        raise RegistryError(f"account_kubeconfig: {path} cannot be written: {error.strerror}.") from error
