"""Long results are returned in pages, and long values are cut."""

from __future__ import annotations

import json

from jsonnx.mcp_server.paging import MAX_ITEM_CHARACTERS, MAX_PAGE_CHARACTERS, page, page_of, paged, shortened


def test_pages_follow_one_another() -> None:
    items = [*range(120)]
    shown: list[int] = []
    offset = 0
    while offset is not None:
        found = page(items, offset, 50)
        shown += found["items"]
        offset = found["next_offset"]
    assert shown == items
    assert page(items, 500, 50) == {"items": [], "total": 120, "offset": 500, "next_offset": None}


def test_a_page_is_short_and_has_one_item_at_least() -> None:
    found = page(["x" * 20_000] * 10, 0, 10)
    assert len(json.dumps(found["items"])) <= MAX_PAGE_CHARACTERS
    assert found["next_offset"] == len(found["items"]) < 10
    huge = page_of(iter([["y" * MAX_ITEM_CHARACTERS * 9]]), 7, 8)
    assert huge["next_offset"] is None
    assert len(huge["items"][0]["truncated"]) == MAX_ITEM_CHARACTERS


def test_a_short_value_is_kept() -> None:
    assert shortened([1, "é"]) == [1, "é"]


def test_objects_have_pages_of_pairs() -> None:
    assert paged({"a": 1, "b": 2}, 1, 5)["items"] == [["b", 2]]
    assert paged([1, 2, 3], 0, 2)["next_offset"] == 2
    assert paged(True, 0, 2) is True
