"""The simulated part of a world: what there is, how it hangs together, where it listens. Lives in one asyncio loop."""

from __future__ import annotations

import dataclasses
import ssl
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from aiohttp import web

from .controlplane import AGGREGATED_SERVER_NAME, ControlPlane, free_ports
from .pki import Authority
from .simulators import images, projects
from .simulators.external_registry import Importer
from .simulators.image_imports import ImageImportController, ImageStreamImports
from .simulators.image_registry_operator import ImageRegistryOperator
from .simulators.ingress import Ingress
from .simulators.kube import Controller, Kube, background
from .simulators.namespaces import Namespaces
from .simulators.oauth import OAuthServer
from .simulators.olm import OperatorLifecycleManager
from .simulators.olm_catalog import PackageManifests
from .simulators.openshift_api import OpenShiftApi
from .simulators.quay_bridge import QuayBridgeOperator
from .simulators.quay_operator import QuayOperator
from .simulators.quays import Quays
from .simulators.registry import Registry
from .simulators.router import Backend, Router
from .simulators.store import Revision
from .simulators.users import Accounts


@dataclasses.dataclass(frozen=True)
class Ports:
    """Where a world listens on its address: as a cluster does, where nobody else is."""

    api: int = 6443
    router: int = 443
    internal: int = 5000
    distribution: int = 5001
    aggregated: int = 8443
    review: int = 9443

    @classmethod
    def free(cls, address: str) -> Ports:
        """Any that are free."""
        return cls(*free_ports(address, len(dataclasses.fields(cls))))


class Simulation:
    """All simulators of one world."""

    def __init__(
        self,
        plane: ControlPlane,
        *,
        address: str,
        domain: str,
        ports: Ports,
        directory: Path,
        service_ca: Authority,
        public_ca: bytes,
        passwords: Mapping[str, str],
        registry: Mapping[str, Any],
        publish: Callable[[str], None],
    ) -> None:
        self.plane, self.address, self.ports, self.directory = plane, address, ports, directory
        self.service_ca = service_ca
        self.kube = kube = Kube(plane.url, *plane.world_credentials())
        revision = Revision()
        self.accounts = Accounts(revision)
        streams, pictures, mappings, *views = images.resources(revision, self._hosts)
        imports = ImageStreamImports(revision, Importer(kube, public_ca), streams, pictures)
        resources = [streams, pictures, mappings, imports, *views, *self.accounts.resources()]
        resources += [projects.Projects(revision, kube), projects.ProjectRequests(revision, kube)]
        self.olm = OperatorLifecycleManager(kube)
        resources.append(PackageManifests(revision, self.olm.ready_catalogs))
        self.api = OpenShiftApi(kube, revision, resources)
        self.oauth = OAuthServer(f"https://oauth-openshift.{domain}", self.accounts, passwords)
        backend = f"http://{address}:{ports.distribution}"
        self.registry = Registry(kube, backend, streams, pictures, mappings, service_ca)
        self.router = Router(kube, domain, directory / "router", publish)
        self.router.backends = {
            ("openshift-authentication", "oauth-openshift"): Backend(self.oauth.handle),
            ("openshift-image-registry", "image-registry"): Backend(
                self.registry.handle, lambda: self.registry.serving, self.registry.certificate
            ),
        }
        self.ingress = Ingress(kube, self.router)
        self.operator = ImageRegistryOperator(kube, self.registry, domain, dict(registry))
        self.quays = Quays(kube, directory / "quays", backend)
        self.quay_operator = QuayOperator(kube, self.olm, self.router, self.quays.launch)
        self.namespaces = Namespaces(kube, service_ca.certificate)
        self.imports = ImageImportController(kube, imports)
        self._stack = AsyncExitStack()

    def _hosts(self) -> tuple[str, str]:
        return self.operator.internal_host, next(iter(self.operator.hosts), "")

    async def listen(self) -> None:
        """Open the ports: the API server asks the aggregated server and the token review from its start on."""
        certificate, key = self.service_ca.server([AGGREGATED_SERVER_NAME, self.address]).write(
            self.directory, "aggregated"
        )
        client_ca = self.directory / "requestheader-ca.crt"
        client_ca.write_bytes(self.plane.requestheader_ca)
        await self.kube.start()
        await self.registry.start()
        self._stack.push_async_callback(self.kube.stop)
        self._stack.push_async_callback(self.registry.stop)
        self._stack.push_async_callback(self.quays.stop)
        aggregated = await self.api.serve(self.address, self.ports.aggregated, certificate, key, client_ca)
        self._stack.push_async_callback(aggregated.cleanup)
        await self._serve(self.oauth.review, self.ports.review, certificate, key)
        internal = self.registry.certificate.write(self.directory, "image-registry")
        await self._serve(self.registry.handle, self.ports.internal, *internal)
        router = await self.router.serve(self.address, self.ports.router)
        self._stack.push_async_callback(router.cleanup)

    async def _serve(self, handle: Callable[[web.BaseRequest], Any], port: int, certificate: Path, key: Path) -> None:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(certificate, key)
        runner = web.ServerRunner(web.Server(handle), shutdown_timeout=0.1)
        await runner.setup()
        self._stack.push_async_callback(runner.cleanup)
        await web.TCPSite(runner, self.address, port, ssl_context=tls).start()

    async def start(self) -> None:
        """Let the controllers run."""
        controllers: list[Controller] = [self.ingress, self.router, self.operator, self.namespaces, self.imports]
        controllers += [self.olm, self.quay_operator, QuayBridgeOperator(self.kube, self.olm)]
        await self._stack.enter_async_context(background(*(controller.run() for controller in controllers)))

    async def stop(self) -> None:
        """End all."""
        await self._stack.aclose()
