"""Which written pages of the documentation name a thing, for the links of generated pages to guides."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import NamedTuple

DOCS = Path(__file__).parents[1]
SECTIONS = ("start", "guides", "recipes", "gallery", "language")
"""The folders of the pages that readers use."""

MAX_GUIDES = 8
"""The largest number of guides that a page links to."""


class Guide(NamedTuple):
    """A written page: its path in docs/, its title and its text."""

    path: str
    title: str
    text: str


@cache
def written_pages() -> tuple[Guide, ...]:
    """The pages of SECTIONS, in the order of their paths."""
    files = sorted(file for section in SECTIONS for file in (DOCS / section).rglob("*.md"))
    texts = [(str(file.relative_to(DOCS)), file.read_text("utf-8")) for file in files]
    return tuple(Guide(path, _title(text), text) for path, text in texts)


def _title(text: str) -> str:
    heading = re.search(r"^# +(.+?) *$", text, re.MULTILINE)
    return heading[1] if heading else "Untitled"


def guides_with(pattern: str) -> list[Guide]:
    """The pages with a match of a regular expression, those with most of them first; at most MAX_GUIDES."""
    expression = re.compile(pattern)
    counted = [(len(expression.findall(page.text)), page) for page in written_pages()]
    ordered = sorted((found for found in counted if found[0]), key=lambda found: (-found[0], found[1].path))
    return [page for _, page in ordered[:MAX_GUIDES]]


def guide_lines(pattern: str) -> list[str]:
    """The section of a page in reference/FOLDER/ with links to the pages that match; no line if there is none."""
    return guide_section(guides_with(pattern))


def guide_section(guides: Iterable[Guide]) -> list[str]:
    """The section of a page in reference/FOLDER/ with links to guides; no line if there is none."""
    items = [f"- [{guide.title}](../../{guide.path})" for guide in guides]
    return ["", "## Guides", "", *items] if items else []


def anchor(heading: str) -> str:
    """The anchor that GitHub gives a heading that occurs once."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
