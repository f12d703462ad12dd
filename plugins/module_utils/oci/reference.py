# Copyright (c) 2026, quayside.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names of registries and images: Docker's grammar (github.com/distribution/reference), with messages for near misses."""

from __future__ import annotations

import dataclasses
import re

from ansible_collections.quayside.registry.plugins.module_utils.errors import InputError

DOCKER_HUB = "docker.io"
#: What the Docker Hub is also called: by old clients, and by the host that serves its API.
_DOCKER_HUB_NAMES = (DOCKER_HUB, "index.docker.io", "registry-1.docker.io")

_LABEL = r"[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?"
_HOST = re.compile(rf"(?P<name>{_LABEL}(?:\.{_LABEL})*|\[[a-fA-F0-9:]+\])(?::(?P<port>[0-9]+))?")
_COMPONENT = re.compile(r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*")
_TAG = re.compile(r"\w[\w.-]{0,127}", re.ASCII)
_DIGEST = re.compile(r"sha256:[a-f0-9]{64}|sha512:[a-f0-9]{128}")

#: Longest name of a repository, its host included.
_NAME_LENGTH = 255


@dataclasses.dataclass(frozen=True)
class Reference:
    """An image: where it is, and which one. Without tag and digest it names the repository."""

    host: str
    repository: str
    tag: str = ""
    digest: str = ""

    @property
    def name(self) -> str:
        return f"{self.host}/{self.repository}"

    def __str__(self) -> str:
        return self.name + (f":{self.tag}" if self.tag else "") + (f"@{self.digest}" if self.digest else "")


def registry_host(text: str, option: str = "host") -> str:
    """The registry's host (``HOST`` or ``HOST:PORT``), exactly as written. Raises InputError for anything else."""
    match = _HOST.fullmatch(text)
    if match:
        port = match["port"]
        if port is None or 0 < int(port) < 65536:
            return text
        raise InputError(f"{option}: {text!r} has no valid port: ports are from 1 to 65535.")
    _scheme, separator, rest = text.partition("://")
    if separator:
        raise InputError(f"{option}: {text!r} is a URL. Write the host alone: {rest.partition('/')[0]!r}.")
    if "/" in text:
        raise InputError(
            f"{option}: {text!r} has a path. Write the host alone, without a slash: {text.partition('/')[0]!r}."
        )
    if text != text.strip():
        raise InputError(f"{option}: {text!r} has spaces or line breaks around the host. Write {text.strip()!r}.")
    if "_" in text:
        raise InputError(f"{option}: {text!r} has an underscore, which names of hosts cannot have.")
    if text.count(":") > 1:
        raise InputError(f"{option}: {text!r} is not a host. Write an IPv6 address in brackets: '[::1]:5000'.")
    raise InputError(f"{option}: {text!r} is not the host of a registry. Write it as HOST or HOST:PORT.")


def repository(text: str, option: str = "repository") -> str:
    """The name of a repository within its registry. Raises InputError when the grammar does not allow it."""
    if not text:
        raise InputError(f"{option}: the name of the repository is empty.")
    for component in text.split("/"):
        if _COMPONENT.fullmatch(component):
            continue
        if component.lower() != component and _COMPONENT.fullmatch(component.lower()):
            raise InputError(f"{option}: {text!r} must be in lower case: {text.lower()!r}.")
        if not component:
            raise InputError(f"{option}: {text!r} has an empty part: take away the slash that is too many.")
        if ":" in component or "@" in component:
            raise InputError(f"{option}: {text!r} has a tag or digest: write the name of the repository alone.")
        raise InputError(
            f"{option}: {text!r} is not the name of a repository: {component!r} may have lower case letters and digits,"
            " with single dots, one or two underscores or dashes between them."
        )
    if len(text) > _NAME_LENGTH:
        raise InputError(f"{option}: the name of the repository is longer than {_NAME_LENGTH} characters.")
    return text


def tag_or_digest(text: str, option: str = "reference") -> str:
    """A tag or a digest. Raises InputError for anything else."""
    if ":" in text:
        if not _DIGEST.fullmatch(text):
            raise InputError(f"{option}: {text!r} is not a digest: write sha256: and 64 digits from 0-9a-f.")
    elif not _TAG.fullmatch(text):
        raise InputError(
            f"{option}: {text!r} is not a tag: up to 128 letters, digits, underscores, dots and dashes, and neither a dot"
            " nor a dash first."
        )
    return text


def parse(text: str, option: str = "image") -> Reference:
    """An image's reference; what has no host is on the Docker Hub, as for every client. Raises InputError."""
    if "://" in text:
        raise InputError(f"{option}: {text!r} is a URL. Write the image alone: {text.partition('://')[2]!r}.")
    rest, _at, digest = text.partition("@")
    if _at:
        tag_or_digest(digest if ":" in digest else digest + ":", option)
    head, slash, path = rest.partition("/")
    if slash and (re.search(r"[.:A-Z\[]", head) or head == "localhost"):
        host = registry_host(head, option)
    else:
        host, path = DOCKER_HUB, rest
    path, colon, tag = path.partition(":")
    if colon:
        tag_or_digest(tag, option)
    if host in _DOCKER_HUB_NAMES:
        host = DOCKER_HUB
        if "/" not in path:
            path = f"library/{path}"
    reference = Reference(host, repository(path, option), tag, digest)
    if len(reference.name) > _NAME_LENGTH:
        raise InputError(f"{option}: the name of the image is longer than {_NAME_LENGTH} characters.")
    return reference


def registry_scope(text: str, option: str = "registry") -> tuple[str, str]:
    """What a credential is for: a registry, or a part of one (``HOST[:PORT][/NAMESPACE]``), as host and namespace."""
    if "://" in text:
        return registry_host(text, option), ""  # refuses it, naming what to write
    host, slash, namespace = text.partition("/")
    registry_host(host, option)
    if not slash:
        return host, ""
    if not namespace:
        raise InputError(f"{option}: {text!r} ends in a slash. Write the host alone: {host!r}.")
    return host, repository(namespace, option)


def is_docker_hub(host: str) -> bool:
    return host in _DOCKER_HUB_NAMES


def api_host(host: str) -> str:
    """The host that serves the registry's API: the Docker Hub's is another than its name."""
    return "registry-1.docker.io" if is_docker_hub(host) else host
