"""A place of its own for a world: user, mount and network namespaces, so that the machine's files and ports stay untouched.

Inside, the whole of 127.0.0.0/8, port 443, /etc (a copy: hosts, containers, docker, certificates) and /run are the sandbox's
own, also for an ordinary user. Where namespaces are forbidden, worlds use high ports, and clients reach their host names
through a small proxy of ours (HTTPS_PROXY).
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from . import existing

INSIDE = "QUAYSIDE_SANDBOX"
WITHOUT_NAMESPACES = "QUAYSIDE_NO_NAMESPACES"
#: Folders that the guides and the modules' examples write to: several runs at once have one each.
EXAMPLES = [Path("/tmp/quayside-docs"), Path("/tmp/quayside-examples")]
ENTER = ["unshare", "--map-root-user", "--mount", "--net", "--"]
SCRATCH = Path("/run/quayside")
ANCHORS = Path("/usr/local/share/ca-certificates")

# podman keeps images in plain folders: overlays and further user ids are not to be had in a user namespace of one id.
STORAGE = """[storage]
driver = "vfs"
runroot = "{scratch}/containers/run"
graphroot = "{scratch}/containers/graph"
[storage.options.vfs]
ignore_chown_errors = "true"
"""
POLICY = '{"default": [{"type": "insecureAcceptAnything"}]}\n'

_SIOCSIFFLAGS, _IFF_UP_RUNNING = 0x8914, 0x41


def inside() -> bool:
    """Whether this process is in a sandbox."""
    return os.environ.get(INSIDE) == "1"


def available() -> bool:
    """Whether namespaces can be made here."""
    if os.environ.get(WITHOUT_NAMESPACES) or not shutil.which("unshare"):
        return False
    return subprocess.run([*ENTER, "true"], capture_output=True, check=False).returncode == 0


def execute(command: Sequence[str]) -> None:
    """Become the command, in a new sandbox, or as it is when already in one or where there can be none."""
    if inside() or existing.wanted():
        os.execvp(command[0], list(command))
    if not available():
        print(
            "No namespaces here: worlds use high ports, and their hosts are reached through a proxy.", file=sys.stderr
        )
        os.execvp(command[0], list(command))
    os.execvp(ENTER[0], [*ENTER, sys.executable, "-m", "world", "inside", "--", *command])


def furnish(command: Sequence[str]) -> None:
    """Become the command, after the new namespaces got what they need. Called by ``execute``, inside them."""
    with socket.socket() as control:
        fcntl.ioctl(control, _SIOCSIFFLAGS, struct.pack("16sH", b"lo", _IFF_UP_RUNNING))
    _mount("-t", "tmpfs", "tmpfs", "/run")
    # podman keeps its locks there, which another user of the machine could not share
    _mount("-t", "tmpfs", "-o", "mode=1777", "tmpfs", "/dev/shm")
    for folder in EXAMPLES:
        folder.mkdir(exist_ok=True)
        _mount("-t", "tmpfs", "-o", "mode=0700", "tmpfs", str(folder))
    etc = SCRATCH / "etc"
    etc.mkdir(parents=True)
    # what this user may not read (shadow) is not needed either
    subprocess.run(["cp", "-a", "/etc/.", str(etc)], stderr=subprocess.DEVNULL, check=False)
    for name in ("containers", "docker"):
        shutil.rmtree(etc / name, ignore_errors=True)
        (etc / name).mkdir()
    (etc / "containers" / "policy.json").write_text(POLICY)
    storage = etc / "containers" / "storage.conf"
    storage.write_text(STORAGE.format(scratch=SCRATCH))
    _mount("--bind", str(etc), "/etc")
    if ANCHORS.is_dir():
        _mount("-t", "tmpfs", "tmpfs", str(ANCHORS))
    environment = {
        **os.environ,
        INSIDE: "1",
        "CONTAINERS_STORAGE_CONF": "/etc/containers/storage.conf",
    }
    environment.pop("XDG_RUNTIME_DIR", None)
    os.execvpe(command[0], list(command), environment)


def join(pid: int, command: Sequence[str], kubeconfig: str) -> None:
    """Become the command in the sandbox that a process lives in, with that process's environment and a kubeconfig."""
    environment = dict(
        entry.split("=", 1) for entry in Path(f"/proc/{pid}/environ").read_text().split("\0") if "=" in entry
    )
    environment["KUBECONFIG"] = kubeconfig
    enter = [
        "nsenter",
        "--target",
        str(pid),
        "--user",
        "--mount",
        "--net",
        "--preserve-credentials",
        f"--wd={Path.cwd()}",
    ]
    os.execvpe(enter[0], [*enter, *command], environment)


def _mount(*arguments: str) -> None:
    subprocess.run(["mount", *arguments], check=True)


class Names:
    """Host name → (address, port) of the worlds here: written to /etc/hosts inside, given to the proxy outside."""

    def __init__(self) -> None:
        # the last one that published a host has it; those before get it back when that one is gone
        self._known: dict[str, list[tuple[str, int]]] = {}
        self._proxy: socket.socket | None = None

    def publish(self, host: str, address: str, port: int) -> None:
        """Make a host resolvable. ``port`` is where its port 443 is listened on."""
        places = self._known.setdefault(host, [])
        if (address, port) not in places:
            places.append((address, port))
            self._write(host)

    def withdraw(self, address: str) -> None:
        """Forget the hosts of a world that has ended."""
        for host, places in self._known.items():
            left = [place for place in places if place[0] != address]
            if left != places:
                self._known[host] = left
                self._write(host)

    def _write(self, host: str) -> None:
        if not inside():
            return
        file = Path("/etc/hosts")
        lines = [line for line in file.read_text().splitlines() if line.split()[1:] != [host]]
        lines += [f"{address} {host}" for address, _port in self._known[host][-1:]]
        file.write_text("\n".join(lines) + "\n")

    def find(self, host: str) -> tuple[str, int] | None:
        """Address of a host, and where its port 443 is listened on; None for one that is no world's."""
        places = self._known.get(host)
        return places[-1] if places else None

    def proxy(self) -> str:
        """URL of the CONNECT proxy that knows these hosts; started at the first call, ends with this process."""
        if self._proxy is None:
            self._proxy = socket.create_server(("127.0.0.1", 0))
            threading.Thread(target=self._accept, args=(self._proxy,), daemon=True).start()
        return f"http://127.0.0.1:{self._proxy.getsockname()[1]}"

    def _accept(self, server: socket.socket) -> None:
        while True:
            client, _address = server.accept()
            threading.Thread(target=self._connect, args=(client,), daemon=True).start()

    def _connect(self, client: socket.socket) -> None:
        with client, contextlib.suppress(OSError):
            head = b""
            while b"\r\n\r\n" not in head:
                data = client.recv(4096)
                if not data:
                    return
                head += data
            method, target, *_rest = head.decode(errors="replace").split()
            places = self._known.get(target.rpartition(":")[0])
            if method != "CONNECT" or not places:
                client.sendall(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n")
                return
            with socket.create_connection(places[-1]) as server:
                client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
                back = threading.Thread(target=_pump, args=(server, client), daemon=True)
                back.start()
                _pump(client, server)
                back.join()


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)


NAMES = Names()
