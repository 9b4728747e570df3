"""Runs gradient checks and prints the worst error of each family: `python -m campaigns.gradient_checks --draws 10`.

Ends with 1 where an error exceeds 2e-4.
"""

from __future__ import annotations

import argparse
import sys
import time
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterator
from functools import partial

from campaigns.gradient_checks.measure import Check, Checks
from campaigns.gradient_checks.optimizers import Steps
from campaigns.gradient_checks.subjects import subjects
from campaigns.random_models.memory import remember_types
from unit.training import cases

WORST = 2e-4
"""The maximum relative error of a check."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=1, help="points at which each gradient is checked")
    parser.add_argument("--first", type=int, default=0, help="number of the first point")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="begin nothing after this time")
    parser.add_argument("--family", help="only layers, operators, losses, regularizers or optimizers")
    parser.add_argument("--only", default="", help="only what has this in its name")
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    remember_types()
    found, failed, end = [], False, time.monotonic() + given.seconds
    for family, name, made in everything():
        if given.family in (None, family) and given.only in name and time.monotonic() < end:
            try:
                checks = made()
                for draw in range(given.first, given.first + given.draws):
                    found += list(checks.at(draw))
            except Exception as error:
                print(f"{family} {name}: {type(error).__name__}: {error}", flush=True)
                failed = True
            report_bad(found, name)
    print(table(found))
    return 1 if failed or any((check.error or 0) > WORST for check in found) else 0


def everything() -> Iterator[tuple[str, str, Callable[[], Checks | Steps]]]:
    """Family, name, and a function that creates the checks."""
    for subject in subjects():
        yield subject.family, subject.name, partial(Checks, subject)
    for spec in cases.OPTIMIZERS:
        yield "optimizers", cases.name(spec), partial(Steps, spec)


def report_bad(found: list[Check], name: str) -> None:
    """Prints the failed checks of a subject."""
    for check in found:
        if check.subject.name == name and (check.error or 0) > WORST:
            print(f"{check.subject.family} {name}: {check.tensor} is off by {check.error:.2e}", flush=True)


def table(found: list[Check]) -> str:
    """A row per family: subjects, checks, checks that met only kinks, the worst error and its subject."""
    rows = [
        "| family | subjects | checks | at kinks only | worst error | of |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    families: dict[str, list[Check]] = defaultdict(list)
    for check in found:
        families[check.subject.family].append(check)
    for family, checks in families.items():
        measured = [check for check in checks if check.error is not None]
        worst = max(measured, key=lambda check: check.error or 0.0)
        subject, kinks = len({id(check.subject) for check in checks}), len(checks) - len(measured)
        of = f"{worst.subject.name} {worst.tensor}"
        rows.append(f"| {family} | {subject} | {len(measured)} | {kinks} | {worst.error:.1e} | {of} |")
    total = sum(check.error is not None for check in found)
    return "\n".join([*rows, "", f"{total} checks"])


if __name__ == "__main__":
    sys.exit(main())
