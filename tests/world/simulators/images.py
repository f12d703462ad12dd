"""image.openshift.io: image streams, their tags, and images.

Real: an ImageStream's status.tags holds the history of each tag, newest first; Image objects are cluster-wide and named
by digest; ImageStreamTag and ImageStreamImage are views of both. A push creates an ImageStreamMapping, which writes the
Image and the tag. A spec tag that points at another tag or image is resolved when it is written, and follows a tag of its
own stream; what it has to do with other registries is in `image_imports`.
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
LISTS = ("application/vnd.oci.image.index.v1+json", "application/vnd.docker.distribution.manifest.list.v2+json")


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
        before = {tag["name"]: tag for tag in (old or {"spec": {}})["spec"].get("tags") or []}
        if spec.get("tags"):
            spec["tags"].sort(key=lambda tag: tag["name"])
        for tag in spec.get("tags") or []:
            tag.setdefault("annotations", None)
            tag.setdefault("referencePolicy", {}).setdefault("type", "Source")
            tag.setdefault("importPolicy", {}).setdefault("importMode", "Legacy")
            for policy in ("insecure", "scheduled"):
                if not tag["importPolicy"].get(policy):
                    tag["importPolicy"].pop(policy, None)
            if tag.get("generation") is None and tag["name"] in before:
                tag["generation"] = before[tag["name"]]["generation"]
        generation = old["metadata"]["generation"] + (spec != old["spec"]) if old else 1
        item["metadata"]["generation"] = generation
        item["status"] = old["status"] if old else {}
        changed = [tag for tag in spec.get("tags") or [] if _points_elsewhere(before.get(tag["name"]), tag, item)]
        for tag in changed:
            tag["generation"] = generation
        for tag in changed:
            self._resolve(item, tag)

    def _resolve(self, stream: Object, tag: Object) -> None:
        """What a changed spec tag that points into a stream means now; of another stream it must exist."""
        source = tag.get("from") or {}
        if source.get("kind") not in ("ImageStreamTag", "ImageStreamImage"):
            return
        name, _separator, rest = source["name"].partition("@" if source["kind"] == "ImageStreamImage" else ":")
        where = source.get("namespace") or stream["metadata"]["namespace"], name
        own = where == (stream["metadata"]["namespace"], stream["metadata"]["name"])
        found = stream if own else self.store.find(*where)
        field = f"spec.tags[{tag['name']}].from.name"
        if found is None:
            message = f'Not found: "{source["name"]}"'
            raise invalid(self.kind, GROUP, stream["metadata"]["name"], [("FieldValueNotFound", message, field)])
        items = [
            item
            for entry in found["status"].get("tags") or []
            for item in (entry["items"] or [])[: 1 if source["kind"] == "ImageStreamTag" else None]
            if rest == (entry["tag"] if source["kind"] == "ImageStreamTag" else item["image"])
        ]
        if items:
            point(stream, tag["name"], {**items[0], "created": now(), "generation": tag["generation"]})
        elif source["kind"] == "ImageStreamImage":
            why = f'error generating tag event: imagestreamimages.image.openshift.io "{source["name"]}" not found'
            message = f'Invalid value: "{source["name"]}": {why}'
            raise invalid(self.kind, GROUP, stream["metadata"]["name"], [("FieldValueInvalid", message, field)])

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
        if self.digest(namespace, name, tag) == digest:
            return
        internal = self.hosts()[0]
        reference = f"{internal}/{namespace}/{name}@{digest}"
        item = {"created": now(), "dockerImageReference": reference, "image": digest,
                "generation": stream["metadata"]["generation"]}  # fmt: skip
        point(stream, tag, item)
        self.store.update(stream)

    def digest(self, namespace: str, name: str, tag: str) -> str | None:
        """The digest of a tag's newest item."""
        stream = self.store.find(namespace, name)
        for entry in (stream or {"status": {}})["status"].get("tags") or []:
            if entry["tag"] == tag and entry["items"]:
                return str(entry["items"][0]["image"])
        return None


def status_tag(stream: Object, tag: str) -> Object:
    """The tag's entry in the stream's status, made where it is missing."""
    tags = stream["status"].setdefault("tags", [])
    for entry in tags:
        if entry["tag"] == tag:
            return entry  # type: ignore[no-any-return]
    entry = {"tag": tag, "items": None}
    tags.append(entry)
    tags.sort(key=lambda item: item["tag"])
    return entry


def point(stream: Object, tag: str, item: Object) -> None:
    """The tag points at an image from now on, without complaint, and so do the tags of this stream that follow it."""
    entry = status_tag(stream, tag)
    items = entry["items"] or []
    if items and all(items[0][key] == item[key] for key in ("image", "dockerImageReference")):
        items[0]["generation"] = item["generation"]
    else:
        items = [item, *items]
    entry["items"] = items[:HISTORY]
    entry.pop("conditions", None)
    for other in stream["spec"].get("tags") or []:
        source = other.get("from") or {}
        if (
            source.get("kind") == "ImageStreamTag"
            and source["name"] == f"{stream['metadata']['name']}:{tag}"
            and source.get("namespace", stream["metadata"]["namespace"]) == stream["metadata"]["namespace"]
            and other["name"] != tag
        ):
            point(stream, other["name"], {**item, "generation": other.get("generation") or item["generation"]})


def _points_elsewhere(old: Object | None, new: Object, stream: Object) -> bool:
    """Whether a spec tag is new, points elsewhere, or is to be looked at again (generation 0)."""
    if old is None or new.get("generation") in (None, 0):
        return True

    def source(tag: Object) -> Object:
        return {"namespace": stream["metadata"]["namespace"], **(tag.get("from") or {})}

    return source(old) != source(new)


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
            for item in entry["items"] or []:
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


def describe(reference: str, manifest: Object, media_type: str, config: Object) -> Object:
    """The Image of a manifest (its config is empty for a list), named by the digest at the end of its reference."""
    image: Object = {
        "metadata": {
            "name": reference.partition("@")[2],
            "annotations": {"image.openshift.io/dockerLayersOrder": "ascending"},
        },
        "dockerImageReference": reference,
        "dockerImageMetadata": {"kind": "DockerImage", "apiVersion": "image.openshift.io/1.0"},
        "dockerImageMetadataVersion": "1.0",
        "dockerImageManifestMediaType": media_type,
    }
    if media_type in LISTS:
        image["dockerImageManifests"] = [_part(item) for item in manifest["manifests"]]
        return image
    layers = manifest.get("layers") or []
    image["dockerImageLayers"] = [
        {"name": layer["digest"], "size": layer["size"], "mediaType": layer["mediaType"]} for layer in layers
    ]
    image["dockerImageMetadata"].update(
        Id=manifest["config"]["digest"],
        Created=config.get("created"),
        ContainerConfig={},
        Config=config.get("config") or {},
        Architecture=config.get("architecture", ""),
        Size=manifest["config"]["size"] + sum(layer["size"] for layer in layers),
    )
    return image


def _part(item: Object) -> Object:
    platform = item.get("platform") or {}
    part = {"digest": item["digest"], "mediaType": item["mediaType"], "manifestSize": item["size"],
            "architecture": platform.get("architecture", ""), "os": platform.get("os", "")}  # fmt: skip
    return {**part, **({"variant": platform["variant"]} if platform.get("variant") else {})}


def resources(revision: Revision, hosts: Callable[[], tuple[str, str]]) -> list[Resource]:
    """All of this group."""
    streams, images = ImageStreams(revision, hosts), Images(revision)
    mappings = ImageStreamMappings(revision, streams, images)
    return [streams, images, mappings, ImageStreamTags(revision, streams, images),
            ImageStreamImages(revision, streams, images)]  # fmt: skip
