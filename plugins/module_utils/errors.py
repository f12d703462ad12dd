# Copyright (c) 2026, quayside.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What can go wrong, as one sentence that names the option and the remedy.

Every error that a module expects derives from ``RegistryError``; a runner turns it into ``fail_json``. Anything else is a
bug of this collection and may show its traceback.
"""

from __future__ import annotations

from typing import Any


class RegistryError(Exception):
    """A failure to show to the user as it is.

    `details` is returned beside ``msg``: plain data, never a secret.
    """

    def __init__(self, message: str, details: dict[str, Any] | None = None) -> None:
        super().__init__(message)
        self.details = details or {}


class InputError(RegistryError):
    """What the user wrote cannot be meant. Raised before the first write."""


class Conflict(RegistryError):
    """Somebody else wrote the object between our read and our write (HTTP 409): read and plan again."""
