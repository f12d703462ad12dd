# Copyright (c) 2026, quayside.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where nodes look for images instead of their source: ImageDigestMirrorSets and ImageTagMirrorSets."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Mapping
from typing import Any

from ansible_collections.quayside.registry.plugins.module_utils.errors import InputError, RegistryError
from ansible_collections.quayside.registry.plugins.module_utils.openshift import node_rollout
from ansible_collections.quayside.registry.plugins.module_utils.openshift.client import ApiError, Cluster
from ansible_collections.quayside.registry.plugins.module_utils.openshift.image_sources import check_place, check_source
from ansible_collections.quayside.registry.plugins.module_utils.openshift.names import check_object
from ansible_collections.quayside.registry.plugins.module_utils.openshift.objects import (
    IMAGE_CONTENT_SOURCE_POLICY,
    IMAGE_DIGEST_MIRROR_SET,
    IMAGE_TAG_MIRROR_SET,
    Object,
    changes,
    is_ours,
    name_of,
    new,
)
from ansible_collections.quayside.registry.plugins.module_utils.plan import Plan

#: The option ``kind`` → kind of object, and the field of its spec with the mirrors.
KINDS = {
    "digest": (IMAGE_DIGEST_MIRROR_SET, "imageDigestMirrors"),
    "tag": (IMAGE_TAG_MIRROR_SET, "imageTagMirrors"),
}

#: What a missing mirrorSourcePolicy means.
_ALLOW, _NEVER = "AllowContactingSource", "NeverContactSource"

_Key = tuple[str, str]  # digest or tag, name


@dataclasses.dataclass(frozen=True)
class Mirrors:
    """The mirrors of one source as wanted. An empty policy is left as it is."""

    kind: str
    name: str
    source: str
    present: bool
    mirrors: tuple[str, ...] = ()
    policy: str = ""

    def merged(self, before: Mapping[str, Any]) -> Object:
        """The source's entry as it will be."""
        entry = {**before, "source": self.source, "mirrors": list(self.mirrors)}
        if self.policy and self.policy != before.get("mirrorSourcePolicy", _ALLOW):
            entry["mirrorSourcePolicy"] = self.policy
        return entry


@dataclasses.dataclass(frozen=True)
class State:
    """The mirror sets there are, and the deprecated policies."""

    sets: Mapping[_Key, Object]
    policies: list[Object] = dataclasses.field(default_factory=list)


class ImageMirrors:
    """The module ``image_mirrors``. Its constructor raises InputError for what cannot be meant."""

    def __init__(self, params: Mapping[str, Any]) -> None:
        self._purge, self._wait = bool(params["purge"]), bool(params["wait"])
        self._timeout = float(params["wait_timeout"])
        self._pools: list[Object] | None = None
        self._sets: dict[_Key, dict[str, Mirrors]] = {}
        for index, entry in enumerate(params["mirrors"]):
            where = f"mirrors[{index}]"
            wanted = parse(entry, where)
            sources = self._sets.setdefault((wanted.kind, wanted.name), {})
            if sources.setdefault(wanted.source, wanted) != wanted:
                raise InputError(f"{where}: {wanted.source} is listed before with other values. List each source once.")

    def read(self, cluster: Cluster) -> State:
        """Three concurrent requests, and the pools where they are waited for."""
        if self._wait:
            self._pools = node_rollout.read_pools(cluster)
        digests, tags, policies = cluster.map(
            lambda read: read(),
            [
                lambda: cluster.list_objects(IMAGE_DIGEST_MIRROR_SET),
                lambda: cluster.list_objects(IMAGE_TAG_MIRROR_SET),
                lambda: _policies(cluster),
            ],
        )
        found = {("digest", name_of(item)): item for item in digests} | {("tag", name_of(item)): item for item in tags}
        return State(found, policies)

    def plan(self, state: State) -> Plan:
        plan = Plan(result={"mirror_sets": []})
        after: dict[_Key, list[Object]] = {key: _entries(key, item) for key, item in state.sets.items()}
        for key, sources in self._sets.items():
            before = state.sets.get(key)
            exact = self._purge and before is not None and is_ours(before)
            after[key] = _merged(after.get(key) or [], sources, exact)
        if self._purge:
            gone = [key for key, item in state.sets.items() if is_ours(item) and key not in self._sets]
            after.update((key, []) for key in gone)
        _refuse_conflicts(self._sets.values(), after, state.policies)
        for key, entries in after.items():
            kind, field = KINDS[key[0]]
            before = state.sets.get(key)
            if before is None:
                wanted = new(kind, key[1], spec={field: entries}) if entries else None
            elif not entries and is_ours(before):
                wanted = None
            else:
                same = entries == _entries(key, before)
                wanted = before if same else {**before, "spec": {**before["spec"], field: entries}}
            plan.changes += changes(kind, before, wanted)
            if wanted and key in self._sets:
                plan.result["mirror_sets"].append(_result(key, entries))
        plan.result["deprecated_policies"] = sorted(name_of(policy) for policy in state.policies)
        plan.result["rolls_nodes"] = bool(plan.changes)
        if plan.changes:
            plan.warnings.append(f"{node_rollout.WARNING} Digest mirrors that are only added need no draining.")
        if state.policies:
            plan.warnings.append(
                f"ImageContentSourcePolicy is deprecated, and the cluster has {', '.join(plan.result['deprecated_policies'])}."
                " Move its sources to mirrors of kind digest, then delete it."
            )
        return plan

    def wait(self, cluster: Cluster, plan: Plan) -> dict[str, Any]:
        """Until every node has what was written, where that can be observed."""
        if self._wait:
            rolls = plan.result["rolls_nodes"]
            plan.warnings += node_rollout.wait_for_nodes(cluster, self._pools, rolls, self._timeout)
        return {}


def parse(entry: Mapping[str, Any], where: str) -> Mirrors:
    """An entry of the list, validated."""
    source = check_source(entry["source"], f"{where}.source")
    name = entry.get("name") or default_name(source)
    check_object(name, f"{where}.name")
    kind = entry.get("kind") or "digest"
    if entry.get("state") == "absent":
        return Mirrors(kind, name, source, False)
    mirrors = tuple(
        check_place(text, f"{where}.mirrors[{index}]") for index, text in enumerate(entry.get("mirrors") or ())
    )
    if not mirrors:
        raise InputError(f"{where}: mirrors of {source} are missing. Name at least one, or set state: absent.")
    if len(set(mirrors)) < len(mirrors):
        raise InputError(
            f"{where}: mirrors of {source} has one twice. Name each once, the one to try first at the top."
        )
    policy = entry.get("mirror_source_policy") or ""
    if policy == _NEVER and source in mirrors:
        raise InputError(f"{where}: {source} is among its own mirrors, which {_NEVER} forbids. Take it out of mirrors.")
    return Mirrors(kind, name, source, True, mirrors, policy)


def default_name(source: str) -> str:
    """The source as the name of an object."""
    words = source.replace("*", "any").lower()
    return re.sub(r"[^a-z0-9]+", "-", words).strip("-")[:253]


def _policies(cluster: Cluster) -> list[Object]:
    """The deprecated policies; none where their API is gone or where the caller may not see them."""
    try:
        return cluster.list_objects(IMAGE_CONTENT_SOURCE_POLICY)
    except ApiError as error:
        if error.status in (403, 404):
            return []
        raise


def _entries(key: _Key, item: Mapping[str, Any]) -> list[Object]:
    return list((item.get("spec") or {}).get(KINDS[key[0]][1]) or [])


def _merged(stored: Iterable[Object], wanted: Mapping[str, Mirrors], exact: bool) -> list[Object]:
    """The entries as they will be: each listed source once, those of others as they are unless the list is exact."""
    left = dict(wanted)
    merged: list[Object] = []
    for entry in stored:
        source = entry["source"]
        mirrors = left.pop(source, None)
        if mirrors is not None and mirrors.present:
            merged.append(mirrors.merged(entry))
        elif source not in wanted and not exact:
            merged.append(entry)
    return merged + [mirrors.merged({}) for mirrors in left.values() if mirrors.present]


def _refuse_conflicts(
    wanted: Iterable[Mapping[str, Mirrors]], after: Mapping[_Key, list[Object]], policies: Iterable[Object]
) -> None:
    """Of a source with two policies the machine config operator writes no mirrors at all, of no source."""
    found: dict[str, dict[str, str]] = {}
    for key, entries in after.items():
        for entry in entries:
            policy = entry.get("mirrorSourcePolicy", _ALLOW)
            found.setdefault(entry["source"], {}).setdefault(policy, f"{KINDS[key[0]][0].kind} {key[1]}")
    for item in policies:
        for entry in (item.get("spec") or {}).get("repositoryDigestMirrors") or []:
            found.setdefault(entry["source"], {}).setdefault(_ALLOW, f"ImageContentSourcePolicy {name_of(item)}")
    for source in {source for sources in wanted for source in sources}:
        if len(found.get(source, {})) > 1:
            both = " and ".join(f"{policy} in {place}" for policy, place in sorted(found[source].items()))
            raise RegistryError(
                f"mirrors of {source} would have two policies: {both}. The machine config operator then gives nodes no mirrors"
                " at all. Set the same mirror_source_policy in both."
            )


def _result(key: _Key, entries: Iterable[Object]) -> Object:
    shown = [
        {
            "source": entry["source"],
            "mirrors": list(entry.get("mirrors") or []),
            "mirror_source_policy": entry.get("mirrorSourcePolicy", _ALLOW),
        }
        for entry in entries
    ]
    return {"kind": key[0], "name": key[1], "mirrors": shown}
