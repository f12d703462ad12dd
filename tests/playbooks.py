"""Running playbooks and the real clients as a person would: as processes, with the documented inventory."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from staging import ROOT, link

INVENTORY = ROOT / "docs" / "inventories" / "one_cluster.yml"
ANSIBLE_PLAYBOOK = Path(sys.executable).with_name("ansible-playbook")


def environment(kubeconfig: Path, home: Path) -> dict[str, str]:
    """What a person has set: the checkout as an installed collection, a kubeconfig, a home folder of one's own."""
    return {
        **os.environ,
        "ANSIBLE_COLLECTIONS_PATH": str(link()),
        "ANSIBLE_HOME": str(home / ".ansible"),
        "ANSIBLE_LOCALHOST_WARNING": "false",
        "ANSIBLE_INVENTORY_UNPARSED_WARNING": "false",
        "ANSIBLE_DISPLAY_SKIPPED_HOSTS": "false",
        "KUBECONFIG": str(kubeconfig),
    }


@dataclasses.dataclass(frozen=True)
class Run:
    """One finished run of a playbook. ``results``: (task, host, result) in order, where JSON was asked for."""

    status: int
    output: str
    changed: int
    results: list[tuple[str, str, dict[str, Any]]]

    @property
    def changes(self) -> list[dict[str, str]]:
        """What the modules of this collection changed, or in check mode would have."""
        return [change for _task, _host, result in self.results for change in result.get("changes", [])]

    @property
    def failures(self) -> list[str]:
        """What the failed tasks said; all of the output where no task was run."""
        failed = [f"{task}: {result.get('msg')}" for task, _host, result in self.results if result.get("failed")]
        return failed or ([] if self.status == 0 else [self.output])


def run_playbook(
    playbook: str | Path,
    env: Mapping[str, str],
    *arguments: str,
    inventory: Path = INVENTORY,
    show: bool = False,
    timeout: float = 600,
) -> Run:
    """Run a playbook; with ``show`` as a person sees it, otherwise with its results as data."""
    command = [str(ANSIBLE_PLAYBOOK), "-i", str(inventory), str(playbook), *arguments]
    if show:
        shown = subprocess.Popen(command, env=dict(env), stdout=subprocess.PIPE, text=True, cwd=ROOT)
        lines = []
        for line in shown.stdout or ():
            print(line, end="", flush=True)
            lines.append(line)
        status, output = shown.wait(timeout), "".join(lines)
        return Run(status, output, sum(map(int, re.findall(r"\bchanged=(\d+)", _plain(output)))), [])
    as_data = {**env, "ANSIBLE_STDOUT_CALLBACK": "ansible.posix.json"}
    run = subprocess.run(command, env=as_data, capture_output=True, text=True, cwd=ROOT, timeout=timeout, check=False)
    try:
        report = json.loads(run.stdout[run.stdout.index("{") :])
    except ValueError:
        return Run(run.returncode, run.stdout + run.stderr, 0, [])
    results = [
        (task["task"]["name"], host, result)
        for play in report["plays"]
        for task in play["tasks"]
        for host, result in task["hosts"].items()
    ]
    changed = sum(host["changed"] for host in report["stats"].values())
    return Run(run.returncode, run.stdout + run.stderr, changed, results)


def _plain(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;]*m", "", text)
