# Copyright (c) 2026, quayside.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tags of image streams whose sources have another image by now: one HEAD for each tag, which counts as no pull.

The registries are asked from here, with the pull secrets that an import would use, so that nobody needs the right to import.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import threading
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ansible_collections.quayside.registry.plugins.module_utils.errors import InputError, RegistryError
from ansible_collections.quayside.registry.plugins.module_utils.oci import auth, reference
from ansible_collections.quayside.registry.plugins.module_utils.oci.auth import Credential
from ansible_collections.quayside.registry.plugins.module_utils.oci.client import Refused, Registry
from ansible_collections.quayside.registry.plugins.module_utils.oci.reference import Reference, api_host
from ansible_collections.quayside.registry.plugins.module_utils.oci.transport import CERTS_DIRS, Transport
from ansible_collections.quayside.registry.plugins.module_utils.openshift import pull_checks
from ansible_collections.quayside.registry.plugins.module_utils.openshift.client import Cluster
from ansible_collections.quayside.registry.plugins.module_utils.openshift.image_stream_options import (
    DOCKER_IMAGE,
    INSECURE_ANNOTATION,
    failure,
    latest,
    spec_tags,
)
from ansible_collections.quayside.registry.plugins.module_utils.openshift.objects import Object, name_of, namespace_of
from ansible_collections.quayside.registry.plugins.module_utils.openshift.pull_checks import Surroundings

#: Seconds for an answer.
_TIMEOUT = 10.0
_GLOBAL = ("openshift-config", "pull-secret")


@dataclasses.dataclass(frozen=True)
class Question:
    """A tag that was imported, and where from. ``whole``: a list of images was imported as it is, not one image of it."""

    namespace: str
    stream: str
    tag: str
    source: str
    image: Reference
    imported: str
    since: str
    insecure: bool
    whole: bool
    scheduled: bool


def questions(streams: Sequence[Object], around: Surroundings) -> Iterator[Question]:
    """The tags that follow a tag of another registry. One whose import fails is told of elsewhere."""
    for stream in streams:
        everything = (stream["metadata"].get("annotations") or {}).get(INSECURE_ANNOTATION) == "true"
        for name, tag in spec_tags(stream).items():
            source, newest = tag.get("from") or {}, latest(stream, name)
            if source.get("kind") != DOCKER_IMAGE or not newest or tag.get("reference") or failure(stream, name):
                continue
            try:
                image = reference.parse(source.get("name", ""))
            except InputError:
                continue
            if image.digest or image.host in around.hosts:
                continue
            policy = tag.get("importPolicy") or {}
            yield Question(
                namespace_of(stream),
                name_of(stream),
                name,
                source["name"],
                image,
                newest.get("image", ""),
                newest.get("created", ""),
                bool(policy.get("insecure")) or everything or image.host in around.insecure,
                policy.get("importMode") == "PreserveOriginal",
                bool(policy.get("scheduled")),
            )


def read(
    cluster: Cluster, streams: Sequence[Object], secrets: Sequence[Object]
) -> tuple[list[dict[str, Any]], list[str]]:
    """The tags whose sources have moved or are gone, and what could not be found out, a sentence for each registry."""
    around = pull_checks.read_surroundings(cluster)
    configs: dict[str, list[auth.Config]] = defaultdict(list)
    own: list[auth.Config] = []
    for secret in secrets:
        config = pull_checks.docker_config(secret)
        if (namespace_of(secret), name_of(secret)) == _GLOBAL:
            own.append(config)
        else:
            configs[namespace_of(secret)].append(config)
    wanted = list(questions(streams, around))
    problems: list[tuple[str, str]] = []
    with _Registries(around) as registries:

        def look(question: Question) -> str | None:
            image = question.image
            known = [
                auth.find(config, image.host, image.repository)
                for config in [*configs.get(question.namespace, []), *own]
            ]
            try:
                return registries.current(question, [credential for credential in known if credential])
            except RegistryError as error:
                problems.append((image.host, str(error)))
                return None

        answers = cluster.map(look, wanted)
    rows = [
        {
            **{key: getattr(question, key) for key in ("namespace", "stream", "tag", "source", "imported", "since")},
            "scheduled": question.scheduled,
            "current": now,
        }
        for question, now in zip(wanted, answers, strict=True)
        if now not in (None, question.imported)
    ]
    counts = Counter(host for host, _text in problems)
    first = dict(sorted(problems, reverse=True))
    return rows, [
        f"Whether tags from {host} have drifted could not be seen ({number} of them): {first[host]}"
        for host, number in sorted(counts.items())
    ]


class _Registries:
    """Connections to registries, one for each credential, kept for all tags."""

    def __init__(self, around: Surroundings) -> None:
        self._around = around
        self._stack = contextlib.ExitStack()
        self._known: dict[tuple[str, bool, Credential | None], Registry] = {}
        self._lock = threading.Lock()

    def __enter__(self) -> _Registries:
        self._folder = self._stack.enter_context(pull_checks.certificates_folder(self._around.authorities))
        return self

    def __exit__(self, *_exc: object) -> None:
        self._stack.close()

    def current(self, question: Question, known: Sequence[Credential]) -> str:
        """The digest that an import would get now; empty where the source is gone."""
        image, refusal = question.image, None
        # credentials go over verified TLS only
        tries: Sequence[Credential | None] = (() if question.insecure else known) or (None,)
        for credential in tries:
            registry = self._registry(image.host, question.insecure, credential)
            try:
                return _digest(registry, question)
            except Refused as error:
                refusal = error
        raise refusal or RegistryError(f"{image.host} was not asked.")

    def _registry(self, host: str, insecure: bool, credential: Credential | None) -> Registry:
        key = host, insecure, credential
        with self._lock:
            if key not in self._known:
                transport = self._stack.enter_context(
                    Transport(
                        api_host(host),
                        (self._folder, *CERTS_DIRS),
                        validate_certs=not insecure,
                        timeout=_TIMEOUT,
                        plain_http=insecure,
                    )
                )
                self._known[key] = Registry(host, transport.send, credential)
            return self._known[key]


def _digest(registry: Registry, question: Question) -> str:
    image = question.image
    tag = image.tag or "latest"
    now = registry.digest(image.repository, tag) or ""
    if now and now != question.imported and not question.whole:
        # what an import took out of a list is still current while the list has it
        manifest = registry.manifest(image.repository, tag)
        if question.imported in _members(manifest.body if manifest else b"{}"):
            return question.imported
    return now


def _members(manifest: bytes) -> set[str]:
    try:
        listed: Mapping[str, Any] = json.loads(manifest)
        return {item["digest"] for item in listed.get("manifests") or []}
    except (ValueError, KeyError, TypeError, AttributeError):
        return set()
