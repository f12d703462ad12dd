# Copyright (c) 2026, quayside.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Amazon ECR: tokens, repositories, and the policy that lets nodes pull. All that is said to AWS is said here, by boto3."""

from __future__ import annotations

import base64
import dataclasses
import re
import traceback
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ansible_collections.quayside.registry.plugins.module_utils.errors import InputError, RegistryError
from ansible_collections.quayside.registry.plugins.module_utils.oci.reference import repository
from ansible_collections.quayside.registry.plugins.module_utils.plan import Change, Plan

IMPORT_ERROR: str | None = None
try:
    import boto3
    from botocore.exceptions import BotoCoreError, ClientError
except ImportError:
    IMPORT_ERROR = traceback.format_exc()

#: AWS: hosts of private registries, also in China (amazonaws.com.cn) and with FIPS endpoints.
_HOST = re.compile(r"(?P<account>\d{12})\.dkr\.ecr(?:-fips)?\.(?P<region>[a-z0-9-]+)\.amazonaws\.com(?:\.cn)?")

#: IAM: the ARN of a role. An instance profile, an instance or a session of a role is none.
_ROLE = re.compile(r"arn:aws[a-z-]*:iam::\d{12}:role/\S+")

#: What AWS's managed policy AmazonEC2ContainerRegistryPullOnly allows, but for the pull-through cache.
_PULL = ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]


@dataclasses.dataclass(frozen=True)
class EcrToken:
    """A password for the user AWS. ``expires_at`` is in seconds since the epoch."""

    value: str = dataclasses.field(repr=False)
    expires_at: int


def region_of(host: str, options: Mapping[str, Any], what: str) -> str:
    """The region of a registry: of its name, or as given for one behind another name. Raises InputError."""
    match = _HOST.fullmatch(host)
    given = options["region"]
    if match and given and given != match["region"]:
        raise InputError(
            f"{what}: ecr.region is {given}, but the registry's name says {match['region']}. Leave it out."
        )
    if not match and not given:
        raise InputError(
            f"{what}: ecr: {host} is not the name of a private registry of ECR (ACCOUNT.dkr.ecr.REGION.amazonaws.com). Write"
            " that, or set ecr.region."
        )
    return given or match["region"]  # type: ignore[index]


def get_token(options: Mapping[str, Any], region: str) -> EcrToken:
    """A new token for all registries that the caller may use. Raises RegistryError."""
    answer = _call(client("ecr", options, region), "get_authorization_token", "get a token of ECR", region)
    data = answer["authorizationData"][0]
    password = base64.b64decode(data["authorizationToken"]).decode().partition(":")[2]
    return EcrToken(password, int(data["expiresAt"].timestamp()))


def client(service: str, options: Mapping[str, Any], region: str) -> Any:
    """A client of AWS with the options' profile, as the role that they name."""
    if IMPORT_ERROR:
        raise RegistryError(
            f"The Python package boto3 is needed for ECR where this runs. Install it with: pip install boto3. {IMPORT_ERROR}"
        )
    try:
        session = boto3.Session(profile_name=options["profile"], region_name=region)
        if not options["role_arn"]:
            return session.client(service)
        role = _call(
            session.client("sts"),
            "assume_role",
            f"assume the role {options['role_arn']}",
            region,
            RoleArn=options["role_arn"],
            RoleSessionName="quayside.registry",
        )["Credentials"]
        return boto3.Session(
            aws_access_key_id=role["AccessKeyId"],
            aws_secret_access_key=role["SecretAccessKey"],
            aws_session_token=role["SessionToken"],
            region_name=region,
        ).client(service)
    except (BotoCoreError, ValueError) as error:
        raise RegistryError(f"AWS cannot be used: {error}. Check the profile and the credentials for AWS.") from error


def missing_repositories(ecr: Any, names: Sequence[str], region: str) -> list[str]:
    """Those of the names that have no repository, in their order."""
    pages = _pages(ecr, "describe_repositories", "list repositories of ECR", region)
    there = {item["repositoryName"] for page in pages for item in page["repositories"]}
    return [name for name in names if name not in there]


def create_repository(ecr: Any, name: str, region: str) -> None:
    """Make one; one that somebody else made in the meantime is as good."""
    try:
        _call(
            ecr,
            "create_repository",
            f"create the repository {name} of ECR",
            region,
            repositoryName=name,
            tags=[{"Key": "managed-by", "Value": "quayside.registry"}],
        )
    except RegistryError as error:
        if getattr(error.__cause__, "response", {}).get("Error", {}).get("Code") != "RepositoryAlreadyExistsException":
            raise


def pull_policy(account: str, region: str, names: Sequence[str]) -> dict[str, Any]:
    """The IAM policy with which a cluster's nodes (their instance role) pull these repositories without any Secret."""
    partition = "aws-cn" if region.startswith("cn-") else "aws-us-gov" if region.startswith("us-gov-") else "aws"
    return {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Action": ["ecr:GetAuthorizationToken"], "Resource": ["*"]},
            {
                "Effect": "Allow",
                "Action": _PULL,
                "Resource": [f"arn:{partition}:ecr:{region}:{account}:repository/{name}" for name in names],
            },
        ],
    }


def denied_to(iam: Any, role: str, policy: Mapping[str, Any], region: str) -> list[str] | None:
    """What of the policy IAM's simulation does not allow the role, as "ACTION RESOURCE". None where the caller may not ask.

    AWS simulates the role's own policies with its permissions boundary, not the policies of repositories.
    """
    denied: list[str] = []
    for statement in policy["Statement"]:
        arguments = {
            "PolicySourceArn": role,
            "ActionNames": statement["Action"],
            "ResourceArns": statement["Resource"],
        }
        about = f"simulate what {role} may"
        try:
            pages = _pages(iam, "simulate_principal_policy", about, region, **arguments)
        except RegistryError as error:
            if getattr(error.__cause__, "response", {}).get("Error", {}).get("Code") == "AccessDenied":
                return None
            raise
        for result in (item for page in pages for item in page["EvaluationResults"]):
            decisions = {
                item["EvalResourceName"]: item["EvalResourceDecision"]
                for item in result.get("ResourceSpecificResults") or []
            } or {result["EvalResourceName"]: result["EvalDecision"]}
            denied += [f"{result['EvalActionName']} {name}" for name, said in decisions.items() if said != "allowed"]
    return denied


def account_of(options: Mapping[str, Any], region: str) -> str:
    """The AWS account that the credentials belong to."""
    return str(
        _call(client("sts", options, region), "get_caller_identity", "ask whose account it is", region)["Account"]
    )


def _call(service: Any, method: str, about: str, region: str, **arguments: Any) -> Any:
    try:
        return getattr(service, method)(**arguments)
    except (BotoCoreError, ClientError) as error:
        raise _refusal(about, region, error) from error


def _pages(service: Any, method: str, about: str, region: str, **arguments: Any) -> Iterable[Any]:
    try:
        return list(service.get_paginator(method).paginate(**arguments))
    except (BotoCoreError, ClientError) as error:
        raise _refusal(about, region, error) from error


def _refusal(about: str, region: str, error: Exception) -> RegistryError:
    return RegistryError(
        f"AWS ({region}) does not {about}: {str(error).rstrip('.')}. Check the credentials for AWS (environment, profile, role)"
        " and what they are allowed."
    )


@dataclasses.dataclass(frozen=True)
class State:
    """``missing``: names of wanted repositories that are not there. ``account`` is the caller's, whose registry it is.

    ``denied``: what the nodes' role may not do (``denied_to``).
    """

    missing: Sequence[str]
    account: str
    policy: Mapping[str, Any]
    denied: Sequence[str] | None


class Repositories:
    """The subject of the module ``ecr_repositories``. Its constructor raises InputError for what cannot be meant."""

    def __init__(self, params: Mapping[str, Any]) -> None:
        self._names = [
            repository(name, f"repositories[{index}]")
            for index, name in enumerate(dict.fromkeys(params["repositories"]))
        ]
        self._region = str(params["region"])
        self._options = params
        self._role = str(params["node_role_arn"] or "")
        if self._role and not _ROLE.fullmatch(self._role):
            raise InputError(
                f"node_role_arn: {self._role} is not the ARN of a role (arn:aws:iam::ACCOUNT:role/NAME). Write that of the role in"
                " the instance profile of the nodes."
            )
        self._ecr: Any = None

    def read(self) -> State:
        """One LIST of repositories, and whose account it is; two simulations where the nodes' role is known."""
        self._ecr = self._ecr or client("ecr", self._options, self._region)
        missing = missing_repositories(self._ecr, self._names, self._region)
        account = account_of(self._options, self._region)
        policy = pull_policy(account, self._region, self._names)
        denied: list[str] | None = None
        if self._role:
            denied = denied_to(client("iam", self._options, self._region), self._role, policy, self._region)
        return State(missing, account, policy, denied)

    def plan(self, state: State) -> Plan:
        registry = f"{state.account}.dkr.ecr.{self._region}.amazonaws.com"
        registry += ".cn" if self._region.startswith("cn-") else ""
        changes = [
            Change("create", "EcrRepository", name, after={"registry": registry, "repositoryName": name})
            for name in state.missing
        ]
        plan = Plan(changes, {"registry": registry, "node_pull_policy": state.policy})
        if self._role:
            plan.result["node_pull_denied"] = state.denied
        if self._role and state.denied is None:
            plan.warnings.append(
                f"Whether {self._role} may pull could not be checked: the caller may not simulate it. Grant"
                " iam:SimulatePrincipalPolicy, or compare its policies with node_pull_policy."
            )
        elif state.denied:
            plan.warnings.append(
                f"{self._role} may not pull all of these repositories ({', '.join(state.denied)}). Attach node_pull_policy to it,"
                " or give the projects pull secrets."
            )
        return plan

    def write(self, change: Change) -> None:
        create_repository(self._ecr, change.name, self._region)
