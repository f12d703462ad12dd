"""What the image registry operator does about storage, and the condition StorageExists.

Real: it completes spec.storage (managementState Managed; an empty claim name becomes image-registry-storage and the claim
is made). Buckets of cloud providers are not here: any configuration of one counts as existing.
"""

from __future__ import annotations

from .kube import Cache, Kube, Object
from .registry_conditions import Condition
from .registry_objects import CONFIGS, CORE, NAMESPACE

DEFAULT_CLAIM = "image-registry-storage"
EMPTY_DIR: Condition = ("True", "Creation Successful", "EmptyDir storage successfully created")
CLOUDS: dict[str, Condition] = {
    "s3": ("True", "S3 Bucket Exists", "User supplied S3 bucket exists and is accessible"),
    "gcs": ("True", "GCS Bucket Exists", "User supplied GCS bucket exists and is accessible"),
    "azure": ("True", "AzureContainerExists", "Storage container exists"),
    "swift": ("True", "Swift Container Exists", "User supplied container already exists"),
    "ibmcos": ("True", "IBM COS Bucket Exists", "User supplied bucket exists and is accessible"),
    "oss": ("True", "OSS Bucket Exists", "User supplied OSS bucket exists and is accessible"),
}


async def sync_storage(kube: Kube, storage: Object, claims: Cache) -> tuple[Condition | None, str]:
    """Complete the spec and make what is missing: StorageExists, and a problem after which to try again ("" for none)."""
    if not storage.get("managementState"):
        await kube.patch(f"{CONFIGS}/cluster", {"spec": {"storage": {"managementState": "Managed"}}})
    pvc = storage.get("pvc")
    if pvc is None:
        kind = next(key for key, value in storage.items() if value is not None and key != "managementState")
        return CLOUDS.get(kind, EMPTY_DIR), ""
    name = pvc.get("claim")
    if not name:
        await kube.patch(f"{CONFIGS}/cluster", {"spec": {"storage": {"pvc": {"claim": DEFAULT_CLAIM}}}})
        name = DEFAULT_CLAIM
    if claims.get(NAMESPACE, name):
        return ("True", "PVC Exists", None), ""
    if name != DEFAULT_CLAIM:
        text = f'persistentvolumeclaims "{name}" not found'
        return ("False", "PVC Issues Found", text), text
    await kube.ensure(f"{CORE}/persistentvolumeclaims", {
        "metadata": {"name": name, "annotations": {"imageregistry.openshift.io": "true"}},
        "spec": {"accessModes": ["ReadWriteMany"], "resources": {"requests": {"storage": "100Gi"}}},
    })  # fmt: skip
    return ("True", "PVC Created", None), ""
