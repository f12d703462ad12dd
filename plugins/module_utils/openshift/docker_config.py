# Copyright (c) 2026, quayside.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Secrets of type kubernetes.io/dockerconfigjson: what is in one, and the one with other credentials. No I/O.

An annotation records which registries this collection added to a Secret, with the end of a credential that does not say its
end itself. It tells what may be removed again, and when to renew.
"""

from __future__ import annotations

import base64
import binascii
import copy
import dataclasses
import json
from collections.abc import Mapping
from typing import Any

from ansible_collections.quayside.registry.plugins.module_utils import credentials
from ansible_collections.quayside.registry.plugins.module_utils.errors import InputError
from ansible_collections.quayside.registry.plugins.module_utils.oci import auth
from ansible_collections.quayside.registry.plugins.module_utils.oci.auth import Credential
from ansible_collections.quayside.registry.plugins.module_utils.openshift.objects import (
    SECRET,
    Object,
    changes,
    name_of,
    namespace_of,
    new,
)
from ansible_collections.quayside.registry.plugins.module_utils.plan import HIDDEN, HIDDEN_NEW, Change

TYPE = "kubernetes.io/dockerconfigjson"
FIELD = ".dockerconfigjson"

#: JSON: registry → when its credential ends ("2026-11-21T22:00:00Z"; empty for one that says so itself, or never ends).
ANNOTATION = "quayside.registry/registries"


@dataclasses.dataclass(frozen=True)
class DockerConfig:
    """The content of a Secret. ``ours``: key of a registry → recorded end of its credential, or None."""

    config: auth.Config = dataclasses.field(default_factory=dict, repr=False)
    ours: Mapping[str, int | None] = dataclasses.field(default_factory=dict)

    def stored(self, key: str) -> Credential | None:
        return auth.read(self.config, key)

    def with_credential(self, key: str, credential: Credential, expires_at: int | None) -> DockerConfig:
        """With a credential that is ours from now on. Its end is recorded where it does not say so itself."""
        recorded = None if credentials.expiry(credential.password) else expires_at
        return DockerConfig(auth.with_credential(self.config, key, credential), {**self.ours, key: recorded})

    def without(self, key: str) -> DockerConfig:
        config = copy.deepcopy(self.config)
        config.get("auths", {}).pop(key, None)
        return DockerConfig(config, {name: end for name, end in self.ours.items() if name != key})


def read(secret: Object) -> DockerConfig:
    """What is in a Secret. Raises InputError where it is not a docker configuration."""
    where = f"Secret {namespace_of(secret)}/{name_of(secret)}"
    try:
        text = base64.b64decode((secret.get("data") or {}).get(FIELD) or "")
    except binascii.Error as error:
        raise InputError(f"{where} cannot be decoded: {error}.") from error
    config = auth.parse(text, where)
    annotation = (secret["metadata"].get("annotations") or {}).get(ANNOTATION)
    try:
        recorded = json.loads(annotation) if annotation else {}
        ours = {str(key): credentials.epoch(end) if end else None for key, end in recorded.items()}
    except (ValueError, AttributeError, TypeError) as error:
        raise InputError(f"{where}: the annotation {ANNOTATION} is broken. Remove it and run again.") from error
    # what somebody took away is no longer ours
    return DockerConfig(config, {key: end for key, end in ours.items() if key in config.get("auths", {})})


def change(before: Object | None, namespace: str, name: str, after: DockerConfig, stage: int) -> list[Change]:
    """What makes the Secret hold ``after``: nothing, or one change, whose diff shows registries and users."""
    if before is None:
        secret = new(SECRET, name, namespace, type=TYPE)
        old = DockerConfig()
    else:
        secret = {**before, "metadata": dict(before["metadata"])}
        old = read(before)
        if old == after:
            return []
    if before is None or old.config != after.config:  # an unchanged document stays as it is written
        secret["data"] = {**(secret.get("data") or {}), FIELD: base64.b64encode(auth.dump(after.config)).decode()}
    annotations = dict(secret["metadata"].get("annotations") or {})
    annotations.pop(ANNOTATION, None)
    if after.ours:
        ends = {key: "" if end is None else credentials.timestamp(end) for key, end in sorted(after.ours.items())}
        annotations[ANNOTATION] = json.dumps(ends)
    secret["metadata"]["annotations"] = annotations
    return [
        dataclasses.replace(
            planned,
            before=_shown(planned.before, old, None),
            after=_shown(planned.after, after, old),
        )
        for planned in changes(SECRET, before, secret, stage)
    ]


def removal(secret: Object, stage: int) -> list[Change]:
    """The deletion of a Secret of any type."""
    return changes(SECRET, secret, None, stage)


def _shown(item: Mapping[str, Any] | None, content: DockerConfig, old: DockerConfig | None) -> Mapping[str, Any] | None:
    """For the diff: registries with their users instead of the document, without what only the real run can know."""
    if item is None:
        return None
    shown = copy.deepcopy(dict(item))
    registries: dict[str, Any] = {}
    for key in content.config.get("auths", {}):
        stored = content.stored(key)
        same = old is None or content.config["auths"][key] == old.config.get("auths", {}).get(key)
        registries[key] = {"username": stored.username if stored else "", "password": HIDDEN if same else HIDDEN_NEW}
    shown["data"] = {**(shown.get("data") or {}), FIELD: {"auths": registries}}
    annotations = dict(shown["metadata"].get("annotations") or {})
    annotations.pop(ANNOTATION, None)
    if content.ours:
        annotations[ANNOTATION] = ", ".join(sorted(content.ours))
    shown["metadata"]["annotations"] = annotations
    return shown
