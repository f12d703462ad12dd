# Copyright (c) 2026, quayside.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Kubernetes objects as plain dictionaries: their kinds, and the changes between two of them. No I/O."""

from __future__ import annotations

import base64
import copy
import dataclasses
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from ansible_collections.quayside.registry.plugins.module_utils.plan import Change, hide

#: Label of every object that this collection creates; ``purge`` deletes nothing without it.
MANAGED_BY = {"app.kubernetes.io/managed-by": "quayside.registry"}

Object = dict[str, Any]

#: What the server keeps for itself in an object's metadata: noise in a diff.
_SERVER_METADATA = ("creationTimestamp", "generation", "managedFields", "resourceVersion", "selfLink", "uid")


@dataclasses.dataclass(frozen=True)
class Kind:
    """A kind of object and where the API server keeps it, so that no discovery request is needed."""

    kind: str
    plural: str
    group: str = ""
    version: str = "v1"
    namespaced: bool = True

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    def path(self, namespace: str = "", name: str = "") -> str:
        """URL path of one object, or without a name of the list; without a namespace, of all namespaces."""
        parts = ["apis", self.group, self.version] if self.group else ["api", self.version]
        if namespace and self.namespaced:
            parts += ["namespaces", namespace]
        parts.append(self.plural)
        if name:
            parts.append(quote(name, safe=":~@"))
        return "/" + "/".join(parts)


NAMESPACE = Kind("Namespace", "namespaces", namespaced=False)
SECRET = Kind("Secret", "secrets")
CONFIG_MAP = Kind("ConfigMap", "configmaps")
SERVICE_ACCOUNT = Kind("ServiceAccount", "serviceaccounts")
ROLE = Kind("Role", "roles", "rbac.authorization.k8s.io")
CLUSTER_ROLE = Kind("ClusterRole", "clusterroles", "rbac.authorization.k8s.io", namespaced=False)
CLUSTER_ROLE_BINDING = Kind("ClusterRoleBinding", "clusterrolebindings", "rbac.authorization.k8s.io", namespaced=False)
ROLE_BINDING = Kind("RoleBinding", "rolebindings", "rbac.authorization.k8s.io")
PROJECT = Kind("Project", "projects", "project.openshift.io", namespaced=False)
PROJECT_REQUEST = Kind("ProjectRequest", "projectrequests", "project.openshift.io", namespaced=False)
USER = Kind("User", "users", "user.openshift.io", namespaced=False)
GROUP = Kind("Group", "groups", "user.openshift.io", namespaced=False)
ROUTE = Kind("Route", "routes", "route.openshift.io")
IMAGE_STREAM = Kind("ImageStream", "imagestreams", "image.openshift.io")
IMAGE_STREAM_TAG = Kind("ImageStreamTag", "imagestreamtags", "image.openshift.io")
IMAGE_STREAM_IMPORT = Kind("ImageStreamImport", "imagestreamimports", "image.openshift.io")
IMAGE_REGISTRY_CONFIG = Kind("Config", "configs", "imageregistry.operator.openshift.io", namespaced=False)
IMAGE_CONFIG = Kind("Image", "images", "config.openshift.io", namespaced=False)
IMAGE_DIGEST_MIRROR_SET = Kind("ImageDigestMirrorSet", "imagedigestmirrorsets", "config.openshift.io", namespaced=False)
IMAGE_TAG_MIRROR_SET = Kind("ImageTagMirrorSet", "imagetagmirrorsets", "config.openshift.io", namespaced=False)
IMAGE_CONTENT_SOURCE_POLICY = Kind(
    "ImageContentSourcePolicy", "imagecontentsourcepolicies", "operator.openshift.io", "v1alpha1", namespaced=False
)
MACHINE_CONFIG_POOL = Kind(
    "MachineConfigPool", "machineconfigpools", "machineconfiguration.openshift.io", namespaced=False
)
INGRESS_CONTROLLER = Kind("IngressController", "ingresscontrollers", "operator.openshift.io")
INGRESS_CONFIG = Kind("Ingress", "ingresses", "config.openshift.io", namespaced=False)
IMAGE_PRUNER = Kind("ImagePruner", "imagepruners", "imageregistry.operator.openshift.io", namespaced=False)
IMAGE_STREAM_IMAGE = Kind("ImageStreamImage", "imagestreamimages", "image.openshift.io")
SUBJECT_ACCESS_REVIEW = Kind("SubjectAccessReview", "subjectaccessreviews", "authorization.k8s.io", namespaced=False)
POD = Kind("Pod", "pods")
EVENT = Kind("Event", "events")
DEPLOYMENT = Kind("Deployment", "deployments", "apps")
DAEMON_SET = Kind("DaemonSet", "daemonsets", "apps")
PERSISTENT_VOLUME_CLAIM = Kind("PersistentVolumeClaim", "persistentvolumeclaims")
OBJECT_BUCKET_CLAIM = Kind("ObjectBucketClaim", "objectbucketclaims", "objectbucket.io", "v1alpha1")
QUAY_REGISTRY = Kind("QuayRegistry", "quayregistries", "quay.redhat.com")
QUAY_INTEGRATION = Kind("QuayIntegration", "quayintegrations", "quay.redhat.com", namespaced=False)
CATALOG_SOURCE = Kind("CatalogSource", "catalogsources", "operators.coreos.com", "v1alpha1")
PACKAGE_MANIFEST = Kind("PackageManifest", "packagemanifests", "packages.operators.coreos.com")
OPERATOR_GROUP = Kind("OperatorGroup", "operatorgroups", "operators.coreos.com")
SUBSCRIPTION = Kind("Subscription", "subscriptions", "operators.coreos.com", "v1alpha1")
INSTALL_PLAN = Kind("InstallPlan", "installplans", "operators.coreos.com", "v1alpha1")
CLUSTER_SERVICE_VERSION = Kind("ClusterServiceVersion", "clusterserviceversions", "operators.coreos.com", "v1alpha1")


@dataclasses.dataclass(frozen=True)
class Request:
    """The one HTTP request that carries out a change."""

    method: str
    path: str
    body: Any = None
    content_type: str = "application/json"


def name_of(item: Mapping[str, Any]) -> str:
    return str(item.get("metadata", {}).get("name", ""))


def namespace_of(item: Mapping[str, Any]) -> str:
    return str(item.get("metadata", {}).get("namespace", ""))


def labels_of(item: Mapping[str, Any]) -> dict[str, str]:
    return dict(item.get("metadata", {}).get("labels") or {})


def texts_of(secret: Mapping[str, Any]) -> dict[str, str]:
    """What a Secret holds; bytes that are no text are replaced."""
    data = secret.get("data") or {}
    return {key: base64.b64decode(value).decode(errors="replace") for key, value in data.items()}


def readiness(item: Mapping[str, Any] | None) -> tuple[str, int, int]:
    """What an object says of itself that is not in order yet, and how many of its parts are ready of how many.

    Kubernetes: status.conditions, of which Available and Ready shall be True, Progressing, Updating and Degraded False;
    OpenShift: status.machineCount of a machine config pool; Quay: Component…Ready conditions.
    """
    if item is None:
        return "it does not exist yet", 0, 0
    status = item.get("status") or {}
    conditions = status.get("conditions") or []
    good, bad = ("Available", "Ready"), ("Progressing", "Updating", "Degraded", "RolloutBlocked")
    faults = [
        f"{it['type']} is {it['status']}" + (f", {it['message']}" if it.get("message") else "")
        for it in conditions
        if (it["type"] in good and it["status"] != "True") or (it["type"] in bad and it["status"] == "True")
    ]
    parts = [it["status"] == "True" for it in conditions if it["type"].startswith("Component")]
    if parts:
        return "; ".join(faults), sum(parts), len(parts)
    if "machineCount" in status:
        return "; ".join(faults), int(status.get("updatedMachineCount") or 0), int(status["machineCount"])
    return "; ".join(faults), int(status.get("readyReplicas") or 0), int(status.get("replicas") or 0)


def is_ours(item: Mapping[str, Any]) -> bool:
    """Whether this collection created the object."""
    return MANAGED_BY.items() <= labels_of(item).items()


def new(kind: Kind, name: str, namespace: str = "", **content: Any) -> Object:
    """A new object of this collection, with its label; ``content`` is what stands beside metadata (spec, data, …)."""
    metadata: Object = {"name": name, "labels": dict(MANAGED_BY)}
    if namespace:
        metadata["namespace"] = namespace
    return {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": metadata, **content}


def changes(kind: Kind, before: Object | None, after: Object | None, stage: int = 0) -> list[Change]:
    """What turns ``before`` (as read; None: absent) into ``after`` (None: absent): nothing, or one change with one write.

    An update is a merge patch that carries the resourceVersion read, so that a write by somebody else in between is
    answered by 409 and never lost. A delete carries the uid read, so that it cannot hit an object made since.
    """
    if before is None:
        if after is None:
            return []
        request = Request("POST", kind.path(namespace_of(after)), after)
        return [_change("create", kind, None, after, stage, request)]
    path = kind.path(namespace_of(before), name_of(before))
    if after is None:
        uid = before.get("metadata", {}).get("uid")
        options: Object = {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Background"}
        if uid:
            options["preconditions"] = {"uid": uid}
        return [_change("delete", kind, before, None, stage, Request("DELETE", path, options))]
    patch = merge_patch(before, after)
    if not patch:
        return []
    version = before.get("metadata", {}).get("resourceVersion")
    if version:
        patch.setdefault("metadata", {})["resourceVersion"] = version
    request = Request("PATCH", path, patch, "application/merge-patch+json")
    return [_change("update", kind, before, after, stage, request)]


def merge_patch(before: Mapping[str, Any], after: Mapping[str, Any]) -> Object:
    """The JSON merge patch (RFC 7386) from one object to the other; empty when they are the same."""
    patch: Object = {key: None for key in before if key not in after}
    for key, value in after.items():
        if key not in before:
            patch[key] = value
        elif isinstance(value, Mapping) and isinstance(before[key], Mapping):
            inner = merge_patch(before[key], value)
            if inner:
                patch[key] = inner
        elif value != before[key]:
            patch[key] = value
    return patch


def _change(
    action: str, kind: Kind, before: Object | None, after: Object | None, stage: int, request: Request
) -> Change:
    shown_before, shown_after = _shown(kind, before), _shown(kind, after)
    if kind == SECRET:
        for field in ("data", "stringData"):
            old, new_ = hide((before or {}).get(field), (after or {}).get(field))
            for shown, hidden in ((shown_before, old), (shown_after, new_)):
                if shown is not None and field in shown:
                    shown[field] = hidden
    subject = after or before or {}
    return Change(action, kind.kind, name_of(subject), namespace_of(subject), shown_before, shown_after, stage, request)


def _shown(kind: Kind, item: Object | None) -> Object | None:
    if item is None:
        return None
    shown = copy.deepcopy({key: value for key, value in item.items() if key != "status"})
    shown.update(apiVersion=kind.api_version, kind=kind.kind)
    for key in _SERVER_METADATA:
        shown.get("metadata", {}).pop(key, None)
    # kubectl's annotation repeats the whole object, secrets included
    annotations = shown.get("metadata", {}).get("annotations") or {}
    annotations.pop("kubectl.kubernetes.io/last-applied-configuration", None)
    return shown
