# Copyright (c) 2026, quayside.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Promotion's wishes: which image goes where, as the user writes it. Pure."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, Union

from ansible_collections.quayside.registry.plugins.module_utils.errors import InputError
from ansible_collections.quayside.registry.plugins.module_utils.oci import local_image, reference
from ansible_collections.quayside.registry.plugins.module_utils.oci.local_image import DOCKER_ARCHIVE, LocalImage
from ansible_collections.quayside.registry.plugins.module_utils.oci.reference import Reference
from ansible_collections.quayside.registry.plugins.module_utils.oci.tags import Filter

Source = Union[Reference, LocalImage]  # noqa: UP007 (evaluated when imported: Python 3.9 has no | for it)


@dataclasses.dataclass(frozen=True)
class Copy:
    """One image to one tag."""

    source: Source
    destination: Reference
    overwrite: bool

    @property
    def by_id(self) -> bool:
        """Whether the same image is recognised by its ID, since its manifest is made only by pushing it."""
        return isinstance(self.source, LocalImage) and self.source.transport == DOCKER_ARCHIVE


@dataclasses.dataclass(frozen=True)
class Entry:
    """One entry of ``images``. Tags come from ``tags`` or, of the tags that the source has, from ``tag_filter``."""

    what: str
    source: Source
    destinations: tuple[Reference, ...]
    tags: tuple[str, ...]
    tag_filter: Filter | None
    overwrite: bool

    def copies(self, tags_there: Sequence[str]) -> list[Copy]:
        """``tags_there``: the tags of the source's repository, where there is a filter. Raises InputError if none is meant."""
        source = self.source
        if isinstance(source, LocalImage) or (not self.tags and self.tag_filter is None):
            return [Copy(source, destination, self.overwrite) for destination in self.destinations]
        tags = list(self.tags)
        if self.tag_filter is not None:
            tags = self.tag_filter.choose(tags_there)
            if not tags:
                raise InputError(
                    f"{self.what}: none of the {len(tags_there)} tags of {self.source} matches {self.tag_filter}."
                )
        return [
            Copy(dataclasses.replace(source, tag=tag), dataclasses.replace(destination, tag=tag), self.overwrite)
            for tag in tags
            for destination in self.destinations
        ]


def parse(options: Mapping[str, Any], what: str) -> Entry:
    """An entry from the module's options. Raises InputError where it cannot be meant."""
    tags = tuple(reference.tag_or_digest(tag, f"{what}.tags") for tag in dict.fromkeys(options["tags"] or []))
    tag_filter = Filter.parse(options["tag_filter"], f"{what}.tag_filter") if options["tag_filter"] else None
    source: Source = local_image.parse(options["source"], f"{what}.source") or _remote(
        options["source"], f"{what}.source"
    )
    destinations = [_remote(text, f"{what}.destinations") for text in dict.fromkeys(options["destinations"])]
    if not destinations:
        raise InputError(f"{what}.destinations: give one destination at least.")
    if any(":" in tag for tag in tags):
        raise InputError(f"{what}.tags: these are tags; a digest belongs to the source: source: {source}@sha256:….")
    if tags and tag_filter:
        raise InputError(f"{what}: tags and tag_filter exclude each other: leave one away.")
    if tags or tag_filter:
        if not isinstance(source, Reference) or source.tag or source.digest:
            raise InputError(
                f"{what}.source: {str(source)!r} is one image; with tags or tag_filter write a repository alone."
            )
        if any(destination.tag for destination in destinations):
            raise InputError(f"{what}.destinations: with tags or tag_filter write repositories alone, without a tag.")
    else:
        if isinstance(source, Reference) and not source.tag and not source.digest:
            raise InputError(
                f"{what}.source: {options['source']!r} has no tag. Write {source}:TAG, or say which with tags or tag_filter."
            )
        tag = source.tag if isinstance(source, Reference) else ""
        for number, destination in enumerate(destinations):
            if not destination.tag and not tag:
                raise InputError(
                    f"{what}.destinations: {str(destination)!r} has no tag, and there is none to take from the source."
                )
            destinations[number] = dataclasses.replace(destination, tag=destination.tag or tag)
    return Entry(what, source, tuple(destinations), tags, tag_filter, options["overwrite"])


def distinct(copies: Sequence[Copy]) -> list[Copy]:
    """Each copy once. Raises InputError where one tag shall be two images."""
    found: dict[Reference, Copy] = {}
    for copy in copies:
        other = found.setdefault(copy.destination, copy)
        if other.source != copy.source:
            raise InputError(
                f"images: {copy.destination} cannot be both {other.source} and {copy.source}: one destination, one source."
            )
    return list(found.values())


def _remote(text: str, option: str) -> Reference:
    found = reference.parse(text, option)
    if found.digest and option.endswith("destinations"):
        raise InputError(f"{option}: {text!r} has a digest. An image is pushed to a tag, its digest stays what it is.")
    return found
