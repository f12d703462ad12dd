# Copyright (c) 2026, quayside.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What pods have to pull with, and what a registry or the cluster says of an image when it is asked again."""

from __future__ import annotations

import base64
import binascii
import contextlib
import dataclasses
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ansible_collections.quayside.registry.plugins.module_utils.errors import RegistryError
from ansible_collections.quayside.registry.plugins.module_utils.oci import auth
from ansible_collections.quayside.registry.plugins.module_utils.oci.auth import Credential
from ansible_collections.quayside.registry.plugins.module_utils.oci.client import Refused, Registry
from ansible_collections.quayside.registry.plugins.module_utils.oci.reference import Reference, api_host
from ansible_collections.quayside.registry.plugins.module_utils.oci.transport import CERTS_DIRS, Transport
from ansible_collections.quayside.registry.plugins.module_utils.openshift.client import ApiError, Cluster
from ansible_collections.quayside.registry.plugins.module_utils.openshift.image_registry_state import (
    INTERNAL_ADDRESS,
    hosts_of,
)
from ansible_collections.quayside.registry.plugins.module_utils.openshift.objects import (
    CONFIG_MAP,
    IMAGE_CONFIG,
    IMAGE_STREAM_IMAGE,
    IMAGE_STREAM_TAG,
    SECRET,
    SERVICE_ACCOUNT,
    SUBJECT_ACCESS_REVIEW,
    Object,
    name_of,
    namespace_of,
)
from ansible_collections.quayside.registry.plugins.module_utils.openshift.pull_waiting import Waiting

_CONFIG_NAMESPACE = "openshift-config"
_GLOBAL = "pull-secret"
_NEW, _OLD = "kubernetes.io/dockerconfigjson", "kubernetes.io/dockercfg"


@dataclasses.dataclass(frozen=True)
class Secrets:
    """The pull secrets of projects; ``unread`` are those projects whose Secrets the caller may not read."""

    configs: Mapping[tuple[str, str], auth.Config] = dataclasses.field(default_factory=dict, repr=False)
    linked: Mapping[tuple[str, str], tuple[str, ...]] = dataclasses.field(default_factory=dict)
    unread: frozenset[str] = frozenset()

    def of(self, item: Waiting, image: Reference) -> list[tuple[str, Credential]]:
        """What the node tries for this container: its pod's pull secrets, then the cluster's own."""
        keys = [(item.namespace, name) for name in item.secrets] + [(_CONFIG_NAMESPACE, _GLOBAL)]
        return self._matching(keys, image)

    def missing(self, item: Waiting) -> list[str]:
        """Pull secrets that the pod names and that do not exist."""
        if item.namespace in self.unread:
            return []
        return [name for name in item.secrets if (item.namespace, name) not in self.configs]

    def newer(self, item: Waiting, image: Reference) -> list[str]:
        """Secrets for the registry that the service account has got after the pod was made."""
        names = self.linked.get((item.namespace, item.account), ())
        keys = [(item.namespace, name) for name in names if name not in item.secrets]
        return [source for source, _credential in self._matching(keys, image)]

    def _matching(self, keys: Iterable[tuple[str, str]], image: Reference) -> list[tuple[str, Credential]]:
        found = []
        for key in keys:
            credential = auth.find(dict(self.configs.get(key, {})), image.host, image.repository)
            if credential:
                found.append((f"Secret {'/'.join(key)}", credential))
        return found


def read_secrets(cluster: Cluster, namespaces: Iterable[str]) -> Secrets:
    """Three LISTs, and the cluster's own pull secret."""
    wanted = set(namespaces)
    refused: dict[str, ApiError] = {}
    found = [
        item
        for kind in (_NEW, _OLD)
        for item in cluster.list_in(SECRET, wanted, field_selector=f"type={kind}", refused=refused)
    ]
    with contextlib.suppress(ApiError):
        own = cluster.get(SECRET, _GLOBAL, _CONFIG_NAMESPACE)
        found += [own] if own else []
    accounts = cluster.list_in(SERVICE_ACCOUNT, wanted, refused={})
    return Secrets(
        {(namespace_of(item), name_of(item)): docker_config(item) for item in found},
        {
            (namespace_of(item), name_of(item)): tuple(entry["name"] for entry in item.get("imagePullSecrets") or [])
            for item in accounts
        },
        frozenset(refused),
    )


def docker_config(secret: Object) -> auth.Config:
    """What is in a pull secret of either type; empty where it cannot be read, as for the kubelet."""
    data = secret.get("data") or {}
    try:
        if secret.get("type") == _OLD:
            text = base64.b64decode(data.get(".dockercfg") or "").decode()
            return auth.parse(f'{{"auths": {text}}}' if text else "", name_of(secret))
        return auth.parse(base64.b64decode(data.get(".dockerconfigjson") or ""), name_of(secret))
    except (binascii.Error, UnicodeDecodeError, RegistryError):
        return {}


@dataclasses.dataclass
class Answer:
    """What asking again has shown. None: it could not be found out; ``problem`` says why."""

    exists: bool | None = None
    allowed: bool | None = None
    accepted: str = ""
    refused: list[str] = dataclasses.field(default_factory=list)
    problem: str = ""

    def result(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


@dataclasses.dataclass(frozen=True)
class Surroundings:
    """What the nodes know of registries: the cluster's own hosts, whom it trusts, and where it does without TLS."""

    hosts: tuple[str, ...] = (INTERNAL_ADDRESS,)
    authorities: Mapping[str, str] = dataclasses.field(default_factory=dict)
    insecure: tuple[str, ...] = ()


def read_surroundings(cluster: Cluster) -> Surroundings:
    """The image configuration and its ConfigMap, as far as they may be read."""
    try:
        image = cluster.get(IMAGE_CONFIG, "cluster")
        spec = (image or {}).get("spec") or {}
        name = (spec.get("additionalTrustedCA") or {}).get("name")
        config_map = cluster.get(CONFIG_MAP, name, _CONFIG_NAMESPACE) if name else None
    except ApiError:
        return Surroundings()
    data = (config_map or {}).get("data") or {}
    return Surroundings(
        (INTERNAL_ADDRESS, *hosts_of(image)),
        {key.replace("..", ":"): text for key, text in data.items()},
        tuple((spec.get("registrySources") or {}).get("insecureRegistries") or ()),
    )


def ask_cluster(cluster: Cluster, item: Waiting, image: Reference) -> Answer:
    """An image of the cluster's own registry: is the tag there, and may the pod's service account pull it?"""
    project, _slash, stream = image.repository.partition("/")
    answer = Answer()
    try:
        if image.digest:
            found = cluster.get(IMAGE_STREAM_IMAGE, f"{stream}@{image.digest}", project)
        else:
            found = cluster.get(IMAGE_STREAM_TAG, f"{stream}:{image.tag or 'latest'}", project)
        answer.exists = found is not None
        review = cluster.request(
            "POST",
            SUBJECT_ACCESS_REVIEW.path(),
            {
                "apiVersion": SUBJECT_ACCESS_REVIEW.api_version,
                "kind": SUBJECT_ACCESS_REVIEW.kind,
                "spec": {
                    "user": item.user,
                    "groups": [
                        "system:serviceaccounts",
                        f"system:serviceaccounts:{item.namespace}",
                        "system:authenticated",
                    ],
                    "resourceAttributes": {
                        "verb": "get",
                        "group": "image.openshift.io",
                        "resource": "imagestreams",
                        "subresource": "layers",
                        "namespace": project,
                        "name": stream,
                    },
                },
            },
            about=f"ask what service account {item.namespace}/{item.account} may pull",
        )
        answer.allowed = bool((review.get("status") or {}).get("allowed"))
    except ApiError as error:
        answer.problem = str(error)
    return answer


def ask_registry(
    image: Reference, credentials: Sequence[tuple[str, Credential]], around: Surroundings, folder: str, timeout: float
) -> Answer:
    """An image elsewhere: does it exist, and which of the credentials opens it? One HEAD for each, which counts as no pull.

    Credentials go over verified TLS only; a registry that the cluster calls insecure is asked without.
    """
    answer = Answer()
    insecure = image.host in around.insecure
    tries: list[tuple[str, Credential | None]] = list(credentials)
    if insecure or not tries:
        tries = [("nobody", None)]
    try:
        with Transport(
            api_host(image.host),
            (folder, *CERTS_DIRS),
            validate_certs=not insecure,
            timeout=timeout,
            plain_http=insecure,
        ) as transport:
            for source, credential in tries:
                registry = Registry(image.host, transport.send, credential)
                try:
                    answer.exists = registry.digest(image.repository, image.digest or image.tag or "latest") is not None
                except Refused:
                    answer.refused.append(source)
                    continue
                answer.accepted = source
                break
    except RegistryError as error:
        answer.problem = str(error)
    answer.allowed = bool(answer.accepted) or (False if answer.refused else None)
    return answer


@contextlib.contextmanager
def certificates_folder(authorities: Mapping[str, str]) -> Iterator[str]:
    """The cluster's trust as the nodes have it, a folder for each host."""
    with tempfile.TemporaryDirectory() as folder:
        for host, text in authorities.items():
            place = Path(folder) / host
            place.mkdir()
            (place / "ca.crt").write_text(text, encoding="utf-8")
        yield folder
