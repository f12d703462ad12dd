# Copyright (c) 2026, quayside.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the cluster keeps the certificate that applies to a host, found as the router itself decides."""

from __future__ import annotations

import base64
import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ansible_collections.quayside.registry.plugins.module_utils.errors import RegistryError
from ansible_collections.quayside.registry.plugins.module_utils.openshift.client import ApiError, Cluster
from ansible_collections.quayside.registry.plugins.module_utils.openshift.image_registry_options import (
    DEFAULT_ROUTE,
    NAMESPACE,
)
from ansible_collections.quayside.registry.plugins.module_utils.openshift.image_registry_state import admitted_host
from ansible_collections.quayside.registry.plugins.module_utils.openshift.objects import (
    CONFIG_MAP,
    INGRESS_CONTROLLER,
    SECRET,
    Object,
    name_of,
    namespace_of,
)

SERVICE_SUFFIXES = (".svc", ".svc.cluster.local")
_ROUTER_NAMESPACE = "openshift-ingress"
_OPERATOR_NAMESPACE = "openshift-ingress-operator"
_PUBLISHED_NAMESPACE = "openshift-config-managed"


@dataclasses.dataclass(frozen=True)
class Host:
    """A host to trust, `text` as the user wrote it."""

    text: str
    name: str
    port: int

    @property
    def is_service(self) -> bool:
        return self.name.endswith(SERVICE_SUFFIXES)

    @property
    def is_default(self) -> bool:
        """Whether this is the host that the registry's default route has or will get."""
        return self.name.startswith(f"{DEFAULT_ROUTE}-{NAMESPACE}.")


@dataclasses.dataclass(frozen=True)
class Material:
    """The certificates that apply to a host and where they were found. No text: none can be known, `note` says why."""

    source: str
    text: str = ""
    authorities: str = ""
    note: str = ""


class Lookup:
    """Where the certificate of a host is kept. Reads each Secret once, and only those that are needed."""

    def __init__(self, cluster: Cluster, claimed: Sequence[tuple[Host, Object | None]]) -> None:
        self._cluster = cluster
        needs_controllers = any(
            not host.is_service and (route is None or _is_routers(route)) for host, route in claimed
        )
        self._controllers = self._read_controllers() if needs_controllers else None
        routers = {self._router(host, route) for host, route in claimed if not host.is_service and _is_routers(route)}
        names = sorted(routers)
        self._shown: dict[str, Material] = dict(zip(names, cluster.map(self._router_certificate, names), strict=True))

    def material(self, host: Host, route: Object | None) -> Material:
        """The certificates for one host."""
        if host.is_service:
            return self._service_ca()
        if route is None:
            found = self._shown[self._router(host, None)]
            return dataclasses.replace(
                found, note="no route has this host yet; this is what the router will show for it"
            )
        tls = route["spec"].get("tls") or {}
        label = f"Route {namespace_of(route)}/{name_of(route)}"
        if not tls:
            return Material(label, note=f"{label} is plain HTTP: there is no certificate")
        if tls.get("termination") == "passthrough":
            return Material(
                label,
                note=f"{label} passes TLS through, so its certificate is the backend's own and not known to the router",
            )
        if tls.get("certificate"):
            return Material(label, tls["certificate"], tls.get("caCertificate") or "")
        if (tls.get("externalCertificate") or {}).get("name"):
            namespace, name = namespace_of(route), tls["externalCertificate"]["name"]
            secret = self._cluster.get(SECRET, name, namespace)
            if secret is None:
                raise RegistryError(
                    f"{label} takes its certificate from Secret {namespace}/{name}, which does not exist."
                )
            return _from_secret(secret)
        return self._shown[self._router(host, route)]

    def _router(self, host: Host, route: Object | None) -> str:
        """Name of the IngressController that serves the host."""
        if route is not None:
            return router_of(host.name, route)
        if self._controllers is None:
            return "default"
        domain = host.name.partition(".")[2]
        for controller in self._controllers:
            if (controller.get("status") or {}).get("domain") == domain:
                return name_of(controller)
        raise RegistryError(
            f"No route has the host {host.text}, and no IngressController serves the domain {domain}. Expose the registry"
            " with the module image_registry (default_route: true), or correct hosts."
        )

    def _read_controllers(self) -> list[Object] | None:
        try:
            return self._cluster.list_objects(INGRESS_CONTROLLER, _OPERATOR_NAMESPACE)
        except ApiError as error:
            if error.status != 403:
                raise
            return None  # what the default router shows is published for all to read

    def _router_certificate(self, router: str) -> Material:
        """What this router shows where a route brings no certificate."""
        refusal: RegistryError | None = None
        if self._controllers is not None or router != "default":
            controller = next((item for item in self._controllers or [] if name_of(item) == router), {})
            own = (controller.get("spec", {}).get("defaultCertificate") or {}).get("name")
            name = own or f"router-certs-{router}"
            refusal = RegistryError(
                f"Secret {_ROUTER_NAMESPACE}/{name} with the certificate of IngressController {router} does not exist."
            )
            try:
                secret = self._cluster.get(SECRET, name, _ROUTER_NAMESPACE)
                if secret is not None:
                    return _from_secret(secret)
            except ApiError as error:
                if error.status != 403:
                    raise
                refusal = error
            if router != "default":
                raise refusal
        published = self._cluster.get(CONFIG_MAP, "default-ingress-cert", _PUBLISHED_NAMESPACE)
        text = ((published or {}).get("data") or {}).get("ca-bundle.crt")
        if text:
            return Material(f"ConfigMap {_PUBLISHED_NAMESPACE}/default-ingress-cert", text)
        raise refusal or RegistryError(
            f"ConfigMap {_PUBLISHED_NAMESPACE}/default-ingress-cert, in which the ingress operator publishes the router's"
            " certificate, does not exist; see the ingress operator's state."
        )

    def _service_ca(self) -> Material:
        name = "openshift-service-ca.crt"
        found = self._cluster.get(CONFIG_MAP, name, NAMESPACE)
        text = ((found or {}).get("data") or {}).get("service-ca.crt")
        if not text:
            raise RegistryError(
                f"ConfigMap {NAMESPACE}/{name} with the authority of the cluster's services does not exist or is empty; the"
                " service CA operator publishes it in every namespace."
            )
        return Material(f"ConfigMap {NAMESPACE}/{name}", text)


def claim(host: str, routes: Iterable[Object]) -> Object | None:
    """The route that serves the host: the oldest admitted one, as the router decides."""
    parent = host.partition(".")[2]
    found = []
    for route in routes:
        own = admitted_host(route)
        wildcard = (route.get("spec") or {}).get("wildcardPolicy") == "Subdomain" and own.partition(".")[2] == parent
        if own and (own == host or wildcard):
            found.append((own != host, route["metadata"].get("creationTimestamp", ""), name_of(route), route))
    return min(found, key=lambda item: item[:3])[3] if found else None


def router_of(host: str, route: Mapping[str, Any]) -> str:
    """The router that clients of this host reach: of those that admitted the route, the one whose domain the host is in."""
    admitted = [
        ingress
        for ingress in (route.get("status") or {}).get("ingress") or []
        if any(item["type"] == "Admitted" and item["status"] == "True" for item in ingress.get("conditions") or [])
    ]
    domains = {item["routerName"]: item.get("routerCanonicalHostname", "").partition(".")[2] for item in admitted}
    own = [name for name, domain in domains.items() if domain and host.endswith(f".{domain}")]
    return max(own, key=lambda name: len(domains[name])) if own else str(admitted[0]["routerName"])


def _is_routers(route: Object | None) -> bool:
    """Whether the router's own certificate applies."""
    if route is None:
        return True
    tls = route["spec"].get("tls") or {}
    return (
        bool(tls)
        and tls.get("termination") != "passthrough"
        and not (tls.get("certificate") or tls.get("externalCertificate"))
    )


def _from_secret(secret: Object) -> Material:
    label = f"Secret {namespace_of(secret)}/{name_of(secret)}"
    data = secret.get("data") or {}
    text, authorities = (
        base64.b64decode(data.get(key) or "").decode(errors="replace") for key in ("tls.crt", "ca.crt")
    )
    if not text:
        raise RegistryError(f"{label} has no certificate (key tls.crt).")
    return Material(label, text, authorities)
