"""python -m world …

build              make the programs of a world, once
exec -- CMD        run a command in a sandbox of its own
up [NAME]          start a world that stays, in a sandbox of its own, and print how to reach it
shell [-- CMD]     a shell, or a command, in the sandbox of the world that stays
down               end it
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from . import build, existing, sandbox

STATE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "quayside-registry" / "running"


def serve(name: str, state: Path) -> None:
    """Be the world that stays, until told to end."""
    from .world import World

    # SIGTERM ends the wait below, so that everything is put away
    signal.signal(signal.SIGTERM, lambda *_args: sys.exit(0))
    try:
        with World(name) as world:
            description = {"pid": os.getpid(), **world.describe()}
            if not sandbox.inside():
                description["proxy"] = sandbox.NAMES.proxy()
            partial = state.with_suffix(".partial")
            partial.touch(0o600)
            partial.write_text(json.dumps(description))
            partial.rename(state)
            signal.pause()
    finally:
        # last: `down` takes it for the end of everything
        state.unlink(missing_ok=True)


def running() -> dict[str, object] | None:
    """What the world that stays says of itself."""
    state = STATE / "world.json"
    try:
        description: dict[str, object] = json.loads(state.read_text())
        os.kill(int(str(description["pid"])), 0)
    except (OSError, ValueError):
        return None
    return description


def up(name: str) -> int:
    """Start it in the background."""
    if running() is None:
        STATE.mkdir(parents=True, exist_ok=True, mode=0o700)
        state, log = STATE / "world.json", STATE / "world.log"
        state.unlink(missing_ok=True)
        command = [
            sys.executable,
            "-m",
            "world",
            "exec",
            "--",
            sys.executable,
            "-m",
            "world",
            "serve",
            name,
            str(state),
        ]
        with log.open("w") as output:
            child = subprocess.Popen(
                command, stdout=output, stderr=output, stdin=subprocess.DEVNULL, start_new_session=True
            )
        while not state.exists():
            if child.poll() is not None:
                print(f"The world did not start; {log} says:\n{log.read_text()[-2000:]}", file=sys.stderr)
                return 1
            time.sleep(0.05)
    description = running() or {}
    users = description["users"]
    print(
        f"A world is up.\n  API server   {description['api']}\n  registry     {description['registry']} (once it is exposed)"
    )
    print(f"  kubeconfig   {description['kubeconfig']}\n  CAs          {description['ca']}")
    for user, password in users.items() if isinstance(users, dict) else ():
        print(f"  user         {user}, password {password}")
    if "proxy" in description:
        print(f"  proxy        HTTPS_PROXY={description['proxy']} reaches its host names")
    else:
        print("  inside       make world-shell (its hosts and its /etc are there)")
    print("  end it       make world-down")
    return 0


def down() -> int:
    """End it."""
    description = running()
    if description is None:
        print("No world is up.")
        return 0
    pid = int(str(description["pid"]))
    os.kill(pid, signal.SIGTERM)
    for _attempt in range(200):
        if running() is None:
            return 0
        time.sleep(0.05)
    os.kill(pid, signal.SIGKILL)
    return 0


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m world", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("verb", choices=["build", "exec", "inside", "up", "serve", "shell", "down"], metavar="VERB")
    parser.add_argument("rest", nargs=argparse.REMAINDER, metavar="…")
    arguments = parser.parse_args()
    rest = [part for index, part in enumerate(arguments.rest) if index or part != "--"]
    if arguments.verb == "build":
        if not existing.wanted():
            build.ensure()
    elif arguments.verb == "exec":
        sandbox.execute(rest)
    elif arguments.verb == "inside":
        sandbox.furnish(rest)
    elif arguments.verb == "serve":
        serve(rest[0], Path(rest[1]))
    elif arguments.verb == "up":
        return up(rest[0] if rest else "example")
    elif arguments.verb == "down":
        return down()
    elif arguments.verb == "shell":
        description = running()
        if description is None:
            print("No world is up: make world starts one.", file=sys.stderr)
            return 1
        os.environ.setdefault("SHELL", "/bin/sh")
        sandbox.join(int(str(description["pid"])), rest or [os.environ["SHELL"]], str(description["kubeconfig"]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
