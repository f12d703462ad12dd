# Copyright (c) 2026, quayside.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Proof of what a credential may do at a registry: log in, push, pull by digest, delete; and that it may not."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ansible_collections.quayside.registry.plugins.module_utils.errors import InputError, RegistryError
from ansible_collections.quayside.registry.plugins.module_utils.oci import reference
from ansible_collections.quayside.registry.plugins.module_utils.oci.auth import Credential
from ansible_collections.quayside.registry.plugins.module_utils.oci.check_image import TAG, check_image
from ansible_collections.quayside.registry.plugins.module_utils.oci.client import (
    Manifest,
    Missing,
    Refused,
    Registry,
    Unsupported,
    digest_of,
)
from ansible_collections.quayside.registry.plugins.module_utils.plan import Change

ALLOWED, REFUSED, MISSING, UNSUPPORTED, NOT_TRIED = "allowed", "refused", "missing", "unsupported", "not_tried"

#: What proves neither the one nor the other, and so is no reason to fail.
_EITHER = (UNSUPPORTED, NOT_TRIED)


@dataclasses.dataclass(frozen=True)
class Check:
    """One thing to prove. ``reference`` is a tag or digest; empty for the image that a check pushes."""

    action: str  # login, pull, push or delete
    expect: str  # allowed or refused
    repository: str = ""
    reference: str = ""
    credential: Credential | None = None

    def __str__(self) -> str:
        who = f" as {self.credential.username}" if self.credential else " without a login"
        return f"{self.action} {self.repository}{who}" if self.repository else f"{self.action}{who}"


def parse(options: Mapping[str, Any], credential: Credential | None, what: str) -> Check:
    """A check from the module's options. Raises InputError where it cannot be meant."""
    action, repository, wanted = options["action"], options["repository"] or "", options["reference"] or ""
    if action == "login":
        if repository or wanted:
            raise InputError(f"{what}: a login is to the whole registry: leave repository and reference away.")
        if credential is None:
            raise InputError(f"{what}: a login needs a credential: username and password, or an auth_file with one.")
    else:
        reference.repository(repository, f"{what}: repository")
    if wanted:
        reference.tag_or_digest(wanted, f"{what}: reference")
    if action == "push" and ":" in wanted:
        raise InputError(f"{what}: reference: an image is pushed to a tag, not to a digest.")
    return Check(action, options["expect"], repository, wanted, credential)


@dataclasses.dataclass
class Outcome:
    """What came of one check. ``reason`` is the registry's own words, or why nothing was tried."""

    check: Check
    outcome: str
    reason: str = ""
    digest: str = ""
    duration_ms: int = 0

    @property
    def as_expected(self) -> bool:
        return self.outcome in (self.check.expect, *_EITHER)

    def result(self) -> dict[str, Any]:
        check = self.check
        return {
            "action": check.action,
            "repository": check.repository,
            "username": check.credential.username if check.credential else "",
            "expect": check.expect,
            "outcome": self.outcome,
            "reason": self.reason,
            "digest": self.digest,
            "duration_ms": self.duration_ms,
        }

    def __str__(self) -> str:
        reason = f" ({self.reason})" if self.reason else ""
        return f"{self.check}: {self.outcome}{reason}, but expected to be {self.check.expect}"


class Checker:
    """Carries out checks, one after the other, and keeps what they change at the registry."""

    def __init__(self, host: str, registry: Callable[[Credential | None], Registry], check_mode: bool) -> None:
        self.outcomes: list[Outcome] = []
        self.changes: list[Change] = []
        self._host = host
        self._registry = registry
        self._check_mode = check_mode
        self._registries: dict[Credential | None, Registry] = {}
        self._image = check_image()
        self._pushed: set[str] = set()  # repositories

    def run(self, checks: Sequence[Check]) -> None:
        """Raises RegistryError where nothing can be proven (no connection, no trust, a broken registry)."""
        actions = {"login": self._log_in, "pull": self._pull, "push": self._push, "delete": self._delete}
        for check in checks:
            registry = self._registries.setdefault(check.credential, self._registry(check.credential))
            begin = time.monotonic()
            try:
                outcome = actions[check.action](registry, check)
            except Refused as refusal:
                outcome = Outcome(check, REFUSED, refusal.reason)
            except Missing as missing:
                outcome = Outcome(check, MISSING, str(missing))
            except Unsupported as unsupported:
                outcome = Outcome(check, UNSUPPORTED, str(unsupported))
            outcome.duration_ms = round((time.monotonic() - begin) * 1000)
            self.outcomes.append(outcome)

    def failure(self) -> str:
        """What came out otherwise than expected, as a sentence; empty when nothing did."""
        wrong = [str(outcome) for outcome in self.outcomes if not outcome.as_expected]
        return f"{self._host} does not do what is expected of it. {'; '.join(wrong)}." if wrong else ""

    def _log_in(self, registry: Registry, check: Check) -> Outcome:
        asked = registry.log_in()
        return Outcome(check, ALLOWED, "" if asked else "the registry asks nobody for a credential")

    def _pull(self, registry: Registry, check: Check) -> Outcome:
        wanted = check.reference or self._image.digest
        if self._check_mode and not check.reference and check.repository in self._pushed:
            return Outcome(check, NOT_TRIED, "check mode has not pushed the image", wanted)
        manifest = registry.manifest(check.repository, wanted)
        if manifest is None:
            hint = "" if check.reference else " Push it with a check before this one, or set reference."
            return Outcome(check, MISSING, f"there is no {wanted} in {check.repository}.{hint}")
        for digest in _blobs(manifest):
            registry.blob(check.repository, digest)
        return Outcome(check, ALLOWED, digest=manifest.digest)

    def _push(self, registry: Registry, check: Check) -> Outcome:
        tag, digest = check.reference or TAG, self._image.digest
        before = self._digest(registry, check.repository, tag)
        change = Change(
            "update" if before else "create",
            "Image",
            f"{self._host}/{check.repository}:{tag}",
            before={"digest": before} if before else None,
            after={"digest": digest},
        )
        if self._check_mode:
            if check.expect == ALLOWED:
                self._note(change, check, before != digest)
            return Outcome(check, NOT_TRIED, "check mode pushes nothing", digest)
        for blob in self._image.blobs:
            if not self._has_blob(registry, check.repository, blob):
                registry.upload_blob(check.repository, blob)
        # also when the tag is there already: the proof is in the writing
        registry.put_manifest(check.repository, tag, self._image.manifest)
        self._note(change, check, before != digest)
        return Outcome(check, ALLOWED, digest=digest)

    def _delete(self, registry: Registry, check: Check) -> Outcome:
        digest = check.reference if ":" in check.reference else ""
        digest = digest or self._digest(registry, check.repository, check.reference or self._image.digest)
        if self._check_mode and not check.reference and check.repository in self._pushed:
            digest = self._image.digest
        if not digest:
            return Outcome(check, MISSING, f"there is no {check.reference or self._image.digest} in {check.repository}")
        name = f"{self._host}/{check.repository}@{digest}"
        change = Change("delete", "Image", name, before={"digest": digest})
        if self._check_mode:
            if check.expect == ALLOWED:
                self.changes.append(change)
            return Outcome(check, NOT_TRIED, "check mode deletes nothing", digest)
        registry.delete_manifest(check.repository, digest)
        self.changes.append(change)
        return Outcome(check, ALLOWED, digest=digest)

    def _note(self, change: Change, check: Check, changed: bool) -> None:
        self._pushed.add(check.repository)
        if changed and change.name not in {other.name for other in self.changes}:
            self.changes.append(change)

    def _digest(self, registry: Registry, repository: str, wanted: str) -> str:
        """The digest of a tag; empty where there is none or the credential may not see it."""
        try:
            manifest = registry.manifest(repository, wanted)
        except Refused:
            return ""
        return manifest.digest if manifest else ""

    def _has_blob(self, registry: Registry, repository: str, blob: bytes) -> bool:
        try:
            return registry.has_blob(repository, digest_of(blob))
        except Refused:
            return False  # the upload decides


def _blobs(manifest: Manifest) -> list[str]:
    """The configuration of an image, and its layers when they are the few bytes of a check; nothing of an index."""
    try:
        content = json.loads(manifest.body)
        layers = content.get("layers") or []
        found = [content["config"]] if "config" in content else []
        if sum(layer["size"] for layer in layers) < 1_000_000:
            found += layers
        return [str(item["digest"]) for item in found]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise RegistryError(f"The manifest {manifest.digest} is not one: {error}.") from error
