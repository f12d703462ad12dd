"""A registry outside of any cluster: the real distribution, with or without TLS and passwords.

with ExternalRegistry("ghcr.io", world.certificate_for("ghcr.io")) as registry:
    digest = registry.push("acme/app", "1.0")
"""

from __future__ import annotations

import base64
import contextlib
import itertools
import json
import shutil
import tempfile
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import bcrypt
import requests
import urllib3
import yaml

from . import build, sandbox
from .controlplane import free_ports
from .images import tiny_image
from .processes import Process

_NUMBERS = itertools.count(1)


def new_address() -> str:
    """An address for one more registry: on port 443 each needs its own."""
    return f"127.0.1.{next(_NUMBERS)}"


class ExternalRegistry:
    """One registry. ``host`` is its name, HOST or HOST:PORT.

    certificate: its certificate chain and key (PEM); without one it speaks plain HTTP. users: name → password; without any
    everybody may pull and push.
    """

    def __init__(
        self,
        host: str,
        certificate: tuple[str, str] | None = None,
        users: Mapping[str, str] | None = None,
        address: str = "",
    ) -> None:
        self.host = host
        self.users = dict(users or {})
        self._name, _colon, port = host.partition(":")
        address = address or new_address()
        self._port = int(port or (443 if sandbox.inside() else free_ports(address, 1)[0]))
        self._address = address
        self._directory = Path(tempfile.mkdtemp(prefix=f"registry-{self._name}-"))
        self._url = f"{'https' if certificate else 'http'}://{address}:{self._port}"
        self._process = self._distribution(certificate)

    def _distribution(self, certificate: tuple[str, str] | None) -> Process:
        http: dict[str, Any] = {
            "addr": f"{self._address}:{self._port}",
            "host": "",
            "secret": "nobody to share it with",
        }
        if certificate:
            files = [self._directory / "tls.crt", self._directory / "tls.key"]
            for file, text in zip(files, certificate, strict=True):
                file.touch(0o600)
                file.write_text(text)
            http["tls"] = {"certificate": str(files[0]), "key": str(files[1])}
        configuration: dict[str, Any] = {
            "version": 0.1,
            "log": {"level": "error", "accesslog": {"disabled": True}},
            "storage": {
                "filesystem": {"rootdirectory": str(self._directory / "images")},
                "delete": {"enabled": True},
                "maintenance": {"uploadpurging": {"enabled": False}},
            },
            "http": http,
        }
        authentication = self._authentication()
        if authentication:
            configuration["auth"] = authentication
        file = self._directory / "distribution.yml"
        file.write_text(yaml.safe_dump(configuration))
        program = [build.ensure().registry, "serve", file]
        environment = {"OTEL_TRACES_EXPORTER": "none"}
        return Process(f"registry {self.host}", program, self._directory / "distribution.log", environment)

    def _authentication(self) -> dict[str, Any]:
        """distribution's section `auth`."""
        if not self.users:
            return {}
        file = self._directory / "htpasswd"
        lines = [
            f"{user}:{bcrypt.hashpw(password.encode(), bcrypt.gensalt(4)).decode()}"
            for user, password in self.users.items()
        ]
        file.write_text("\n".join(lines) + "\n")
        return {"htpasswd": {"realm": self._name, "path": str(file)}}

    def __enter__(self) -> ExternalRegistry:
        self._process.start()
        sandbox.NAMES.publish(self._name, self._address, self._port)
        deadline = time.monotonic() + 30
        while True:
            self._process.check()
            with contextlib.suppress(requests.ConnectionError):
                self._request("GET", "/v2/")
                return self
            if time.monotonic() > deadline:
                raise TimeoutError(f"registry {self.host} did not answer within 30 s")
            time.sleep(0.02)

    def __exit__(self, *_exc: object) -> None:
        self._process.stop()
        shutil.rmtree(self._directory, ignore_errors=True)

    def auth_config(self, user: str, password: str | None = None) -> str:
        """A docker configuration with a login of the user, as JSON."""
        return auth_config(self.host, user, self.users[user] if password is None else password)

    def push(self, repository: str, tag: str, text: str = "hello", architectures: Sequence[str] = ("amd64",)) -> str:
        """Push a tiny image (several architectures: a list); its digest."""
        with tempfile.TemporaryDirectory() as folder:
            layout = Path(folder)
            tiny_image(layout, text, tag, architectures)
            (top,) = json.loads((layout / "index.json").read_text())["manifests"]
            for digest, media_type, content in _parts(layout, top):
                if media_type:
                    self._put(repository, tag if digest == top["digest"] else digest, media_type, content)
                else:
                    self._upload(repository, digest, content)
        return str(top["digest"])

    def delete(self, repository: str, digest: str) -> None:
        """Remove a manifest with its tags."""
        self._request("DELETE", f"/v2/{repository}/manifests/{digest}").raise_for_status()

    def _put(self, repository: str, reference: str, media_type: str, content: bytes) -> None:
        path = f"/v2/{repository}/manifests/{reference}"
        self._request("PUT", path, data=content, headers={"Content-Type": media_type}).raise_for_status()

    def _upload(self, repository: str, digest: str, content: bytes) -> None:
        start = self._request("POST", f"/v2/{repository}/blobs/uploads/")
        start.raise_for_status()
        location = start.headers["Location"]
        path = location[location.index("/v2/") :]
        self._request("PUT", f"{path}&digest={digest}", data=content).raise_for_status()

    def _owner(self, _path: str) -> Any:
        """What requests authenticates the backdoor with."""
        return next(iter(self.users.items()), None)

    def _request(self, method: str, path: str, **options: Any) -> requests.Response:
        """Past names, proxies and trust: this is the registry's own backdoor."""
        with requests.Session() as session, warnings.catch_warnings():
            warnings.simplefilter("ignore", urllib3.exceptions.InsecureRequestWarning)
            session.trust_env = False
            session.auth = self._owner(path)
            return session.request(method, self._url + path, verify=False, **options)


def _parts(layout: Path, top: dict[str, Any]) -> Iterator[tuple[str, str, bytes]]:
    """Digest, media type ("" for a blob) and content of everything below a manifest and of itself, in that order."""
    content = (layout / "blobs" / "sha256" / top["digest"].partition(":")[2]).read_bytes()
    manifest = json.loads(content)
    for part in manifest.get("manifests", []):
        yield from _parts(layout, part)
    for blob in [manifest["config"], *manifest["layers"]] if "config" in manifest else []:
        yield blob["digest"], "", (layout / "blobs" / "sha256" / blob["digest"].partition(":")[2]).read_bytes()
    yield top["digest"], top["mediaType"], content


def auth_config(host: str, user: str, password: str) -> str:
    """A docker configuration with one login, as JSON."""
    return json.dumps({"auths": {host: {"auth": base64.b64encode(f"{user}:{password}".encode()).decode()}}})
