"""The inputs of graphs that a Tokenizer computes from texts: ids, masks, types and offsets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import chain
from typing import Any

import numpy as np

from ...core.files.tokenizer_file import Tokenization
from ..texts.text_tokenizer import TextTokenizer
from .sequences import Sequences
from .stored_arrays import Samples, StoredArray

MASK, TYPE_IDS, OFFSETS = "attention_mask", "token_type_ids", "offsets"


class StoredTokens:
    """The tokens of texts that stay in their file, one result of a Tokenizer: they are computed batch by batch."""

    dtype = np.dtype(np.int32)

    def __init__(self, batches: _StoredBatches, result: str) -> None:
        self._batches, self._result = batches, result
        self.shape = (len(batches), batches.max_length, *([2] if result == OFFSETS else []))

    def __len__(self) -> int:
        return len(self._batches)

    def __getitem__(self, rows: Any) -> Sequences:
        return self._batches.tokens(rows)[self._result]

    def with_common_width(self) -> StoredTokens:
        """The tokens, padded to the longest text that there may be."""
        return StoredTokens(self._batches.padding_to_max_length(), self._result)

    def subset(self, rows: Any) -> StoredTokens:
        return StoredTokens(self._batches.subset(rows), self._result)


Tokens = Sequences | StoredTokens


def tokens_of(inputs: Mapping[str, Samples], tokenizations: Sequence[Tokenization]) -> dict[str, Any]:
    """The inputs of graphs that Tokenizers compute, by their names. Raises UsageError."""
    found: dict[str, Any] = {}
    for tokens in tokenizations:
        texts = [inputs[name] for name in tokens.texts]
        if any(isinstance(array, StoredArray) for array in texts):
            batches = _StoredBatches(texts, tokens, TextTokenizer(tokens))
            results: dict[str, Any] = {result: StoredTokens(batches, result) for result in tokens.inputs}
        else:
            results = _tokenized(texts, tokens, TextTokenizer(tokens))
        found |= {name: results[result] for result, name in tokens.inputs.items()}
    return found


def _tokenized(texts: Sequence[Any], tokens: Tokenization, tokenizer: TextTokenizer) -> dict[str, Sequences]:
    """The results for texts, one after the other."""
    lists = [np.asarray(array, object).reshape(-1).tolist() for array in texts]
    names = {"input_ids": "ids", TYPE_IDS: "type_ids", OFFSETS: "offsets"}
    parts: dict[str, list[np.ndarray]] = {result: [] for result in tokens.inputs if result in names}
    lengths: list[int] = []
    for encodings in tokenizer.encodings(lists, OFFSETS in parts):
        lengths += map(len, encodings)
        for result, values in parts.items():
            numbers = chain.from_iterable(getattr(encoding, names[result]) for encoding in encodings)
            if result == OFFSETS:
                numbers = chain.from_iterable(numbers)
            values.append(np.fromiter(numbers, np.int32))
    assert tokens.file is not None
    counts, total = np.array(lengths, np.int64), sum(lengths)
    width = tokens.max_length if tokens.pads_to_max_length else 1
    steps = {result: _joined(values, result) for result, values in parts.items()}
    steps |= {MASK: np.broadcast_to(np.int32(1), total)} if MASK in tokens.inputs else {}
    starts = np.cumsum(counts) - counts
    padding = {"input_ids": tokens.file.padding_id}
    return {result: Sequences(steps[result], starts, counts, padding.get(result, 0), width) for result in tokens.inputs}


def _joined(parts: Sequence[np.ndarray], result: str) -> np.ndarray:
    steps = np.concatenate(parts) if parts else np.zeros(0, np.int32)
    return steps.reshape(-1, 2) if result == OFFSETS else steps


class _StoredBatches:
    """Tokenizes rows of texts that stay in their file; of the last rows it keeps the tokens, for the other results."""

    def __init__(self, texts: Sequence[Any], tokens: Tokenization, tokenizer: TextTokenizer) -> None:
        self._texts, self._tokenization, self._tokenizer = texts, tokens, tokenizer
        self.max_length = tokens.max_length
        self._last: tuple[Any, dict[str, Sequences]] | None = None

    def __len__(self) -> int:
        return len(self._texts[0])

    def subset(self, rows: Any) -> _StoredBatches:
        texts = [array.subset(rows) if isinstance(array, StoredArray) else array[rows] for array in self._texts]
        return _StoredBatches(texts, self._tokenization, self._tokenizer)

    def padding_to_max_length(self) -> _StoredBatches:
        return _StoredBatches(self._texts, replace(self._tokenization, pads_to_max_length=True), self._tokenizer)

    def tokens(self, rows: np.ndarray | slice) -> dict[str, Sequences]:
        if self._last is None or self._last[0] is not rows:
            texts = [array.read(rows) if isinstance(array, StoredArray) else array[rows] for array in self._texts]
            self._last = rows, _tokenized(texts, self._tokenization, self._tokenizer)
        return self._last[1]
