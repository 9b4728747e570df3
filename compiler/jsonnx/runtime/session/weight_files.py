"""Weights by Keras' names: reads them from files, and matches them with the weights of a network."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import IO, Any

import numpy as np

from ...core.diagnostics import CompileError, Diagnostic, UsageError, quoted_list, quoted_or_list, suggestion
from ...core.files.file_kinds import GGUF, ONNX, PICKLE, PYTORCH, SIGNATURE_BYTES, TFLITE, file_kind, kind_error
from ...core.files.files import error_reason, open_file
from ...core.numpy_types import numpy_dtype
from ...core.reserved_names import is_adapter_weight, is_range_name
from ...core.system.mapped_pages import release_pages
from ...core.types import Size, TensorType, shape_text
from ...data.samples.array_arguments import to_array
from ...data.samples.data_errors import ErrorCollector
from ...data.tables.data_files import read_table
from ...data.tables.data_table import ColumnRequest
from ...interop.bfloat16 import BFLOAT16, widened
from ...interop.safetensors_file import SafetensorsFile, safetensors_errors
from ...interop.string_arrays import bytes_to_strings

CHECKED_ELEMENTS = 1 << 22
"""Numbers that are checked at once, so that the check takes little memory."""
_ANY_TYPE = ColumnRequest(TensorType("float32", ()))


def read_weight_file(path: str | os.PathLike[str], verify: bool = True) -> dict[str, np.ndarray]:
    """The arrays of a .safetensors or .npz file, by name; those of a large file are read-only views of it.

    Raises UsageError for a file that cannot be read, CompileError for a damaged one, for values that are not finite,
    and with `verify` for values that differ from the digests that the file records.
    """
    with open_file(path) as file:
        return read_open_weight_file(file, os.fspath(path), verify)


def read_open_weight_file(file: IO[bytes], name: str, verify: bool = True) -> dict[str, np.ndarray]:
    """The arrays of an open file, whose format follows from its name. Raises as `read_weight_file` does."""
    errors = ErrorCollector(name)
    try:
        arrays = (
            _read_npz(file, name, errors) if name.lower().endswith(".npz") else _read_safetensors(file, errors, verify)
        )
    except OSError as error:
        raise UsageError("unreadable-file", f"cannot read {name!r}: {error_reason(error)}") from error
    if errors:
        raise CompileError(errors.diagnostics)
    check_finite(arrays, name)
    return arrays


def check_finite(arrays: Mapping[str, np.ndarray], file: str) -> None:
    """Raises CompileError if an array of a file contains NaN or infinity."""
    errors = ErrorCollector(file)
    for key, array in arrays.items():
        number = _first_not_finite(array)
        if number is not None:
            errors.add("not-finite", f"the weight {key!r} holds {number}")
        release_pages(array)
    if errors:
        raise CompileError(errors.diagnostics)


def _first_not_finite(array: np.ndarray) -> Any:
    """The first NaN or infinity of an array; None if there is none, or if it has no floating-point numbers."""
    if array.dtype.kind != "f" and array.dtype != BFLOAT16:
        return None
    numbers = array.reshape(-1)
    for start in range(0, numbers.size, CHECKED_ELEMENTS):
        part = widened(numbers[start : start + CHECKED_ELEMENTS])
        if not (is_finite := np.isfinite(part)).all():
            return part[~is_finite][0]
    return None


def _read_npz(file: Any, name: str, errors: ErrorCollector) -> dict[str, np.ndarray]:
    table = read_table(file, name, errors)
    columns = {key: table.column(key, _ANY_TYPE, errors) for key in table.names} if table else {}
    return {key: np.asarray(array) for key, array in columns.items() if array is not None}


OTHER_KINDS = (PYTORCH, PICKLE, ONNX, GGUF, TFLITE)
"""Formats whose files are named as what they are. A damaged file of weights may resemble one of the others."""


def _read_safetensors(file: IO[bytes], errors: ErrorCollector, verify: bool) -> dict[str, np.ndarray]:
    try:
        stored = SafetensorsFile(file)
        arrays = stored.arrays()
        if verify:
            errors.diagnostics += safetensors_errors(stored.metadata, arrays, errors.file or "")
        return arrays
    except ValueError as error:
        file.seek(0)
        kind = file_kind(file.read(SIGNATURE_BYTES))
        if kind in OTHER_KINDS and (other := kind_error(kind, errors.file, "a weights file")) is not None:
            raise other from error
        help = "weights are a .safetensors file, an .npz file of arrays by name, a file of Keras or a RUN folder"
        errors.add("damaged-file", f"not a weights file: {error}", help=help)
        return {}


def layer_of_weight(weight: str) -> str:
    """The layer in a weight's name: `dense` of `dense/kernel`."""
    return weight.partition("/")[0]


@dataclass(frozen=True)
class FileWeights:
    """The weights of a file, by our names, and the rest of its contents."""

    arrays: Mapping[str, np.ndarray]
    unfit: Mapping[str, str] = field(default_factory=dict)
    """Reasons, as ends of sentences, why weights cannot be taken from the file."""
    extra: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    """The shapes of further arrays, by their paths in the file."""
    notices: tuple[Diagnostic, ...] = ()
    """Warnings about the weights that were taken."""

    def with_prefix(self, prefix: str) -> FileWeights:
        """The weights under names with a prefix."""
        arrays = {f"{prefix}{name}": array for name, array in self.arrays.items()}
        return replace(self, arrays=arrays, unfit={f"{prefix}{name}": why for name, why in self.unfit.items()})


@dataclass(frozen=True)
class WeightsReport:
    """Lists which weights of a file or dict a network takes, and why it does not take the others.

    `taken` are the names of weights that fit, `missing` of weights that were not given, `unfit` of weights that do not
    fit, with the reason as the end of a sentence; `extra` are names that the network does not have. All
    ranges of quantizers may be missing or extra: the weights may be of the same network in another precision. The
    weights of adapters may be missing: the others may be those that are to be adapted.
    """

    taken: tuple[str, ...]
    missing: tuple[str, ...]
    unfit: Mapping[str, str]
    extra: tuple[str, ...]
    wanted: Mapping[str, TensorType] = field(repr=False)
    given: Mapping[str, tuple[int, ...]] = field(repr=False)
    """The shapes of the arrays that were given."""
    notices: tuple[Diagnostic, ...] = ()
    """Warnings about the file of the weights."""

    @property
    def complete(self) -> bool:
        """Whether every weight is taken, and nothing else was given."""
        return not (self.missing or self.unfit or self.extra)

    def suggest(self, name: str) -> str | None:
        """A suggestion: an extra name for a missing weight, or a weight's name for an extra name."""
        return suggestion(name, self.extra if name in self.wanted else self.wanted)

    def diagnostics(self, *, strict: bool = True) -> list[Diagnostic]:
        """Every error of the weights; unless `strict`, weights may be missing.

        Missing weights are one error, and so are unknown ones, except for names that resemble a weight's.
        """
        errors = ErrorCollector()
        suggestions = {name: self.suggest(name) for name in self.extra}
        for name, help in suggestions.items():
            if help:
                errors.add("weights-mismatch", f"the network has no weight {name!r}", help=help)
        if unknown := [name for name, help in suggestions.items() if not help]:
            message = f"the network has no weight {quoted_or_list(unknown)}"
            errors.add("weights-mismatch", message, help=f"known: {quoted_or_list(self.wanted)}")
        for name, reason in self.unfit.items():
            errors.add("weights-mismatch", f"the weight {name!r} {reason}")
        if strict and self.missing:
            names = quoted_list(self.missing)
            one = len(self.missing) == 1
            message = f"the weight {names} is missing" if one else f"{len(self.missing)} weights are missing: {names}"
            errors.add("weights-mismatch", message)
        return errors.diagnostics


def match_weights(
    weights: Mapping[str, Any], expected: Mapping[str, TensorType], *, copies: bool = True
) -> tuple[dict[str, np.ndarray], WeightsReport]:
    """The weights that a network takes, in its order and element types, and a report about all of them.

    Without `copies`, arrays of these types are returned themselves. Raises TypeError if the weights are not a mapping.
    """
    if not isinstance(weights, Mapping):
        raise TypeError(f"weights are a dict of arrays by name, got {type(weights).__name__}")
    arrays: dict[str, np.ndarray] = {}
    unfit: dict[str, str] = {}
    for name in expected.keys() & weights.keys():
        try:
            arrays[name] = _cast_weight(weights[name], expected[name], copies)
        except ValueError as error:
            unfit[name] = str(error)
    arrays = {name: arrays[name] for name in expected if name in arrays}
    ranges = ({*filter(is_range_name, expected)}, {*filter(is_range_name, weights)})
    other_precision = set[str]() if all(ranges) else set[str]().union(*ranges)
    return arrays, WeightsReport(
        taken=tuple(arrays),
        missing=tuple(
            name
            for name in expected
            if name not in weights and name not in other_precision and not is_adapter_weight(name)
        ),
        unfit={name: unfit[name] for name in expected if name in unfit},
        extra=tuple(name for name in weights if name not in expected and name not in other_precision),
        wanted=expected,
        given={name: _shape(value) for name, value in weights.items()},
    )


def match_file_weights(
    file_weights: FileWeights, expected: Mapping[str, TensorType]
) -> tuple[dict[str, np.ndarray], WeightsReport]:
    """The weights of a file that a network takes, as `match_weights` without copies."""
    arrays, report = match_weights(file_weights.arrays, expected, copies=False)
    unfit = {**report.unfit, **file_weights.unfit}
    return arrays, replace(
        report,
        missing=tuple(name for name in report.missing if name not in unfit),
        unfit={name: unfit[name] for name in expected if name in unfit},
        extra=(*report.extra, *file_weights.extra),
        given={**report.given, **file_weights.extra},
        notices=file_weights.notices,
    )


def _shape(value: Any) -> tuple[int, ...]:
    try:
        return np.shape(value)
    except ValueError:  # ragged
        return ()


def validate_weights(
    weights: Mapping[str, Any], expected: Mapping[str, TensorType], *, strict: bool = True
) -> tuple[dict[str, np.ndarray], list[Diagnostic]]:
    """The weights in the order and element types of a network, and every error; unless `strict`, some may be missing.

    Arrays of these types are not copied. Raises TypeError if the weights are not a mapping.
    """
    arrays, report = match_weights(weights, expected, copies=False)
    return arrays, report.diagnostics(strict=strict)


def _cast_weight(value: Any, expected: TensorType, copies: bool) -> np.ndarray:
    """The array in the element type of a weight. Raises ValueError with the end of a sentence."""
    array = widened(to_array(value))
    if expected.dtype == "string":
        array = _decode_strings(array)
    if not _matches_shape(array, expected):
        raise ValueError(f"has shape {list(array.shape)}, the network wants {shape_text(expected.shape)}")
    if expected.dtype == "string":
        return array
    if array.dtype.kind not in "fiub":
        raise ValueError(f"has {array.dtype} elements, the network wants {expected.dtype}")
    with np.errstate(over="ignore", invalid="ignore"):
        cast = array.astype(numpy_dtype(expected.dtype), copy=copies)
    if cast is not array and cast.dtype.kind == "f" and (np.isfinite(array) & ~np.isfinite(cast)).any():
        raise ValueError(f"has values too large for {expected.dtype}")
    return cast


def _matches_shape(array: np.ndarray, expected: TensorType) -> bool:
    """Whether an array has the shape of a weight; a size that depends on data may be any."""
    sizes = zip(array.shape, expected.shape, strict=False)
    return array.ndim == expected.rank and all(isinstance(size, Size) or actual == size for actual, size in sizes)


def _decode_strings(array: np.ndarray) -> np.ndarray:
    """The array as strings, decoded if it holds the bytes of a file. Raises ValueError for duplicates."""
    strings = bytes_to_strings(array) if array.dtype == np.uint8 and array.ndim == 1 else array
    if strings.dtype.kind not in "UO" or not all(isinstance(item, str) for item in strings.flat):
        raise ValueError(f"has {array.dtype} elements, the network wants strings")
    if len(set(strings.flat)) < strings.size:
        raise ValueError("has a token twice")
    return strings.astype(object)
