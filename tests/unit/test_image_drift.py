"""Tags whose sources have moved, by real requests to a registry: with which credentials, how many, and what cannot be seen."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from fake_registry import FakeRegistry, serve

from ansible_collections.quayside.registry.plugins.module_utils.openshift import image_drift
from world.pki import Authority

OLD = "sha256:" + "0" * 64


class Cluster:
    """What the nodes trust, and threads as a cluster's connection has them, one after the other."""

    def __init__(self, host: str, ca: str) -> None:
        self.host, self.ca = host, ca

    def get(self, kind: Any, _name: str, _namespace: str = "") -> dict[str, Any]:
        if kind.kind == "Image":
            return {"spec": {"additionalTrustedCA": {"name": "trust"}}, "status": {}}
        return {"data": {self.host.replace(":", ".."): self.ca}}

    def map(self, function: Callable[[Any], Any], items: Sequence[Any]) -> list[Any]:
        return [function(item) for item in items]


class Site:
    def __init__(self, registry: FakeRegistry, ca: str) -> None:
        self.registry = registry
        self.cluster: Any = Cluster(registry.host, ca)
        self.secrets: list[dict[str, Any]] = []

    def push(self, repository: str, tag: str, **content: Any) -> str:
        body = json.dumps(content).encode()
        digest = "sha256:" + hashlib.sha256(body).hexdigest()
        self.registry.manifests[repository, tag] = self.registry.manifests[repository, digest] = body
        return digest

    def secret(self, namespace: str, token: str, name: str = "pull") -> None:
        auth = base64.b64encode(f"user:{token}".encode()).decode()
        config = json.dumps({"auths": {self.registry.host: {"auth": auth}}})
        data = {".dockerconfigjson": base64.b64encode(config.encode()).decode()}
        metadata = {"namespace": namespace, "name": name}
        self.secrets.append({"metadata": metadata, "type": "kubernetes.io/dockerconfigjson", "data": data})

    def read(self, *streams: dict[str, Any]) -> tuple[list[dict[str, Any]], list[str]]:
        return image_drift.read(self.cluster, streams, self.secrets)

    def stream(self, source: str, image: str = OLD, namespace: str = "shop", **tag: Any) -> dict[str, Any]:
        kind = tag.pop("kind", "DockerImage")
        conditions = tag.pop("conditions", [])
        item = {"image": image, "created": "2026-11-01T00:00:00Z"}
        spec = {"name": "1", "from": {"kind": kind, "name": f"{self.registry.host}/{source}"}, **tag}
        return {
            "metadata": {"namespace": namespace, "name": "app"},
            "spec": {"tags": [spec]},
            "status": {"tags": [{"tag": "1", "items": [item] if image else None, "conditions": conditions}]},
        }


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    authority = Authority.create("Test CA")
    ca, _key = authority.write(tmp_path, "ca")
    with serve(tmp_path, authority, {"anonymous": {"pull"}, "good": {"pull"}, "weak": set()}) as registry:
        yield Site(registry, ca.read_text())


def test_a_source_that_has_another_image(site: Site) -> None:
    now = site.push("acme/app", "1", layers=[])
    rows, unread = site.read(site.stream("acme/app:1"), site.stream("acme/app:1", image=now, namespace="same"))
    assert unread == []
    assert rows == [
        {
            "namespace": "shop",
            "stream": "app",
            "tag": "1",
            "source": f"{site.registry.host}/acme/app:1",
            "imported": OLD,
            "since": "2026-11-01T00:00:00Z",
            "scheduled": False,
            "current": now,
        }
    ]


def test_an_image_that_an_import_took_out_of_a_list_is_current_while_the_list_has_it(site: Site) -> None:
    one = site.push("acme/app", "amd64", layers=[])
    listed = site.push("acme/app", "1", manifests=[{"digest": one}])
    assert site.read(site.stream("acme/app:1", image=one)) == ([], [])
    whole = {"importPolicy": {"importMode": "PreserveOriginal"}}
    assert site.read(site.stream("acme/app:1", image=listed, **whole)) == ([], [])
    assert [row["current"] for row in site.read(site.stream("acme/app:1", image=one, **whole))[0]] == [listed]


def test_a_source_that_is_gone(site: Site) -> None:
    rows, unread = site.read(site.stream("acme/gone:1"))
    assert ([row["current"] for row in rows], unread) == ([""], [])


def test_one_head_and_no_pull_for_a_tag_that_has_not_moved(site: Site) -> None:
    now = site.push("acme/app", "1", layers=[])
    site.read(site.stream("acme/app:1", image=now), site.stream("acme/app:1", image=now, namespace="other"))
    asked = [request for request in site.registry.requests if "/manifests/" in request]
    # the first one is answered with how to log in
    assert asked == ["HEAD /v2/acme/app/manifests/1"] * 3


@pytest.mark.parametrize(
    "tag",
    [
        {"kind": "ImageStreamTag"},
        {"image": ""},
        {"reference": True},
        {"conditions": [{"type": "ImportSuccess", "status": "False"}]},
    ],
)
def test_tags_that_follow_nothing_are_not_asked_for(site: Site, tag: dict[str, Any]) -> None:
    assert site.read(site.stream("acme/app:1", **tag), site.stream(f"acme/app@{OLD}")) == ([], [])
    assert site.registry.requests == []


def test_with_the_projects_own_pull_secrets_then_the_clusters(site: Site) -> None:
    site.registry.rights = {"good": {"pull"}, "weak": set()}
    site.push("acme/app", "1", layers=[])
    site.secret("shop", "weak")
    site.secret("openshift-config", "good", "pull-secret")
    site.secret("other", "good")
    rows, unread = site.read(site.stream("acme/app:1"))
    assert (len(rows), unread) == (1, [])
    site.secrets = [site.secrets[0], site.secrets[2]]
    rows, unread = site.read(site.stream("acme/app:1"), site.stream("acme/app:1", namespace="other"))
    assert [row["namespace"] for row in rows] == ["other"]
    (text,) = unread
    assert text.startswith(f"Whether tags from {site.registry.host} have drifted could not be seen (1 of them): ")
    assert "does not let user user" in text


def test_an_insecure_registry_gets_no_credentials(site: Site) -> None:
    site.secret("shop", "good")
    site.push("acme/app", "1", layers=[])
    site.cluster.ca = ""
    rows, unread = site.read(site.stream("acme/app:1", importPolicy={"insecure": True}))
    assert (len(rows), unread) == (1, [])
    assert site.read(site.stream("acme/app:1"))[0] == []


def test_what_is_not_there_is_named_once_for_each_registry(site: Site) -> None:
    streams = [site.stream("acme/app:1", namespace=name) for name in ("a", "b")]
    for stream in streams:
        stream["spec"]["tags"][0]["from"]["name"] = "localhost:1/acme/app:1"
    rows, unread = site.read(*streams)
    assert rows == []
    assert unread == [
        "Whether tags from localhost:1 have drifted could not be seen (2 of them): localhost:1 cannot be reached: Connection refused."
    ]
