"""Bounds that the latency, the throughput and the memory of a model must keep, such as `p95<5ms`."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from ...core.diagnostics import Diagnostic, UsageError, quoted_list, suggestion
from ...core.quantities import parse_bytes, parse_seconds
from ...runtime.profile.latency import PERCENTILES, BatchLatency, LatencyProfile
from ..run.required_metrics import OPERATORS

THROUGHPUT, MEMORY, LOAD = "throughput", "memory", "load"
TIMES = ("first", "mean", *(f"p{percent}" for percent in PERCENTILES))

_NUMBER = re.compile(r"[0-9]+\.?[0-9]*(e[0-9]+)?")


def _parse_number(text: str) -> float:
    if _NUMBER.fullmatch(text) is None:
        raise ValueError(f"expected a number, got {text[:40]!r}")
    return float(text)


AMOUNT_PARSERS: dict[str, Callable[[str], float]] = {
    **dict.fromkeys((*TIMES, LOAD), parse_seconds),
    THROUGHPUT: _parse_number,
    MEMORY: parse_bytes,
}
"""Parsers of the amount of a bound, by figure."""

_BOUND = re.compile(r"\s*([^<>=!@\s]+)(?:@([0-9]{1,9}))?\s*(<=|>=|<|>)\s*(\S.*?)\s*")
_BOUND_HELP = "write a figure, one of <= >= < >, and an amount, in quotes: --require 'p95<5ms' or 'p95@32<20ms'"


class LatencyBound(NamedTuple):
    """A bound on a figure, with one batch size or with each."""

    figure: str
    batch_size: int | None
    operator: str
    value: float
    text: str

    @staticmethod
    def parse(text: str) -> LatencyBound:
        """Reads a bound. Raises UsageError."""
        match = _BOUND.fullmatch(text)
        if match is None:
            raise UsageError("bad-option", f"--require {text}: that is no bound", _BOUND_HELP)
        figure, batch_size, operator, amount = match.groups()
        if figure not in AMOUNT_PARSERS:
            help = suggestion(figure, AMOUNT_PARSERS) or f"the figures are {quoted_list(AMOUNT_PARSERS)}"
            raise UsageError("bad-option", f"--require {text}: there is no figure {figure!r}", help)
        try:
            value = AMOUNT_PARSERS[figure](amount)
        except ValueError as error:
            raise UsageError("bad-option", f"--require {text}: {error}", _BOUND_HELP) from None
        return LatencyBound(figure, int(batch_size) if batch_size else None, operator, value, text.strip())


def require_batch_sizes(bounds: Sequence[LatencyBound], batch_sizes: Sequence[int]) -> None:
    """Raises UsageError for a bound on a batch size that is not among those that are measured."""
    for bound in bounds:
        if bound.batch_size is not None and bound.batch_size not in batch_sizes:
            message = f"--require {bound.text}: the batch size {bound.batch_size} is not measured"
            raise UsageError("bad-option", message, "add it to --batch-sizes")


def check_latency(profile: LatencyProfile, bounds: Sequence[LatencyBound]) -> list[Diagnostic]:
    """The bounds that a profile does not keep. Raises UsageError for a figure that was not measured."""
    diagnostics = []
    for bound in bounds:
        for subject, value in _measured(profile, bound):
            if value is None:
                help = "measure more runs, by --steps" if bound.figure in TIMES else "leave it out on this system"
                raise UsageError("bad-option", f"--require {bound.text}: {subject} was not measured", help)
            if not OPERATORS[bound.operator](value, bound.value):
                found = _amount_text(bound.figure, value)
                message = f"{subject} of {profile.subject!r} is {found}, --require asks for {bound.text}"
                expected = f"{bound.operator} {_amount_text(bound.figure, bound.value)}"
                diagnostics.append(Diagnostic("required-figure", message, expected=expected, found=found))
    return diagnostics


def _measured(profile: LatencyProfile, bound: LatencyBound) -> Iterator[tuple[str, float | None]]:
    """The values of the figure of a bound, each with its subject."""
    if bound.figure in (MEMORY, LOAD):
        yield bound.figure, profile.peak_bytes if bound.figure == MEMORY else profile.load_seconds
        return
    for batch in profile.batches:
        if bound.batch_size in (None, batch.batch_size):
            yield f"{bound.figure}@{batch.batch_size}", _figure_of(batch, bound.figure)


def _figure_of(batch: BatchLatency, figure: str) -> float | None:
    named = {"first": batch.first_seconds, "mean": batch.mean_seconds, THROUGHPUT: batch.samples_per_second}
    return named[figure] if figure in named else batch.percentiles[int(figure[1:])]


def _amount_text(figure: str, value: float) -> str:
    if figure == MEMORY:
        return f"{value / 1e6:,.1f} MB"
    return f"{value:,.6g} samples/s" if figure == THROUGHPUT else f"{value * 1000:,.6g} ms"
