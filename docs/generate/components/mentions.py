"""The guides, recipes and gallery pages that name a component in their code."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from functools import cache

from ..guides import MAX_GUIDES, Guide, written_pages
from .records import Record, find_record, linked_names

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


def guides_that_name(record: Record) -> list[Guide]:
    """The pages that name a record, those that do so most often first; at most MAX_GUIDES."""
    named = [(guide, names[record]) for guide, names in _records_by_guide().items() if names[record]]
    ordered = sorted(named, key=lambda pair: (-pair[1], pair[0].path))
    return [guide for guide, _ in ordered[:MAX_GUIDES]]


@cache
def _records_by_guide() -> dict[Guide, Counter[Record]]:
    return {guide: Counter(named_records(guide.text)) for guide in written_pages()}


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
