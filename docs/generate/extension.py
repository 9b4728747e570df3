"""The extension of Sphinx for this site.

- Writes the generated pages below docs/reference/ before a build.
- Links code in guides that is the name of a layer, an error, a command or a public name to its page.
- Adds the words of `search` in the front matter of a page to the index that the search reads: words that users type,
  and that the page itself may lack.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util.nodes import make_refnode

from .pages import generated_pages, pages_by_name

DOCS = Path(__file__).parents[1]


def write_generated_pages(app: Sphinx) -> None:
    """Writes the pages that changed, and removes those that are no longer generated."""
    pages = generated_pages()
    folder = DOCS / "reference"
    for file in folder.rglob("*.md") if folder.exists() else ():
        if str(file.relative_to(DOCS)) not in pages:
            file.unlink()
    for path, text in pages.items():
        file = DOCS / path
        if not file.exists() or file.read_text("utf-8") != text:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8", newline="\n")


class LinkNames(SphinxPostTransform):
    """Makes code that is the name of a page a link to it, except on that page, in links and in headings."""

    default_priority = 5

    def run(self, **options: Any) -> None:
        pages = self.config.pages_by_name
        for literal in list(self.document.findall(nodes.literal)):
            page = pages.get(literal.astext())
            if page is None or page == self.env.docname or _is_within_link_or_title(literal):
                continue
            reference = make_refnode(self.app.builder, self.env.docname, page, None, literal.deepcopy())
            literal.replace_self(reference)


def _is_within_link_or_title(node: nodes.Node) -> bool:
    parent = node.parent
    while parent is not None:
        if isinstance(parent, nodes.reference | nodes.title | addnodes.pending_xref | addnodes.download_reference):
            return True
        parent = parent.parent
    return False


def add_search_words(app: Sphinx, document: nodes.document) -> None:
    words = app.env.metadata[app.env.docname].get("search", "")
    entries = [("single", word.strip(), "", "", None) for word in words.split(",") if word.strip()]
    if entries:
        document.insert(0, addnodes.index(entries=entries))


def setup(app: Sphinx) -> dict[str, Any]:
    app.add_config_value("pages_by_name", {}, "env")
    app.connect("builder-inited", write_generated_pages)
    app.connect(
        "builder-inited",
        lambda app: app.config.__setattr__(
            "pages_by_name", {name: page.removesuffix(".md") for name, page in pages_by_name().items()}
        ),
    )
    app.connect("doctree-read", add_search_words)
    app.add_post_transform(LinkNames)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
