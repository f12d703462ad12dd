"""The main job, in the embedded world: expose, trust, build, push. From an untouched cluster, twice, with real clients; and the
page about it, which `demo.py show` opens: outside of the world's sandbox, where there is a display.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from playbooks import environment, run_playbook
from staging import ROOT
from world.existing import ExistingCluster, wanted
from world.images import tiny_image
from world.world import World

PAGE = ROOT / "build" / "registry-report" / "index.html"
BOLD, GREEN, RED, DIM, PLAIN = (
    ("\033[1m", "\033[32m", "\033[31m", "\033[2m", "\033[0m") if sys.stdout.isatty() else ("",) * 5
)


def say(text: str) -> None:
    print(f"\n{BOLD}{text}{PLAIN}", flush=True)


def prove(sentence: str, command: list[str], refused: str = "") -> None:
    """Run a client. It must succeed, or with ``refused`` fail and say that word; otherwise the demonstration ends."""
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    said = (run.stderr.strip() or run.stdout.strip()).splitlines()
    good = refused in run.stderr and run.returncode != 0 if refused else run.returncode == 0
    print(f"  {GREEN + '✓' if good else RED + '✗'} {sentence}{PLAIN}")
    print(f"    {DIM}$ {' '.join(command)}{PLAIN}")
    if refused or not good:
        last = said[-1] if said else "(no output)"
        # the end of a long message is what says why
        print(f"    {DIM}{last if len(last) <= 200 else '… ' + last[-200:].partition(' ')[2]}{PLAIN}", flush=True)
    if not good:
        sys.exit(1)


def login_of(world: World | ExistingCluster, namespace: str, name: str, file: Path) -> Path:
    """An auth file with a token of a service account, to try what that account may not do."""
    auth = base64.b64encode(f"{name}:{world.service_account_token(namespace, name)}".encode()).decode()
    file.touch(0o600)
    file.write_text(json.dumps({"auths": {world.registry_host: {"auth": auth}}}))
    return file


def main() -> None:
    started = time.monotonic()
    if wanted():
        say("The cluster of your kubeconfig")
    else:
        say("A world: a real API server and registry, a router whose certificate nothing trusts yet")
    with tempfile.TemporaryDirectory() as temporary, ExistingCluster() if wanted() else World() as world:
        folder = Path(temporary)
        host = world.registry_host
        # only what changes is shown
        env = {**environment(world.admin_kubeconfig, folder), "ANSIBLE_DISPLAY_OK_HOSTS": "false"}
        auth_file = folder / "builder.json"
        print(f"  ready after {time.monotonic() - started:.0f} s: API server {world.url}, registry will be {host}")

        say("First run of site.yml: everything is new")
        login = ["-e", f"builders_auth_file={auth_file}", "-e", f"verify_registry_auth_file={auth_file}"]
        first = run_playbook("quayside.registry.site", env, *login, show=True)
        say("Second run: nothing is")
        second = run_playbook("quayside.registry.site", env, *login, show=True)
        if first.status or second.status or not first.changed or second.changed:
            sys.exit(f"{RED}site.yml: changed={first.changed}, then changed={second.changed}{PLAIN}")

        say("The builder pushes and pulls, with the clients that people use and TLS verified")
        image = tiny_image(folder / "image")
        empty = folder / "no-certs"
        empty.mkdir()
        auth = ["--authfile", str(auth_file)]
        target = f"docker://{host}/demo/app:1"
        prove(
            "without the certificate that the trust step wrote, the same push fails",
            ["skopeo", "copy", "--dest-cert-dir", str(empty), *auth, image, target],
            refused="x509",
        )
        prove("skopeo pushes", ["skopeo", "copy", *auth, image, target])
        prove("skopeo pulls", ["skopeo", "copy", *auth, target, f"oci:{folder / 'pulled'}:app"])
        prove("podman pulls", ["podman", "pull", "-q", *auth, f"{host}/demo/app:1"])
        prove("podman pushes", ["podman", "push", "-q", *auth, f"{host}/demo/app:1", f"{host}/demo/app:2"])

        say("Nobody may do more than was asked for")
        puller = ["--authfile", str(login_of(world, "demo", "puller", folder / "puller.json"))]
        prove("the puller pulls", ["skopeo", "inspect", *puller, target])
        refused = "unauthorized"
        prove(
            "the puller's push is refused",
            ["skopeo", "copy", *puller, image, f"docker://{host}/demo/app:3"],
            refused=refused,
        )
        prove(
            "the builder's push into another project is refused",
            ["skopeo", "copy", *auth, image, f"docker://{host}/default/app:1"],
            refused=refused,
        )

        shutil.rmtree(PAGE.parent, ignore_errors=True)
        report = run_playbook("quayside.registry.report", env, "-e", f"report_directory={PAGE.parent}")
        if report.failures:
            sys.exit(f"{RED}report.yml: {'; '.join(report.failures)}{PLAIN}")

    say(f"Done in {time.monotonic() - started:.0f} s")
    print(
        f"""  site.yml changed {first.changed} things, and the second time nothing.
  Now there are: the route {host},
  its CA in /etc/containers/certs.d and /etc/docker/certs.d, the project demo with a pusher that may push and a puller
  that may pull, and the builder's login in an auth file, renewed before it expires.

  Next, on a cluster of your own:
    ansible-galaxy collection install quayside.registry
    ansible-playbook -i {os.path.relpath("docs/inventories/one_cluster.yml")} quayside.registry.site --check --diff
  To look around in such a world: make world. The guides: docs/."""
    )


def opener() -> str | None:
    """The program that shows a page, where somebody watches and there is a display."""
    if "CI" in os.environ or not sys.stdout.isatty():
        return None
    if sys.platform == "darwin":
        return "open"
    return shutil.which("xdg-open") if {"DISPLAY", "WAYLAND_DISPLAY"} & set(os.environ) else None


def show() -> None:
    print(f"\n  Who may push and pull, and when which certificate ends, on one page:\n    {PAGE.as_uri()}")
    if program := opener():
        subprocess.run([program, PAGE], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
    else:
        print("  Open it in a browser; it is one file, and can be copied anywhere.")


if __name__ == "__main__":
    show() if sys.argv[1:] == ["show"] else main()
