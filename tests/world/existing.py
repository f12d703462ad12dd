"""A cluster that is there already, for the demonstration: QUAYSIDE_KUBECONFIG names its kubeconfig, and nothing is built."""

from __future__ import annotations

import os
from pathlib import Path
from types import TracebackType
from typing import Any

VARIABLE = "QUAYSIDE_KUBECONFIG"


def wanted() -> bool:
    """Whether there is one to use."""
    return bool(os.environ.get(VARIABLE))


class ExistingCluster:
    """What the demonstration needs to know of a cluster; see ``World`` for the names."""

    def __init__(self) -> None:
        from kubernetes import client, config

        self.admin_kubeconfig = Path(os.environ[VARIABLE]).expanduser().absolute()
        self._api = config.new_client_from_config(str(self.admin_kubeconfig))
        self._client = client
        self.url = self._api.configuration.host
        ingress: Any = client.CustomObjectsApi(self._api).get_cluster_custom_object(
            "config.openshift.io", "v1", "ingresses", "cluster"
        )
        self.registry_host = f"default-route-openshift-image-registry.{ingress['spec']['domain']}"

    def __enter__(self) -> ExistingCluster:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing was started."""

    def service_account_token(self, namespace: str, name: str, seconds: int = 3600) -> str:
        """A bound token, from TokenRequest."""
        request = {"spec": {"expirationSeconds": seconds}}
        core = self._client.CoreV1Api(self._api)
        return str(core.create_namespaced_service_account_token(name, namespace, request).status.token)
