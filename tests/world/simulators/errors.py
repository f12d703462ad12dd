"""Kubernetes Status objects, worded as the real API servers word them."""

from __future__ import annotations

from typing import Any

Object = dict[str, Any]


class ApiError(Exception):
    """A refusal: the HTTP status and the Status object of the answer."""

    def __init__(self, code: int, reason: str, message: str, details: Object | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.status: Object = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": message,
            "reason": reason,
            "details": details or {},
            "code": code,
        }


def not_found(plural: str, group: str, name: str) -> ApiError:
    """404: `imagestreams.image.openshift.io "x" not found`; the core group has no suffix."""
    details = {"name": name, "group": group, "kind": plural} if group else {"name": name, "kind": plural}
    return ApiError(404, "NotFound", f'{_qualified(plural, group)} "{name}" not found', details)


def already_exists(plural: str, group: str, name: str) -> ApiError:
    """409 of a create."""
    message = f'{_qualified(plural, group)} "{name}" already exists'
    return ApiError(409, "AlreadyExists", message, {"name": name, "group": group, "kind": plural})


def conflict(plural: str, group: str, name: str) -> ApiError:
    """409 of an update whose resourceVersion is not the newest."""
    message = (
        f'Operation cannot be fulfilled on {_qualified(plural, group)} "{name}": the object has been modified; '
        "please apply your changes to the latest version and try again"
    )
    return ApiError(409, "Conflict", message, {"name": name, "group": group, "kind": plural})


def forbidden(plural: str, group: str, name: str, why: str) -> ApiError:
    """403: `projects.project.openshift.io "x" is forbidden: why`."""
    subject = f'{_qualified(plural, group)} "{name}"' if name else _qualified(plural, group)
    details = {"name": name, "group": group, "kind": plural} if name else {"group": group, "kind": plural}
    return ApiError(403, "Forbidden", f"{subject} is forbidden: {why}", details)


def invalid(kind: str, group: str, name: str, causes: list[tuple[str, str, str]]) -> ApiError:
    """422; causes are (reason, message, field), for example ("FieldValueRequired", "Required value", "spec.x")."""
    texts = [f"{field}: {message}" for _reason, message, field in causes]
    joined = texts[0] if len(texts) == 1 else f"[{', '.join(texts)}]"
    details = {
        "name": name,
        "group": group,
        "kind": kind,
        "causes": [{"reason": reason, "message": message, "field": field} for reason, message, field in causes],
    }
    return ApiError(422, "Invalid", f'{kind}.{group} "{name}" is invalid: {joined}', details)


def bad_request(message: str) -> ApiError:
    """400."""
    return ApiError(400, "BadRequest", message)


def method_not_allowed(plural: str, group: str, verb: str) -> ApiError:
    """405."""
    message = f"{verb} is not supported on resources of kind {_qualified(plural, group)!r}".replace("'", '"')
    return ApiError(405, "MethodNotAllowed", message, {"group": group, "kind": plural})


def success(plural: str, group: str, name: str, uid: str) -> Object:
    """The Status object that a DELETE answers."""
    return {
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success",
        "details": {"name": name, "group": group, "kind": plural, "uid": uid},
    }  # fmt: skip


def _qualified(plural: str, group: str) -> str:
    return f"{plural}.{group}" if group else plural
