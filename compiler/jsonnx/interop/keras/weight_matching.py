"""A file's arrays as weights by our names, every one accounted for.

Comes in: what a file holds, which layers there are, and which weights a network wants. Goes out: `MatchedWeights`. Nothing is
taken that does not have the wanted shape, and nothing is left over in silence.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from ...core.diagnostics import Diagnostic
from ...core.types import Size, TensorType, shape_text
from ..hdf5 import Hdf5Weights
from . import h5_weights, keras3_weights
from .entries import WeightOwner
from .weight_sources import WeightSources

MAX_NAMES_SHOWN = 8


class WeightMismatch(NamedTuple):
    """A weight that cannot be taken, and why: the end of a sentence."""

    name: str
    path: str
    reason: str


@dataclass
class MatchedWeights:
    """What became of every weight of a network and every array of a file."""

    arrays: dict[str, np.ndarray] = field(default_factory=dict)
    """By our names, in the order wanted, in the element types wanted."""
    missing_weights: list[str] = field(default_factory=list)
    """Our names of weights that the file does not have."""
    unexpected_paths: list[str] = field(default_factory=list)
    """Paths in the file of arrays that belong to no weight."""
    mismatches: list[WeightMismatch] = field(default_factory=list)
    unused_paths: list[str] = field(default_factory=list)
    """Paths of arrays of layers whose weights are not wanted."""
    ignored_paths: list[str] = field(default_factory=list)
    """Paths of arrays that are known and not wanted, such as the states of random generators."""
    notices: list[Diagnostic] = field(default_factory=list)
    """What a user should know of weights that were taken: warnings."""

    def errors(self, file: str | None = None) -> list[Diagnostic]:
        """An error for everything that does not fit."""
        told = [f"the weight {wrong.name!r} ({wrong.path!r} in the file) {wrong.reason}" for wrong in self.mismatches]
        told += [f"the weight {name!r} is missing in the file" for name in self.missing_weights]
        told += [f"the file's array {path!r} belongs to no weight of the network" for path in self.unexpected_paths]
        return [Diagnostic("weights-mismatch", message, file=file) for message in told]


def match_weights(
    stored: Hdf5Weights,
    owners: Sequence[WeightOwner],
    expected: Mapping[str, TensorType],
    trainable: Collection[str],
    file: str | None = None,
) -> MatchedWeights:
    """The arrays for the wanted weights, which come in a graph's order: parameters, then states.

    `trainable` are those that training changes: files before Keras 3 have them first.
    """
    found = _find_sources(stored, owners, expected, trainable)
    result = MatchedWeights(
        unexpected_paths=found.unexpected_paths, unused_paths=found.unused_paths, ignored_paths=found.ignored_paths
    )
    result.notices += [Diagnostic("weights-differ", text, file=file, severity="warning") for text in found.notices]
    _convert_arrays(found, expected, result)
    _add_precision_warnings(found, result, file)
    return result


def _find_sources(
    stored: Hdf5Weights, owners: Sequence[WeightOwner], expected: Mapping[str, TensorType], trainable: Collection[str]
) -> WeightSources:
    own: dict[str, list[str]] = {owner.name: [] for owner in owners}
    for name in expected:
        own.setdefault(name.partition("/")[0], []).append(name)
    find = h5_weights.find_weights if h5_weights.is_legacy_format(stored) else keras3_weights.find_weights
    return find(stored, owners, own, {name: type.shape for name, type in expected.items()}, trainable)


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
    """The array in the wanted element type, subnormal numbers kept. ValueError with the end of a sentence."""
    sizes = zip(array.shape, type.shape, strict=False)
    if array.ndim != type.rank or not all(isinstance(size, Size) or given == size for given, size in sizes):
        raise ValueError(f"has shape {list(array.shape)}, the network wants {shape_text(type.shape)}")
    made = np.dtype(type.dtype)
    if array.dtype.kind == "f" and made.kind == "f":
        with np.errstate(over="ignore"):
            cast = array.astype(made, copy=False)
        if cast.dtype.itemsize < array.itemsize and (np.isfinite(array) & ~np.isfinite(cast)).any():
            raise ValueError(f"has values too large for {type.dtype}")
        return cast
    if array.dtype.kind in "iu" and made.kind in "iu":
        cast = array.astype(made, copy=False)
        if (cast != array).any():
            raise ValueError(f"has values too large for {type.dtype}")
        return cast
    raise ValueError(f"has {array.dtype} elements, the network wants {type.dtype}")


def _add_precision_warnings(sources: WeightSources, result: MatchedWeights, file: str | None) -> None:
    """Notices of numbers that are odd or not exact."""
    rounded, odd = [], []
    for name, array in result.arrays.items():
        written = sources.arrays[name][1]
        if written.dtype.kind == "f" and written.itemsize > array.itemsize and (array != written).any():
            rounded.append(name)
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            odd.append(name)
    for names, what in ((rounded, "are rounded from float64 to float32"), (odd, "hold NaN or infinity")):
        if names:
            shown = ", ".join(map(repr, names[:MAX_NAMES_SHOWN])) + (
                f" and {len(names) - MAX_NAMES_SHOWN} more" if names[MAX_NAMES_SHOWN:] else ""
            )
            code = "not-finite" if names is odd else "weights-differ"
            result.notices.append(Diagnostic(code, f"the weights {shown} {what}", file=file, severity="warning"))
