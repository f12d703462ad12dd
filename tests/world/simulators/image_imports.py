"""Images of other registries in streams: ImageStreamImport, and the controller that imports spec tags.

Real: an import is answered 201 whatever became of it; each image's Status is inside. It stamps the stream, bumps its
generation and those of the tags that it looked at; a failure leaves what was imported before, with a condition
ImportSuccess False above it, and a success removes that. openshift-controller-manager imports every spec tag whose
generation is newer than what its status has seen (some 40 ms after it is written), and scheduled ones every 15 minutes: here
every few seconds. Imports of whole repositories (spec.repository) are not here.
"""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Sequence

from .errors import invalid
from .external_registry import Failed, Importer, Source
from .images import GROUP, Images, ImageStreams, point, status_tag
from .kube import Controller, Kube, background
from .resource import Caller, Object, Resource
from .store import Revision, now

CHECKED = "openshift.io/image.dockerRepositoryCheck"
INSECURE = "openshift.io/image.insecureRepository"


class ImageStreamImports(Resource):
    """POST only."""

    group, kind, plural = GROUP, "ImageStreamImport", "imagestreamimports"
    verbs = ("create",)

    def __init__(self, revision: Revision, importer: Importer, streams: ImageStreams, images: Images) -> None:
        super().__init__(revision)
        self.importer = importer
        self.streams = streams
        self.images = images

    async def create(self, caller: Caller, namespace: str, item: Object, dry_run: bool) -> Object:
        """The images, and with spec.import the stream that they were imported into."""
        name, wanted = item["metadata"]["name"], item["spec"].get("images") or []
        for index, image in enumerate(wanted):
            source = Source.parse(image["from"]["name"])
            if source is None:
                message = f'Invalid value: "{image["from"]["name"]}": invalid reference format'
                field = f"spec.images[{index}].from.name"
                raise invalid(self.kind, GROUP, name, [("FieldValueInvalid", message, field)])
            image.setdefault("to", {"name": source.tag})
            image.setdefault("importPolicy", {}).setdefault("importMode", "Legacy")
            image.setdefault("referencePolicy", {}).setdefault("type", "Source")
        found = await self.look(namespace, wanted)
        item["status"] = {"images": found}
        if item["spec"].get("import") and not dry_run:
            item["status"]["import"] = self.apply(namespace, name, wanted, found)
        return item

    async def look(self, namespace: str, wanted: Sequence[Object]) -> list[Object]:
        """What became of each image: its Status, the Image where there is one, and the tag of its source."""
        return list(await asyncio.gather(*(self._look(namespace, image) for image in wanted)))

    async def _look(self, namespace: str, image: Object) -> Object:
        source, policy = Source.parse(image["from"]["name"]), image["importPolicy"]
        assert source is not None
        try:
            found = await self.importer.image(
                namespace, source, insecure=bool(policy.get("insecure")), mode=policy["importMode"]
            )
        except Failed as failed:
            return {"status": {"metadata": {}, **failed.status}, "tag": source.tag}
        return {"status": {"metadata": {}, "status": "Success"}, "image": found, "tag": source.tag}

    def apply(self, namespace: str, name: str, wanted: Sequence[Object], found: Sequence[Object]) -> Object:
        """Write the result into the stream, which is made where it is missing; the stream as shown."""
        there = self.streams.store.find(namespace, name)
        stream = there or {"metadata": {"name": name, "namespace": namespace}}
        if there is None:
            self.streams.prepare(stream, None)
        else:
            stream["metadata"]["generation"] += 1
        stream["metadata"].setdefault("annotations", {})[CHECKED] = now()
        for image, outcome in zip(wanted, found, strict=True):
            self._apply(stream, image, outcome)
        write = self.streams.store.create if there is None else self.streams.store.update
        return self.streams.show(write(stream))

    def _apply(self, stream: Object, image: Object, outcome: Object) -> None:
        generation, name = stream["metadata"]["generation"], image["to"]["name"]
        tags = stream["spec"].setdefault("tags", [])
        tag = next((tag for tag in tags if tag["name"] == name), None)
        if tag is None:
            tag = {"name": name, "annotations": None, "from": image["from"],
                   "importPolicy": copy.deepcopy(image["importPolicy"]),
                   "referencePolicy": image["referencePolicy"]}  # fmt: skip
            tags.append(tag)
            tags.sort(key=lambda item: item["name"])
        tag["generation"] = generation
        if "image" not in outcome:
            failure = outcome["status"]
            status_tag(stream, name)["conditions"] = [
                {
                    "type": "ImportSuccess",
                    "status": "False",
                    "lastTransitionTime": now(),
                    "reason": failure["reason"],
                    "message": failure["message"],
                    "generation": generation,
                }
            ]
            return
        tag["importPolicy"] = copy.deepcopy(image["importPolicy"])
        digest = outcome["image"]["metadata"]["name"]
        if self.images.store.find("", digest) is None:
            self.images.store.create(outcome["image"])
        reference = outcome["image"]["dockerImageReference"]
        point(stream, name, {"created": now(), "dockerImageReference": reference, "image": digest,
                             "generation": generation})  # fmt: skip


class ImageImportController(Controller):
    """Imports what is to be imported; ``interval`` is the seconds between looks at scheduled tags."""

    def __init__(self, kube: Kube, imports: ImageStreamImports, interval: float = 2.0) -> None:
        super().__init__(kube)
        self.imports = imports
        self.interval = interval
        self._looked = 0.0

    async def run(self) -> None:
        """Until cancelled."""
        async with background(self._follow()):
            await super().run()

    async def _follow(self) -> None:
        async for _event in self.imports.streams.store.watch(self.imports.revision.value):
            self.wake()

    async def reconcile(self) -> float:
        """Every stream at the same time."""
        now_ = asyncio.get_running_loop().time()
        due = now_ >= self._looked + self.interval
        if due:
            self._looked = now_
        streams = self.imports.streams.store.all()
        await asyncio.gather(*(self._import(stream, due) for stream in streams))
        return self.interval

    async def _import(self, stream: Object, due: bool) -> None:
        namespace, name = stream["metadata"]["namespace"], stream["metadata"]["name"]
        insecure = (stream["metadata"].get("annotations") or {}).get(INSECURE) == "true"
        wanted, news = [], []
        for tag in stream["spec"].get("tags") or []:
            source = tag.get("from") or {}
            if source.get("kind") != "DockerImage" or tag.get("reference") or Source.parse(source["name"]) is None:
                continue
            new = tag["generation"] > observed(stream, tag["name"])
            if new or (due and tag["importPolicy"].get("scheduled")):
                policy = {**tag["importPolicy"], **({"insecure": True} if insecure else {})}
                wanted.append({"from": source, "to": {"name": tag["name"]}, "importPolicy": policy,
                               "referencePolicy": tag["referencePolicy"]})  # fmt: skip
                news.append(new)
        if not wanted:
            return
        found = await self.imports.look(namespace, wanted)
        current = self.imports.streams.store.find(namespace, name)
        # What was written meanwhile is looked at again; what is as it was is not written.
        kept = [
            (image, outcome)
            for image, outcome, new in zip(wanted, found, news, strict=True)
            if current and _still(current, image) and (new or _differs(current, image, outcome))
        ]
        if kept:
            images = [image for image, _outcome in kept]
            if insecure:
                written = {tag["name"]: tag["importPolicy"] for tag in (current or {})["spec"]["tags"]}
                images = [{**image, "importPolicy": written[image["to"]["name"]]} for image in images]
            self.imports.apply(namespace, name, images, [outcome for _image, outcome in kept])


def observed(stream: Object, tag: str) -> int:
    """The newest generation of a tag that an import has dealt with."""
    for entry in stream["status"].get("tags") or []:
        if entry["tag"] == tag:
            seen = [*(entry["items"] or [])[:1], *(entry.get("conditions") or [])]
            return max((item["generation"] for item in seen), default=0)
    return 0


def _still(stream: Object, image: Object) -> bool:
    return any(
        tag["name"] == image["to"]["name"] and tag.get("from") == image["from"]
        for tag in stream["spec"].get("tags") or []
    )


def _differs(stream: Object, image: Object, outcome: Object) -> bool:
    entry = status_tag(copy.deepcopy(stream), image["to"]["name"])
    if "image" not in outcome:
        return [item["message"] for item in entry.get("conditions") or []] != [outcome["status"]["message"]]
    current = [item["image"] for item in (entry["items"] or [])[:1]]
    return bool(entry.get("conditions")) or current != [outcome["image"]["metadata"]["name"]]
