# Copyright (c) 2026, quayside.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Changes of a Quay: each with its requests, in an order that is safe. Reading many things at the same time."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import quote

from ansible_collections.quayside.registry.plugins.module_utils.errors import Conflict
from ansible_collections.quayside.registry.plugins.module_utils.plan import Change
from ansible_collections.quayside.registry.plugins.module_utils.quay.client import MissingApi, Quay, QuayError

#: Requests at the same time. Quay has few workers, and a request with a token keeps one busy for 0.4 s.
WORKERS = 8

# The order of changes
USER, ORGANIZATION, TEAM_AND_ROBOT, REPOSITORY_AND_MEMBER, PERMISSION, DEFAULT = range(6)
# (a robot that a mirror uses goes after its repository)
TAKE_AWAY, DELETE, DELETE_ROBOT, DELETE_ORGANIZATION = range(6, 10)

#: Quay's words for what is there already, and for what is gone already (400 as well as 404; recorded).
_EXISTS = re.compile(r"already exists|Existing robot|already a member|already been taken|Existing policy")
_GONE = re.compile(
    r"does not have permission for repo|Could not find robot|is not a team in org|does not belong to team|does not exist"
)


#: What Quay's config.yaml calls the features that it may lack.
_FEATURES = {
    r"/quota": "FEATURE_QUOTA_MANAGEMENT",
    r"/proxycache": "FEATURE_PROXY_CACHE",
    r"/autoprunepolicy/": "FEATURE_AUTO_PRUNE",
    r"/immutabilitypolicy/": "FEATURE_IMMUTABLE_TAGS",
    r"/superuser/": "FEATURE_SUPER_USERS",
    r"/organization/[^/]+/mirror$": "FEATURE_ORG_MIRROR",
    r"/syncing$": "FEATURE_TEAM_SYNCING",
    r"/invite/": "FEATURE_MAILING",
}


def _needed(error: QuayError, method: str, path: str) -> QuayError:
    """The error, which says what whoever asks must be allowed, or what has to come before."""
    if "used by a mirror" in error.text:
        text = f"{error} Give the mirror another robot. Of a repository that is gone Quay forgets the mirror after a while."
        return QuayError(text, error.status, error.text, error.kind)
    if error.status != 403 or error.kind != "insufficient_scope":
        return error
    if re.search(r"/superuser/|/api/v1/message|/syncing$", path) or (method != "GET" and "/quota" in path):
        scope, who = "super:user", "a superuser, who is not one that can only read"
    elif path == "/api/v1/repository" and method == "POST":
        scope, who = "repo:create", "a member of a team with the role creator or admin"
    elif path.startswith("/api/v1/user/starred"):
        scope, who = "user:admin", "somebody who may read the repository"
    elif path.startswith("/api/v1/repository"):
        scope, who = "repo:admin", "an administrator of the repository"
    else:
        scope, who = "org:admin", "an administrator of the organization"
    text = f"{error} It takes {who}; of a token the scope {scope}."
    return QuayError(text, error.status, error.text, error.kind)


def lacks(error: MissingApi, path: str) -> MissingApi:
    """The error, which names the feature."""
    key = next((key for part, key in _FEATURES.items() if re.search(part, path)), "")
    if path.endswith("/tokens"):
        return MissingApi(f"{error} Applications have tokens with names in Quay 3.18 and newer.", error.status)
    if not key:
        return error
    return MissingApi(
        f"{error} The feature is {key}: turn it on, or take what needs it out of the document.", error.status
    )


@dataclasses.dataclass(frozen=True)
class Call:
    """One request. Its path may depend on what requests before it have made."""

    method: str
    path: str | Callable[[Quay], str]
    body: Any = None


def change(
    kind: str, organization: str, name: str, before: Any, after: Any, stage: int, *calls: Call, action: str = ""
) -> Change:
    """A change with its calls, one after the other. None is what is not there."""
    action = action or ("create" if before is None else "delete" if after is None else "update")
    return Change(action, kind, name, organization, before, after, stage, calls)


def segment(name: str) -> str:
    """A name as part of a path."""
    return quote(name, safe="+")


def write(quay: Quay, change: Change) -> Any:
    """Carry out a change; the last answer. What is gone already is deleted; what somebody else has just made is a Conflict."""
    answer = None
    for call in change.request:
        path = call.path if isinstance(call.path, str) else call.path(quay)
        try:
            answer = quay.request(call.method, path, call.body, about=str(change))
        except MissingApi as error:
            raise lacks(error, path) from error
        except QuayError as error:
            if change.action == "delete" and (
                error.status == 404 or (error.status == 400 and _GONE.search(error.text))
            ):
                continue
            if change.action == "create" and error.status == 400 and _EXISTS.search(error.text):
                raise Conflict(str(error)) from error
            raise _needed(error, call.method, path) from error
    return answer


def read(quay: Quay, paths: Iterable[str], answers: dict[str, Any]) -> None:
    """Ask for these, and add what they answer: None where there is no such thing. Lists that come in pages are read to their end.

    Raises RegistryError that names the feature where Quay lacks it.
    """

    def ask(path: str) -> Any:
        about = f"read {path}"
        try:
            if path.startswith("/api/v1/repository?"):
                return {"repositories": quay.pages(path, "repositories", about)}
            if "/tag/?limit=100&" in path:
                return {"tags": quay.numbered_pages(path, "tags", about)}
            if path.endswith("/tokens"):
                return {"tokens": quay.pages(path, "tokens", about)}
            return quay.request("GET", path, about=about)
        except MissingApi as error:
            raise lacks(error, path) from error
        except QuayError as error:
            if error.status == 404:
                return None
            raise _needed(error, "GET", path) from error

    asked = [path for path in dict.fromkeys(paths) if path not in answers]
    if asked:
        with ThreadPoolExecutor(max_workers=min(WORKERS, len(asked))) as pool:
            answers.update(zip(asked, pool.map(ask, asked), strict=True))


def organization_path(organization: str, *rest: str) -> str:
    return "/".join(["/api/v1/organization", segment(organization), *map(segment, rest)])


def repository_path(organization: str, repository: str, rest: str = "") -> str:
    return f"/api/v1/repository/{segment(organization)}/{repository}{rest}"


def differences(before: Mapping[str, Any], wanted: Mapping[str, Any]) -> dict[str, Any]:
    """What is wanted (not None) and is not so."""
    return {key: value for key, value in wanted.items() if value is not None and before.get(key) != value}
