"""Targets with any number of labels in a sample: sets of labels, and the vectors of 0 and 1 that graphs take."""

from __future__ import annotations

import ast
import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from ...core.diagnostics import quoted_or_list
from .data_errors import DataLocation, ErrorCollector
from .data_spec import MAX_SUGGESTED_LABELS, DataSpec
from .missing_markers import MISSING_TEXTS
from .stored_arrays import StoredArray
from .valid_values import first_indices
from .validate_arrays import LocateElement

SEPARATORS = (";", "|", ",")
"""The separators of labels that a help proposes, the most usual one first."""
LIST_TYPES = (list, tuple, set, frozenset, np.ndarray)
EMPTY_HELP = "a sample without labels has an empty text, an empty list or null"


@dataclass(frozen=True, eq=False)
class LabelSets:
    """The labels of each sample. Those of sample `i` are `names[codes[starts[i]:starts[i + 1]]]`."""

    names: Sequence[str]
    codes: np.ndarray
    starts: np.ndarray

    @property
    def shape(self) -> tuple[int, ...]:
        """Samples and known labels; other files may have more labels."""
        return (len(self), len(self.names))

    def __len__(self) -> int:
        return len(self.starts) - 1

    def __getitem__(self, rows: slice | np.ndarray) -> LabelSets:
        selected = _selected(self.codes, self.starts, np.arange(len(self))[rows])
        return LabelSets(self.names, *selected)

    @staticmethod
    def concatenate(parts: Sequence[LabelSets]) -> LabelSets:
        """The samples of all parts, one behind the other."""
        numbers = {name: number for number, name in enumerate(dict.fromkeys(name for p in parts for name in p.names))}
        codes = [np.array([numbers[name] for name in part.names], np.int32)[part.codes] for part in parts]
        ends = np.cumsum(np.concatenate([np.diff(part.starts) for part in parts]))
        return LabelSets([*numbers], np.concatenate(codes), np.append(0, ends))

    def multi_hot(self, labels: Sequence[str]) -> StoredArray:
        """An array [samples, labels], 1 where a sample has a label. Raises KeyError for other labels than these."""
        numbers = {label: number for number, label in enumerate(labels)}
        order = np.array([numbers[name] for name in self.names], np.int32)
        return StoredArray(_MultiHotSamples(order[self.codes], self.starts, len(labels)))


def _selected(codes: np.ndarray, starts: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The codes and the starts of some samples."""
    counts = starts[rows + 1] - starts[rows]
    ends = np.append(0, np.cumsum(counts))
    positions = np.arange(ends[-1]) + np.repeat(starts[rows] - ends[:-1], counts)
    return codes[positions], ends


class _MultiHotSamples:
    """Vectors of 0 and 1, which are made when they are read: of many labels, nearly all elements are 0."""

    def __init__(self, codes: np.ndarray, starts: np.ndarray, label_count: int) -> None:
        self._codes, self._starts = codes, starts
        self.shape: tuple[int, ...] = (len(starts) - 1, label_count)
        self.dtype = np.dtype(np.uint8)

    def read(self, rows: np.ndarray) -> np.ndarray:
        codes, ends = _selected(self._codes, self._starts, rows)
        array = np.zeros((len(rows), self.shape[1]), self.dtype)
        array[np.repeat(np.arange(len(rows)), np.diff(ends)), codes] = 1
        return array

    def read_range(self, start: int, stop: int) -> np.ndarray:
        return self.read(np.arange(start, stop))

    def block_starts(self) -> None:
        return None


# -- from values -------------------------------------------------------------------------------------------------------


def are_labels(values: Any) -> bool:
    """Whether the targets of a program are texts, or lists of texts, for each sample."""
    if getattr(getattr(values, "dtype", None), "kind", "O") in "fiub" or not isinstance(values, Iterable):
        return False
    listed = ([value] if isinstance(value, str) else value for value in values)
    first = next((value for value in listed if isinstance(value, LIST_TYPES) and len(value)), ())
    return any(isinstance(item, str) for item in first)


class _Values(NamedTuple):
    """The labels in values, and the numbers of the values that have none for a reason."""

    sets: LabelSets
    texts_without_list: dict[int, str]
    """Texts that are no lists, where no separator is known."""
    invalid: dict[int, Any]
    """Values, or elements of lists, that are no labels."""


def label_sets(
    values: Iterable[Any], name: str, data_spec: DataSpec, errors: ErrorCollector, locate: LocateElement
) -> LabelSets | None:
    """The labels in the values of a target's column; None, and errors, if some are invalid or unknown.

    A value is a list of labels, a text with such a list, or a text with labels between separators. An empty text, an
    empty list and a missing value have no labels, nor has a text such as `NA`, unless it is among the labels.
    """
    separator = data_spec.label_separators[name]
    labels = data_spec.labels.get(name, ())
    sets, without_list, invalid = _parsed(values, separator, {*labels})
    title = data_spec.describe(name)

    def located(message: str, shown: Mapping[int, Any]) -> Any:
        return lambda row: (message.format(str(shown[row])[:80]), locate((row,)))

    if invalid:
        message = f"{title} is {{}}, which is no label"
        errors.add_each("bad-value", [*invalid], located(message, invalid), help=f"labels are texts; {EMPTY_HELP}")
    if without_list:
        message = f"{title} is {{!r}}, which is no list of labels"
        errors.add_each(
            "bad-value", [*without_list], located(message, without_list), help=_separator_help(without_list)
        )
    if labels and not errors:
        _check_known(sets, labels, title, errors, locate)
    return None if errors else sets


def _parsed(values: Iterable[Any], separator: str | None, labels: Collection[str]) -> _Values:
    numbers: dict[str, int] = {}
    known: dict[str, list[int] | None] = {}
    codes: list[int] = []
    starts = [0]
    without_list: dict[int, str] = {}
    invalid: dict[int, Any] = {}
    for row, value in enumerate(values):
        if isinstance(value, str):
            if value not in known:
                is_missing = value.strip().lower() in MISSING_TEXTS and value.strip() not in labels
                found = [] if is_missing else labels_in_text(value, separator)
                known[value] = None if found is None else _codes(found, numbers)
            own = known[value]
            if own is None:
                without_list[row] = value
        elif value is None:
            own = []
        else:
            items = [*value] if isinstance(value, LIST_TYPES) else [value]
            own = _codes(items, numbers)
            if own is None:
                invalid[row] = next(item for item in items if not _is_label(item))
        codes += own or ()
        starts.append(len(codes))
    return _Values(LabelSets([*numbers], np.array(codes, np.int32), np.array(starts)), without_list, invalid)


def _codes(items: Iterable[Any], numbers: dict[str, int]) -> list[int] | None:
    """The numbers of different labels, which are added if they are new; None if one is no label."""
    codes = dict[int, None]()
    for item in items:
        if not _is_label(item):
            return None
        label = str(item).strip()
        if label:
            codes[numbers.setdefault(label, len(numbers))] = None
    return [*codes]


def _is_label(item: Any) -> bool:
    return isinstance(item, (str, int, np.integer)) and not isinstance(item, bool)


def labels_in_text(text: str, separator: str | None) -> list[Any] | None:
    """The labels in a text: a list of JSON or Python, or labels between separators; None if it is neither."""
    stripped = text.strip()
    if not stripped:
        return []
    if stripped[0] == "[" and stripped[-1] == "]":
        for parse in (json.loads, ast.literal_eval):
            try:
                value = parse(stripped)
            except (ValueError, SyntaxError, RecursionError, MemoryError):
                continue
            if isinstance(value, list):
                return value
    return None if separator is None else stripped.split(separator)


def text_of_labels(labels: Sequence[str], separator: str | None) -> str:
    """The text that `labels_in_text` reads these labels from; JSON if there is no separator, or a label has it."""
    is_ambiguous = any(separator in label for label in labels) if separator is not None else bool(labels)
    if is_ambiguous or (labels and labels[0].startswith("[")):
        return json.dumps([*labels], ensure_ascii=False)
    return (separator or "").join(labels)


def unit_count_help(output: str, labels: Sequence[str]) -> str:
    """Help for an output that has not as many units as there are labels."""
    units = f"give the layer {output!r} {len(labels):,} units" if len(labels) > 1 else "more than one is needed"
    return f"the labels are {_listed(labels)}; {units}, or list all labels in `labels` of the spec"


def _listed(labels: Sequence[str]) -> str:
    shown = labels[:MAX_SUGGESTED_LABELS]
    return quoted_or_list(shown) if len(shown) == len(labels) else f"{', '.join(map(repr, shown))}, ..."


def _separator_help(texts: Mapping[int, str]) -> str:
    separator = next((mark for mark in SEPARATORS if any(mark in text for text in texts.values())), SEPARATORS[0])
    return (
        f'name the mark between the labels of a sample in `training.data`: "label_separator": {json.dumps(separator)}'
    )


def _check_known(
    sets: LabelSets, labels: Sequence[str], title: str, errors: ErrorCollector, locate: LocateElement
) -> None:
    """Adds an error for the samples with a label that is not among these."""
    known = {*labels}
    unknown = np.array([name not in known for name in sets.names], bool)
    if not unknown.any():
        return
    positions, count = first_indices(unknown[sets.codes])

    def describe(position: tuple[int, ...]) -> tuple[str, DataLocation]:
        row = int(np.searchsorted(sets.starts, position[0], "right")) - 1
        label = sets.names[sets.codes[position[0]]]
        return f"{title} has {label!r}, which is none of the labels", locate((row,)).of_word(label)

    help = f"the labels are {_listed(labels)}; a further one needs a unit, and rows with it in the training data"
    errors.add_each("bad-value", positions, describe, count=count, help=help)
