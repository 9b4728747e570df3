"""Pages of long results, so that an answer fits into the context of a language model."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

MAX_ITEMS = 500
DEFAULT_ITEMS = 50
MAX_PAGE_CHARACTERS = 60_000
"""Characters of the JSON text of the items of a page."""

MAX_ITEM_CHARACTERS = 30_000
"""Maximum characters of the JSON text of one value. Longer texts are cut."""


def page(items: Sequence[Any], offset: int, limit: int) -> dict[str, Any]:
    """The items from an offset, at most `limit`, with their total number and the offset of the next page."""
    return page_of(items[offset : offset + limit], offset, len(items))


def page_of(items: Iterable[Any], offset: int, total: int) -> dict[str, Any]:
    """A page of the items that begin at an offset, as many as fit into `MAX_PAGE_CHARACTERS`."""
    shown: list[Any] = []
    size = 0
    for item in map(shortened, items):
        size += len(_text(item))
        if shown and size > MAX_PAGE_CHARACTERS:
            break
        shown.append(item)
    end = offset + len(shown)
    return {"items": shown, "total": total, "offset": offset, "next_offset": end if end < total and shown else None}


def paged(value: Any, offset: int, limit: int) -> Any:
    """A page of a list, or of the pairs of keys and values of an object; another value as it is."""
    if isinstance(value, dict):
        return page([*map(list, value.items())], offset, limit)
    return page(value, offset, limit) if isinstance(value, list) else value


def shortened(value: Any) -> Any:
    """A value; or the beginning of its text, if that is long, with the number of its characters."""
    text = _text(value)
    if len(text) <= MAX_ITEM_CHARACTERS:
        return value
    return {"truncated": text[:MAX_ITEM_CHARACTERS], "characters": len(text)}


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
