"""The guides, recipes and gallery pages that name a component in their code."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from .component_records import Record, find_record, linked_names

DOCS = Path(__file__).parents[1]
FOLDERS = ("start", "guides", "recipes", "gallery", "language")

MAX_PAGES = 8
"""Pages that a page of the reference names."""

FENCED = re.compile(r"^( *)```(\w*)[^\n]*\n(.*?)^\1```$", re.DOTALL | re.MULTILINE)
SPAN = re.compile(r"`([^`\n]+)`")
VALUE = re.compile(r'"(\w+)": (?:\{"type": )?"([\w.]+)"')
LISTED = re.compile(r'"(metrics|trackers)": \[([^\]]*)\]')
QUOTED = re.compile(r'"([\w.]+)"')

KINDS_BY_KEY = {
    "loss": ("loss",),
    "metrics": ("metric",),
    "trackers": ("tracker",),
    "optimizer": ("optimizer",),
    "learning_rate": ("schedule",),
    "type": ("layer", "operator", "block"),
    "relative_position": ("relative_position",),
}
"""The kinds of what stands behind a key, by the key or by the word at its end."""
KINDS_BY_SUFFIX = ("activation", "initializer", "regularizer", "constraint")


@cache
def pages_that_name(record: Record) -> list[tuple[str, str]]:
    """Path and title of the pages that name a record, those that do so most often first."""
    counts = {page: names[record] for page, names in _records_by_page().items() if names[record]}
    pages = sorted(counts, key=lambda page: (-counts[page], page))[:MAX_PAGES]
    return [(page, title_of(DOCS / page)) for page in pages]


@cache
def _records_by_page() -> dict[str, Counter[Record]]:
    files = sorted(file for folder in FOLDERS for file in (DOCS / folder).rglob("*.md"))
    return {str(file.relative_to(DOCS)): Counter(named_records(file.read_text("utf-8"))) for file in files}


def title_of(file: Path) -> str:
    match = re.search(r"^# +(.+)$", FENCED.sub("", file.read_text("utf-8")), re.MULTILINE)
    return match[1].strip() if match else file.stem


def named_records(text: str) -> Iterator[Record]:
    """Yields a record for each place where it is named: in backquotes alone, or as a value in a block of code."""
    for match in FENCED.finditer(text):
        yield from _records_in_code(match[3])
    names = linked_names()
    yield from (names[span] for span in SPAN.findall(FENCED.sub("", text)) if span in names)


def _records_in_code(code: str) -> Iterator[Record]:
    pairs = [*VALUE.findall(code)]
    pairs += [(key, name) for key, names in LISTED.findall(code) for name in QUOTED.findall(names)]
    for key, name in pairs:
        for kind in _kinds_behind(key):
            try:
                yield find_record(kind, name)
            except KeyError:
                continue


def _kinds_behind(key: str) -> tuple[str, ...]:
    suffix = next((kind for kind in KINDS_BY_SUFFIX if key == kind or key.endswith(f"_{kind}")), None)
    return (suffix,) if suffix else KINDS_BY_KEY.get(key, ())
