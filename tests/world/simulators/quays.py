"""The Quays that the Quay operator runs: each with the database that its volume claim stands for."""

from __future__ import annotations

from pathlib import Path

from .kube import Kube, Object
from .quay import Quay
from .router import Handler


class Quays:
    """``backend``: the URL of the distribution that keeps what is pushed to any of them."""

    def __init__(self, kube: Kube, directory: Path, backend: str) -> None:
        self.kube = kube
        self.directory = directory
        self.backend = backend
        #: (namespace, name of the QuayRegistry) → what runs.
        self.running: dict[tuple[str, str], Quay] = {}
        self._claims: dict[tuple[str, str], str] = {}

    async def launch(self, registry: Object, config: Object) -> Handler:
        """New pods with this config.yaml; a new database if the claim is another than that of the pods before."""
        namespace, name = key = registry["metadata"]["namespace"], registry["metadata"]["name"]
        claims = f"/api/v1/namespaces/{namespace}/persistentvolumeclaims"
        claim = await self.kube.find(f"{claims}/{name}-quay-postgres-13")
        claimed = (claim or registry)["metadata"]["uid"]
        quay = self.running.get(key)
        if quay is None or self._claims[key] != claimed:
            if quay is not None:
                await quay.stop()
            quay = Quay(self.directory / claimed, config, backend=self.backend)
            await quay.start()
            self.running[key], self._claims[key] = quay, claimed
        quay.config = dict(config)
        return quay.handle

    async def stop(self) -> None:
        """End all."""
        for quay in self.running.values():
            await quay.stop()
