"""Validates arrays of samples against the types of a network's inputs and targets, and reports every error."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import partial
from math import inf
from typing import Any

import numpy as np

from ...core.date_formats import DATE_FORMATS, FormatName, is_date
from ...core.diagnostics import CompileError, quoted_or_list
from ...core.numpy_types import numpy_dtype
from ...core.reserved_names import sample_weight_name
from ...core.types import Size, TensorType
from ...sections.class_names import NAMES_HELP
from ...training.target_form import LOWER_BOUNDS, MAX_VALUE, TransformName
from .class_targets import class_index_hint, indices_of_numbers, indices_of_texts, mapped, one_hot_hint, stored_classes
from .data_errors import DataLocation, ErrorCollector
from .data_spec import DataSpec, IndexRange
from .missing_markers import is_missing_marker
from .sample_shapes import batch_axis_hint, reshape_samples
from .stored_arrays import Samples, StoredArray
from .valid_values import ElementIndex, first_indices, is_finite, is_in_range, is_missing, is_text

BINARY_HELP = "only images and recordings are read from binary values, for an input of their shape"
BLANK_HELP = "write the names as texts; of an output with a blank, integers are indices and 0 is the padding"
BOOLEAN_TEXT_HELP = (
    "booleans are numbers: an input of numbers takes them as 1 and 0; for this one, write the texts of the training "
    'data, such as "True" and "False"'
)

LocateElement = Callable[[ElementIndex], DataLocation]
"""Locates an element of an array in the file that it was read from."""


def sample_location(index: ElementIndex) -> DataLocation:
    """The location of an element in an array; samples are counted from 0."""
    return DataLocation(f"sample {index[0]}" + (f", element {list(index[1:])}" if len(index) > 1 else ""))


def validate_array(
    array: np.ndarray,
    name: str,
    data_spec: DataSpec,
    errors: ErrorCollector,
    locate: LocateElement = sample_location,
    column_count: int = 1,
) -> np.ndarray | None:
    """The array of an input or a target in the shape of its type, its values checked but not cast; None, and errors, if
    they are invalid. Names of classes in a target become class indices, also those that are integers.

    The shape of a sample may differ from the type's as `reshape_samples` says. With a `column_count`, the array was
    stacked from columns of a file, each of which gets errors of its own.
    """
    error_count = len(errors.diagnostics)
    type, title = data_spec.type_of(name), data_spec.describe(name)
    dtype = numpy_dtype(type.dtype)
    accepts_missing = name in data_spec.missing_inputs
    if accepts_missing and dtype.kind == "O" and array.dtype.kind == "O":
        array = np.where(is_missing(array), "", array)
    reshaped = reshape_samples(array, type.shape[1:]) if array.ndim else None
    if reshaped is None:
        sizes = ["samples", *map(str, array.shape[1:])] if array.ndim else []
        help = one_hot_hint(array, name, data_spec) or class_index_hint(array, name, data_spec)
        if help is None and errors.file is None:
            help = batch_axis_hint(array, type.shape)
        errors.add("data-shape", f"{title} has shape [{', '.join(sizes)}], the network wants {type}", help=help)
        return None
    if dtype.kind != "O" and array.size and is_text(array):
        return class_indices(reshaped, name, data_spec, errors, locate)
    classes = data_spec.classes_by_number(name, array.dtype.kind)
    if classes and array.size:
        return _classes_of_numbers(reshaped, classes, name, data_spec, errors, locate)
    if not _has_compatible_kind(array, dtype):
        has_bytes = array.dtype.kind == "O" and any(isinstance(value, bytes) for value in array.flat)
        elements, help = ("binary", BINARY_HELP) if has_bytes else (array.dtype, None)
        help = BOOLEAN_TEXT_HELP if array.dtype.kind == "b" else help
        errors.add("bad-value", f"{title} has {elements} elements, the network wants {type.dtype}", help=help)
    elif array.size and array.dtype.kind in "fiub":
        index_range = data_spec.index_ranges.get(name)
        if accepts_missing and array.dtype.kind == "f":
            array = np.where(np.isnan(array), array.dtype.type(0), array)
        check = _ValueCheck(array, dtype, title, index_range, errors, locate, column_count)
        check.run()
        if name in data_spec.transforms and len(errors.diagnostics) == error_count:
            check.check_domain(data_spec.transforms[name])
    if name in data_spec.date_inputs and len(errors.diagnostics) == error_count:
        _check_dates(array, title, data_spec.date_inputs[name], accepts_missing, errors, locate)
    if name in data_spec.vocabularies and len(errors.diagnostics) == error_count:
        _check_tokens(array, name, data_spec, errors, locate)
    return reshaped if len(errors.diagnostics) == error_count else None


def _check_dates(
    array: np.ndarray,
    title: str,
    formats: Sequence[FormatName],
    accepts_missing: bool,
    errors: ErrorCollector,
    locate: LocateElement,
) -> None:
    """Adds an error for texts that are no dates, except for missing ones if these are accepted."""
    invalid = [text for text in np.unique(array.astype(str)).tolist() if not is_date(text, formats)]
    if accepts_missing:
        invalid = [text for text in invalid if not is_missing_marker(text) and text.lower() != "nan"]
    indices, count = first_indices(np.isin(array.astype(str), invalid))
    message = f"{title} is {{!r}}, which is not a date"
    help = _date_help(invalid, formats)
    errors.add_each(
        "bad-value",
        indices,
        lambda index: (message.format(str(array[index])[:80]), locate(index)),
        count=count,
        help=help,
    )


def _date_help(invalid: Sequence[str], formats: Sequence[FormatName]) -> str:
    """What to do about texts that are no dates in these formats."""
    other = next((name for name, format in DATE_FORMATS.items() if any(map(format.reads, invalid))), None)
    if other is not None:
        names = ", ".join(f'"{name}"' for name in (*formats, other))
        return f'name all formats of the dates: "formats": [{names}] of the DateFeatures'
    if any(map(is_missing_marker, invalid)):
        return "an Imputation after the DateFeatures takes missing dates: empty cells, `NA`, `-`"
    examples = " or ".join(format_example(name) for name in formats)
    return f"dates are written like {examples}, with a time like {format_example(formats[0])}T18:30:00"


def format_example(name: FormatName) -> str:
    """A date in a format."""
    return date(2026, 11, 27).strftime(name)


def validate_stored(
    array: StoredArray,
    name: str,
    data_spec: DataSpec,
    errors: ErrorCollector,
    locate: LocateElement = sample_location,
    column_count: int = 1,
) -> StoredArray | None:
    """As `validate_array`, for samples in a file: one pass over them, which ends at the first part with errors."""
    error_count = len(errors.diagnostics)
    try:
        for start, chunk in array.chunks():
            locate_chunk = partial(_locate_shifted, locate, start)
            if validate_array(chunk, name, data_spec, errors, locate_chunk, column_count) is None:
                return None
    except CompileError as error:
        errors.add_all(error.diagnostics)
    reshaped = reshape_samples(array, data_spec.type_of(name).shape[1:])
    if len(errors.diagnostics) > error_count or reshaped is None:
        return None
    classes = data_spec.classes_by_number(name, array.dtype.kind)
    return stored_classes(reshaped, classes) if classes else reshaped


def _locate_shifted(locate: LocateElement, start: int, index: ElementIndex) -> DataLocation:
    return locate((index[0] + start, *index[1:]))


def _check_tokens(
    array: np.ndarray, name: str, data_spec: DataSpec, errors: ErrorCollector, locate: LocateElement
) -> None:
    """Adds an error for tokens that are not in the vocabulary of an input."""
    vocabulary = data_spec.vocabularies[name]
    unknown = [token for token in np.unique(array).tolist() if token not in vocabulary]
    if unknown:
        indices, count = first_indices(np.isin(array, np.array(unknown, array.dtype)))
        message = f"{data_spec.describe(name)} is {{!r}}, which is not in the vocabulary of its lookup"
        help = "add the token to the vocabulary, or accept unknown tokens with num_oov_indices 1"

        def describe(index: ElementIndex) -> tuple[str, DataLocation]:
            token = array[index]
            return message.format(str(token) if isinstance(token, str) else int(token)), locate(index)

        errors.add_each("unknown-token", indices, describe, count=count, help=help)


def class_indices(
    texts: np.ndarray, name: str, data_spec: DataSpec, errors: ErrorCollector, locate: LocateElement
) -> np.ndarray | None:
    """The class indices of an array of names of classes, or the names if they are to be learned; None, and errors, if
    one is not among the labels."""
    labels = data_spec.class_labels(name)
    if labels == ():
        return _learnable_classes(texts, name, data_spec, errors, locate)
    if labels is None:
        title, wanted = data_spec.describe(name), data_spec.type_of(name).dtype
        distinct = sorted({*map(str, texts.flat)})
        message = f"{title} holds texts, such as {distinct[0][:80]!r}, the network wants {wanted}"
        help = data_spec.text_help(name, distinct)
        errors.add("bad-value", message, locate((0,) * texts.ndim), help=help)
        return None
    numbers, is_unknown = indices_of_texts(texts, {label: number for number, label in enumerate(labels)})
    message = f"{data_spec.describe(name)} is {{!r}}, which is none of the labels"
    help = f"the labels are {quoted_or_list(labels)}"
    return _known_classes(numbers, is_unknown, lambda index: message.format(str(texts[index])), help, errors, locate)


def _classes_of_numbers(
    array: np.ndarray,
    classes: Mapping[int, int],
    name: str,
    data_spec: DataSpec,
    errors: ErrorCollector,
    locate: LocateElement,
) -> np.ndarray | None:
    """The class indices of numbers that are names of classes; None, and errors, if one is no name."""
    title, labels = data_spec.describe(name), quoted_or_list(data_spec.labels[name])
    if name in data_spec.outputs_with_blank:
        message = f"{title} has integers, which may be indices or names: the labels are {labels}"
        errors.add("bad-value", message, locate((0,) * array.ndim), help=BLANK_HELP)
        return None
    check = _ValueCheck(array, np.dtype(np.float64), title, None, errors, locate)
    error_count = len(errors.diagnostics)
    check.run()
    if len(errors.diagnostics) > error_count:
        return None
    numbers, is_unknown = indices_of_numbers(array, classes)
    message, help = f"{title} is {{}}, which is none of the labels", f"the labels are {labels}; {NAMES_HELP}"
    return _known_classes(numbers, is_unknown, lambda index: message.format(array[index]), help, errors, locate)


def _known_classes(
    numbers: np.ndarray,
    is_unknown: np.ndarray,
    describe: Callable[[ElementIndex], str],
    help: str,
    errors: ErrorCollector,
    locate: LocateElement,
) -> np.ndarray | None:
    """The class indices; None, and an error, if there are elements that are no names."""
    bad, count = first_indices(is_unknown)
    errors.add_each("bad-value", bad, lambda index: (describe(index), locate(index)), count=count, help=help)
    return None if bad else numbers


def _learnable_classes(
    texts: np.ndarray, name: str, data_spec: DataSpec, errors: ErrorCollector, locate: LocateElement
) -> np.ndarray | None:
    """The names of classes without space around them; None, and errors, if one is missing."""
    stripped = mapped(texts, lambda text: str(text).strip())
    bad, count = first_indices(is_missing(stripped))
    message = f"{data_spec.describe(name)} has no class"
    errors.add_each("bad-value", bad, lambda index: (message, locate(index)), count=count, help=MISSING_NUMBER_HELP)
    return None if bad else stripped


def _has_compatible_kind(array: np.ndarray, dtype: np.dtype[Any]) -> bool:
    return is_text(array) if dtype.kind == "O" else array.dtype.kind in "fiub"


DROP_HELP = (
    '`"missing": "drop"` in `training.data` leaves out rows of training and evaluation files with missing values, or '
    "the windows of time series that have them"
)
MISSING_NUMBER_HELP = f"an input that only an Imputation layer reads may have missing numbers; {DROP_HELP}"
MISSING_TEXT_HELP = (
    'an input that only an Imputation layer or a lookup with the mask_token "" reads may have missing texts; '
    f"{DROP_HELP}"
)
SAMPLE_COUNT_HELP = "the first axis of each array has one entry for each sample, in the same order in all arrays"
INFINITE_HELP = "numbers are finite and below 3.4e38: correct the value, or write it in another unit"
RANGE_HELP = "correct the value, or give the input another type"


def ragged_help(type: TensorType) -> str | None:
    """Help for lists of different lengths for an input or a target of a type."""
    if type.rank > 1 and isinstance(type.shape[1], Size):
        return '"sequences": {} in `training.data` pads them to the longest one of a batch'
    return None


@dataclass(frozen=True, eq=False)
class _ValueCheck:
    """Checks the numbers of an array: finite, whole for an integer type, and in range."""

    array: np.ndarray
    dtype: np.dtype[Any]
    title: str
    index_range: IndexRange | None
    errors: ErrorCollector
    locate: LocateElement
    column_count: int = 1

    def run(self) -> None:
        array, dtype, title = self.array, self.dtype, self.title
        if array.dtype.kind == "f":
            if not is_finite(array):
                self._add("not-finite", np.isnan(array), lambda v: f"{title} is {v}", MISSING_NUMBER_HELP)
                self._add("not-finite", np.isinf(array), lambda v: f"{title} is {v}", INFINITE_HELP)
                return
            is_wider = dtype.kind == "f" and array.dtype.itemsize > dtype.itemsize
            if is_wider and max(-float(array.min()), float(array.max())) > float(np.finfo(dtype).max):
                too_large = np.abs(array) > np.finfo(dtype).max
                self._add("bad-value", too_large, lambda v: f"{title} is {v}, too large for {dtype}", INFINITE_HELP)
                return
            if dtype.kind in "iub" and (array != np.floor(array)).any():
                self._add(
                    "bad-value",
                    array != np.floor(array),
                    lambda v: f"{title} is {v}, not a whole number",
                    self._whole_help(),
                )
                return
        self._check_range()

    def _check_range(self) -> None:
        array, dtype, title, index_range = self.array, self.dtype, self.title, self.index_range
        if index_range is not None:
            if is_in_range(array, index_range.size):
                return
            outside = (array < 0) | (array >= index_range.size)
            if index_range.ignored is not None:
                outside &= array != index_range.ignored
            is_label = title.startswith("the target")
            code = "label-out-of-range" if is_label else "index-out-of-range"
            counts_from_1 = is_label and (array[outside] == index_range.size).all() and (array != 0).all()
            label_help = "correct the label, or give the output as many units as there are classes"
            help = "classes count from 0: subtract 1 from all labels" if counts_from_1 else label_help
            help = help if is_label else "correct the index, or enlarge what it points into, such as an Embedding"
            ignored = "" if index_range.ignored is None else f" and {index_range.ignored}"
            valid = f"valid are 0 to {index_range.size - 1}{ignored}"
            self._add(code, outside, lambda v: f"{title} is {int(v)}; {valid}", help)
        elif dtype.kind in "iub" and array.dtype.kind != "b":
            low, high = (0, 1) if dtype.kind == "b" else (np.iinfo(dtype).min, np.iinfo(dtype).max)
            if int(array.min()) < low or int(array.max()) > high:
                outside = (array < low) | (array > high)
                self._add("bad-value", outside, lambda v: f"{title} is {v}, beyond {dtype}'s range", RANGE_HELP)

    def check_domain(self, transform: TransformName) -> None:
        """Adds errors for targets of which a transform has no value."""
        array, title, low = self.array, self.title, LOWER_BOUNDS.get(transform, -inf)
        if array.min() <= low:
            text = f'"{transform}" needs targets above {low:g}: correct them, or take '
            other = '"yeo_johnson", which takes all numbers'
            help = text + (f'"log1p", which takes numbers above -1, or {other}' if transform == "log" else other)
            message = f"{title} is {{}}, and {transform!r} has no value there"
            self._add("bad-value", array <= low, lambda v: message.format(v), help)
        elif max(-float(array.min()), float(array.max())) > MAX_VALUE:
            message = f"{title} is {{}}, too large for the transform {transform!r}"
            help = f"targets are at most {MAX_VALUE:g}: correct the value, or write it in another unit"
            self._add("bad-value", np.abs(array) > MAX_VALUE, lambda v: message.format(v), help)

    def _whole_help(self) -> str:
        if self.title.startswith("the target"):
            return "the loss takes indices of classes: write whole numbers from 0, or choose a loss for numbers, as mse"
        return "write whole numbers, or give the input a floating-point type"

    def _add(self, code: str, mask: np.ndarray, message: Callable[[Any], str], help: str | None = None) -> None:
        """Adds an error for the elements in the mask, or one for each column with such elements."""
        array = self.array

        def describe(index: ElementIndex) -> tuple[str, DataLocation]:
            return message(array[index]), self.locate(index)

        has_columns = self.column_count > 1 and array.shape[1:] == (self.column_count,)
        for column in range(self.column_count) if has_columns else [None]:
            selected = mask if column is None else mask & (np.arange(self.column_count) == column)
            indices, count = first_indices(selected)
            self.errors.add_each(code, indices, describe, count=count, help=help)


def check_consistent_sizes(
    arrays: Mapping[str, Samples], weights: Mapping[str, np.ndarray], data_spec: DataSpec, errors: ErrorCollector
) -> None:
    """Adds errors unless all arrays have the same number of samples, at least one, and each symbolic size one value.

    `weights` are those of samples, by output.
    """
    weights = {sample_weight_name(output): array for output, array in weights.items()}
    counts = {name: len(array) for name, array in (*arrays.items(), *weights.items())}
    if len(set(counts.values())) > 1:
        description = ", ".join(f"{data_spec.describe(name)} has {count}" for name, count in counts.items())
        errors.add("data-shape", f"the numbers of samples differ: {description}", help=SAMPLE_COUNT_HELP)
    elif 0 in counts.values():
        errors.add("empty-data", "there are no samples")
    sizes: dict[Size, tuple[str, int]] = {}
    for name, array in (*arrays.items(), *weights.items()):
        type = data_spec.type_of(name)  # an array of one weight for each sample has fewer axes
        for symbol, size in zip(type.shape[1:], array.shape[1:], strict=name not in weights):
            if isinstance(symbol, Size):
                other, other_size = sizes.setdefault(symbol, (name, size))
                if other_size != size:
                    here, there = data_spec.describe(name), data_spec.describe(other)
                    errors.add("data-shape", f"{symbol} is {size} in {here} and {other_size} in {there}")
