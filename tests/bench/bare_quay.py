"""What a program without any ado needs to write the same content of a Quay: 8 threads, one request for each object, no reading.

Usage: bare_quay.py FILE, which holds a JSON object: url, headers of a session, and stages, lists of [method, path, body].
"""

from __future__ import annotations

import json
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import urllib3


def main() -> None:
    given = json.loads(Path(sys.argv[1]).read_text())
    pool = urllib3.PoolManager(maxsize=8, headers={**given["headers"], "Content-Type": "application/json"})

    def write(item: tuple[str, str, object]) -> None:
        method, path, body = item
        answer = pool.request(method, given["url"] + path, body=json.dumps(body))
        if answer.status >= 300:
            sys.exit(answer.data.decode())

    with ThreadPoolExecutor(8) as threads:
        for stage in given["stages"]:
            list(threads.map(write, stage))


if __name__ == "__main__":
    main()
