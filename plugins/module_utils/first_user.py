# Copyright (c) 2026, quayside.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The first user of a Quay, its credentials kept in a Secret, a file or both: the module ``quay_first_user``.

The order is such that a run can end anywhere. The password is stored before the user is made with it, and a mark with it that
stays until a token is stored and those that it replaces are revoked. So every next run finds its way back from what is
stored: a password is enough for a session, a session for a token, and the mark tells that there may be tokens nobody knows.
"""

from __future__ import annotations

import contextlib
import dataclasses
import re
import secrets
import string
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.kubernetes.core.plugins.module_utils.args_common import AUTH_ARG_SPEC

from ansible_collections.quayside.registry.plugins.module_utils import credentials
from ansible_collections.quayside.registry.plugins.module_utils.errors import InputError, RegistryError
from ansible_collections.quayside.registry.plugins.module_utils.host.files import Files
from ansible_collections.quayside.registry.plugins.module_utils.host.kept_file import KeptFile
from ansible_collections.quayside.registry.plugins.module_utils.openshift.client import connect
from ansible_collections.quayside.registry.plugins.module_utils.openshift.earlier import Earlier
from ansible_collections.quayside.registry.plugins.module_utils.openshift.kept_secret import KeptSecret
from ansible_collections.quayside.registry.plugins.module_utils.openshift.objects import QUAY_REGISTRY
from ansible_collections.quayside.registry.plugins.module_utils.plan import Change, Plan, converge, diff
from ansible_collections.quayside.registry.plugins.module_utils.quay.client import Quay, Server, SignInRefused
from ansible_collections.quayside.registry.plugins.module_utils.quay.first_user import FirstUser, Found, Token

#: Quay: a namespace's name, its length, and its words on both (recorded).
_NAME = re.compile(r"[a-z0-9]+(?:[._-][a-z0-9]+)*")
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")
_LETTERS = string.ascii_letters + string.digits
_PASSWORD_LENGTH = 32
_SHORTEST_LIFE = 600

Kept = dict[str, str]
_TOKEN_KEYS = ("token", "token_id", "token_expires")
#: A run is, or was when it ended, on its way to a new token: since when. Every run writes its own, so that it claims the place.
_UNFINISHED = "unfinished"


@dataclasses.dataclass(frozen=True)
class State:
    """What is kept where (None: nothing), and what Quay says. ``user`` is False while there is no user yet."""

    secret: Kept | None
    file: Kept | None
    kept: Kept
    good: bool = False
    user: bool = True
    reason: str = ""
    found: Found = dataclasses.field(default_factory=Found)


@dataclasses.dataclass
class _New:
    """What the steps of one run make, each for those after it."""

    client_id: str = ""
    token: Token | None = None


class FirstUserSubject:
    """Reads, plans and writes. Its constructor raises InputError for what cannot be meant."""

    def __init__(
        self, params: Mapping[str, Any], quay: Quay, secret: KeptSecret | None, file: KeptFile | None, coming: bool
    ) -> None:
        """``coming``: Quay is not there yet, because the tasks before this one were in check mode."""
        self._params, self._coming = params, coming
        self._name, self._email = params["name"], params["email"] or ""
        self._secret, self._file = secret, file
        self._server = quay.server
        self._quay = FirstUser(quay, params["organization"], params["application"])
        self._password = params["initial_password"] or _new_password()
        self._new = _New()

    # Reading

    def read(self) -> State:
        """A token that is good for long enough: one request to Quay. Otherwise all that its renewal has to know."""
        secret = self._secret.read() if self._secret else None
        file = self._file.read() if self._file else None
        kept = self._kept(secret, file)
        if self._coming:
            return State(secret, file, kept, user=False, reason="Quay has no user yet")
        reason = self._why_renew(kept)
        if not reason:
            superuser = self._quay.is_superuser(kept["token"])
            if superuser is not None:
                if not superuser:
                    raise RegistryError(self._no_superuser())
                if _UNFINISHED not in kept:
                    return State(secret, file, kept, good=True)
                self._sign_in(kept, None)
                return State(secret, file, kept, good=True, found=self._quay.look())
            reason = "Quay does not accept the stored token any more"
        try:
            self._sign_in(kept, None if kept else self._quay.emptiness())
        except _Nobody:
            return State(secret, file, kept, user=False, reason="Quay has no user yet")
        return State(secret, file, kept, reason=reason, found=self._quay.look())

    def _kept(self, secret: Kept | None, file: Kept | None) -> Kept:
        """The credentials that are kept, from the Secret before the file. Empty where nothing is."""
        for place, found in ((self._secret, secret), (self._file, file)):
            if found and found.get("password"):
                if found.get("username", self._name) != self._name:
                    raise InputError(
                        f"{str(place)[0].upper()}{str(place)[1:]} keeps the credentials of user {found['username']}, not of {self._name}."
                        " Set name to that, or choose another place for these."
                    )
                return found
        return {}

    def _why_renew(self, kept: Kept) -> str:
        if not kept.get("token"):
            return "none is stored"
        if self._params["force_renew"]:
            return "force_renew is set"
        if not kept.get("token_id"):
            return "what is stored does not say which token it is"
        try:
            end = credentials.epoch(kept.get("token_expires", ""))
        except ValueError:
            return "what is stored does not say when it expires"
        if end - time.time() <= self._renew_before:
            return f"the token {'expires' if end > time.time() else 'has expired'} at {kept['token_expires']}"
        return ""

    @property
    def _renew_before(self) -> int:
        given: int | None = self._params["renew_before"]
        return int(self._params["expires_in"]) // 2 if given is None else given

    def _sign_in(self, kept: Kept, emptiness: str | None) -> None:
        """A session of the user; _Nobody where Quay has no users yet. ``emptiness`` as far as it is known."""
        given = [kept.get("password"), self._params["initial_password"]]
        for password in dict.fromkeys(password for password in given if password and emptiness != "empty"):
            with contextlib.suppress(SignInRefused):
                self._quay.sign_in(self._name, password)
                self._password = password
                return
        emptiness = emptiness or self._quay.emptiness()
        if emptiness == "empty":
            self._password = kept.get("password") or self._password
            raise _Nobody
        raise RegistryError(self._why_not(kept, emptiness))

    def _why_not(self, kept: Kept, emptiness: str) -> str:
        url = self._server.url
        where = " and ".join(str(place) for place in (self._secret, self._file) if place)
        if kept or self._params["initial_password"]:
            whose = f"that {where} keeps" if kept else "of initial_password"
            problem = f"Quay at {url} does not accept the password of user {self._name} {whose}"
        else:
            problem = f"{where} keeps no credentials of user {self._name}"
        choices = (
            f" Either set initial_password to the present password of {self._name}, so that it is kept from now on, or begin with an"
            " empty database."
        )
        if emptiness == "off":
            return (
                f"{problem}, and Quay at {url} lets nobody create the first user. If it has none yet, set FEATURE_USER_INITIALIZE: true"
                f" in its config.yaml and run again.{choices}"
            )
        if emptiness == "authentication":
            return (
                f"{problem}, and Quay at {url} does not keep users itself: AUTHENTICATION_TYPE in its config.yaml is not Database, so"
                f" that it has no first user to create. Set initial_password to the password that {self._name} has there."
            )
        return f"{problem}, and Quay at {url} has users already.{choices}"

    def _no_superuser(self) -> str:
        return (
            f"User {self._name} of Quay at {self._server.url} is no superuser. Add {self._name} to SUPER_USERS in its config.yaml (and"
            " leave FEATURE_SUPER_USERS on), wait for the rollout, and run again: the credentials are kept."
        )

    # Planning

    def plan(self, state: State) -> Plan:
        """The changes in the order in which they are safe."""
        plan = Plan(result={"reason": state.reason, "username": self._name})
        self._new = new = _New(client_id=state.found.client_id)
        first = self._first(state)
        if state.good:
            plan.changes += self._finished(state, first, new)
            plan.result["token_expires"] = first["token_expires"]
            return plan
        mark = {_UNFINISHED: credentials.timestamp(int(time.time()))}
        begin = {**first, **mark}
        plan.changes += self._stores((state.secret, state.file), begin, 0, lambda: begin)
        if not state.user:
            shown = {"email": self._email} if self._email else {}
            plan.changes.append(_change("create", "User", self._name, shown, 1, lambda: self._initialize(first)))
        plan.changes += self._application(state, new)
        final = {**first, **dict.fromkeys(_TOKEN_KEYS, "")}
        mark = mark if state.found.tokens else {}
        middle = {**final, **mark}
        plan.changes += self._stores(
            (begin, begin), middle, 5, lambda: {**first, **_token_texts(new), **mark}, not mark
        )
        plan.changes += self._revocations(state.found.tokens, new)
        if mark:
            plan.changes += self._stores((middle, middle), final, 7, lambda: {**first, **_token_texts(new)}, done=True)
        return plan

    def _first(self, state: State) -> Kept:
        """What is kept whatever happens to the token."""
        kept = {key: text for key, text in state.kept.items() if key in _TOKEN_KEYS}
        email = (state.kept.get("email") if state.user else "") or self._email
        password = state.kept["password"] if state.good else self._password
        first = {"host": self._server.host, "username": self._name, "password": password, **kept}
        return {**first, "email": email} if email else first

    def _finished(self, state: State, wanted: Kept, new: _New) -> list[Change]:
        """Where the token is good: what a run that was interrupted has left to do, and a place that lacks the credentials."""
        left = [uuid for uuid in state.found.tokens if uuid != wanted["token_id"]]
        return [
            *self._revocations(left, new),
            *self._stores((state.secret, state.file), wanted, 7, lambda: wanted, done=True),
            *(self._attributes() if state.file is not None else []),
        ]

    def _attributes(self) -> list[Change]:
        file = self._file
        if file is None:
            return []
        return [dataclasses.replace(change, stage=8, request=file.set_attributes) for change in file.attributes()]

    def _application(self, state: State, new: _New) -> list[Change]:
        organization, name = self._params["organization"], self._params["application"]
        steps: list[Change] = []
        if not state.found.organization:
            steps.append(_change("create", "Organization", organization, {}, 2, self._quay.create_organization))

        def application() -> None:
            new.client_id = self._quay.create_application()

        def token() -> None:
            new.token = self._quay.create_token(new.client_id, self._params["expires_in"], state.found.tokens)

        if not state.found.client_id:
            shown = {"organization": organization}
            steps.append(_change("create", "OAuthApplication", name, shown, 3, application))
        shown = {"application": name, "organization": organization}
        return [*steps, _change("create", "OAuthToken", self._name, shown, 4, token)]

    def _revocations(self, uuids: Sequence[str], new: _New) -> list[Change]:
        def revoke(uuid: str) -> Callable[[], None]:
            return lambda: self._quay.delete_token(new.client_id, uuid)

        return [
            Change("delete", "OAuthToken", self._name, before={"uuid": uuid}, stage=6, request=revoke(uuid))
            for uuid in uuids
        ]

    def _stores(
        self,
        there: tuple[Kept | None, Kept | None],
        wanted: Kept,
        stage: int,
        content: Callable[[], Kept],
        done: bool = False,
    ) -> list[Change]:
        """The writes that make both places hold this, where they do not."""
        steps: list[Change] = []
        secret, file = there
        kept_secret, kept_file = self._secret, self._file
        absent = () if _UNFINISHED in wanted else (_UNFINISHED,)

        def save_secret() -> None:
            if kept_secret is not None:
                kept_secret.save(content(), absent, done)

        def save_file() -> None:
            if kept_file is not None:
                kept_file.save(content())

        if kept_secret is not None and _differs(secret, wanted):
            shown = {key: text for key, text in {**(secret or {}), **wanted}.items() if key not in absent}
            steps.append(dataclasses.replace(kept_secret.changed(secret, shown, stage), request=save_secret))
        if kept_file is not None and file != wanted:
            steps.append(dataclasses.replace(kept_file.changed(file, wanted, stage), request=save_file))
        return steps

    # Writing

    def write(self, change: Change) -> None:
        """Carry out one step."""
        change.request()

    def _initialize(self, first: Kept) -> None:
        self._quay.initialize(self._name, first["password"], self._email)
        self._quay.sign_in(self._name, first["password"])

    def prove(self) -> str:
        """After a new token was stored: that it works. When it expires."""
        texts = _token_texts(self._new)
        superuser = self._quay.is_superuser(texts["token"])
        if superuser is None:
            raise RegistryError(f"Quay at {self._server.url} does not accept the token that it just made. Run again.")
        if not superuser:
            raise RegistryError(self._no_superuser())
        return texts["token_expires"]


class _Nobody(Exception):
    """Quay has no users yet."""


def check(params: Mapping[str, Any]) -> None:
    """Refuse what cannot be meant (InputError) before anything is asked of anybody."""
    for option, what in (("name", "a user"), ("organization", "an organization")):
        text = params[option]
        if not (_NAME.fullmatch(text) and 2 <= len(text) <= 255):
            raise InputError(
                f"{option}: {text!r} cannot be the name of {what}: 2 to 255 lower case letters and digits, with single '.', '_' or '-'"
                " between them."
            )
    if params["name"] == params["organization"]:
        raise InputError("organization: users and organizations share their names. Choose one that is not the user's.")
    if not params["application"].strip():
        raise InputError("application is empty.")
    if params["email"] and not _EMAIL.fullmatch(params["email"]):
        raise InputError(f"email: {params['email']!r} is not an e-mail address.")
    password = params["initial_password"]
    if password is not None and (len(password) < 8 or re.search(r"\s", password)):
        raise InputError(
            "initial_password is too weak for Quay: at least 8 characters, and no blanks. Leave it out for a generated one."
        )
    if params["expires_in"] < _SHORTEST_LIFE:
        raise InputError(f"expires_in must be at least {_SHORTEST_LIFE} seconds.")
    if params["renew_before"] is not None and not 0 <= params["renew_before"] < params["expires_in"]:
        raise InputError(
            f"renew_before must be less than expires_in ({params['expires_in']} seconds): else every run would make a new token."
        )
    if not (params["secret"] or params["file"]):
        raise InputError("Set secret, file or both: the credentials must be kept somewhere.")
    if params["file"] and not params["file"].startswith("/"):
        raise InputError(f"file: {params['file']!r} is no absolute path.")


def _new_password() -> str:
    return "".join(secrets.choice(_LETTERS) for _number in range(_PASSWORD_LENGTH))


def _token_texts(new: _New) -> Kept:
    if new.token is None:
        raise RegistryError("There is no token to store.")
    texts = (new.token.secret, new.token.uuid, credentials.timestamp(new.token.expires))
    return dict(zip(_TOKEN_KEYS, texts, strict=True))


def _differs(there: Kept | None, wanted: Kept) -> bool:
    """Whether a Secret holds something else than this; keys of others do not matter."""
    return there is None or any(there.get(key) != wanted.get(key) for key in (*wanted, _UNFINISHED))


def _change(
    action: str, kind: str, name: str, after: Mapping[str, Any], stage: int, request: Callable[[], None]
) -> Change:
    return Change(action, kind, name, after=after, stage=stage, request=request)


def run(argument_spec: Mapping[str, Any]) -> None:
    """The module."""
    module = AnsibleModule(argument_spec={**AUTH_ARG_SPEC, **argument_spec}, supports_check_mode=True)
    params = module.params
    changes: list[Change] = []
    result: dict[str, Any] = {}
    try:
        check(params)
        with contextlib.ExitStack() as stack:
            quay = stack.enter_context(Quay(Server.of(params)))
            secret = file = None
            if params["secret"]:
                cluster = stack.enter_context(connect(params))
                secret = KeptSecret(cluster, params["secret"]["namespace"], params["secret"]["name"])
            if params["file"]:
                file = KeptFile(Files(module), params["file"])
            coming = module.check_mode and Earlier(params["earlier_changes"]).includes(QUAY_REGISTRY)
            subject = FirstUserSubject(params, quay, secret, file, coming)
            try:
                outcome = converge(
                    _planner(subject, secret, file, module.check_mode), subject.write, module.check_mode, 1
                )
                changes = outcome.changes
                result = dict(outcome.plan.result)
                if "token_expires" not in result:
                    result["token_expires"] = "" if module.check_mode else subject.prove()
            finally:
                if file is not None:
                    file.unlock()
                if secret is not None:
                    secret.release()
            if params["return_credentials"] and not module.check_mode:
                kept = (secret.read() if secret else file.read() if file else None) or {}
                result["credentials"] = {key: kept.get(key, "") for key in ("password", "token")}
    except RegistryError as error:
        module.fail_json(
            msg=str(error),
            **{"changed": bool(changes), "changes": [change.summary() for change in changes], **error.details},
        )
    if module._diff:
        result["diff"] = diff(changes)
    module.exit_json(changed=bool(changes), changes=[change.summary() for change in changes], **result)


def _planner(
    subject: FirstUserSubject, secret: KeptSecret | None, file: KeptFile | None, check_mode: bool
) -> Callable[[], Plan]:
    def make_plan() -> Plan:
        if file is not None and not check_mode:
            file.lock()
        plan = subject.plan(subject.read())
        if plan.changes:
            for place in (secret, file):
                if place is not None:
                    place.check()
        return plan

    return make_plan
