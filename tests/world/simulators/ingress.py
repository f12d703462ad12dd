"""The ingress operator: the router's certificate authority, its wildcard certificate, and where both are published.

Real: the operator signs `*.DOMAIN` with a CA of its own (`ingress-operator@TIME`) and keeps the result, leaf and CA in one
file, as Secret router-certs-default in openshift-ingress; the CA is Secret router-ca in openshift-ingress-operator. With
`spec.defaultCertificate` the router shows that Secret's certificate instead and router-certs-default is removed. The
certificate in use, with its chain, is ConfigMap default-ingress-cert in openshift-config-managed.
"""

from __future__ import annotations

import base64
import time

from ..pki import Authority, KeyPair
from .kube import Controller, Kube, Object
from .router import Router
from .store import now

SECRETS = "/api/v1/namespaces/openshift-ingress/secrets"
CONTROLLERS = "/apis/operator.openshift.io/v1/namespaces/openshift-ingress-operator/ingresscontrollers"
AVAILABLE = {"Available": "True", "Progressing": "False", "Degraded": "False", "Admitted": "True"}


class Ingress(Controller):
    """Keeps the router's certificate and its published forms in step with the IngressController."""

    def __init__(self, kube: Kube, router: Router) -> None:
        super().__init__(kube)
        self.router = router
        self.controllers = self.watch(CONTROLLERS)
        self.secrets = self.watch(SECRETS)
        self.rotate()

    def rotate(self) -> None:
        """A new authority and a new wildcard certificate; what is published follows."""
        self.authority = Authority.create(f"ingress-operator@{int(time.time())}")
        leaf = self.authority.server([f"*.{self.router.domain}"])
        self.generated = KeyPair(leaf.certificate + self.authority.certificate, leaf.key)
        self.router.set_wildcard(self.generated)
        self.wake()

    async def reconcile(self) -> None:
        """Choose the certificate, show it, publish it."""
        controller = self.controllers.get("openshift-ingress-operator", "default")
        name = ((controller or {}).get("spec", {}).get("defaultCertificate") or {}).get("name")
        pair = self.generated
        if name:
            given = self.secrets.get("openshift-ingress", name)
            if given is None:
                # As on a cluster the old certificate stays until the named Secret is there.
                return
            pair = KeyPair(*(base64.b64decode(given["data"][key]) for key in ("tls.crt", "tls.key")))
            await self.kube.delete(f"{SECRETS}/router-certs-default")
        else:
            await self._put_secret(SECRETS, "router-certs-default", pair)
        await self._put_secret("/api/v1/namespaces/openshift-ingress-operator/secrets", "router-ca", self.authority)
        self.router.set_wildcard(pair)
        await self.kube.put("/api/v1/namespaces/openshift-config-managed/configmaps", {
            "metadata": {"name": "default-ingress-cert"}, "data": {"ca-bundle.crt": pair.certificate.decode()},
        })  # fmt: skip
        if controller and not controller.get("status"):
            await self._write_status()

    async def _put_secret(self, collection: str, name: str, pair: KeyPair) -> None:
        data = {"tls.crt": base64.b64encode(pair.certificate).decode(), "tls.key": base64.b64encode(pair.key).decode()}
        old = await self.kube.find(f"{collection}/{name}")
        if old is None or old["data"] != data:
            await self.kube.put(collection, {"metadata": {"name": name}, "type": "kubernetes.io/tls", "data": data})

    async def _write_status(self) -> None:
        status: Object = {
            "availableReplicas": 1,
            "domain": self.router.domain,
            "selector": "ingresscontroller.operator.openshift.io/deployment-ingresscontroller=default",
            "endpointPublishingStrategy": {"type": "HostNetwork"},
            "observedGeneration": 1,
            "conditions": [
                {"type": kind, "status": value, "lastTransitionTime": now()} for kind, value in AVAILABLE.items()
            ],
        }
        await self.kube.patch(f"{CONTROLLERS}/default/status", {"status": status})
