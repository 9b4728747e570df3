"""Documents of the root and of the samples' data as pages of the site, and links of pages to files outside docs/."""

from __future__ import annotations

import os
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]

PROJECT_PAGES = {
    "CONTRIBUTING.md": "docs/project/contributing.md",
    "SECURITY.md": "docs/project/security.md",
    "CHANGELOG.md": "docs/project/changelog.md",
}
"""The page of each document of the root, by paths in the repository."""

DATA_PAGES = {
    str(path.relative_to(ROOT)): f"docs/project/data/{path.name}" for path in (ROOT / "samples/data").glob("*.md")
}
"""The page of the description of each data set, to which the gallery links."""

PAGES_ELSEWHERE = PROJECT_PAGES | DATA_PAGES | {"README.md": "docs/index.md"}

LINK = re.compile(r"\[([^\]]*)\]\(([^)\s#:]+)(#[^)\s]*)?\)|^(?:```|~~~).*?^(?:```|~~~)", re.MULTILINE | re.DOTALL)
"""A link to a file, or a fenced block."""


def project_pages() -> dict[str, str]:
    """The Markdown of each page by its path in docs/."""
    pages = {}
    for document, page in (PROJECT_PAGES | DATA_PAGES).items():
        front_matter = "---\norphan: true\n---\n\n" if document in DATA_PAGES else ""
        text = (ROOT / document).read_text("utf-8")
        pages[page.removeprefix("docs/")] = front_matter + relinked(text, document, page)
    return pages


def relinked(text: str, document: str, page: str) -> str:
    """The text of a document with the links that it needs as a page, both as paths in the repository.

    A link to a folder or to a text outside docs/ that has no page becomes the link's text.
    """

    def replacement(match: re.Match[str]) -> str:
        label, target, anchor = match.groups()
        if target is None:
            return match[0]
        path = os.path.normpath(os.path.join(os.path.dirname(document), target))
        new = PAGES_ELSEWHERE.get(path, path)
        if not new.startswith("docs/") and (new.endswith(".md") or (ROOT / new).is_dir()):
            return label
        return f"[{label}]({os.path.relpath(new, os.path.dirname(page))}{anchor or ''})"

    return LINK.sub(replacement, text)
