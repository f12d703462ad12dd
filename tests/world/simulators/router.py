"""The router: admits routes, and terminates TLS for their hosts.

Real: the router writes status.ingress of each route: Admitted True, or False/HostAlreadyClaimed when an older route has
the host. Without a certificate of the route's own it shows the wildcard certificate of its IngressController, and with
passthrough the backend's. An unknown host, or one whose service has no pods, gets a 503 page. A route without a host gets
NAME-NAMESPACE.DOMAIN; on OpenShift the API server does that on creation, here it follows within milliseconds.
"""

from __future__ import annotations

import hashlib
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web

from ..pki import KeyPair, write_private
from .kube import Cache, Controller, Kube, Object
from .store import now

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]
UNAVAILABLE = """<html>
  <head><title>Application is not available</title></head>
  <body>
    <h1>Application is not available</h1>
    <p>The application is currently not serving requests at this endpoint. It may not have been started or is still starting.</p>
  </body>
</html>
"""


@dataclass
class Backend:
    """What answers for a Service, while it is ready; `certificate` is its own, for passthrough routes."""

    handle: Handler
    ready: Callable[[], bool] = lambda: True
    certificate: KeyPair | None = None


class Router(Controller):
    """Route admission and the TLS front of one world.

    `publish` makes a host resolvable. While `admit` is False, new routes stay without a status.
    """

    def __init__(self, kube: Kube, domain: str, directory: Path, publish: Callable[[str], None]) -> None:
        super().__init__(kube)
        self.domain = domain
        self.directory = directory
        directory.mkdir(parents=True, exist_ok=True)
        self.publish = publish
        self.admit = True
        self.backends: dict[tuple[str, str], Backend] = {}
        self.routes: Cache = self.watch("/apis/route.openshift.io/v1/routes")
        self._by_host: dict[str, Object] = {}
        self._contexts: dict[str, ssl.SSLContext] = {}
        self._wildcard: ssl.SSLContext | None = None

    def set_wildcard(self, pair: KeyPair) -> None:
        """The certificate for every host without one of its own, from the next connection on."""
        self._wildcard = self._context(pair)

    async def serve(self, address: str, port: int) -> web.ServerRunner:
        """Listen."""
        runner = web.ServerRunner(web.Server(self.handle), shutdown_timeout=0.1)
        await runner.setup()
        front = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        front.sni_callback = self._choose  # type: ignore[assignment]
        await web.TCPSite(runner, address, port, ssl_context=front, backlog=256).start()
        return runner

    def _choose(self, connection: ssl.SSLObject, name: str | None, _front: ssl.SSLContext) -> None:
        context = self._wildcard
        route = self._by_host.get(name or "")
        tls = route["spec"].get("tls") or {} if route else {}
        if route and tls.get("termination") == "passthrough":
            backend = self._backend(route)
            if backend and backend.certificate:
                context = self._context(backend.certificate)
        elif tls.get("certificate") and tls.get("key"):
            context = self._context(KeyPair(tls["certificate"].encode(), tls["key"].encode()))
        assert context is not None, "set_wildcard() comes before serve()"
        connection.context = context

    def _context(self, pair: KeyPair) -> ssl.SSLContext:
        """Python loads certificates from files only; one context for each pair ever shown."""
        name = hashlib.sha256(pair.certificate + pair.key).hexdigest()[:16]
        if name not in self._contexts:
            path = self.directory / f"{name}.pem"
            write_private(path, pair.certificate + b"\n" + pair.key)
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(path)
            self._contexts[name] = context
        return self._contexts[name]

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """One request, to the backend of the route that has its host."""
        route = self._by_host.get(request.headers.get("Host", "").partition(":")[0].lower())
        backend = self._backend(route) if route else None
        if backend is None or not backend.ready():
            headers = {"Pragma": "no-cache", "Cache-Control": "private, max-age=0, no-cache, no-store"}
            response = web.Response(status=503, text=UNAVAILABLE, content_type="text/html", headers=headers)
            response.force_close()
            return response
        if request.headers.get("Expect", "").lower() == "100-continue":
            await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            request.writer.output_size = 0
        return await backend.handle(request)

    def _backend(self, route: Object) -> Backend | None:
        return self.backends.get((route["metadata"]["namespace"], route["spec"]["to"]["name"]))

    async def reconcile(self) -> None:
        """Give out hosts, oldest route first, and write the status of each route."""
        claimed: dict[str, Object] = {}
        oldest_first = sorted(
            self.routes.objects.items(), key=lambda item: (item[1]["metadata"]["creationTimestamp"], item[0])
        )
        seen = [route for _key, route in oldest_first if route["spec"].get("host")]
        if not self.admit:
            seen = [route for route in seen if _is_judged(route)]
        for route in seen:
            claimed.setdefault(route["spec"]["host"].lower(), route)
        # A host answers before its route's status says so: whoever waited for the status shall not meet a 503.
        self._by_host = claimed
        for host in claimed:
            self.publish(host)
        for route in seen:
            await self._write(route, claimed[route["spec"]["host"].lower()])
        for _key, route in oldest_first:
            if not route["spec"].get("host"):
                await self._generate_host(route)

    async def _generate_host(self, route: Object) -> None:
        metadata = route["metadata"]
        await self.kube.patch(_path(route), {
            "metadata": {"annotations": {"openshift.io/host.generated": "true"},
                         "resourceVersion": metadata["resourceVersion"]},
            "spec": {"host": f"{metadata['name']}-{metadata['namespace']}.{self.domain}"},
        })  # fmt: skip

    async def _write(self, route: Object, holder: Object) -> None:
        host = route["spec"]["host"]
        condition: Object = {"type": "Admitted", "status": "True"}
        if holder is not route:
            condition.update(status="False", reason="HostAlreadyClaimed", message=_claim(route, holder))
        old = next((item for item in (route.get("status") or {}).get("ingress") or []), None)
        if old and old["host"] == host and _same(old["conditions"][0], condition):
            return
        ingress = {
            "host": host, "routerName": "default", "routerCanonicalHostname": f"router-default.{self.domain}",
            "wildcardPolicy": "None", "conditions": [{**condition, "lastTransitionTime": now()}],
        }  # fmt: skip
        await self.kube.patch(f"{_path(route)}/status", {"status": {"ingress": [ingress]}})


def _claim(route: Object, holder: Object) -> str:
    host = route["spec"]["host"]
    if holder["metadata"]["namespace"] != route["metadata"]["namespace"]:
        return f"a route in another namespace holds {host} and is older than {route['metadata']['name']}"
    return f"route {holder['metadata']['name']} already exposes {host} and is older"


def _is_judged(route: Object) -> bool:
    return bool((route.get("status") or {}).get("ingress"))


def _same(one: Object, other: Object) -> bool:
    return all(one.get(key) == other.get(key) for key in ("status", "reason", "message"))


def _path(route: Object) -> str:
    metadata = route["metadata"]
    return f"/apis/route.openshift.io/v1/namespaces/{metadata['namespace']}/routes/{metadata['name']}"
