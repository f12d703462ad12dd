"""What a program without any ado needs to write the same objects: 16 threads, one request for each object, no reading.

Usage: bare_client.py KUBECONFIG FILE, which holds a JSON list of [method, path, body].
"""

from __future__ import annotations

import json
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from kubernetes import config
from kubernetes.client import ApiClient

TYPES = {"POST": "application/json", "PATCH": "application/merge-patch+json"}


def main() -> None:
    kubeconfig, file = sys.argv[1:]
    configuration = ApiClient(config.new_client_from_config(kubeconfig).configuration).configuration
    configuration.connection_pool_maxsize = 16
    pool = ApiClient(configuration).rest_client.pool_manager

    def write(item: tuple[str, str, dict[str, object]]) -> None:
        method, path, body = item
        headers = {"Content-Type": TYPES[method], "Accept": "application/json"}
        answer = pool.request(method, configuration.host + path, body=json.dumps(body), headers=headers)
        if answer.status >= 300:
            sys.exit(answer.data.decode())

    with ThreadPoolExecutor(16) as threads:
        list(threads.map(write, json.loads(Path(file).read_text())))


if __name__ == "__main__":
    main()
