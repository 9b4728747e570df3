"""A file's arrays as weights by our names, every one accounted for.

Comes in: what a file holds, which layers there are, and which weights a network wants. Goes out: `Matched`. Nothing is
taken that does not have the wanted shape, and nothing is left over in silence.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from ...core.diagnostics import Diagnostic
from ...core.types import Size, TensorType, shape_text
from ..hdf5 import Stored
from . import h5_weights, keras3_weights
from .entries import Owner
from .weight_sources import Found

SHOWN = 8


class Wrong(NamedTuple):
    """A weight that cannot be taken, and why: the end of a sentence."""

    name: str
    path: str
    why: str


@dataclass
class Matched:
    """What became of every weight of a network and every array of a file."""

    arrays: dict[str, np.ndarray] = field(default_factory=dict)
    """By our names, in the order wanted, in the element types wanted."""
    missing: list[str] = field(default_factory=list)
    """Our names of weights that the file does not have."""
    extra: list[str] = field(default_factory=list)
    """Paths in the file of arrays that belong to no weight."""
    wrong: list[Wrong] = field(default_factory=list)
    unused: list[str] = field(default_factory=list)
    """Paths of arrays of layers whose weights are not wanted."""
    dropped: list[str] = field(default_factory=list)
    """Paths of arrays that are known and not wanted, such as the states of random generators."""
    notices: list[Diagnostic] = field(default_factory=list)
    """What a user should know of weights that were taken: warnings."""

    def faults(self, file: str | None = None) -> list[Diagnostic]:
        """An error for everything that does not fit."""
        told = [f"the weight {wrong.name!r} ({wrong.path!r} in the file) {wrong.why}" for wrong in self.wrong]
        told += [f"the weight {name!r} is missing in the file" for name in self.missing]
        told += [f"the file's array {path!r} belongs to no weight of the network" for path in self.extra]
        return [Diagnostic("weights-mismatch", message, file=file) for message in told]


def matched(
    stored: Stored,
    owners: Sequence[Owner],
    wanted: Mapping[str, TensorType],
    trainable: Collection[str],
    file: str | None = None,
) -> Matched:
    """The arrays for the wanted weights, which come in a graph's order: parameters, then states.

    `trainable` are those that training changes: files before Keras 3 have them first.
    """
    found = _found(stored, owners, wanted, trainable)
    result = Matched(extra=found.extra, unused=found.unused, dropped=found.dropped)
    result.notices += [Diagnostic("weights-differ", text, file=file, severity="warning") for text in found.notices]
    _fit(found, wanted, result)
    _tell(found, result, file)
    return result


def _found(
    stored: Stored, owners: Sequence[Owner], wanted: Mapping[str, TensorType], trainable: Collection[str]
) -> Found:
    own: dict[str, list[str]] = {owner.name: [] for owner in owners}
    for name in wanted:
        own.setdefault(name.partition("/")[0], []).append(name)
    find = h5_weights.find if h5_weights.is_legacy(stored) else keras3_weights.find
    return find(stored, owners, own, {name: type.shape for name, type in wanted.items()}, trainable)


def _fit(found: Found, wanted: Mapping[str, TensorType], result: Matched) -> None:
    for name, type in wanted.items():
        if name in found.wrong:
            result.wrong.append(Wrong(name, *found.wrong[name]))
        elif name not in found.arrays:
            result.missing.append(name)
        else:
            path, array = found.arrays[name]
            try:
                result.arrays[name] = fitted(array, type)
            except ValueError as error:
                result.wrong.append(Wrong(name, path, str(error)))


def fitted(array: np.ndarray, type: TensorType) -> np.ndarray:
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


def _tell(found: Found, result: Matched, file: str | None) -> None:
    """Notices of numbers that are odd or not exact."""
    rounded, odd = [], []
    for name, array in result.arrays.items():
        written = found.arrays[name][1]
        if written.dtype.kind == "f" and written.itemsize > array.itemsize and (array != written).any():
            rounded.append(name)
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            odd.append(name)
    for names, what in ((rounded, "are rounded from float64 to float32"), (odd, "hold NaN or infinity")):
        if names:
            shown = ", ".join(map(repr, names[:SHOWN])) + (f" and {len(names) - SHOWN} more" if names[SHOWN:] else "")
            code = "not-finite" if names is odd else "weights-differ"
            result.notices.append(Diagnostic(code, f"the weights {shown} {what}", file=file, severity="warning"))
