"""Layers that the training section means by patterns of their names: `conv*`, `stage[12]_*`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase

from ..core.diagnostics import JsonPath, Report
from ..training.section import Training
from .network import Call
from .schema.phrases import short_name


def matching_names(pattern: str, names: Iterable[str]) -> list[str]:
    """The names that a pattern matches: `*` is any characters, `?` is one, `[12]` one of those, `[!12]` none."""
    return [name for name in names if fnmatchcase(name, pattern)]


def with_frozen_layers(calls: Sequence[Call], training: Training, report: Report) -> list[Call]:
    """The calls, those of layers that `freeze` means with a layer that says `trainable: false`."""
    still: set[str] = set()
    for index, pattern in enumerate(training.freeze):
        still.update(_matching_layers(pattern, calls, ("training", "freeze", index), report))
    return [
        replace(call, layer=call.layer.replace(trainable=False)) if call.layer and call.owner in still else call
        for call in calls
    ]


def learning_rate_factors(calls: Sequence[Call], training: Training, report: Report) -> dict[str, float]:
    """The factor on the learning rate by layer, where there is one; the first pattern that matches counts."""
    factors: dict[str, float] = {}
    for pattern, factor in (training.learning_rates or {}).items():
        path = ("training", "learning_rates", pattern)
        found = _matching_layers(pattern, calls, path, report, at_key=True)
        if found and not set(found) - set(factors):
            message = f"{short_name(pattern)} never counts: patterns before it match all of its layers"
            report.add("invalid-value", path, message, help="put the narrower pattern first", at_key=True)
        factors = dict.fromkeys(found, factor) | factors
    return factors


def check_weight_patterns(calls: Sequence[Call], training: Training, report: Report) -> None:
    """Reports patterns of `weights` that mean no layer."""
    for index, pattern in enumerate(training.weights.layers if training.weights else ()):
        _matching_layers(pattern, calls, ("training", "weights", "layers", index), report)


def _matching_layers(
    pattern: str, calls: Sequence[Call], path: JsonPath, report: Report, *, at_key: bool = False
) -> list[str]:
    """The layers that a pattern matches; reported where there are none."""
    owners = dict.fromkeys(call.owner for call in calls)
    found = matching_names(pattern, owners)
    if not found:
        uses = {call.name: call.owner for call in calls if call.name not in owners}
        again = matching_names(pattern, uses)
        help = f"name the layer that it uses: {uses[again[0]]!r}" if again else report.suggestion(pattern, owners)
        help = help or f"layers are called {', '.join([*owners][:20])}{' and more' if len(owners) > 20 else ''}"
        report.add("unknown-name", path, f"no layer is called like {short_name(pattern)}", help=help, at_key=at_key)
    return found
