"""Indexing with a Python key in keras.ops: `x[key]`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any

from ...core.components import Json, attr
from ...core.types import Dim, Size, TensorType, require
from ..axes import MAX_SLICE_BOUND, MIN_SLICE_BOUND
from .base import Operation, operation
from .shape import reverse_axes

if TYPE_CHECKING:
    from ...ir import Builder, Value

MAX_SLICE_CHARACTERS = 64
"""Characters of a slice: three integers of 64 bits, and spaces."""

KEY_SYNTAX = (
    'each is an integer, a slice such as "1:-1" or "::2", "..." or null for a new axis, as in x[1, :, ..., None]'
)


class KeyCodec:
    """Codec of a Python indexing key: integers, slices and `...` as text, null for a new axis."""

    def schema(self) -> dict[str, Json]:
        return {"type": "array", "items": {"type": ["integer", "string", "null"]}}

    def read(self, value: Json) -> tuple[Any, ...]:
        return tuple(int(item) if isinstance(item, float) else item for item in value)

    def write(self, value: tuple[Any, ...]) -> Json:
        return list(value)


Key = Annotated[tuple[Any, ...], KeyCodec()]


def parse_slice(text: str) -> slice:
    """Parses a slice. Raises ShapeError if the text is not a slice."""
    match = re.fullmatch(r"\s*(-?\d+)?\s*:\s*(-?\d+)?\s*(?::\s*(-?\d+)?\s*)?", text[: MAX_SLICE_CHARACTERS + 1])
    is_slice = match is not None and len(text) <= MAX_SLICE_CHARACTERS
    shown = text if len(text) <= MAX_SLICE_CHARACTERS else f"{text[:20]}..."
    require(is_slice, f"cannot read {shown!r} in its key", KEY_SYNTAX, "invalid-value")
    assert match is not None
    start, stop, step = (None if part is None else int(part) for part in match.groups())
    require(step != 0, f"has a slice with step 0, {text!r}", code="invalid-value")
    return slice(start, stop, 1 if step is None else step)


def slice_length(size: Dim, part: slice) -> Dim:
    """The number of elements of a slice, symbolic if the axis' size is."""
    if isinstance(size, int):
        return len(range(*part.indices(size)))
    start, stop, step = part.start, part.stop, part.step
    if step < 0:
        full = start is None and stop is None
        require(
            full,
            f"has a slice backwards over a part of an axis of size {size}",
            "reverse the whole axis first, then slice it",
        )
        length: Dim = size
    else:
        low = 0 if start is None else start
        if stop is None:
            length = size - low if low >= 0 else -low
        elif stop < 0:
            length = size + stop - low if low >= 0 else stop - low
        else:
            require(low >= 0, f"has a slice from the end to {stop} of an axis of size {size}")
            length = Size.named(f"min({size}, {stop})") - low
    return length if abs(step) == 1 else (length + (abs(step) - 1)) // abs(step)


@operation("get_item")
class GetItem(Operation):
    """Indexes a tensor, as in Python."""

    formula = "y = x[key]"
    keeps_unbounded = True
    key: Key = attr(doc="Indices, starting with the batch axis: " + KEY_SYNTAX + ".")

    def _indexers(self, x: TensorType) -> list[Any]:
        """An integer or slice for every axis of x, and None between them for new axes."""
        key = list(self.key)
        require(key.count("...") <= 1, 'has "..." twice in its key', code="invalid-value")
        count = sum(item is not None and item != "..." for item in key)
        require(count <= x.rank, f"has {count} indices in its key, got {x}", "the batch is the first axis")
        full_slices = [slice(None, None, 1)] * (x.rank - count)
        ellipsis = key.index("...") if "..." in key else len(key)
        key = [*key[:ellipsis], *full_slices, *key[ellipsis + 1 :]]
        return [parse_slice(item) if isinstance(item, str) else item for item in key]

    def infer(self, x: TensorType) -> TensorType:
        sizes = iter(x.shape)
        shape: list[Dim] = []
        for indexer in self._indexers(x):
            if indexer is None:
                shape.append(1)
                continue
            size = next(sizes)
            if isinstance(indexer, slice):
                shape.append(slice_length(size, indexer))
            else:
                inside = not isinstance(size, int) or -size <= indexer < size
                require(inside, f"takes element {indexer} of an axis of size {size}, got {x}", code="out-of-range")
        return x.with_shape(shape)

    def takes_first_step(self, x: TensorType, mask: TensorType) -> bool:
        by_axis = [indexer for indexer in self._indexers(x) if indexer is not None]
        return all(indexer == 0 for indexer in by_axis[1 : mask.rank])

    def lower(self, g: Builder, x: Value) -> Any:
        shape, indexers = self.infer(x.type).shape, self._indexers(x.type)
        by_axis = [indexer for indexer in indexers if indexer is not None]
        y = self._slice_axes(g, x, by_axis)
        dropped = [axis for axis, indexer in enumerate(by_axis) if not isinstance(indexer, slice)]
        y = g.Squeeze(y, dropped) if dropped else y
        remaining = [indexer for indexer in indexers if indexer is None or isinstance(indexer, slice)]
        added = [axis for axis, indexer in enumerate(remaining) if indexer is None]
        y = g.Unsqueeze(y, added) if added else y
        return g.refine(y, shape) if y is not x else y

    def _slice_axes(self, g: Builder, x: Value, by_axis: list[Any]) -> Value:
        """Slices every axis of x; an integer gives one element. Backward slices are emitted forward, then reversed."""
        cuts = {axis: part for axis, part in enumerate(by_axis) if part != slice(None, None, 1)}
        if not cuts:
            return x
        parts = [part if isinstance(part, slice) else one_element_slice(part) for part in cuts.values()]
        static = {axis: size for axis in cuts if isinstance(size := x.shape[axis], int)}
        reversed_axes = [axis for axis, part in zip(cuts, parts, strict=True) if axis in static and part.step < 0]
        parts = [
            forward_slice(part, static[axis]) if axis in reversed_axes else part
            for axis, part in zip(cuts, parts, strict=True)
        ]
        starts = [(0 if part.step > 0 else MAX_SLICE_BOUND) if part.start is None else part.start for part in parts]
        stops = [
            (MAX_SLICE_BOUND if part.step > 0 else MIN_SLICE_BOUND) if part.stop is None else part.stop
            for part in parts
        ]
        y = g.Slice(x, starts, stops, list(cuts), [part.step for part in parts])
        y = reverse_axes(g, y, *reversed_axes)
        return g.refine(y, [slice_length(size, as_slice(part)) for size, part in zip(x.shape, by_axis, strict=True)])


def forward_slice(part: slice, size: int) -> slice:
    """The elements of a backward slice as a forward slice."""
    indices = range(*part.indices(size))
    return slice(indices[-1], indices[0] + 1, -part.step) if indices else slice(0, 0, 1)


def one_element_slice(index: int) -> slice:
    """The slice of a single element."""
    return slice(index, index + 1 if index != -1 else None, 1)


def as_slice(indexer: Any) -> slice:
    """A slice unchanged, and a one-element slice for an integer."""
    return indexer if isinstance(indexer, slice) else slice(0, 1, 1)
