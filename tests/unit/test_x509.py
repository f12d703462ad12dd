"""Certificates and keys read with the standard library alone, beside what ``cryptography`` says of them."""

from __future__ import annotations

import base64
import datetime

import pytest
from certs import DAY, issue
from cryptography import x509 as reference
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

from ansible_collections.quayside.registry.plugins.module_utils.errors import InputError
from ansible_collections.quayside.registry.plugins.module_utils.host import x509

NOW = datetime.datetime.now(datetime.timezone.utc)
ROOT = issue("root", ca=True)
LEAF = issue("leaf", ROOT, hosts=["a.example.com"])


def test_a_chain_is_read() -> None:
    leaf, root = x509.certificates(f"subject=leaf\n{LEAF.certificate}\n\n  {ROOT.certificate}", "x")
    assert (leaf.subject, leaf.issuer, leaf.is_ca) == ("CN=leaf", "CN=root", False)
    assert (root.subject, root.issuer, root.is_ca) == ("CN=root", "CN=root", True)
    expected = reference.load_pem_x509_certificate(ROOT.certificate.encode())
    assert root.not_after == expected.not_valid_after_utc
    assert root.sha256 == expected.fingerprint(hashes.SHA256()).hex()
    assert root.pem == ROOT.certificate


def test_blanks_and_comments_make_no_difference() -> None:
    untidy = "# a comment\r\n" + ROOT.certificate.replace("\n", "  \r\n") + "\r\n\r\n"
    assert x509.certificates(untidy, "x") == x509.certificates(ROOT.certificate, "x")


@pytest.mark.parametrize("year", [2049, 2050, 2999])
def test_names_and_years_of_all_kinds(year: int) -> None:
    key = rsa.generate_private_key(65537, 2048)
    name = reference.Name(
        [
            reference.NameAttribute(NameOID.COUNTRY_NAME, "DE"),
            reference.NameAttribute(NameOID.ORGANIZATION_NAME, "Ünïcode & Söhne"),
            reference.NameAttribute(NameOID.EMAIL_ADDRESS, "ca@example.com"),
            reference.NameAttribute(NameOID.COMMON_NAME, "x" * 64),
        ]
    )
    certificate = (
        reference.CertificateBuilder()
        .subject_name(name)
        .issuer_name(reference.Name([]))
        .public_key(key.public_key())
        .serial_number(1 << 150)
        .not_valid_before(NOW - DAY)
        .not_valid_after(datetime.datetime(year, 12, 31, 23, 59, 59))
        .sign(key, hashes.SHA256())
    )
    (found,) = x509.certificates(certificate.public_bytes(serialization.Encoding.PEM).decode(), "x")
    assert found.subject == f"C=DE, O=Ünïcode & Söhne, CN={'x' * 64}"
    assert found.issuer == "(no name)"
    assert (found.not_after.year, found.is_ca) == (year, False)


DAMAGED = ROOT.certificate.replace("MII", "MIA")
CUT = "\n".join(ROOT.certificate.splitlines()[:5])
SHORT = "-----BEGIN CERTIFICATE-----\nMIIBIjAN\n-----END CERTIFICATE-----\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "it is empty"),
        ("hello", "it has no -----BEGIN CERTIFICATE-----"),
        (base64.b64encode(ROOT.certificate.encode()).decode(), "decode it with the filter b64decode"),
        (ROOT.certificate.replace("\n", "\\n"), r"it has \n as two characters"),
        (CUT, "it is cut off"),
        (ROOT.certificate + CUT, "it is cut off"),
        (DAMAGED, "does not parse"),
        (SHORT, "does not parse"),
        (ROOT.certificate + ROOT.key, "holds a private key"),
        (ROOT.certificate.replace("CERTIFICATE", "CERTIFICATE REQUEST"), "holds a CERTIFICATE REQUEST"),
    ],
)
def test_what_is_no_certificate_is_refused(text: str, said: str) -> None:
    with pytest.raises(InputError, match=r"^registries\[0\]") as refusal:
        x509.certificates(text, "registries[0]")
    assert said in str(refusal.value)


def test_every_cut_of_a_certificate_is_refused() -> None:
    """No index error, no endless loop, whatever is missing."""
    lines = ROOT.certificate.splitlines()
    der = base64.b64decode("".join(lines[1:-1]))
    for length in range(len(der)):
        body = base64.encodebytes(der[:length]).decode()
        with pytest.raises(InputError):
            x509.certificates(f"{lines[0]}\n{body}{lines[-1]}\n", "x")


def test_an_expired_certificate_is_refused_by_its_name() -> None:
    expired = x509.certificates(issue("old", ca=True, days=-1, since=10).certificate, "x")
    with pytest.raises(InputError, match=r"quay.io: the certificate CN=old has expired on"):
        x509.refuse_expired(expired, NOW, "quay.io")
    x509.refuse_expired(x509.certificates(ROOT.certificate, "x"), NOW, "quay.io")


def test_a_key_must_be_the_certificate_s_and_open() -> None:
    assert x509.private_key("\n" + LEAF.key + "\n", LEAF.certificate, "client_key") == LEAF.key
    key = serialization.load_pem_private_key(LEAF.key.encode(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    locked = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"passphrase"),
    ).decode()
    for text, said in [
        (ROOT.key, "does not belong to the client_certificate"),
        (locked, "needs a passphrase"),
        (LEAF.certificate, "must hold one private key and holds 0"),
        (LEAF.key + LEAF.key, "must hold one private key and holds 2"),
        (LEAF.key.replace("MIG", "MIA"), "is not a usable private key"),
        ("x", "it has no -----BEGIN PRIVATE KEY-----"),
    ]:
        with pytest.raises(InputError, match="client_key") as refusal:
            x509.private_key(text, LEAF.certificate, "client_key")
        assert said in str(refusal.value)
        assert "MIG" not in str(refusal.value)
