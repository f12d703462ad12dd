"""The status texts of the image registry operator: conditions of its Config and of the ClusterOperator.

Real: the order of the conditions, their reasons and messages are the operator's own; a condition keeps its
lastTransitionTime until its status changes.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from .kube import Object
from .store import now

Condition = tuple[str, str | None, str | None]  # status, reason, message

#: Conditions of the operator's other controllers, which never change here; they come first.
SETTLED: dict[str, Condition] = {
    "ImageConfigControllerDegraded": ("False", "AsExpected", None),
    "ConfigObservationDegraded": ("False", None, None),
    "NodeCADaemonAvailable": ("True", "AsExpected", "The daemon set node-ca has available replicas"),
    "NodeCADaemonProgressing": ("False", "AsExpected", "The daemon set node-ca is deployed"),
    "NodeCADaemonControllerDegraded": ("False", "AsExpected", None),
    "AzureStackCloudControllerDegraded": ("False", "AsExpected", None),
    "ImageRegistryCertificatesControllerDegraded": ("False", "AsExpected", None),
}
NOT_DEGRADED: Condition = ("False", None, None)
READY: Condition = ("False", "Ready", "The registry is ready")
UNMANAGED = "The registry configuration is set to unmanaged mode"
REMOVED = "The registry is removed"
PRUNER = "ImagePrunerAvailable: Pruner CronJob has been created"


@dataclass
class Conditions:
    """What the registry's own controller has to say."""

    progressing: Condition = READY
    available: Condition = ("True", "Ready", "The registry is ready")
    degraded: Condition = NOT_DEGRADED
    removed: Condition = NOT_DEGRADED
    storage: Condition | None = None
    others: dict[str, Condition] = field(default_factory=lambda: dict(SETTLED))

    def unmanaged(self) -> None:
        """managementState Unmanaged."""
        self.progressing = ("False", "Unmanaged", UNMANAGED)
        self.available = ("True", "Unmanaged", UNMANAGED)
        self.degraded = ("False", "Unmanaged", UNMANAGED)

    def being_removed(self, gone: bool) -> None:
        """managementState Removed, while the deployment goes and afterwards."""
        self.degraded = ("False", "Removed", REMOVED)
        self.removed = ("True", "Removed", REMOVED)
        if gone:
            self.progressing = ("False", "Removed", "All registry resources are removed")
            self.available = ("True", "Removed", REMOVED)
        else:
            self.progressing = ("True", "DeletingDeployment", "The deployment is being removed")
            self.available = ("False", "DeploymentDeleted", "The deployment is being deleted")

    def deployment(self, wanted: int, ready: int, settled: bool) -> None:
        """Managed: as far as the deployment has come."""
        if settled:
            self.progressing, self.available = READY, ("True", "Ready", "The registry is ready")
            return
        self.progressing = ("True", "DeploymentNotCompleted", "The deployment has not completed")
        if ready:
            self.available = ("True", "MinimumAvailability", "The registry has minimum availability")
        else:
            self.available = ("False", "NoReplicasAvailable", "The deployment does not have available replicas")

    def permanent(self, reason: str, text: str) -> None:
        """An error that only a change of the configuration mends."""
        self.progressing = ("False", "Error", f"Unable to apply resources: {text}")
        self.degraded = ("True", reason, f"Error: {text}")

    def retried(self, text: str) -> None:
        """An error after which the operator tries again."""
        self.progressing = ("True", "Error", f"Unable to apply resources: {text}")

    def of_config(self, old: list[Object]) -> list[Object]:
        """status.conditions of the Config."""
        values = {**self.others, "Progressing": self.progressing, "Available": self.available,
                  "Degraded": self.degraded, "Removed": self.removed}  # fmt: skip
        if self.storage:
            values["StorageExists"] = self.storage
        else:
            values |= {item["type"]: _value(item) for item in old if item["type"] == "StorageExists"}
        return _dated(values, old)

    def of_cluster_operator(self, old: list[Object]) -> list[Object]:
        """status.conditions of the ClusterOperator: the same, joined with the node CA daemon's."""
        daemon = {kind: text for kind, (_status, _reason, text) in self.others.items()}
        available = (
            f"NodeCADaemonAvailable: {daemon['NodeCADaemonAvailable']}\nAvailable: {self.available[2]}\n{PRUNER}"
        )
        progressing = (
            f"NodeCADaemonProgressing: {daemon['NodeCADaemonProgressing']}\nProgressing: {self.progressing[2]}"
        )
        degraded = f"Degraded: {self.degraded[2]}" if self.degraded[2] else None
        return _dated({
            "Available": (self.available[0], self.available[1], available),
            "Progressing": (self.progressing[0], self.progressing[1], progressing),
            "Degraded": (self.degraded[0], self.degraded[1] or "AsExpected", degraded),
        }, old)  # fmt: skip


def _value(item: Object) -> Condition:
    return item["status"], item.get("reason"), item.get("message")


def _dated(values: dict[str, Condition], old: list[Object]) -> list[Object]:
    before = {item["type"]: item for item in old}
    result = []
    for kind, (status, reason, message) in values.items():
        past = before.get(kind, {})
        since = past["lastTransitionTime"] if past.get("status") == status else now()
        item = {"lastTransitionTime": since, "message": message, "reason": reason, "status": status, "type": kind}
        result.append({key: value for key, value in item.items() if value is not None})
    return result
