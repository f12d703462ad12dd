"""Amazon ECR and IAM on loopback: moto's, with tokens as AWS makes them, opaque or not, that end after twelve hours."""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import datetime
import fnmatch
import json
import secrets
from collections.abc import Iterator
from typing import Any
from unittest import mock

import requests
from moto.core.responses import ActionResult
from moto.ecr.responses import ECRResponse
from moto.iam.exceptions import IAMException
from moto.iam.responses import IamResponse
from moto.server import ThreadedMotoServer

ACCOUNT = "123456789012"  # moto's
LIFE = 12 * 3600


@dataclasses.dataclass
class Aws:
    """``issued``: the passwords that were given out, in order. ``opaque``: whether they say themselves when they end.

    ``may_simulate``: whether the caller may ask IAM what a role may.
    """

    url: str
    issued: list[str]
    opaque: bool = False
    may_simulate: bool = True

    def environment(self) -> dict[str, str]:
        """What boto3 is told."""
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": "/nonexistent",
            "AWS_SHARED_CREDENTIALS_FILE": "/nonexistent",
            "NO_PROXY": "127.0.0.1",
        }

    def token(self) -> str:
        if self.opaque:
            return secrets.token_urlsafe(32)
        end = int(datetime.datetime.now().timestamp()) + LIFE
        content = {
            "payload": secrets.token_urlsafe(32),
            "datakey": "x",
            "version": "2",
            "type": "DATA_KEY",
            "expiration": end,
        }
        return base64.b64encode(json.dumps(content).encode()).decode()


@contextlib.contextmanager
def aws() -> Iterator[Aws]:
    """Started and stopped."""
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    running = Aws(f"http://{host}:{port}", [])
    requests.post(f"{running.url}/moto-api/reset", timeout=10).raise_for_status()  # what another left in this process

    def answer(response: Any) -> ActionResult:
        running.issued.append(running.token())
        end = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=LIFE)
        data = {
            "authorizationToken": base64.b64encode(f"AWS:{running.issued[-1]}".encode()).decode(),
            "expiresAt": end,
            "proxyEndpoint": f"https://{ACCOUNT}.dkr.ecr.{response.region}.amazonaws.com",
        }
        return ActionResult({"authorizationData": [data]})

    def simulate(response: Any) -> ActionResult:
        """What moto has not: a role's inline policies, with Allow alone, as AWS answers (one result for each action)."""
        if not running.may_simulate:
            raise IAMException("AccessDenied", "User is not authorized to perform: iam:SimulatePrincipalPolicy")
        role = response.backend.get_role_by_arn(response._get_param("PolicySourceArn"))
        statements = [statement for text in role.policies.values() for statement in json.loads(text)["Statement"]]
        resources = response._get_param("ResourceArns")

        def decide(action: str, resource: str) -> str:
            allowed = any(
                fnmatch.fnmatch(action, one) and fnmatch.fnmatch(resource, other)
                for statement in statements
                for one in statement["Action"]
                for other in statement["Resource"]
            )
            return "allowed" if allowed else "implicitDeny"

        results = [
            {
                "EvalActionName": action,
                "EvalResourceName": resources[0],
                "EvalDecision": decide(action, resources[0]),
                "ResourceSpecificResults": [
                    {"EvalResourceName": name, "EvalResourceDecision": decide(action, name)} for name in resources
                ],
            }
            for action in response._get_param("ActionNames")
        ]
        return ActionResult({"EvaluationResults": results, "IsTruncated": False})

    try:
        with (
            mock.patch.object(ECRResponse, "get_authorization_token", answer),
            mock.patch.object(IamResponse, "simulate_principal_policy", simulate, create=True),
        ):
            yield running
    finally:
        server.stop()
