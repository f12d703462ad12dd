# Copyright (c) 2026, quayside.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Everything about a cluster's registry that someone who runs many of them wants to see. Reads only; holds no secret."""

from __future__ import annotations

import binascii
import dataclasses
import datetime
import functools
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from ansible_collections.quayside.registry.plugins.module_utils import certificates, credentials
from ansible_collections.quayside.registry.plugins.module_utils.errors import InputError, RegistryError
from ansible_collections.quayside.registry.plugins.module_utils.openshift import (
    docker_config,
    image_drift,
    report_access,
)
from ansible_collections.quayside.registry.plugins.module_utils.openshift.client import ApiError, Cluster
from ansible_collections.quayside.registry.plugins.module_utils.openshift.image_registry_state import (
    Registry,
    conditions_of,
    read_registry,
)
from ansible_collections.quayside.registry.plugins.module_utils.openshift.image_stream_options import (
    failure,
    spec_tags,
    status_tag,
)
from ansible_collections.quayside.registry.plugins.module_utils.openshift.objects import (
    CLUSTER_ROLE,
    CLUSTER_ROLE_BINDING,
    CONFIG_MAP,
    GROUP,
    IMAGE_CONFIG,
    IMAGE_STREAM,
    QUAY_REGISTRY,
    ROLE,
    ROLE_BINDING,
    SECRET,
    SERVICE_ACCOUNT,
    Kind,
    Object,
    name_of,
    namespace_of,
)
from ansible_collections.quayside.registry.plugins.module_utils.openshift.pull_failures import PullFailures
from ansible_collections.quayside.registry.plugins.module_utils.openshift.pull_failures import State as Pulls
from ansible_collections.quayside.registry.plugins.module_utils.openshift.router_ca import Finding, RouterCa

Found = TypeVar("Found")

_CONFIG_NAMESPACE = "openshift-config"
_PULL_SECRET = f"type={docker_config.TYPE}"
_SHOWN_CONDITIONS = ("Available", "Progressing", "Degraded")


@dataclasses.dataclass
class State:
    """What was read. A part is empty where the caller may not read it: ``unread`` then says why.

    ``quays``: the QuayRegistries; ``drift``: None where it was not asked for.
    """

    registry: Registry
    findings: Sequence[Finding]
    authorities: Object | None
    access: Mapping[Kind, Sequence[Object]]
    secrets: Sequence[Object]
    accounts: Sequence[Object]
    streams: Sequence[Object]
    quays: Sequence[Object]
    pulls: Pulls
    unread: list[str]
    drift: Sequence[Mapping[str, Any]] | None = None


class RegistryReport:
    """What a cluster itself tells: the part of the module ``registry_report_info`` that needs no Quay."""

    def __init__(self, params: Mapping[str, Any]) -> None:
        self._warn_before = int(params["warn_before"])
        if self._warn_before < 0:
            raise InputError("warn_before: give the number of days, 0 or more.")
        self._router = RouterCa({"warn_days": self._warn_before, "connect_timeout": 0, "handshake": False})
        self._failures = PullFailures({"verify": False, "timeout": 0})
        self._drift = bool(params["drift"])

    def read(self, cluster: Cluster) -> State:
        """About twenty requests side by side, whatever the size of the cluster."""
        unread: list[str] = []

        def maybe(read: Callable[[], Found], otherwise: Found) -> Callable[[], Found]:
            def tolerant() -> Found:
                try:
                    return read()
                except RegistryError as error:
                    if isinstance(error, ApiError) and error.status == 401:
                        raise
                    unread.append(str(error))
                    return otherwise

            return tolerant

        kinds = (CLUSTER_ROLE, CLUSTER_ROLE_BINDING, ROLE, ROLE_BINDING, GROUP)
        nothing: list[Object] = []
        lists = [
            *(functools.partial(cluster.list_objects, kind) for kind in kinds),
            functools.partial(cluster.list_objects, SECRET, field_selector=_PULL_SECRET),
            functools.partial(cluster.list_objects, SERVICE_ACCOUNT),
            functools.partial(cluster.list_objects, IMAGE_STREAM),
            functools.partial(_quays, cluster),
        ]
        reads: list[Callable[[], Any]] = [
            functools.partial(read_registry, cluster),  # whoever may not even read that has no report
            maybe(functools.partial(self._router.read, cluster), []),
            maybe(functools.partial(_authorities, cluster), None),
            maybe(functools.partial(self._failures.read, cluster), Pulls([])),
            *(maybe(read, nothing) for read in lists),
        ]
        registry, findings, authorities, pulls, *listed = cluster.map(lambda read: read(), reads)
        secrets, accounts, streams, quays = listed[len(kinds) :]
        access = dict(zip(kinds, listed[: len(kinds)], strict=True))
        state = State(registry, findings, authorities, access, secrets, accounts, streams, quays, pulls, unread)
        if self._drift:
            state.drift, more = image_drift.read(cluster, streams, secrets)
            unread += more
        state.unread = sorted(set(unread))
        return state

    def report(self, state: State, now: datetime.datetime) -> dict[str, Any]:
        """What was read, as the page shows it."""
        return {
            "read_at": now.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "warn_before": self._warn_before,
            "registry": _registry(state.registry),
            "counts": _counts(state.streams),
            "expiry": [*_certificates(state), *_tokens(state.secrets)],
            "access": _access(state),
            "pull_secrets": _pull_secrets(state.secrets, state.accounts),
            "failing_imports": _failing_imports(state.streams),
            "drift": state.drift,
            "failing_pulls": self._failing_pulls(state.pulls),
            "unread": state.unread,
        }

    def _failing_pulls(self, pulls: Pulls) -> list[dict[str, Any]]:
        wanted = ("image", "registry", "cause", "summary", "evidence", "remedy", "namespaces")
        return [
            {**{key: found[key] for key in wanted}, "pods": len(found["pods"])}
            for found in self._failures.plan(pulls).result["failures"]
        ]


def _quays(cluster: Cluster) -> list[Object]:
    """The QuayRegistries; none where the cluster does not know the kind."""
    try:
        return cluster.list_objects(QUAY_REGISTRY)
    except ApiError as error:
        if error.status != 404:
            raise
        return []


def _authorities(cluster: Cluster) -> Object | None:
    """The ConfigMap with the CAs that the cluster trusts for registries."""
    image = cluster.get(IMAGE_CONFIG, "cluster")
    name = (((image or {}).get("spec") or {}).get("additionalTrustedCA") or {}).get("name")
    return cluster.get(CONFIG_MAP, name, _CONFIG_NAMESPACE) if name else None


def _registry(registry: Registry) -> dict[str, Any]:
    result = registry.result()
    conditions = {item["type"]: item for item in conditions_of(registry.config)}
    wrong = [route for route in result["routes"] if not route["admitted"]]
    return {
        "management_state": result["management_state"],
        "hosts": result["hosts"],
        "internal_address": result["internal_address"],
        "storage": sorted(kind for kind in result["storage"] if kind != "managementState"),
        "replicas": registry.config["spec"].get("replicas", 1),
        "read_only": bool(registry.config["spec"].get("readOnly")),
        "conditions": {
            kind: {key: conditions[kind].get(key) or "" for key in ("status", "reason", "message")}
            for kind in _SHOWN_CONDITIONS
            if kind in conditions
        },
        "refused_routes": [
            {"name": route["name"], "host": route["host"], "message": route["message"]} for route in wrong
        ],
    }


def _counts(streams: Sequence[Object]) -> dict[str, int]:
    return {
        "projects": len({namespace_of(stream) for stream in streams}),
        "image_streams": len(streams),
        "tags": sum(len((stream.get("status") or {}).get("tags") or []) for stream in streams),
    }


def _certificates(state: State) -> list[dict[str, Any]]:
    """The server's own and those of its authorities, and the CAs that the cluster trusts for other registries."""
    rows: dict[tuple[str, str], dict[str, Any]] = {}

    def add(kind: str, item: certificates.Certificate, where: str, used_for: str) -> None:
        row = rows.setdefault(
            (item.fingerprint_sha256, where),
            {
                "kind": kind,
                "name": item.subject,
                "issuer": item.issuer,
                "where": where,
                "used_for": [],
                "not_after": item.not_after.strftime("%Y-%m-%dT%H:%M:%SZ"),
            },
        )
        if used_for not in row["used_for"]:
            row["used_for"].append(used_for)

    for finding in state.findings:
        if finding.trust is None:
            continue
        if finding.trust.leaf:
            add("certificate", finding.trust.leaf, finding.source, finding.host.text)
        for anchor in finding.trust.anchors:
            if anchor != finding.trust.leaf:
                add("CA", anchor, finding.source, finding.host.text)
    where = f"ConfigMap {_CONFIG_NAMESPACE}/{name_of(state.authorities)}" if state.authorities else ""
    for key, text in ((state.authorities or {}).get("data") or {}).items():
        try:
            found = certificates.parse(text, where)
        except InputError as error:
            state.unread.append(f"{where}, key {key}: {error}")
            continue
        for item in found:
            add("CA", item, where, key.replace("..", ":"))
    return list(rows.values())


def _entries(secret: Object) -> tuple[docker_config.DockerConfig | None, str]:
    try:
        return docker_config.read(secret), ""
    except (InputError, binascii.Error, UnicodeDecodeError):
        return None, "it cannot be read: it is no docker configuration"


def _tokens(secrets: Sequence[Object]) -> list[dict[str, Any]]:
    """Credentials of pull secrets that end, and say so or were recorded to."""
    rows = []
    for secret in secrets:
        content, _problem = _entries(secret)
        for key in content.config.get("auths", {}) if content else {}:
            end = _end(content, key)
            if end:
                rows.append(
                    {
                        "kind": "credential",
                        "name": f"for {key}",
                        "issuer": "",
                        "where": f"Secret {namespace_of(secret)}/{name_of(secret)}",
                        "used_for": [key],
                        "not_after": end,
                    }
                )
    return rows


def _end(content: docker_config.DockerConfig | None, key: str) -> str:
    stored = content.stored(key) if content else None
    if content is None or stored is None:
        return ""
    end = credentials.expiry(stored.password) or content.ours.get(key)
    return credentials.timestamp(end) if end else ""


def _pull_secrets(secrets: Sequence[Object], accounts: Sequence[Object]) -> list[dict[str, Any]]:
    links: dict[tuple[str, str], list[str]] = defaultdict(list)
    for account in accounts:
        named = {
            entry.get("name", "") for field in ("imagePullSecrets", "secrets") for entry in account.get(field) or []
        }
        for name in named:
            links[namespace_of(account), name].append(name_of(account))
    rows = []
    for secret in secrets:
        content, problem = _entries(secret)
        auths = content.config.get("auths", {}) if content else {}
        row: dict[str, Any] = {
            "namespace": namespace_of(secret),
            "name": name_of(secret),
            "registry": "",
            "username": "",
            "not_after": "",
            "linked": sorted(links[namespace_of(secret), name_of(secret)]),
            "problem": problem if auths or problem else "it names no registry",
        }
        if (namespace_of(secret), name_of(secret)) == (_CONFIG_NAMESPACE, "pull-secret"):
            row["linked"] = ["all nodes"]
        rows += [row] if not auths else []
        for key in sorted(auths):
            stored = content.stored(key) if content else None
            rows.append(
                {
                    **row,
                    "registry": key,
                    "username": stored.username if stored else "",
                    "not_after": _end(content, key),
                    "problem": "" if stored else "it has no credential for this registry",
                }
            )
    return sorted(rows, key=lambda item: (item["namespace"], item["name"], item["registry"]))


def _access(state: State) -> list[dict[str, Any]]:
    roles = [{**item, "kind": kind.kind} for kind in (CLUSTER_ROLE, ROLE) for item in state.access[kind]]
    bindings = [*state.access[CLUSTER_ROLE_BINDING], *state.access[ROLE_BINDING]]
    return report_access.resolve(
        roles, bindings, state.access[GROUP], {namespace_of(stream) for stream in state.streams}
    )


def _failing_imports(streams: Sequence[Object]) -> list[dict[str, Any]]:
    rows = []
    for stream in streams:
        for name, tag in spec_tags(stream).items():
            condition = failure(stream, name)
            if condition:
                rows.append(
                    {
                        "namespace": namespace_of(stream),
                        "stream": name_of(stream),
                        "tag": name,
                        "source": (tag.get("from") or {}).get("name", ""),
                        "reason": condition.get("reason") or "",
                        "message": condition.get("message") or "",
                        "since": condition.get("lastTransitionTime") or "",
                        "has_image": bool(status_tag(stream, name).get("items")),
                    }
                )
    return sorted(rows, key=lambda row: (row["namespace"], row["stream"], row["tag"]))
