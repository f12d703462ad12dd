"""The code blocks of the guides: which of them are run as they stand there, and which say why they are not."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import yaml
from markdown_it import MarkdownIt

from staging import ROOT

DOCS = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md")])

#: Whose playbooks and commands are run, in this order: some use what those before them have made.
RUN = (
    "expose",
    "trust",
    "builders",
    "image_config",
    "pull_secrets",
    "image_streams",
    "verify",
    "promote_images",
    "move_to_registry",
    "publish_workflow",
    "diagnose",
    "report",
    "quay_first_user",
    "quay_content",
    "automation_access",
    "quay",
    "README",
    "awx",
    "fleet",
    "progress",
)

NOT_RUN = re.compile(r"<!-- not run: (.+) -->\s*")
_FILE = re.compile(r"# (\S+\.yml)\n")


@dataclasses.dataclass(frozen=True)
class Block:
    """A fenced block. ``excuse``: why it is not run."""

    language: str
    text: str
    excuse: str

    @property
    def is_playbook(self) -> bool:
        """A list is a playbook; a mapping is variables, or a file whose name its first line tells."""
        return self.language == "yaml" and isinstance(yaml.safe_load(self.text), list)

    @property
    def file(self) -> str:
        found = _FILE.match(self.text) if self.language == "yaml" else None
        return found[1] if found else ""

    @property
    def is_run(self) -> bool:
        return (self.is_playbook or self.language == "sh") and not self.excuse


def blocks(document: Path) -> list[Block]:
    found = []
    excuse = ""
    for token in MarkdownIt().parse(document.read_text(encoding="utf-8")):
        if token.type == "fence":
            found.append(Block(token.info, token.content, excuse))
        elif token.type == "code_block":
            found.append(Block("indented", token.content, excuse))
        reason = NOT_RUN.fullmatch(token.content) if token.type == "html_block" else None
        excuse = reason[1] if reason else ""
    return found


def document(name: str) -> Path:
    return ROOT / "README.md" if name == "README" else ROOT / "docs" / f"{name}.md"
