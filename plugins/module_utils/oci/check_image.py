# Copyright (c) 2026, quayside.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The image that a check pushes: the same bytes on every host, so that a second push changes nothing. No I/O."""

from __future__ import annotations

import dataclasses
import io
import json
import tarfile
from typing import Any

from ansible_collections.quayside.registry.plugins.module_utils.oci.client import OCI_MANIFEST, digest_of

TAG = "quayside-check"

_TEXT = b"Pushed by quayside.registry.registry_check to prove that it can be. It may be deleted.\n"


@dataclasses.dataclass(frozen=True)
class Image:
    manifest: bytes
    blobs: tuple[bytes, ...]

    @property
    def digest(self) -> str:
        return digest_of(self.manifest)


def check_image() -> Image:
    layer = _layer()
    config = _json(
        {
            "architecture": "amd64",
            "os": "linux",
            "created": "1970-01-01T00:00:00Z",
            "config": {},
            "rootfs": {"type": "layers", "diff_ids": [digest_of(layer)]},
        }
    )
    manifest = _json(
        {
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "config": _descriptor("application/vnd.oci.image.config.v1+json", config),
            # not compressed: what zlib writes differs from version to version
            "layers": [_descriptor("application/vnd.oci.image.layer.v1.tar", layer)],
        }
    )
    return Image(manifest, (config, layer))


def _layer() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        entry = tarfile.TarInfo(TAG)
        entry.size = len(_TEXT)
        archive.addfile(entry, io.BytesIO(_TEXT))
    return buffer.getvalue()


def _descriptor(media_type: str, content: bytes) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": digest_of(content), "size": len(content)}


def _json(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()
