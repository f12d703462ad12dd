# Copyright (c) 2026, quayside.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Image streams and their tags: written, imported by the cluster, and looked after until every tag has its image."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ansible_collections.quayside.registry.plugins.module_utils.errors import InputError
from ansible_collections.quayside.registry.plugins.module_utils.openshift import projects
from ansible_collections.quayside.registry.plugins.module_utils.openshift.client import ApiError, Cluster
from ansible_collections.quayside.registry.plugins.module_utils.openshift.image_imports import (
    NO_IMAGE,
    Failure,
    ask,
    refuse,
)
from ansible_collections.quayside.registry.plugins.module_utils.openshift.image_stream_options import (
    DOCKER_IMAGE,
    STREAM_TAG,
    Key,
    Stream,
    Tag,
    failure,
    is_settled,
    latest,
    parse,
    spec_tags,
    status_tag,
)
from ansible_collections.quayside.registry.plugins.module_utils.openshift.names import check_project
from ansible_collections.quayside.registry.plugins.module_utils.openshift.objects import (
    IMAGE_STREAM,
    IMAGE_STREAM_TAG,
    Object,
    Request,
    changes,
    is_ours,
    name_of,
    namespace_of,
)
from ansible_collections.quayside.registry.plugins.module_utils.plan import Change, Plan


@dataclasses.dataclass(frozen=True)
class State:
    """``sources``: what the sources of tags are now, as far as they were asked for."""

    streams: Mapping[Key, Object]
    projects: projects.Projects
    sources: Mapping[tuple[Key, str], str | Failure] = dataclasses.field(default_factory=dict)


class ImageStreams:
    """The module ``image_streams``. Its constructor raises InputError for what cannot be meant."""

    def __init__(self, params: Mapping[str, Any]) -> None:
        self._import = str(params["import"])
        self._create_projects = bool(params["create_projects"])
        self._purge = bool(params["purge"])
        self._wait = bool(params["wait"])
        self._timeout = int(params["wait_timeout"])
        default = params.get("namespace") or ""
        if default:
            check_project(default, "namespace")
        self.streams: dict[Key, Stream] = {}
        for index, entry in enumerate(params["image_streams"]):
            stream = parse(entry, default, f"image_streams[{index}]")
            if self.streams.setdefault(stream.key, stream) is not stream:
                raise InputError(
                    f"image_streams[{index}]: {stream.namespace}/{stream.name} is listed before. List each stream once, with"
                    " all its tags."
                )
        self._namespaces = {stream.namespace for stream in self.streams.values()} | ({default} if default else set())
        self._present = sorted((item for item in self.streams.values() if item.present), key=self._depth)
        self._unread: list[Failure] = []
        self._pending: set[Key] = set()
        self._generations: dict[tuple[Key, str], int] = {}

    def _depth(self, stream: Stream, above: tuple[Key, ...] = ()) -> int:
        """How many streams of the list must be there before this one, because tags point into them."""
        keys = {stream.source_stream(tag) for tag in stream.wanted()} - {None, *above}
        below = [self.streams[key] for key in keys if key in self.streams]
        return max((1 + self._depth(other, (*above, stream.key)) for other in below), default=0)

    def read(self, cluster: Cluster) -> State:
        """One LIST of streams; with import when_changed, one question for each stream that has tags which can move."""
        refused: dict[str, ApiError] = {}
        elsewhere = {
            key[0] for stream in self._present for tag in stream.wanted() if (key := stream.source_stream(tag))
        }
        streams = _by_key(cluster.list_in(IMAGE_STREAM, self._namespaces | elsewhere, refused=refused))
        known = {namespace for namespace, _name in streams}
        wanted = {stream.namespace for stream in self._present}
        own = {namespace: error for namespace, error in refused.items() if namespace in self._namespaces}
        found = projects.read(cluster, wanted - known, self._create_projects, own)
        questions = [(stream, self._movable(stream, streams.get(stream.key))) for stream in self._present]
        asked = [item for item in questions if item[1]] if self._import == "when_changed" else []
        return State(streams, found, ask(cluster, asked))

    def _movable(self, stream: Stream, before: Object | None) -> list[Tag]:
        """The tags that have an image whose source may have another by now."""
        there = spec_tags(before)
        return [
            tag
            for tag in stream.wanted()
            if tag.kind == DOCKER_IMAGE
            and tag.can_move
            and tag.name in there
            and tag.same_source(there[tag.name], stream.namespace)
            and latest(before, tag.name)
            and not failure(before, tag.name)
        ]

    def plan(self, state: State) -> Plan:
        """Stage 0: projects; from 1: streams, those that others point into first; at last what is deleted."""
        plan = Plan(state.projects.creation(), warnings=state.projects.warnings())
        images = {
            (key, name): latest(item, name).get("image", "")
            for key, item in state.streams.items()
            for name in _names(item)
        }
        drift: list[Object] = []
        last = 2 + max((self._depth(stream) for stream in self._present), default=0)
        for stream in self._present:
            before = state.streams.get(stream.key)
            moved = {name: now for name, now in self._moved(stream, before, state, images) if now}
            for name, now in moved.items():
                drift.append(_drift(stream, name, images[stream.key, name], now))
                images[stream.key, name] = now
            renew = {*moved, *(tag.name for tag in stream.wanted() if self._again(stream, tag, before, images))}
            renew -= self._renewed(stream, before)
            plan.changes += changes(IMAGE_STREAM, before, stream.merged(before, renew), stage=1 + self._depth(stream))
            plan.changes += [
                change for tag in stream.tags if not tag.present for change in _untag(stream, tag, before, last)
            ]
        for key, stream in self.streams.items():
            if not stream.present:
                plan.changes += changes(IMAGE_STREAM, state.streams.get(key), None, stage=last)
        if self._purge:
            for key, item in state.streams.items():
                if key not in self.streams and key[0] in self._namespaces and is_ours(item):
                    plan.changes += changes(IMAGE_STREAM, item, None, stage=last)
        self._pending = {
            stream.key
            for stream in self._present
            if any(not is_settled(state.streams.get(stream.key), tag.name) for tag in stream.wanted())
        }
        self._unread = [answer for answer in state.sources.values() if isinstance(answer, Failure)]
        plan.warnings += [f"{item}" for item in self._unread]
        plan.result.update(drift=drift, image_streams=self._results(state.streams))
        return plan

    def _moved(
        self, stream: Stream, before: Object | None, state: State, images: Mapping[tuple[Key, str], str]
    ) -> Iterable[tuple[str, str]]:
        """Tags with an image whose source has another one now, and that one's digest."""
        if self._import == "never":
            return
        there = spec_tags(before)
        for tag in stream.wanted():
            if tag.name not in there or not tag.same_source(there[tag.name], stream.namespace):
                continue
            other = stream.source_stream(tag)
            if other and tag.kind == STREAM_TAG:
                now: Any = images.get((other, tag.source.partition(":")[2]), "")
            else:
                now = state.sources.get((stream.key, tag.name), "")
            if isinstance(now, str) and now != (images.get((stream.key, tag.name)) or now):
                yield tag.name, now

    def _again(self, stream: Stream, tag: Tag, before: Object | None, images: Mapping[tuple[Key, str], str]) -> bool:
        """Whether a tag that is there must be imported or resolved once more, though its source has not moved."""
        there = spec_tags(before).get(tag.name)
        if there is None or not tag.same_source(there, stream.namespace):
            return False
        other = stream.source_stream(tag)
        if other:
            source = images.get((other, tag.source.partition(":")[2]), "") if tag.kind == STREAM_TAG else ""
            return bool(source) and not images.get((stream.key, tag.name))
        if tag.kind != DOCKER_IMAGE:
            return False
        mode = (there.get("importPolicy") or {}).get("importMode", "Legacy")
        return (
            self._import == "always"
            or failure(before, tag.name) is not None
            or (tag.import_mode is not None and tag.import_mode != mode)
        )

    def _renewed(self, stream: Stream, before: Object | None) -> set[str]:
        """Tags that an earlier plan of this run, cut short by a conflict, has renewed already."""
        there = {name: int(tag.get("generation") or 0) for name, tag in spec_tags(before).items()}
        first = {name: self._generations.setdefault((stream.key, name), now) for name, now in there.items()}
        return {name for name, now in there.items() if now > first[name]}

    def wait(self, cluster: Cluster, plan: Plan) -> dict[str, Any]:
        """Wait until every tag is imported; fail with the registries' own words where one is not."""
        if not self._wait:
            return {}
        written = {(change.namespace, change.name) for change in plan.changes if change.kind == IMAGE_STREAM.kind}
        if not (written | self._pending) & {stream.key for stream in self._present}:
            if self._unread:
                raise refuse(cluster, self._unread, plan.result)
            return {}
        deadline = time.monotonic() + self._timeout
        streams = _by_key(cluster.list_in(IMAGE_STREAM, {stream.namespace for stream in self._present}))

        def settle(stream: Stream) -> None:
            found = cluster.wait(
                IMAGE_STREAM,
                stream.name,
                stream.namespace,
                lambda seen: seen is None or not _unsettled(stream, seen),
                deadline,
                lambda seen: self._describe(stream, seen),
            )
            streams[stream.key] = found or {}

        cluster.map(settle, [stream for stream in self._present if _unsettled(stream, streams.get(stream.key))])
        self._follow(cluster, streams)
        result = {**plan.result, "image_streams": self._results(streams)}
        failed = [item for stream in self._present for item in _failures(stream, streams.get(stream.key))]
        told = {(item.namespace, item.stream, item.tag) for item in failed}
        failed += [item for item in self._unread if (item.namespace, item.stream, item.tag) not in told]
        if failed:
            raise refuse(cluster, failed, result)
        return result

    def _follow(self, cluster: Cluster, streams: dict[Key, Object]) -> None:
        """Resolve tags that point into streams which have only now got their images.

        OpenShift resolves a tag of another stream when it is written, and not again.
        """
        for stream in self._present:
            before = streams.get(stream.key)
            stale = []
            for tag in stream.wanted():
                other = stream.source_stream(tag)
                if other in self.streams and tag.kind == STREAM_TAG:
                    now = latest(streams.get(other), tag.source.partition(":")[2]).get("image")
                    old = latest(before, tag.name).get("image")
                    if now and now != old and (self._import != "never" or not old):
                        stale.append(tag.name)
            if before and stale:
                for change in changes(IMAGE_STREAM, before, stream.merged(before, stale)):
                    streams[stream.key] = cluster.write(change)

    def _describe(self, stream: Stream, seen: Object | None) -> str:
        names = ", ".join(tag.name for tag in _unsettled(stream, seen))
        return (
            f"ImageStream {stream.namespace}/{stream.name}: not imported after {self._timeout} seconds: {names}. The image import"
            " controller of openshift-controller-manager does that; see that it runs, or set wait_timeout higher."
        )

    def _results(self, streams: Mapping[Key, Object]) -> list[Object]:
        return [_result(stream, streams.get(stream.key)) for stream in self.streams.values() if stream.present]


def _names(stream: Object) -> list[str]:
    return [tag["tag"] for tag in (stream.get("status") or {}).get("tags") or []]


def _unsettled(stream: Stream, seen: Object | None) -> list[Tag]:
    """The tags that the cluster has yet to import."""
    there = spec_tags(seen)
    return [
        tag
        for tag in stream.wanted()
        if tag.kind == DOCKER_IMAGE and tag.name in there and not is_settled(seen, tag.name)
    ]


def _failures(stream: Stream, seen: Object | None) -> list[Failure]:
    found = []
    for tag in stream.wanted():
        condition = failure(seen, tag.name) if tag.kind == DOCKER_IMAGE else None
        reason, message = "", ""
        if condition:
            reason, message = condition.get("reason", "Failure"), condition.get("message", "")
        elif not latest(seen, tag.name):
            reason, message = NO_IMAGE, f"{tag.kind} {tag.source} has no image"
        if reason:
            found.append(Failure(stream.namespace, stream.name, tag.name, tag.source, reason, message))
    return found


def _untag(stream: Stream, tag: Tag, before: Object | None, stage: int) -> list[Change]:
    """The deletion of a tag. Taking it out of the spec would leave it in the status."""
    spec = spec_tags(before).get(tag.name)
    if spec is None and not status_tag(before, tag.name):
        return []
    name = f"{stream.name}:{tag.name}"
    shown = {"tag": spec, "image": latest(before, tag.name).get("image", "")}
    request = Request("DELETE", IMAGE_STREAM_TAG.path(stream.namespace, name))
    return [Change("delete", IMAGE_STREAM_TAG.kind, name, stream.namespace, shown, None, stage, request)]


def _drift(stream: Stream, tag: str, imported: str, now: str) -> Object:
    source = next(item.source for item in stream.tags if item.name == tag)
    return {
        "namespace": stream.namespace,
        "name": stream.name,
        "tag": tag,
        "source": source,
        "imported": imported,
        "current": now,
    }


def _result(stream: Stream, seen: Object | None) -> Object:
    status = (seen or {}).get("status") or {}
    return {
        "namespace": stream.namespace,
        "name": stream.name,
        "repository": status.get("dockerImageRepository", ""),
        "public_repository": status.get("publicDockerImageRepository", ""),
        "tags": [
            {
                "name": tag.name,
                "source": tag.source,
                "digest": latest(seen, tag.name).get("image", ""),
                "image": latest(seen, tag.name).get("dockerImageReference", ""),
            }
            for tag in stream.wanted()
        ],
    }


def _by_key(items: Sequence[Object]) -> dict[Key, Object]:
    return {(namespace_of(item), name_of(item)): item for item in items}
