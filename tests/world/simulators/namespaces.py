"""What every new namespace of an OpenShift cluster gets.

Real: openshift-controller-manager makes the service accounts builder and deployer and role bindings that let builders push
to, deployers deploy in and everything in the namespace pull from it, within seconds; the service CA operator publishes its
certificate as ConfigMap openshift-service-ca.crt.
"""

from __future__ import annotations

import asyncio

from .kube import Controller, Kube, Object

RBAC = "rbac.authorization.k8s.io"
BINDINGS = {
    "system:image-pullers": ("system:image-puller", "Group", "system:serviceaccounts:{}"),
    "system:image-builders": ("system:image-builder", "ServiceAccount", "builder"),
    "system:deployers": ("system:deployer", "ServiceAccount", "deployer"),
}
UNTOUCHED = ("kube-", "openshift", "default")


class Namespaces(Controller):
    """Fills namespaces. ``service_ca`` is PEM."""

    def __init__(self, kube: Kube, service_ca: bytes) -> None:
        super().__init__(kube)
        self.service_ca = service_ca.decode()
        self.namespaces = self.watch("/api/v1/namespaces")
        self._done: set[str] = set()

    async def reconcile(self) -> None:
        """Those that are new and not on their way out."""
        alive = {
            item["metadata"]["name"]
            for item in self.namespaces.objects.values()
            if not item["metadata"].get("deletionTimestamp")
        }
        self._done &= alive
        new = sorted(alive - self._done)
        # In portions: hundreds of new projects at once shall not starve their own maker.
        for start in range(0, len(new), 8):
            await asyncio.gather(*(self._fill(name) for name in new[start : start + 8]))

    async def _fill(self, namespace: str) -> None:
        core, bindings = f"/api/v1/namespaces/{namespace}", f"/apis/{RBAC}/v1/namespaces/{namespace}/rolebindings"
        config_map = {"metadata": {"name": "openshift-service-ca.crt"}, "data": {"service-ca.crt": self.service_ca}}
        await self.kube.ensure(f"{core}/configmaps", config_map)
        if not namespace.startswith(UNTOUCHED):
            for account in ("builder", "deployer"):
                await self.kube.ensure(f"{core}/serviceaccounts", {"metadata": {"name": account}})
            for name, (role, kind, subject) in BINDINGS.items():
                await self.kube.ensure(bindings, _binding(name, role, kind, subject, namespace))
        self._done.add(namespace)


def _binding(name: str, role: str, kind: str, subject: str, namespace: str) -> Object:
    who: Object = {"kind": kind, "name": subject.format(namespace)}
    who |= {"apiGroup": RBAC} if kind == "Group" else {"namespace": namespace}
    return {
        "metadata": {"name": name},
        "subjects": [who],
        "roleRef": {"apiGroup": RBAC, "kind": "ClusterRole", "name": role},
    }
