"""The first journey with playbooks as people run them: predicted, done, repeated, rotated, and silent about secrets."""

from __future__ import annotations

import base64
import json
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from playbooks import environment, run_playbook
from world.external import ExternalRegistry
from world.images import tiny_image
from world.pki import Authority
from world.world import World

PASSWORD = "partner-Pa55word"
CERTS_D = [Path("/etc/containers/certs.d"), Path("/etc/docker/certs.d")]


def skopeo(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["skopeo", *map(str, arguments)], capture_output=True, text=True, check=False)


def token_in(auth_file: Path, host: str) -> str:
    entry = json.loads(auth_file.read_text())["auths"][host]["auth"]
    return base64.b64decode(entry).decode().partition(":")[2]


@pytest.fixture
def partner() -> Iterator[tuple[ExternalRegistry, str]]:
    """A private registry whose certificate only its own CA (PEM) vouches for."""
    authority = Authority.create("A partner's CA")
    pair = authority.server(["partner.example.com"])
    certificate = pair.certificate.decode(), pair.key.decode()
    with ExternalRegistry("partner.example.com", certificate, {"shop": PASSWORD}) as registry:
        registry.push("team/app", "1.0")
        yield registry, authority.certificate.decode()


def from_partner(world: World, host: str, ca: str) -> dict[str, object]:
    """Variables: a project gets images of the private registry, and both clusters' credentials to pull with."""
    return {
        "image_config_additional_trusted_ca": [{"host": host, "ca_certificates": ca}],
        "pull_secrets_verify": False,
        "pull_secrets_secrets": [
            {
                "name": "registries",
                "namespaces": ["demo"],
                "registries": [
                    {"registry": host, "username": "shop", "password": PASSWORD},
                    {"registry": world.registry_host, "service_account": {"name": "puller", "namespace": "demo"}},
                ],
                "pull": ["default", "puller"],
            }
        ],
        "image_streams_list": [
            {"name": "app", "namespace": "demo", "tags": [{"name": "1.0", "from": f"{host}/team/app:1.0"}]}
        ],
    }


def test_site_is_predicted_done_repeated_and_rotated(
    fresh_world: World, partner: tuple[ExternalRegistry, str], tmp_path: Path
) -> None:
    world, host = fresh_world, fresh_world.registry_host
    env = environment(world.admin_kubeconfig, tmp_path)
    auth_file = tmp_path / "auth.json"
    (tmp_path / "variables.json").write_text(json.dumps(from_partner(world, partner[0].host, partner[1])))
    login = ["-e", f"builders_auth_file={auth_file}", "-e", f"verify_registry_auth_file={auth_file}"]
    login += ["-e", f"@{tmp_path / 'variables.json'}"]

    # check mode on an untouched cluster says exactly what the run then does
    predicted = run_playbook("quayside.registry.site", env, *login, "--check", "--diff")
    assert not predicted.failures
    assert not auth_file.exists()
    done = run_playbook("quayside.registry.site", env, *login, "--diff")
    assert not done.failures
    kinds = {f"{change['action']} {change['kind']}" for change in done.changes}
    assert kinds > {"create ConfigMap", "update Image", "create Secret", "update ServiceAccount", "create ImageStream"}
    assert PASSWORD not in predicted.output + done.output
    # two tasks see in check mode that the project is missing; the image is pushed by the proof, which needs the real thing
    seen_once = [change for index, change in enumerate(predicted.changes) if change not in predicted.changes[:index]]
    assert seen_once == [change for change in done.changes if (change["action"], change["kind"]) != ("create", "Image")]
    again = run_playbook("quayside.registry.site", env, *login)
    assert (again.status, again.changed, again.changes) == (0, 0, [])

    # effects
    image, target = tiny_image(tmp_path / "image"), f"docker://{host}/demo/app:1"
    pushed = skopeo("copy", "--authfile", auth_file, image, target)
    assert pushed.returncode == 0, pushed.stderr
    refused = skopeo("copy", "--authfile", auth_file, image, f"docker://{host}/default/app:1")
    assert "unauthorized" in refused.stderr

    # another CA: pushing fails, the next run changes exactly the certificates, pushing works again
    world.rotate_router_ca()
    assert "x509" in skopeo("copy", "--authfile", auth_file, image, target).stderr
    rotated = run_playbook("quayside.registry.trust_registry", env, *login)
    assert not rotated.failures
    assert {change["action"] for change in rotated.changes} <= {"update", "create", "delete"}
    assert {Path(change["name"]).parent for change in rotated.changes} == {folder / host for folder in CERTS_D}
    assert skopeo("copy", "--authfile", auth_file, image, target).returncode == 0

    # and back
    removed = run_playbook("quayside.registry.trust_registry", env, *login, "-e", "trust_registry_state=absent")
    assert not removed.failures
    assert not any((folder / host).exists() for folder in CERTS_D)
    hidden = run_playbook("quayside.registry.expose_registry", env, "-e", "expose_registry_state=absent")
    assert not hidden.failures
    assert skopeo("copy", "--authfile", auth_file, image, target).returncode != 0


class CommandLines(threading.Thread):
    """All that stood in any process's arguments while it ran."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.seen: set[str] = set()
        self.stopped = threading.Event()

    def run(self) -> None:
        while not self.stopped.wait(0.01):
            for file in Path("/proc").glob("[0-9]*/cmdline"):
                try:
                    self.seen.add(file.read_bytes().replace(b"\0", b" ").decode(errors="replace"))
                except OSError:
                    continue  # it has ended


@pytest.fixture
def command_lines() -> CommandLines:
    watcher = CommandLines()
    watcher.start()
    return watcher


def test_no_secret_is_shown_anywhere(world: World, tmp_path: Path, command_lines: CommandLines) -> None:
    auth_file, cache = tmp_path / "auth.json", tmp_path / "facts"
    password = world.password("admin")
    certificate, key = world.certificate_for("secret.example.com")
    (tmp_path / "route.yml").write_text(
        json.dumps(
            {
                "expose_registry_routes": [
                    {
                        "name": "secret",
                        "hostname": "secret.example.com",
                        "certificate": certificate,
                        "private_key": key,
                    }
                ],
                "builders_auth_file": str(auth_file),
                "verify_registry_auth_file": str(auth_file),
            }
        )
    )
    env = {
        **environment(world.admin_kubeconfig, tmp_path),
        "ANSIBLE_CACHE_PLUGIN": "jsonfile",
        "ANSIBLE_CACHE_PLUGIN_CONNECTION": str(cache),
        "ANSIBLE_LOG_PATH": str(tmp_path / "ansible.log"),
    }
    loud = ["-vvvv", "--diff", "-e", f"@{tmp_path / 'route.yml'}"]
    shown = []
    for arguments in (["--check"], [], ["-e", "builders_purge=true"]):
        run = run_playbook("quayside.registry.site", env, *loud, *arguments)
        assert not run.failures
        shown.append(run.output)
    # user and password on the OAuth server instead of a kubeconfig
    connection = {"host": world.url, "username": "admin", "password": password, "ca_cert": str(world.ca_bundle)}
    (tmp_path / "login.yml").write_text(json.dumps({"builders_connection": connection, "builders_access": []}))
    logged_in = run_playbook("quayside.registry.builders", env, *loud, "-e", f"@{tmp_path / 'login.yml'}")
    assert not logged_in.failures
    shown.append(logged_in.output)
    command_lines.stopped.set()
    command_lines.join()

    token = token_in(auth_file, world.registry_host)
    secrets = [token, base64.b64encode(f"pusher:{token}".encode()).decode(), password]
    secrets += [line for line in key.splitlines() if len(line) > 20 and "PRIVATE" not in line]
    secrets.append(base64.b64encode(key.encode()).decode()[:60])
    written = [file.read_text() for file in (cache, tmp_path / "ansible.log") if file.is_file()]
    written += [file.read_text() for file in cache.glob("**/*") if file.is_file()]
    for place, texts in {"output": shown, "arguments": command_lines.seen, "files": written}.items():
        for number, secret in enumerate(secrets):
            assert not any(secret in text for text in texts), f"secret {number} is in the {place}"
    assert auth_file.stat().st_mode & 0o777 == 0o600
