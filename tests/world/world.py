"""One world: a real control plane and registry, and simulators of the parts of OpenShift that cannot be had.

with World() as world:
    world.admin_kubeconfig, world.registry_host, world.kubeconfig("developer"), world.requests()
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import functools
import json
import shutil
import tempfile
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

import yaml

from . import build, sandbox
from .apiclient import concurrently
from .controlplane import ControlPlane, TokenWebhook
from .pki import Authority
from .processes import Process
from .simulation import Ports, Simulation

Result = TypeVar("Result")

#: OAuth users (htpasswd): name → password. ``admin`` is cluster administrator.
PASSWORDS = {
    "admin": "admin-Quay5ide:ß",
    "developer": "developer-Pa55:wörd",
    "other": "other-Pa55word",
}
NAMESPACES = [
    "openshift-authentication", "openshift-config", "openshift-config-managed", "openshift-image-registry",
    "openshift-ingress", "openshift-ingress-operator", "openshift-marketplace", "openshift-operators",
]  # fmt: skip
CORE = "/api/v1/namespaces"
REGISTRY_CONFIG = "/apis/imageregistry.operator.openshift.io/v1/configs/cluster"

#: Who is not a client of the tests: the world's own parts, as the audit log calls them.
OWN_USERS = ("system:world", "system:apiserver", "system:anonymous", "system:kube-controller-manager")


@dataclasses.dataclass(frozen=True)
class ApiRequest:
    """One request that the API server answered (from its audit log)."""

    verb: str
    uri: str
    user: str
    agent: str
    status: int
    #: what it was about: (namespace, API group, resource with its subresource, name)
    object: tuple[str, str, str, str] = ("", "", "", "")


class World:
    """A cluster of the name's own domain, on one loopback address; several run side by side on different addresses.

    registry: what the installation chose for the image registry: managementState and storage. As on most bare clusters it is
    managed, on an emptyDir, and has no route.
    """

    def __init__(
        self,
        name: str = "example",
        address: str = "127.0.0.11",
        directory: Path | None = None,
        registry: Mapping[str, Any] | None = None,
    ) -> None:
        self.name = name
        self.address = address
        self.domain = "apps.example.com" if name == "example" else f"apps.{name}.example.com"
        self.api_host = self.domain.replace("apps.", "api.", 1)
        self.registry_host = f"default-route-openshift-image-registry.{self.domain}"
        self.internal_host = "image-registry.openshift-image-registry.svc:5000"
        self._temporary = directory is None
        self.directory = directory or Path(tempfile.mkdtemp(prefix=f"world-{name}-"))
        self._first = dict(registry or {"managementState": "Managed", "storage": {"emptyDir": {}}})
        self.service_ca = Authority.create("openshift-service-serving-signer")
        self._certificates = Authority.create("A public CA")
        # Outside a sandbox an ordinary user has no port 443, and the next world's 6443 may be somebody else's.
        self.ports = Ports() if sandbox.inside() else Ports.free(address)
        self._audit = self.directory / "audit.log"
        self._loop = asyncio.new_event_loop()
        metadata = self.directory / "oauth-metadata.json"
        self.plane = ControlPlane(
            self.directory / "controlplane",
            address,
            self.ports.api,
            names=[self.api_host],
            token_webhook=TokenWebhook(f"https://{address}:{self.ports.review}/", self.service_ca.certificate),
            audit_log=self._audit,
            oauth_metadata=metadata,
        )
        self.url = f"https://{self.api_host}:{self.ports.api}" if sandbox.inside() else self.plane.url
        self.admin_kubeconfig = self.plane.kubeconfig
        self.ca_bundle = self.directory / "ca-bundle.crt"
        self._oauth_metadata = metadata
        self._registry = self._distribution()

    # From nothing to ready, and back

    def __enter__(self) -> World:
        self.up()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.down()

    def up(self) -> None:
        """Start everything; returns when the registry is available and the router has its certificate."""
        try:
            self._registry.start()
            threading.Thread(target=self._loop.run_forever, name=f"world {self.name}", daemon=True).start()
            self.simulation = self._call(self._simulation)
            self._oauth_metadata.write_text(json.dumps(self.simulation.oauth.metadata()))
            self._call(self.simulation.listen())
            self.plane.start()
            self._furnish()
            for group, version in self.simulation.api.versions:
                self.plane.add_api_service(group, version, self.ports.aggregated, self.service_ca.certificate)
            self._call(self.simulation.start())
            self.plane.wait_api_services()
            self.wait_for(self._ready, "the image registry operator and the router")
            self._write_ca_bundle()
        except BaseException:
            self.down()
            raise

    def down(self) -> None:
        """End everything that was started, and remove the folder unless it was given."""
        # The API server goes first: its watches of the aggregated server would keep that one from ending.
        self.plane.stop()
        if self._loop.is_running():
            with contextlib.suppress(Exception):  # whatever it is, all of it ends here
                self._call(self._end(), timeout=10)
            self._loop.call_soon_threadsafe(self._loop.stop)
        self._registry.stop()
        sandbox.NAMES.withdraw(self.address)
        if self._temporary:
            shutil.rmtree(self.directory, ignore_errors=True)

    async def _end(self) -> None:
        if hasattr(self, "simulation"):
            await self.simulation.stop()
        left = asyncio.all_tasks() - {asyncio.current_task()}
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    def _simulation(self) -> Simulation:
        return Simulation(
            self.plane,
            address=self.address,
            domain=self.domain,
            ports=self.ports,
            directory=self.directory,
            service_ca=self.service_ca,
            public_ca=self._certificates.certificate,
            passwords=PASSWORDS,
            registry=self._first,
            publish=lambda host: sandbox.NAMES.publish(host, self.address, self.ports.router),
        )

    def _distribution(self) -> Process:
        """The real registry, plain HTTP on a port of its own: the simulated one stands in front of it."""
        configuration = {
            "version": 0.1,
            "log": {"level": "error", "accesslog": {"disabled": True}},
            "storage": {
                "filesystem": {"rootdirectory": str(self.directory / "images")},
                "delete": {"enabled": True},
                "maintenance": {"uploadpurging": {"enabled": False}},
            },
            "http": {
                "addr": f"{self.address}:{self.ports.distribution}",
                "secret": "one process has nobody to share it with",
            },
        }
        file = self.directory / "distribution.yml"
        file.write_text(yaml.safe_dump(configuration))
        environment = {"OTEL_TRACES_EXPORTER": "none"}
        program = [build.ensure().registry, "serve", file]
        return Process(
            "distribution", [str(part) for part in program], self.directory / "distribution.log", environment
        )

    def _furnish(self) -> None:
        """What an installed cluster has before anyone uses it."""
        admin = self.plane.admin
        concurrently([functools.partial(admin.create, CORE, {"metadata": {"name": name}}) for name in NAMESPACES])
        binding = {
            "metadata": {"name": "cluster-admin-admin"},
            "subjects": [{"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": "admin"}],
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
        }
        route = {
            "metadata": {"name": "oauth-openshift"},
            "spec": {
                "host": f"oauth-openshift.{self.domain}",
                "to": {"kind": "Service", "name": "oauth-openshift", "weight": 100},
                "tls": {"termination": "reencrypt"},
                "wildcardPolicy": "None",
            },
        }
        config, operator = "config.openshift.io/v1", "operator.openshift.io/v1"
        cluster = {"name": "cluster"}
        objects: list[tuple[str, dict[str, Any]]] = [
            (f"{config}/ingresses", {"kind": "Ingress", "metadata": cluster, "spec": {"domain": self.domain}}),
            (f"{config}/images", {"kind": "Image", "metadata": cluster, "spec": {}}),
            (f"{config}/infrastructures", {"kind": "Infrastructure", "metadata": cluster, "spec": {}}),
            (
                f"{config}/clusteroperators",
                {"kind": "ClusterOperator", "metadata": {"name": "image-registry"}, "spec": {}},
            ),
            (
                f"{operator}/namespaces/openshift-ingress-operator/ingresscontrollers",
                {"kind": "IngressController", "metadata": {"name": "default"}, "spec": {"domain": self.domain}},
            ),
            ("route.openshift.io/v1/namespaces/openshift-authentication/routes", {"kind": "Route", **route}),
            ("rbac.authorization.k8s.io/v1/clusterrolebindings", {"kind": "ClusterRoleBinding", **binding}),
        ]
        concurrently(
            [
                functools.partial(admin.create, f"/apis/{path}", {"apiVersion": "/".join(path.split("/")[:2]), **item})
                for path, item in objects
            ]
        )
        sandbox.NAMES.publish(self.api_host, self.address, self.ports.api)
        sandbox.NAMES.publish(self.internal_host.partition(":")[0], self.address, self.ports.internal)

    def _ready(self) -> bool:
        operator, ingress = self.simulation.operator, self.simulation.ingress
        config = operator.configs.get("", "cluster")
        conditions = {
            item["type"]: item["status"] for item in ((config or {}).get("status") or {}).get("conditions", [])
        }
        settled = conditions.get("Available") == "True" and conditions.get("Progressing") == "False"
        return settled and ingress.secrets.get("openshift-ingress", "router-certs-default") is not None

    def _write_ca_bundle(self) -> None:
        self.ca_bundle.write_bytes(self.plane.ca + self.simulation.ingress.authority.certificate)

    # What tests use

    def kubeconfig(self, user: str) -> Path:
        """A kubeconfig of a user as OAuth would log him in, by client certificate."""
        return self.plane.kubeconfig_for(user, ["system:authenticated:oauth"])

    def password(self, user: str) -> str:
        """The password on the OAuth server."""
        return PASSWORDS[user]

    def service_account_token(self, namespace: str, name: str, seconds: int = 3600) -> str:
        """A bound token, from TokenRequest."""
        body = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenRequest",
            "spec": {"expirationSeconds": seconds},
        }
        answer = self.plane.admin.request("POST", f"{CORE}/{namespace}/serviceaccounts/{name}/token", body)
        return str(answer["status"]["token"])

    def certificate_for(self, host: str) -> tuple[str, str]:
        """A certificate of a host, as bought from a public CA, with its chain; and its key. PEM."""
        pair = self._certificates.server([host])
        return (pair.certificate + self._certificates.certificate).decode(), pair.key.decode()

    def rotate_router_ca(self) -> None:
        """The ingress operator makes a new CA and a new wildcard certificate. Returns when both are published."""
        self._call(self.simulation.ingress.rotate)
        fresh = self.simulation.ingress.generated.certificate.decode()
        path = f"{CORE}/openshift-config-managed/configmaps/default-ingress-cert"
        self.wait_for(
            lambda: self.plane.admin.request("GET", path)["data"]["ca-bundle.crt"] == fresh,
            "the new certificate's publication",
        )
        self._write_ca_bundle()

    def set_default_certificate(self, certificate: str, key: str, name: str = "custom-certs") -> None:
        """Give the default IngressController a certificate (PEM); None-like empty strings take it away again."""
        admin, controllers = self.plane.admin, "/apis/operator.openshift.io/v1/namespaces/openshift-ingress-operator"
        reference = None
        if certificate:
            secret = {
                "metadata": {"name": name},
                "type": "kubernetes.io/tls",
                "stringData": {"tls.crt": certificate, "tls.key": key},
            }
            admin.create(f"{CORE}/openshift-ingress/secrets", secret)
            reference = {"name": name}
        admin.request("PATCH", f"{controllers}/ingresscontrollers/default", {"spec": {"defaultCertificate": reference}})
        self.wait_for(
            lambda: (
                (self.simulation.ingress.secrets.get("openshift-ingress", "router-certs-default") is None)
                == bool(reference)
            ),
            "the router to show the certificate",
        )

    def mark(self) -> int:
        """A position in the audit log, for ``requests``."""
        self._settle_audit()
        return self._audit.stat().st_size

    def requests(self, since: int = 0) -> list[ApiRequest]:
        """What clients asked the API server since a mark."""
        self._settle_audit()
        with self._audit.open("rb") as log:
            log.seek(since)
            events = [json.loads(line) for line in log.read().splitlines() if line.endswith(b"}")]
        return [
            ApiRequest(
                event["verb"],
                event["requestURI"],
                event["user"].get("username", ""),
                event.get("userAgent", ""),
                event.get("responseStatus", {}).get("code", 0),
                _object(event.get("objectRef") or {}),
            )
            for event in events
            if not event["user"].get("username", "").startswith(OWN_USERS)
        ]

    def _settle_audit(self) -> None:
        """The log is written a moment after the answer: wait until a request of our own is in it."""
        marker = f"/healthz?mark={time.monotonic_ns()}"
        self.plane.admin.request("GET", marker)
        self.wait_for(lambda: marker.encode() in _tail(self._audit), "the audit log")

    def wait_for(self, condition: Callable[[], bool], what: str, timeout: float = 30) -> None:
        """Poll; TimeoutError says what was waited for."""
        deadline = time.monotonic() + timeout
        while not condition():
            if time.monotonic() > deadline:
                raise TimeoutError(f"world {self.name}: {what} did not come within {timeout:.0f} s")
            time.sleep(0.02)

    def run(self, work: Coroutine[Any, Any, Result]) -> Result:
        """Run something in the simulators' loop, such as another simulator's start."""
        return self._call(work)

    def _call(self, work: Coroutine[Any, Any, Result] | Callable[[], Result], timeout: float = 60) -> Result:
        """Run something in the simulators' loop."""

        async def run() -> Result:
            return await work if isinstance(work, Awaitable) else work()

        return asyncio.run_coroutine_threadsafe(run(), self._loop).result(timeout)

    def describe(self) -> dict[str, Any]:
        """How a person reaches it."""
        return {
            "api": self.url,
            "kubeconfig": str(self.admin_kubeconfig),
            "registry": self.registry_host,
            "users": PASSWORDS,
            "ca": str(self.ca_bundle),
        }


def _object(reference: Mapping[str, str]) -> tuple[str, str, str, str]:
    resource = "/".join(filter(None, (reference.get("resource"), reference.get("subresource"))))
    return reference.get("namespace", ""), reference.get("apiGroup", ""), resource, reference.get("name", "")


def _tail(file: Path, size: int = 65536) -> bytes:
    with file.open("rb") as log:
        log.seek(max(0, file.stat().st_size - size))
        return log.read()


@contextlib.contextmanager
def worlds(*names: str) -> Iterator[list[World]]:
    """Several, on neighbouring addresses."""
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(World(name, f"127.0.0.{21 + index}")) for index, name in enumerate(names)]
