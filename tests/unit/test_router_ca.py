"""Which certificate applies to a host, and what is told of it. The cluster is a dictionary that counts its requests."""

from __future__ import annotations

import base64
import socket
import ssl
import threading

import pytest
from certs import issue

from ansible_collections.quayside.registry.plugins.module_utils import certificates, tls_handshake
from ansible_collections.quayside.registry.plugins.module_utils.errors import InputError, RegistryError
from ansible_collections.quayside.registry.plugins.module_utils.openshift.client import ApiError
from ansible_collections.quayside.registry.plugins.module_utils.openshift.router_ca import RouterCa
from ansible_collections.quayside.registry.plugins.module_utils.openshift.router_certificates import claim, router_of

DEFAULT_HOST = "default-route-openshift-image-registry.apps.example.com"
REGISTRY = "openshift-image-registry"
INTERNAL = "image-registry.openshift-image-registry.svc:5000"
ROUTER_CA = issue("ingress-operator", ca=True)
WILDCARD = issue("*.apps.example.com", ROUTER_CA, hosts=["*.apps.example.com"])
SHARD_CA = issue("shard-ca", ca=True)
SHARD = issue("*.shard.example.com", SHARD_CA, hosts=["*.shard.example.com"])
OWN_CA = issue("own-ca", ca=True)
OWN = issue("own", OWN_CA, hosts=["registry.example.com"])
SERVICE_CA = issue("openshift-service-serving-signer", ca=True)


def ingress(host, router="default", admitted="True"):
    return {
        "host": host,
        "routerName": router,
        "routerCanonicalHostname": f"router-{router}.{'apps' if router == 'default' else router}.example.com",
        "conditions": [{"type": "Admitted", "status": admitted}],
    }


def route(name, host, namespace=REGISTRY, routers=("default",), created="2026-01-01T00:00:00Z", tls=None, **spec):
    return {
        "metadata": {"name": name, "namespace": namespace, "creationTimestamp": created},
        "spec": {"host": host, "tls": {"termination": "reencrypt", **(tls or {})}, **spec},
        "status": {"ingress": [ingress(host, router) for router in routers]},
    }


def tls_secret(name, *pairs, namespace="openshift-ingress", **more):
    texts = {"tls.crt": "".join(pair.certificate for pair in pairs), "tls.key": pairs[0].key, **more}
    data = {key: base64.b64encode(text.encode()).decode() for key, text in texts.items()}
    return {"metadata": {"name": name, "namespace": namespace}, "data": data}


def config_map(namespace, name, **data):
    return {
        "metadata": {"name": name, "namespace": namespace},
        "data": {key.replace("_", "."): v for key, v in data.items()},
    }


def controller(name="default", domain="apps.example.com", certificate=""):
    spec = {"defaultCertificate": {"name": certificate}} if certificate else {}
    return {
        "metadata": {"name": name, "namespace": "openshift-ingress-operator"},
        "spec": spec,
        "status": {"domain": domain},
    }


class Cluster:
    """Answers from `objects` ({plural: [object]}); `forbidden` holds (plural, namespace) that the caller may not read."""

    def __init__(self, forbidden=(), **objects):
        self.objects = objects
        self.forbidden = forbidden
        self.requests = []

    def get(self, kind, name, namespace=""):
        self._ask(kind, namespace, name)
        for item in self.objects.get(kind.plural, []):
            if item["metadata"]["name"] == name and item["metadata"].get("namespace", "") == namespace:
                return item
        return None

    def list_objects(self, kind, namespace=""):
        self._ask(kind, namespace, "")
        found = self.objects.get(kind.plural, [])
        return [item for item in found if namespace in ("", item["metadata"].get("namespace", ""))]

    def map(self, function, items):
        return [function(item) for item in items]

    def _ask(self, kind, namespace, name):
        self.requests.append("/".join(part for part in (kind.plural, namespace, name) if part))
        if (kind.plural, namespace) in self.forbidden:
            raise ApiError(f"{kind.plural} in {namespace} is forbidden", 403, "Forbidden")


def cluster(**more):
    there = {
        "routes": [route("default-route", DEFAULT_HOST)],
        "ingresscontrollers": [controller()],
        "secrets": [tls_secret("router-certs-default", WILDCARD, ROUTER_CA)],
        "configmaps": [
            config_map(
                "openshift-config-managed",
                "default-ingress-cert",
                **{"ca-bundle.crt": WILDCARD.certificate + ROUTER_CA.certificate},
            ),
            config_map(REGISTRY, "openshift-service-ca.crt", **{"service-ca.crt": SERVICE_CA.certificate}),
        ],
        "ingresses": [{"metadata": {"name": "cluster"}, "spec": {"domain": "apps.example.com"}}],
        "images": [{"metadata": {"name": "cluster"}, "status": {"externalRegistryHostnames": [DEFAULT_HOST]}}],
    }  # fmt: skip
    return Cluster(**{**there, **more})


def ask(where, **params):
    subject = RouterCa({"warn_days": 30, "handshake": False, "connect_timeout": 2, **params})
    return subject.plan(subject.read(where))


def one(where, **params):
    (found,) = ask(where, **params).result["registries"]
    return found


# Which certificate applies


def test_by_default_the_hosts_of_the_registry():
    where = cluster()
    found = one(where)
    assert found["host"] == DEFAULT_HOST
    assert found["source"] == "Secret openshift-ingress/router-certs-default"
    assert found["ca_certificates"] == ROUTER_CA.certificate
    assert [item["subject"] for item in found["certificates"]] == ["CN=*.apps.example.com", "CN=ingress-operator"]
    assert (found["verified"], found["problem"]) == (None, None)
    assert len(where.requests) == 4


def test_the_routes_own_certificate_comes_first():
    tls = {"certificate": OWN.certificate, "caCertificate": OWN_CA.certificate, "key": OWN.key}
    where = cluster(routes=[route("public", "registry.example.com", tls=tls)])
    found = one(where, hosts=["registry.example.com"])
    assert (found["source"], found["ca_certificates"]) == (f"Route {REGISTRY}/public", OWN_CA.certificate)
    assert where.requests == [f"routes/{REGISTRY}"]


def test_the_secret_that_a_route_names():
    tls = {"externalCertificate": {"name": "public-tls"}}
    secrets = [tls_secret("public-tls", OWN, namespace=REGISTRY, **{"ca.crt": OWN_CA.certificate})]
    where = cluster(routes=[route("public", "registry.example.com", tls=tls)], secrets=secrets)
    found = one(where, hosts=["registry.example.com"])
    assert (found["source"], found["ca_certificates"]) == (f"Secret {REGISTRY}/public-tls", OWN_CA.certificate)


def test_the_default_certificate_of_the_shard_that_admitted_the_route():
    where = cluster(
        routes=[route("app", "app.shard.example.com", "shop", routers=("default", "shard"))],
        ingresscontrollers=[controller(), controller("shard", "shard.example.com", "shard-tls")],
        secrets=[tls_secret("shard-tls", SHARD, SHARD_CA), tls_secret("router-certs-default", WILDCARD, ROUTER_CA)],
    )
    found = one(where, hosts=["app.shard.example.com"])
    assert (found["source"], found["ca_certificates"]) == ("Secret openshift-ingress/shard-tls", SHARD_CA.certificate)
    assert "secrets/openshift-ingress/router-certs-default" not in where.requests


def test_the_generated_certificate_of_a_shard():
    where = cluster(
        routes=[route("app", "app.shard.example.com", "shop", routers=("shard",))],
        ingresscontrollers=[controller(), controller("shard", "shard.example.com")],
        secrets=[tls_secret("router-certs-shard", SHARD, SHARD_CA)],
    )
    assert one(where, hosts=["app.shard.example.com"])["ca_certificates"] == SHARD_CA.certificate


@pytest.mark.parametrize(
    "change",
    [
        {"forbidden": [("secrets", "openshift-ingress")]},
        {"forbidden": [("ingresscontrollers", "openshift-ingress-operator"), ("secrets", "openshift-ingress")]},
        {"secrets": []},
        {"ingresscontrollers": [controller(certificate="not-yet-made")]},
    ],
)
def test_what_the_ingress_operator_publishes_where_the_secret_cannot_be_read(change):
    found = one(cluster(**change))
    assert found["source"] == "ConfigMap openshift-config-managed/default-ingress-cert"
    assert found["ca_certificates"] == ROUTER_CA.certificate


def test_no_way_to_the_certificate_names_what_was_forbidden():
    where = cluster(forbidden=[("secrets", "openshift-ingress")], configmaps=[])
    with pytest.raises(RegistryError, match="secrets in openshift-ingress is forbidden"):
        one(where)


def test_a_shards_secret_that_may_not_be_read_is_not_replaced_by_the_default_routers():
    where = cluster(
        forbidden=[("secrets", "openshift-ingress")],
        routes=[route("app", "app.shard.example.com", "shop", routers=("shard",))],
        ingresscontrollers=[controller("shard", "shard.example.com")],
    )
    with pytest.raises(RegistryError, match="secrets in openshift-ingress is forbidden"):
        one(where, hosts=["app.shard.example.com"])


@pytest.mark.parametrize("host", [INTERNAL, "image-registry.openshift-image-registry.svc", "db.demo.svc.cluster.local"])
def test_services_have_the_service_ca(host):
    where = cluster()
    found = one(where, hosts=[host])
    assert (found["host"], found["ca_certificates"]) == (host, SERVICE_CA.certificate)
    assert where.requests == [f"configmaps/{REGISTRY}/openshift-service-ca.crt"]


def test_many_hosts_cost_one_list_and_one_secret():
    routes = [route(f"r{number}", f"h{number}.apps.example.com", "shop") for number in range(40)]
    where = cluster(routes=routes)
    found = ask(where, hosts=[f"h{number}.apps.example.com" for number in range(40)]).result["registries"]
    assert {item["ca_certificates"] for item in found} == {ROUTER_CA.certificate}
    assert where.requests == [
        f"routes/{REGISTRY}",
        "routes",
        "ingresscontrollers/openshift-ingress-operator",
        "secrets/openshift-ingress/router-certs-default",
    ]


def test_a_route_by_its_name():
    found = one(cluster(), routes=[{"namespace": REGISTRY, "name": "default-route", "expected": False}])
    assert (found["host"], found["ca_certificates"]) == (DEFAULT_HOST, ROUTER_CA.certificate)


def test_a_route_that_is_yet_to_come_is_answered_for_the_host_that_it_will_get():
    plan = ask(cluster(), routes=[{"namespace": "shop", "name": "x", "expected": True}])
    assert plan.result["registries"][0]["host"] == "x-shop.apps.example.com"
    assert plan.result["registries"][0]["ca_certificates"] == ROUTER_CA.certificate
    assert "no route has this host yet" in plan.warnings[0]


@pytest.mark.parametrize("params", [{"hosts": [DEFAULT_HOST]}, {}])
def test_the_default_host_before_it_is_exposed(params):
    plan = ask(cluster(routes=[]), **params)
    assert plan.result["registries"][0]["ca_certificates"] == ROUTER_CA.certificate
    assert plan.warnings == [f"{DEFAULT_HOST}: no route has this host yet; this is what the router will show for it."]


@pytest.mark.parametrize(
    ("tls", "problem"),
    [({"termination": "passthrough"}, "passes TLS through"), (None, "is plain HTTP")],
)
def test_a_certificate_that_the_router_does_not_know(tls, problem):
    there = route("r", "r.apps.example.com")
    there["spec"]["tls"] = tls
    plan = ask(cluster(routes=[there]), hosts=["r.apps.example.com"])
    (found,) = plan.result["registries"]
    assert (found["ca_certificates"], found["certificates"], found["verified"]) == ("", [], None)
    assert problem in found["problem"]
    assert problem in plan.warnings[0]


# Which route has a host


def test_the_oldest_admitted_route_has_the_host():
    young = route("young", "a.org", created="2026-03-01T00:00:00Z")
    old = route("old", "a.org", created="2026-02-01T00:00:00Z")
    refused = route("refused", "a.org", created="2026-01-01T00:00:00Z")
    refused["status"]["ingress"] = [ingress("a.org", admitted="False")]
    wild = route("wild", "b.org", wildcardPolicy="Subdomain")
    wild["spec"]["host"] = wild["status"]["ingress"][0]["host"] = "wild.b.org"
    routes = [young, refused, old, wild]
    assert claim("a.org", routes) is old
    assert claim("other.b.org", routes) is wild
    assert claim("c.org", routes) is None


@pytest.mark.parametrize(
    ("host", "router"),
    [("x.shard.example.com", "shard"), ("x.apps.example.com", "default"), ("elsewhere.org", "default")],
)
def test_the_router_that_clients_reach(host, router):
    assert router_of(host, route("r", host, routers=("default", "shard"))) == router


# What is told


def test_nothing_private_is_returned():
    found = str(ask(cluster()).result)
    assert "PRIVATE" not in found
    assert WILDCARD.key.splitlines()[1] not in found


@pytest.mark.parametrize(
    ("leaf", "warning"),
    [
        ({"hosts": ["*.apps.example.com"], "days": 12.5}, "the certificate CN=w expires in 12 days."),
        ({"hosts": ["*.apps.example.com"], "days": -1, "since": 9}, "the certificate CN=w expired on "),
        (
            {"hosts": ["*.apps.example.org"]},
            "the certificate CN=w does not cover this host, it is for *.apps.example.org.",
        ),
        ({"hosts": ["*.apps.example.com"]}, ""),
    ],
)
def test_certificates_that_are_wrong_or_soon_will_be(leaf, warning):
    where = cluster(secrets=[tls_secret("router-certs-default", issue("w", ROUTER_CA, **leaf), ROUTER_CA)])
    plan = ask(where)
    assert len(plan.warnings) == bool(warning)
    if warning:
        assert plan.warnings[0].startswith(f"{DEFAULT_HOST}: {warning}")
        assert plan.result["registries"][0]["problem"] in plan.warnings[0]


def test_a_missing_root_is_told_and_not_warned_of():
    where = cluster(secrets=[tls_secret("router-certs-default", WILDCARD)])
    plan = ask(where)
    (found,) = plan.result["registries"]
    assert found["ca_certificates"] == WILDCARD.certificate
    assert "no certificate of its issuer (CN=ingress-operator)" in found["problem"]
    assert plan.warnings == []


# What is refused


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"hosts": ["https://registry.example.com"]}, "hosts[0]: 'https://registry.example.com' is a URL"),
        ({"hosts": [DEFAULT_HOST, "a_b"]}, "hosts[1]: 'a_b' is not a host name"),
    ],
)
def test_malformed_hosts(params, message):
    with pytest.raises(InputError) as caught:
        ask(Cluster(), **params)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("params", "change", "message"),
    [
        (
            {"hosts": ["default-rout.apps.example.com"]},
            {},
            f"has the host default-rout.apps.example.com. The hosts that there are: {DEFAULT_HOST}.",
        ),
        ({"hosts": ["a.org"]}, {"routes": []}, "No router has admitted any route."),
        ({}, {"ingresses": [], "routes": []}, "The image registry is not reached from outside"),
        ({"routes": [{"namespace": "shop", "name": "x", "expected": False}]}, {}, "routes: there is no Route shop/x."),
        (
            {"hosts": ["default-route-openshift-image-registry.apps.example.org"]},
            {},
            "no IngressController serves the domain apps.example.org",
        ),
        ({"hosts": [INTERNAL]}, {"configmaps": []}, "ConfigMap openshift-image-registry/openshift-service-ca.crt"),
        (
            {},
            {"secrets": [tls_secret("router-certs-default", issue("x"), **{"tls.crt": "garbage"})]},
            "holds no certificate",
        ),
        (
            {"routes": [{"namespace": REGISTRY, "name": "r", "expected": False}]},
            {"routes": [{**route("r", "r.org"), "status": {}}]},
            "no router has admitted Route openshift-image-registry/r (host r.org)",
        ),
    ],
)
def test_what_cannot_be_found(params, change, message):
    with pytest.raises(RegistryError) as caught:
        ask(cluster(**change), **params)
    assert message in str(caught.value)


# The handshake, with a real server on this machine


@pytest.fixture
def server(tmp_path):
    """Starts servers on 127.0.0.1 that show a certificate for `localhost`; each yields its port."""
    sockets = []

    def start(*pairs):
        path = tmp_path / f"{len(sockets)}.pem"
        path.write_text("".join(pair.certificate for pair in pairs) + pairs[0].key)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path)
        listener = socket.create_server(("127.0.0.1", 0))
        sockets.append(listener)

        def serve():
            while True:
                try:
                    plain, _address = listener.accept()
                except OSError:
                    return
                try:
                    context.wrap_socket(plain, server_side=True).close()
                except OSError:
                    plain.close()

        threading.Thread(target=serve, daemon=True).start()
        return listener.getsockname()[1]

    yield start
    for item in sockets:
        item.close()


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch):
    for name in ("HTTPS_PROXY", "https_proxy", "NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)


MIDDLE = issue("middle", ROUTER_CA, ca=True)
HERE = issue("here", MIDDLE, hosts=["localhost"])
EXPIRED = issue("here", MIDDLE, hosts=["localhost"], days=-1, since=9)


@pytest.mark.parametrize(
    ("shown", "trusted", "verified", "problem"),
    [
        ([HERE, MIDDLE], [ROUTER_CA], True, ""),
        ([HERE, MIDDLE], [MIDDLE], True, ""),
        ([HERE], [HERE], True, ""),
        ([HERE, MIDDLE], [SHARD_CA], False, "unable to get local issuer certificate"),
        ([WILDCARD], [ROUTER_CA], False, "Hostname mismatch"),
        ([EXPIRED, MIDDLE], [ROUTER_CA], False, "certificate has expired"),
    ],
)
def test_handshake(server, shown, trusted, verified, problem):
    proof = tls_handshake.prove("localhost", server(*shown), "".join(item.certificate for item in trusted), 5)
    assert proof.verified is verified
    assert problem in proof.problem
    assert (proof.shown is None) is verified


def test_nobody_there():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    proof = tls_handshake.prove("localhost", port, ROUTER_CA.certificate, 2)
    assert proof.verified is None
    assert "could not be reached from where this module runs" in proof.problem


def test_another_certificate_than_the_clusters_is_shown(server):
    other = issue("proxy", hosts=["localhost"])
    tls = {"certificate": HERE.certificate, "caCertificate": MIDDLE.certificate + ROUTER_CA.certificate}
    where = cluster(routes=[route("r", "localhost", tls=tls)])
    plan = ask(where, hosts=[f"localhost:{server(other)}"], handshake=True)
    (found,) = plan.result["registries"]
    assert found["verified"] is False
    assert "shows another certificate than the cluster has for it: CN=proxy" in found["problem"]
    assert found["problem"] in plan.warnings[0]


def _proxy(refuse=False):
    """A CONNECT proxy for one connection: its port, and the request heads that it got."""
    listener = socket.create_server(("127.0.0.1", 0))
    heads = []

    def pump(source, target):
        try:
            while data := source.recv(65536):
                target.sendall(data)
        except OSError:
            pass

    def serve():
        client, _address = listener.accept()
        head = b""
        while b"\r\n\r\n" not in head:
            head += client.recv(65536)
        heads.append(head.decode())
        if refuse:
            client.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
        else:
            client.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            port = int(head.split()[1].rpartition(b":")[2])
            backend = socket.create_connection(("127.0.0.1", port))
            threading.Thread(target=pump, args=(backend, client), daemon=True).start()
            pump(client, backend)
            backend.close()
        client.close()
        listener.close()

    threading.Thread(target=serve, daemon=True).start()
    return listener.getsockname()[1], heads


def test_handshake_goes_through_the_proxy(server, monkeypatch):
    proxy, heads = _proxy()
    monkeypatch.setenv("HTTPS_PROXY", f"http://user:pass%21@127.0.0.1:{proxy}")
    port = server(HERE, MIDDLE)
    assert tls_handshake.prove("localhost", port, ROUTER_CA.certificate, 5) == tls_handshake.Proof(True)
    assert heads[0].startswith(f"CONNECT localhost:{port} ")
    assert base64.b64encode(b"user:pass!").decode() in heads[0]


def test_no_proxy_is_honoured(server, monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("NO_PROXY", "localhost")
    assert tls_handshake.prove("localhost", server(HERE, MIDDLE), ROUTER_CA.certificate, 5).verified is True


def test_a_proxy_that_refuses_is_not_a_failed_handshake(monkeypatch):
    proxy, _heads = _proxy(refuse=True)
    monkeypatch.setenv("HTTPS_PROXY", f"http://user:secret@127.0.0.1:{proxy}")
    proof = tls_handshake.prove("registry.example.com", 443, ROUTER_CA.certificate, 5)
    assert proof.verified is None
    assert "403" in proof.problem
    assert "through the proxy 127.0.0.1" in proof.problem
    assert "secret" not in proof.problem


def test_certificates_of_the_result_parse():
    found = one(cluster())
    assert certificates.parse(found["ca_certificates"], "x")[0].subject == "CN=ingress-operator"
