"""Assigns each row to the training, the validation or the test data.

A row's part depends on a hash of its identity, so that the same rows have the same part in every file and after every
change of other rows. Only shares by time, and shares in each class, depend on other rows.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from hashlib import blake2b
from itertools import accumulate
from typing import Any

import numpy as np

from ...core.diagnostics import JsonPath
from ...sections.split_section import SplitSection
from ..samples.sequences import Sequences
from .row_columns import RowValues
from .series_times import SERIES_PATH, TIME_PATH, series_order

SPLIT_PATH: JsonPath = ("training", "data", "split")
HASH_BYTES = 8
ROWS_PER_CHUNK = 1024
"""Rows that are converted to bytes at once."""
STRATUM_ROWS = 10
"""Rows of a class, in the order of the file, among which the shares hold to within a row or two."""


def assign_parts(split: SplitSection, arrays: Sequence[np.ndarray], values: RowValues, by_time: bool) -> np.ndarray:
    """The part of each row, `train`, `validation` or `test`, as texts.

    `arrays` are the inputs, whose values identify a row unless a column does. With `by_time`, rows without a column of
    times are divided by their order, each series by itself.
    """
    count = len(arrays[0])
    if by_time:
        return _parts_by_time(split, count, values)
    identities: Iterable[bytes]
    if split.key is not None or split.group is not None:
        name = "key" if split.key is not None else "group"
        identities = (str(value).encode(errors="surrogatepass") for value in values[(*SPLIT_PATH, name)])
    else:
        identities = row_identities(arrays)
    fractions = np.array([hash_fraction(identity, split.seed) for identity in identities])
    names, shares = _shares(split)
    if split.stratify is None:
        bounds = np.cumsum(shares)[:-1]
        return np.array(names)[np.searchsorted(bounds, fractions, side="right")]
    return np.array(names)[_stratified(fractions, values[(*SPLIT_PATH, "stratify")], shares)]


def _shares(split: SplitSection) -> tuple[list[str], list[float]]:
    """The parts in the order of the hashes, and their shares. The test data come first, so that they stay the same
    whatever is done with the others."""
    if split.folds is not None:
        folds = ["validation" if fold == split.fold else "train" for fold in range(split.folds)]
        return ["test", *folds], [split.test, *[(1 - split.test) / split.folds] * split.folds]
    return ["test", "validation", "train"], [split.test, split.validation, 1 - split.test - split.validation]


def hash_fraction(identity: bytes, seed: int) -> float:
    """A number from 0 to below 1 that depends on nothing but the identity and the seed."""
    digest = blake2b(identity, digest_size=HASH_BYTES, key=str(seed).encode()).digest()
    return (int.from_bytes(digest, "big") >> 11) / (1 << 53)


def row_identities(arrays: Sequence[np.ndarray]) -> Iterator[bytes]:
    """The values of each row as bytes, whatever types of numbers a file stores them in."""
    for start in range(0, len(arrays[0]), ROWS_PER_CHUNK):
        chunks = [_canonical(array[start : start + ROWS_PER_CHUNK]) for array in arrays]
        for row in range(len(chunks[0])):
            yield b"".join(_row_bytes(chunk[row]) for chunk in chunks)


def _canonical(array: Any) -> Any:
    """Numbers as float64 of little-endian bytes, with a positive zero; texts as objects."""
    if isinstance(array, Sequences):
        return [_canonical(array.row(index)) for index in range(len(array))]
    if array.dtype.kind not in "fiub":
        return array.astype(object)
    return np.ascontiguousarray(array, "<f8") + 0.0


def _row_bytes(row: Any) -> bytes:
    if isinstance(row, np.ndarray) and row.dtype != object:
        return row.tobytes()
    if isinstance(row, np.floating):
        return row.tobytes()
    texts = [str(item).encode(errors="surrogatepass") for item in (row.flat if isinstance(row, np.ndarray) else [row])]
    return b"".join(len(text).to_bytes(8, "big") + text for text in texts)


def _stratified(fractions: np.ndarray, classes: Sequence[Any], shares: Sequence[float]) -> list[int]:
    """The index of each row's part, with the shares in each class.

    Among every `STRATUM_ROWS` rows of a class, a row is drawn for a part with a probability in proportion to the rows
    that the part still lacks. So a row's part depends on the rows of its class before it, but not on those after it.
    """
    seen: dict[Any, int] = defaultdict(int)
    taken: dict[Any, list[int]] = defaultdict(lambda: [0] * len(shares))
    parts = []
    for fraction, name in zip(fractions.tolist(), classes, strict=True):
        stratum_end = (seen[name] // STRATUM_ROWS + 1) * STRATUM_ROWS
        first, *others = (max(share * stratum_end - done, 0.0) for share, done in zip(shares, taken[name], strict=True))
        # The first part is drawn apart from the others, so that its rows do not depend on the shares of these.
        first = min(first / (stratum_end - seen[name]), 1.0)
        scale = (1 - first) / (sum(others) or 1.0)
        bounds = list(accumulate([first, *(lacking * scale for lacking in others)]))
        part = min(bisect_right(bounds, fraction), len(shares) - 1)
        seen[name] += 1
        taken[name][part] += 1
        parts.append(part)
    return parts


def _parts_by_time(split: SplitSection, count: int, values: RowValues) -> np.ndarray:
    """The last rows of each series for the test, those before them for validation; equal times stay together."""
    times = values.get((*SPLIT_PATH, "time"), values.get(TIME_PATH))
    order, series, _ = series_order(count, values.get(SERIES_PATH), times)
    parts = np.empty(count, "U10")
    keys = np.arange(count) if times is None else times[order]
    starts = np.flatnonzero(np.r_[True, np.diff(series[order]) != 0]).tolist()
    for start, end in zip(starts, [*starts[1:], count], strict=True):
        size = end - start
        first_validation = _first_of_its_time(keys, start, end, round(size * (1 - split.test - split.validation)))
        first_test = _first_of_its_time(keys, start, end, round(size * (1 - split.test)))
        parts[order[start:first_validation]] = "train"
        parts[order[first_validation:first_test]] = "validation"
        parts[order[first_test:end]] = "test"
    return parts


def _first_of_its_time(keys: np.ndarray, start: int, end: int, offset: int) -> int:
    """The position of the first row that has the same time as the row at an offset."""
    position = start + offset
    if position >= end:
        return end
    return start + int(np.searchsorted(keys[start:end], keys[position], side="left"))
