"""The words of a vocabulary, and the share of the words of a text that it lacks."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import nan
from string import ascii_lowercase, ascii_uppercase, punctuation

_LOWERED = str.maketrans(ascii_uppercase, ascii_lowercase)
_WITHOUT_PUNCTUATION = str.maketrans("", "", punctuation)


@dataclass(frozen=True)
class TextVocabulary:
    """The words that a TextVectorization knows, and its standardization of texts."""

    words: tuple[str, ...]
    lowers: bool
    strips_punctuation: bool

    @cached_property
    def _known(self) -> frozenset[str]:
        return frozenset(self.words)

    def unknown_share(self, text: str) -> float:
        """The share of the words of a text that are unknown; NaN if it has no words."""
        if self.lowers:
            text = text.translate(_LOWERED)
        if self.strips_punctuation:
            text = text.translate(_WITHOUT_PUNCTUATION)
        words = text.split()
        return sum(word not in self._known for word in words) / len(words) if words else nan
