"""The first journey once, and once more: what every supported ansible-core must be able to do."""

from __future__ import annotations

from pathlib import Path

from playbooks import environment, run_playbook
from world.world import World


def test_site_changes_something_and_then_nothing(world: World, tmp_path: Path) -> None:
    env = environment(world.admin_kubeconfig, tmp_path)
    auth_file = tmp_path / "auth.json"
    login = ["-e", f"builders_auth_file={auth_file}", "-e", f"verify_registry_auth_file={auth_file}"]
    first = run_playbook("quayside.registry.site", env, *login)
    assert not first.failures
    assert first.changed > 0
    second = run_playbook("quayside.registry.site", env, *login)
    assert (second.failures, second.changes) == ([], [])
