"""A real Kubernetes control plane (etcd, kube-apiserver, the controllers that need no node) as children of this process.

It has what OpenShift's API server bootstraps (cluster roles and bindings: manifests/bootstrap-policy.json) and the custom
resource definitions that the cache holds. Everything else of OpenShift is simulated on top of it.
"""

from __future__ import annotations

import base64
import functools
import json
import socket
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from . import bootstrap, build
from .apiclient import ApiClient
from .pki import Authority, signing_keys, write_private
from .processes import Process

#: The Service in front of aggregated servers, and the name that their certificates must be valid for.
AGGREGATED_NAMESPACE = "openshift-apiserver"
AGGREGATED_SERVICE = "api"
AGGREGATED_SERVER_NAME = f"{AGGREGATED_SERVICE}.{AGGREGATED_NAMESPACE}.svc"

#: The common name of the certificate with which kube-apiserver calls aggregated servers (as OpenShift's does).
AGGREGATOR_CLIENT = "system:openshift-aggregator"

ISSUER = "https://kubernetes.default.svc"


@dataclass(frozen=True)
class TokenWebhook:
    """A TokenReview (authentication.k8s.io/v1) server that is asked about every bearer token no issuer of ours signed.

    `ca` is PEM; `cache_ttl` bounds how long an answer is believed (a real cluster's is 2m; tests want to see a logout).
    """

    url: str
    ca: bytes
    cache_ttl: str = "1s"


class ControlPlane:
    """One control plane; several may run side by side on different addresses or ports.

    directory: everything it has: pki/, etcd/ (its data), logs, kubeconfigs. Started again on the same folder, it has
        its objects and certificates back.
    address, port: where the API server listens; any loopback address does (127.0.0.11).
    names: further DNS names that its certificate covers (api.world.test); "localhost" and the in-cluster names always.
    crds: files to apply at start; None for all that the cache holds, () for a cluster that is not OpenShift.
    policy: whether OpenShift's bootstrap roles and bindings are applied.
    token_webhook: who knows the tokens that this API server did not issue (the OAuth server); may be started later.
    oauth_metadata: the document that the API server answers at /.well-known/oauth-authorization-server.
    audit_log: a file that gets a line of JSON (audit.k8s.io/v1 Event, level Metadata) for every completed request.

    Attributes: url; ca (PEM of the API server's authority, also in every kube-root-ca.crt); authority (signs client
    certificates of users); kubeconfig (path, cluster administrator); admin (ApiClient as that administrator, once
    started); requestheader_ca (PEM: an aggregated server trusts X-Remote-User from clients with a certificate of it and
    the common name AGGREGATOR_CLIENT); service_account_public_key (PEM).
    """

    def __init__(
        self,
        directory: Path,
        address: str = "127.0.0.1",
        port: int = 6443,
        *,
        names: Sequence[str] = (),
        crds: Sequence[Path] | None = None,
        policy: bool = True,
        token_webhook: TokenWebhook | None = None,
        audit_log: Path | None = None,
        oauth_metadata: Path | None = None,
    ) -> None:
        self.directory = directory.absolute()
        self.address = address
        self.port = port
        self.url = f"https://{address}:{port}"
        self._crds = crds
        self._policy = policy
        self._token_webhook = token_webhook
        # Half the garbage for a little more work: it would take 120 MB more by default.
        self._environment = {"GOGC": "50"}
        if oauth_metadata:
            self._environment["OAUTH_METADATA"] = str(oauth_metadata.absolute())
        self._audit_log = audit_log.absolute() if audit_log else None
        self._names = ["kubernetes.default.svc", "kubernetes.default", "kubernetes", "localhost", address, *names]
        self._pki = self.directory / "pki"
        self._processes: list[Process] = []
        self._prepare_pki()

    @property
    def running(self) -> bool:
        """Whether all of its processes run."""
        return bool(self._processes) and all(process.running for process in self._processes)

    @property
    def pids(self) -> dict[str, int]:
        """Name → process id of what runs."""
        return {process.name: process.pid for process in self._processes if process.running and process.pid}

    @functools.cached_property
    def admin(self) -> ApiClient:
        """A client of the world's own, with every right; its user in the audit log is "system:world"."""
        return ApiClient(
            self.url, self._pki / "ca.crt", certificate=self._pki / "world.crt", key=self._pki / "world.key"
        )

    def world_credentials(self) -> tuple[Path, Path, Path]:
        """CA, client certificate and key of the world's own client."""
        return self._pki / "ca.crt", self._pki / "world.crt", self._pki / "world.key"

    def start(self, timeout: float = 60) -> None:
        """Start everything; returns when it is ready and roles and definitions are in place.

        RuntimeError with the end of a log when a part dies, TimeoutError when the time is over; nothing runs then.
        """
        binaries = build.ensure()
        etcd_flags, etcd_url = self._etcd_flags()
        etcd = self._process("etcd", [*binaries.etcd, *etcd_flags])
        flags = self._apiserver_flags(etcd_url)
        apiserver = self._process("kube-apiserver", [*binaries.kube_apiserver, *flags], self._environment)
        controllers = self._process(
            "kube-controller-manager", [*binaries.kube_controller_manager, *self._controller_manager_flags()]
        )
        self._processes = [etcd, apiserver, controllers]
        deadline = time.monotonic() + timeout
        try:
            etcd.start()
            apiserver.start()
            self.wait_ready(timeout)
            controllers.start()
            crds = sorted(binaries.crds.glob("*.yaml")) if self._crds is None else self._crds
            bootstrap.apply(self.admin, policy=self._policy, crds=crds, deadline=deadline, check=self._check)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End everything. Only etcd has something to finish: the others keep no state."""
        for process in reversed(self._processes):
            process.stop(gently=process.name == "etcd")
        self._processes = []

    def wait_ready(self, timeout: float = 60) -> None:
        """Return when the API server's /readyz says ok; TimeoutError with its last answer."""
        bootstrap.wait_until(
            lambda: self.admin.request("GET", "/readyz") == "ok",
            f"kube-apiserver at {self.url} to become ready",
            time.monotonic() + timeout,
            self._check,
        )

    def kubeconfig_for(self, user: str, groups: Iterable[str] = ()) -> Path:
        """A kubeconfig (0600, self-contained) of that user by client certificate; made once per user.

        The API server adds the group system:authenticated. OpenShift gives users that came through OAuth the group
        system:authenticated:oauth too (who has it may request projects): pass it for such a user.
        """
        path = self.directory / f"{user.replace(':', '-').replace('/', '-')}.kubeconfig"
        if not path.exists():
            client = self.authority.client(user, groups)
            encode = {"certificate": _base64(client.certificate), "key": _base64(client.key)}
            credentials = {"client-certificate-data": encode["certificate"], "client-key-data": encode["key"]}
            write_private(path, self._kubeconfig(user, credentials))
        return path

    def kubeconfig_with_token(self, user: str, token: str, path: Path) -> Path:
        """Write a kubeconfig (0600) that uses a bearer token; `user` only names it."""
        write_private(path, self._kubeconfig(user, {"token": token}))
        return path

    def add_api_service(self, group: str, version: str, port: int, ca: bytes) -> None:
        """Let an aggregated server on `port` of this control plane's address answer for a group's version.

        Its certificate is verified against `ca` (PEM) for AGGREGATED_SERVER_NAME. Authentication and RBAC stay the API
        server's: the server sees X-Remote-User/-Group/-Extra- from a client with a certificate of `requestheader_ca`.
        Idempotent; the server may start later (`wait_api_services` waits for it).
        """
        # An ExternalName is the one kind of Service that the aggregator reaches without kube-proxy: it dials the name
        # with the APIService's port.
        service = {
            "metadata": {"name": AGGREGATED_SERVICE},
            "spec": {"type": "ExternalName", "externalName": self.address},
        }
        self.admin.create("/api/v1/namespaces", {"metadata": {"name": AGGREGATED_NAMESPACE}})
        self.admin.create(f"/api/v1/namespaces/{AGGREGATED_NAMESPACE}/services", service)
        spec = {
            "group": group,
            "version": version,
            "service": {"namespace": AGGREGATED_NAMESPACE, "name": AGGREGATED_SERVICE, "port": port},
            "caBundle": _base64(ca),
            "groupPriorityMinimum": 9900,  # OpenShift's own values
            "versionPriority": 15,
        }
        path, name = "/apis/apiregistration.k8s.io/v1/apiservices", f"{version}.{group}"
        self.admin.create(path, {"metadata": {"name": name}, "spec": spec})
        self.admin.request("PATCH", f"{path}/{name}", {"spec": spec})

    def wait_api_services(self, timeout: float = 30) -> None:
        """Return when every APIService is Available and its resources are discovered; TimeoutError names the others."""
        bootstrap.wait_for_api_services(self.admin, time.monotonic() + timeout, self._check)

    def _check(self) -> None:
        for process in self._processes:
            process.check()

    def _process(self, name: str, argv: Sequence[str | Path], env: dict[str, str] | None = None) -> Process:
        return Process(name, argv, self.directory / f"{name}.log", env)

    def _prepare_pki(self) -> None:
        """Make the authorities, certificates and keys, or read what an earlier run left in the folder."""
        self._pki.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not (self._pki / "requestheader-ca.key").exists():  # the last that is written
            authority, requestheader = Authority.create("kube-apiserver-ca"), Authority.create("aggregator-ca")
            private, public = signing_keys()
            write_private(self._pki / "sa.key", private)
            (self._pki / "sa.pub").write_bytes(public)
            authority.write(self._pki, "ca")
            authority.client("system:world", ["system:masters"]).write(self._pki, "world")
            requestheader.client(AGGREGATOR_CLIENT).write(self._pki, "aggregator")
            requestheader.write(self._pki, "requestheader-ca")
        self.authority = Authority.load(self._pki, "ca")
        self.ca = self.authority.certificate
        self.requestheader_ca = (self._pki / "requestheader-ca.crt").read_bytes()
        # Made at every start: address and names may be others than last time.
        self.authority.server(self._names).write(self._pki, "server")
        self.kubeconfig = self.kubeconfig_for("system:admin", ["system:masters"])

    def _etcd_flags(self) -> tuple[list[str], str]:
        """The flags, and the URL that clients use."""
        client, peer = (f"http://{self.address}:{port}" for port in free_ports(self.address, 2))
        return [
            f"--data-dir={self.directory / 'etcd'}",
            f"--listen-client-urls={client}",
            f"--advertise-client-urls={client}",
            f"--listen-peer-urls={peer}",
            f"--initial-advertise-peer-urls={peer}",
            f"--initial-cluster=default={peer}",
            # A single member elects itself: no reason to wait a second for others' votes.
            "--heartbeat-interval=10",
            "--election-timeout=50",
            "--unsafe-no-fsync",
            "--log-level=warn",
        ], client

    def _apiserver_flags(self, etcd_url: str) -> list[str]:
        flags = {
            "bind-address": self.address,
            "secure-port": self.port,
            "advertise-address": self.address,
            "endpoint-reconciler-type": "none",  # a loopback address can't be an endpoint
            "etcd-servers": etcd_url,
            "tls-cert-file": self._pki / "server.crt",
            "tls-private-key-file": self._pki / "server.key",
            "client-ca-file": self._pki / "ca.crt",
            "authorization-mode": "RBAC",
            "allow-privileged": "true",
            "service-cluster-ip-range": "172.30.0.0/16",
            "service-account-issuer": ISSUER,
            "service-account-key-file": self._pki / "sa.pub",
            "service-account-signing-key-file": self._pki / "sa.key",
            "requestheader-client-ca-file": self._pki / "requestheader-ca.crt",
            "requestheader-allowed-names": AGGREGATOR_CLIENT,
            "requestheader-username-headers": "X-Remote-User",
            "requestheader-group-headers": "X-Remote-Group",
            "requestheader-extra-headers-prefix": "X-Remote-Extra-",
            "proxy-client-cert-file": self._pki / "aggregator.crt",
            "proxy-client-key-file": self._pki / "aggregator.key",
            "profiling": "false",
        }
        if self._token_webhook:
            flags["authentication-token-webhook-config-file"] = self._webhook_config(self._token_webhook)
            flags["authentication-token-webhook-version"] = "v1"
            flags["authentication-token-webhook-cache-ttl"] = self._token_webhook.cache_ttl
        if self._audit_log:
            policy = self.directory / "audit-policy.json"
            rules = [{"level": "Metadata"}]
            # One event per request, when it is answered: a watch would have one when it starts as well.
            document = {
                "apiVersion": "audit.k8s.io/v1",
                "kind": "Policy",
                "omitStages": ["RequestReceived"],
                "rules": rules,
            }
            policy.write_text(json.dumps(document))
            flags["audit-policy-file"] = policy
            flags["audit-log-path"] = self._audit_log
        return [f"--{flag}={value}" for flag, value in flags.items()]

    def _controller_manager_flags(self) -> list[str]:
        kubeconfig = self.kubeconfig_for("system:kube-controller-manager", ["system:masters"])
        return [f"--kubeconfig={kubeconfig}", f"--service-account-private-key-file={self._pki / 'sa.key'}"]

    def _webhook_config(self, webhook: TokenWebhook) -> Path:
        path = self.directory / "token-webhook.kubeconfig"
        path.write_bytes(_kubeconfig(webhook.url, webhook.ca, "kube-apiserver", {}))
        return path

    def _kubeconfig(self, user: str, credentials: dict[str, str]) -> bytes:
        return _kubeconfig(self.url, self.ca, user, credentials)


def _kubeconfig(url: str, ca: bytes, user: str, credentials: dict[str, str]) -> bytes:
    document: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "world", "cluster": {"server": url, "certificate-authority-data": _base64(ca)}}],
        "users": [{"name": user, "user": credentials}],
        "contexts": [{"name": "world", "context": {"cluster": "world", "user": user}}],
        "current-context": "world",
    }
    return yaml.safe_dump(document, sort_keys=False).encode()


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode()


def free_ports(address: str, count: int) -> list[int]:
    """Ports nothing listens on; all are bound before any is let go, so that they differ."""
    sockets = [socket.create_server((address, 0)) for _number in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports
