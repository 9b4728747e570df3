"""The record of all trials, in `ledger.json` beside this file.

`outcomes` counts what was seen, by the kind of trial; `broken` has the trials that broke a promise, with the seed and
the number that repeat them.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

FILE = Path(__file__).with_name("ledger.json")


def read() -> dict[str, Any]:
    return json.loads(FILE.read_text()) if FILE.exists() else {"outcomes": {}, "broken": []}


def record(outcomes: list[tuple[str, str]], broken: list[dict[str, Any]]) -> None:
    """Adds trials, as pairs of kind and outcome, and those that broke a promise."""
    with _alone():
        _record(outcomes, broken)


@contextmanager
def _alone() -> Iterator[None]:
    """Lets no other process record in between."""
    import fcntl  # not on Windows

    folder = os.open(FILE.parent, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def _record(outcomes: list[tuple[str, str]], broken: list[dict[str, Any]]) -> None:
    ledger = read()
    for kind, outcome in outcomes:
        counts = ledger["outcomes"].setdefault(kind, {})
        counts[outcome] = counts.get(outcome, 0) + 1
    ledger["outcomes"] = {kind: dict(sorted(counts.items())) for kind, counts in sorted(ledger["outcomes"].items())}
    ledger["broken"] += broken
    temporary = FILE.with_suffix(".tmp")
    temporary.write_text(json.dumps(ledger, indent=2) + "\n")
    temporary.replace(FILE)


def count() -> int:
    """Returns the number of all trials that were not skipped."""
    outcomes = read()["outcomes"].values()
    return sum(number for counts in outcomes for outcome, number in counts.items() if not outcome.startswith("skipped"))
