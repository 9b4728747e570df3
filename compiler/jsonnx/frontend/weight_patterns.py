"""Patterns of names of layers and weights: `conv*`, `stage[12]_*`, `net/layer4.*`."""

from __future__ import annotations

import re
from collections.abc import Collection
from fnmatch import translate
from typing import NamedTuple

from ..sections.columns import EXCLUSION
from ..training.weights.lora import LoraSection, LowRank

WEIGHT_SEPARATOR = "/"
"""Separates the name of a layer from those of its weights, in names and patterns."""

_WILDCARD = re.compile(r"[*?\[]")


def matching_names(pattern: str, names: Collection[str]) -> list[str]:
    """The names that a pattern matches: `*` is any text, `?` any character, `[12]` 1 or 2, `[!12]` neither."""
    if not _WILDCARD.search(pattern):
        return [pattern] if pattern in names else []
    matches = re.compile(translate(pattern)).match
    return [name for name in names if matches(name)]


class FrozenWeights(NamedTuple):
    """The weights that patterns of `freeze` select."""

    layers: frozenset[str]
    """The layers that patterns for layers freeze."""
    kept_layers: frozenset[str]
    """The layers that patterns for layers leave out."""
    patterns: tuple[str, ...]
    """Patterns for the names of weights, such as `net/layer4.*`; with `!` before those that are left out."""

    def contains(self, weight: str) -> bool:
        """Whether the weight of this name is frozen."""
        layer = weight.partition(WEIGHT_SEPARATOR)[0]
        excluded = (pattern[1:] for pattern in self.patterns if _is_exclusion(pattern))
        if layer in self.kept_layers or any(matching_names(pattern, (weight,)) for pattern in excluded):
            return False
        included = (pattern for pattern in self.patterns if not _is_exclusion(pattern))
        return layer in self.layers or any(matching_names(pattern, (weight,)) for pattern in included)


class AdaptedWeights(NamedTuple):
    """The weights that the section `lora` selects."""

    lora: LoraSection

    def settings(self, weight: str) -> LowRank | None:
        """The settings of the adapter of the weight of this name; None if it has none."""
        if not self.selects(weight):
            return None
        rank = next((rank for pattern, rank in self.lora.rank_pattern.items() if matches(pattern, weight)), None)
        alpha = next((alpha for pattern, alpha in self.lora.alpha_pattern.items() if matches(pattern, weight)), None)
        return self.lora.settings(rank, alpha)

    def selects(self, weight: str) -> bool:
        """Whether patterns select the weight of this name."""
        patterns = self.lora.weights
        if any(matches(pattern[1:], weight) for pattern in patterns if _is_exclusion(pattern)):
            return False
        return any(matches(pattern, weight) for pattern in patterns if not _is_exclusion(pattern))


def matches(pattern: str, weight: str) -> bool:
    """Whether a pattern matches the name of a weight or, without a separator, of its layer."""
    name = weight if WEIGHT_SEPARATOR in pattern else weight.partition(WEIGHT_SEPARATOR)[0]
    return bool(matching_names(pattern, (name,)))


def _is_exclusion(pattern: str) -> bool:
    return pattern.startswith(EXCLUSION)
