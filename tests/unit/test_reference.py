"""Names of registries and images: what is accepted, and what a near miss is told."""

from __future__ import annotations

import pytest

from ansible_collections.quayside.registry.plugins.module_utils.errors import InputError
from ansible_collections.quayside.registry.plugins.module_utils.oci import reference
from ansible_collections.quayside.registry.plugins.module_utils.oci.reference import Reference

DIGEST = "sha256:" + "0a" * 32


@pytest.mark.parametrize(
    "host",
    [
        "quay.io",
        "registry.example.com:5000",
        "localhost",
        "localhost:5000",
        "10.0.0.1:5000",
        "[::1]:5000",
        "a-b.c",
        "R.io",
    ],
)
def test_hosts_are_kept_as_written(host: str) -> None:
    assert reference.registry_host(host) == host


@pytest.mark.parametrize(
    ("host", "said"),
    [
        ("https://quay.io/v2", "is a URL. Write the host alone: 'quay.io'"),
        ("quay.io/org", "has a path. Write the host alone, without a slash: 'quay.io'"),
        (" quay.io\n", "Write 'quay.io'"),
        ("my_registry:5000", "underscore"),
        ("quay.io:99999", "ports are from 1 to 65535"),
        ("quay.io:0", "ports are from 1 to 65535"),
        ("::1", "IPv6 address in brackets"),
        ("..", "HOST or HOST:PORT"),
        ("", "HOST or HOST:PORT"),
        ("-a.io", "HOST or HOST:PORT"),
        ("quay.io:", "HOST or HOST:PORT"),
    ],
)
def test_what_is_no_host_is_refused_with_the_remedy(host: str, said: str) -> None:
    with pytest.raises(InputError, match="my_option") as refusal:
        reference.registry_host(host, "my_option")
    assert said in str(refusal.value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("nginx", Reference("docker.io", "library/nginx")),
        ("bitnami/redis:7", Reference("docker.io", "bitnami/redis", "7")),
        ("index.docker.io/nginx:1", Reference("docker.io", "library/nginx", "1")),
        ("localhost/app", Reference("localhost", "app")),
        ("localhost:5000/app:v1", Reference("localhost:5000", "app", "v1")),
        ("quay.io/a/b/c:v1", Reference("quay.io", "a/b/c", "v1")),
        (f"quay.io/a/b@{DIGEST}", Reference("quay.io", "a/b", "", DIGEST)),
        (f"quay.io/a/b:v1@{DIGEST}", Reference("quay.io", "a/b", "v1", DIGEST)),
        ("[::1]:5000/a/b__c.d-e", Reference("[::1]:5000", "a/b__c.d-e")),
    ],
)
def test_references(text: str, expected: Reference) -> None:
    assert reference.parse(text) == expected
    assert reference.parse(str(expected)) == expected


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("docker://quay.io/a/b", "Write the image alone: 'quay.io/a/b'"),
        ("quay.io/Org/App", "must be in lower case: 'org/app'"),
        ("quay.io/a//b", "empty part"),
        ("quay.io/", "is empty"),
        ("quay.io/a/b:.v1", "is not a tag"),
        ("quay.io/a/b:" + "x" * 129, "is not a tag"),
        ("quay.io/a/b@sha256:12", "is not a digest"),
        ("quay.io/a/b@latest", "is not a digest"),
        ("quay.io/a_-b", "is not the name of a repository"),
        ("quay.io/" + "a" * 250, "longer than 255"),
    ],
)
def test_what_is_no_reference_is_refused_with_the_remedy(text: str, said: str) -> None:
    with pytest.raises(InputError) as refusal:
        reference.parse(text)
    assert said in str(refusal.value)


def test_a_credential_is_for_a_registry_or_a_part_of_it() -> None:
    assert reference.registry_scope("quay.io") == ("quay.io", "")
    assert reference.registry_scope("quay.io:443/org/team") == ("quay.io:443", "org/team")
    for wrong in ("https://quay.io", "quay.io/", "quay.io/Org"):
        with pytest.raises(InputError):
            reference.registry_scope(wrong)


def test_the_docker_hub_is_served_by_another_host() -> None:
    assert reference.api_host("docker.io") == "registry-1.docker.io"
    assert reference.api_host("quay.io") == "quay.io"
