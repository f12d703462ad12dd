"""Amazon ECR and IAM on loopback: moto's, with tokens as AWS makes them, opaque or not, that end after twelve hours."""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import datetime
import json
import secrets
from collections.abc import Iterator
from typing import Any
from unittest import mock

from moto.core.responses import ActionResult
from moto.ecr.responses import ECRResponse
from moto.server import ThreadedMotoServer

ACCOUNT = "123456789012"  # moto's
LIFE = 12 * 3600


@dataclasses.dataclass
class Aws:
    """``issued``: the passwords that were given out, in order. ``opaque``: whether they say themselves when they end."""

    url: str
    issued: list[str]
    opaque: bool = False

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

    def answer(response: Any) -> ActionResult:
        running.issued.append(running.token())
        end = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=LIFE)
        data = {
            "authorizationToken": base64.b64encode(f"AWS:{running.issued[-1]}".encode()).decode(),
            "expiresAt": end,
            "proxyEndpoint": f"https://{ACCOUNT}.dkr.ecr.{response.region}.amazonaws.com",
        }
        return ActionResult({"authorizationData": [data]})

    try:
        with mock.patch.object(ECRResponse, "get_authorization_token", answer):
            yield running
    finally:
        server.stop()
