# Copyright (c) 2026, quayside.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: kubeconfigs
short_description: One host for each context of kubeconfigs
version_added: 0.1.0
author: quayside.registry contributors (@quayside)
description:
  - Makes an inventory of clusters from kubeconfigs, so that a folder of them is a fleet.
  - Each context is a host that runs where Ansible does (C(ansible_connection=local)) and has the variable
    C(cluster_connection), which the roles of this collection take as their connection.
  - Nothing is asked of any cluster, and no credential becomes a variable.
options:
  plugin:
    description: Name of this plugin.
    type: str
    required: true
    choices: [quayside.registry.kubeconfigs]
  paths:
    description:
      - Kubeconfigs, folders of them and patterns (C(*)). Relative ones are relative to the inventory file.
      - Of a folder, files that are no kubeconfigs are left out. A file that is named must be one.
    type: list
    elements: str
    required: true
  contexts:
    description: Patterns (C(prod-*)) of the contexts to take.
    type: list
    elements: str
    default: ["*"]
  exclude_contexts:
    description: Patterns of contexts to leave out.
    type: list
    elements: str
    default: []
  current_context_only:
    description: Whether only the current context of each kubeconfig is taken.
    type: bool
    default: false
  hostname:
    description:
      - What a host is called by. Characters that are special in patterns of hosts become C(_).
      - V(context) is the name of the context, V(cluster) the one of its cluster, V(server) the name of the API server's host,
        V(file) the name of the kubeconfig without its suffix.
    type: str
    choices: [context, cluster, server, file]
    default: context
  group:
    description: Group of all of these hosts. The playbooks of this collection run on C(clusters).
    type: str
    default: clusters
extends_documentation_fragment:
  - ansible.builtin.constructed
notes:
  - The inventory file's name must end in C(kubeconfigs.yml) or C(kubeconfigs.yaml).
  - Variables of a host that O(compose), O(groups) and O(keyed_groups) can use are C(cluster_connection) (with C(kubeconfig) and
    C(context)), C(kubeconfig_cluster), C(kubeconfig_server), C(kubeconfig_user), C(kubeconfig_namespace) and C(kubeconfig_file).
"""

EXAMPLES = r"""
# fleet/kubeconfigs.yml: every context of every kubeconfig in the folder
plugin: quayside.registry.kubeconfigs
paths: [~/.kube/fleet]

# kubeconfigs.yml: one cluster for each file, named after it; groups by what stands in its name
# plugin: quayside.registry.kubeconfigs
# paths: [kubeconfigs/*.kubeconfig]
# current_context_only: true
# hostname: file
# groups:
#   production: inventory_hostname.startswith('prod')
# keyed_groups:
#   - key: kubeconfig_server.split('.')[1]
#     prefix: site
# compose:
#   builders_auth_file: "'/etc/quayside/' ~ inventory_hostname ~ '.json'"
"""

import fnmatch
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml
from ansible.errors import AnsibleParserError
from ansible.plugins.inventory import BaseInventoryPlugin, Constructable

try:
    from ansible.template import trust_as_template
except ImportError:  # ansible-core before 2.19 trusts what inventories say

    def trust_as_template(value: str) -> str:
        return value


class InventoryModule(BaseInventoryPlugin, Constructable):
    """Reads kubeconfigs; the clusters themselves are not asked."""

    NAME = "quayside.registry.kubeconfigs"

    def verify_file(self, path: str) -> bool:
        return bool(super().verify_file(path)) and path.endswith(("kubeconfigs.yml", "kubeconfigs.yaml"))

    def parse(self, inventory: Any, loader: Any, path: str, cache: bool = True) -> None:
        super().parse(inventory, loader, path, cache)
        self._read_config_data(path)
        group = self.inventory.add_group(self.get_option("group"))
        places: dict[str, str] = {}
        for file, context, variables in self._contexts(Path(path).parent):
            name = self._hostname(file, context, variables)
            place = f"context {context} of {file}"
            if name in places:
                raise AnsibleParserError(
                    f"Two hosts would be called {name}: {places[name]} and {place}. Set hostname to another of context,"
                    " cluster, server and file, or leave one of them out (exclude_contexts, current_context_only)."
                )
            places[name] = place
            self._add(name, group, variables)

    def _add(self, name: str, group: str, variables: dict[str, Any]) -> None:
        self.inventory.add_host(name, group=group)
        self.inventory.set_variable(name, "ansible_connection", "local")
        interpreter = trust_as_template("{{ ansible_playbook_python }}")
        self.inventory.set_variable(name, "ansible_python_interpreter", interpreter)
        for key, value in variables.items():
            self.inventory.set_variable(name, key, value)
        known = {**variables, "inventory_hostname": name}
        strict = self.get_option("strict")
        self._set_composite_vars(self.get_option("compose"), known, name, strict=strict)
        self._add_host_to_composed_groups(self.get_option("groups"), known, name, strict=strict)
        self._add_host_to_keyed_groups(self.get_option("keyed_groups"), known, name, strict=strict)

    def _hostname(self, file: Path, context: str, variables: dict[str, Any]) -> str:
        by = self.get_option("hostname")
        names = {
            "context": context,
            "cluster": variables["kubeconfig_cluster"],
            "server": urlsplit(variables["kubeconfig_server"]).hostname or context,
            "file": file.stem,
        }
        return re.sub(r"[^\w.-]", "_", names[by])

    def _contexts(self, folder: Path) -> Iterator[tuple[Path, str, dict[str, Any]]]:
        for file, content in self._kubeconfigs(folder):
            servers = {item["name"]: item["cluster"].get("server", "") for item in content.get("clusters") or ()}
            for item in content["contexts"]:
                name, context = str(item["name"]), item.get("context") or {}
                if not self._is_wanted(name, content):
                    continue
                cluster = str(context.get("cluster", ""))
                yield (
                    file,
                    name,
                    {
                        "cluster_connection": {"kubeconfig": str(file), "context": name},
                        "kubeconfig_cluster": cluster,
                        "kubeconfig_server": servers.get(cluster, ""),
                        "kubeconfig_user": str(context.get("user", "")),
                        "kubeconfig_namespace": str(context.get("namespace", "")),
                        "kubeconfig_file": str(file),
                    },
                )

    def _is_wanted(self, name: str, content: dict[str, Any]) -> bool:
        def matches(option: str) -> bool:
            return any(fnmatch.fnmatchcase(name, pattern) for pattern in self.get_option(option))

        if self.get_option("current_context_only") and name != content.get("current-context"):
            return False
        return matches("contexts") and not matches("exclude_contexts")

    def _kubeconfigs(self, folder: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
        for text in self.get_option("paths"):
            path = folder / Path(text).expanduser()
            named = path.is_file()
            files = [path] if named else sorted(path.iterdir() if path.is_dir() else path.parent.glob(path.name))
            if not files:
                raise AnsibleParserError(f"paths: there is no kubeconfig at {path}.")
            for file in filter(Path.is_file, files):
                content, fault = _read(file)
                if not fault:
                    yield file.resolve(), content
                elif named:
                    raise AnsibleParserError(f"paths: {file} is no kubeconfig: {fault}.")
                else:
                    self.display.vvv(f"{file} is no kubeconfig: {fault}")


def _read(file: Path) -> tuple[dict[str, Any], str]:
    """A kubeconfig's content, or why the file is none. What the file holds is not quoted: it may be a secret."""
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except OSError as error:
        return {}, str(error.strerror)
    except (yaml.YAMLError, ValueError):
        return {}, "it is not YAML"
    if not isinstance(content, dict) or content.get("kind") != "Config" or not content.get("contexts"):
        return {}, "it has no contexts"
    return content, ""
