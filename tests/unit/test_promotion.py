"""What is promoted: entries, tags, and how a Docker Hub's headers read. No registry needed."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.quayside.registry.plugins.module_utils.errors import InputError
from ansible_collections.quayside.registry.plugins.module_utils.oci.local_image import LocalImage
from ansible_collections.quayside.registry.plugins.module_utils.oci.promotion_entries import Entry, distinct, parse
from ansible_collections.quayside.registry.plugins.module_utils.oci.pull_limit import read_headers
from ansible_collections.quayside.registry.plugins.module_utils.oci.tags import Filter, version

DIGEST = "sha256:" + "a" * 64


def entry(source: str, *destinations: str, **options: Any) -> Entry:
    given = {"tags": None, "tag_filter": None, "overwrite": False, **options}
    return parse({"source": source, "destinations": list(destinations), **given}, "images[0]")


def pairs(entry: Entry, *tags: str) -> list[tuple[str, str]]:
    return [(str(copy.source), str(copy.destination)) for copy in entry.copies(tags)]


def test_a_destination_without_a_tag_has_the_source_s() -> None:
    assert pairs(entry("a.io/x:1", "b.io/x", "c.io/y:2")) == [("a.io/x:1", "b.io/x:1"), ("a.io/x:1", "c.io/y:2")]
    assert pairs(entry(f"a.io/x@{DIGEST}", "b.io/x:1")) == [(f"a.io/x@{DIGEST}", "b.io/x:1")]
    assert pairs(entry("nginx:1", "b.io/nginx")) == [("docker.io/library/nginx:1", "b.io/nginx:1")]


def test_each_chosen_tag_goes_to_each_destination() -> None:
    chosen = entry("a.io/x", "b.io/x", "c.io/x", tag_filter={"glob": "1.*", "regex": None, "newest": 1})
    assert pairs(chosen, "1.9", "1.10", "2.0") == [("a.io/x:1.10", "b.io/x:1.10"), ("a.io/x:1.10", "c.io/x:1.10")]
    assert pairs(entry("a.io/x", "b.io/x", tags=["1", "1"])) == [("a.io/x:1", "b.io/x:1")]


def test_local_images() -> None:
    assert entry("oci:/tmp/layout:1.0", "b.io/x:1").source == LocalImage("oci", "/tmp/layout", "1.0")
    archive = LocalImage("docker-archive", "/tmp/a.tar", "app:1.0")
    assert entry("docker-archive:/tmp/a.tar:app:1.0", "b.io/x:1").source == archive
    assert str(archive) == "docker-archive:/tmp/a.tar:app:1.0"


@pytest.mark.parametrize(
    ("source", "destinations", "options", "message"),
    [
        ("Docker.io/UPPER", ["b.io/x"], {}, r"images\[0\].source: 'UPPER' must be in lower case: 'upper'"),
        ("a.io/x", ["b.io/x:1"], {}, r"images\[0\].source: 'a.io/x' has no tag. Write a.io/x:TAG"),
        ("a.io/x:1", [], {}, r"images\[0\].destinations: give one"),
        ("a.io/x:1", [f"b.io/x@{DIGEST}"], {}, "has a digest. An image is pushed to a tag"),
        (f"a.io/x@{DIGEST}", ["b.io/x"], {}, "'b.io/x' has no tag, and there is none to take"),
        ("oci:/tmp/layout", ["b.io/x"], {}, "'b.io/x' has no tag"),
        ("oci:layout:1", ["b.io/x:1"], {}, "write the path from the root"),
        ("https://a.io/x:1", ["b.io/x:1"], {}, "is a URL"),
        ("a.io/x:1", ["b.io/x"], {"tags": ["2"]}, "'a.io/x:1' is one image"),
        ("oci:/tmp/layout", ["b.io/x"], {"tags": ["2"]}, "is one image"),
        ("a.io/x", ["b.io/x:1"], {"tags": ["2"]}, "write repositories alone"),
        ("a.io/x", ["b.io/x"], {"tags": [DIGEST]}, "a digest belongs to the source"),
        ("a.io/x", ["b.io/x"], {"tags": ["-"]}, "'-' is not a tag"),
        ("a.io/x", ["b.io/x"], {"tag_filter": {"glob": None, "regex": None, "newest": None}}, "give glob, regex or newest"),
        ("a.io/x", ["b.io/x"], {"tag_filter": {"glob": None, "regex": "(", "newest": None}}, "not a regular expression"),
        ("a.io/x", ["b.io/x"], {"tag_filter": {"glob": None, "regex": None, "newest": 0}}, "1 or more"),
    ],
)  # fmt: skip
def test_what_cannot_be_meant(source: str, destinations: list[str], options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        entry(source, *destinations, **options)


def test_one_destination_cannot_be_two_images() -> None:
    one, other = entry("a.io/x:1", "b.io/x").copies([])[0], entry("a.io/y:1", "b.io/x:1").copies([])[0]
    assert distinct([one, one]) == [one]
    with pytest.raises(InputError, match=r"b\.io/x:1 cannot be both a\.io/x:1 and a\.io/y:1"):
        distinct([one, other])


def test_versions_are_ordered_as_semver_says() -> None:
    ordered = ["1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-alpha.beta", "1.0.0-beta", "1.0.0-beta.2", "1.0.0-beta.11",
               "1.0.0-rc.1", "1.0.0", "v1.1", "1.2.3", "1.10.0", "2"]  # fmt: skip
    newest_first = ordered[::-1]
    assert sorted(newest_first, key=lambda tag: version(tag) or ()) == ordered
    assert Filter(newest=20).choose([*ordered, "latest", "1.2.3.4", "01.2"]) == newest_first


def test_headers_of_the_docker_hub() -> None:
    headers = {
        "ratelimit-limit": "100;w=21600",
        "ratelimit-remaining": "0;w=21600",
        "docker-ratelimit-source": "1.2.3.4",
    }
    known = {"username": "", "limited": True, "limit": 100, "remaining": 0, "window": 21600, "source": "1.2.3.4"}
    assert read_headers(headers) == known
    free = {"username": "", "limited": False, "limit": None, "remaining": None, "window": None, "source": ""}
    assert read_headers({}) == free
