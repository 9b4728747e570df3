"""Parts of generated pages in Markdown."""

from __future__ import annotations

import json
import os.path
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from jsonnx.frontend.json.json_reader import from_value
from jsonnx.frontend.text.formatter import format_source

Lines = list[str]


def front_matter(search_words: Iterable[str]) -> Lines:
    """The front matter with the words that find a page; nothing if there are none."""
    words = ", ".join(dict.fromkeys(search_words))
    return ["---", f"search: {json.dumps(words)}", "---", ""] if words else []


def table(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> Lines:
    """A table with an empty line before it; nothing without rows."""
    lines = [_row(row) for row in rows]
    return ["", _row(titles), _row(["---"] * len(titles)), *lines] if lines else []


def _row(cells: Sequence[str]) -> str:
    escaped = [cell.replace("|", "\\|") for cell in cells]
    return f"| {' | '.join(escaped)} |"


def code_block(language: str, text: str) -> Lines:
    return ["", f"```{language}", *text.rstrip("\n").splitlines(), "```"]


def spec_text(spec: Mapping[str, Any]) -> str:
    """A spec as `jsonnx fmt` writes it."""
    return format_source(from_value(dict(spec)))


def spec_block(spec: Mapping[str, Any]) -> Lines:
    """A block with a spec."""
    return code_block("json", spec_text(spec))


def link(text: str, page: str, on_page: str) -> str:
    """A link from a page to another; both are paths in docs/."""
    return f"[{text}]({os.path.relpath(page, os.path.dirname(on_page))})"


def toctree(pages: Iterable[str], on_page: str) -> Lines:
    """The pages below a page in the navigation, which the page itself lists in its text."""
    folder = os.path.dirname(on_page)
    return ["", "```{toctree}", ":hidden:", "", *(os.path.relpath(page, folder) for page in pages), "```"]


def section(title: str, lines: Lines) -> Lines:
    """Lines below a heading; nothing without lines."""
    return ["", f"## {title}", *([""] if lines and lines[0] else []), *lines] if lines else []


def page_text(lines: Iterable[str]) -> str:
    return "\n".join(lines) + "\n"


def slug(title: str) -> str:
    """The name of the file of a page: `core-layers` for `Core layers`."""
    return re.sub(r"\W+", "-", title.lower()).strip("-")
