"""The extension of Sphinx for this site.

- Writes the generated pages below docs/reference/ and docs/project/ before a build.
- Links code in pages that is the name of a layer, an error, a command or a public name to its page.
- Adds the words of `search` in the front matter of a page to the index that the search reads: words that users type,
  and that the page itself may lack.
- Keeps the colors of the gallery's pictures on dark pages.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.util.nodes import make_refnode

from .captions import captioned
from .pages import generated_pages, pages_by_name
from .project_pages import relinked

DOCS = Path(__file__).parents[1]
GENERATED_FOLDERS = ("reference", "project")

WITHOUT_LINKS = (nodes.reference, nodes.title, addnodes.download_reference)
"""Nodes in which a name gets no link: it has one, or it is a heading."""


def write_generated_pages(app: Sphinx) -> None:
    """Writes the pages that changed, and removes those that are no longer generated."""
    pages = generated_pages()
    for folder in GENERATED_FOLDERS:
        for file in (DOCS / folder).rglob("*.md"):
            if str(file.relative_to(DOCS)) not in pages:
                file.unlink()
    for path, text in pages.items():
        file = DOCS / path
        if not file.exists() or file.read_text("utf-8") != text:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8", newline="\n")
    app.config.pages_by_name = {name: page.removesuffix(".md") for name, page in pages_by_name().items()}


def adapt_source(app: Sphinx, name: str, source: list[str]) -> None:
    """Replaces links to documents outside docs/ by links to their pages, and gives code blocks captions."""
    page = f"docs/{name}.md"
    if not name.startswith(GENERATED_FOLDERS):
        source[0] = captioned(relinked(source[0], page, page))


def add_search_words(app: Sphinx, document: nodes.document) -> None:
    words = app.env.metadata[app.env.docname].get("search", "")
    entries = [("single", word.strip(), "", "main", None) for word in words.split(",") if word.strip()]
    if entries:
        document.insert(0, addnodes.index(entries=entries))


def keep_colors(app: Sphinx, document: nodes.document) -> None:
    """Marks the pictures of the gallery as made for light and for dark pages; the theme would make others paler."""
    if app.env.docname.startswith("gallery/"):
        for image in document.findall(nodes.image):
            image["classes"].append("dark-light")


def link_names(app: Sphinx, document: nodes.document, name: str) -> None:
    """Makes code that is the name of a page a link to it, except on that page, in links and in headings."""
    for literal in list(document.findall(nodes.literal)):
        page = app.config.pages_by_name.get(literal.astext())
        if page is not None and page != name and not _has_ancestor(literal, WITHOUT_LINKS):
            literal.replace_self(make_refnode(app.builder, name, page, None, literal.deepcopy()))


def _has_ancestor(node: nodes.Node, classes: tuple[type[nodes.Node], ...]) -> bool:
    parent = node.parent
    return parent is not None and (isinstance(parent, classes) or _has_ancestor(parent, classes))


def setup(app: Sphinx) -> dict[str, Any]:
    app.add_config_value("pages_by_name", {}, "env")
    app.connect("builder-inited", write_generated_pages)
    app.connect("source-read", adapt_source)
    app.connect("doctree-read", add_search_words)
    app.connect("doctree-read", keep_colors)
    app.connect("doctree-resolved", link_names)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
