# Copyright (c) 2026, quayside.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which certificate the router shows for a host, found as the router itself decides, and what to trust for it."""

from __future__ import annotations

import dataclasses
import datetime
import difflib
from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.quayside.registry.plugins.module_utils import certificates
from ansible_collections.quayside.registry.plugins.module_utils.certificates import Trust
from ansible_collections.quayside.registry.plugins.module_utils.errors import RegistryError
from ansible_collections.quayside.registry.plugins.module_utils.hostname import split_host
from ansible_collections.quayside.registry.plugins.module_utils.openshift.client import ApiError, Cluster
from ansible_collections.quayside.registry.plugins.module_utils.openshift.image_registry_options import (
    DEFAULT_ROUTE,
    NAMESPACE,
)
from ansible_collections.quayside.registry.plugins.module_utils.openshift.image_registry_state import (
    admitted_host,
    generated_host,
    hosts_of,
    routes_domain,
)
from ansible_collections.quayside.registry.plugins.module_utils.openshift.objects import (
    IMAGE_CONFIG,
    ROUTE,
    Object,
)
from ansible_collections.quayside.registry.plugins.module_utils.openshift.router_certificates import (
    SERVICE_SUFFIXES,
    Host,
    Lookup,
    Material,
    claim,
)
from ansible_collections.quayside.registry.plugins.module_utils.plan import Plan
from ansible_collections.quayside.registry.plugins.module_utils.tls_handshake import prove


@dataclasses.dataclass(frozen=True)
class Finding:
    """What is known of one host in the end. Remarks are what is worth knowing and nothing to be warned of."""

    host: Host
    source: str
    trust: Trust | None = None
    verified: bool | None = None
    warnings: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()


class RouterCa:
    """The certificate authorities of hosts behind the router and of services. Reads only."""

    def __init__(self, params: Mapping[str, Any]) -> None:
        given = params.get("hosts") or []
        self.hosts = [_host(text, f"hosts[{index}]") for index, text in enumerate(given)]
        self.routes = [(route["namespace"], route["name"], route["expected"]) for route in params.get("routes") or []]
        self.all_of_registry = params.get("hosts") is None and not self.routes
        self.warn_days = params["warn_days"]
        self.timeout = float(params["connect_timeout"]) if params["handshake"] else None

    def read(self, cluster: Cluster) -> list[Finding]:
        """Routes first, then only those Secrets and ConfigMaps that apply, then the handshakes, all side by side."""
        certificates.require()
        claimed = self._claims(cluster)
        lookup = Lookup(cluster, claimed)
        materials = cluster.map(lambda item: lookup.material(*item), claimed)
        pairs = [(host, material) for (host, _route), material in zip(claimed, materials, strict=True)]
        return cluster.map(lambda pair: self._finding(*pair), pairs)

    def plan(self, state: list[Finding]) -> Plan:
        now = certificates.now()
        plan = Plan(result={"registries": []})
        for finding in state:
            warnings = [*finding.warnings, *_faults(finding, now, self.warn_days)]
            plan.warnings += [f"{finding.host.text}: {warning}." for warning in warnings]
            known = finding.trust
            shown = [] if known is None else [known.leaf, *known.anchors] if known.leaf else known.anchors
            plan.result["registries"].append(
                {
                    "host": finding.host.text,
                    "ca_certificates": certificates.pem(known.anchors) if known else "",
                    "source": finding.source,
                    "certificates": [item.facts(now) for item in dict.fromkeys(shown)],
                    "verified": finding.verified,
                    "problem": "; ".join([*warnings, *finding.remarks]) or None,
                }
            )
        return plan

    def wait(self, _cluster: Cluster, _plan: Plan) -> dict[str, Any]:
        return {}

    def _claims(self, cluster: Cluster) -> list[tuple[Host, Object | None]]:
        """Each host with the route that has it; a service has none, neither has the default host before it is exposed."""
        named = cluster.map(lambda route: _named_route(cluster, *route), self.routes)
        claimed: list[tuple[Host, Object | None]] = [(Host(host, host, 443), route) for host, route in named]
        if self.all_of_registry:
            image, routes = cluster.map(
                lambda read: read(),
                [lambda: cluster.get(IMAGE_CONFIG, "cluster"), lambda: cluster.list_objects(ROUTE, NAMESPACE)],
            )
            names = [host for host in hosts_of(image) if claim(host, routes)]
            hosts = [Host(name, name, 443) for name in names or [_default_host(cluster)]]
        else:
            hosts, routes = self.hosts, []
            if any(not host.is_service for host in hosts):
                routes = cluster.list_objects(ROUTE, NAMESPACE)
        missing = [host for host in hosts if not host.is_service and claim(host.name, routes) is None]
        if any(not host.is_default for host in missing):
            routes = _all_routes(cluster, routes)
        for host in hosts:
            route = None if host.is_service else claim(host.name, routes)
            if route is None and not host.is_service and not host.is_default:
                raise RegistryError(_unclaimed(host, routes))
            claimed.append((host, route))
        return claimed

    def _finding(self, host: Host, material: Material) -> Finding:
        warnings = [material.note] if material.note else []
        if not material.text:
            return Finding(host, material.source, warnings=tuple(warnings))
        shown = certificates.parse(material.text, material.source)
        authorities = certificates.parse(material.authorities, material.source) if material.authorities else []
        known = certificates.trust(shown, authorities)
        remarks, verified = [known.note], None
        if self.timeout is not None:
            proof = prove(host.name, host.port, certificates.pem(known.anchors), self.timeout)
            verified = proof.verified
            told = remarks if verified is None else warnings
            told.append(proof.problem + _difference(proof.shown, known))
        said = (tuple(text for text in texts if text) for texts in (warnings, remarks))
        return Finding(host, material.source, known, verified, *said)


def _host(text: str, what: str) -> Host:
    name, port = split_host(text, what)
    return Host(text.strip(), name, port or (5000 if name.endswith(SERVICE_SUFFIXES) else 443))


def _default_host(cluster: Cluster) -> str:
    """The host that the registry will have once it is exposed."""
    host = generated_host(DEFAULT_ROUTE, routes_domain(cluster))
    if not host:
        raise RegistryError(
            "The image registry is not reached from outside: images.config.openshift.io/cluster names no external host with"
            " an admitted route. Expose it with the module image_registry (default_route: true), or name hosts."
        )
    return host


def _named_route(cluster: Cluster, namespace: str, name: str, expected: bool) -> tuple[str, Object | None]:
    route = cluster.get(ROUTE, name, namespace)
    if route is None:
        host = generated_host(name, routes_domain(cluster), namespace) if expected else ""
        if host:
            return host, None
        raise RegistryError(f"routes: there is no Route {namespace}/{name}.")
    host = admitted_host(route)
    if not host:
        raise RegistryError(
            f"routes: no router has admitted Route {namespace}/{name} (host {route['spec'].get('host', '')}); see its status."
        )
    return host, route


def _all_routes(cluster: Cluster, known: list[Object]) -> list[Object]:
    try:
        return cluster.list_objects(ROUTE)
    except ApiError as error:
        if error.status != 403:
            raise
        return known


def _unclaimed(host: Host, routes: Sequence[Object]) -> str:
    hosts = sorted({admitted_host(route) for route in routes} - {""})
    near = difflib.get_close_matches(host.name, hosts, n=10, cutoff=0.0)
    more = f" and {len(hosts) - len(near)} more" if len(hosts) > len(near) else ""
    there = f"The hosts that there are: {', '.join(near)}{more}." if near else "No router has admitted any route."
    return f"hosts: no admitted route that may be seen has the host {host.text}. {there}"


def _faults(finding: Finding, now: datetime.datetime, warn_days: int) -> list[str]:
    """What is wrong, or soon will be, with the certificates of a host."""
    known = finding.trust
    if known is None:
        return []
    found = []
    if known.leaf and not known.leaf.covers(finding.host.name):
        names = ", ".join(known.leaf.hosts) or "no host at all"
        found.append(f"the certificate {known.leaf.subject} does not cover this host, it is for {names}")
    for item in dict.fromkeys([*([known.leaf] if known.leaf else []), *known.anchors]):
        fault = certificates.validity_fault(item, now)
        days = item.expires_in_days(now)
        if fault:
            found.append(fault)
        elif days < warn_days:
            found.append(f"the certificate {item.subject} expires in {days} days")
    return found


def _difference(shown: bytes | None, known: Trust) -> str:
    """What the server shows instead, where that is the reason."""
    if shown is None or known.leaf is None:
        return ""
    try:
        other = certificates.from_der(shown)
    except ValueError:
        return ""
    if other.fingerprint_sha256 == known.leaf.fingerprint_sha256:
        return ""
    return (
        f" (it shows another certificate than the cluster has for it: {other.subject}, issued by {other.issuer}; something"
        " else may terminate TLS in front of the router)"
    )
