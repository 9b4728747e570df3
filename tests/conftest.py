"""Settings of the test processes and their children."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import pytest
from support.interrupts import accept_interrupts

TESTS = Path(__file__).parent

# Threads of OpenBLAS wait actively for each other. Where several test processes share the processors, a QR
# decomposition on two threads takes thirty times as long as on one.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

accept_interrupts()


def pytest_addoption(parser: pytest.Parser) -> None:
    help = "run only every n-th of the slow cases of each test"
    parser.addoption("--bless", action="store_true", help="rewrite the expected diagnostics")
    parser.addoption("--every-slow-case", type=int, default=1, metavar="N", help=help)


@pytest.hookimpl(tryfirst=True)  # before `-m` selects
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Marks the cases of costly tests that `make test` leaves to `make test-slow`."""
    counts: Counter[str] = Counter()
    for item in items:
        costly = item.get_closest_marker("costly")
        if costly is not None and item.get_closest_marker("slow") is None:
            (every,) = costly.args
            if counts[_test_name(item)] % every:
                item.add_marker(pytest.mark.slow)
            counts[_test_name(item)] += 1
    _deselect_slow_cases(config, items)


def _deselect_slow_cases(config: pytest.Config, items: list[pytest.Item]) -> None:
    every: int = config.getoption("--every-slow-case")
    counts: Counter[str] = Counter()
    deselected = set()
    for item in items:
        if item.get_closest_marker("slow") is not None:
            if counts[_test_name(item)] % every:
                deselected.add(item)
            counts[_test_name(item)] += 1
    if deselected:
        config.hook.pytest_deselected(items=[item for item in items if item in deselected])
        items[:] = [item for item in items if item not in deselected]


def _test_name(item: pytest.Item) -> str:
    return f"{item.path.relative_to(TESTS).as_posix()}::{getattr(item, 'originalname', '')}"
