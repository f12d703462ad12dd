# Copyright (c) 2026, quayside.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Promotion: images copied between registries by digest, those alone that differ.

Looking costs one HEAD on each side, many at the same time and over kept connections; copying is skopeo's work. A tag that has
another digest is replaced only where the entry says so, and never with what the plan did not know: before each copy the
destination is looked at once more.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from ansible_collections.quayside.registry.plugins.module_utils import progress
from ansible_collections.quayside.registry.plugins.module_utils.errors import Conflict, RegistryError
from ansible_collections.quayside.registry.plugins.module_utils.oci.auth import Credential
from ansible_collections.quayside.registry.plugins.module_utils.oci.client import Manifest, Missing, Refused, Registry
from ansible_collections.quayside.registry.plugins.module_utils.oci.local_image import LocalImage
from ansible_collections.quayside.registry.plugins.module_utils.oci.promotion_entries import (
    Copy,
    Entry,
    Source,
    distinct,
)
from ansible_collections.quayside.registry.plugins.module_utils.oci.reference import (
    Reference,
    api_host,
    is_docker_hub,
)
from ansible_collections.quayside.registry.plugins.module_utils.oci.skopeo import Skopeo
from ansible_collections.quayside.registry.plugins.module_utils.oci.transport import CERTS_DIRS, Transport
from ansible_collections.quayside.registry.plugins.module_utils.plan import Change, Plan

#: Requests at the same time: what hides the round trips to a registry that is far away.
READERS = 32

_SHOWN = 10  # images that a message names

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclasses.dataclass(frozen=True)
class Site:
    """How one registry is reached. ``credential`` goes before any login that is found elsewhere."""

    credential: Credential | None = None
    ca_cert: str | None = None
    insecure: bool = False


@dataclasses.dataclass(frozen=True)
class Found:
    """An image at its destination: ``identity`` is what is compared, the digest or the image's ID."""

    digest: str
    identity: str


@dataclasses.dataclass(frozen=True)
class State:
    copies: list[Copy]
    sources: Mapping[Source, str | None]  # identity; None: there is no such image
    destinations: Mapping[Reference, Found | None]
    unseen: list[Reference]  # which the credential may not see


@dataclasses.dataclass(frozen=True)
class _Task:
    """What carries out a change."""

    copy: Copy
    identity: str
    before: Found | None


class Promotion:
    """``login(host, repository)`` finds a credential, ``skopeo()`` the program; ``folder`` is this run's alone."""

    def __init__(
        self,
        entries: Sequence[Entry],
        sites: Mapping[str, Site],
        login: Callable[[str, str], Credential | None],
        skopeo: Callable[[], str],
        folder: Path,
        policy: str | None,
        timeout: float,
        check_mode: bool,
    ) -> None:
        self._entries = entries
        self._sites = sites
        self._program = skopeo
        self._folder = folder
        self._policy = policy
        self._timeout = timeout
        self._check_mode = check_mode
        self._copied: dict[
            Reference, dict[str, Any]
        ] = {}  # what the result says of what was copied in earlier plans, too
        self._results: dict[Reference, dict[str, Any]] = {}  # as the plan foretells them
        self._sizes: dict[Reference, int] = {}  # what is to be copied, in bytes; only where somebody watches
        self._processes: dict[Reference, int] = {}  # skopeo's
        self._skopeo: Skopeo | None = None
        self._lock = threading.Lock()
        self._open = contextlib.ExitStack()
        references = [entry.source for entry in entries if isinstance(entry.source, Reference)]
        references += [destination for entry in entries for destination in entry.destinations]
        self._credentials = {
            (host, repository): self._site(host).credential or login(host, repository)
            for host, repository in dict.fromkeys((image.host, image.repository) for image in references)
        }
        self._registries: dict[tuple[str, Credential | None], Registry] = {}

    def __enter__(self) -> Promotion:
        transports = {}
        for (host, _repository), credential in self._credentials.items():
            if host not in transports:
                site = self._site(host)
                transports[host] = self._open.enter_context(
                    Transport(
                        api_host(host),
                        CERTS_DIRS,
                        site.ca_cert,
                        not site.insecure,
                        self._timeout,
                        plain_http=site.insecure,
                    )
                )
            if (host, credential) not in self._registries:
                self._registries[host, credential] = Registry(host, transports[host].send, credential)
        return self

    def __exit__(self, *_exc: object) -> None:
        self._open.close()

    # Reading

    def read(self) -> State:
        _concurrently(Registry.greet, list(self._registries.values()))
        filtered = [entry.source for entry in self._entries if entry.tag_filter is not None]
        there: dict[Source, list[str]] = _concurrently(self._tags, filtered)
        copies = distinct([copy for entry in self._entries for copy in entry.copies(there.get(entry.source, []))])
        sources = list(dict.fromkeys(copy.source for copy in copies))
        unseen: list[Reference] = []

        def look(image: Source | Copy) -> Any:
            return self._destination(image, unseen) if isinstance(image, Copy) else self._source(image)

        seen = _concurrently(look, [*sources, *copies])
        return State(
            copies,
            {source: seen[source] for source in sources},
            {copy.destination: seen[copy] for copy in copies},
            unseen,
        )

    def _tags(self, image: Source) -> list[str]:
        if isinstance(image, LocalImage):
            return []
        try:
            return self._registry(image).tags(image.repository)
        except Missing as missing:
            raise Missing(f"There is no {image} to promote from: {missing}") from missing

    def _source(self, source: Source) -> str | None:
        if isinstance(source, LocalImage):
            return source.identity()
        return self._registry(source).digest(source.repository, source.digest or source.tag)

    def _destination(self, copy: Copy, unseen: list[Reference]) -> Found | None:
        image, by_id = copy.destination, copy.by_id
        registry = self._registry(image)
        try:
            return _look(registry, image, by_id)
        except Refused as refusal:
            if refusal.login:
                raise
            # Quay and the Docker Hub show a repository that is not there only to who may create it; asking with that right
            # makes Quay create it, so check mode does not
            if self._check_mode:
                unseen.append(image)
                return None
            return _look(registry, image, by_id, push=True)

    # Planning

    def plan(self, state: State) -> Plan:
        missing = [str(source) for source, identity in state.sources.items() if identity is None]
        if missing:
            raise RegistryError(f"There is no image {_listed(missing)}. Nothing was copied.")
        plan = Plan()
        refused: list[str] = []
        self._results = {}
        for copy in state.copies:
            identity, before = state.sources[copy.source] or "", state.destinations[copy.destination]
            differs = before is None or before.identity != identity
            self._results[copy.destination] = self._result(copy, identity, before, differs)
            if not differs:
                continue
            if before and not copy.overwrite:
                refused.append(f"{copy.destination} (it has {before.identity}, {copy.source} has {identity})")
            plan.changes.append(
                Change(
                    "update" if before else "create",
                    "Image",
                    str(copy.destination),
                    before={"digest": before.identity} if before else None,
                    after={"digest": identity, "source": str(copy.source)},
                    request=_Task(copy, identity, before),
                )
            )
        if refused:
            raise RegistryError(
                f"Another image has the tag {_listed(refused)}. Nothing of this was copied. A tag that shall move gets"
                " overwrite: true in its entry; otherwise promote to a new tag."
            )
        if plan.changes:
            self._check_allowance([change.request.copy.source for change in plan.changes])
            self._program()
            if progress.is_watched():
                plan.prepare = lambda: self._measure(plan)
        plan.result["images"] = list(self._results.values())
        plan.warnings = [
            f"{image} cannot be seen with the right to pull and is taken for absent." for image in state.unseen
        ]
        return plan

    def _check_allowance(self, sources: Sequence[Source]) -> None:
        """Refuse what skopeo would wait for, minutes for each image, before it failed."""
        for source in sources:
            if isinstance(source, Reference) and self._registry(source).remaining == 0:
                raise RegistryError(
                    f"{source.host} lets no more images be pulled for now{self._as(source)} (toomanyrequests: its limit of"
                    " pulls is reached). Nothing of this was copied. Wait, or log in with another user."
                    " quayside.registry.docker_hub_limit_info shows the allowance."
                )

    def _result(self, copy: Copy, identity: str, before: Found | None, differs: bool) -> dict[str, Any]:
        predicted = "" if copy.by_id else identity
        return {
            "source": str(copy.source),
            "destination": str(copy.destination),
            "source_digest": identity,
            "destination_digest": predicted if differs or before is None else before.digest,
            "previous_digest": before.digest if before else "",
            "changed": differs,
            "bytes": None,
            **self._copied.get(copy.destination, {}),
        }

    def _measure(self, plan: Plan) -> None:
        """How much there is to copy, where that is known of each image."""

        def size(task: _Task) -> int | None:
            source = task.copy.source
            # the Docker Hub counts a look at a manifest as a pull
            if isinstance(source, LocalImage) or is_docker_hub(source.host):
                return None
            registry = self._registry(source)
            try:
                manifest = registry.manifest(source.repository, task.identity)
                return _bytes(registry, source.repository, manifest) if manifest else None
            except RegistryError:
                return None  # it was only for show

        sizes = _concurrently(size, [change.request for change in plan.changes])
        self._sizes = {task.copy.destination: size for task, size in sizes.items() if size is not None}
        if len(self._sizes) == len(sizes):
            plan.moved = self._moved

    def _moved(self) -> tuple[int, int]:
        so_far = 0
        for destination, size in self._sizes.items():
            if destination in self._copied:
                so_far += size
            elif destination in self._processes:
                so_far += min(size, _bytes_read(self._processes[destination], size))
        return so_far, sum(self._sizes.values())

    # Copying

    def write(self, change: Change) -> None:
        task: _Task = change.request
        copy, destination = task.copy, task.copy.destination
        registry = self._registry(destination)
        now = self._destination(copy, [])
        if now != task.before:
            raise Conflict(
                f"{destination} has moved while this task ran: it had {task.before.digest if task.before else 'no image'},"
                f" and now has {now.digest if now else 'no image'}."
            )
        self._copy(copy, task.identity)
        manifest = registry.manifest(destination.repository, destination.tag)
        if manifest is None or task.identity != (_image_id(manifest) if copy.by_id else manifest.digest):
            raise RegistryError(
                f"{destination} was copied from {copy.source}, but now has {manifest.digest if manifest else 'no image'}"
                f" instead of {task.identity}: somebody else pushed at the same time, or the registry rewrites images."
            )
        self._copied[destination] = {
            "destination_digest": manifest.digest,
            "previous_digest": task.before.digest if task.before else "",
            "changed": True,
            "bytes": _bytes(registry, destination.repository, manifest),
        }
        self._results[destination].update(self._copied[destination])

    def _copy(self, copy: Copy, identity: str) -> None:
        host, source = "", str(copy.source)
        if isinstance(copy.source, Reference):
            # what was planned, whatever the tag means by now
            host, source = copy.source.host, f"docker://{copy.source.name}@{identity}"
        try:
            self._prepared().copy(
                source,
                host,
                f"docker://{copy.destination}",
                copy.destination.host,
                all_images=not copy.by_id,
                started=lambda pid: self._processes.update({copy.destination: pid}),
            )
        except RegistryError as error:
            raise RegistryError(
                f"{copy.source}{self._as(copy.source)} could not be copied to"
                f" {copy.destination}{self._as(copy.destination)}: skopeo says: {error}."
            ) from error

    def _prepared(self) -> Skopeo:
        with self._lock:
            if self._skopeo is None:
                hosts = dict.fromkeys(host for host, _repository in self._credentials)
                ca_certs = {host: self._site(host).ca_cert or "" for host in hosts}
                self._skopeo = Skopeo(
                    self._program(),
                    self._folder,
                    self._credentials,
                    {host: ca_cert for host, ca_cert in ca_certs.items() if ca_cert},
                    CERTS_DIRS,
                    frozenset(host for host in hosts if self._site(host).insecure),
                    self._policy,
                )
            return self._skopeo

    def _site(self, host: str) -> Site:
        return self._sites.get(host, Site())

    def _registry(self, image: Reference) -> Registry:
        return self._registries[image.host, self._credentials[image.host, image.repository]]

    def _as(self, image: Source) -> str:
        if isinstance(image, LocalImage):
            return ""
        credential = self._credentials[image.host, image.repository]
        return f" (as {credential.username})" if credential else " (without a login)"


def _look(registry: Registry, image: Reference, by_id: bool, push: bool = False) -> Found | None:
    digest = registry.digest(image.repository, image.tag, push)
    if digest is None or not by_id:
        return Found(digest, digest) if digest else None
    manifest = registry.manifest(image.repository, digest)
    return Found(digest, _image_id(manifest)) if manifest else None


def _image_id(manifest: Manifest) -> str:
    """The digest of the image's configuration; of a list of images, which has none, the list's own."""
    content = _content(manifest)
    return str(content["config"]["digest"]) if "config" in content else manifest.digest


def _bytes(registry: Registry, repository: str, manifest: Manifest) -> int | None:
    """What all layers and configurations have together; None where a part of a list is not there to be asked."""
    content = _content(manifest)
    blobs: dict[str, int] = {}
    for part in content.get("manifests") or []:
        found = registry.manifest(repository, str(part["digest"]))
        if found is None:
            return None
        blobs.update(_blobs(_content(found)))
    return sum({**blobs, **_blobs(content)}.values())


def _bytes_read(pid: int, size: int) -> int:
    """What a process has read from files and connections, which is known on Linux; all of it, if it has ended."""
    try:
        counters = dict(line.split(": ") for line in Path(f"/proc/{pid}/io").read_text(encoding="ascii").splitlines())
        return int(counters["rchar"])
    except FileNotFoundError:
        return size if Path("/proc/self/io").exists() else 0
    except OSError:
        return 0


def _blobs(content: Mapping[str, Any]) -> dict[str, int]:
    parts = [*(content.get("layers") or []), *([content["config"]] if "config" in content else [])]
    return {str(part["digest"]): int(part["size"]) for part in parts}


def _content(manifest: Manifest) -> dict[str, Any]:
    try:
        return dict(json.loads(manifest.body))
    except ValueError as error:
        raise RegistryError(f"The manifest {manifest.digest} is not one: {error}.") from error


def _concurrently(function: Callable[[Item], Result], items: Sequence[Item]) -> dict[Item, Result]:
    """The result of each item; the first failure, once what is under way has ended."""
    with ThreadPoolExecutor(max_workers=max(1, min(READERS, len(items)))) as pool:
        futures = {item: pool.submit(function, item) for item in items}
        try:
            return {item: future.result() for item, future in futures.items()}
        except BaseException:
            for future in futures.values():
                future.cancel()
            raise


def _listed(names: Sequence[str]) -> str:
    more = f", and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
