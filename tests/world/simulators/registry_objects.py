"""The objects that the image registry operator makes: its first Config, the registry's deployment, its routes."""

from __future__ import annotations

import base64

from ..pki import KeyPair
from .kube import Object
from .registry import SERVICE_HOSTS

NAMESPACE = "openshift-image-registry"
CONFIGS = "/apis/imageregistry.operator.openshift.io/v1/configs"
FINALIZER = "imageregistry.operator.openshift.io/finalizer"
CORE = f"/api/v1/namespaces/{NAMESPACE}"

#: What goes when the registry is removed: (collection, name).
OBJECTS = [
    (f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments", "image-registry"),
    (f"{CORE}/services", "image-registry"),
    (f"{CORE}/serviceaccounts", "registry"),
    (f"{CORE}/secrets", "image-registry-private-configuration"),
    (f"{CORE}/secrets", "image-registry-tls"),
    (f"{CORE}/configmaps", "image-registry-certificates"),
]
CIPHERS = [
    "TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384", "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
    "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256", "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
]  # fmt: skip


def default_config(first: Object) -> Object:
    """The Config that the operator bootstraps; `first` is what the installation chose (managementState, storage)."""
    return {
        "apiVersion": "imageregistry.operator.openshift.io/v1",
        "kind": "Config",
        "metadata": {"name": "cluster", "finalizers": [FINALIZER]},
        "spec": {
            "logLevel": "Normal", "operatorLogLevel": "Normal", "proxy": {}, "replicas": 1,
            "observedConfig": {"servingInfo": {"cipherSuites": CIPHERS, "minTLSVersion": "VersionTLS12"}},
            "requests": {"read": {"maxWaitInQueue": "0s"}, "write": {"maxWaitInQueue": "0s"}},
            "rolloutStrategy": "RollingUpdate", "unsupportedConfigOverrides": None, **first,
        },
    }  # fmt: skip


def deployment(spec: Object) -> Object:
    """Deployment image-registry: what of the Config makes new pods is in its template."""
    labels = {"docker-registry": "default"}
    kind = next((key for key, value in spec["storage"].items() if key != "managementState" and value is not None), "")
    environment = [
        {"name": "REGISTRY_STORAGE", "value": kind},
        {
            "name": "REGISTRY_STORAGE_MAINTENANCE_READONLY",
            "value": f"{{enabled: {str(bool(spec.get('readOnly'))).lower()}}}",
        },
    ]
    container = {"name": "registry", "image": "openshift/image-registry", "env": environment,
                 "ports": [{"containerPort": 5000, "protocol": "TCP"}]}  # fmt: skip
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "image-registry", "labels": labels},
        "spec": {
            "replicas": spec["replicas"],
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels},
                         "spec": {"serviceAccountName": "registry", "containers": [container]}},
        },
    }  # fmt: skip


def managed_objects(certificate: KeyPair, service_ca: bytes) -> list[tuple[str, Object]]:
    """What else a managed registry has: (collection, object)."""
    ca = service_ca.decode()
    hosts = {f"{host}..5000": ca for host in SERVICE_HOSTS}
    service = {
        "metadata": {
            "name": "image-registry",
            "annotations": {"service.beta.openshift.io/serving-cert-secret-name": "image-registry-tls"},
        },
        "spec": {"selector": {"docker-registry": "default"},
                 "ports": [{"name": "5000-tcp", "port": 5000, "protocol": "TCP", "targetPort": 5000}]},
    }  # fmt: skip
    tls = {"tls.crt": certificate.certificate, "tls.key": certificate.key}
    secret = {"metadata": {"name": "image-registry-tls"}, "type": "kubernetes.io/tls",
              "data": {key: base64.b64encode(value).decode() for key, value in tls.items()}}  # fmt: skip
    return [
        (f"{CORE}/serviceaccounts", {"metadata": {"name": "registry"}}),
        (f"{CORE}/services", service),
        (f"{CORE}/secrets", secret),
        (f"{CORE}/secrets", {"metadata": {"name": "image-registry-private-configuration"}}),
        (f"{CORE}/configmaps", {"metadata": {"name": "image-registry-certificates"}, "data": hosts}),
        (f"{CORE}/configmaps", {"metadata": {"name": "serviceca"}, "data": {"service-ca.crt": ca}}),
        ("/api/v1/namespaces/openshift-config-managed/configmaps",
         {"metadata": {"name": "image-registry-ca"}, "data": hosts}),
    ]  # fmt: skip


def desired_routes(spec: Object, domain: str) -> dict[str, Object]:
    """Name → {hostname, secretName} of every wanted route."""
    wanted: dict[str, Object] = {}
    if spec.get("defaultRoute"):
        wanted["default-route"] = {"hostname": f"default-route-{NAMESPACE}.{domain}", "generated": True}
    for route in spec.get("routes") or []:
        wanted[route["name"]] = route
    return wanted


def route_body(name: str, route: Object, secret: dict[str, str]) -> Object:
    """A route to the registry, with the certificate of its Secret if it has one."""
    tls = {"termination": "reencrypt"}
    for field, key in (("certificate", "tls.crt"), ("key", "tls.key"), ("caCertificate", "tls.cacrt")):
        if secret.get(key):
            tls[field] = secret[key]
    annotations = {"imageregistry.openshift.io": "true"}
    if route.get("generated"):
        annotations["openshift.io/host.generated"] = "true"
    spec: Object = {"to": {"kind": "Service", "name": "image-registry", "weight": 100}, "tls": tls}
    if route.get("hostname"):
        spec["host"] = route["hostname"]
    return {
        "apiVersion": "route.openshift.io/v1", "kind": "Route",
        "metadata": {"name": name, "namespace": NAMESPACE, "annotations": annotations}, "spec": spec,
    }  # fmt: skip
