"""Which written pages of the documentation name a thing, for the links of generated pages to guides."""

from __future__ import annotations

import re
from functools import cache
from typing import NamedTuple

from .mentions import DOCS, FOLDERS, MAX_PAGES, title_of


class Guide(NamedTuple):
    """A written page: its path in docs/, its title and its text."""

    path: str
    title: str
    text: str


@cache
def written_pages() -> tuple[Guide, ...]:
    """The pages of FOLDERS, in the order of their paths."""
    files = sorted(file for folder in FOLDERS for file in (DOCS / folder).rglob("*.md"))
    return tuple(Guide(str(file.relative_to(DOCS)), title_of(file), file.read_text("utf-8")) for file in files)


def guides_with(pattern: str) -> list[Guide]:
    """The pages with a match of a regular expression, those with most of them first; at most MAX_PAGES."""
    expression = re.compile(pattern)
    counted = [(len(expression.findall(page.text)), page) for page in written_pages()]
    ordered = sorted((found for found in counted if found[0]), key=lambda found: (-found[0], found[1].path))
    return [page for _, page in ordered[:MAX_PAGES]]


def guide_lines(pattern: str) -> list[str]:
    """The section of a page in reference/FOLDER/ with links to the guides; no line if there is none."""
    items = [f"- [{guide.title}](../../{guide.path})" for guide in guides_with(pattern)]
    return ["", "## Guides", "", *items] if items else []


def anchor(heading: str) -> str:
    """The anchor that GitHub gives a heading that occurs once."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
