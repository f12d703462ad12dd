"""A pod that waits for its image, as a kubelet leaves it: kubelet.py NAMESPACE IMAGE MESSAGE. Its name is "waits"."""

from __future__ import annotations

import sys

from kubernetes import client, config

namespace, image, message = sys.argv[1:]
config.load_kube_config()
core = client.CoreV1Api()
pod = {"metadata": {"name": "waits"}, "spec": {"containers": [{"name": "app", "image": image}]}}
core.create_namespaced_pod(namespace, pod)
waiting = {"reason": "ImagePullBackOff", "message": f'Back-off pulling image "{image}": ErrImagePull: {message}'}
container = {
    "name": "app",
    "image": image,
    "imageID": "",
    "ready": False,
    "restartCount": 0,
    "state": {"waiting": waiting},
}
core.patch_namespaced_pod_status("waits", namespace, {"status": {"containerStatuses": [container]}})
