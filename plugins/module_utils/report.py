# Copyright (c) 2026, quayside.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module ``registry_report_info``: a cluster and its Quays. Reads only; holds no secret."""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.quayside.registry.plugins.module_utils import certificates
from ansible_collections.quayside.registry.plugins.module_utils.errors import InputError, RegistryError
from ansible_collections.quayside.registry.plugins.module_utils.openshift import registry_report
from ansible_collections.quayside.registry.plugins.module_utils.openshift.client import Cluster
from ansible_collections.quayside.registry.plugins.module_utils.openshift.image_registry_state import conditions_of
from ansible_collections.quayside.registry.plugins.module_utils.openshift.names import check_object, check_project
from ansible_collections.quayside.registry.plugins.module_utils.openshift.objects import (
    SECRET,
    Object,
    name_of,
    namespace_of,
    texts_of,
)
from ansible_collections.quayside.registry.plugins.module_utils.openshift.registry_report import RegistryReport
from ansible_collections.quayside.registry.plugins.module_utils.openshift.router_ca import Finding, RouterCa
from ansible_collections.quayside.registry.plugins.module_utils.plan import Plan
from ansible_collections.quayside.registry.plugins.module_utils.quay import report as quay_report
from ansible_collections.quayside.registry.plugins.module_utils.quay import stores
from ansible_collections.quayside.registry.plugins.module_utils.quay.client import Server, connect

#: What ``fail_on`` may name, in the order of the page.
PROBLEMS = (
    "expired",
    "expiring",
    "failing_imports",
    "drift",
    "failing_pulls",
    "failing_quays",
    "quota_exceeded",
    "failing_mirrors",
)

#: Where the role ``quay_first_user`` keeps whom to sign in as, in the namespace of the QuayRegistry.
_FIRST_USER = "quay-first-user"
_CONNECTION = ("token", "username", "password", "ca_cert", "validate_certs")

QUAYS: dict[str, Any] = {
    "type": "list",
    "elements": "dict",
    "default": [],
    "options": {
        "host": {"type": "str", "required": True},
        "token": {"type": "str", "no_log": True},
        "username": {"type": "str"},
        "password": {"type": "str", "no_log": True},
        "secret": stores.SECRET,
        "ca_cert": {"type": "str"},
        "validate_certs": {"type": "bool", "default": True},
    },
}


@dataclasses.dataclass(frozen=True)
class Place:
    """A Quay to look at. ``options``: the connection, as ``quay.client`` takes it."""

    host: str
    options: Mapping[str, Any] = dataclasses.field(repr=False)
    secret: tuple[str, str] | None = None  # namespace, name
    registry: Object | None = None


@dataclasses.dataclass(frozen=True)
class Look:
    """What was seen of a Quay; ``found`` is None where it could not be read. ``ends``: the row of the stored token."""

    place: Place
    found: quay_report.Found | None = None
    error: str = ""
    unread: str = ""
    certificates: Sequence[Finding] = ()
    ends: Mapping[str, Any] | None = None
    token_id: str = ""


@dataclasses.dataclass
class State:
    cluster: registry_report.State
    quays: Sequence[Look]


class Report:
    """Its constructor raises InputError for what cannot be meant."""

    def __init__(self, params: Mapping[str, Any]) -> None:
        self._cluster = RegistryReport(params)
        self._given: dict[str, Place] = {}
        for index, entry in enumerate(params["quays"]):
            place = _given(entry, f"quays[{index}]")
            if self._given.setdefault(place.host, place) is not place:
                raise InputError(f"quays[{index}]: {place.host} is listed before. List each Quay once.")

    def read(self, cluster: Cluster) -> State:
        """The cluster, then its Quays and those that were given, side by side."""
        state = self._cluster.read(cluster)
        looks = cluster.map(lambda place: _look(cluster, place), self._places(state.quays))
        state.findings = [*state.findings, *(finding for look in looks for finding in look.certificates)]
        return State(state, looks)

    def _places(self, registries: Sequence[Object]) -> list[Place]:
        """Each Quay once: how to connect comes from what was given, or from the Secret of its first user."""
        places = dict(self._given)
        for registry in registries:
            host = str((registry.get("status") or {}).get("registryEndpoint") or "").partition("://")[2]
            default = (namespace_of(registry), _FIRST_USER)
            given = places.get(host) or Place(host, _options({"host": host}), default)
            key = host or f"{namespace_of(registry)}/{name_of(registry)}"
            places[key] = dataclasses.replace(given, registry=registry)
        return list(places.values())

    def plan(self, state: State) -> Plan:
        """No changes: what was read, and the problems in it."""
        now = certificates.now()
        report = self._cluster.report(state.cluster, now)
        report |= {"quays": [], "quay_organizations": [], "quay_mirrors": []}
        for look in state.quays:
            report["quays"].append(_quay(look))
            if look.ends:
                report["expiry"].append(look.ends)
            if look.unread:
                report["unread"].append(look.unread)
            if look.found:
                host = {"quay": look.place.host}
                report["quay_organizations"] += [{**host, **row} for row in look.found.organizations]
                report["quay_mirrors"] += [{**host, **row} for row in look.found.mirrors]
                report["expiry"] += [_token(look, row) for row in look.found.tokens if row["uuid"] != look.token_id]
                report["unread"] += _summary(look)
        report["expiry"].sort(key=lambda row: (row["not_after"], row["name"]))
        report["problems"] = problems(report, now)
        return Plan(result={"report": report})

    def wait(self, _cluster: Cluster, _plan: Plan) -> dict[str, Any]:
        return {}


def _given(entry: Mapping[str, Any], where: str) -> Place:
    secret = entry["secret"]
    try:
        host = Server.of(_options(entry)).host
    except InputError as error:
        raise InputError(f"{where}: {error}") from error
    if secret:
        check_project(secret["namespace"], f"{where}.secret.namespace")
        check_object(secret["name"], f"{where}.secret.name")
    elif not (entry["token"] or (entry["username"] and entry["password"])):
        raise InputError(f"{where}: give username and password, token, or the secret that keeps them.")
    return Place(host, _options(entry), (secret["namespace"], secret["name"]) if secret else None)


def _options(entry: Mapping[str, Any]) -> dict[str, Any]:
    """As the modules for Quay take them."""
    options = {f"quay_{name}": entry.get(name) for name in _CONNECTION}
    return {**options, "quay_host": entry["host"], "quay_validate_certs": entry.get("validate_certs", True)}


def _look(cluster: Cluster, place: Place) -> Look:
    """One Quay: its Secret, its certificate, and what it tells itself."""
    look = Look(place)
    if not place.host:
        return look
    kept: dict[str, str] = {}
    options = dict(place.options)
    if place.secret:
        where = "/".join(place.secret)
        try:
            # to list is what the report may do with Secrets already
            items = cluster.list_objects(SECRET, place.secret[0], field_selector=f"metadata.name={place.secret[1]}")
        except RegistryError as error:
            return dataclasses.replace(look, unread=f"Quay {place.host} was not read: {error}")
        for item in items:
            kept = texts_of(item)
        if not kept:
            return dataclasses.replace(
                look, unread=f"Quay {place.host} was not read: Secret {where} with its first user does not exist."
            )
        options |= {f"quay_{key}": kept.get(key) for key in ("username", "password", "token")}
        if kept.get("token_expires"):
            look = dataclasses.replace(look, ends=_stored_token(kept, place, where), token_id=kept.get("token_id", ""))
    certificates_ = _certificates(cluster, place.host)
    anchors = [anchor for finding in certificates_ if finding.trust for anchor in finding.trust.anchors]
    if anchors and not options["quay_ca_cert"]:
        options["quay_ca_cert"] = certificates.pem(anchors)
    look = dataclasses.replace(look, certificates=certificates_)
    try:
        with connect(options) as quay:
            return dataclasses.replace(look, found=quay_report.read(quay))
    except RegistryError as error:
        return dataclasses.replace(look, error=str(error))


def _certificates(cluster: Cluster, host: str) -> list[Finding]:
    """What the cluster's router shows for the host; nothing where it is another's."""
    try:
        given = {"hosts": [host], "warn_days": 0, "connect_timeout": 0, "handshake": False}
        return RouterCa(given).read(cluster)
    except RegistryError:
        return []


def _stored_token(kept: Mapping[str, str], place: Place, where: str) -> dict[str, Any]:
    return {
        "kind": "token",
        "name": f"of {kept.get('username', '')}",
        "issuer": "",
        "where": f"Secret {where}",
        "used_for": [place.host],
        "not_after": kept["token_expires"],
    }


def _token(look: Look, row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "kind": "token",
        "name": row["name"],
        "issuer": "",
        "where": f"Quay {look.place.host}, application {row['application']}",
        "used_for": [look.place.host],
        "not_after": row["not_after"],
    }


def _summary(look: Look) -> list[str]:
    """What whoever asks may not see, in a sentence: a superuser without full access may see no robots, of any organization."""
    unread = look.found.unread if look.found else []
    if not unread:
        return []
    more = f" ({len(unread) - 1} more like this.)" if len(unread) > 1 else ""
    return [f"Quay {look.place.host}: {min(unread)}{more}"]


def _quay(look: Look) -> dict[str, Any]:
    registry, found = look.place.registry, look.found
    shown: dict[str, Any] = {
        "host": look.place.host,
        "registry": "",
        "version": "",
        "available": None,
        "message": "",
        "error": look.error,
        "read": found is not None,
    }
    if registry:
        condition = next((item for item in conditions_of(registry) if item["type"] == "Available"), {})
        shown["registry"] = f"{namespace_of(registry)}/{name_of(registry)}"
        shown["version"] = (registry.get("status") or {}).get("currentVersion", "")
        shown["available"] = condition.get("status") == "True"
        shown["message"] = "" if shown["available"] else condition.get("message", "")
    return shown


def problems(report: Mapping[str, Any], now: datetime.datetime) -> list[dict[str, str]]:
    """What a pipeline may fail on: a kind of ``PROBLEMS`` and a sentence for each."""
    found: list[tuple[str, str]] = []
    soon = (now + datetime.timedelta(days=report["warn_before"])).strftime("%Y-%m-%dT%H:%M:%SZ")
    for row in report["expiry"]:
        if row["not_after"] < report["read_at"]:
            found.append(("expired", f"{row['kind']} {row['name']} expired on {row['not_after']}"))
        elif row["not_after"] < soon:
            found.append(("expiring", f"{row['kind']} {row['name']} expires on {row['not_after']}"))
    for row in report["failing_imports"]:
        what = f"{_tag(row)} cannot be imported from {row['source']}"
        found.append(("failing_imports", f"{what}: {row['message']}"))
    for row in report["drift"] or []:
        now_ = "has another image by now" if row["current"] else "is gone"
        found.append(("drift", f"{_tag(row)}: its source {row['source']} {now_}"))
    for row in report["failing_pulls"]:
        found.append(("failing_pulls", f"{row['pods']} pods cannot pull {row['image']}: {row['summary']}"))
    for row in report["quays"]:
        if row["available"] is False:
            what = f"Quay {row['registry']} is not available"
            found.append(("failing_quays", f"{what}: {row['message']}" if row["message"] else what))
        elif row["error"]:
            found.append(("failing_quays", f"Quay {row['host']} cannot be read: {row['error']}"))
    for row in report["quay_organizations"]:
        if row["state"] == "exceeded":
            what = f"organization {row['organization']} uses {row['used']} of {row['quota']} bytes"
            found.append(("quota_exceeded", f"Quay {row['quay']}: {what}"))
    for row in report["quay_mirrors"]:
        if row["failing"]:
            what = f"{row['organization']}/{row['repository']} could not be mirrored from {row['source']}"
            found.append(("failing_mirrors", f"Quay {row['quay']}: {what}"))
    found.sort(key=lambda problem: PROBLEMS.index(problem[0]))
    return [{"kind": kind, "text": text} for kind, text in found]


def _tag(row: Mapping[str, Any]) -> str:
    return f"{row['namespace']}/{row['stream']}:{row['tag']}"
