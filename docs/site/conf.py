"""How Sphinx makes the site of what build.py has put together."""

from __future__ import annotations

import re
from typing import Any

from docutils import nodes

project = "quayside.registry"
author = "quayside.registry contributors"
project_copyright = author
extensions = ["myst_parser", "sphinx_antsibull_ext", "sphinx_copybutton"]
nitpicky = True
highlight_language = "none"

myst_heading_anchors = 3  # as GitHub makes them
antsibull_ext_color_scheme = "none"  # style.css has them, light and dark
copybutton_exclude = ".linenos, .gp, .go"

html_theme = "furo"
html_title = project
html_static_path = ["static"]
html_css_files = ["style.css"]
html_show_sphinx = False
html_copy_source = False
html_use_index = False
pygments_style = "a11y-high-contrast-light"
pygments_dark_style = "a11y-high-contrast-dark"

#: Where Ansible documents what antsibull-docs refers to.
ANSIBLE = "https://docs.ansible.com/ansible/latest"
LABELS = {
    "action_plugins": "plugins/action.html",
    "ansible_configuration_settings": "reference_appendices/config.html",
    "callback_plugins": "plugins/callback.html",
    "common_return_values": "reference_appendices/common_return_values.html",
    "inventory_plugins": "plugins/inventory.html",
}
#: A plugin of another collection, or one of its options.
FOREIGN = re.compile(r"ansible_collections\.(\w+)\.(\w+)\.(\w+)_(module|lookup|inventory|callback)\b.*")


def _elsewhere(_app: Any, _env: Any, node: Any, content: Any) -> nodes.reference | None:
    """A link to Ansible's own documentation."""
    target = node.get("reftarget", "")
    page = LABELS.get(target)
    if found := FOREIGN.fullmatch(target):
        namespace, collection, name, kind = found.groups()
        page = f"collections/{namespace}/{collection}/{name}_{kind}.html"
    return nodes.reference("", "", content, refuri=f"{ANSIBLE}/{page}", internal=False) if page else None


def setup(app: Any) -> None:
    app.connect("missing-reference", _elsewhere)
