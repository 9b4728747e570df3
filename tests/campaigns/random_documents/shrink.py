"""Shrinks a document to a small one with the same finding."""

from __future__ import annotations

import copy
import json
import time
from collections.abc import Callable, Iterator

from .mutate import at, paths
from .values import Json


def shrink(text: str, fails: Callable[[str], bool], seconds: float = 15.0) -> str:
    """Returns the shortest text found for which `fails` holds; texts that are not JSON are returned as they are."""
    try:
        document = json.loads(text)
    except ValueError:
        return text
    end, best, improved = time.monotonic() + seconds, text, True
    if fails(json.dumps(document)):
        best = json.dumps(document)
    while improved:
        improved = False
        for candidate in _candidates(document):
            if time.monotonic() > end:
                return best
            shorter = json.dumps(candidate)
            if fails(shorter):
                document, best, improved = candidate, shorter, True
                break
    return best


def _candidates(document: Json) -> Iterator[Json]:
    """Yields smaller documents: without a value, or with a simpler one. Large values come first."""
    sizes = {path: len(json.dumps(at(document, path))) for path in paths(document)}
    ordered = sorted(sizes, key=lambda path: -sizes[path])
    for path in ordered:
        yield _changed(document, path)
    for path in ordered:
        for value in _simpler(at(document, path)):
            yield _changed(document, path, value)


def _simpler(value: Json) -> Iterator[Json]:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        yield from (small for small in (1, 2, value // 2 if abs(value) < 2**63 else 2**63) if abs(small) < abs(value))
    elif isinstance(value, dict) and isinstance(value.get("type"), str) and len(value) > 1:
        yield value["type"]
    elif isinstance(value, list) and len(value) == 1:
        yield value[0]
    elif isinstance(value, str) and len(value) > 3:
        yield value[:1]


def _changed(document: Json, path: tuple[str | int, ...], *replacement: Json) -> Json:
    """Returns the document with the value at a path replaced, or removed if there is no replacement."""
    document = copy.deepcopy(document)
    parent = at(document, path[:-1])
    if replacement:
        parent[path[-1]] = replacement[0]
    else:
        del parent[path[-1]]
    return document
