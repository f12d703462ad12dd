# Copyright (c) 2026, quayside.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sources of credentials, and when one has to be asked for anew. Standard library only.

A source is lazy: whoever stores a credential looks at what is stored first, and asks the source only when ``why_renew`` says
so. The value itself is made elsewhere (``openshift.sources``).
"""

from __future__ import annotations

import base64
import binascii
import datetime
import json
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible_collections.quayside.registry.plugins.module_utils.errors import InputError
from ansible_collections.quayside.registry.plugins.module_utils.oci.auth import Credential

#: Seconds that a bound token lives unless told otherwise: a run every half of it renews in time.
_EXPIRES_IN = 24 * 3600
_SHORTEST = 600  # Kubernetes: TokenRequest refuses less

#: Seconds that a token of Amazon ECR lives; AWS offers no other life. Its user name is always the same.
_ECR_LIFE = 12 * 3600
ECR_USER = "AWS"

#: Another cluster than the one that the module connects to.
_CLUSTER: dict[str, Any] = {
    "type": "dict",
    "options": {
        "kubeconfig": {"type": "path"},
        "context": {"type": "str"},
        "host": {"type": "str"},
        "api_key": {"type": "str", "no_log": True},
        "ca_cert": {"type": "path"},
        "validate_certs": {"type": "bool"},
    },
}

#: The options of a source, for the argument spec of an entry.
SOURCE: dict[str, dict[str, Any]] = {
    "username": {"type": "str"},
    "password": {"type": "str", "no_log": True},
    "password_file": {"type": "str", "no_log": False},
    "password_env": {"type": "str", "no_log": False},
    "service_account": {
        "type": "dict",
        "options": {
            "name": {"type": "str", "required": True},
            "namespace": {"type": "str", "required": True},
            "kind": {"type": "str", "choices": ["bound", "secret"], "default": "bound"},
            "secret_name": {"type": "str", "no_log": False},
            "expires_in": {"type": "int", "default": _EXPIRES_IN},
            "audiences": {"type": "list", "elements": "str", "default": []},
            "cluster": _CLUSTER,
        },
    },
    "secret": {
        "type": "dict",
        "no_log": False,
        "options": {
            "name": {"type": "str", "required": True},
            "namespace": {"type": "str", "required": True},
            "username_key": {"type": "str", "default": "username"},
            "password_key": {"type": "str", "no_log": False, "default": "password"},
            "cluster": _CLUSTER,
        },
    },
    "ecr": {
        "type": "dict",
        "options": {
            "region": {"type": "str"},
            "profile": {"type": "str"},
            "role_arn": {"type": "str"},
        },
    },
    "renew_before": {"type": "int"},
    "force_renew": {"type": "bool", "default": False},
}

#: The options of one registry's credential.
LOGIN: dict[str, dict[str, Any]] = {
    "registry": {"type": "str", "required": True},
    **SOURCE,
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
}

_SOURCES = ("password", "password_file", "password_env", "service_account", "secret", "ecr")


def check_source(entry: Mapping[str, Any], what: str) -> None:
    """Refuse a source that cannot be meant (InputError). ``entry`` has passed the argument spec ``SOURCE``."""
    given = [name for name in _SOURCES if entry[name] is not None]
    if len(given) != 1:
        raise InputError(
            f"{what}: give exactly one of {', '.join(_SOURCES)}" + (f", not {' and '.join(given)}." if given else ".")
        )
    for name in ("service_account", "secret"):
        if entry[name] is not None and entry[name]["cluster"] is not None:
            _check_cluster(entry[name]["cluster"], f"{what}: {name}.cluster")
    if entry["service_account"] is not None:
        _check_account(entry["service_account"], entry["renew_before"], what)
    elif entry["secret"] is not None:
        if entry["renew_before"] is not None:
            raise InputError(f"{what}: renew_before is for service_account and ecr: a Secret holds what it holds.")
    elif entry["ecr"] is not None:
        if entry["username"] not in (None, ECR_USER):
            raise InputError(f"{what}: username is always {ECR_USER} with ecr: leave it out.")
        if entry["renew_before"] is not None and not 0 <= entry["renew_before"] < _ECR_LIFE:
            raise InputError(
                f"{what}: renew_before must be less than the {_ECR_LIFE} seconds that a token of ECR lives: else every run would"
                " make a new one."
            )
    else:
        if not entry["username"]:
            raise InputError(f"{what}: username is missing. With a token of OpenShift any name will do.")
        if entry["renew_before"] is not None or entry["force_renew"]:
            raise InputError(
                f"{what}: renew_before and force_renew are for service_account and ecr: a given value is what it is."
            )
    if ":" in (entry["username"] or ""):
        raise InputError(f"{what}: username has a colon, which separates it from the password.")
    if entry["password"] is not None:
        check_password(entry["password"], f"{what}: password")


def _check_cluster(cluster: Mapping[str, Any], what: str) -> None:
    if not (cluster["kubeconfig"] or cluster["context"] or cluster["host"]):
        raise InputError(
            f"{what} names no cluster: set kubeconfig, context, or host and api_key. Leave it out for the cluster that the other"
            " options connect to."
        )
    if cluster["host"] and not (cluster["api_key"] or cluster["kubeconfig"]):
        raise InputError(f"{what}.host needs api_key, the token to connect with.")


def _check_account(account: Mapping[str, Any], before: int | None, what: str) -> None:
    if account["kind"] == "secret":
        if not account["secret_name"]:
            raise InputError(f"{what}: service_account.kind secret needs secret_name, the Secret that holds the token.")
        return
    if account["secret_name"]:
        raise InputError(f"{what}: service_account.secret_name is for kind: secret.")
    if account["expires_in"] < _SHORTEST:
        raise InputError(f"{what}: service_account.expires_in must be at least {_SHORTEST} seconds.")
    if before is not None and not 0 <= before < account["expires_in"]:
        raise InputError(
            f"{what}: renew_before must be less than service_account.expires_in ({account['expires_in']} seconds): else every"
            " run would make a new token."
        )


def check_password(password: str, what: str) -> None:
    if not password:
        raise InputError(f"{what} is empty.")
    if "\n" in password or "\r" in password:
        raise InputError(f"{what} has a line break in it.")


def read_local(entry: Mapping[str, Any], what: str, environment: Mapping[str, str]) -> tuple[str | None, str]:
    """The password that a file or the environment holds (None: it comes from elsewhere), and a warning or an empty text."""
    if entry["password_env"] is not None:
        name = entry["password_env"]
        if name not in environment:
            raise InputError(f"{what}: password_env: the environment has no variable {name} where Ansible runs.")
        check_password(environment[name], f"{what}: the environment variable {name}")
        return environment[name], ""
    if entry["password_file"] is None:
        return None, ""
    path = Path(entry["password_file"]).expanduser()
    try:
        password = path.read_text().rstrip("\r\n")
        mode = stat.S_IMODE(path.stat().st_mode)
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not text"
        raise InputError(f"{what}: password_file {path} cannot be read where Ansible runs: {reason}.") from error
    check_password(password, f"{what}: password_file {path}")
    warning = f"{path} holds a password and others may read it (mode {mode:04o}): chmod 600 it." if mode & 0o077 else ""
    return password, warning


def is_asked_for(entry: Mapping[str, Any]) -> bool:
    """Whether the source makes a credential when it is asked (``openshift.sources``), so that it is asked only when needed."""
    return any(entry[name] is not None for name in ("service_account", "secret", "ecr"))


def username(entry: Mapping[str, Any]) -> str:
    """The user name to store; empty where only a Secret knows it. OpenShift looks at nothing but a service account's token."""
    if entry["ecr"] is not None:
        return ECR_USER
    return str(entry["username"] or (entry["service_account"] or {}).get("name", ""))


def renew_before(entry: Mapping[str, Any]) -> int:
    """Seconds before its end from which on a token is replaced."""
    given: int | None = entry["renew_before"]
    life = _ECR_LIFE if entry["ecr"] is not None else int(entry["service_account"]["expires_in"])
    return life // 2 if given is None else given


def too_short(entry: Mapping[str, Any], expires_at: int | None, now: float) -> str:
    """A warning of a new token that the API server gave less life than it is wanted to have left; else an empty text."""
    if expires_at is None or expires_at - now > renew_before(entry):
        return ""
    account = entry["service_account"]
    asked = f" (asked for: {account['expires_in']})" if account is not None else ""
    return (
        f"The token of {describe(entry)} lives for {expires_at - now:.0f} seconds only{asked}, so that every run makes a new"
        " one: set renew_before to less."
    )


def describe(entry: Mapping[str, Any]) -> str:
    """Where the credential comes from, for messages."""
    account = entry["service_account"]
    if account is not None:
        return f"service account {account['namespace']}/{account['name']}"
    if entry["secret"] is not None:
        return f"Secret {entry['secret']['namespace']}/{entry['secret']['name']}"
    return "Amazon ECR" if entry["ecr"] is not None else f"user {entry['username']}"


def jwt_claims(token: str) -> dict[str, Any] | None:
    """What a JSON Web Token says of itself, not verified; None for anything else."""
    parts = token.split(".")
    if len(parts) != 3:
        return None
    try:
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except (ValueError, binascii.Error):
        return None
    return claims if isinstance(claims, dict) else None


def jwt_expiry(token: str) -> int | None:
    """When a token ends, in seconds since the epoch; None when it does not, or does not say."""
    end = (jwt_claims(token) or {}).get("exp")
    return int(end) if isinstance(end, (int, float)) else None


def expiry(password: str) -> int | None:
    """When a password ends that says so itself: a JSON Web Token, or a token of Amazon ECR."""
    return jwt_expiry(password) or _ecr_expiry(password)


def _ecr_expiry(token: str) -> int | None:
    """Amazon ECR: the token is base64 of an object with ``payload``, ``datakey``, ``version``, ``type``, ``expiration``."""
    try:
        content = json.loads(base64.b64decode(token, validate=True))
        return int(content["expiration"])
    except (ValueError, TypeError, KeyError):
        return None


def why_renew(
    stored: Credential | None, entry: Mapping[str, Any], now: float, expires_at: int | None = None
) -> str | None:
    """Why the stored credential is not the wanted one, or not for long; None while it is good.

    ``expires_at``: what was recorded of its end, for one that does not say so itself.
    """
    if stored is None:
        return "none is stored"
    if stored.username != username(entry) and (entry["secret"] is None or entry["username"]):
        return f"the user name was {stored.username}"
    if not is_asked_for(entry):
        return None if stored.password == entry["password"] else "the password differs"
    if entry["force_renew"]:
        return "force_renew is set"
    if entry["secret"] is not None:
        return None  # the registry tells when it is not good any more
    if entry["ecr"] is not None:
        end = expiry(stored.password) or expires_at
        return "what is stored does not say when it expires" if end is None else _why_ending(end, entry, now)
    account = entry["service_account"]
    claims = jwt_claims(stored.password)
    if claims is None:
        return "what is stored is not the token of a service account"
    subject = f"system:serviceaccount:{account['namespace']}:{account['name']}"
    if claims.get("sub") != subject:
        return f"what is stored is the token of {claims.get('sub')}"
    end = jwt_expiry(stored.password)
    if account["kind"] == "secret":
        secret = claims.get("kubernetes.io/serviceaccount/secret.name")
        return None if secret == account["secret_name"] else "what is stored is not the token of this Secret"
    if end is None:
        return "what is stored is a token that does not expire"
    if account["audiences"] and set(account["audiences"]) != set(_audiences(claims)):
        return "the audiences differ"
    return _why_ending(end, entry, now)


def _why_ending(end: int, entry: Mapping[str, Any], now: float) -> str | None:
    if end - now <= renew_before(entry):
        return f"the token {'expires' if end > now else 'has expired'} at {timestamp(end)}"
    return None


def timestamp(seconds: int) -> str:
    return datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def epoch(text: str) -> int:
    """The seconds of a ``timestamp``. Raises ValueError."""
    return int(datetime.datetime.strptime(text, "%Y-%m-%dT%H:%M:%S%z").timestamp())


def _audiences(claims: Mapping[str, Any]) -> list[str]:
    found = claims.get("aud") or []
    return [found] if isinstance(found, str) else list(found)
