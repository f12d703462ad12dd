# Copyright (c) 2026, quayside.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A Secret that keeps credentials for later runs, and keeps two runs from making them at the same time.

The first write of a run claims the Secret with an annotation, its last one takes the claim away. Who finds the claim of another
waits until it is gone. The claim of a run that died is ignored at once on the same host, and
elsewhere after a while.
"""

from __future__ import annotations

import base64
import contextlib
import os
import secrets
import socket
import time
from collections.abc import Mapping

from ansible_collections.quayside.registry.plugins.module_utils import credentials
from ansible_collections.quayside.registry.plugins.module_utils.errors import RegistryError
from ansible_collections.quayside.registry.plugins.module_utils.openshift.client import ApiError, Cluster
from ansible_collections.quayside.registry.plugins.module_utils.openshift.names import check_object, check_project
from ansible_collections.quayside.registry.plugins.module_utils.openshift.objects import SECRET, Object, new
from ansible_collections.quayside.registry.plugins.module_utils.plan import Change, hide

CLAIM = "quayside.registry/claimed-by"
_CLAIM_SECONDS = 90
_POLL = 0.5
_PATCH = "application/merge-patch+json"


class KeptSecret:
    """One Secret; its texts by key. Keys that others put there stay."""

    def __init__(self, cluster: Cluster, namespace: str, name: str) -> None:
        check_project(namespace, "secret.namespace")
        check_object(name, "secret.name")
        self.namespace, self.name = namespace, name
        self._cluster = cluster
        self._seen: Object | None = None
        self._holder = f"{socket.gethostname()}/{os.getpid()}/{secrets.token_hex(4)}"
        self._claimed = False

    def __str__(self) -> str:
        return f"Secret {self.namespace}/{self.name}"

    def read(self) -> dict[str, str] | None:
        """What it holds; None where there is none. Waits while another run has it claimed."""
        self._claimed = False
        self._seen = self._cluster.get(SECRET, self.name, self.namespace)
        deadline = time.monotonic() + self._claimed_for(self._seen)
        while self._claimed_for(self._seen) > 0 and time.monotonic() < deadline:
            time.sleep(_POLL)  # to watch would ask for more rights than to read this one Secret
            self._seen = self._cluster.get(SECRET, self.name, self.namespace)
        if self._seen is None:
            return None
        return {key: base64.b64decode(value).decode() for key, value in (self._seen.get("data") or {}).items()}

    def check(self) -> None:
        """Raise before anything else is written where this could not be."""
        if self._seen is None and not self._cluster.allowed("create", SECRET, self.namespace):
            raise RegistryError(
                f"{self} cannot be created: the account has no right to. Grant it, or choose another place."
            )

    def changed(self, before: Mapping[str, str] | None, after: Mapping[str, str], stage: int) -> Change:
        """The change as it is shown; its ``request`` is the caller's."""
        old, new_ = hide(before, after)
        action = "create" if before is None else "update"
        return Change(action, "Secret", self.name, self.namespace, old and {"data": old}, {"data": new_}, stage)

    def save(self, content: Mapping[str, str], absent: tuple[str, ...] = (), done: bool = False) -> None:
        """Write the texts, and take away the keys in ``absent``. Raises Conflict when somebody else wrote since it was read.

        From then on other runs wait, until it is ``done``.
        """
        data: dict[str, str | None] = {key: base64.b64encode(text.encode()).decode() for key, text in content.items()}
        claim = None if done else self._text()
        if self._seen is None:
            secret = new(SECRET, self.name, self.namespace, type="Opaque", data=data)
            if claim:
                secret["metadata"]["annotations"] = {CLAIM: claim}
            try:
                self._seen = self._cluster.request("POST", SECRET.path(self.namespace), secret, about=f"create {self}")
            except ApiError as error:
                if error.status == 404:
                    raise RegistryError(
                        f"Could not create {self}: there is no project {self.namespace}. Create it first."
                    ) from error
                raise
        else:
            data.update(dict.fromkeys(key for key in absent if key in (self._seen.get("data") or {})))
            self._patch({"metadata": {"annotations": {CLAIM: claim}}, "data": data})
        self._claimed = not done

    def release(self) -> None:
        """After a failure: let other runs in."""
        if self._claimed and self._seen is not None:
            self._claimed = False
            with contextlib.suppress(RegistryError):
                self._patch({"metadata": {"annotations": {CLAIM: None}}})

    def _patch(self, patch: Object) -> None:
        seen = self._seen or {}
        patch["metadata"]["resourceVersion"] = seen["metadata"]["resourceVersion"]
        path = SECRET.path(self.namespace, self.name)
        self._seen = self._cluster.request("PATCH", path, patch, _PATCH, about=f"update {self}")

    def _text(self) -> str:
        return f"{self._holder} until {credentials.timestamp(int(time.time()) + _CLAIM_SECONDS)}"

    def _claimed_for(self, item: Object | None) -> float:
        """Seconds that another run may still have it to itself."""
        text = ((item or {}).get("metadata", {}).get("annotations") or {}).get(CLAIM) or ""
        holder, _until, end = text.partition(" until ")
        if not holder or holder == self._holder or not is_alive(holder):
            return 0.0
        try:
            return min(credentials.epoch(end) - time.time(), _CLAIM_SECONDS)
        except ValueError:
            return 0.0


def is_alive(holder: str) -> bool:
    """Whether the run that claims may still be there; of other hosts nobody knows."""
    host, _slash, rest = holder.partition("/")
    pid = rest.partition("/")[0]
    if host != socket.gethostname() or not pid.isdigit():
        return True
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
