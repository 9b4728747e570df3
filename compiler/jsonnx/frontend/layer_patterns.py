"""Patterns of layer names in the training section: `conv*`, `stage[12]_*`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase

from ..core.diagnostics import JsonPath, Report
from ..training.section import Training
from .lint_section import LINT_KEY, IgnoredFinding
from .network import Call
from .schema.phrases import known_names_help, short_name


def matching_names(pattern: str, names: Iterable[str]) -> list[str]:
    """Returns the names that a pattern matches: `*` is any text, `?` any character, `[12]` 1 or 2, `[!12]` neither."""
    return [name for name in names if fnmatchcase(name, pattern)]


def with_frozen_layers(calls: Sequence[Call], training: Training, report: Report) -> list[Call]:
    """Returns the calls, with `trainable: false` in the layers that a pattern of `freeze` matches."""
    frozen: set[str] = set()
    for index, pattern in enumerate(training.freeze):
        frozen.update(_matching_layers(pattern, calls, ("training", "freeze", index), report))
    return [
        replace(call, layer=call.layer.replace(trainable=False)) if call.layer and call.owner in frozen else call
        for call in calls
    ]


def learning_rate_factors(calls: Sequence[Call], training: Training, report: Report) -> dict[str, float]:
    """Returns the learning rate factor of every layer that a pattern matches; the first matching pattern counts."""
    factors: dict[str, float] = {}
    for pattern, factor in (training.learning_rates or {}).items():
        path = ("training", "learning_rates", pattern)
        names = _matching_layers(pattern, calls, path, report, at_key=True)
        if names and not set(names) - set(factors):
            message = f"{short_name(pattern)} has no effect: earlier patterns match all of its layers"
            report.add("invalid-value", path, message, help="put the narrower pattern first", at_key=True)
        factors = dict.fromkeys(names, factor) | factors
    return factors


def check_weight_patterns(calls: Sequence[Call], training: Training, report: Report) -> None:
    """Reports patterns of `weights` that match no layer."""
    for index, pattern in enumerate(training.weights.layers if training.weights else ()):
        _matching_layers(pattern, calls, ("training", "weights", "layers", index), report)


def check_lint_patterns(calls: Sequence[Call], ignored_findings: Sequence[IgnoredFinding], report: Report) -> None:
    """Reports patterns of silenced findings that match no layer."""
    for number, ignored in enumerate(ignored_findings):
        for index, pattern in enumerate(ignored.layers or ()):
            _matching_layers(pattern, calls, (LINT_KEY, "ignore", number, "layers", index), report)


def _matching_layers(
    pattern: str, calls: Sequence[Call], path: JsonPath, report: Report, *, at_key: bool = False
) -> list[str]:
    """Returns the names of the layers that a pattern matches; reports an error if there are none."""
    owners = dict.fromkeys(call.owner for call in calls)
    names = matching_names(pattern, owners)
    if not names:
        owner_by_use = {call.name: call.owner for call in calls if call.name not in owners}
        uses = matching_names(pattern, owner_by_use)
        help = f"name the layer that it uses: {owner_by_use[uses[0]]!r}" if uses else report.suggestion(pattern, owners)
        message = f"{short_name(pattern)} matches the name of no layer"
        report.add("unknown-name", path, message, help=help or known_names_help([*owners]), at_key=at_key)
    return names
