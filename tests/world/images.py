"""Small images made from nothing, as OCI layouts that skopeo and podman read."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"


def tiny_image(
    directory: Path, text: str = "hello", tag: str = "latest", architectures: Sequence[str] = ("amd64",)
) -> str:
    """An image with one small file in one layer; its skopeo reference. Several architectures make it a manifest list.

    The same arguments give the same digests.
    """
    (directory / "blobs" / "sha256").mkdir(parents=True, exist_ok=True)
    (directory / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    manifests = [
        {**_manifest(directory, text, architecture), "platform": {"os": "linux", "architecture": architecture}}
        for architecture in architectures
    ]
    top: dict[str, Any] = manifests[0]
    if len(manifests) > 1:
        top = _json(directory, {"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests}, INDEX)
    top = {**top, "annotations": {"org.opencontainers.image.ref.name": tag}}
    (directory / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [top]}))
    return f"oci:{directory}:{tag}"


def _manifest(directory: Path, text: str, architecture: str) -> dict[str, Any]:
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w") as archive:
        content = text.encode()
        member = tarfile.TarInfo("hello.txt")
        member.size = len(content)
        archive.addfile(member, io.BytesIO(content))
    layer = plain.getvalue()
    config = {
        "architecture": architecture,
        "os": "linux",
        "config": {},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(layer).hexdigest()}"]},
    }
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": _json(directory, config, "application/vnd.oci.image.config.v1+json"),
        "layers": [_blob(directory, gzip.compress(layer, mtime=0), "application/vnd.oci.image.layer.v1.tar+gzip")],
    }
    return _json(directory, manifest, MANIFEST)


def _json(directory: Path, content: dict[str, Any], media_type: str) -> dict[str, Any]:
    return _blob(directory, json.dumps(content, sort_keys=True).encode(), media_type)


def _blob(directory: Path, content: bytes, media_type: str) -> dict[str, Any]:
    digest = hashlib.sha256(content).hexdigest()
    (directory / "blobs" / "sha256" / digest).write_bytes(content)
    return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(content)}
