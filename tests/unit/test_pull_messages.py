"""What kubelet, CRI-O, containerd and docker have said over the years, and what it means."""

from __future__ import annotations

import pytest

from ansible_collections.quayside.registry.plugins.module_utils.openshift.pull_messages import (
    SUMMARIES,
    cause,
    evidence,
)

RPC = "rpc error: code = Unknown desc = "
NOT_FOUND = "rpc error: code = NotFound desc = "
SHA = "sha256:8184092486c345c2b757f366f146218a115e5d7a92b481cb76257358653ec852"
UNPACK = 'failed to pull and unpack image "docker.io/library/app:1": '
RESOLVE = f'{UNPACK}failed to resolve reference "docker.io/library/app:1": '
HUB_429 = (
    "toomanyrequests: You have reached your pull rate limit. You may increase the limit by authenticating and upgrading:"
    " https://www.docker.com/increase-rate-limit"
)
MIRROR = "mirror.example.com/team/app:1"

MESSAGES = [
    # Limits of the Docker Hub: CRI-O 1.19, CRI-O today, containerd 1.4, containerd 1.7 and 2, docker
    ("rate_limit", f"{RPC}Error reading manifest latest in docker.io/acme/app: {HUB_429}"),
    (
        "rate_limit",
        f"initializing source docker://acme/app:1: reading manifest 1 in docker.io/acme/app: {HUB_429}",
    ),
    (
        "rate_limit",
        f"{RPC}{UNPACK}failed to copy: httpReaderSeeker: failed open: unexpected status code"
        f" https://registry-1.docker.io/v2/library/app/manifests/{SHA}: 429 Too Many Requests - Server message: {HUB_429}",
    ),
    (
        "rate_limit",
        f"{UNPACK}failed to copy: httpReadSeeker: failed open: unexpected status code"
        f" https://registry-1.docker.io/v2/library/app/manifests/{SHA}: 429 Too Many Requests - Server message:"
        " toomanyrequests: You have reached your unauthenticated pull rate limit."
        " https://www.docker.com/increase-rate-limit",
    ),
    ("rate_limit", f"{RPC}Error response from daemon: {HUB_429}"),
    (
        "rate_limit",
        f"{RPC}{RESOLVE}unexpected status from HEAD request to https://ghcr.io/v2/acme/app/manifests/1:"
        " 429 Too Many Requests",
    ),
    ("rate_limit", "reading manifest 1 in public.ecr.aws/acme/app: toomanyrequests: Rate exceeded"),
    ("node_throttled", "pull QPS exceeded"),
    # Credentials: CRI-O old and new, containerd, docker, ECR, Google, Red Hat
    ("credentials", f"{RPC}unable to retrieve auth token: invalid username/password"),
    (
        "credentials",
        "initializing source docker://registry.redhat.io/acme/app:1: unable to retrieve auth token: invalid"
        " username/password: unauthorized: Please login to the Red Hat Registry using your Customer Portal credentials."
        " Further instructions can be found here: https://access.redhat.com/RegistryAuthentication",
    ),
    (
        "credentials",
        f"{RPC}Error reading manifest 1.0 in quay.io/acme/app: unauthorized: access to the requested resource is not"
        " authorized",
    ),
    (
        "credentials",
        "initializing source docker://ghcr.io/acme/app:1.4: reading manifest 1.4 in ghcr.io/acme/app: denied",
    ),
    (
        "credentials",
        "initializing source docker://registry.example.com/app:1: Requesting bearer token: invalid status code from"
        " registry 403 (Forbidden)",
    ),
    (
        "credentials",
        f"{RPC}{RESOLVE}pull access denied, repository does not exist or may require authorization: server message:"
        " insufficient_scope: authorization failed",
    ),
    (
        "credentials",
        f"{RPC}{RESOLVE}failed to authorize: failed to fetch anonymous token: unexpected status from GET request to"
        " https://ghcr.io/token?scope=repository%3Aacme%2Fapp%3Apull&service=ghcr.io: 401 Unauthorized",
    ),
    (
        "credentials",
        f"{RPC}{RESOLVE}unexpected status code [manifests 1]: 401 Unauthorized",
    ),
    (
        "credentials",
        f"{RPC}Error response from daemon: pull access denied for acme/app, repository does not exist or may require"
        " 'docker login': denied: requested access to the resource is denied",
    ),
    (
        "credentials",
        f"{RPC}Error response from daemon: Get https://123456789012.dkr.ecr.eu-central-1.amazonaws.com/v2/app/manifests/1:"
        " no basic auth credentials",
    ),
    ("credentials", f"{RPC}Error response from daemon: unauthorized: authentication required"),
    # Certificates
    (
        "certificate_untrusted",
        f"{RPC}error pinging docker registry default-route-openshift-image-registry.apps-crc.testing: Get"
        " https://default-route-openshift-image-registry.apps-crc.testing/v2/: x509: certificate signed by unknown"
        " authority",
    ),
    (
        "certificate_untrusted",
        "initializing source docker://registry.example.com/app:1: pinging container registry registry.example.com: Get"
        ' "https://registry.example.com/v2/": tls: failed to verify certificate: x509: certificate signed by unknown'
        " authority",
    ),
    (
        "certificate_untrusted",
        f'{RPC}{RESOLVE}failed to do request: Head "https://registry.example.com/v2/app/manifests/1": x509: certificate'
        " signed by unknown authority (possibly because of "
        '"crypto/rsa: verification error" while trying to verify candidate authority certificate "ca")',
    ),
    (
        "certificate_expired",
        f"{RPC}error pinging docker registry quay.io: Get https://quay.io/v2/: x509: certificate has expired or is not"
        " yet valid",
    ),
    (
        "certificate_expired",
        f'{RPC}{RESOLVE}failed to do request: Head "https://r.example.com/v2/app/manifests/1": tls: failed to verify'
        " certificate: x509: certificate has expired or is not yet valid: current time 2026-11-21T06:00:00Z is after"
        " 2026-11-20T00:00:00Z",
    ),
    (
        "certificate_name",
        'pinging container registry r.example.com: Get "https://r.example.com/v2/": tls: failed to verify certificate:'
        " x509: certificate is valid for *.apps.example.com, not r.example.com",
    ),
    (
        "certificate_name",
        'pinging container registry 10.0.0.5:5000: Get "https://10.0.0.5:5000/v2/": x509: cannot validate certificate for'
        " 10.0.0.5 because it doesn't contain any IP SANs",
    ),
    (
        "certificate_name",
        f'{RPC}Error response from daemon: Get "https://r.example.com/v2/": x509: certificate relies on legacy Common Name'
        " field, use SANs or temporarily enable Common Name matching with GODEBUG=x509ignoreCN=0",
    ),
    # Names and networks
    (
        "name_resolution",
        "initializing source docker://nosuch.example.com/app:1: pinging container registry nosuch.example.com: Get"
        ' "https://nosuch.example.com/v2/": dial tcp: lookup nosuch.example.com on 10.0.0.10:53: no such host',
    ),
    (
        "name_resolution",
        f'{RPC}{RESOLVE}failed to do request: Head "https://registry-1.docker.io/v2/library/app/manifests/1": dial tcp:'
        " lookup registry-1.docker.io on 10.96.0.10:53: server misbehaving",
    ),
    (
        "name_resolution",
        f"{RPC}Error response from daemon: Get https://registry-1.docker.io/v2/: dial tcp: lookup registry-1.docker.io:"
        " Temporary failure in name resolution",
    ),
    (
        "name_resolution",
        'pinging container registry quay.io: Get "https://quay.io/v2/": dial tcp: lookup quay.io on 10.0.0.10:53: read udp'
        " 10.0.0.4:40000->10.0.0.10:53: i/o timeout",
    ),
    (
        "network",
        'pinging container registry r.example.com:5000: Get "https://r.example.com:5000/v2/": dial tcp 10.0.0.5:5000:'
        " connect: connection refused",
    ),
    (
        "network",
        f"{RPC}Error response from daemon: Get https://registry-1.docker.io/v2/: net/http: request canceled while waiting"
        " for connection (Client.Timeout exceeded while awaiting headers)",
    ),
    (
        "network",
        f'{RPC}{RESOLVE}failed to do request: Head "https://r.example.com/v2/": dial tcp 10.0.0.5:443: i/o timeout',
    ),
    ("network", "copying system image from manifest list: reading blob: unexpected EOF"),
    # Images and tags that are not there
    ("image_missing", f"{RPC}Error reading manifest {SHA} in quay.io/acme/app: manifest unknown: manifest unknown"),
    (
        "image_missing",
        f"initializing source docker://quay.io/acme/app@{SHA}: reading manifest {SHA} in quay.io/acme/app: manifest"
        " unknown",
    ),
    (
        "image_missing",
        f'Back-off pulling image "quay.io/acme/app@{SHA}": ErrImagePull: unable to pull image or OCI artifact: pull image'
        f" err: initializing source docker://quay.io/acme/app@{SHA}: reading manifest {SHA} in quay.io/acme/app: manifest"
        f" unknown; artifact err: get manifest: build image source: reading manifest {SHA} in quay.io/acme/app:"
        " unauthorized",
    ),
    ("image_missing", f"{NOT_FOUND}{RESOLVE}docker.io/library/app:1: not found"),
    (
        "image_missing",
        f"{RPC}Error response from daemon: manifest for quay.io/acme/app:0.23.0 not found: manifest unknown: manifest"
        " unknown",
    ),
    (
        "image_missing",
        "initializing source docker://image-registry.openshift-image-registry.svc:5000/demo/app:1: reading manifest 1 in"
        " image-registry.openshift-image-registry.svc:5000/demo/app: name unknown",
    ),
    (
        "image_missing",
        "initializing source docker://quay.io/acme/app:401: reading manifest 401 in quay.io/acme/app: manifest unknown",
    ),
    # Architectures
    (
        "architecture_missing",
        f"{RPC}Error choosing image instance: no image found in manifest list for architecture arm, variant v8, OS linux",
    ),
    (
        "architecture_missing",
        'choosing image instance: no image found in image index for architecture "s390x", variant "", OS "linux"',
    ),
    (
        "architecture_missing",
        f'{NOT_FOUND}failed to pull and unpack image "ghcr.io/acme/app:1": no match for platform in manifest: not found',
    ),
    ("architecture_missing", f"{RPC}{UNPACK}no match for current platform linux/arm/v7 in manifest {SHA}: not found"),
    (
        "architecture_missing",
        f"{RPC}Error response from daemon: no matching manifest for linux/arm64/v8 in the manifest list entries",
    ),
    # Plain HTTP
    (
        "insecure_registry",
        f'{RPC}{RESOLVE}failed to do request: Head "https://localhost:7439/v2/app/manifests/1": http: server gave HTTP'
        " response to HTTPS client",
    ),
    (
        "insecure_registry",
        'pinging container registry r.example.com:5000: Get "https://r.example.com:5000/v2/": http: server gave HTTP'
        " response to HTTPS client",
    ),
    # What the cluster forbids
    (
        "registry_blocked",
        f"{RPC}Source image rejected: Running image docker://quay.io/acme/app:latest is rejected by policy.",
    ),
    (
        "registry_blocked",
        "initializing source docker://quay.io/acme/app:latest: registry quay.io is blocked in"
        " /etc/containers/registries.conf or /etc/containers/registries.conf.d",
    ),
    (
        "signature",
        f"{RPC}copying system image from manifest list: Source image rejected: A signature was required, but no signature"
        " exists",
    ),
    (
        "short_name",
        "short name mode is enforcing, but image name app:1 returns ambiguous list",
    ),
    # Nodes
    (
        "disk_full",
        f'{RPC}Error writing blob: error storing blob to file "/var/tmp/storage178245615/2": write'
        " /var/tmp/storage178245615/2: no space left on device",
    ),
    (
        "disk_full",
        f"{RPC}{UNPACK}failed to extract layer sha256:5dac: mount callback failed on /var/lib/containerd/tmpmounts/x: write"
        " /var/lib/containerd/tmpmounts/x/libc.so: no space left on device: unknown",
    ),
    (
        "disk_full",
        f"{RPC}failed to register layer: Error processing tar file(exit status 1): write /server.rpm: no space left on"
        " device",
    ),
    (
        "quota",
        f'{RPC}writing blob: storing blob to file "/var/tmp/storage1/1": write /var/tmp/storage1/1: disk quota exceeded',
    ),
    (
        "quota",
        "reading manifest 1 in quay.example.com/proxy/app: denied: Quota has been exceeded on namespace",
    ),
    (
        "invalid_name",
        'Failed to apply default image tag "App:1": couldn\'t parse image name "App:1": invalid reference format',
    ),
    (
        "registry_fails",
        f"{RPC}{RESOLVE}unexpected status code [manifests 1]: 503 Service Unavailable",
    ),
    (
        "registry_fails",
        "reading manifest 1 in quay.io/acme/app: received unexpected HTTP status: 502 Bad Gateway",
    ),
    # Mirrors: the source's own error counts, unless a disconnected cluster cannot or may not reach the source
    (
        "image_missing",
        f"(Mirrors also failed: [{MIRROR}: pinging container registry mirror.example.com: x509: certificate signed by"
        " unknown authority]): quay.io/team/app:1: reading manifest 1 in quay.io/team/app: manifest unknown",
    ),
    (
        "certificate_untrusted",
        f"(Mirrors also failed: [{MIRROR}: pinging container registry mirror.example.com: x509: certificate signed by"
        " unknown authority]): quay.io/team/app:1: pinging container registry quay.io: dial tcp: lookup quay.io on"
        " 10.0.0.10:53: no such host",
    ),
    ("unknown", f"{RPC}something that nobody has seen before"),
    ("unknown", 'Back-off pulling image "quay.io/acme/unauthorized:404"'),
]


@pytest.mark.parametrize(("expected", "message"), MESSAGES)
def test_the_cause_is_recognised_however_the_kubelet_wraps_it(expected: str, message: str) -> None:
    assert cause(message) == expected
    assert cause(f'Failed to pull image "registry.example.com/not-found/x509:401": {message}') == expected
    if not message.startswith("Back-off"):
        assert cause(f'Back-off pulling image "quay.io/denied/app:503": ErrImagePull: {message}') == expected


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        ("ErrImageNeverPull", "never_pulled"),
        ("InvalidImageName", "invalid_name"),
        ("SignatureValidationFailed", "signature"),
        ("ImagePullBackOff", "unknown"),
    ],
)
def test_some_reasons_say_it_all(reason: str, expected: str) -> None:
    assert cause("", reason) == expected


def test_every_cause_of_the_table_has_a_summary() -> None:
    assert {expected for expected, _message in MESSAGES} <= set(SUMMARIES)


def test_evidence_is_one_line_without_the_credentials_of_signed_urls() -> None:
    message = (
        f'Failed to pull image "a": {RPC}reading blob:\n Get "https://storage.example.com/x?X-Amz-Signature=5ecr3t&a=b":'
        " EOF"
    )
    assert evidence(message) == 'reading blob: Get "https://storage.example.com/x?…": EOF'
