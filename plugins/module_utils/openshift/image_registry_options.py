# Copyright (c) 2026, quayside.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a user may want of the registry's storage and of its routes: validated, and merged into what there is. No I/O."""

from __future__ import annotations

import base64
import copy
import dataclasses
import difflib
from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.quayside.registry.plugins.module_utils import certificates
from ansible_collections.quayside.registry.plugins.module_utils.errors import InputError
from ansible_collections.quayside.registry.plugins.module_utils.hostname import host_fault
from ansible_collections.quayside.registry.plugins.module_utils.openshift.objects import SECRET, Object, new

NAMESPACE = "openshift-image-registry"
DEFAULT_ROUTE = "default-route"

#: The kinds of storage that the operator knows (OpenShift: imageregistry/v1 ImageRegistryConfigStorage).
STORAGE_KINDS = ("pvc", "emptyDir", "s3", "gcs", "azure", "swift", "ibmcos")

#: The name that the operator gives a claim that was left unnamed.
_DEFAULT_CLAIM = "image-registry-storage"


def check_storage(storage: Mapping[str, Any]) -> dict[str, Any]:
    """``storage`` as the API takes it: one kind of storage, and its managementState if that was given."""
    known = (*STORAGE_KINDS, "managementState")
    for key in storage:
        if key not in known:
            lower = {name.lower(): name for name in known}
            near = difflib.get_close_matches(key.lower().replace("_", ""), lower, n=1)
            hint = f"did you mean {lower[near[0]]}? " if near else ""
            raise InputError(f"storage: unknown storage {key!r}; {hint}Known are {', '.join(STORAGE_KINDS)}.")
    kinds = [key for key in STORAGE_KINDS if key in storage]
    if len(kinds) != 1:
        given = f"{' and '.join(kinds)} are given" if kinds else "none is given"
        raise InputError(f"storage: exactly one of {', '.join(STORAGE_KINDS)} is needed; {given}.")
    checked = dict(storage)
    checked[kinds[0]] = storage[kinds[0]] if storage[kinds[0]] is not None else {}
    if not isinstance(checked[kinds[0]], Mapping):
        raise InputError(
            f"storage: {kinds[0]} takes a dictionary of the API's fields, such as {{{kinds[0]}: {_example(kinds[0])}}}."
        )
    return checked


def storage_kind(storage: Mapping[str, Any] | None) -> str:
    """Which kind of storage is configured; empty for none."""
    return next((key for key, value in (storage or {}).items() if key != "managementState" and value is not None), "")


def merge_storage(actual: Mapping[str, Any] | None, wanted: Mapping[str, Any]) -> dict[str, Any]:
    """The storage as it will be. Within a kind only what is given changes; another kind replaces the old one whole.

    managementState (whether the operator deletes the storage with the registry) belongs to the old kind, too: without it
    the operator decides anew, so that a bucket of the user's is never taken for one of its own.
    """
    kind = storage_kind(wanted)
    if storage_kind(actual) != kind:
        return copy.deepcopy(dict(wanted))
    merged = _merge(actual or {}, wanted)
    if kind == "pvc" and wanted["pvc"].get("claim") == "" and (actual or {})["pvc"].get("claim") == _DEFAULT_CLAIM:
        merged["pvc"]["claim"] = _DEFAULT_CLAIM
    return merged


@dataclasses.dataclass(frozen=True)
class Route:
    """One further route as wanted. What is empty is not managed."""

    name: str
    present: bool = True
    hostname: str = ""
    secret_name: str = ""
    certificate: str = ""
    private_key: str = dataclasses.field(default="", repr=False)
    ca_certificate: str = ""

    def merged(self, before: Mapping[str, Any] | None) -> dict[str, Any]:
        """The route's entry in spec.routes."""
        entry = {**(before or {}), "name": self.name}
        if self.hostname:
            entry["hostname"] = self.hostname
        if self.secret_name:
            entry["secretName"] = self.secret_name
        return entry

    def secret(self, before: Object | None) -> Object:
        """The Secret with the certificate, in the keys that the operator reads."""
        data = {"tls.crt": self.certificate, "tls.key": self.private_key, "tls.cacrt": self.ca_certificate}
        encoded = {key: base64.b64encode(text.encode()).decode() for key, text in data.items() if text}
        if before is None:
            return new(SECRET, self.secret_name, NAMESPACE, type="kubernetes.io/tls", data=encoded)
        return {**before, "data": encoded}


def check_routes(routes: Sequence[Mapping[str, Any]]) -> list[Route]:
    """The option ``routes``; the first fault is told with the route's index and name."""
    checked: list[Route] = []
    for index, given in enumerate(routes):
        what = f"routes[{index}] ({given['name']})"
        route = _check_route(given, what)
        for other in checked:
            if other.name == route.name:
                raise InputError(f"{what}: the name is in the list twice.")
            if route.present and other.present and route.hostname and other.hostname == route.hostname:
                raise InputError(f"{what}: hostname {route.hostname} is also that of route {other.name}.")
            if route.certificate and other.certificate and other.secret_name == route.secret_name:
                raise InputError(f"{what}: secret_name {route.secret_name} is also written by route {other.name}.")
        checked.append(route)
    return checked


def _check_route(given: Mapping[str, Any], what: str) -> Route:
    name = given["name"]
    if name == DEFAULT_ROUTE:
        raise InputError(f"{what}: {DEFAULT_ROUTE} is the operator's own; use the option default_route.")
    fault = host_fault(name)
    if fault:
        raise InputError(f"{what}: name cannot be the name of a Route: {fault}.")
    if given.get("state") == "absent":
        return Route(name, present=False)
    hostname = given.get("hostname") or ""
    fault = host_fault(hostname) if hostname else ""
    if fault:
        raise InputError(
            f"{what}: hostname {hostname!r} is not a host name: {fault}. Give the name alone, no URL, no port."
        )
    certificate, private_key = given.get("certificate") or "", given.get("private_key") or ""
    authority = given.get("ca_certificate") or ""
    if bool(certificate) != bool(private_key):
        missing = "private_key" if certificate else "certificate"
        raise InputError(f"{what}: certificate and private_key belong together; {missing} is missing.")
    if authority and not certificate:
        raise InputError(f"{what}: ca_certificate needs certificate and private_key.")
    secret_name = given.get("secret_name") or (f"{name}-tls" if certificate else "")
    fault = host_fault(secret_name) if secret_name else ""
    if fault:
        raise InputError(f"{what}: secret_name cannot be the name of a Secret: {fault}.")
    if certificate:
        _check_certificate(what, hostname, certificate, private_key, authority)
    return Route(name, True, hostname, secret_name, _ended(certificate), _ended(private_key), _ended(authority))


def _check_certificate(what: str, hostname: str, certificate: str, private_key: str, authority: str) -> None:
    leaf = certificates.parse(certificate, f"{what}: certificate")[0]
    if not certificates.key_matches(leaf, private_key, f"{what}: private_key"):
        raise InputError(
            f"{what}: private_key is not the key of the first certificate ({leaf.subject}). The server's own certificate"
            " must come first, its authorities after it."
        )
    fault = certificates.validity_fault(leaf, certificates.now())
    if fault:
        raise InputError(f"{what}: {fault}.")
    if hostname and not leaf.covers(hostname):
        names = ", ".join(leaf.hosts) or "no host at all (it has no subjectAltName)"
        raise InputError(f"{what}: the certificate does not cover hostname {hostname}; it is for {names}.")
    if authority:
        certificates.parse(authority, f"{what}: ca_certificate")


def _ended(text: str) -> str:
    """PEM as a file: with the newline that templates and lookups strip."""
    return text.strip() + "\n" if text.strip() else ""


def _merge(actual: Mapping[str, Any], wanted: Mapping[str, Any]) -> dict[str, Any]:
    merged = copy.deepcopy(dict(actual))
    for key, value in wanted.items():
        old = merged.get(key)
        merged[key] = _merge(old, value) if isinstance(old, Mapping) and isinstance(value, Mapping) else value
    return merged


def _example(kind: str) -> str:
    return {"pvc": "{claim: registry}", "emptyDir": "{}"}.get(kind, "{bucket: registry}")
