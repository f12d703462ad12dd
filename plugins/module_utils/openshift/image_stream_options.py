# Copyright (c) 2026, quayside.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Image streams as the user wants them: validated, and merged with what there is. No I/O."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from ansible_collections.quayside.registry.plugins.module_utils.errors import InputError
from ansible_collections.quayside.registry.plugins.module_utils.oci import reference
from ansible_collections.quayside.registry.plugins.module_utils.openshift.names import check_project
from ansible_collections.quayside.registry.plugins.module_utils.openshift.objects import IMAGE_STREAM, Object, new

DOCKER_IMAGE = "DockerImage"
STREAM_TAG = "ImageStreamTag"
STREAM_IMAGE = "ImageStreamImage"

#: Annotation of a stream all of whose tags may be imported over plain HTTP or unverified TLS.
INSECURE_ANNOTATION = "openshift.io/image.insecureRepository"

_NAME = re.compile(r"[a-z0-9]+(?:[._-][a-z0-9]+)*")

Key = tuple[str, str]  # namespace, name


@dataclasses.dataclass(frozen=True)
class Tag:
    """One tag as wanted. ``source`` is what it points at, ``source_namespace`` is empty for the stream's own."""

    name: str
    present: bool = True
    kind: str = DOCKER_IMAGE
    source: str = ""
    source_namespace: str = ""
    scheduled: bool = False
    insecure: bool = False
    import_mode: str | None = None
    reference_policy: str = "Source"

    def merged(self, before: Object | None, namespace: str, renew: bool) -> Object:
        """The spec tag as it will be. Generation 0 asks OpenShift to look at the source again."""
        tag = dict(before or {"name": self.name})
        if not self.same_source(tag, namespace):
            tag["from"] = {"kind": self.kind, "name": self.source}
            if self.source_namespace:
                tag["from"]["namespace"] = self.source_namespace
        old = tag.get("importPolicy") or {}
        policy = {key: value for key, value in old.items() if key not in ("insecure", "scheduled")}
        policy.update({key: True for key in ("insecure", "scheduled") if getattr(self, key)})
        # clusters that know no import mode do as Legacy does
        if self.import_mode and self.import_mode != old.get("importMode", "Legacy" if before else None):
            policy["importMode"] = self.import_mode
        if policy or "importPolicy" in tag:
            tag["importPolicy"] = policy
        tag["referencePolicy"] = {"type": self.reference_policy}
        tag.pop("reference", None)  # such a tag is never imported
        if renew:
            tag["generation"] = 0
        return tag

    def same_source(self, before: Object, namespace: str) -> bool:
        """Whether the spec tag points where it shall. ``namespace`` is the stream's."""
        there = before.get("from") or {}
        return (self.kind, self.source, self.source_namespace or namespace) == (
            there.get("kind"),
            there.get("name"),
            there.get("namespace") or namespace,
        )

    @property
    def can_move(self) -> bool:
        """Whether another image can be there tomorrow."""
        return self.kind == STREAM_TAG or (self.kind == DOCKER_IMAGE and "@" not in self.source)


@dataclasses.dataclass(frozen=True)
class Stream:
    """One stream as wanted. A label or annotation that is None is removed."""

    namespace: str
    name: str
    present: bool = True
    labels: Mapping[str, str | None] = dataclasses.field(default_factory=dict)
    annotations: Mapping[str, str | None] = dataclasses.field(default_factory=dict)
    lookup_local: bool | None = None
    tags: Sequence[Tag] = ()

    @property
    def key(self) -> Key:
        return self.namespace, self.name

    def wanted(self) -> list[Tag]:
        return [tag for tag in self.tags if tag.present]

    def source_stream(self, tag: Tag) -> Key | None:
        """The other stream that a tag points into; None for anything else."""
        if tag.kind == DOCKER_IMAGE:
            return None
        key = (tag.source_namespace or self.namespace, re.split("[:@]", tag.source)[0])
        return None if key == self.key else key

    def insecure(self, tag: Tag) -> bool:
        return tag.insecure or self.annotations.get(INSECURE_ANNOTATION) == "true"

    def merged(self, before: Object | None, renew: Collection[str] = ()) -> Object:
        """The stream as it will be: what is wanted, beside what others wrote. ``renew``: tags to look at again."""
        stream = new(IMAGE_STREAM, self.name, self.namespace, spec={}) if before is None else dict(before)
        metadata, spec = dict(stream["metadata"]), dict(stream.get("spec") or {})
        stream.update(metadata=metadata, spec=spec)
        for field, values in (("labels", self.labels), ("annotations", self.annotations)):
            merged = {**(metadata.get(field) or {}), **values}
            kept = {key: value for key, value in merged.items() if value is not None}
            if kept or metadata.get(field):
                metadata[field] = kept
        if self.lookup_local is not None or before is None:
            spec["lookupPolicy"] = {"local": bool(self.lookup_local)}
        tags = spec_tags(stream)
        for tag in self.wanted():
            tags[tag.name] = tag.merged(tags.get(tag.name), self.namespace, tag.name in renew)
        if tags:
            spec["tags"] = list(tags.values())
        return stream


def spec_tags(stream: Object | None) -> dict[str, Object]:
    """The tags of a stream's spec, by name."""
    return {tag["name"]: tag for tag in ((stream or {}).get("spec") or {}).get("tags") or []}


def status_tag(stream: Object | None, name: str) -> Object:
    """A tag of the stream's status: items (newest first) and conditions; empty where there is none."""
    for tag in ((stream or {}).get("status") or {}).get("tags") or []:
        if tag["tag"] == name:
            return dict(tag)
    return {}


def latest(stream: Object | None, name: str) -> Object:
    """The newest item of a tag's history: image, dockerImageReference, generation. Empty where there is none."""
    items = status_tag(stream, name).get("items") or []
    return dict(items[0]) if items else {}


def failure(stream: Object | None, name: str) -> Object | None:
    """The condition that says why the last import of a tag failed; None when it did not."""
    for condition in status_tag(stream, name).get("conditions") or []:
        if condition.get("type") == "ImportSuccess" and condition.get("status") == "False":
            return dict(condition)
    return None


def is_settled(stream: Object | None, name: str) -> bool:
    """Whether the tag as it is in the spec has been imported, or the import failed.

    OpenShift: a spec tag whose generation is newer than that of its newest item and condition is yet to be imported.
    """
    tag = spec_tags(stream).get(name)
    if tag is None:
        return False
    seen = [latest(stream, name), *(status_tag(stream, name).get("conditions") or [])]
    return max(int(item.get("generation") or 0) for item in seen) >= int(tag.get("generation") or 1)


def parse(entry: Mapping[str, Any], default_namespace: str, where: str) -> Stream:
    """An entry of the list, validated."""
    namespace = entry.get("namespace") or default_namespace
    if not namespace:
        raise InputError(f"{where}: namespace is missing. Set it there, or for all entries as the module's namespace.")
    check_project(namespace, f"{where}.namespace")
    name = entry["name"]
    if not _NAME.fullmatch(name):
        raise InputError(
            f"{where}.name: {name!r} cannot be the name of an image stream: lower case letters and digits, with single '.',"
            " '_' or '-' between them."
        )
    tags: dict[str, Tag] = {}
    for index, tag in enumerate(entry.get("tags") or []):
        parsed = parse_tag(tag, f"{where}.tags[{index}]")
        if tags.setdefault(parsed.name, parsed) is not parsed:
            raise InputError(f"{where}.tags[{index}]: {parsed.name} is listed before. List each tag once.")
    return Stream(
        namespace=namespace,
        name=name,
        present=(entry.get("state") or "present") == "present",
        labels=_texts(entry.get("labels"), f"{where}.labels"),
        annotations=_texts(entry.get("annotations"), f"{where}.annotations"),
        lookup_local=entry.get("lookup_local"),
        tags=tuple(tags.values()),
    )


def parse_tag(entry: Mapping[str, Any], where: str) -> Tag:
    name, kind = str(entry["name"]), entry.get("from_kind") or DOCKER_IMAGE
    if ":" in name:
        raise InputError(f"{where}.name: {name!r} is not a tag.")
    reference.tag_or_digest(name, f"{where}.name")
    if (entry.get("state") or "present") == "absent":
        return Tag(name, present=False)
    source, option = entry.get("from") or "", f"{where}.from"
    if not source:
        raise InputError(f"{option} is missing: the image that the tag {name} points at.")
    if kind == DOCKER_IMAGE:
        _check_image(source, option)
    else:
        _check_stream_source(source, kind, option)
    if entry.get("from_namespace"):
        if kind == DOCKER_IMAGE:
            raise InputError(f"{where}.from_namespace is for from_kind {STREAM_TAG} and {STREAM_IMAGE}.")
        check_project(entry["from_namespace"], f"{where}.from_namespace")
    imported = [option for option in ("scheduled", "insecure", "import_mode") if entry.get(option)]
    if imported and kind != DOCKER_IMAGE:
        raise InputError(f"{where}.{imported[0]} is for from_kind {DOCKER_IMAGE}: nothing is imported from a stream.")
    if entry.get("scheduled") and "@" in source:
        raise InputError(f"{where}.scheduled: {source} names a digest, behind which there will never be another image.")
    return Tag(
        name=name,
        kind=kind,
        source=source,
        source_namespace=entry.get("from_namespace") or "",
        scheduled=bool(entry.get("scheduled")),
        insecure=bool(entry.get("insecure")),
        import_mode=entry.get("import_mode"),
        reference_policy=entry.get("reference_policy") or "Source",
    )


def _check_image(source: str, option: str) -> None:
    image = reference.parse(source, option)
    if not image.tag and not image.digest:
        raise InputError(
            f"{option}: {source!r} has neither tag nor digest. Write {source + ':latest'!r} if you mean that."
        )


def _check_stream_source(source: str, kind: str, option: str) -> None:
    separator, rest = (":", "TAG") if kind == STREAM_TAG else ("@", "DIGEST")
    stream, _separator, tag = source.partition(separator)
    if not _NAME.fullmatch(stream) or not tag:
        raise InputError(
            f"{option}: {source!r} is no {kind}: write STREAM{separator}{rest}, and its project in from_namespace."
        )
    reference.tag_or_digest(tag if kind == STREAM_TAG or ":" in tag else f"{tag}:", option)


def _texts(values: Mapping[str, Any] | None, where: str) -> dict[str, str | None]:
    """Labels or annotations as text: YAML's true is "true"."""
    texts: dict[str, str | None] = {}
    for key, value in (values or {}).items():
        if isinstance(value, (dict, list)):
            raise InputError(f"{where}.{key}: the value must be text.")
        texts[key] = str(value).lower() if isinstance(value, bool) else None if value is None else str(value)
    return texts
