"""image.openshift.io: image streams, their tags, and images.

Real: an ImageStream's status.tags holds the history of each tag, newest first; Image objects are cluster-wide and named
by digest; ImageStreamTag and ImageStreamImage are views of both. A push creates an ImageStreamMapping, which writes the
Image and the tag. Imports (ImageStreamImport, and the controller that imports spec tags) are not here.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from .errors import invalid, not_found
from .resource import ALL_VERBS, Caller, Object, Resource
from .store import Revision, now

GROUP = "image.openshift.io"
NAME = r"[a-z0-9]+(?:[._-][a-z0-9]+)*"
HISTORY = 20


class ImageStreams(Resource):
    """Streams. `hosts` gives the registry's internal host and its public one ("" where there is none)."""

    group, kind, plural, subresources = GROUP, "ImageStream", "imagestreams", ("status",)
    short_names = ("is",)

    def __init__(self, revision: Revision, hosts: Callable[[], tuple[str, str]]) -> None:
        super().__init__(revision)
        self.hosts = hosts

    def prepare(self, item: Object, old: Object | None) -> None:
        """Spec defaults; the status is the server's own; the generation counts changes of the spec."""
        name = item["metadata"]["name"]
        if not re.fullmatch(NAME, name):
            message = f'Invalid value: "{name}": must match "{NAME}"'
            raise invalid(self.kind, GROUP, name, [("FieldValueInvalid", message, "metadata.name")])
        spec = item["spec"] = item.get("spec") or {}
        spec.setdefault("lookupPolicy", {"local": False})
        generation = old["metadata"]["generation"] + (spec != old["spec"]) if old else 1
        for tag in spec.get("tags") or []:
            tag.setdefault("annotations", None)
            tag.setdefault("referencePolicy", {}).setdefault("type", "Source")
            tag.setdefault("importPolicy", {}).setdefault("importMode", "Legacy")
            if tag.get("generation") is None:
                tag["generation"] = generation
        item["metadata"]["generation"] = generation
        item["status"] = old["status"] if old else {}

    def show(self, item: Object) -> Object:
        """The repositories depend on which hosts the registry has now."""
        internal, public = self.hosts()
        path = f"{item['metadata']['namespace']}/{item['metadata']['name']}"
        status: Object = {"dockerImageRepository": f"{internal}/{path}" if internal else ""}
        if public:
            status["publicDockerImageRepository"] = f"{public}/{path}"
        return {**item, "status": {**status, **item["status"]}}

    def record(self, namespace: str, name: str, tag: str, digest: str) -> None:
        """A tag now points at an image: the newest item of its history."""
        stream = self.store.get(namespace, name)
        tags = stream["status"].setdefault("tags", [])
        entry = next((entry for entry in tags if entry["tag"] == tag), None)
        if entry is None:
            entry = {"tag": tag, "items": []}
            tags.append(entry)
            tags.sort(key=lambda item: item["tag"])
        if entry["items"] and entry["items"][0]["image"] == digest:
            return
        internal = self.hosts()[0]
        reference = f"{internal}/{namespace}/{name}@{digest}"
        item = {"created": now(), "dockerImageReference": reference, "image": digest,
                "generation": stream["metadata"]["generation"]}  # fmt: skip
        entry["items"] = [item, *entry["items"]][:HISTORY]
        self.store.update(stream)

    def digest(self, namespace: str, name: str, tag: str) -> str | None:
        """The digest of a tag's newest item."""
        stream = self.store.find(namespace, name)
        for entry in (stream or {"status": {}})["status"].get("tags") or []:
            if entry["tag"] == tag and entry["items"]:
                return str(entry["items"][0]["image"])
        return None


class Images(Resource):
    """Images, cluster-wide, named by digest."""

    group, kind, plural, namespaced = GROUP, "Image", "images", False
    verbs = ALL_VERBS


class _View(Resource):
    """A resource of one stream and one image each, joined by `separator` in its name."""

    group = GROUP
    separator = ":"

    def __init__(self, revision: Revision, streams: ImageStreams, images: Images) -> None:
        super().__init__(revision)
        self.streams = streams
        self.images = images

    def split(self, name: str) -> tuple[str, str]:
        """Stream and tag (or digest)."""
        stream, separator, rest = name.partition(self.separator)
        if not (stream and separator and rest):
            raise not_found(self.plural, GROUP, name)
        return stream, rest

    def image(self, stream: Object, digest: str, reference: str) -> Object:
        """The image as the view shows it: where this stream has it."""
        image = self.images.store.find("", digest) or {"metadata": {"name": digest}}
        kept = {key: value for key, value in image.items() if key not in ("metadata", "dockerImageManifest")}
        return {"metadata": dict(image["metadata"]), **kept, "dockerImageReference": reference}


class ImageStreamTags(_View):
    """Tags of streams: name STREAM:TAG."""

    kind, plural = "ImageStreamTag", "imagestreamtags"
    verbs = ("delete", "get", "list")
    short_names = ("istag",)

    async def list_all(self, caller: Caller, namespace: str) -> list[Object]:
        """Every tag of every stream that points at an image."""
        return [
            self._tag(stream, entry["tag"])
            for stream in self.streams.store.all(namespace)
            for entry in stream["status"].get("tags") or []
            if entry["items"]
        ]

    async def get(self, caller: Caller, namespace: str, name: str) -> Object:
        """One tag."""
        stream_name, tag = self.split(name)
        stream = self.streams.store.find(namespace, stream_name)
        if stream is None or not self.streams.digest(namespace, stream_name, tag):
            raise not_found(self.plural, GROUP, name)
        return self._tag(stream, tag)

    async def delete(self, caller: Caller, namespace: str, name: str, dry_run: bool) -> Object:
        """Remove the tag from spec and status."""
        stream_name, tag = self.split(name)
        stream = self.streams.store.find(namespace, stream_name)
        spec = [entry for entry in (stream or {}).get("spec", {}).get("tags") or [] if entry["name"] == tag]
        status = [entry for entry in (stream or {}).get("status", {}).get("tags") or [] if entry["tag"] == tag]
        if stream is None or not (spec or status):
            raise not_found(self.plural, GROUP, name)
        for part, entries in (("spec", spec), ("status", status)):
            if entries:
                stream[part]["tags"] = [entry for entry in stream[part]["tags"] if entry not in entries]
        if not dry_run:
            stream["metadata"]["generation"] += bool(spec)
            self.streams.store.update(stream)
        return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"}

    def _tag(self, stream: Object, tag: str) -> Object:
        item = next(entry["items"][0] for entry in stream["status"]["tags"] if entry["tag"] == tag)
        spec = next((entry for entry in stream["spec"].get("tags") or [] if entry["name"] == tag), None)
        metadata = {key: stream["metadata"][key] for key in ("namespace", "uid", "resourceVersion")}
        return {
            "metadata": {
                "name": f"{stream['metadata']['name']}:{tag}",
                **metadata,
                "creationTimestamp": item["created"],
            },
            "tag": spec,
            "generation": item["generation"],
            "lookupPolicy": stream["spec"]["lookupPolicy"],
            "image": self.image(stream, item["image"], item["dockerImageReference"]),
        }


class ImageStreamImages(_View):
    """Images of streams: name STREAM@DIGEST."""

    kind, plural, separator = "ImageStreamImage", "imagestreamimages", "@"
    verbs = ("get",)
    short_names = ("isimage",)

    async def get(self, caller: Caller, namespace: str, name: str) -> Object:
        """One image that a tag of the stream points at or pointed at."""
        stream_name, digest = self.split(name)
        stream = self.streams.store.find(namespace, stream_name)
        for entry in (stream or {"status": {}})["status"].get("tags") or []:
            for item in entry["items"]:
                if item["image"] == digest and stream is not None:
                    metadata = {"name": name, "namespace": namespace, "uid": stream["metadata"]["uid"],
                                "creationTimestamp": item["created"]}  # fmt: skip
                    return {"metadata": metadata, "image": self.image(stream, digest, item["dockerImageReference"])}
        raise not_found(self.plural, GROUP, name)


class ImageStreamMappings(Resource):
    """How a registry tells of a push: an Image and the tag that now points at it."""

    group, kind, plural = GROUP, "ImageStreamMapping", "imagestreammappings"
    verbs = ("create",)

    def __init__(self, revision: Revision, streams: ImageStreams, images: Images) -> None:
        super().__init__(revision)
        self.streams = streams
        self.images = images

    async def create(self, caller: Caller, namespace: str, item: Object, dry_run: bool) -> Object:
        """201 with a bare Success."""
        self.streams.store.get(namespace, item["metadata"]["name"])
        if not dry_run:
            self.map(namespace, item["metadata"]["name"], item["tag"], item["image"])
        return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"}

    def map(self, namespace: str, name: str, tag: str, image: Object) -> None:
        """Keep the image (an existing one stays as it is) and point the tag at it."""
        digest = image["metadata"]["name"]
        if self.images.store.find("", digest) is None:
            self.images.store.create(image)
        self.streams.record(namespace, name, tag, digest)


def resources(revision: Revision, hosts: Callable[[], tuple[str, str]]) -> list[Resource]:
    """All of this group."""
    streams, images = ImageStreams(revision, hosts), Images(revision)
    mappings = ImageStreamMappings(revision, streams, images)
    return [streams, images, mappings, ImageStreamTags(revision, streams, images),
            ImageStreamImages(revision, streams, images)]  # fmt: skip
