"""Certificates of a world: a certificate authority and what it signs (EC P-256 keys, PEM bytes throughout)."""

from __future__ import annotations

import datetime
import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

DAY = datetime.timedelta(days=1)


@dataclass(frozen=True)
class KeyPair:
    """A certificate and its private key (PKCS#8), both PEM."""

    certificate: bytes
    key: bytes

    def write(self, directory: Path, name: str) -> tuple[Path, Path]:
        """Write NAME.crt and NAME.key (0600) into the folder; returns both paths."""
        certificate, key = directory / f"{name}.crt", directory / f"{name}.key"
        certificate.write_bytes(self.certificate)
        write_private(key, self.key)
        return certificate, key


@dataclass(frozen=True)
class Authority(KeyPair):
    """A certificate authority: its self-signed certificate and key, and the signing of leaves."""

    @classmethod
    def create(cls, common_name: str, valid: datetime.timedelta = 3650 * DAY) -> Authority:
        """A new authority; `valid` may be negative for one that has expired already."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
        builder = _builder(name, name, key.public_key(), valid)
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        builder = builder.add_extension(_key_usage(signs=True), critical=True)
        builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        return cls(_pem(builder.sign(key, hashes.SHA256())), private_key_pem(key))

    @classmethod
    def load(cls, directory: Path, name: str) -> Authority:
        """Read back what `write` wrote."""
        return cls((directory / f"{name}.crt").read_bytes(), (directory / f"{name}.key").read_bytes())

    def server(
        self,
        names: Iterable[str],
        *,
        common_name: str | None = None,
        valid: datetime.timedelta = 3650 * DAY,
    ) -> KeyPair:
        """A server certificate for DNS names (wildcards allowed) and IP addresses; the first is the common name."""
        names = list(names)
        alternatives = x509.SubjectAlternativeName([_general_name(name) for name in names])
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, (common_name or names[0])[:64])])
        return self._sign(subject, ExtendedKeyUsageOID.SERVER_AUTH, valid, alternatives)

    def client(self, user: str, groups: Iterable[str] = (), *, valid: datetime.timedelta = 3650 * DAY) -> KeyPair:
        """A client certificate as Kubernetes reads it: common name = user, one organization per group."""
        attributes = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group) for group in groups]
        subject = x509.Name([*attributes, x509.NameAttribute(NameOID.COMMON_NAME, user)])
        return self._sign(subject, ExtendedKeyUsageOID.CLIENT_AUTH, valid, None)

    def _sign(
        self,
        subject: x509.Name,
        usage: x509.ObjectIdentifier,
        valid: datetime.timedelta,
        alternatives: x509.SubjectAlternativeName | None,
    ) -> KeyPair:
        issuer = x509.load_pem_x509_certificate(self.certificate)
        issuer_key = serialization.load_pem_private_key(self.key, None)
        assert isinstance(issuer_key, ec.EllipticCurvePrivateKey)
        key = ec.generate_private_key(ec.SECP256R1())
        builder = _builder(subject, issuer.subject, key.public_key(), valid)
        builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        builder = builder.add_extension(_key_usage(signs=False), critical=True)
        builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key())
        builder = builder.add_extension(identifier, critical=False)
        if alternatives is not None:
            builder = builder.add_extension(alternatives, critical=False)
        return KeyPair(_pem(builder.sign(issuer_key, hashes.SHA256())), private_key_pem(key))


def private_key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    """PKCS#8 PEM without a passphrase."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def signing_keys() -> tuple[bytes, bytes]:
    """A private and a public key in PEM, for service account tokens (ES256)."""
    key = ec.generate_private_key(ec.SECP256R1())
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    return private_key_pem(key), public


def write_private(path: Path, content: bytes) -> None:
    """Write a file that only its owner may read, from its first byte on."""
    path.unlink(missing_ok=True)
    path.touch(mode=0o600, exist_ok=False)
    path.write_bytes(content)


def _builder(
    subject: x509.Name, issuer: x509.Name, public_key: ec.EllipticCurvePublicKey, valid: datetime.timedelta
) -> x509.CertificateBuilder:
    end = datetime.datetime.now(datetime.timezone.utc) + valid
    # Back-dated by a day, so that a clock a little behind accepts it; an expired one ends after it began all the same.
    start = min(datetime.datetime.now(datetime.timezone.utc), end) - DAY
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(end)
    )


def _key_usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs,
        crl_sign=signs,
        encipher_only=False,
        decipher_only=False,
    )


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)
