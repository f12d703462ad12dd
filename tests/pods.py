"""Pods that wait for an image, as a kubelet leaves them. The world has none: statuses and events are written for it."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from world.world import World

_numbers = itertools.count(1)


def waiting_pod(
    world: World,
    namespace: str,
    image: str,
    message: str,
    secrets: Sequence[str] = (),
    reason: str = "ImagePullBackOff",
    in_event: bool = False,
) -> str:
    """A pod whose container waits for the image; its name.

    in_event: as before Kubernetes 1.32, where only an event has the message.
    """
    admin, path = world.plane.admin, f"/api/v1/namespaces/{namespace}"
    accounts = f"{path}/serviceaccounts"
    world.wait_for(
        lambda: "default" in {item["metadata"]["name"] for item in admin.request("GET", accounts)["items"]},
        "the project's service account",
    )
    name = f"waiting-{next(_numbers)}"
    spec = {
        "containers": [{"name": "app", "image": image}],
        "imagePullSecrets": [{"name": secret} for secret in secrets],
    }
    pod = admin.request("POST", f"{path}/pods", {"metadata": {"name": name}, "spec": spec})
    back_off = f'Back-off pulling image "{image}"'
    told = back_off if in_event else f"{back_off}: ErrImagePull: {message}"
    state = {"waiting": {"reason": reason, "message": told}}
    container = {"name": "app", "image": image, "imageID": "", "ready": False, "restartCount": 0, "state": state}
    admin.request("PATCH", f"{path}/pods/{name}/status", {"status": {"containerStatuses": [container]}})
    if in_event:
        texts = [
            (f'Failed to pull image "{image}": {message}', 1),
            ("Error: ErrImagePull", 2),
            ("Error: ImagePullBackOff", 3),
        ]
        for text, second in texts:
            event = {
                "metadata": {"name": f"{name}.{second}"},
                "involvedObject": {
                    "kind": "Pod",
                    "namespace": namespace,
                    "name": name,
                    "uid": pod["metadata"]["uid"],
                    "fieldPath": "spec.containers{app}",
                },
                "reason": "Failed",
                "message": text,
                "type": "Warning",
                "source": {"component": "kubelet", "host": "worker-0"},
                "firstTimestamp": "2026-11-21T06:00:00Z",
                "lastTimestamp": f"2026-11-21T06:00:0{second}Z",
                "count": 1,
            }
            admin.request("POST", f"{path}/events", event)
    return name
