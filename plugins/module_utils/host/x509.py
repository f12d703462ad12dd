# Copyright (c) 2026, quayside.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Certificates and keys in PEM, read with the standard library: hosts that are managed have no other.

OpenSSL (through ``ssl``) decides what is a certificate; what it does not tell, names and validity, a small reader of DER does.
"""

from __future__ import annotations

import dataclasses
import datetime
import hashlib
import re
import ssl
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from ansible_collections.quayside.registry.plugins.module_utils.errors import InputError

_BLOCK = re.compile(r"-----BEGIN ([A-Z0-9 ]+)-----\s.*?-----END \1-----", re.DOTALL)

_BOOLEAN = 0x01
_UTC_TIME = 0x17
_VERSION, _EXTENSIONS = 0xA0, 0xA3
_UTF16_STRING = 0x1E
_BASIC_CONSTRAINTS = bytes.fromhex("551d13")
_NAMES = {3: "CN", 6: "C", 7: "L", 8: "ST", 10: "O", 11: "OU"}  # 2.5.4.N


@dataclasses.dataclass(frozen=True)
class Certificate:
    """One certificate; ``pem`` is written anew, so that blanks and comments of the source make no difference."""

    pem: str
    subject: str
    issuer: str
    not_after: datetime.datetime
    is_ca: bool
    sha256: str

    def shown(self) -> dict[str, str]:
        return {
            "subject": self.subject,
            "issuer": self.issuer,
            "not_after": self.not_after.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "sha256": self.sha256,
        }


def certificates(text: str, what: str) -> list[Certificate]:
    """All certificates of a PEM text, at least one. ``what`` names it in the errors (InputError)."""
    found = []
    for label, block in _blocks(text, what, "CERTIFICATE"):
        if label.endswith("PRIVATE KEY"):
            raise InputError(
                f"{what} holds a private key. It belongs in client_key alone: take it out, and replace it."
            )
        if label != "CERTIFICATE":
            raise InputError(f"{what} holds a {label} where a CERTIFICATE is wanted.")
        found.append(_certificate(block, what))
    return found


def refuse_expired(found: Sequence[Certificate], now: datetime.datetime, what: str) -> None:
    for certificate in found:
        if certificate.not_after < now:
            raise InputError(
                f"{what}: the certificate {certificate.subject} has expired on {certificate.not_after:%Y-%m-%d}."
                " Take it out, or give the one that replaces it."
            )


def private_key(text: str, certificate: str, what: str) -> str:
    """The private key of this certificate, as PEM written anew. Refused are keys of others and those with a passphrase."""
    blocks = [(label, block) for label, block in _blocks(text, what, "PRIVATE KEY") if label.endswith("PRIVATE KEY")]
    if len(blocks) != 1:
        raise InputError(f"{what} must hold one private key and holds {len(blocks)}.")
    label, block = blocks[0]
    if label.startswith("ENCRYPTED") or "ENCRYPTED" in block:
        raise InputError(f"{what} needs a passphrase, which podman and docker cannot ask for: decrypt it first.")
    with tempfile.TemporaryDirectory() as folder:  # 0700
        paths = Path(folder, "certificate"), Path(folder, "key")
        paths[0].write_text(certificate)
        paths[1].write_text(block)
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_cert_chain(paths[0], paths[1], password="")
        except ssl.SSLError as error:
            if error.reason == "KEY_VALUES_MISMATCH":
                raise InputError(f"{what} does not belong to the client_certificate.") from error
            raise InputError(f"{what} is not a usable private key: {error.reason or error}.") from error
    return block


def _blocks(text: str, what: str, wanted: str) -> Iterator[tuple[str, str]]:
    blocks = [(match[1], _tidy(match[0])) for match in _BLOCK.finditer(text)]
    if blocks and text.count("-----BEGIN ") == len(blocks):
        yield from blocks
        return
    hint = f"it has no -----BEGIN {wanted}-----"
    if not text.strip():
        hint = "it is empty"
    elif text.lstrip().startswith("LS0tLS1CRUdJTi"):
        hint = "it is base64 of PEM, as in a Secret: decode it with the filter b64decode"
    elif "\\n" in text:
        hint = r"it has \n as two characters where lines should end"
    elif "-----BEGIN " in text:
        hint = "it is cut off: an -----END----- line is missing"
    raise InputError(f"{what} is not PEM: {hint}.")


def _tidy(block: str) -> str:
    return "\n".join(line.strip() for line in block.splitlines() if line.strip()) + "\n"


def _certificate(block: str, what: str) -> Certificate:
    try:
        der = ssl.PEM_cert_to_DER_cert(block)
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=der)
        subject, issuer, not_after, is_ca = _parse(der)
    except (ssl.SSLError, ValueError, IndexError) as error:
        raise InputError(f"{what} holds a certificate that does not parse: it is damaged or incomplete.") from error
    return Certificate(
        ssl.DER_cert_to_PEM_cert(der), subject, issuer, not_after, is_ca, hashlib.sha256(der).hexdigest()
    )


# DER (X.690), as far as a certificate (RFC 5280) needs it


def _parse(der: bytes) -> tuple[str, str, datetime.datetime, bool]:
    """Subject, issuer, end of validity, and whether it is a CA."""
    (_tag, certificate), *_none = _items(der)
    (_tag, tbs), *_signature = _items(certificate)
    fields = list(_items(tbs))
    if fields[0][0] == _VERSION:
        fields = fields[1:]
    _serial, _algorithm, issuer, validity, subject, _key, *rest = fields
    _not_before, not_after = _items(validity[1])
    extensions = next((content for tag, content in rest if tag == _EXTENSIONS), b"")
    return _name(subject[1]), _name(issuer[1]), _time(*not_after), _is_ca(extensions)


def _items(data: bytes) -> Iterator[tuple[int, bytes]]:
    """The elements that follow one another in ``data``: tag and content."""
    at = 0
    while at < len(data):
        tag, length, at = data[at], data[at + 1], at + 2
        if length & 0x80:
            size = length & 0x7F
            length, at = int.from_bytes(data[at : at + size], "big"), at + size
        if at + length > len(data):
            raise ValueError("an element is longer than what holds it")
        yield tag, data[at : at + length]
        at += length


def _name(content: bytes) -> str:
    parts = []
    for _set, attributes in _items(content):
        for _sequence, attribute in _items(attributes):
            (_tag, identifier), (kind, value) = _items(attribute)
            short = _NAMES.get(identifier[-1]) if identifier[:-1] == b"\x55\x04" else None
            if short:
                parts.append(f"{short}={value.decode('utf-16-be' if kind == _UTF16_STRING else 'utf-8', 'replace')}")
    return ", ".join(parts) or "(no name)"


def _time(tag: int, content: bytes) -> datetime.datetime:
    text = content.decode("ascii")
    if tag == _UTC_TIME:
        text = ("20" if int(text[:2]) < 50 else "19") + text
    return datetime.datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=datetime.timezone.utc)


def _is_ca(extensions: bytes) -> bool:
    for _explicit, sequence in _items(extensions):
        for _sequence, extension in _items(sequence):
            (_tag, identifier), *_critical, (_octets, value) = _items(extension)
            if identifier == _BASIC_CONSTRAINTS:
                (_tag, constraints), *_none = _items(value)
                return any(tag == _BOOLEAN and content != b"\0" for tag, content in _items(constraints))
    return False
