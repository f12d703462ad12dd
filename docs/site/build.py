"""The documentation as a site in build/docs: the guides in the order of the README, a reference of every role and plugin.

The guides stay what they are on GitHub, plain Markdown; what a site needs besides is put together in build/docs-sources.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

from staging import ROOT, link

HERE = Path(__file__).resolve().parent
SOURCES = ROOT / "build" / "docs-sources"
SITE = ROOT / "build" / "docs"
BIN = Path(sys.executable).parent
COLLECTION = "quayside.registry"

#: Pages of the reference: title, what the names of antsibull-docs' files end with, what stands before the list.
KINDS = {
    "modules": ("Modules", ["module"], "Those for clusters are in the action group `quayside.registry.cluster`."),
    "roles": ("Roles", ["role"], "Each has a playbook of the same name, `quayside.registry.NAME`."),
    "plugins": (
        "Other plugins",
        ["inventory", "callback"],
        "Their settings as [environment variables](environment_variables.rst).",
    ),
}
#: A link to a file that the site has a page of.
EXAMPLE = re.compile(r"\]\(([\w-]+/[\w-]+)\.yml\)")
MARK = re.compile(r"<!-- not run: (.*?) -->")


def guides() -> dict[str, dict[str, str]]:
    """The README's headings, below each of them name -> short title of its guides, in the order of the README."""
    text = (ROOT / "README.md").read_text(encoding="utf-8").partition("## Guides")[2]
    found: dict[str, dict[str, str]] = {}
    known: set[str] = set()
    for part in text.split("\n### ")[1:]:
        caption, _newline, rows = part.partition("\n")
        links = re.findall(r"\[([^]]+)\]\(docs/(\w+)\.md\)", rows)
        found[caption] = {name: title for title, name in links if name not in known}
        known |= set(found[caption])
    return found


def reference() -> dict[str, dict[str, str]]:
    """Have antsibull-docs write a page for each role and plugin; kind -> page -> what it is about."""
    folder = SOURCES / "reference"
    folder.mkdir()
    environment = {
        **os.environ,
        "ANSIBLE_COLLECTIONS_PATH": str(link()),
        "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
    }
    command = [BIN / "antsibull-docs", "collection", "--use-current", "--squash-hierarchy", "--fail-on-error"]
    subprocess.run([*command, "--dest-dir", folder, COLLECTION], env=environment, check=True)
    (folder / "index.rst").unlink()  # ours is beside it
    pages: dict[str, dict[str, str]] = {}
    for kind in ("module", "role", "inventory", "callback"):
        pages[kind] = {}
        for file in sorted(folder.glob(f"*_{kind}.rst"), key=lambda file: file.stem.rpartition("_")[0]):
            text = file.read_text(encoding="utf-8")
            # every page of this site is about this collection, and has its contents beside it
            text = re.sub(r"\.\. Collection note\n.*?(?=\n\.\. version_added)", "", text, flags=re.DOTALL)
            text = re.sub(r"\.\. contents::\n(   :.*\n)+", "", text)
            # a short heading, and below it what it is about
            heading = re.compile(rf"^({re.escape(COLLECTION)}\.(\w+)) (\w+) -- (.*)\n\++$", re.MULTILINE)
            (whole,) = heading.finditer(text)
            full, name, what, about = whole.groups()
            title = f"{name} {what}"
            text = text.replace(whole[0], f"{title}\n{'=' * len(title)}\n\n**{about}**: ``{full}``")
            file.write_text(text, encoding="utf-8")
            pages[kind][file.stem] = about.replace("\\", "")
    return pages


def toctree(caption: str, entries: dict[str, str]) -> str:
    lines = [f"{title} <{page}>" for page, title in entries.items()]
    return "\n".join(["```{toctree}", f":caption: {caption}", ":hidden:", *lines, "```"]) + "\n"


def listing(title: str, about: str, pages: dict[str, str]) -> str:
    """A page of the reference: what there is of a kind, each with a line about it."""
    names = {page: page.rpartition("_")[0] for page in pages}
    rows = [f"| [`{names[page]}`]({page}.rst) | {line} |" for page, line in pages.items()]
    table = "\n".join(["| name | what for |", "| --- | --- |", *rows])
    return f"# {title}\n\n{about}\n\n{table}\n\n{toctree(title, names)}"


def see_also(text: str, pages: dict[str, dict[str, str]]) -> str:
    """The reference of what a guide speaks of."""
    words = set(re.findall(rf"{re.escape(COLLECTION)}\.(\w+)|`(\w+)`", text))
    spoken = {first or second for first, second in words}
    links = [
        f"[{kind} `{name}`](reference/{page}.rst)"
        for kind in ("role", "module", "inventory", "callback")
        for page in pages[kind]
        if (name := page.rpartition("_")[0]) in spoken
    ]
    return f"\n---\n\nReference: {', '.join(links)}\n" if links else ""


def guide(text: str, pages: dict[str, dict[str, str]]) -> str:
    text = EXAMPLE.sub(r"](\1.md)", text)
    text = MARK.sub(r'<p class="not-run">Not run by the tests: \1</p>\n', text)
    return text + see_also(text, pages)


def index(pages: dict[str, dict[str, str]]) -> str:
    """The README, with the names in its table as links into the reference."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    text = EXAMPLE.sub(r"](\1.md)", text.replace("](docs/", "]("))
    before, heading, rest = text.partition("## Guides")
    for kind in ("role", "callback", "inventory", "module"):
        for page in pages[kind]:
            name = page.rpartition("_")[0]
            rest = re.sub(
                rf"(?<!\[)`{name}`(?=[^|]*\|$)", f"[`{name}`](reference/{page}.rst)", rest, flags=re.MULTILINE
            )
    return MARK.sub("", before + heading + rest)


def gather() -> None:
    """All sources in one folder."""
    shutil.rmtree(SOURCES, ignore_errors=True)
    SOURCES.mkdir(parents=True)
    (SOURCES / "static").mkdir()
    shutil.copy(HERE / "conf.py", SOURCES)
    shutil.copy(HERE / "style.css", SOURCES / "static")
    pages = reference()
    examples = sorted((ROOT / "docs").glob("*/*.yml"))
    for file in examples:
        folder = SOURCES / file.parent.name
        folder.mkdir(exist_ok=True)
        shutil.copy(file, folder)
        text = f"# {file.name}\n\n```{{literalinclude}} {file.name}\n:language: yaml\n```\n"
        (folder / f"{file.stem}.md").write_text(text, encoding="utf-8")
    for file in (ROOT / "docs").glob("*.md"):
        (SOURCES / file.name).write_text(guide(file.read_text(encoding="utf-8"), pages), encoding="utf-8")
    for page, (title, kinds, about) in KINDS.items():
        known = {name: line for kind in kinds for name, line in pages[kind].items()}
        (SOURCES / "reference" / f"{page}.md").write_text(listing(title, about, known), encoding="utf-8")
    contents = "".join(toctree(caption, names) for caption, names in guides().items())
    contents += toctree("Examples", {f"{file.parent.name}/{file.stem}": file.name for file in examples})
    contents += toctree("Reference", {f"reference/{page}": title for page, (title, *_rest) in KINDS.items()})
    (SOURCES / "index.md").write_text(f"{index(pages)}\n{contents}", encoding="utf-8")


class Page(HTMLParser):
    """What a page has: anchors, links, and what it loads."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self.anchors = {""}
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.feed(file.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        known = {name: value or "" for name, value in attrs}
        self.anchors |= {known[name] for name in ("id", "name") if name in known}
        if tag == "a" and "href" in known:
            self.links.append(known["href"])
        elif tag == "link" and known.get("rel") in ("stylesheet", "preload", "icon"):
            self.loaded.append(known["href"])
        elif "src" in known:
            self.loaded.append(known["src"])


def broken(site: Path = SITE) -> Iterator[str]:
    """Links within the site that lead nowhere, and what pages load from elsewhere."""
    pages = {file: Page(file) for file in sorted(site.rglob("*.html"))}
    for file, page in pages.items():
        where = file.relative_to(site)
        for url in [*page.links, *page.loaded]:
            parts = urlsplit(url)
            if parts.scheme or parts.netloc:
                if url in page.loaded:
                    yield f"{where} loads {url}"
                continue
            target = (file.parent / unquote(parts.path)).resolve() if parts.path else file
            if not target.is_file():
                yield f"{where}: there is no {url}"
            elif target in pages and unquote(parts.fragment) not in pages[target].anchors:
                yield f"{where}: nothing has the anchor of {url}"


def main() -> int:
    gather()
    shutil.rmtree(SITE, ignore_errors=True)
    options = ["--quiet", "--fail-on-warning", "--keep-going", "--jobs", "auto"]
    run = subprocess.run([BIN / "sphinx-build", *options, SOURCES, SITE], check=False)
    if run.returncode:
        return run.returncode
    faults = list(broken())
    print("\n".join(faults) or f"{SITE.relative_to(ROOT)}/index.html")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
