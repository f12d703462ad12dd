"""What is waited for in a real cluster is shown, by the callback plugin ``progress``."""

from __future__ import annotations

from pathlib import Path

from playbooks import environment, run_playbook
from world.world import World


def test_a_roll_out_is_watched(world: World, tmp_path: Path) -> None:
    env = {
        **environment(world.admin_kubeconfig, tmp_path),
        "ANSIBLE_CALLBACKS_ENABLED": "quayside.registry.progress",
        "QUAYSIDE_PROGRESS_INTERVAL": "0",
    }
    wanted = ["-e", '{"expose_registry_replicas": 2}']
    run = run_playbook("quayside.registry.expose_registry", env, *wanted)
    assert not run.failures
    assert run.changed == 1
    assert "progress: applying: update Config cluster (0 of 1)" in run.output
    assert f"progress: {world.plane.url}: waiting for Config cluster: Progressing is True" in run.output
