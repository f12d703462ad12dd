# Copyright (c) 2026, quayside.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Trust in registries on a host: certificates for podman and docker, the system's anchors, registries without TLS.

No database says which files are ours, their names do: ``quayside.crt``, ``.cert`` and ``.key`` in a registry's folder,
``quayside-HOST[_PORT]…`` in folders that all registries share. Nothing else is ever deleted.
"""

from __future__ import annotations

import dataclasses
import datetime
import re
from collections.abc import Callable, Mapping
from typing import Any

from ansible_collections.quayside.registry.plugins.module_utils.errors import InputError, RegistryError
from ansible_collections.quayside.registry.plugins.module_utils.host import registries_conf, system_trust, x509
from ansible_collections.quayside.registry.plugins.module_utils.host.files import Files, Write, attributes_change
from ansible_collections.quayside.registry.plugins.module_utils.host.system_trust import SystemTrust
from ansible_collections.quayside.registry.plugins.module_utils.oci.reference import registry_host
from ansible_collections.quayside.registry.plugins.module_utils.plan import HIDDEN, HIDDEN_NEW, Change, Plan

_CA, _CLIENT_CERTIFICATE, _CLIENT_KEY = "quayside.crt", "quayside.cert", "quayside.key"
_OURS = {_CA, _CLIENT_CERTIFICATE, _CLIENT_KEY}
_DROP_IN = re.compile(r"quayside-(.+)\.conf")
_ANCHOR = re.compile(r"quayside-(.+)-[0-9]+\.crt")


@dataclasses.dataclass(frozen=True)
class Registry:
    """What is wanted for one registry. Empty texts: nothing of the kind."""

    host: str
    authorities: tuple[x509.Certificate, ...] = ()
    client_certificate: str = ""
    client_key: str = dataclasses.field(default="", repr=False)
    insecure: bool = False

    @property
    def file_name(self) -> str:
        """The host as a part of a file's name: no host has an underscore, so that it can be told from the name."""
        return self.host.replace(":", "_")


@dataclasses.dataclass
class State:
    """Our files and those we share, by path, and how the attributes of the wanted ones differ."""

    files: dict[str, bytes]
    attributes: dict[str, tuple[dict[str, Any], dict[str, Any]] | None]
    hosts: set[str]  # that have files of ours
    bundle: set[str]  # fingerprints of what the system trusts


@dataclasses.dataclass(frozen=True)
class _File:
    content: bytes = dataclasses.field(repr=False)
    secret: bool = False


class CertsD:
    """The subject of the module ``certs_d``."""

    def __init__(
        self,
        params: Mapping[str, Any],
        files: Files,
        trust: SystemTrust | None,
        run_command: Callable[[str], None],
        now: datetime.datetime,
    ) -> None:
        self._files = files
        self._run_command = run_command
        self._containers = params["containers_path"] if "podman" in params["clients"] else ""
        self._docker = params["docker_path"] if "docker" in params["clients"] else ""
        self._system_trust = params["system_trust"]
        self._purge = params["purge"]
        self._trust = trust
        if self._system_trust and not trust:
            raise InputError(
                "system_trust: this host has neither update-ca-trust (Red Hat) nor update-ca-certificates (Debian): install"
                " the package ca-certificates."
            )
        self._present: dict[str, Registry] = {}
        self._absent: set[str] = set()
        seen: dict[str, Any] = {}
        for number, entry in enumerate(params["registries"]):
            what = f"registries[{number}]"
            host = registry_host(entry["host"], f"{what}.host")
            if seen.setdefault(host, entry) != entry:
                raise InputError(f"{what}: {host} is listed twice, and the entries differ. Keep one.")
            if entry["state"] == "absent":
                self._absent.add(host)
            else:
                self._present[host] = self._registry(entry, host, f"{what} ({host})", now)

    def _registry(self, entry: Mapping[str, Any], host: str, what: str, now: datetime.datetime) -> Registry:
        authorities: list[x509.Certificate] = []
        if entry["ca_certificates"] is not None:
            authorities += x509.certificates(entry["ca_certificates"], f"{what}: ca_certificates")
        for path in entry["ca_files"] or []:
            text = self._files.read(path)
            if text is None:
                raise InputError(f"{what}: ca_files: there is no file {path} on this host.")
            authorities += x509.certificates(text.decode("utf-8", "replace"), f"{what}: ca_files: {path}")
        x509.refuse_expired(authorities, now, what)
        authorities = list({certificate.sha256: certificate for certificate in authorities}.values())
        certificate, key = entry["client_certificate"], entry["client_key"]
        if bool(certificate) != bool(key):
            raise InputError(f"{what}: client_certificate and client_key belong together: give both or none.")
        if certificate:
            chain = x509.certificates(certificate, f"{what}: client_certificate")
            x509.refuse_expired(chain, now, f"{what}: client_certificate")
            certificate = "".join(item.pem for item in chain)
            key = x509.private_key(key, certificate, f"{what}: client_key")
        if not (authorities or certificate or entry["insecure"]):
            raise InputError(
                f"{what}: nothing to trust: give ca_certificates, ca_files, client_certificate or insecure, or state: absent."
            )
        return Registry(host, tuple(authorities), certificate or "", key or "", entry["insecure"])

    # Reading

    def read(self) -> State:
        state = State({}, {}, set(), set())
        for folder in self._folders():
            for host in self._files.names(folder):
                for name in sorted(_OURS & set(self._files.names(f"{folder}/{host}"))):
                    self._found(state, f"{folder}/{host}/{name}", host)
        shared = [(self._drop_ins, _DROP_IN), (self._anchors, _ANCHOR)]
        for folder, pattern in shared:
            for name in self._files.names(folder) if folder else []:
                match = pattern.fullmatch(name)
                if match:
                    self._found(state, f"{folder}/{name}", match[1].replace("_", ":"))
        self._found(state, self._daemon_json, None)
        if self._system_trust and self._trust:
            state.bundle = system_trust.trusted(self._files.read(self._trust.bundle))
        for registry in self._present.values():
            for path, file in self._wanted(registry).items():
                if path in state.files:
                    state.attributes[path] = self._files.wrong_attributes(path, file.secret)
        return state

    def _found(self, state: State, path: str, host: str | None) -> None:
        content = self._files.read(path) if path else None
        if content is not None:
            state.files[path] = content
            if host:
                state.hosts.add(host)

    def _folders(self) -> list[str]:
        return [f"{path}/certs.d" for path in (self._containers, self._docker) if path]

    @property
    def _drop_ins(self) -> str:
        return f"{self._containers}/registries.conf.d" if self._containers else ""

    @property
    def _anchors(self) -> str:
        return self._trust.anchors if self._trust else ""

    @property
    def _daemon_json(self) -> str:
        return f"{self._docker}/daemon.json" if self._docker else ""

    # Planning

    def plan(self, state: State) -> Plan:
        gone = self._absent | (state.hosts - set(self._present) if self._purge else set())
        wanted = {path: file for registry in self._present.values() for path, file in self._wanted(registry).items()}
        managed = gone | set(self._present)
        changes: list[Change] = []
        for path, file in wanted.items():
            changes += self._change(path, state.files.get(path), file, state.attributes.get(path))
        for path in sorted(state.files):
            if path not in wanted and self._host_of(path) in managed:
                changes += self._change(path, state.files[path], None, None)
        anchors_change = (
            any(change.name.startswith(f"{self._anchors}/") for change in changes) if self._trust else False
        )
        daemon = self._daemon_change(state.files.get(self._daemon_json), gone) if self._docker else []
        changes += daemon
        changes += self._trust_change(state, anchors_change)
        return Plan(
            changes,
            {
                "restart_services": ["docker"] if daemon else [],
                "registries": [
                    {
                        "host": registry.host,
                        "files": list(self._wanted(registry)),
                        "certificates": [certificate.shown() for certificate in registry.authorities],
                    }
                    for registry in self._present.values()
                ],
            },
        )

    def _wanted(self, registry: Registry) -> dict[str, _File]:
        files: dict[str, _File] = {}
        for folder in self._folders():
            if registry.authorities:
                bundle = "".join(certificate.pem for certificate in registry.authorities)
                files[f"{folder}/{registry.host}/{_CA}"] = _File(bundle.encode())
            if registry.client_certificate:
                # the key first: docker and podman refuse a certificate without its key
                files[f"{folder}/{registry.host}/{_CLIENT_KEY}"] = _File(registry.client_key.encode(), secret=True)
                files[f"{folder}/{registry.host}/{_CLIENT_CERTIFICATE}"] = _File(registry.client_certificate.encode())
        if registry.insecure and self._drop_ins:
            files[f"{self._drop_ins}/quayside-{registry.file_name}.conf"] = _File(
                registries_conf.drop_in(registry.host)
            )
        if self._system_trust:
            for number, certificate in enumerate(registry.authorities, 1):
                # one certificate for each file: update-ca-certificates links no others
                path = f"{self._anchors}/quayside-{registry.file_name}-{number}.crt"
                files[path] = _File(certificate.pem.encode())
        return files

    def _host_of(self, path: str) -> str:
        folder, _slash, name = path.rpartition("/")
        match = _DROP_IN.fullmatch(name) or _ANCHOR.fullmatch(name)
        return match[1].replace("_", ":") if match else folder.rpartition("/")[2] if name in _OURS else ""

    def _change(
        self,
        path: str,
        before: bytes | None,
        after: _File | None,
        wrong: tuple[dict[str, Any], dict[str, Any]] | None,
    ) -> list[Change]:
        if after and before == after.content:
            return attributes_change(path, wrong)
        action = "create" if before is None else "update" if after else "delete"
        shown_before, shown_after = _shown(path, before), _shown(path, after.content if after else None)
        if path.endswith(".key") and before and after:
            shown_after = {"private key": HIDDEN_NEW}
        write = Write(
            path,
            after.content if after else None,
            before,
            secret=bool(after and after.secret),
            remove_folder=path.rpartition("/")[2] in _OURS,
        )
        return [Change(action, "File", path, before=shown_before, after=shown_after, request=write)]

    def _daemon_change(self, before: bytes | None, gone: set[str]) -> list[Change]:
        path = self._daemon_json
        add = [registry.host for registry in self._present.values() if registry.insecure]
        remove = gone | {registry.host for registry in self._present.values() if not registry.insecure}
        after = registries_conf.with_insecure(before, path, add, remove)
        if after is None or after == before:
            return []
        old, new = ({"insecure-registries": registries_conf.insecure(text, path)} for text in (before, after))
        action = "create" if before is None else "update"
        shown = None if before is None else old
        return [Change(action, "File", path, before=shown, after=new, request=Write(path, after, before))]

    def _trust_change(self, state: State, anchors_change: bool) -> list[Change]:
        """The command runs when an anchor changes, and when an earlier run ended between writing one and the command."""
        if not self._trust:
            return []
        authorities = [certificate for registry in self._present.values() for certificate in registry.authorities]
        missing = bool(state.bundle) and any(
            certificate.is_ca and certificate.sha256 not in state.bundle for certificate in authorities
        )
        if not (anchors_change or missing):
            return []
        return [Change("update", "SystemTrust", self._trust.command, stage=1)]

    # Writing

    def write(self, change: Change) -> None:
        if isinstance(change.request, Write):
            self._files.write(change.request)
        elif change.kind == "SystemTrust":
            try:
                self._run_command(change.name)
            except RegistryError as error:
                raise RegistryError(
                    f"The anchors are in place, but the system does not trust them yet: {error} Run {change.name} by hand."
                ) from error
        else:
            self._files.set_attributes(change.name, secret=change.name.endswith(f"/{_CLIENT_KEY}"))


def _shown(path: str, content: bytes | None) -> dict[str, Any] | None:
    """A file for the diff: certificates by what they say, keys not at all."""
    if content is None:
        return None
    if path.endswith(".key"):
        return {"private key": HIDDEN}
    text = content.decode("utf-8", "replace")
    if path.endswith(".conf"):
        return {"content": text}
    try:
        return {"certificates": [certificate.shown() for certificate in x509.certificates(text, path)]}
    except InputError:
        return {"certificates": "not readable"}
