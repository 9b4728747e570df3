"""Settings of the test processes and their children."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import pytest
from costly_cases import CASES_PER_ORDINARY_TEST

TESTS = Path(__file__).parent

# Threads of OpenBLAS wait actively for each other. Where several test processes share the processors, a QR
# decomposition on two threads takes thirty times as long as on one.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


@pytest.hookimpl(tryfirst=True)  # before `-m` selects
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks the cases of CASES_PER_ORDINARY_TEST that `make test` leaves to `make test-slow`."""
    counts: Counter[str] = Counter()
    for item in items:
        name = f"{item.path.relative_to(TESTS).as_posix()}::{getattr(item, 'originalname', '')}"
        if name in CASES_PER_ORDINARY_TEST and item.get_closest_marker("slow") is None:
            if counts[name] % CASES_PER_ORDINARY_TEST[name]:
                item.add_marker(pytest.mark.slow)
            counts[name] += 1
