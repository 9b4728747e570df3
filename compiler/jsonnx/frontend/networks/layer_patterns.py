"""Patterns of layer names in the training section: `conv*`, `stage[12]_*`, and `!conv_1` to leave layers out."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from functools import cached_property

from ...core.diagnostics import JsonPath, Report
from ...core.fixes import json_text
from ...sections.columns import EXCLUSION
from ...sections.lint_section import LINT_KEY, IgnoredFinding
from ...sections.quantization_section import QUANTIZATION_KEY, LayerQuantizationSection, QuantizationVariant
from ...sections.training_section import Training
from ..network import Call
from ..schema.phrases import known_names_help, name_list, short_name
from ..weight_patterns import WEIGHT_SEPARATOR, FrozenWeights, matching_names


def selected_names(patterns: Collection[str], names: Collection[str]) -> set[str]:
    """The names that a pattern matches, without the ones that a pattern with `!` before it matches."""
    return _selected(patterns, [matching_names(pattern.removeprefix(EXCLUSION), names) for pattern in patterns])


def _selected(patterns: Collection[str], matches: Sequence[Collection[str]]) -> set[str]:
    """The names that patterns select; `matches` are those of each pattern without its `!`."""
    included, excluded = set[str](), set[str]()
    for pattern, names in zip(patterns, matches, strict=True):
        (excluded if pattern.startswith(EXCLUSION) else included).update(names)
    return included - excluded


def with_frozen_layers(
    calls: Sequence[Call], training: Training, report: Report
) -> tuple[list[Call], FrozenWeights | None]:
    """The calls, with `trainable: false` in the layers that a pattern of `freeze` matches as a whole; and the frozen
    weights if there are patterns for weights."""
    weight_patterns = tuple(pattern for pattern in training.freeze if WEIGHT_SEPARATOR in pattern)
    frozen = _LayerNames(calls, report).selected(training.freeze, ("training", "freeze"), skipped=weight_patterns)
    weights = _frozen_weights(training.freeze, weight_patterns, frozen, {call.owner for call in calls})
    whole = frozen - weights.layers
    changed = [
        replace(call, layer=call.layer.replace(trainable=False)) if call.layer and call.owner in whole else call
        for call in calls
    ]
    return changed, weights if weight_patterns else None


def _frozen_weights(
    patterns: Sequence[str], weight_patterns: tuple[str, ...], frozen: Collection[str], layers: Collection[str]
) -> FrozenWeights:
    """The weights of layers that patterns for weights may match, of which others freeze the whole layer."""
    beginnings = [pattern.removeprefix(EXCLUSION).partition(WEIGHT_SEPARATOR)[0] for pattern in weight_patterns]
    partly = {name for pattern in beginnings for name in matching_names(pattern, layers)}
    exclusions = [p[1:] for p in patterns if p.startswith(EXCLUSION) and p not in weight_patterns]
    kept = {name for pattern in exclusions for name in matching_names(pattern, layers)}
    return FrozenWeights(frozenset(partly.intersection(frozen)), frozenset(kept), weight_patterns)


def learning_rate_factors(calls: Sequence[Call], training: Training, report: Report) -> dict[str, float]:
    """The learning rate factor of every layer that a pattern matches; the first matching pattern counts."""
    factors: dict[str, float] = {}
    layer_names = _LayerNames(calls, report)
    for pattern, factor in (training.learning_rates or {}).items():
        path = ("training", "learning_rates", pattern)
        names = layer_names.matching(pattern, path, at_key=True)
        if names and not set(names) - set(factors):
            message = f"{short_name(pattern)} has no effect: earlier patterns match all of its layers"
            report.add("invalid-value", path, message, help="put the narrower pattern first", at_key=True)
        factors = dict.fromkeys(names, factor) | factors
    return factors


def check_weight_patterns(calls: Sequence[Call], training: Training, report: Report) -> None:
    """Reports patterns of `weights` that match no layer."""
    if training.weights is not None:
        _LayerNames(calls, report).selected(training.weights.layers, ("training", "weights", "layers"))


def check_lint_patterns(calls: Sequence[Call], ignored_findings: Sequence[IgnoredFinding], report: Report) -> None:
    """Reports patterns of silenced findings that match no layer."""
    names = _LayerNames(calls, report)
    for number, ignored in enumerate(ignored_findings):
        names.selected(ignored.layers or (), (LINT_KEY, "ignore", number, "layers"))


def check_variant_patterns(calls: Sequence[Call], variants: Mapping[str, QuantizationVariant], report: Report) -> None:
    """Reports patterns of quantized variants that match no layer."""
    names = _LayerNames(calls, report)
    for variant, section in variants.items():
        for pattern in section.layers:
            names.matching(pattern, (QUANTIZATION_KEY, variant, "layers", pattern), at_key=True)


def quantized_layers(
    variant: QuantizationVariant, layers: Collection[str]
) -> dict[str, LayerQuantizationSection | None]:
    """How the variant quantizes the layers that its patterns match, None for one that stays in floating point."""
    sections: dict[str, LayerQuantizationSection | None] = {}
    for pattern, section in variant.layers.items():
        for name in matching_names(pattern, layers):
            sections.setdefault(name, section)
    return sections


class _LayerNames:
    """The names of the layers of a network, which patterns select."""

    def __init__(self, calls: Sequence[Call], report: Report) -> None:
        self._calls, self._report = calls, report

    @cached_property
    def _owners(self) -> dict[str, None]:
        return dict.fromkeys(call.owner for call in self._calls)

    @cached_property
    def _owner_by_use(self) -> dict[str, str]:
        return {call.name: call.owner for call in self._calls if call.name not in self._owners}

    def selected(self, patterns: Sequence[str], path: JsonPath, skipped: Collection[str] = ()) -> set[str]:
        """The names of the layers that a list of patterns selects; reports patterns without a match, and a list that
        only leaves out layers. Patterns in `skipped` match no layer as a whole."""
        matches = [
            [] if pattern in skipped else self.matching(pattern.removeprefix(EXCLUSION), (*path, index))
            for index, pattern in enumerate(patterns)
        ]
        if patterns and all(pattern.startswith(EXCLUSION) for pattern in patterns):
            message = f"{name_list(patterns)} leaves out layers, and no pattern names any"
            help = f"begin with the layers to choose from: {json_text(['*', *patterns])}"
            self._report.add("invalid-value", path, message, help=help)
        return _selected(patterns, matches)

    def matching(self, pattern: str, path: JsonPath, *, at_key: bool = False) -> list[str]:
        """The names of the layers that a pattern matches; reports an error if there are none."""
        owners, owner_by_use = self._owners, self._owner_by_use
        names = matching_names(pattern, owners)
        if not names:
            uses = matching_names(pattern, owner_by_use)
            used = f"name the layer that it uses: {owner_by_use[uses[0]]!r}" if uses else None
            help = used or self._report.suggestion(pattern, owners) or known_names_help([*owners])
            if at_key and pattern.startswith(EXCLUSION):
                help = f'give these layers a factor of their own before the others: {{"{pattern[1:]}": 1, "*": 0.1}}'
            message = f"{short_name(pattern)} matches the name of no layer"
            self._report.add("unknown-name", path, message, help=help, at_key=at_key)
        return names
