"""Assigns the arrays of a Keras file to the weights of a network, and accounts for every array and every weight."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from ....core.diagnostics import Diagnostic
from ....core.types import Size, TensorType, shape_text
from ....frontend.schema.phrases import name_list
from ...hdf5 import Hdf5Weights
from ..translation.entries import WeightOwner
from . import h5_weights, keras3_weights
from .weight_sources import WeightSources


class WeightMismatch(NamedTuple):
    """A weight whose array does not fit, and the reason as the end of a sentence."""

    name: str
    path: str
    reason: str


@dataclass
class MatchedWeights:
    """The outcome for every weight of a network and every array of a file."""

    arrays: dict[str, np.ndarray] = field(default_factory=dict)
    """By weight name, in the order and with the element types of the network."""
    missing_weights: list[str] = field(default_factory=list)
    """Names of weights that the file does not contain."""
    unexpected_paths: list[str] = field(default_factory=list)
    """Paths of arrays that belong to no weight."""
    mismatches: list[WeightMismatch] = field(default_factory=list)
    unused_paths: list[str] = field(default_factory=list)
    """Paths of arrays of layers that contribute to no output."""
    ignored_paths: list[str] = field(default_factory=list)
    """Paths of arrays that are not weights, such as the states of random generators."""
    notices: list[Diagnostic] = field(default_factory=list)
    """Warnings about imported weights."""

    def errors(self, file: str | None = None) -> list[Diagnostic]:
        """One error for each mismatch, missing weight and unexpected array."""
        messages = [f"the weight {name!r} ({path!r} in the file) {reason}" for name, path, reason in self.mismatches]
        messages += [f"the weight {name!r} is missing in the file" for name in self.missing_weights]
        unexpected = (f"the file's array {path!r}" for path in self.unexpected_paths)
        messages += [f"{array} belongs to no weight of the network" for array in unexpected]
        return [Diagnostic("weights-mismatch", message, file=file) for message in messages]


def match_weights(
    stored: Hdf5Weights,
    owners: Sequence[WeightOwner],
    expected: Mapping[str, TensorType],
    trainable: Collection[str],
    file: str | None = None,
) -> MatchedWeights:
    """Finds and converts the arrays of the expected weights.

    `expected` is in the graph's order: parameters, then states. `trainable` are the weights that training changes; they
    come first in files before Keras 3.
    """
    return converted_weights(_find_sources(stored, owners, expected, trainable), expected, file)


def converted_weights(
    sources: WeightSources, expected: Mapping[str, TensorType], file: str | None = None
) -> MatchedWeights:
    """Converts the arrays that were found for the expected weights."""
    result = MatchedWeights(
        unexpected_paths=sources.unexpected_paths,
        unused_paths=sources.unused_paths,
        ignored_paths=sources.ignored_paths,
    )
    result.notices += [Diagnostic("weights-differ", text, file=file, severity="warning") for text in sources.notices]
    _convert_arrays(sources, expected, result)
    _add_precision_warnings(sources, result, file)
    return result


def _find_sources(
    stored: Hdf5Weights, owners: Sequence[WeightOwner], expected: Mapping[str, TensorType], trainable: Collection[str]
) -> WeightSources:
    by_layer: dict[str, list[str]] = {owner.name: [] for owner in owners}
    for name in expected:
        by_layer.setdefault(name.partition("/")[0], []).append(name)
    find = h5_weights.find_weights if h5_weights.is_legacy_format(stored) else keras3_weights.find_weights
    return find(stored, owners, by_layer, {name: type.shape for name, type in expected.items()}, trainable)


def _convert_arrays(sources: WeightSources, expected: Mapping[str, TensorType], result: MatchedWeights) -> None:
    for name, type in expected.items():
        if name in sources.mismatches:
            result.mismatches.append(WeightMismatch(name, *sources.mismatches[name]))
        elif name not in sources.arrays:
            result.missing_weights.append(name)
        else:
            path, array = sources.arrays[name]
            try:
                result.arrays[name] = convert_array(array, type)
            except ValueError as error:
                result.mismatches.append(WeightMismatch(name, path, str(error)))


def convert_array(array: np.ndarray, type: TensorType) -> np.ndarray:
    """Casts an array to the expected element type; subnormal numbers are kept.

    Raises ValueError, with the end of a sentence, if shape or element type do not fit or a value is too large.
    """
    sizes = zip(array.shape, type.shape, strict=False)
    if array.ndim != type.rank or not all(isinstance(size, Size) or actual == size for actual, size in sizes):
        raise ValueError(f"has shape {list(array.shape)}, the network wants {shape_text(type.shape)}")
    dtype = np.dtype(type.dtype)
    if array.dtype.kind == "f" and dtype.kind == "f":
        with np.errstate(over="ignore"):
            cast = array.astype(dtype, copy=False)
        if cast.dtype.itemsize < array.itemsize and (np.isfinite(array) & ~np.isfinite(cast)).any():
            raise ValueError(f"has values too large for {type.dtype}")
        return cast
    if array.dtype.kind in "iu" and dtype.kind in "iu":
        cast = array.astype(dtype, copy=False)
        if (cast != array).any():
            raise ValueError(f"has values too large for {type.dtype}")
        return cast
    raise ValueError(f"has {array.dtype} elements, the network wants {type.dtype}")


def _add_precision_warnings(sources: WeightSources, result: MatchedWeights, file: str | None) -> None:
    """Adds warnings of rounded, NaN and infinite values."""
    rounded, not_finite = [], []
    for name, array in result.arrays.items():
        source = sources.arrays[name][1]
        if source.dtype.kind == "f" and source.itemsize > array.itemsize and (array != source).any():
            rounded.append(name)
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            not_finite.append(name)
    warnings = (
        ("weights-differ", rounded, "are rounded from float64 to float32"),
        ("not-finite", not_finite, "contain NaN or infinity"),
    )
    for code, names, problem in warnings:
        if names:
            message = f"the weights {name_list(names)} {problem}"
            result.notices.append(Diagnostic(code, message, file=file, severity="warning"))
