"""The simulators' own client of the API server: requests, and caches kept up to date by list and watch."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp

Object = dict[str, Any]
log = logging.getLogger(__name__)

MERGE_PATCH = "application/merge-patch+json"
FAULTS = (aiohttp.ClientError, asyncio.TimeoutError, OSError)


class KubeError(Exception):
    """An answer of the API server other than success; `body` is its Status object."""

    def __init__(self, status: int, body: Object) -> None:
        super().__init__(f"{status}: {body.get('message')}")
        self.status = status
        self.body = body


class Kube:
    """One connection pool to the API server, by client certificate."""

    def __init__(self, url: str, ca: Path, certificate: Path, key: Path) -> None:
        self.url = url
        self._tls = ssl.create_default_context(cafile=str(ca))
        self._tls.load_cert_chain(certificate, key)
        self._session: aiohttp.ClientSession | None = None

    async def start(self) -> None:
        """Open the pool (inside the running loop)."""
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=self._tls, limit=0),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=10),
            headers={"User-Agent": "quayside-world", "Accept": "application/json"},
        )

    async def stop(self) -> None:
        """Close the pool."""
        if self._session is not None:
            await self._session.close()

    @property
    def session(self) -> aiohttp.ClientSession:
        """The pool."""
        assert self._session is not None, "Kube.start() comes first"
        return self._session

    async def request(
        self,
        method: str,
        path: str,
        body: Object | None = None,
        *,
        content_type: str = "application/json",
        **query: str,
    ) -> Object:
        """One request; the decoded answer, or KubeError."""
        async with self.session.request(
            method,
            self.url + path,
            params=query,
            data=None if body is None else json.dumps(body),
            headers={"Content-Type": content_type},
        ) as response:
            text = await response.text()
            try:
                answer: Object = json.loads(text)
            except ValueError:
                answer = {"kind": "Status", "status": "Failure", "message": text, "code": response.status}
            if response.status >= 400:
                raise KubeError(response.status, answer)
            return answer

    async def get(self, path: str) -> Object:
        """One object or list."""
        return await self.request("GET", path)

    async def find(self, path: str) -> Object | None:
        """One object, None when there is none."""
        try:
            return await self.get(path)
        except KubeError as error:
            if error.status == 404:
                return None
            raise

    async def create(self, path: str, body: Object) -> Object:
        """POST to a collection."""
        return await self.request("POST", path, body)

    async def ensure(self, collection: str, body: Object) -> bool:
        """POST unless it is there already; whether it was made."""
        try:
            await self.create(collection, body)
        except KubeError as error:
            if error.status == 409:
                return False
            raise
        return True

    async def put(self, collection: str, body: Object) -> None:
        """Create the object, or merge it over the one that is there."""
        if not await self.ensure(collection, body):
            await self.patch(f"{collection}/{body['metadata']['name']}", body)

    async def patch(self, path: str, body: Object) -> Object:
        """JSON merge patch."""
        return await self.request("PATCH", path, body, content_type=MERGE_PATCH)

    async def delete(self, path: str) -> bool:
        """DELETE; whether there was anything to delete."""
        try:
            await self.request("DELETE", path)
        except KubeError as error:
            if error.status == 404:
                return False
            raise
        return True

    async def watch(self, path: str, resource_version: str) -> AsyncIterator[Object]:
        """Watch events until the server ends the stream."""
        query = {"watch": "true", "resourceVersion": resource_version, "allowWatchBookmarks": "true"}
        async with self.session.get(self.url + path, params=query) as response:
            if response.status >= 400:
                raise KubeError(response.status, {"message": await response.text()})
            buffer = b""
            async for chunk in response.content.iter_any():
                buffer += chunk
                *lines, buffer = buffer.split(b"\n")
                for line in lines:
                    if line:
                        yield json.loads(line)


class Cache:
    """All objects of one collection, kept up to date; `changed` is called after each difference."""

    def __init__(self, kube: Kube, path: str, changed: Callable[[], None]) -> None:
        self._kube = kube
        self._path = path
        self._changed = changed
        self.objects: dict[tuple[str, str], Object] = {}
        self.synced = asyncio.Event()

    async def run(self) -> None:
        """List, then watch; again from the start whenever the watch ends with an error."""
        while True:
            try:
                listing = await self._kube.get(self._path)
                self.objects = {_key(item): item for item in listing.get("items") or []}
                self.synced.set()
                self._changed()
                await self._follow(listing["metadata"]["resourceVersion"])
            except (KubeError, *FAULTS) as error:
                log.debug("watch of %s: %s", self._path, error)
                await asyncio.sleep(0.2)

    async def _follow(self, resource_version: str) -> None:
        while True:
            async for event in self._kube.watch(self._path, resource_version):
                item = event["object"]
                if event["type"] == "ERROR":
                    return
                resource_version = item["metadata"]["resourceVersion"]
                if event["type"] == "BOOKMARK":
                    continue
                if event["type"] == "DELETED":
                    self.objects.pop(_key(item), None)
                else:
                    self.objects[_key(item)] = item
                self._changed()

    def get(self, namespace: str, name: str) -> Object | None:
        """One object out of the cache."""
        return self.objects.get((namespace, name))


class Controller:
    """A loop that makes the world agree with its caches: `reconcile` runs after every change, and again on errors."""

    def __init__(self, kube: Kube) -> None:
        self.kube = kube
        self._wake = asyncio.Event()
        self._caches: list[Cache] = []

    def watch(self, path: str) -> Cache:
        """A cache whose changes wake this controller."""
        cache = Cache(self.kube, path, self.wake)
        self._caches.append(cache)
        return cache

    def wake(self) -> None:
        """Reconcile soon."""
        self._wake.set()

    async def reconcile(self) -> float | None:
        """Make it so; returns seconds after which to look again, None for not before the next change."""
        raise NotImplementedError

    async def run(self) -> None:
        """Until cancelled."""
        async with background(*(cache.run() for cache in self._caches)):
            await asyncio.gather(*(cache.synced.wait() for cache in self._caches))
            while True:
                self._wake.clear()
                try:
                    again = await self.reconcile()
                except (KubeError, *FAULTS) as error:
                    # A conflict is the ordinary case: the cache was behind, and the change that follows wakes us.
                    log.info("%s: %s", type(self).__name__, error)
                    again = 0.3
                except Exception:
                    log.exception("%s", type(self).__name__)
                    again = 1.0
                with contextlib.suppress(asyncio.TimeoutError):
                    await asyncio.wait_for(self._wake.wait(), again)


@contextlib.asynccontextmanager
async def background(*work: Awaitable[None]) -> AsyncIterator[None]:
    """Run the coroutines beside the body and cancel them at its end."""
    tasks = [asyncio.ensure_future(item) for item in work]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _key(item: Object) -> tuple[str, str]:
    return item["metadata"].get("namespace", ""), item["metadata"]["name"]
