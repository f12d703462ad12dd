"""Sources of credentials: what is refused, what is read where Ansible runs, and when a new one is due."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from ansible_collections.quayside.registry.plugins.module_utils import credentials
from ansible_collections.quayside.registry.plugins.module_utils.errors import InputError
from ansible_collections.quayside.registry.plugins.module_utils.oci.auth import Credential

NOW = 1_800_000_000
ACCOUNT = {"name": "builder", "namespace": "demo"}
SECRET = {"name": "quay-first-user", "namespace": "quay"}
SUBJECT = "system:serviceaccount:demo:builder"


def source(**options: Any) -> dict[str, Any]:
    """The options as a module gets them: with defaults, in their types."""
    validation = ArgumentSpecValidator(credentials.SOURCE).validate(options)
    assert not validation.error_messages
    result: dict[str, Any] = validation.validated_parameters
    return result


def jwt(**claims: Any) -> str:
    def part(value: Any) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")

    return f"{part({'alg': 'RS256'})}.{part(claims)}.c2ln"


def bound(**claims: Any) -> str:
    return jwt(**{"sub": SUBJECT, "exp": NOW + 80_000, "aud": ["https://kubernetes.default.svc"], **claims})


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (
            {"username": "ann"},
            "give exactly one of password, password_file, password_env, service_account, secret, ecr.",
        ),
        ({"username": "ann", "password": "x", "password_env": "Y"}, "not password and password_env."),
        ({"password": "x"}, "username is missing"),
        ({"username": "a:b", "password": "x"}, "has a colon"),
        ({"username": "ann", "password": ""}, "password is empty"),
        ({"username": "ann", "password": "x\n"}, "password has a line break"),
        ({"username": "ann", "password": "x", "force_renew": True}, "are for service_account"),
        ({"username": "ann", "password": "x", "renew_before": 5}, "are for service_account"),
        ({"secret": SECRET, "renew_before": 5}, "is for service_account and ecr"),
        ({"secret": {**SECRET, "cluster": {"ca_cert": "/ca.crt"}}}, "secret.cluster names no cluster"),
        ({"service_account": {**ACCOUNT, "kind": "secret"}}, "needs secret_name"),
        ({"service_account": {**ACCOUNT, "secret_name": "x"}}, "is for kind: secret"),
        ({"service_account": {**ACCOUNT, "expires_in": 599}}, "at least 600 seconds"),
        (
            {"service_account": {**ACCOUNT, "expires_in": 3600}, "renew_before": 3600},
            "every run would make a new token",
        ),
    ],
)
def test_what_cannot_be_meant_is_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match="registries") as refusal:
        credentials.check_source(source(**options), "registries[0]")
    assert said in str(refusal.value)


@pytest.mark.parametrize(
    "options",
    [
        {"username": "ann", "password": "x"},
        {"username": "ann", "password_file": "x"},
        {"username": "ann", "password_env": "x"},
        {"service_account": ACCOUNT},
        {"service_account": ACCOUNT, "renew_before": 0, "force_renew": True},
        {"service_account": {**ACCOUNT, "kind": "secret", "secret_name": "builder-token"}},
    ],
)
def test_what_can_be_meant(options: dict[str, Any]) -> None:
    credentials.check_source(source(**options), "registries[0]")


def read(environment: dict[str, str], **options: Any) -> tuple[str | None, str]:
    return credentials.read_local(source(username="ann", **options), "x", environment)


def test_passwords_from_files_and_the_environment(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("from a file\n")
    file.chmod(0o600)
    assert read({}, password_file=str(file)) == ("from a file", "")
    file.chmod(0o644)
    assert read({}, password_file=str(file)) == (
        "from a file",
        f"{file} holds a password and others may read it (mode 0644): chmod 600 it.",
    )
    assert read({"TOKEN": "from the environment"}, password_env="TOKEN") == ("from the environment", "")
    assert read({}, password="given") == (None, "")


def test_passwords_that_are_not_there(tmp_path: Path) -> None:
    (tmp_path / "empty").write_text("\n")
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    for options, said in [
        ({"password_file": str(tmp_path / "none")}, "cannot be read where Ansible runs: No such file"),
        ({"password_file": str(tmp_path)}, "cannot be read where Ansible runs: Is a directory"),
        ({"password_file": str(tmp_path / "binary")}, "it is not text"),
        ({"password_file": str(tmp_path / "empty")}, "is empty"),
        ({"password_env": "NONE"}, "has no variable NONE"),
        ({"password_env": "EMPTY"}, "variable EMPTY is empty"),
    ]:
        with pytest.raises(InputError) as refusal:
            read({"EMPTY": ""}, **options)
        assert said in str(refusal.value)


def test_what_a_token_says_of_itself() -> None:
    assert credentials.jwt_expiry(bound()) == NOW + 80_000
    assert credentials.jwt_claims(jwt(sub="x")) == {"sub": "x"}
    assert credentials.jwt_expiry(jwt(sub="x")) is None
    for other in ("", "sha256~abc", "a.b.c", "x.W10.y", "a.b", "ä.ä.ä"):
        assert credentials.jwt_claims(other) is None


def why(stored: Credential | None, **options: Any) -> str | None:
    return credentials.why_renew(stored, source(**options), NOW)


def test_a_given_password_is_compared() -> None:
    options = {"username": "ann", "password": "new"}
    assert why(None, **options) == "none is stored"
    assert why(Credential("ann", "new"), **options) is None
    assert why(Credential("ann", "old"), **options) == "the password differs"
    assert why(Credential("bob", "new"), **options) == "the user name was bob"


@pytest.mark.parametrize(
    ("token", "options", "expected"),
    [
        (bound(), {}, None),
        (bound(exp=NOW + 43_201), {}, None),
        (bound(exp=NOW + 43_200), {}, "the token expires at 2027-01-15T20:00:00Z"),
        (bound(exp=NOW + 43_200), {"renew_before": 600}, None),
        (bound(exp=NOW), {"renew_before": 0}, "the token has expired at 2027-01-15T08:00:00Z"),
        (bound(), {"force_renew": True}, "force_renew is set"),
        (bound(sub="system:serviceaccount:demo:other"), {}, "is the token of system:serviceaccount:demo:other"),
        (jwt(sub=SUBJECT), {}, "does not expire"),
        ("sha256~user-token", {}, "is not the token of a service account"),
        (bound(), {"audiences": ["vault"]}, "the audiences differ"),
        (bound(aud=["b", "a"]), {"audiences": ["a", "b"]}, None),
        (bound(aud="a"), {"audiences": ["a"]}, None),
    ],
)
def test_when_a_bound_token_is_renewed(token: str, options: dict[str, Any], expected: str | None) -> None:
    audiences = options.pop("audiences", [])
    reason = why(Credential("builder", token), service_account={**ACCOUNT, "audiences": audiences}, **options)
    assert (reason is None) if expected is None else (reason is not None and expected in reason)


def test_a_token_of_less_life_than_asked_for_is_warned_of() -> None:
    entry = source(service_account=ACCOUNT)
    assert credentials.too_short(entry, NOW + 86400, NOW) == ""
    assert credentials.too_short(entry, None, NOW) == ""
    assert credentials.too_short(entry, NOW + 3600, NOW) == (
        "The token of service account demo/builder lives for 3600 seconds only (asked for: 86400), so that every run makes a"
        " new one: set renew_before to less."
    )
    assert credentials.too_short({**entry, "renew_before": 600}, NOW + 3600, NOW) == ""


def test_the_token_of_a_secret_is_known_by_its_name() -> None:
    account = {**ACCOUNT, "kind": "secret", "secret_name": "builder-token"}
    kept = {"sub": SUBJECT, "kubernetes.io/serviceaccount/secret.name": "builder-token"}
    assert why(Credential("builder", jwt(**kept)), service_account=account) is None
    other = {**kept, "kubernetes.io/serviceaccount/secret.name": "older-token"}
    assert why(Credential("builder", jwt(**other)), service_account=account)
    assert why(Credential("builder", bound()), service_account=account)


def test_the_user_name_of_a_service_account_is_its_own_unless_given() -> None:
    assert credentials.username(source(service_account=ACCOUNT)) == "builder"
    assert credentials.username(source(service_account=ACCOUNT, username="x")) == "x"
