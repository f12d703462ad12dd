"""Docker's configuration of credentials: reading, merging and removing entries, nothing else touched."""

from __future__ import annotations

import json

import pytest

from ansible_collections.quayside.registry.plugins.module_utils.errors import InputError
from ansible_collections.quayside.registry.plugins.module_utils.oci import auth
from ansible_collections.quayside.registry.plugins.module_utils.oci.auth import Credential

ANN = Credential("ann", "s3cret:with:colons")
AUTH_OF_ANN = "YW5uOnMzY3JldDp3aXRoOmNvbG9ucw=="


def test_a_credential_round_trips_and_is_not_shown() -> None:
    config = auth.with_credential({}, "quay.io", ANN)
    assert config == {"auths": {"quay.io": {"auth": AUTH_OF_ANN}}}
    assert auth.read(auth.parse(auth.dump(config), "file"), "quay.io") == ANN
    assert "s3cret" not in repr(ANN)


def test_merging_keeps_everything_else() -> None:
    before = {
        "auths": {"other.io": {"auth": "eDp5"}, "quay.io": {"identitytoken": "old", "email": "ann@example.com"}},
        "credHelpers": {"ecr": "ecr-login"},
        "HttpHeaders": {"X": "y"},
    }
    frozen = json.dumps(before)
    after = auth.with_credential(before, "quay.io", ANN)
    assert after["auths"]["quay.io"] == {"auth": AUTH_OF_ANN, "email": "ann@example.com"}
    assert {**after, "auths": {**after["auths"], "quay.io": before["auths"]["quay.io"]}} == before
    assert json.dumps(before) == frozen


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ({"auth": "YW5uOnB3AAA="}, Credential("ann", "pw")),
        ({"username": "ann", "password": "pw"}, Credential("ann", "pw")),
        ({"auth": "%%%"}, None),
        ({"auth": "bm9jb2xvbg=="}, None),
        ({"identitytoken": "x"}, None),
        ({}, None),
    ],
)
def test_entries_as_other_programs_write_them(entry: dict[str, str], expected: Credential | None) -> None:
    assert auth.read({"auths": {"quay.io": entry}}, "quay.io") == expected


def test_the_longest_key_is_found() -> None:
    config: auth.Config = {}
    for name in ("quay.io", "quay.io/org", "quay.io/org/app"):
        config = auth.with_credential(config, name, Credential(name, "x"))

    def found(repository: str) -> str:
        credential = auth.find(config, "quay.io", repository)
        assert credential is not None
        return credential.username

    assert found("org/app") == "quay.io/org/app"
    assert found("org/other/deep") == "quay.io/org"
    assert found("else/app") == found("") == "quay.io"
    assert auth.find(config, "ghcr.io", "org/app") is None


@pytest.mark.parametrize("written", ["quay.io", "https://quay.io", "https://quay.io/v1/", "quay.io/v2/"])
def test_old_keys_are_found_and_removed(written: str) -> None:
    config = auth.with_credential({"auths": {"quay.io/org": {"auth": "eDp5"}}}, written, ANN)
    assert auth.find(config, "quay.io") == ANN
    assert auth.without(config, "quay.io") == {"auths": {"quay.io/org": {"auth": "eDp5"}}}


def test_removing_a_namespace_keeps_the_registry() -> None:
    config = {"auths": {"quay.io/org": {"auth": "eDp5"}, "quay.io": {"auth": "eDp5"}}}
    assert auth.without(config, "quay.io", "org") == {"auths": {"quay.io": {"auth": "eDp5"}}}


def test_the_docker_hub_has_its_own_key() -> None:
    assert auth.key("docker.io", docker=True) == "https://index.docker.io/v1/"
    assert auth.key("docker.io") == "docker.io"
    assert auth.key("docker.io", "library") == "docker.io/library"
    config = auth.with_credential({}, auth.DOCKER_HUB_KEY, ANN)
    assert auth.find(config, "docker.io", "library/nginx") == ANN
    assert auth.without(config, "docker.io") == {"auths": {}}


def test_helpers_that_shadow_an_entry() -> None:
    config = {"credHelpers": {"quay.io": "pass"}, "credsStore": "desktop"}
    assert auth.helper(config, "quay.io", docker=False) == "pass"
    assert auth.helper(config, "ghcr.io", docker=False) == ""
    assert auth.helper(config, "ghcr.io", docker=True) == "desktop"


@pytest.mark.parametrize("text", ['{"auths": ', "[]", '{"auths": []}', '{"auths": {"quay.io": "x"}}', "\xff"])
def test_what_cannot_be_read_is_refused(text: str) -> None:
    with pytest.raises(InputError, match=r"/x/auth.json .*Nothing was changed"):
        auth.parse(text, "/x/auth.json")


def test_an_empty_file_is_an_empty_document() -> None:
    assert auth.parse(b"\n", "file") == {}
