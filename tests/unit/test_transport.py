"""HTTPS with the trust that podman has: certificates are made for each test and served on localhost."""

from __future__ import annotations

import datetime
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from fake_registry import FakeRegistry, serve

from ansible_collections.quayside.registry.plugins.module_utils.errors import InputError, RegistryError
from ansible_collections.quayside.registry.plugins.module_utils.oci.transport import Response, Transport, Unreachable
from world.pki import Authority


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority.create("Test CA")


@pytest.fixture
def fake(tmp_path: Path, authority: Authority) -> Iterator[FakeRegistry]:
    with serve(tmp_path, authority, {"token": {"pull"}}) as registry:
        yield registry


def certs_d(tmp_path: Path, host: str, *certificates: bytes) -> list[str]:
    folder = tmp_path / "certs.d" / host
    folder.mkdir(parents=True)
    for number, certificate in enumerate(certificates):
        (folder / f"{number}.crt").write_bytes(certificate)
    return [str(tmp_path / "no-such-folder"), str(tmp_path / "certs.d")]


def get(registry: FakeRegistry, **options: object) -> Transport:
    transport = Transport(registry.host, **options)  # type: ignore[arg-type]
    with transport:
        assert transport.send("GET", f"https://{registry.host}/v2/", {}).status == 401
    return transport


def test_an_unknown_authority_is_refused_with_the_remedy(fake: FakeRegistry, tmp_path: Path) -> None:
    with pytest.raises(Unreachable, match=r"not trusted here: x509: .*quayside.registry.certs_d .*no such folder"):
        get(fake, certs_dirs=[str(tmp_path)])


def test_certs_d_is_trusted(fake: FakeRegistry, tmp_path: Path, authority: Authority) -> None:
    other = Authority.create("Another CA")
    transport = get(fake, certs_dirs=certs_d(tmp_path, fake.host, other.certificate, authority.certificate))
    assert transport.tls["verified"] is True
    assert transport.tls["issuer"] == "commonName=Test CA"
    assert transport.tls["not_after"].endswith("Z")


def test_what_is_no_certificate_is_passed_over(fake: FakeRegistry, tmp_path: Path, authority: Authority) -> None:
    get(fake, certs_dirs=certs_d(tmp_path, fake.host, b"", b"garbage", authority.certificate))


def test_certs_d_that_lacks_the_authority_is_named(fake: FakeRegistry, tmp_path: Path) -> None:
    with pytest.raises(Unreachable, match="no certificate there verifies it"):
        get(fake, certs_dirs=certs_d(tmp_path, fake.host, Authority.create("Another CA").certificate))


def test_the_server_s_own_certificate_is_an_anchor(fake: FakeRegistry, tmp_path: Path) -> None:
    """Go trusts whatever is in the pool, also a leaf; people put a router's certificate there."""
    get(fake, certs_dirs=certs_d(tmp_path, fake.host, (tmp_path / "server.crt").read_bytes()))


def test_a_file_of_an_authority_is_trusted(fake: FakeRegistry, tmp_path: Path, authority: Authority) -> None:
    authority.write(tmp_path, "ca")
    get(fake, certs_dirs=[], ca_cert=str(tmp_path / "ca.crt"))
    with pytest.raises(InputError, match=r"missing.crt cannot be used"):
        get(fake, certs_dirs=[], ca_cert=str(tmp_path / "missing.crt"))


def test_verification_can_be_turned_off(fake: FakeRegistry) -> None:
    assert get(fake, certs_dirs=[], validate_certs=False).tls["verified"] is False


def test_a_certificate_for_another_name(tmp_path: Path, authority: Authority) -> None:
    with serve(tmp_path, authority, {}, name="other.example.com") as registry:
        directories = certs_d(tmp_path, registry.host, authority.certificate)
        with pytest.raises(Unreachable, match="Use a name that the certificate is for"):
            get(registry, certs_dirs=directories)


def test_an_expired_certificate(tmp_path: Path) -> None:
    expired = Authority.create("Old CA", valid=datetime.timedelta(days=-1))
    with serve(tmp_path, expired, {}) as registry:
        directories = certs_d(tmp_path, registry.host, expired.certificate)
        with pytest.raises(Unreachable, match=r"has expired.*Renew the certificate"):
            get(registry, certs_dirs=directories)


def test_a_client_certificate_without_its_key(fake: FakeRegistry, tmp_path: Path, authority: Authority) -> None:
    directories = certs_d(tmp_path, fake.host)
    (tmp_path / "certs.d" / fake.host / "client.cert").write_bytes(authority.certificate)
    with pytest.raises(InputError, match=r"client.cert or its key beside it cannot be used"):
        get(fake, certs_dirs=directories)


def test_plain_http(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        host = f"localhost:{server.getsockname()[1]}"

        def answer() -> None:
            connection, _address = server.accept()
            with connection:
                connection.recv(1000)
                connection.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        with pytest.raises(Unreachable, match="does not speak TLS"):
            Transport(host, []).send("GET", f"https://{host}/v2/", {})
        thread.join()


def test_nobody_listens_and_nobody_is_called_so() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        host = f"localhost:{server.getsockname()[1]}"
    with pytest.raises(Unreachable, match="cannot be reached: Connection refused"):
        Transport(host, []).send("GET", f"https://{host}/v2/", {})
    with pytest.raises(Unreachable, match="cannot be resolved"):
        Transport("no.such.invalid", []).send("GET", "https://no.such.invalid/v2/", {})


def test_nothing_is_sent_unencrypted() -> None:
    with pytest.raises(RegistryError, match="nothing is sent unencrypted"):
        Transport("localhost", []).send("GET", "http://localhost/token", {"Authorization": "secret"})


def test_a_proxy_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        asked: list[bytes] = []

        def answer() -> None:
            connection, _address = server.accept()
            with connection:
                asked.append(connection.recv(1000))
                connection.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        monkeypatch.setenv("https_proxy", f"http://user:pw@localhost:{server.getsockname()[1]}")
        monkeypatch.setenv("no_proxy", "internal.example.com")
        with pytest.raises(Unreachable, match="403"):
            Transport("quay.example.com", []).send("GET", "https://quay.example.com/v2/", {})
        thread.join()
    assert asked[0].startswith(b"CONNECT quay.example.com:443 ")
    assert b"Proxy-Authorization: Basic dXNlcjpwdw==" in asked[0]


def test_a_busy_registry_is_asked_again(fake: FakeRegistry, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = [Response(429, {"retry-after": "3"}), Response(503, {}), Response(200, {}, b"{}")]
    monkeypatch.setattr(fake, "send", lambda *_request: answers.pop(0))
    pauses: list[float] = []
    with Transport(fake.host, [], validate_certs=False, pause=pauses.append) as transport:
        assert transport.send("GET", f"https://{fake.host}/v2/", {}).status == 200
    assert pauses == [3.0, 2.0]


def test_a_long_wait_is_the_caller_s_decision(fake: FakeRegistry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fake, "send", lambda *_request: Response(429, {"retry-after": "3600"}))
    with Transport(fake.host, [], validate_certs=False, pause=lambda _seconds: pytest.fail("waited")) as transport:
        assert transport.send("GET", f"https://{fake.host}/v2/", {}).status == 429
