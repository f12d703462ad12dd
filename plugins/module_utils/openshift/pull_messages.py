# Copyright (c) 2026, quayside.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Why an image could not be pulled, read from what kubelet, CRI-O, containerd and docker write. No I/O.

Their texts are no interface and have changed over the years; each pattern here is of a message that one of them has written.
"""

from __future__ import annotations

import re

RATE_LIMIT = "rate_limit"
CREDENTIALS = "credentials"
CREDENTIALS_MISSING = "credentials_missing"
CREDENTIALS_WRONG = "credentials_wrong"
ACCESS = "access"
CERTIFICATE_UNTRUSTED = "certificate_untrusted"
CERTIFICATE_EXPIRED = "certificate_expired"
CERTIFICATE_NAME = "certificate_name"
NAME_RESOLUTION = "name_resolution"
NETWORK = "network"
MISSING = "image_missing"
ARCHITECTURE = "architecture_missing"
INSECURE = "insecure_registry"
BLOCKED = "registry_blocked"
SIGNATURE = "signature"
DISK = "disk_full"
QUOTA = "quota"
THROTTLED = "node_throttled"
INVALID_NAME = "invalid_name"
SHORT_NAME = "short_name"
NEVER_PULLED = "never_pulled"
REGISTRY_FAILS = "registry_fails"
UNKNOWN = "unknown"

#: What a person reads first.
SUMMARIES = {
    RATE_LIMIT: "the registry's limit of pulls is reached",
    CREDENTIALS: "the registry refuses the pull: credentials are missing, wrong or without the right",
    CREDENTIALS_MISSING: "the pod has no credentials for this registry",
    CREDENTIALS_WRONG: "the registry refuses the credentials that the pod has",
    ACCESS: "the pod's service account may not pull from the image's project",
    CERTIFICATE_UNTRUSTED: "the nodes do not trust the registry's certificate",
    CERTIFICATE_EXPIRED: "the registry's certificate has expired, or is not valid yet",
    CERTIFICATE_NAME: "the registry's certificate is for another name",
    NAME_RESOLUTION: "the registry's name cannot be resolved on the node",
    NETWORK: "the node cannot reach the registry",
    MISSING: "the registry has no such image or tag",
    ARCHITECTURE: "the image is not there for the node's architecture",
    INSECURE: "the registry speaks plain HTTP, which is refused",
    BLOCKED: "the cluster's image configuration does not allow this registry",
    SIGNATURE: "the image's signature is missing or not accepted",
    DISK: "the node's disk is full",
    QUOTA: "a quota is used up",
    THROTTLED: "the node starts too many pulls at once and will try again",
    INVALID_NAME: "the image's name is not valid",
    SHORT_NAME: "the image's name has no registry, and the node does not guess one",
    NEVER_PULLED: "the image is not on the node, and imagePullPolicy Never forbids to pull it",
    REGISTRY_FAILS: "the registry answers with an error of its own",
    UNKNOWN: "the reason is not known to this collection",
}

#: A container's waiting.reason in the kubelet that means an image which is not there.
WAITING = (
    "ErrImagePull",
    "ImagePullBackOff",
    "ErrImageNeverPull",
    "InvalidImageName",
    "ErrInvalidImageName",
    "ImageInspectError",
    "RegistryUnavailable",
    "SignatureValidationFailed",
)

#: Reasons that need no message.
_BY_REASON = {
    "ErrImageNeverPull": NEVER_PULLED,
    "InvalidImageName": INVALID_NAME,
    "ErrInvalidImageName": INVALID_NAME,
    "SignatureValidationFailed": SIGNATURE,
}

#: The first that is found decides; so what is named inside of another error's text comes first.
_PATTERNS = [
    (cause, re.compile(pattern, re.IGNORECASE))
    for cause, pattern in (
        (THROTTLED, r"pull QPS exceeded"),
        (QUOTA, r"disk quota exceeded|quota (?:has been )?exceeded|exceeded (?:the )?\w* ?quota"),
        (DISK, r"no space left on device"),
        (RATE_LIMIT, r"toomanyrequests|too many requests|pull rate limit"),
        (SIGNATURE, r"signature was required|SignatureValidationFailed|cryptographic signature|no signature exists"),
        (BLOCKED, r"rejected by policy|registry \S+ is blocked|is blocked in \S*registries\.conf"),
        (SHORT_NAME, r"short[- ]name (?:mode|resolution)|ambiguous list|unqualified-search registries"),
        (INSECURE, r"server gave HTTP response to HTTPS client|first record does not look like a TLS handshake"),
        (CERTIFICATE_EXPIRED, r"certificate has expired|is not yet valid"),
        (
            CERTIFICATE_NAME,
            r"certificate is (?:not )?valid for|doesn't contain any IP SANs|relies on legacy Common Name"
            r"|not valid for any names",
        ),
        (CERTIFICATE_UNTRUSTED, r"x509:|certificate signed by unknown authority|tls: failed to verify certificate"),
        (
            NAME_RESOLUTION,
            r"no such host|server misbehaving|temporary failure in name resolution|dial tcp: lookup [^:]+(?: on \S+)?: ",
        ),
        (
            ARCHITECTURE,
            r"no match(?:ing manifest)? for (?:current )?platform|no matching manifest for|no image found in"
            r" (?:manifest list|image index) for architecture|cannot be used on this platform"
            r"|does not match the specified platform",
        ),
        (
            CREDENTIALS,
            r"unauthorized|authentication required|no basic auth credentials|invalid username/password"
            r"|pull access denied|requested access to the resource is denied|insufficient_scope|authorization failed"
            r"|access denied|access forbidden|\bdenied(?:: |$)|forbidden|login attempt to",
        ),
        (
            MISSING,
            r"manifest unknown|manifest_unknown|name unknown|name_unknown|repository name not known|not found"
            r"|does not exist",
        ),
        (
            NETWORK,
            r"connection refused|i/o timeout|no route to host|network is unreachable|deadline exceeded"
            r"|Client\.Timeout exceeded|connection reset by peer|TLS handshake timeout|proxyconnect|unexpected EOF|\bEOF\b",
        ),
        (INVALID_NAME, r"invalid reference format|couldn't parse image (?:name|reference)|InvalidImageName"),
        (REGISTRY_FAILS, r"internal server error|bad gateway|service unavailable|gateway timeout"),
    )
]

_PULLED = re.compile(r'Failed to pull image "[^"]*": ?', re.DOTALL)
_BACK_OFF = re.compile(r'^Back-off pulling image "[^"]*"(?:: (?:ErrImagePull|\w+): ?)?')
_ARTIFACT = re.compile(r"pull image err: (.*?); artifact err: ", re.DOTALL)
_MIRRORS = re.compile(r"\(Mirrors also failed: \[(.*)\]\): ", re.DOTALL)
_QUERY = re.compile(r"(https?://[^\s\"'?]+)\?[^\s\"']*")
_RPC = re.compile(r"^rpc error: code = \w+ desc = ")

#: What nodes say of a source that they need not reach, because a mirror is there for it.
_UNREACHED = (NAME_RESOLUTION, NETWORK, BLOCKED)


def cause(message: str, reason: str = "") -> str:
    """The cause that a message tells of; ``reason`` is the waiting container's."""
    if reason in _BY_REASON:
        return _BY_REASON[reason]
    text = detail(message)
    artifact = _ARTIFACT.search(text)  # CRI-O tries the same name as an artifact, which fails in its own way
    if artifact:
        text = artifact[1]
    mirrors = _MIRRORS.search(text)
    if mirrors:
        of_source = _match(_MIRRORS.sub("", text))
        return _match(mirrors[1]) if of_source in _UNREACHED else of_source
    return _match(text)


def detail(message: str) -> str:
    """The message without what the kubelet puts before it; empty where that is all."""
    return _BACK_OFF.sub("", _PULLED.sub("", message)).strip()


def evidence(message: str) -> str:
    """The message as one line to show. Signed URLs lose their query, which is a credential."""
    line = " ".join(_RPC.sub("", detail(message)).split())
    return _QUERY.sub(r"\1?…", line)


def _match(text: str) -> str:
    return next((name for name, pattern in _PATTERNS if pattern.search(text)), UNKNOWN)
