"""The repository that a call is about, for who has a role in it.

Real: a missing one is 403 (anonymous: 401) for who is no superuser, as a private one is.
"""

from __future__ import annotations

from .call import Call
from .database import Row


def find_repository(call: Call) -> Row | None:
    """The repository of the path, whoever asks."""
    namespace = call.database.account(call.parameters["namespace"], "user", "organization")
    return call.quay.repository(namespace, call.parameters["name"]) if namespace else None


def require(call: Call, role: str, scope: str) -> Row:
    """The repository, for who has the role in it."""
    found = find_repository(call)
    if found is None:
        if call.full_access:
            raise call.not_found()
        call.allow(False)
    allowed = call.quay.may(call.user, found or {}, role) or call.full_access
    if role == "read" and (found or {})["is_public"]:
        return found or {}
    call.allow(allowed and call.has(scope, "repo:admin"))
    return found or {}
