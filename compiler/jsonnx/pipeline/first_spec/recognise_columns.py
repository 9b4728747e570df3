"""Recognises what the columns of a table are to a network: numbers, categories, texts, images, sequences or nothing."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from ...core.date_formats import FormatName
from ...data.describe.raw_columns import MISSING_NUMBERS
from .recognise_dates import is_date_column, recognise_dates

Kind = Literal["number", "code", "category", "text", "date", "vector", "sequence", "image", "unused"]

MIN_CODES, MAX_CODES = 3, 10
"""Numbers of different integers that are encoded as categories; fewer and more are numbers."""
MIN_ROWS_PER_CODE = 20
"""Minimum number of rows of each code. Integers of which some are rarer are numbers, such as counts."""
MAX_CODE_COLUMNS = 20
"""Columns of integers that are encoded as categories; if there are more, all are numbers."""
MAX_CATEGORIES = 10_000
MIN_ROWS_PER_CATEGORY = 2
"""Minimum mean number of rows of a category. With fewer, a column of texts identifies rows."""
MIN_WORDS = 3
"""Maximum mean number of words in names of categories. Longer values are texts."""
MIN_IMAGE_SIZE = 8
"""The least height and width of images among arrays of three and four dimensions."""
IMAGE_CHANNELS = (1, 3, 4)
BOOLEANS = {"false": 0, "true": 1}
ID_NAME = re.compile(r"(.*[_\s.-])?(id|uuid|guid|index|key|row|rownames?|unnamed: \d+)", re.IGNORECASE)


@dataclass(frozen=True)
class RecognisedColumn:
    """A column, what it is, and what a layer needs to know of it."""

    name: str
    kind: Kind
    shape: tuple[int, ...] = ()
    """The shape of one row."""
    distinct: int = 0
    """Different values, a missing one included."""
    codes: tuple[int, ...] = ()
    """The integers of a code, sorted."""
    word_count: int = 0
    """Words that most texts have at most."""
    vocabulary_size: int = 0
    """Words that occur more than once."""
    has_missing: bool = False
    """Whether rows lack a value that a layer must replace."""
    has_time: bool = False
    """Whether dates have a time of day."""
    formats: tuple[FormatName, ...] = ()
    """How dates are written."""
    low: float = 0.0
    high: float = 0.0
    """The range of the values of images."""
    is_padded: bool = False
    """Whether images of other proportions get borders, so that they keep their proportions."""
    reason: str = ""
    """Why a column is unused."""
    note: str = ""
    """What a user should check."""


def recognise(name: str, column: np.ndarray, is_text_table: bool) -> RecognisedColumn:
    """The role in a network of a column that `read_raw_columns` returned.

    `is_text_table`: whether the file is one of separated values, where empty texts are values and booleans are texts.
    """
    if column.ndim > 1 and column.size == len(column):
        column = column.reshape(-1)
    if column.ndim > 1:
        return _recognise_array(name, column)
    if column.dtype.kind in "fiub":
        return _recognise_numbers(name, column)
    texts = [text for text in column.tolist() if text is not None]
    has_missing = len(texts) < len(column)
    counts = Counter(texts)
    if counts and is_text_table and all(text.strip().lower() in BOOLEANS for text in counts):
        return _recognise_numbers(name, _numbers_of_booleans(column))
    if len(counts) + has_missing < 2:
        return _unused(name, "all rows have the same value" if counts else "it is empty")
    dates = [text for text in counts if text.strip().lower() not in MISSING_NUMBERS]
    if is_date_column(dates):
        return _recognise_dates(name, dates, has_missing or len(dates) < len(counts))
    needs_replacement = has_missing and not is_text_table
    words = np.array([len(text.split()) for text in texts])
    is_repeated = len(texts) >= MIN_ROWS_PER_CATEGORY * len(counts)
    if words.mean() > MIN_WORDS and not (is_repeated and len(counts) <= MAX_CATEGORIES):
        totals = Counter(word for text in texts for word in text.lower().split())
        frequent = sum(count > 1 for count in totals.values())
        longest = max(1, int(np.percentile(words, 95)))
        return RecognisedColumn(
            name, "text", word_count=longest, vocabulary_size=frequent, has_missing=needs_replacement
        )
    if not is_repeated or len(counts) > MAX_CATEGORIES:
        return _unused(name, f"it tells rows apart: {len(counts):,} different values in {len(texts):,} rows")
    return RecognisedColumn(name, "category", distinct=len(counts) + has_missing, has_missing=needs_replacement)


def _numbers_of_booleans(column: np.ndarray) -> np.ndarray:
    """Texts of booleans as 1 and 0, which programs write as booleans to files of other formats; NaN for None."""
    numbers = [np.nan if text is None else BOOLEANS[text.strip().lower()] for text in column.tolist()]
    return np.array(numbers, np.float64)


def _recognise_dates(name: str, texts: Sequence[str], has_missing: bool) -> RecognisedColumn:
    dates = recognise_dates(texts)
    if dates.error:
        return _unused(name, dates.error)
    has_time = any(":" in text for text in texts)
    return RecognisedColumn(
        name, "date", has_missing=has_missing, has_time=has_time, formats=dates.formats, note=dates.note
    )


def _recognise_numbers(name: str, column: np.ndarray) -> RecognisedColumn:
    present = column[~np.isnan(column)] if column.dtype.kind == "f" else column
    error = _error_of_numbers(present) if present.size else "it is empty"
    if error:
        return _unused(name, error)
    distinct, counts = np.unique(present, return_counts=True)
    if len(present) < len(column):
        return RecognisedColumn(name, "number", distinct=len(distinct), has_missing=True)
    is_integer = column.dtype.kind in "iu"
    if is_integer and len(distinct) == len(column):
        is_range = int(distinct[-1]) - int(distinct[0]) == len(distinct) - 1
        if is_range or ID_NAME.fullmatch(name):
            return _unused(name, "it numbers the rows")
    is_code = is_integer and MIN_CODES <= len(distinct) <= MAX_CODES
    if is_code and counts.min() >= MIN_ROWS_PER_CODE and -(1 << 31) <= distinct[0] <= 1 << 31:
        return RecognisedColumn(name, "code", codes=tuple(distinct.tolist()), distinct=len(distinct))
    return RecognisedColumn(name, "number", distinct=len(distinct))


def _error_of_numbers(column: np.ndarray) -> str:
    """Why an array of numbers cannot be an input; empty if it can."""
    if column.dtype.kind == "f" and not np.isfinite(column).all():
        missing = int(np.isnan(column).reshape(len(column), -1).any(1).sum())
        if missing:
            return f"{missing:,} of {len(column):,} rows have no number"
        return "it has infinite numbers"
    return "" if column.size and column.min() != column.max() else "all rows have the same value"


def _recognise_array(name: str, column: np.ndarray) -> RecognisedColumn:
    shape = column.shape[1:]
    if column.dtype.kind not in "fiub":
        return _unused(name, "it has several texts in a row")
    error = _error_of_numbers(column)
    if error:
        return _unused(name, error)
    low, high = float(column.min()), float(column.max())
    is_image = ((len(shape) == 2 and shape[0] == shape[1]) or (len(shape) == 3 and shape[2] in IMAGE_CHANNELS)) and (
        min(shape[:2]) >= MIN_IMAGE_SIZE
    )
    if is_image:
        return RecognisedColumn(name, "image", shape=(*shape, 1)[:3], low=low, high=high)
    if len(shape) == 1:
        return RecognisedColumn(name, "vector", shape=shape)
    if len(shape) == 2:
        return RecognisedColumn(name, "sequence", shape=shape)
    return _unused(name, f"its rows have the shape {list(shape)}, which is neither an image nor a sequence")


def _unused(name: str, reason: str) -> RecognisedColumn:
    return RecognisedColumn(name, "unused", reason=reason)


def limit_codes(columns: list[RecognisedColumn]) -> list[RecognisedColumn]:
    """The columns, where codes are numbers if there are many of them: pixels and answers are not categories."""
    if sum(column.kind == "code" for column in columns) <= MAX_CODE_COLUMNS:
        return columns
    return [
        RecognisedColumn(column.name, "number", distinct=column.distinct) if column.kind == "code" else column
        for column in columns
    ]
