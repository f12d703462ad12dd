# Copyright (c) 2026, quayside.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Containers that wait for an image, from the pods and their events. No I/O."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Mapping
from typing import Any

from ansible_collections.quayside.registry.plugins.module_utils.errors import InputError
from ansible_collections.quayside.registry.plugins.module_utils.oci.reference import Reference, parse
from ansible_collections.quayside.registry.plugins.module_utils.openshift import pull_messages
from ansible_collections.quayside.registry.plugins.module_utils.openshift.objects import Object, name_of, namespace_of

_FIELD = re.compile(r"spec\.\w+\{([^}]+)\}")


@dataclasses.dataclass(frozen=True)
class Waiting:
    """One container that waits. ``secrets`` are the pull secrets that its pod has had since it was made."""

    image: str
    namespace: str
    pod: str
    container: str
    node: str
    account: str
    secrets: tuple[str, ...]
    reason: str
    message: str
    uid: str = ""

    @property
    def reference(self) -> Reference | None:
        try:
            return parse(self.image)
        except InputError:
            return None

    @property
    def user(self) -> str:
        """The service account's user name."""
        return f"system:serviceaccount:{self.namespace}:{self.account}"

    def result(self) -> dict[str, str]:
        return {
            "namespace": self.namespace,
            "name": self.pod,
            "container": self.container,
            "node": self.node,
            "service_account": self.account,
        }


def waiting(pods: Iterable[Object]) -> list[Waiting]:
    """The containers of the pods that wait for an image."""
    found = []
    for pod in pods:
        spec, status = pod.get("spec") or {}, pod.get("status") or {}
        images = {
            item["name"]: item.get("image", "")
            for kind in ("containers", "initContainers", "ephemeralContainers")
            for item in spec.get(kind) or []
        }
        for kind in ("initContainerStatuses", "containerStatuses", "ephemeralContainerStatuses"):
            for item in status.get(kind) or []:
                state = (item.get("state") or {}).get("waiting") or {}
                if state.get("reason") not in pull_messages.WAITING:
                    continue
                found.append(
                    Waiting(
                        image=images.get(item["name"]) or item.get("image", ""),
                        namespace=namespace_of(pod),
                        pod=name_of(pod),
                        container=item["name"],
                        node=spec.get("nodeName", ""),
                        account=spec.get("serviceAccountName") or "default",
                        secrets=tuple(
                            entry["name"] for entry in spec.get("imagePullSecrets") or [] if entry.get("name")
                        ),
                        reason=state["reason"],
                        message=state.get("message") or "",
                        uid=pod["metadata"].get("uid", ""),
                    )
                )
    return found


def is_silent(item: Waiting) -> bool:
    """Whether only an event can tell why: before Kubernetes 1.32 a pod that backs off says no more than that."""
    return pull_messages.cause(item.message, item.reason) == pull_messages.UNKNOWN


def with_events(found: Iterable[Waiting], events: Iterable[Object]) -> list[Waiting]:
    """The containers, those that are silent with the newest event's message."""
    newest: dict[tuple[str, str], tuple[str, str]] = {}
    for event in events:
        about = event.get("involvedObject") or {}
        message = event.get("message") or ""
        container = _FIELD.search(about.get("fieldPath") or message)
        if container is None or not _tells(message):
            continue
        key, time = (about.get("uid", ""), container[1]), _time(event)
        if time >= newest.get(key, ("", ""))[0]:
            newest[key] = (time, message)
    return [
        dataclasses.replace(item, message=newest[item.uid, item.container][1])
        if is_silent(item) and (item.uid, item.container) in newest
        else item
        for item in found
    ]


def _tells(message: str) -> bool:
    return "Failed to pull image" in message or "Failed to inspect image" in message


def _time(event: Mapping[str, Any]) -> str:
    series = event.get("series") or {}
    times = (series.get("lastObservedTime"), event.get("lastTimestamp"), event.get("eventTime"))
    return next((time for time in times if time), "")
