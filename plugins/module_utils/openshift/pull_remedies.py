# Copyright (c) 2026, quayside.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What to do about an image that cannot be pulled: the playbook and the variable of this collection that mend it. No I/O."""

from __future__ import annotations

import dataclasses

from ansible_collections.quayside.registry.plugins.module_utils.oci.reference import Reference
from ansible_collections.quayside.registry.plugins.module_utils.openshift import pull_messages as causes


@dataclasses.dataclass(frozen=True)
class Remedy:
    """``playbook`` and ``variable`` are empty where the remedy lies outside of registries and images."""

    text: str
    playbook: str = ""
    variable: str = ""

    def result(self) -> dict[str, str]:
        return {
            "text": self.text,
            "playbook": f"quayside.registry.{self.playbook}" if self.playbook else "",
            "variable": self.variable,
        }


def remedy(cause: str, image: Reference | None, own: bool, namespaces: list[str]) -> Remedy:
    """``own``: the image is in the cluster's own registry. ``namespaces`` are those of the pods."""
    host = image.host if image else "the registry"
    where = _projects(namespaces)
    project = image.repository.partition("/")[0] if image else ""
    if own and cause in (causes.CREDENTIALS, causes.CREDENTIALS_MISSING, causes.CREDENTIALS_WRONG, causes.ACCESS):
        return Remedy(
            f"Let the service accounts of {where} pull from project {project}: level pull with service_accounts_of"
            f" {namespaces}.",
            "builders",
            "builders_access",
        )
    if own and cause in (causes.MISSING, causes.ARCHITECTURE):
        return Remedy(
            "Import or push it. An image for several architectures is imported whole with import_mode PreserveOriginal.",
            "image_streams",
            "image_streams_list",
        )
    if own and cause in (causes.REGISTRY_FAILS, causes.NETWORK):
        return Remedy("Look at the registry's state and storage.", "expose_registry", "expose_registry_storage")
    table = {
        causes.RATE_LIMIT: Remedy(
            f"Give {where} a pull secret for {host}: a signed-in account has a higher limit of its own. For a whole cluster,"
            " let it pull from a mirror (image_config_mirrors of the playbook image_config).",
            "pull_secrets",
            "pull_secrets_secrets",
        ),
        causes.CREDENTIALS: Remedy(
            f"Give {where} a pull secret for {host} that may pull it, linked to the pods' service account.",
            "pull_secrets",
            "pull_secrets_secrets",
        ),
        causes.CREDENTIALS_MISSING: Remedy(
            f"Give {where} a pull secret for {host}, linked to the pods' service account.",
            "pull_secrets",
            "pull_secrets_secrets",
        ),
        causes.CREDENTIALS_WRONG: Remedy(
            f"Renew the credential for {host} in the pull secret, or give its user the right to pull.",
            "pull_secrets",
            "pull_secrets_secrets",
        ),
        causes.CERTIFICATE_UNTRUSTED: Remedy(
            f"Let the cluster trust the CA of {host}. If that is another OpenShift cluster's registry, name the cluster in"
            " image_config_trusted_clusters instead.",
            "image_config",
            "image_config_additional_trusted_ca",
        ),
        causes.CERTIFICATE_EXPIRED: Remedy(
            f"Renew the certificate of {host}, or correct the clock of the node. For a route of an OpenShift registry:",
            "expose_registry",
            "expose_registry_routes",
        ),
        causes.CERTIFICATE_NAME: Remedy(f"Name the registry by a host that its certificate is for, not by {host}."),
        causes.NAME_RESOLUTION: Remedy(
            f"Correct the name {host} in the image, or the DNS of the nodes. A cluster without a way out needs a mirror.",
            "image_config",
            "image_config_mirrors",
        ),
        causes.NETWORK: Remedy(
            f"Open the way from the nodes to {host} (firewall, proxy). A cluster without a way out needs a mirror.",
            "image_config",
            "image_config_mirrors",
        ),
        causes.MISSING: Remedy(
            "Correct the image's name or tag, or copy the image there.", "promote_images", "promote_images_images"
        ),
        causes.ARCHITECTURE: Remedy(
            "Build it for the nodes' architecture, or copy the image with all of its architectures; or keep the pods off"
            " these nodes (nodeSelector kubernetes.io/arch).",
            "promote_images",
            "promote_images_images",
        ),
        causes.INSECURE: Remedy(
            f"Let {host} speak TLS. If plain HTTP is meant, allow it for this one registry.",
            "image_config",
            "image_config_insecure_registries",
        ),
        causes.BLOCKED: Remedy(
            f"Allow {host} (or take it from image_config_blocked_registries), or use an image of an allowed registry.",
            "image_config",
            "image_config_allowed_registries",
        ),
        causes.SIGNATURE: Remedy(
            "Use an image that is signed as the cluster's policy (ClusterImagePolicy) demands, or correct the policy."
        ),
        causes.DISK: Remedy(
            "Free or enlarge the disk of the named nodes; the kubelet removes unused images from 85 % on (imageGCHigh…)."
        ),
        causes.QUOTA: Remedy(
            f"Raise the quota that the message names: of the disk on the node, or of the organization in {host}."
        ),
        causes.THROTTLED: Remedy(
            "Nothing, as a rule. Where it happens often raise registryPullQPS and registryBurst (KubeletConfig)."
        ),
        causes.INVALID_NAME: Remedy("Correct the image's name in the workload."),
        causes.SHORT_NAME: Remedy("Write the image's name with its registry in the workload."),
        causes.NEVER_PULLED: Remedy("Set imagePullPolicy to IfNotPresent in the workload."),
        causes.REGISTRY_FAILS: Remedy(
            f"See to {host}; the nodes try again by themselves. A mirror keeps pods starting while it is down.",
            "image_config",
            "image_config_mirrors",
        ),
    }
    return table.get(cause, Remedy("Read the evidence; the pod's events have the rest."))


def _projects(namespaces: list[str]) -> str:
    if len(namespaces) == 1:
        return f"project {namespaces[0]}"
    shown = ", ".join(namespaces[:3])
    return f"projects {shown}" + (f" and {len(namespaces) - 3} more" if len(namespaces) > 3 else "")
