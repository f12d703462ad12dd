"""Host names as a user writes them."""

from __future__ import annotations

import pytest

from ansible_collections.quayside.registry.plugins.module_utils.errors import InputError
from ansible_collections.quayside.registry.plugins.module_utils.hostname import split_host


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("registry.example.com", ("registry.example.com", None)),
        (" Registry.example.com ", ("registry.example.com", None)),
        ("registry.example.com:8443", ("registry.example.com", 8443)),
        ("image-registry.openshift-image-registry.svc:5000", ("image-registry.openshift-image-registry.svc", 5000)),
        ("localhost", ("localhost", None)),
    ],
)
def test_host_and_port(text, result):
    assert split_host(text, "hosts[0]") == result


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("https://registry.example.com/v2/", "is a URL; give the host name alone, such as 'registry.example.com'"),
        ("registry.example.com/demo", "has a path; give the host name alone, such as 'registry.example.com'"),
        ("", "it is empty"),
        (":443", "it is empty"),
        ("registry_1.example.com", "'registry_1' is not a label"),
        ("-a.example.com", "'-a' is not a label"),
        ("a..example.com", "'' is not a label"),
        ("registry.example.com.", "'' is not a label"),
        ("two words", "'two words' is not a label"),
        ("*.apps.example.com", "'*' is not a label"),
        ("a." * 127 + "example", "longer than 253"),
        ("registry.example.com:port", "the port must be a number"),
        ("registry.example.com:70000", "the port must be a number"),
        ("registry.example.com:", "the port must be a number"),
    ],
)
def test_what_is_no_host(text, message):
    with pytest.raises(InputError) as caught:
        split_host(text, "hosts[0]")
    assert str(caught.value).startswith("hosts[0]: ")
    assert message in str(caught.value)
