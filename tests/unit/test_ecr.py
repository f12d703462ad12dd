"""Amazon ECR: whose registry a name is, and the policy that nodes pull with."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.quayside.registry.plugins.module_utils import ecr
from ansible_collections.quayside.registry.plugins.module_utils.errors import InputError, RegistryError

HOST = "123456789012.dkr.ecr.eu-west-1.amazonaws.com"


@pytest.mark.parametrize(
    ("host", "region", "expected"),
    [
        (HOST, None, "eu-west-1"),
        (HOST, "eu-west-1", "eu-west-1"),
        ("123456789012.dkr.ecr-fips.us-gov-west-1.amazonaws.com", None, "us-gov-west-1"),
        ("123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn", None, "cn-north-1"),
        ("ecr.example.com", "eu-west-1", "eu-west-1"),
    ],
)
def test_the_region_is_in_the_registrys_name(host: str, region: str | None, expected: str) -> None:
    assert ecr.region_of(host, {"region": region}, "x") == expected


@pytest.mark.parametrize(
    ("host", "region", "said"),
    [
        (HOST, "eu-north-1", "the registry's name says eu-west-1"),
        ("public.ecr.aws", None, "is not the name of a private registry of ECR"),
    ],
)
def test_a_region_that_cannot_be_meant(host: str, region: str | None, said: str) -> None:
    with pytest.raises(InputError, match=said):
        ecr.region_of(host, {"region": region}, "x")


@pytest.mark.parametrize(
    ("region", "partition"), [("eu-west-1", "aws"), ("cn-north-1", "aws-cn"), ("us-gov-west-1", "aws-us-gov")]
)
def test_the_policy_of_nodes_names_each_repository(region: str, partition: str) -> None:
    policy: dict[str, Any] = ecr.pull_policy("123456789012", region, ["shop/web"])
    token, pull = policy["Statement"]
    assert (token["Action"], token["Resource"]) == (["ecr:GetAuthorizationToken"], ["*"])
    assert pull["Resource"] == [f"arn:{partition}:ecr:{region}:123456789012:repository/shop/web"]
    assert not [action for action in pull["Action"] if "Put" in action or "Delete" in action or "*" in action]


def test_without_boto3_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ecr, "IMPORT_ERROR", "No module named 'boto3'")
    with pytest.raises(RegistryError, match="pip install boto3"):
        ecr.client("ecr", {"profile": None, "role_arn": None}, "eu-west-1")
