"""A fleet: so many worlds at once in one inventory, and some clusters that do not work. `make fleet CLUSTERS=10`.

What is measured is the whole of `ansible-playbook` for expose, builders and report, with ten forks; the clusters live on the
same processors.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import re
import resource
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from playbooks import ANSIBLE_PLAYBOOK, environment
from staging import ROOT
from world.world import World, worlds

FORKS = 10
STEPS = ("expose_registry", "builders", "report")
VARIABLES = {
    "builders_accounts": [{"name": "pusher", "namespace": "demo"}, {"name": "puller", "namespace": "demo"}],
    "builders_access": [
        {"project": "demo", "level": "push", "service_accounts": ["pusher"]},
        {"project": "demo", "level": "pull", "service_accounts": ["puller"]},
    ],
}
#: Addresses of clusters that are not there: nobody listens, or somebody who never answers.
REFUSING, SILENT = ("127.0.0.97", 6443), ("127.0.0.98", 6443)


@dataclasses.dataclass(frozen=True)
class Measured:
    what: str
    seconds: float
    processor: float  # seconds of it that ansible-playbook and its processes had
    megabytes: float  # the most that ansible-playbook and its processes had at once
    recap: dict[str, dict[str, int]]

    def row(self) -> str:
        failed = [host for host, counts in self.recap.items() if counts["failures"] or counts["unreachable"]]
        changed = sum(counts["changed"] for counts in self.recap.values())
        return (
            f"{self.what:40} {len(self.recap):3} clusters {self.seconds:7.1f} s, of a processor {self.processor:6.1f} s,"
            f" {self.megabytes:5.0f} MB, changed={changed}, failed: {', '.join(failed) or '-'}"
        )


def megabytes(pids: list[int]) -> float:
    """What processes have of the memory, shared pages counted once."""
    total = 0
    for pid in pids:
        with contextlib.suppress(OSError):
            found = re.search(r"^Pss:\s+(\d+) kB", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.MULTILINE)
            total += int(found[1]) if found else 0
    return total / 1024


def processor() -> float:
    """Seconds of processors that processes had which have ended: ansible-playbook's, as the worlds go on."""
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    return ended.ru_utime + ended.ru_stime


def descendants(parent: int) -> list[int]:
    children: dict[int, list[int]] = {}
    for file in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = file.read_text().rpartition(")")[2].split()
            children.setdefault(int(fields[1]), []).append(int(file.parent.name))
    found = [parent]
    for pid in found:
        found += children.get(pid, [])
    return found


def of_world(world: World) -> list[int]:
    """The processes that are one world's alone: control plane and registry. The simulators are threads of this one."""
    found = []
    for pid in descendants(os.getpid())[1:]:
        with contextlib.suppress(OSError):
            if str(world.directory) in Path(f"/proc/{pid}/cmdline").read_text():
                found.append(pid)
    return found


def kubeconfig(folder: Path, name: str, source: Path, **changes: Any) -> None:
    """A kubeconfig of the fleet: one context, named after the cluster."""
    content = yaml.safe_load(source.read_text())
    content["contexts"][0]["name"] = content["current-context"] = name
    content["clusters"][0]["cluster"].update(changes.get("cluster", {}))
    content["users"][0]["user"] = changes.get("user") or content["users"][0]["user"]
    (folder / name).write_text(yaml.safe_dump(content))


@contextlib.contextmanager
def silent() -> Iterator[None]:
    """A server that takes connections and says nothing."""
    with socket.create_server(SILENT, backlog=100):
        yield


class Fleet:
    """Inventory, playbook, and how they are run."""

    def __init__(self, folder: Path, clusters: list[World]) -> None:
        self.folder = folder
        (folder / "kubeconfigs").mkdir()
        (folder / "group_vars").mkdir()
        for world in clusters:
            kubeconfig(folder / "kubeconfigs", world.name, world.admin_kubeconfig)
        (folder / "kubeconfigs.yml").write_text(
            yaml.safe_dump({"plugin": "quayside.registry.kubeconfigs", "paths": ["kubeconfigs"]})
        )
        variables = {**VARIABLES, "report_directory": str(folder / "report")}
        (folder / "group_vars" / "clusters.yml").write_text(yaml.safe_dump(variables))
        imports = [{"ansible.builtin.import_playbook": f"quayside.registry.{step}"} for step in STEPS]
        (folder / "play.yml").write_text(yaml.safe_dump(imports))
        self.env = {
            **environment(Path("/dev/null"), folder),
            "ANSIBLE_FORKS": str(FORKS),
            "ANSIBLE_STDOUT_CALLBACK": "ansible.posix.json",
        }

    def run(self, what: str, *arguments: str, strategy: str = "linear") -> Measured:
        command = [ANSIBLE_PLAYBOOK, "-i", self.folder / "kubeconfigs.yml", self.folder / "play.yml", *arguments]
        began, used = time.monotonic(), processor()
        with (self.folder / "output").open("w+") as output:
            env = {**self.env, "ANSIBLE_STRATEGY": strategy}
            process = subprocess.Popen(command, env=env, cwd=ROOT, stdout=output)
            most = [0.0]

            def watch() -> None:
                while process.poll() is None:
                    most[0] = max(most[0], megabytes(descendants(process.pid)))
                    time.sleep(1)

            watching = threading.Thread(target=watch)
            watching.start()
            process.wait()
            seconds = time.monotonic() - began
            watching.join()
            output.seek(0)
            text = output.read()
        measured = Measured(what, seconds, processor() - used, most[0], json.loads(text[text.index("{") :])["stats"])
        print(measured.row(), flush=True)
        return measured

    def report(self) -> dict[str, Any]:
        """What the page says of each cluster, without the time that it was read at."""
        found = {}
        for file in sorted((self.folder / "report" / "clusters").glob("*.json")):
            content = json.loads(file.read_text())
            found[file.stem] = {key: value for key, value in content.items() if key != "read_at"}
        return found


def main(count: int) -> None:
    names = [f"c{number:02}" for number in range(1, count + 1)]
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as temporary, worlds(*names) as clusters, silent():
        print(f"{count} worlds were up after {time.monotonic() - began:.0f} s")
        each = [megabytes(of_world(world)) for world in clusters]
        fleet = Fleet(Path(temporary), clusters)
        runs = [fleet.run("everything is new"), fleet.run("nothing to do"), fleet.run("nothing to do, again")]
        runs.append(fleet.run("nothing to do, one cluster alone", "--limit", names[0]))
        before = fleet.report()
        first = clusters[0].admin_kubeconfig
        kubeconfigs = fleet.folder / "kubeconfigs"
        kubeconfig(kubeconfigs, "refused", first, user={"token": "no-such-token"})
        runs.append(fleet.run("with one that refuses the token"))
        kubeconfig(kubeconfigs, "gone", first, cluster={"server": "https://{}:{}".format(*REFUSING)})
        runs.append(fleet.run("and one where nobody listens"))
        kubeconfig(kubeconfigs, "silent", first, cluster={"server": "https://{}:{}".format(*SILENT)})
        runs.append(fleet.run("and one that never answers"))
        runs.append(fleet.run("the same, each cluster at its own pace", strategy="free"))
        after = fleet.report()
        for run in runs[1:]:
            counts = [run.recap[name] for name in names if name in run.recap]
            if any(count["changed"] or count["failures"] for count in counts):
                sys.exit(f"{run.what}: a cluster that works did not stay as it was: {run.recap}")
        if any(after[name] != before[name] for name in names):
            sys.exit("The report of a cluster that works is another beside clusters that do not.")
        print(f"control plane and registry of a world: {min(each):.0f} to {max(each):.0f} MB;", end=" ")
        print(f"now {max(megabytes(of_world(world)) for world in clusters):.0f} MB at most;", end=" ")
        print(f"simulators of all together: {megabytes([os.getpid()]):.0f} MB")
    report = ROOT / "build" / "fleet.json"
    report.write_text(json.dumps([dataclasses.asdict(run) for run in runs], indent=2) + "\n")


if __name__ == "__main__":
    main(int(sys.argv[1]))
