# Copyright (c) 2026, quayside.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the cluster says of images elsewhere: their digests, and why an import failed and what to do about it."""

from __future__ import annotations

import base64
import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ansible_collections.quayside.registry.plugins.module_utils.errors import RegistryError
from ansible_collections.quayside.registry.plugins.module_utils.oci import auth, reference
from ansible_collections.quayside.registry.plugins.module_utils.openshift.client import ApiError, Cluster
from ansible_collections.quayside.registry.plugins.module_utils.openshift.image_stream_options import Key, Stream, Tag
from ansible_collections.quayside.registry.plugins.module_utils.openshift.objects import (
    IMAGE_STREAM_IMPORT,
    SECRET,
    Object,
    name_of,
    namespace_of,
)

#: Our own reason: a tag points at one that has no image.
NO_IMAGE = "NoImage"

_PULL_SECRET = "kubernetes.io/dockerconfigjson"

#: A message names this many failures; all of them are in the result.
_SHOWN = 10


@dataclasses.dataclass(frozen=True)
class Failure:
    """A tag that has not got its image. ``reason`` and ``message`` are the cluster's own words."""

    namespace: str
    stream: str
    tag: str
    source: str
    reason: str
    message: str

    def result(self) -> dict[str, str]:
        return {
            "namespace": self.namespace,
            "name": self.stream,
            "tag": self.tag,
            "source": self.source,
            "reason": self.reason,
            "message": self.message,
        }

    def __str__(self) -> str:
        return (
            f"{self.namespace}/{self.stream}:{self.tag} could not be imported from {self.source} ({self.reason}):"
            f" {self.message.rstrip('.')}."
        )


def ask(cluster: Cluster, wanted: Sequence[tuple[Stream, Sequence[Tag]]]) -> dict[tuple[Key, str], str | Failure]:
    """The digest that each tag's source has now, or why it cannot be read: one request for each stream.

    The cluster is asked (an ImageStreamImport that imports nothing), because it decides with its own network, trust and pull
    secrets, and picks one image out of a list as an import would.
    """
    found: dict[tuple[Key, str], str | Failure] = {}

    def look(item: tuple[Stream, Sequence[Tag]]) -> None:
        stream, tags = item
        images = []
        for tag in tags:
            policy: Object = {"insecure": True} if stream.insecure(tag) else {}
            if tag.import_mode:
                policy["importMode"] = tag.import_mode
            images.append(
                {"from": {"kind": tag.kind, "name": tag.source}, "to": {"name": tag.name}, "importPolicy": policy}
            )
        answer = cluster.request(
            "POST",
            IMAGE_STREAM_IMPORT.path(stream.namespace),
            {
                "apiVersion": IMAGE_STREAM_IMPORT.api_version,
                "kind": IMAGE_STREAM_IMPORT.kind,
                "metadata": {"name": stream.name, "namespace": stream.namespace},
                "spec": {"import": False, "images": images},
            },
            about=f"ask what the sources of ImageStream {stream.namespace}/{stream.name} are",
        )
        for tag, image in zip(tags, answer["status"]["images"], strict=True):
            status = image.get("status") or {}
            found[stream.key, tag.name] = (
                name_of(image["image"])
                if image.get("image")
                else Failure(
                    stream.namespace,
                    stream.name,
                    tag.name,
                    tag.source,
                    status.get("reason", "Failure"),
                    status.get("message", ""),
                )
            )

    cluster.map(look, wanted)
    return found


def refuse(cluster: Cluster, failures: Sequence[Failure], details: Mapping[str, Any]) -> RegistryError:
    """The error that tells of all failures, with what would help."""
    projects = {item.namespace for item in failures if item.reason == "Unauthorized"}
    secrets = _pull_secrets(cluster, projects)
    sentences = [f"{item} {remedy(item, secrets.get(item.namespace))}" for item in failures[:_SHOWN]]
    more = len(failures) - _SHOWN
    if more > 0:
        sentences.append(f"And {more} more.")
    results = [item.result() for item in failures]
    return RegistryError("\n".join(sentences), {**details, "failures": results})


def remedy(failure: Failure, secrets: Mapping[str, auth.Config] | None) -> str:
    """What to do about it. ``secrets`` are the project's pull secrets; None where the caller may not read them."""
    if failure.reason == "Unauthorized":
        return _credential_remedy(failure, secrets)
    if failure.reason == NO_IMAGE:
        return "Import or push that one first, then run again."
    if failure.reason == "NotFound":
        return "Check the name and the tag. Some registries say so of a private repository, too."
    if "x509" in failure.message and "expired" in failure.message:
        return "The registry's certificate must be renewed."
    if "unknown authority" in failure.message:
        return (
            "The cluster does not trust the registry's CA: add it to additionalTrustedCA of images.config.openshift.io/cluster"
            " (insecure: true at the tag verifies nothing)."
        )
    if "x509" in failure.message:
        return "Use a name that the registry's certificate is for."
    if "server gave HTTP response" in failure.message:
        return "The registry speaks plain HTTP: set insecure: true at the tag, if that is meant."
    if "toomanyrequests" in failure.message or "pull rate limit" in failure.message:
        return f"Its limit of requests is reached: a pull secret in project {failure.namespace} raises it."
    if any(words in failure.message for words in ("connection refused", "no such host", "timeout", "no route")):
        return "The cluster cannot reach the registry: check the host, its port, and the cluster's network and proxy."
    return "That is what the cluster was told by the registry."


def _credential_remedy(failure: Failure, secrets: Mapping[str, auth.Config] | None) -> str:
    image = reference.parse(failure.source)
    if secrets is None:
        return f"An import uses the pull secrets of project {failure.namespace}, which you may not read: check them."
    users = {
        name: credential.username
        for name, config in sorted(secrets.items())
        if (credential := auth.find(config, image.host, image.repository))
    }
    if not users:
        return (
            f"No Secret of type {_PULL_SECRET} in project {failure.namespace} has a credential for {image.host}: the pull"
            " secret is missing (any such Secret is used, linked to a service account or not)."
        )
    tried = ", ".join(f"user {user} of Secret {name}" for name, user in users.items())
    return f"The registry was asked as {tried}: the password is wrong or has expired, or the right to pull is missing."


def _pull_secrets(cluster: Cluster, namespaces: Iterable[str]) -> dict[str, dict[str, auth.Config]]:
    """Namespace → Secret → its docker configuration, where the caller may read them."""
    found: dict[str, dict[str, auth.Config]] = {namespace: {} for namespace in namespaces}
    refused: dict[str, ApiError] = {}
    for item in cluster.list_in(SECRET, found, field_selector=f"type={_PULL_SECRET}", refused=refused):
        try:
            data = base64.b64decode((item.get("data") or {}).get(".dockerconfigjson") or "")
            found[namespace_of(item)][name_of(item)] = auth.parse(data, name_of(item))
        except (ValueError, RegistryError):
            continue  # no credential can be read from it; the importer passes over it as well
    return {namespace: secrets for namespace, secrets in found.items() if namespace not in refused}
