# Copyright (c) 2026, quayside.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which rights each playbook of this collection needs on a cluster: no more, and no less.

The tests hold this list to the audit log of an API server, both ways. Everything that every account may do (ask for its own
rights, discover the APIs) is not in it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

from ansible_collections.quayside.registry.plugins.module_utils.openshift.access import LEVELS
from ansible_collections.quayside.registry.plugins.module_utils.openshift.objects import (
    CATALOG_SOURCE,
    CLUSTER_ROLE,
    CLUSTER_ROLE_BINDING,
    CLUSTER_SERVICE_VERSION,
    CONFIG_MAP,
    DAEMON_SET,
    DEPLOYMENT,
    EVENT,
    GROUP,
    IMAGE_CONFIG,
    IMAGE_CONTENT_SOURCE_POLICY,
    IMAGE_DIGEST_MIRROR_SET,
    IMAGE_PRUNER,
    IMAGE_REGISTRY_CONFIG,
    IMAGE_STREAM,
    IMAGE_STREAM_IMAGE,
    IMAGE_STREAM_IMPORT,
    IMAGE_STREAM_TAG,
    IMAGE_TAG_MIRROR_SET,
    INGRESS_CONFIG,
    INSTALL_PLAN,
    MACHINE_CONFIG_POOL,
    NAMESPACE,
    OBJECT_BUCKET_CLAIM,
    OPERATOR_GROUP,
    PACKAGE_MANIFEST,
    PERSISTENT_VOLUME_CLAIM,
    POD,
    QUAY_INTEGRATION,
    QUAY_REGISTRY,
    ROLE,
    ROLE_BINDING,
    ROUTE,
    SECRET,
    SERVICE_ACCOUNT,
    SUBJECT_ACCESS_REVIEW,
    SUBSCRIPTION,
    USER,
    Kind,
    Object,
)

#: Where a right holds: in the whole cluster; in the projects that the account works in; in the whole cluster, and only where
#: the account works in all projects. Anything else is the name of a namespace.
CLUSTER, PROJECTS, ALL_PROJECTS = "*cluster", "*projects", "*all projects"

_REGISTRY = "openshift-image-registry"


@dataclasses.dataclass(frozen=True)
class Right:
    """What may be done with objects of a kind (``verbs`` in one string), all of them or those of the names."""

    where: str
    kind: Kind
    verbs: str
    names: tuple[str, ...] = ()
    subresource: str = ""

    def rule(self) -> Object:
        """As a rule of a role (rbac.authorization.k8s.io/v1 PolicyRule)."""
        resource = f"{self.kind.plural}/{self.subresource}" if self.subresource else self.kind.plural
        rule: Object = {"apiGroups": [self.kind.group], "resources": [resource], "verbs": self.verbs.split()}
        if self.names:
            rule["resourceNames"] = list(self.names)
        return rule


_HOSTS = (
    Right(CLUSTER, IMAGE_CONFIG, "get", ("cluster",)),
    Right(CLUSTER, INGRESS_CONFIG, "get", ("cluster",)),
    Right(_REGISTRY, ROUTE, "list"),
)
_INFO = (
    *_HOSTS,
    Right(CLUSTER, IMAGE_REGISTRY_CONFIG, "get", ("cluster",)),
    Right(CLUSTER, IMAGE_PRUNER, "get", ("cluster",)),
    Right(_REGISTRY, DEPLOYMENT, "get", ("image-registry",)),
    Right(_REGISTRY, DAEMON_SET, "get", ("node-ca",)),
    Right(_REGISTRY, POD, "list"),
)
_PUBLISHED_CA = Right("openshift-config-managed", CONFIG_MAP, "get", ("default-ingress-cert",))
_ROLES = tuple(LEVELS.values())

#: Playbook → what it needs. A playbook that is not listed needs no cluster.
RIGHTS: dict[str, tuple[Right, ...]] = {
    "expose_registry": (
        Right(CLUSTER, IMAGE_REGISTRY_CONFIG, "get list watch patch", ("cluster",)),
        Right(CLUSTER, IMAGE_CONFIG, "get list watch", ("cluster",)),
        Right(CLUSTER, INGRESS_CONFIG, "get", ("cluster",)),
        Right(_REGISTRY, ROUTE, "list watch"),
        Right(_REGISTRY, DEPLOYMENT, "list watch", ("image-registry",)),
        Right(_REGISTRY, SECRET, "get list create patch delete"),
    ),
    # the router's certificate is published; its Secret, with the private key, is not needed
    "trust_registry": (*_HOSTS, _PUBLISHED_CA),
    "image_config": (
        Right(CLUSTER, IMAGE_CONFIG, "get patch", ("cluster",)),
        Right("openshift-config", CONFIG_MAP, "get create patch delete"),
        Right(CLUSTER, IMAGE_DIGEST_MIRROR_SET, "list create patch delete"),
        Right(CLUSTER, IMAGE_TAG_MIRROR_SET, "list create patch delete"),
        Right(CLUSTER, IMAGE_CONTENT_SOURCE_POLICY, "list"),
        Right(CLUSTER, MACHINE_CONFIG_POOL, "list watch"),
    ),
    "builders": (
        *_INFO,
        Right(ALL_PROJECTS, NAMESPACE, "create"),
        Right(PROJECTS, NAMESPACE, "get"),
        Right(PROJECTS, SERVICE_ACCOUNT, "list create patch delete"),
        Right(PROJECTS, SERVICE_ACCOUNT, "create", subresource="token"),
        Right(PROJECTS, SECRET, "get list watch create delete"),
        Right(PROJECTS, ROLE_BINDING, "list create patch delete"),
        Right(CLUSTER, CLUSTER_ROLE, "get bind", _ROLES),
        Right(CLUSTER, CLUSTER_ROLE, "list"),
        Right(CLUSTER, USER, "get list"),
        Right(CLUSTER, GROUP, "get list"),
    ),
    "pull_secrets": (
        Right(ALL_PROJECTS, NAMESPACE, "list"),
        Right(PROJECTS, SECRET, "get list create patch delete"),
        Right(PROJECTS, SERVICE_ACCOUNT, "list watch patch"),
        Right(PROJECTS, SERVICE_ACCOUNT, "create", subresource="token"),
        Right("openshift-config", SECRET, "get patch", ("pull-secret",)),
        Right("openshift-config", SECRET, "create"),
    ),
    "image_streams": (
        Right(ALL_PROJECTS, NAMESPACE, "create"),
        Right(PROJECTS, NAMESPACE, "get"),
        Right(PROJECTS, IMAGE_STREAM, "list watch create patch delete"),
        Right(PROJECTS, IMAGE_STREAM_TAG, "delete"),
        Right(PROJECTS, IMAGE_STREAM_IMPORT, "create"),
    ),
    "verify_registry": _INFO,
}
RIGHTS["site"] = tuple(dict.fromkeys(right for rights in RIGHTS.values() for right in rights))

#: What nodes trust and pull with beside the pods' own pull secrets.
_NODES = (
    Right(CLUSTER, IMAGE_CONFIG, "get", ("cluster",)),
    Right("openshift-config", CONFIG_MAP, "get"),
    Right("openshift-config", SECRET, "get", ("pull-secret",)),
)
# no part of site: they look, and change nothing
RIGHTS["diagnose"] = (
    *_NODES,
    Right(PROJECTS, POD, "list"),
    Right(PROJECTS, EVENT, "list"),
    Right(PROJECTS, SECRET, "list"),
    Right(PROJECTS, SERVICE_ACCOUNT, "list"),
    Right(PROJECTS, IMAGE_STREAM_TAG, "get"),
    Right(PROJECTS, IMAGE_STREAM_IMAGE, "get"),
    Right(CLUSTER, SUBJECT_ACCESS_REVIEW, "create"),
)
RIGHTS["report"] = (
    Right(CLUSTER, IMAGE_CONFIG, "get", ("cluster",)),
    Right(CLUSTER, INGRESS_CONFIG, "get", ("cluster",)),
    *_NODES[1:],
    Right(CLUSTER, IMAGE_REGISTRY_CONFIG, "get", ("cluster",)),
    _PUBLISHED_CA,
    *(
        Right(CLUSTER, kind, "list")
        for kind in (
            CLUSTER_ROLE,
            CLUSTER_ROLE_BINDING,
            EVENT,
            GROUP,
            IMAGE_STREAM,
            POD,
            QUAY_REGISTRY,
            ROLE,
            ROLE_BINDING,
            ROUTE,
            SECRET,
            SERVICE_ACCOUNT,
        )
    ),
)


def _operator(where: str, *more: str) -> tuple[Right, ...]:
    """An operator by OLM, in a namespace; ``more``: what else is done with its Subscription."""
    return (
        Right(where, SUBSCRIPTION, " ".join(("list watch create patch", *more))),
        Right(where, OPERATOR_GROUP, "list"),
        Right(where, CLUSTER_SERVICE_VERSION, " ".join(("list watch", *more))),
        Right("openshift-marketplace", PACKAGE_MANIFEST, "list"),
        Right("openshift-marketplace", CATALOG_SOURCE, "list"),
    )


_NEW_PROJECT = (Right(ALL_PROJECTS, NAMESPACE, "create"), Right(PROJECTS, NAMESPACE, "get"))
_APPROVAL = Right(PROJECTS, INSTALL_PLAN, "list watch patch")
_REGISTRY_RUNS = (
    Right(CLUSTER, INGRESS_CONFIG, "get", ("cluster",)),
    Right(PROJECTS, DEPLOYMENT, "list watch"),
)
_FIRST_USER, _BRIDGE = "quay-first-user", "openshift-operators"
_QUAYS_CA = (Right(CLUSTER, ROUTE, "list"), _PUBLISHED_CA)
_FIRST_USERS_SECRET = (Right(PROJECTS, SECRET, "get patch", (_FIRST_USER,)), Right(PROJECTS, SECRET, "create"))
# no part of site either: whoever installs operators may get any right by one
RIGHTS["quay_operator"] = (
    *_NEW_PROJECT,
    *_operator(PROJECTS, "delete"),
    Right(PROJECTS, OPERATOR_GROUP, "create patch delete"),
    _APPROVAL,
)
RIGHTS["quay_registry"] = (
    *_NEW_PROJECT,
    *_REGISTRY_RUNS,
    Right(PROJECTS, QUAY_REGISTRY, "get list watch create patch delete"),
    Right(PROJECTS, SECRET, "get list create patch delete"),
    # the data stays when the registry goes
    Right(PROJECTS, PERSISTENT_VOLUME_CLAIM, "list patch"),
    Right(PROJECTS, OBJECT_BUCKET_CLAIM, "list patch"),
)
RIGHTS["quay_first_user"] = (*_QUAYS_CA, *_FIRST_USERS_SECRET)
RIGHTS["quay"] = (
    *_NEW_PROJECT,
    *_operator(PROJECTS),
    Right(PROJECTS, OPERATOR_GROUP, "create"),
    _APPROVAL,
    *_REGISTRY_RUNS,
    Right(PROJECTS, QUAY_REGISTRY, "get list watch create patch"),
    Right(PROJECTS, SECRET, "list delete"),
    *_QUAYS_CA,
    *_FIRST_USERS_SECRET,
    Right(PROJECTS, ROUTE, "get"),
    Right(CLUSTER, IMAGE_CONFIG, "get patch", ("cluster",)),
    Right("openshift-config", CONFIG_MAP, "get create patch"),
)
RIGHTS["quay_content"] = (
    *_QUAYS_CA,
    Right(PROJECTS, SECRET, "get", (_FIRST_USER,)),
    Right(PROJECTS, SECRET, "list create patch"),
)
RIGHTS["quay_bridge"] = (
    *_operator(_BRIDGE, "delete"),
    Right(CLUSTER, NAMESPACE, "get", (_BRIDGE,)),
    Right(CLUSTER, QUAY_INTEGRATION, "get create patch delete"),
    Right(_BRIDGE, SECRET, "get patch delete", ("quay-bridge-token",)),
    Right(_BRIDGE, SECRET, "create"),
)
RIGHTS["move_to_registry"] = (
    *(right for right in RIGHTS["pull_secrets"] if right.where != ALL_PROJECTS),
    *(right for right in RIGHTS["image_config"] if right.kind not in (IMAGE_CONFIG, CONFIG_MAP)),
)


def of(playbooks: Iterable[str]) -> dict[str, tuple[Right, ...]]:
    """Playbook → its rights."""
    return {playbook: RIGHTS[playbook] for playbook in playbooks}
