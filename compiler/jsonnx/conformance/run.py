"""Runs the suite against a server."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from .case import CASES, GRPC, Case, Level
from .http_client import HttpClient
from .target import Target
from .verdicts import NotApplicable, Violation


class Verdict(StrEnum):
    HOLDS = "holds"
    VIOLATED = "violated"
    NOT_OFFERED = "not offered"
    NOT_APPLICABLE = "not applicable"


@dataclass(frozen=True)
class Result:
    """The verdict on one case. `sent` and the two after it are those of a violation."""

    case: Case
    verdict: Verdict
    seconds: float
    reason: str = ""
    sent: str = ""
    expected: str = ""
    seen: str = ""

    @property
    def is_failure(self) -> bool:
        """Whether the server breaks a rule that binds it: one of the protocol, or of an extension it announces."""
        return self.verdict is Verdict.VIOLATED and self.case.level is not Level.SHOULD

    def document(self) -> dict[str, Any]:
        case = self.case
        parts = {key: value for key, value in asdict(self).items() if key not in ("case", "seconds") and value}
        return {"id": case.id, "level": case.level, "rule": case.rule, **parts}


def run_suite(
    target: Target, selected: Callable[[Case], bool] = lambda case: True, report: Callable[[Result], None] | None = None
) -> list[Result]:
    """Runs the selected cases. A server that no longer accepts connections ends the run."""
    results = []
    for case in filter(selected, CASES.values()):
        results.append(run_case(case, target))
        if results[-1].verdict is Verdict.VIOLATED and target.http.connection_error() is not None:
            dead = Violation("a server that accepts connections after the case", "none")
            results[-1] = _violated(case, target, dead, results[-1].seconds)
            break
        if report is not None:
            report(results[-1])
    return results


def run_case(case: Case, target: Target) -> Result:
    """Runs one case."""
    target.http.last_sent = ""
    if target.grpc is not None:
        target.grpc.last_sent = ""
    if case.area.startswith("grpc") and target.grpc is None:
        return Result(case, Verdict.NOT_OFFERED, 0.0, reason="no --grpc HOST:PORT was given")
    if case.extension not in (None, GRPC, *target.extensions):
        return Result(case, Verdict.NOT_OFFERED, 0.0, reason=f"the server does not announce {case.extension}")
    start = time.monotonic()
    try:
        case.check(target)
    except Violation as violation:
        return _violated(case, target, violation, time.monotonic() - start)
    except NotApplicable as error:
        return Result(case, Verdict.NOT_APPLICABLE, time.monotonic() - start, reason=str(error))
    except (LookupError, TypeError, ValueError, AttributeError, OSError) as error:
        # what the case reads without a check of its own: an answer of another form than the protocol's
        unreadable = Violation("an answer as the protocol describes it", f"{type(error).__name__}: {error}")
        return _violated(case, target, unreadable, time.monotonic() - start)
    return Result(case, Verdict.HOLDS, time.monotonic() - start)


def _violated(case: Case, target: Target, violation: Violation, seconds: float) -> Result:
    sent = target.http.last_sent
    if target.grpc is not None and target.grpc.last_sent:
        sent = target.grpc.last_sent
    return Result(case, Verdict.VIOLATED, seconds, sent=sent, expected=violation.expected, seen=violation.seen)


def counts(results: Iterable[Result]) -> dict[str, dict[Verdict, int]]:
    """The number of cases by area and verdict."""
    table: dict[str, dict[Verdict, int]] = {}
    for result in results:
        row = table.setdefault(result.case.area, dict.fromkeys(Verdict, 0))
        row[result.verdict] += 1
    return table


def http_client(url: str, token: str | None, timeout_s: float, ca_file: str | None = None) -> HttpClient:
    return HttpClient(url if "://" in url else f"http://{url}", token, timeout_s, ca_file)
