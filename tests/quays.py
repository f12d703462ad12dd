"""Quays for tests: the simulated one on a port of its own, or behind the router of a world, with a real registry behind it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from registries import Distribution, free_port

from world.pki import Authority
from world.simulators.quay import Quay
from world.simulators.router import Backend
from world.world import World

SUPERUSER = "quayadmin"
RECORDINGS = Path(__file__).parent / "world" / "recordings"
CONFIG = {
    "AUTHENTICATION_TYPE": "Database",
    "FEATURE_USER_INITIALIZE": True,
    "FEATURE_SUPERUSERS_FULL_ACCESS": True,
    "SUPER_USERS": [SUPERUSER],
    "BROWSER_API_CALLS_XHR_ONLY": False,
}


def large_organization(number: int, repositories: int = 50, spread: bool = False) -> dict[str, Any]:
    """A document with 10 teams, 15 robots, and three permissions for each repository.

    spread: each team and each robot has repositories of its own. Otherwise two teams and a robot have all of them.
    """

    def permissions(of: int) -> list[dict[str, str]]:
        first, second, third = (of % 10, (of + 1) % 10, of % 15) if spread else (0, 1, 0)
        return [
            {"team": f"team{first}", "role": "write"},
            {"team": f"team{second}", "role": "read"},
            {"robot": f"robot{third}", "role": "write"},
        ]

    return {
        "name": f"organization{number}",
        "teams": [{"name": f"team{team}", "members": [{"robot": f"robot{team}"}]} for team in range(10)],
        "robots": [{"name": f"robot{robot}"} for robot in range(15)],
        "repositories": [{"name": f"repository{of}", "permissions": permissions(of)} for of in range(repositories)],
        "default_permissions": [{"team": "team0", "role": "read"}],
    }


class RunningQuay:
    """A Quay at ``url``: plain HTTP, or TLS by the authority. ``quay`` is the simulator itself.

    images: whether a real registry keeps what is pushed.
    """

    def __init__(
        self,
        folder: Path,
        config: Mapping[str, Any] | None = None,
        authority: Authority | None = None,
        named_tokens: bool = True,
        images: bool = False,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._port = free_port()
        self.host = f"localhost:{self._port}"
        self.url = f"{'https' if authority else 'http'}://{self.host}"
        self._tls: ssl.SSLContext | None = None
        if authority:
            self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._tls.load_cert_chain(*authority.server(["localhost"]).write(folder, "server"))
        self._images = Distribution(folder / "images") if images else None
        backend = self._images.url if self._images else "http://127.0.0.1:1"
        self.quay = Quay(folder, {**CONFIG, **(config or {})}, backend=backend, named_tokens=named_tokens)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name=f"quay {self.host}", daemon=True)

    def __enter__(self) -> RunningQuay:
        if self._images:
            self._images.__enter__()
        self._thread.start()
        self._call(self.quay.serve("127.0.0.1", self._port, self._tls))
        return self

    def __exit__(self, *_exc: object) -> None:
        self._call(self.quay.stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        if self._images:
            self._images.__exit__()

    def _call(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    def unrecorded(self) -> list[str]:
        """What was sent that the recorded Quay does not know: properties of bodies that it would ignore."""
        known = json.loads((RECORDINGS / "quay_bodies.json").read_text())
        found = set[str]()
        for operation, body in self.quay.bodies:
            if operation not in known:
                continue
            content = json.loads(body)
            properties = {name for item in (content if isinstance(content, list) else [content]) for name in item}
            found.update(f"{operation}: {name}" for name in properties - set(known[operation]["properties"]))
        return sorted(found)

    def names(self, kind: str = "user") -> list[str]:
        """The accounts of a kind."""
        rows = self.quay.database.all("SELECT name FROM account WHERE kind = ? ORDER BY id", kind)
        return [row["name"] for row in rows]


@contextlib.contextmanager
def quay_in(world: World, namespace: str, name: str = "registry", **options: Any) -> Iterator[tuple[str, Quay]]:
    """A Quay behind a world's router, as the service NAME-quay-app of an existing namespace; its host and itself."""
    simulation, service = world.simulation, f"{name}-quay-app"
    config = {**CONFIG, **options.pop("config", {})}
    backend = f"http://{world.address}:{world.ports.distribution}"
    quay = Quay(world.directory / f"quay-{namespace}-{name}", config, backend=backend, **options)
    world.run(quay.start())
    simulation.router.backends[namespace, service] = Backend(quay.handle)
    host = f"{name}-quay-{namespace}.{world.domain}"
    routes = f"/apis/route.openshift.io/v1/namespaces/{namespace}/routes"
    route = {
        "apiVersion": "route.openshift.io/v1",
        "kind": "Route",
        "metadata": {"name": f"{name}-quay"},
        "spec": {"host": host, "to": {"kind": "Service", "name": service}, "tls": {"termination": "edge"}},
    }
    world.plane.admin.create(routes, route)
    world.wait_for(lambda: host in simulation.router._by_host, "Quay's route")
    try:
        yield host, quay
    finally:
        world.plane.admin.request("DELETE", f"{routes}/{name}-quay")
        del simulation.router.backends[namespace, service]
        world.run(quay.stop())
