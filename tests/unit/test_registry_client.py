"""The registry's API: which requests are sent, how refusals read, and that no refusal is asked for twice."""

from __future__ import annotations

import json
from collections.abc import Mapping

import pytest
from fake_registry import FakeRegistry

from ansible_collections.quayside.registry.plugins.module_utils.errors import RegistryError
from ansible_collections.quayside.registry.plugins.module_utils.oci import client
from ansible_collections.quayside.registry.plugins.module_utils.oci.auth import Credential
from ansible_collections.quayside.registry.plugins.module_utils.oci.client import Refused, Registry
from ansible_collections.quayside.registry.plugins.module_utils.oci.transport import Response

HOST = "registry.example.com"
BUILDER = Credential("builder", "builder-token")
PULLER = Credential("puller", "puller-token")
RIGHTS = {"builder-token": {"pull", "push", "delete"}, "puller-token": {"pull"}}
MANIFEST = json.dumps({"schemaVersion": 2, "mediaType": client.OCI_MANIFEST}).encode()


def registry(fake: FakeRegistry, credential: Credential | None) -> Registry:
    return Registry(HOST, fake.send, credential)


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ('Bearer realm="https://a/t",service="r",scope="repository:x:pull,push"',
         [("bearer", {"realm": "https://a/t", "service": "r", "scope": "repository:x:pull,push"})]),
        ('Basic realm=openshift,error="access denied"', [("basic", {"realm": "openshift", "error": "access denied"})]),
        ('Negotiate, Basic realm="a \\"b\\""', [("negotiate", {}), ("basic", {"realm": 'a "b"'})]),
        ("", []),
    ],
)  # fmt: skip
def test_challenges(header: str, expected: list[tuple[str, dict[str, str]]]) -> None:
    assert client.challenges(header) == expected


def test_login_takes_a_token_and_proves_it() -> None:
    fake = FakeRegistry(HOST, RIGHTS)
    assert registry(fake, BUILDER).log_in()
    assert fake.requests == ["GET /v2/", "GET /openshift/token", "GET /v2/"]


def test_a_wrong_credential_is_refused_at_the_token_service() -> None:
    fake = FakeRegistry(HOST, RIGHTS)
    with pytest.raises(Refused, match=r"does not let user eve log in: HTTP status 401 \(token service registry"):
        registry(fake, Credential("eve", "guess")).log_in()
    assert fake.requests == ["GET /v2/", "GET /openshift/token"]


def test_a_missing_right_is_refused_once_and_in_the_registry_s_words() -> None:
    fake = FakeRegistry(HOST, RIGHTS)
    with pytest.raises(Refused) as refusal:
        registry(fake, PULLER).put_manifest("demo/app", "v1", MANIFEST)
    assert str(refusal.value) == (
        "registry.example.com does not let user puller push demo/app:v1: "
        "UNAUTHORIZED: authentication required, access denied."
    )
    assert fake.requests == ["PUT /v2/demo/app/manifests/v1", "GET /openshift/token", "PUT /v2/demo/app/manifests/v1"]


def test_anonymous_users_get_a_token_that_may_nothing() -> None:
    with pytest.raises(Refused, match="does not let anonymous users read demo/app:v1"):
        registry(FakeRegistry(HOST, RIGHTS), None).manifest("demo/app", "v1")


def test_push_and_pull_with_one_token_for_each_scope() -> None:
    fake = FakeRegistry(HOST, RIGHTS)
    builder = registry(fake, BUILDER)
    digest = builder.upload_blob("demo/app", b"content")
    assert builder.has_blob("demo/app", digest)
    assert not builder.has_blob("demo/app", client.digest_of(b"other"))
    assert builder.blob("demo/app", digest) == b"content"
    pushed = builder.put_manifest("demo/app", "v1", MANIFEST)
    for reference in ("v1", pushed):
        found = builder.manifest("demo/app", reference)
        assert found == client.Manifest(client.OCI_MANIFEST, pushed, MANIFEST)
    assert builder.manifest("demo/app", "v2") is None
    assert fake.requests.count("GET /openshift/token") == 2


def test_delete() -> None:
    fake = FakeRegistry(HOST, RIGHTS, deletes=True)
    builder = registry(fake, BUILDER)
    digest = builder.put_manifest("demo/app", "v1", MANIFEST)
    builder.delete_manifest("demo/app", digest)
    builder.delete_manifest("demo/app", digest)
    assert not fake.manifests
    with pytest.raises(client.Unsupported):
        registry(FakeRegistry(HOST, RIGHTS), BUILDER).delete_manifest("demo/app", digest)


class Answers:
    """A transport that answers from a list, and keeps what it was asked."""

    def __init__(self, *answers: Response) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[str, str, Mapping[str, str]]] = []

    def send(self, method: str, url: str, headers: Mapping[str, str], body: bytes | None = None) -> Response:
        self.asked.append((method, url, headers))
        return self.answers.pop(0)


def test_a_registry_with_basic_authentication() -> None:
    answers = Answers(Response(401, {"www-authenticate": 'Basic realm="Registry"'}), Response(200, {}, b"{}"))
    assert Registry(HOST, answers.send, BUILDER).log_in()
    assert answers.asked[1][2] == {"Authorization": "Basic YnVpbGRlcjpidWlsZGVyLXRva2Vu"}


def test_a_registry_that_asks_nobody() -> None:
    assert not Registry(HOST, Answers(Response(200, {}, b"{}")).send, BUILDER).log_in()


def test_a_token_service_elsewhere_is_told_service_and_scope() -> None:
    challenge = 'Bearer realm="https://auth.example.com/token",service="reg",scope="repository:a/b:pull"'
    answers = Answers(
        Response(401, {"www-authenticate": challenge}), Response(200, {}, b'{"token": "t"}'), Response(404, {}, b"{}")
    )
    assert Registry(HOST, answers.send, BUILDER).manifest("a/b", "v1") is None
    assert answers.asked[1][1] == (
        "https://auth.example.com/token?service=reg&scope=repository%3Aa%2Fb%3Apull&account=builder"
    )
    assert answers.asked[2][2]["Authorization"] == "Bearer t"


def test_the_credential_does_not_follow_a_redirect() -> None:
    content = b"layer"
    answers = Answers(
        Response(401, {"www-authenticate": "Basic realm=r"}),
        Response(307, {"location": "https://storage.example.net/x?sig=1"}),
        Response(200, {}, content),
    )
    assert Registry(HOST, answers.send, BUILDER).blob("a/b", client.digest_of(content)) == content
    assert answers.asked[2] == ("GET", "https://storage.example.net/x?sig=1", {})


@pytest.mark.parametrize(
    ("response", "said"),
    [
        (Response(429, {"retry-after": "600"}, b'{"errors": [{"code": "TOOMANYREQUESTS", "message": "slow down"}]}'),
         "TOOMANYREQUESTS: slow down. Its limit of requests is reached: try again in 600 seconds"),
        (Response(404, {}, b"<html>"), "this is no registry"),
        (Response(503, {}, b"<html>"), "where no route has this host"),
        (Response(500, {}, b""), "could not log in: HTTP status 500."),
        (Response(404, {}, b'{"errors": [{"code": "NAME_UNKNOWN"}]}'), "NAME_UNKNOWN"),
        (Response(401, {}, b""), "does not let user builder log in: HTTP status 401."),
        (Response(400, {}, b'{"errors": [{"code": "DENIED", "message": "no"}]}'), "does not let user builder log in"),
    ],
)  # fmt: skip
def test_errors_are_sentences(response: Response, said: str) -> None:
    with pytest.raises(RegistryError) as error:
        Registry(HOST, Answers(response).send, BUILDER).log_in()
    assert said in str(error.value)
    assert "builder-token" not in str(error.value)


def test_content_that_is_not_what_its_digest_says_is_refused() -> None:
    wrong = Response(200, {}, b"tampered")
    with pytest.raises(RegistryError, match="another digest"):
        Registry(HOST, Answers(wrong).send).blob("a/b", client.digest_of(b"content"))
    with pytest.raises(RegistryError, match="has digest sha256:"):
        Registry(HOST, Answers(wrong).send).manifest("a/b", client.digest_of(b"content"))
