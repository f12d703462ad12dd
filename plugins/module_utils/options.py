# Copyright (c) 2026, quayside.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options of a large document that cannot be: in which item, and what was probably meant. Ansible says neither."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from typing import Any

from ansible.module_utils.basic import AnsibleModule

_ANSIBLE_SAYS = ("Unsupported parameters", "value of", "missing required arguments")


class Module(AnsibleModule):  # type: ignore[misc]
    """A module that says where an option is wrong."""

    def fail_json(self, msg: str, **kwargs: Any) -> None:
        if msg.startswith(_ANSIBLE_SAYS):
            msg = next(wrong(self.argument_spec, self.params), msg)
        super().fail_json(msg, **kwargs)


def wrong(spec: Mapping[str, Any], given: Mapping[str, Any], where: str = "") -> Iterator[str]:
    """A sentence for each option that there is not, that is missing, or that has a value that it cannot have."""
    known = dict(spec)
    known |= {alias: option for option in spec.values() for alias in option.get("aliases", ())}
    prefix = f"{where}." if where else ""
    for key, value in given.items():
        if key.startswith("_ansible_"):
            continue
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1)
            remedy = f"Did you mean {near[0]}?" if near else f"There are {', '.join(sorted(spec))}."
            yield f"{prefix}{key}: there is no such option. {remedy}"
            continue
        option = known[key]
        items = value if isinstance(value, list) else [value]
        for number, item in enumerate(items):
            if isinstance(item, Mapping) and "options" in option:
                title = f"[{item.get('name') or number}]" if isinstance(value, list) else ""
                yield from wrong(option["options"], item, f"{prefix}{key}{title}")
            elif isinstance(item, str) and "choices" in option and item not in option["choices"]:
                yield f"{prefix}{key}: {item!r} is none of {', '.join(option['choices'])}."
    for key, option in spec.items():
        if option.get("required") and given.get(key) is None and where:
            yield f"{where}: {key} is missing."
