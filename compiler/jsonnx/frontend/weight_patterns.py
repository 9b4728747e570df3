"""Patterns of names of layers and weights: `conv*`, `stage[12]_*`, `net/layer4.*`."""

from __future__ import annotations

import re
from collections.abc import Collection
from fnmatch import translate
from typing import NamedTuple

from ..sections.columns import EXCLUSION

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


def _is_exclusion(pattern: str) -> bool:
    return pattern.startswith(EXCLUSION)
