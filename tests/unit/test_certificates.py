"""Certificates: what is read from PEM, which host they are for, what a client must trust."""

from __future__ import annotations

import pytest
from certs import issue

from ansible_collections.quayside.registry.plugins.module_utils import certificates
from ansible_collections.quayside.registry.plugins.module_utils.errors import InputError

ROOT = issue("root", ca=True)
MIDDLE = issue("middle", ROOT, ca=True)
LEAF = issue("leaf", MIDDLE, hosts=["*.apps.example.com", "registry.example.com"])
ALONE = issue("alone", hosts=["alone.example.com"])
ALONE_CA = issue("alone", ca=True, hosts=["alone.example.com"])
STRANGER = issue("root", ca=True)  # the same name, another key


def _trust(*texts: str, extra: str = "") -> certificates.Trust:
    return certificates.trust(certificates.parse("".join(texts), "x"), certificates.parse(extra, "y") if extra else [])


def _names(found: certificates.Trust) -> list[str]:
    return [item.subject for item in found.anchors]


@pytest.mark.parametrize(
    ("texts", "leaf", "anchors", "note"),
    [
        ([LEAF, MIDDLE, ROOT], "CN=leaf", ["CN=middle", "CN=root"], ""),
        ([LEAF, ROOT, MIDDLE], "CN=leaf", ["CN=middle", "CN=root"], ""),
        ([LEAF, MIDDLE], "CN=leaf", ["CN=middle"], "lacks its root (CN=root)"),
        ([LEAF, MIDDLE, STRANGER], "CN=leaf", ["CN=middle"], "lacks its root (CN=root)"),
        ([LEAF], "CN=leaf", ["CN=leaf"], "the certificate itself is what to trust"),
        ([ALONE], "CN=alone", ["CN=alone"], ""),
        ([ALONE_CA], "CN=alone", ["CN=alone"], ""),
        ([ALONE, ROOT], "CN=alone", ["CN=alone"], ""),
        ([ROOT], None, ["CN=root"], ""),
        ([ROOT, STRANGER], None, ["CN=root", "CN=root"], ""),
        ([MIDDLE, ROOT], None, ["CN=middle", "CN=root"], ""),
    ],
)
def test_trust_is_the_chain_without_the_leaf(texts, leaf, anchors, note):
    found = _trust(*(item.certificate for item in texts))
    assert (found.leaf.subject if found.leaf else None) == leaf
    assert _names(found) == anchors
    assert note in found.note
    assert bool(note) == bool(found.note)


def test_authorities_beside_the_certificate_complete_the_chain():
    found = _trust(LEAF.certificate, extra=ROOT.certificate + MIDDLE.certificate)
    assert _names(found) == ["CN=middle", "CN=root"]
    assert LEAF.certificate not in certificates.pem(found.anchors)


@pytest.mark.parametrize(
    ("host", "covered"),
    [
        ("registry.example.com", True),
        ("Registry.Example.Com", True),
        ("a.apps.example.com", True),
        ("a.b.apps.example.com", False),
        ("apps.example.com", False),
        ("leaf", False),
        ("com", False),
    ],
)
def test_host_is_covered_by_the_alternative_names_alone(host, covered):
    assert certificates.parse(LEAF.certificate, "x")[0].covers(host) is covered


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "holds no certificate in PEM form"),
        ("/etc/pki/registry.crt", "not its path"),
        (LEAF.key, "block 1 is a PRIVATE KEY, not a CERTIFICATE"),
        (LEAF.certificate + LEAF.key, "block 2 is a PRIVATE KEY"),
        (LEAF.certificate[:-40], "cut off"),
        (LEAF.certificate + MIDDLE.certificate[:-40], "after certificate 1 is cut off"),
        ("-----BEGIN CERTIFICATE-----\nZ2FyYmFnZQ==\n-----END CERTIFICATE-----\n", "certificate 1 cannot be read"),
        ("-----BEGIN CERTIFICATE-----\n!!\n-----END CERTIFICATE-----\n", "certificate 1 cannot be read"),
    ],
)
def test_garbage_is_named(text, message):
    with pytest.raises(InputError) as caught:
        certificates.parse(text, "certificate")
    assert str(caught.value).startswith("certificate")
    assert message in str(caught.value)
    assert LEAF.key.splitlines()[1] not in str(caught.value)


def test_text_around_the_blocks_is_allowed():
    found = certificates.parse(f"subject=leaf\n{LEAF.certificate}\r\n# the authority\n{MIDDLE.certificate}", "x")
    assert [item.subject for item in found] == ["CN=leaf", "CN=middle"]


def test_key_belongs_to_its_certificate():
    leaf = certificates.parse(LEAF.certificate, "x")[0]
    assert certificates.key_matches(leaf, LEAF.key, "private_key")
    assert not certificates.key_matches(leaf, ROOT.key, "private_key")


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("nonsense", "private_key is not a private key in PEM form."),
        (LEAF.certificate, "private_key is not a private key in PEM form."),
    ],
)
def test_key_that_is_none(key, message):
    with pytest.raises(InputError) as caught:
        certificates.key_matches(certificates.parse(LEAF.certificate, "x")[0], key, "private_key")
    assert str(caught.value) == message


def test_key_with_a_passphrase():
    from cryptography.hazmat.primitives import serialization

    key = serialization.load_pem_private_key(LEAF.key.encode(), None)
    locked = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.BestAvailableEncryption(b"pass")
    ).decode()
    with pytest.raises(InputError, match="protected by a passphrase"):
        certificates.key_matches(certificates.parse(LEAF.certificate, "x")[0], locked, "private_key")


@pytest.mark.parametrize(
    ("days", "since", "fault"),
    [(10, 1, ""), (-1, 3, "expired on"), (10, -2, "valid only from")],
)
def test_validity(days, since, fault):
    item = certificates.parse(issue("x", days=days, since=since).certificate, "x")[0]
    found = certificates.validity_fault(item, certificates.now())
    assert fault in found
    assert bool(fault) == bool(found)


def test_facts_are_those_that_openssl_prints(tmp_path):
    import subprocess

    item = certificates.parse(LEAF.certificate, "x")[0]
    facts = item.facts(certificates.now())
    path = tmp_path / "leaf.crt"
    path.write_text(LEAF.certificate)
    printed = subprocess.run(
        ["openssl", "x509", "-in", str(path), "-noout", "-fingerprint", "-sha256"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    assert printed.strip().partition("=")[2] == facts["fingerprint_sha256"]
    assert (facts["subject"], facts["issuer"], facts["is_ca"]) == ("CN=leaf", "CN=middle", False)
    assert facts["expires_in_days"] in (364, 365)
