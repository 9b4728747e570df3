"""The order of names with numbers."""

from __future__ import annotations

from jsonnx.core.natural_order import natural_key


def test_numbers_in_names_count_as_numbers() -> None:
    names = ["", "2", "10", "a", "a-2", "a-2b", "a-10", "b", "²"]
    assert sorted(names[::-1], key=natural_key) == names
