# Copyright (c) 2026, quayside.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A file of registry credentials on a host: podman's ``auth.json``, docker's ``config.json``."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ansible_collections.quayside.registry.plugins.module_utils import credentials
from ansible_collections.quayside.registry.plugins.module_utils.errors import InputError, RegistryError
from ansible_collections.quayside.registry.plugins.module_utils.host.files import Files, Write, attributes_change
from ansible_collections.quayside.registry.plugins.module_utils.oci import auth
from ansible_collections.quayside.registry.plugins.module_utils.oci.auth import Credential
from ansible_collections.quayside.registry.plugins.module_utils.oci.client import Refused, Registry
from ansible_collections.quayside.registry.plugins.module_utils.oci.reference import registry_scope
from ansible_collections.quayside.registry.plugins.module_utils.oci.transport import CERTS_DIRS, Transport
from ansible_collections.quayside.registry.plugins.module_utils.plan import HIDDEN, HIDDEN_NEW, Change, Plan

#: docker's daemon looks nowhere else.
_DOCKER_CERTS_DIRS = ("/etc/docker/certs.d",)


def default_path(docker: bool, environment: Mapping[str, str], uid: int) -> str:
    """The file that docker or podman uses when nobody says otherwise."""
    if docker:
        folder = environment.get("DOCKER_CONFIG") or str(Path("~/.docker").expanduser())
        return f"{folder}/config.json"
    if environment.get("REGISTRY_AUTH_FILE"):
        return environment["REGISTRY_AUTH_FILE"]
    runtime = environment.get("XDG_RUNTIME_DIR")
    return f"{runtime}/containers/auth.json" if runtime else f"/run/containers/{uid}/auth.json"


@dataclasses.dataclass(frozen=True)
class Wanted:
    """An entry that shall be there. ``options`` are those of its source."""

    number: int
    host: str
    namespace: str
    key: str
    options: Mapping[str, Any] = dataclasses.field(repr=False)

    @property
    def registry(self) -> str:
        return f"{self.host}/{self.namespace}" if self.namespace else self.host

    def why(self, stored: Credential | None, refused: bool, now: float) -> str | None:
        """Why a new credential has to be written; one that was made for this run always is."""
        made = credentials.is_asked_for(self.options) and self.options["password"] is not None
        reason = credentials.why_renew(stored, self.options, now)
        if not reason and refused:
            reason = "the registry does not accept what is stored"
        return reason or ("a new token was made" if made else None)

    def credential(self) -> Credential | None:
        """None while its source has not been asked."""
        password = self.options["password"]
        return None if password is None else Credential(credentials.username(self.options), password)


@dataclasses.dataclass
class State:
    content: bytes | None = dataclasses.field(repr=False)
    config: auth.Config = dataclasses.field(repr=False)
    attributes: tuple[dict[str, Any], dict[str, Any]] | None
    refused: set[int]  # entries whose stored token the registry no longer accepts


class AuthFile:
    """The subject of the module ``registry_auth``."""

    def __init__(
        self, params: Mapping[str, Any], files: Files, path: str, now: float, warn: Callable[[str], None]
    ) -> None:
        self.path = path
        self._files = files
        self._now = now
        self._warn = warn
        self._docker = params["format"] == "docker"
        self._verify = params["verify"]
        self._refused: dict[Credential, bool] = {}
        self._certs_dirs = params["certs_dirs"] or (_DOCKER_CERTS_DIRS if self._docker else CERTS_DIRS)
        self._present: list[Wanted] = []
        self._absent: list[tuple[str, str]] = []
        seen: dict[str, Any] = {}
        for number, entry in enumerate(params["registries"]):
            what = f"registries[{number}]"
            host, namespace = registry_scope(entry["registry"], f"{what}.registry")
            if namespace and self._docker:
                raise InputError(
                    f"{what}.registry: docker knows no credentials for a part of a registry: write {host!r}."
                )
            key = auth.key(host, namespace, self._docker)
            if seen.setdefault(key, entry) is not entry:
                raise InputError(f"{what}: {entry['registry']} is listed twice. Keep one.")
            if entry["state"] == "absent":
                self._absent.append((host, namespace))
                continue
            # the value of a token is given when this run has made it
            source = {**entry, "password": None} if credentials.is_asked_for(entry) else entry
            credentials.check_source(source, f"{what} ({entry['registry']})")
            self._present.append(Wanted(number, host, namespace, key, entry))

    def read(self) -> State:
        content = self._files.read(self.path)
        attributes = None if content is None else self._files.wrong_attributes(self.path)
        config = auth.parse(content or b"", self.path)
        refused = {wanted.number for wanted in self._present if self._verify and self._is_refused(wanted, config)}
        return State(content, config, attributes, refused)

    def _is_refused(self, wanted: Wanted, config: auth.Config) -> bool:
        """Whether the registry refuses a stored token that looks good: its account or cluster may be another by now.

        That the registry cannot be asked is no reason to replace it.
        """
        stored = auth.read(config, wanted.key)
        if stored is None or not credentials.is_asked_for(wanted.options):
            return False
        if credentials.why_renew(stored, wanted.options, self._now):
            return False
        if stored not in self._refused:
            try:
                self._log_in(wanted, stored)
                self._refused[stored] = False
            except Refused:
                self._refused[stored] = True
            except RegistryError:
                self._refused[stored] = False
        return self._refused[stored]

    def _log_in(self, wanted: Wanted, credential: Credential) -> bool:
        """As the host's clients would, over TLS that they trust. False: the registry asks nobody."""
        with Transport(wanted.host, self._certs_dirs) as transport:
            return Registry(wanted.host, transport.send, credential).log_in()

    def needs(self, state: State) -> list[int]:
        """Which entries cannot be written before their source is asked for a credential."""
        return [wanted.number for wanted, why in self._renewals(state) if why and wanted.credential() is None]

    def plan(self, state: State) -> Plan:
        config = state.config
        before: dict[str, Any] = {}
        after: dict[str, Any] = {}
        result = []
        for host, namespace in self._absent:
            rest = auth.without(config, host, namespace)
            gone = set(config.get("auths", {})) - set(rest.get("auths", {}))
            before.update((key, _shown(auth.read(config, key), HIDDEN)) for key in sorted(gone))
            config = rest
        changed = bool(before)
        renewals = self._renewals(state)
        for wanted, why in renewals:
            stored = auth.read(state.config, wanted.key)
            credential = wanted.credential()
            if wanted.key in state.config.get("auths", {}):
                before[wanted.key] = _shown(stored, HIDDEN)
            if why:
                changed = True
                shown = credential or Credential(credentials.username(wanted.options), "")
                config = auth.with_credential(config, wanted.key, shown)
                same = bool(stored and credential and stored.password == credential.password)
                after[wanted.key] = _shown(shown, HIDDEN if same else HIDDEN_NEW)
            else:
                credential = stored
                after[wanted.key] = _shown(stored, HIDDEN)
            result.append(_result(wanted, credential, why))
        changes = attributes_change(self.path, state.attributes)
        if changed:
            write = Write(self.path, auth.dump(config), state.content, folder_mode=0o700)
            action = "create" if state.content is None else "update"
            shown_before = None if state.content is None else {"auths": before}
            changes = [
                Change(action, "AuthFile", self.path, before=shown_before, after={"auths": after}, request=write)
            ]
        return Plan(changes, {"path": self.path, "credentials": result}, self._shadowed(state.config))

    def _renewals(self, state: State) -> list[tuple[Wanted, str | None]]:
        return [
            (wanted, wanted.why(auth.read(state.config, wanted.key), wanted.number in state.refused, self._now))
            for wanted in self._present
        ]

    def _shadowed(self, config: auth.Config) -> list[str]:
        return [
            f"{self.path} names the credential helper {helper} for {wanted.registry}: clients ask it instead of using the"
            " credential written here."
            for wanted in self._present
            for helper in [auth.helper(config, wanted.host, self._docker)]
            if helper
        ]

    def write(self, change: Change) -> None:
        if not isinstance(change.request, Write):
            self._files.set_attributes(self.path)
            return
        if self._verify:
            self._prove(auth.parse(change.request.before or b"", self.path))
        self._files.write(change.request)

    def _prove(self, config: auth.Config) -> None:
        """Log in with each credential that is new."""
        for wanted in self._present:
            credential = wanted.credential()
            if credential is None or credential == auth.read(config, wanted.key):
                continue
            try:
                asked = self._log_in(wanted, credential)
            except RegistryError as error:
                raise RegistryError(
                    f"The new credential for {wanted.registry} could not be proven, and nothing was written: {error}"
                    " (verify: false writes it all the same.)"
                ) from error
            if not asked:
                self._warn(f"{wanted.host} asks nobody for a credential, so that the one for it proves nothing.")


def _shown(credential: Credential | None, password: str) -> dict[str, str]:
    return {"username": credential.username if credential else "", "password": password}


def _result(wanted: Wanted, credential: Credential | None, why: str | None) -> dict[str, Any]:
    expiry = credentials.expiry(credential.password) if credential else None
    return {
        "registry": wanted.registry,
        "username": credentials.username(wanted.options),
        "expires_at": credentials.timestamp(expiry) if expiry else "",
        "renewed": bool(why),
        "reason": why or "",
    }
