# Copyright (c) 2026, quayside.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Certificates in PEM: what they say, which host they are for, who issued them, and what is wrong with them. No I/O."""

from __future__ import annotations

import dataclasses
import datetime
import re
import traceback
from collections.abc import Iterable, Sequence

from ansible_collections.quayside.registry.plugins.module_utils.errors import InputError, RegistryError

IMPORT_ERROR: str | None = None
try:
    from cryptography import x509
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives import hashes, serialization

    if not hasattr(x509.Certificate, "not_valid_after_utc"):
        raise ImportError("cryptography is older than 42")
except ImportError:
    IMPORT_ERROR = traceback.format_exc()

_BLOCK = re.compile(r"-----BEGIN ([A-Z0-9 ]+)-----\s.*?-----END \1-----", re.DOTALL)


@dataclasses.dataclass(frozen=True)
class Certificate:
    """One certificate. ``hosts`` are the DNS names (wildcards too) and IP addresses of its subjectAltName."""

    pem: str
    subject: str
    issuer: str
    fingerprint_sha256: str
    not_before: datetime.datetime
    not_after: datetime.datetime
    is_ca: bool
    hosts: tuple[str, ...]
    loaded: x509.Certificate = dataclasses.field(compare=False, repr=False)

    def issued(self, other: Certificate) -> bool:
        """Whether this one's key signed the other one (itself, for a root)."""
        try:
            other.loaded.verify_directly_issued_by(self.loaded)
        except (ValueError, TypeError, InvalidSignature):
            return False
        return True

    @property
    def self_signed(self) -> bool:
        return self.subject == self.issuer and self.issued(self)

    def covers(self, host: str) -> bool:
        """Whether the certificate is for this host, as clients of today decide (subjectAltName only, RFC 6125)."""
        wanted = host.lower()
        parent = wanted.partition(".")[2]
        return any(name == wanted or (bool(parent) and name == f"*.{parent}") for name in self.hosts)

    def expires_in_days(self, now: datetime.datetime) -> int:
        """Whole days that it is still valid; negative once it has expired."""
        return (self.not_after - now) // datetime.timedelta(days=1)

    def facts(self, now: datetime.datetime) -> dict[str, object]:
        """The certificate as a module returns it."""
        return {
            "subject": self.subject,
            "issuer": self.issuer,
            "fingerprint_sha256": self.fingerprint_sha256,
            "not_before": _timestamp(self.not_before),
            "not_after": _timestamp(self.not_after),
            "expires_in_days": self.expires_in_days(now),
            "is_ca": self.is_ca,
        }


def require() -> None:
    """Raise where the library is missing."""
    if IMPORT_ERROR:
        raise RegistryError(
            "The Python package cryptography (42 or newer) is needed where this module runs. Install it with: "
            f"pip install 'cryptography>=42'. {IMPORT_ERROR}"
        )


def now() -> datetime.datetime:
    return datetime.datetime.now(datetime.timezone.utc)


def parse(text: str, what: str) -> list[Certificate]:
    """The certificates of a PEM text, in its order. Text between the blocks is allowed, other PEM blocks are not.

    Raises InputError that begins with ``what`` and never repeats what it was given.
    """
    require()
    found = []
    for number, block in enumerate(_BLOCK.finditer(text), start=1):
        label = block.group(1)
        if label != "CERTIFICATE":
            raise InputError(f"{what}: block {number} is a {label}, not a CERTIFICATE.")
        try:
            found.append(_load(block.group(0)))
        except ValueError as error:
            raise InputError(f"{what}: certificate {number} cannot be read: {error}.") from error
    if len(found) < text.count("-----BEGIN "):
        raise InputError(f"{what}: a PEM block after certificate {len(found)} is cut off or damaged.")
    if not found:
        raise InputError(
            f"{what} holds no certificate in PEM form (-----BEGIN CERTIFICATE----- …). Give the content of the file,"
            " not its path."
        )
    return found


def key_matches(certificate: Certificate, private_key: str, what: str) -> bool:
    """Whether the private key (PEM, without a passphrase) is the certificate's. The error never shows the key."""
    try:
        key = serialization.load_pem_private_key(private_key.encode(), password=None)
    except TypeError:
        raise InputError(
            f"{what} is protected by a passphrase; remove it with: openssl pkey -in KEY -out PLAIN."
        ) from None
    except ValueError:
        raise InputError(f"{what} is not a private key in PEM form.") from None
    form = (serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return key.public_key().public_bytes(*form) == certificate.loaded.public_key().public_bytes(*form)


def validity_fault(certificate: Certificate, at: datetime.datetime) -> str:
    """Why the certificate is not valid at this time; empty when it is."""
    if certificate.not_after < at:
        return f"the certificate {certificate.subject} expired on {_timestamp(certificate.not_after)}"
    if certificate.not_before > at:
        return f"the certificate {certificate.subject} is valid only from {_timestamp(certificate.not_before)} on"
    return ""


@dataclasses.dataclass(frozen=True)
class Trust:
    """What a client must trust for a server, made from the certificates known of that server.

    `leaf` is the server's own (None: only authorities are known), `anchors` what to trust, and `note` what is to be
    known about them: empty when they end in a root.
    """

    leaf: Certificate | None
    anchors: list[Certificate]
    note: str = ""


def trust(certificates: Sequence[Certificate], extra: Iterable[Certificate] = ()) -> Trust:
    """The trust anchors of a server that shows ``certificates`` (the leaf first); ``extra`` are further authorities.

    The anchors are the leaf's issuers as far as they are known, without the leaf. A self-signed leaf is its own. Where no
    root is known the highest issuer is the anchor: podman, skopeo, docker and curl accept an intermediate or the leaf
    itself as one.
    """
    leaf, pool = certificates[0], _distinct([*certificates[1:], *extra])
    if leaf.is_ca and not leaf.hosts:  # a bundle of authorities and nothing else
        return Trust(None, _distinct([leaf, *pool]))
    chain = [leaf]
    while not chain[-1].self_signed:
        issuer = next((other for other in pool if other not in chain and other.issued(chain[-1])), None)
        if issuer is None:
            break
        chain.append(issuer)
    if leaf.self_signed:
        return Trust(leaf, chain)
    if len(chain) == 1:
        return Trust(
            leaf,
            chain,
            f"no certificate of its issuer ({leaf.issuer}) is stored with it, so the certificate itself is what to trust"
            " until it is replaced; clients that know the issuer already, such as a public authority, need nothing",
        )
    if not chain[-1].self_signed:
        return Trust(
            leaf,
            chain[1:],
            f"the chain ends with {chain[-1].subject} and lacks its root ({chain[-1].issuer}); podman, skopeo, docker and"
            " curl trust an intermediate authority as it is, other clients need the root added to the certificate",
        )
    return Trust(leaf, chain[1:])


def pem(certificates: Iterable[Certificate]) -> str:
    """The certificates as one PEM text."""
    return "".join(certificate.pem for certificate in certificates)


def from_der(data: bytes) -> Certificate:
    """The certificate that a server has shown. Raises ValueError."""
    return _describe(x509.load_der_x509_certificate(data))


def _load(block: str) -> Certificate:
    return _describe(x509.load_pem_x509_certificate(block.encode()))


def _describe(loaded: x509.Certificate) -> Certificate:
    digest = loaded.fingerprint(hashes.SHA256()).hex().upper()
    return Certificate(
        pem=loaded.public_bytes(serialization.Encoding.PEM).decode(),
        subject=loaded.subject.rfc4514_string(),
        issuer=loaded.issuer.rfc4514_string(),
        fingerprint_sha256=":".join(re.findall("..", digest)),
        not_before=loaded.not_valid_before_utc,
        not_after=loaded.not_valid_after_utc,
        is_ca=_is_ca(loaded),
        hosts=_hosts(loaded),
        loaded=loaded,
    )


def _is_ca(loaded: x509.Certificate) -> bool:
    try:
        return bool(loaded.extensions.get_extension_for_class(x509.BasicConstraints).value.ca)
    except x509.ExtensionNotFound:
        return False


def _hosts(loaded: x509.Certificate) -> tuple[str, ...]:
    try:
        names = loaded.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ()
    dns = [name.lower() for name in names.get_values_for_type(x509.DNSName)]
    return (*dns, *(str(address) for address in names.get_values_for_type(x509.IPAddress)))


def _distinct(certificates: Iterable[Certificate]) -> list[Certificate]:
    return list({certificate.fingerprint_sha256: certificate for certificate in certificates}.values())


def _timestamp(time: datetime.datetime) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ")
