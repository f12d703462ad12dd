# Copyright (c) 2026, quayside.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""skopeo: the copying of one image, with credentials and certificates in files that only this user can read."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

from ansible_collections.quayside.registry.plugins.module_utils.errors import RegistryError
from ansible_collections.quayside.registry.plugins.module_utils.oci import auth
from ansible_collections.quayside.registry.plugins.module_utils.oci.auth import Credential
from ansible_collections.quayside.registry.plugins.module_utils.oci.transport import certificates_folder

_RETRIES = 3  # skopeo's own, for a network that drops connections and registries that are busy
_FATAL = re.compile(r'level=fatal msg="((?:[^"\\]|\\.)*)"')
_CERTIFICATES = (".crt", ".cert", ".key")


class Skopeo:
    """Copies between registries. ``folder`` is a folder of this run alone, with mode 0700, that somebody else removes.

    ``credentials``: host and repository -> credential. ``ca_certs``: host -> file with CA certificates beside those of
    certs.d. ``insecure``: hosts without verified TLS.
    """

    def __init__(
        self,
        program: str,
        folder: Path,
        credentials: Mapping[tuple[str, str], Credential | None],
        ca_certs: Mapping[str, str],
        certs_dirs: tuple[str, ...],
        insecure: frozenset[str],
        policy: str | None,
    ) -> None:
        self._program = program
        self._insecure = insecure
        self._policy = policy
        self._auth_file = folder / "auth.json"
        self._cert_dirs = {host: folder / f"certs-{number}" for number, host in enumerate(ca_certs)}
        config: auth.Config = {"auths": {}}
        for (host, repository), credential in credentials.items():
            if credential:
                config = auth.with_credential(config, auth.key(host, repository), credential)
        with os.fdopen(os.open(self._auth_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(auth.dump(config))
        for host, directory in self._cert_dirs.items():
            _collect(directory, ca_certs[host], certificates_folder(host, certs_dirs))

    def copy(
        self,
        source: str,
        source_host: str,
        destination: str,
        destination_host: str,
        all_images: bool,
        started: Callable[[int], None],
    ) -> None:
        """Copy an image, named as skopeo does (``docker://…``). Raises RegistryError with skopeo's last words.

        ``started`` is told the process.

        Signatures are not copied along: most registries do not take them, and then nothing would be copied at all.
        """
        command = [self._program, *(["--policy", self._policy] if self._policy else []), "copy", "--quiet"]
        command += [f"--retry-times={_RETRIES}", "--remove-signatures"]
        if all_images:
            command += ["--all", "--preserve-digests"]
        for side, host in (("src", source_host), ("dest", destination_host)):
            if not host:
                continue  # an image on this host
            command.append(f"--{side}-authfile={self._auth_file}")
            if host in self._insecure:
                command.append(f"--{side}-tls-verify=false")
            if host in self._cert_dirs:
                command.append(f"--{side}-cert-dir={self._cert_dirs[host]}")
        # several at a time: AnsibleModule.run_command is not made for threads
        with subprocess.Popen(  # pylint: disable=ansible-bad-function
            [*command, source, destination],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            started(process.pid)
            errors = process.communicate()[1]
        if process.returncode != 0:
            raise RegistryError(_last_words(errors) or f"skopeo ended with status {process.returncode}")


def _collect(directory: Path, ca_cert: str, folder: Path | None) -> None:
    """skopeo reads one folder only: links to what certs.d has for the host, and the CA that was given."""
    directory.mkdir(mode=0o700)
    for file in folder.iterdir() if folder else []:
        if file.suffix in _CERTIFICATES:
            (directory / file.name).symlink_to(file)
    (directory / "quayside-given-ca.crt").symlink_to(Path(ca_cert).absolute())


def _last_words(stderr: str) -> str:
    fatal = _FATAL.findall(stderr)
    if fatal:
        return re.sub(r"\\(.)", r"\1", fatal[-1])
    return stderr.strip().splitlines()[-1] if stderr.strip() else ""
