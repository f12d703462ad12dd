"""Clusters that do not work, in one run with one that does: they stop nobody, and nobody is told anything wrong."""

from __future__ import annotations

import json
from pathlib import Path

from bench.fleet import REFUSING, STEPS, Fleet, kubeconfig
from playbooks import run_playbook
from world.world import World


def test_a_broken_cluster_neither_stops_nor_falsifies_the_others(world: World, tmp_path: Path) -> None:
    fleet = Fleet(tmp_path, [world])
    inventory, playbook = tmp_path / "kubeconfigs.yml", tmp_path / "play.yml"
    alone = run_playbook(playbook, fleet.env, inventory=inventory)
    assert not alone.failures
    before = fleet.report()

    server = "https://{}:{}".format(*REFUSING)
    kubeconfig(tmp_path / "kubeconfigs", "gone", world.admin_kubeconfig, cluster={"server": server})
    kubeconfig(tmp_path / "kubeconfigs", "refused", world.admin_kubeconfig, user={"token": "no-such-token"})
    together = run_playbook(playbook, fleet.env, inventory=inventory)
    stats = json.loads(together.output[together.output.index("{") : together.output.rindex("}") + 1])["stats"]
    assert {host: counts["failures"] for host, counts in stats.items()} == {world.name: 0, "gone": 1, "refused": 1}
    assert together.changed == 0
    steps = {host: len([1 for _task, name, _result in together.results if name == host]) for host in stats}
    assert steps[world.name] > len(STEPS) > steps["gone"]
    messages = {host: result["msg"] for _task, host, result in together.results if result.get("failed")}
    assert set(messages) == {"gone", "refused"}
    assert server.partition("//")[2] in messages["gone"] and "no-such-token" not in messages["refused"]
    assert fleet.report()[world.name] == before[world.name]

    report = run_playbook("quayside.registry.report", fleet.env, inventory=inventory)
    assert report.status != 0
    seen = fleet.report()
    assert seen[world.name] == before[world.name]
    assert seen["gone"]["error"] and seen["refused"]["error"]
