"""The Quay Bridge Operator, as far as it says so itself: it has taken up a QuayIntegration.

Real: after each change of a QuayIntegration's spec the operator writes ``status.lastUpdate``. The organizations and robots
that it makes in Quay for each namespace are not made here.
"""

from __future__ import annotations

import json

from .kube import Controller, Kube
from .olm import OperatorLifecycleManager
from .store import now

INTEGRATIONS = "/apis/quay.redhat.com/v1/quayintegrations"


class QuayBridgeOperator(Controller):
    """Works where OLM has installed it."""

    def __init__(self, kube: Kube, olm: OperatorLifecycleManager) -> None:
        super().__init__(kube)
        self.olm = olm
        self.integrations = self.watch(INTEGRATIONS)
        self.versions = self.watch("/apis/operators.coreos.com/v1alpha1/clusterserviceversions")
        self._seen: dict[str, str] = {}

    async def reconcile(self) -> None:
        """Those whose spec is new."""
        if not self.olm.works_in("quay-bridge-operator", "default"):
            return
        for (_namespace, name), item in list(self.integrations.objects.items()):
            key, spec = item["metadata"]["uid"], json.dumps(item["spec"], sort_keys=True)
            if self._seen.get(key) != spec:
                await self.kube.patch(f"{INTEGRATIONS}/{name}/status", {"status": {"lastUpdate": f"{now()} UTC"}})
                self._seen[key] = spec
