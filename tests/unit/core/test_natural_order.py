"""The order of names with numbers."""

from __future__ import annotations

from jsonnx.core.natural_order import natural_key


def test_numbers_in_names_count_as_numbers() -> None:
    names = ["b", "a-10", "²", "10", "a-2b", "a", "2", "a-2", ""]
    assert sorted(names, key=natural_key) == ["", "2", "10", "a", "a-2", "a-2b", "a-10", "b", "²"]
