"""What Quay does with tags by itself: auto-prune and immutability policies, of organizations, repositories and users.

Real: auto-prune takes any pattern, immutability only regular expressions; a second policy of the same content is refused.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Callable
from typing import TYPE_CHECKING

from aiohttp import web

from . import answers
from .access import find_repository, require
from .call import Call, Routes
from .database import Row

if TYPE_CHECKING:
    from .server import Quay

prune = Routes("AUTO_PRUNE")
immutability = Routes("IMMUTABLE_TAGS")
_TYPES = {"method": "string", "tagPattern": "string", "tagPatternMatches": "boolean"}
_METHODS = {"number_of_tags", "creation_date"}
_Owner = Callable[[Call], "tuple[str, Row | None]"]


def _prune_policy(call: Call) -> Row:
    body = call.json(_TYPES, ("method", "value"))
    if body["method"] not in _METHODS:
        raise call.invalid("Invalid method provided")
    value = body["value"]
    number = isinstance(value, int) and not isinstance(value, bool) and value > 0
    age = isinstance(value, str) and re.fullmatch(r"\d+[smhdw]", value)
    if not (number if body["method"] == "number_of_tags" else age):
        raise call.invalid("Invalid value given for method type")
    if body.get("tagPattern") == "":
        raise call.invalid("tag_pattern cannot be empty")
    matches = body.get("tagPatternMatches", True)
    return {
        "method": body["method"],
        "value": value,
        "tagPattern": body.get("tagPattern"),
        "tagPatternMatches": matches,
    }


def _immutability_policy(call: Call) -> Row:
    body = call.json(_TYPES, ("tagPattern",))
    try:
        re.compile(f"({body['tagPattern']})")
    except re.error as error:
        raise call.invalid(f"Invalid regex pattern: {error}") from None
    return {"tagPattern": body["tagPattern"], "tagPatternMatches": body.get("tagPatternMatches", True)}


def makes_immutable(quay: Quay, repository: Row, tag: str) -> bool:
    """Whether a policy makes new tags of this name immutable."""
    text = "SELECT content FROM policy WHERE kind = 'immutability' AND (repository = ? OR namespace = ?)"
    rules = [json.loads(row["content"]) for row in quay.database.all(text, repository["id"], repository["namespace"])]
    return any(bool(re.match(rule["tagPattern"], tag)) == rule["tagPatternMatches"] for rule in rules)


def _organization(call: Call) -> tuple[str, Row | None]:
    found = call.database.account(call.parameters["orgname"], "organization")
    call.allow(call.administers(found) or (found is None and call.full_access))
    return "namespace", found


def _myself(call: Call) -> tuple[str, Row | None]:
    user = call.login()
    call.allow(call.has("user:admin"))
    return "namespace", user


def _repository(call: Call) -> tuple[str, Row | None]:
    if call.full_access and find_repository(call) is None:
        return "repository", None
    return "repository", require(call, "admin", "repo:admin")


def _register(routes: Routes, kind: str, path: str, owner: _Owner, names: tuple[str, str]) -> None:
    """Policies of one kind below a path."""
    read, duplicate = {
        "prune": (_prune_policy, "Existing policy with same values for this namespace, duplicate policies are not permitted"),
        "immutability": (_immutability_policy, "A policy with the same tag_pattern already exists"),
    }[kind]  # fmt: skip

    def found(call: Call) -> tuple[str, Row | None, list[Row]]:
        column, who = owner(call)
        text = f"SELECT * FROM policy WHERE kind = ? AND {column} = ? ORDER BY rowid"
        rows = call.database.all(text, kind, who["id"]) if who else []
        return column, who, [{"uuid": row["uuid"], **json.loads(row["content"])} for row in rows]

    def item(call: Call) -> Row:
        items = found(call)[2]
        for policy in items:
            if policy["uuid"] == call.parameters["policy_uuid"]:
                return policy
        raise call.not_found()

    def listed(call: Call) -> web.Response:
        return answers.answer({"policies": found(call)[2]})

    def create(call: Call) -> web.Response:
        column, who, others = found(call)
        if who is None and kind == "immutability" and "orgname" in call.parameters:
            raise answers.message(400, f"Username does not exist: {call.parameters['orgname']}")
        if who is None:
            raise call.not_found()
        new = {"uuid": str(uuid.uuid4()), **read(call)}
        same = ("tagPattern",) if kind == "immutability" else ("method", "value", "tagPattern", "tagPatternMatches")
        if any(all(other[key] == new[key] for key in same) for other in others):
            raise call.invalid(duplicate)
        content = json.dumps({key: value for key, value in new.items() if key != "uuid"})
        call.database.insert("policy", uuid=new["uuid"], kind=kind, content=content, **{column: who["id"]})
        return answers.answer({"uuid": new["uuid"]}, 201)

    def one(call: Call) -> web.Response:
        return answers.answer(item(call))

    def change(call: Call) -> web.Response:
        call.database.update("policy", "uuid", item(call)["uuid"], content=json.dumps(read(call)))
        return answers.answer(None, 204)

    def delete(call: Call) -> web.Response:
        policy = item(call)["uuid"]
        call.database.delete("policy", "uuid", policy)
        return answers.answer({"uuid": policy})

    one_name, all_name = names
    routes("GET", path, f"list{all_name}")(listed)
    routes("POST", path, f"create{one_name}")(create)
    routes("GET", f"{path}{{policy_uuid}}", f"get{one_name}")(one)
    routes("PUT", f"{path}{{policy_uuid}}", f"update{one_name}")(change)
    routes("DELETE", f"{path}{{policy_uuid}}", f"delete{one_name}")(delete)


for _path, _owner, _name in (
    ("/api/v1/organization/{orgname}", _organization, "Organization"),
    ("/api/v1/repository/{repository}", _repository, "Repository"),
    ("/api/v1/user", _myself, "User"),
):
    _names = (f"{_name}AutoPrunePolicy", f"{_name}AutoPrunePolicies")
    _register(prune, "prune", f"{_path}/autoprunepolicy/", _owner, _names)
    if _name != "User":
        _short = _name.replace("Organization", "Org")
        _names = (f"{_short}ImmutabilityPolicy", f"{_short}ImmutabilityPolicies")
        _register(immutability, "immutability", f"{_path}/immutabilitypolicy/", _owner, _names)
