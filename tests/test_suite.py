"""The table of tests with many costly cases names tests that exist."""

from __future__ import annotations

from pathlib import Path

import pytest
from costly_cases import CASES_PER_ORDINARY_TEST

TESTS = Path(__file__).parent


@pytest.mark.parametrize("name", CASES_PER_ORDINARY_TEST)
def test_a_test_of_the_table_exists(name: str) -> None:
    file, _, function = name.partition("::")
    assert f"def {function}(" in (TESTS / file).read_text()
