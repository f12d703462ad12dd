# Copyright (c) 2026, quayside.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Images on this host's disk: OCI layouts (``oci:``) and archives of ``docker save`` (``docker-archive:``)."""

from __future__ import annotations

import dataclasses
import json
import tarfile
from pathlib import Path
from typing import Any

from ansible_collections.quayside.registry.plugins.module_utils.errors import InputError

OCI, DOCKER_ARCHIVE = "oci", "docker-archive"
_REF_NAME = "org.opencontainers.image.ref.name"


@dataclasses.dataclass(frozen=True)
class LocalImage:
    """An image in a layout or archive. ``name`` is which one of several: a layout's tag, an archive's NAME:TAG."""

    transport: str
    path: str
    name: str = ""

    def __str__(self) -> str:
        return f"{self.transport}:{self.path}" + (f":{self.name}" if self.name else "")

    def identity(self) -> str:
        """What tells whether a registry has this image: of a layout the digest of its manifest, of an archive, whose
        manifest is made only when it is pushed, the image's ID, that is the digest of its configuration.
        """
        return self._of_layout() if self.transport == OCI else self._of_archive()

    def _of_layout(self) -> str:
        try:
            index: Any = json.loads((Path(self.path) / "index.json").read_text(encoding="utf-8"))
            found = {
                str((manifest.get("annotations") or {}).get(_REF_NAME, "")): str(manifest["digest"])
                for manifest in index["manifests"]
            }
        except OSError as error:
            raise InputError(
                f"{self} cannot be read: {error.strerror}: {error.filename}. An OCI layout is a folder with index.json."
            ) from error
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise InputError(f"{self}: {self.path}/index.json is not that of an OCI layout.") from error
        return self._choose(found)

    def _of_archive(self) -> str:
        try:
            with tarfile.open(self.path) as archive:
                member = archive.extractfile("manifest.json")
                manifest: Any = json.loads(member.read()) if member else None
            found = {}
            for image in manifest:
                name = str(image["Config"])
                digest = "sha256:" + name.rpartition("/")[2].partition(".")[0]
                found.update(dict.fromkeys(image.get("RepoTags") or [""], digest))
        except OSError as error:
            raise InputError(f"{self} cannot be read: {error.strerror or error}.") from error
        except (tarfile.TarError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise InputError(f"{self} is not an archive as docker save and podman save write it.") from error
        return self._choose(found)

    def _choose(self, found: dict[str, str]) -> str:
        if self.name in found:
            return found[self.name]
        if not self.name and len(set(found.values())) == 1:
            return next(iter(found.values()))
        there = ", ".join(sorted(filter(None, found))) or "one without a name"
        raise InputError(f"{self}: no such image there, or not clear which; there is: {there}.")


def parse(text: str, option: str) -> LocalImage | None:
    """The image of ``oci:PATH[:TAG]`` or ``docker-archive:PATH[:NAME:TAG]``; None for anything else."""
    transport, colon, rest = text.partition(":")
    if transport not in (OCI, DOCKER_ARCHIVE) or not colon:
        return None
    path, _colon, name = rest.partition(":")
    if not path.startswith("/"):
        raise InputError(f"{option}: {text!r}: write the path from the root, such as {transport}:/tmp/image.")
    return LocalImage(transport, path, name)
