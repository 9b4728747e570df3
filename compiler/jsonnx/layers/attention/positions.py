"""The positions of a sequence: counted along an axis, or given as an input."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ...core.components import attr
from ...core.types import TensorType, broadcast, require, shape_text
from ..axes import position_indices

if TYPE_CHECKING:
    from ...ir import Builder, Value

MAX_TABLE_ELEMENTS = 1 << 20
"""Elements of the largest table that is stored in the file; larger ones are computed at run time."""

MAX_WAVELENGTH = 10000
WAVELENGTH = "Longest wavelength of the sines and cosines, divided by 2 pi."


def start_index() -> Any:
    """The attribute for the first position. KerasHub takes it as an argument of the call."""
    return attr(0, doc="First position, if the positions are not an input.", minimum=0, maximum=1 << 31)


def check_positions(x: TensorType, sequence_axis: int, positions: TensorType | None) -> None:
    """Raises ShapeError unless the positions are numbers, one for each step, or for each step of each sample."""
    if positions is None:
        return
    require(positions.dtype not in ("string", "bool"), f"needs numbers as positions, got {positions}")
    expected = (x.shape[0], x.shape[sequence_axis])[-max(positions.rank, 1) :]
    fits = positions.rank in (1, 2) and broadcast(positions.shape, expected) == expected
    message = f"needs positions of shape {shape_text((x.shape[0], x.shape[sequence_axis]))}, got {positions}"
    require(fits, message, "one position for each step of the sequence, or for each step of each sample")


def sine_table(
    g: Builder,
    x: Value,
    axis: int,
    frequencies: Sequence[float],
    phases: Sequence[float],
    *,
    amplitude: float = 1.0,
    first: int = 0,
    positions: Value | None = None,
) -> Value:
    """Emits `amplitude * sin(position * frequency + phase)` for every position along an axis of x and every frequency.

    The table is [time, frequencies], or [batch, time, frequencies] for positions of this shape. Equal tables of several
    layers are one constant.
    """
    size = x.shape[axis]
    if positions is None and isinstance(size, int) and size * len(frequencies) <= MAX_TABLE_ELEMENTS:
        import numpy as np

        def table() -> np.ndarray:
            column = np.arange(first, first + size)[:, None]
            return np.asarray(amplitude * np.sin(column * np.array(frequencies) + np.array(phases)))

        key = ("sine table", first, size, amplitude, tuple(frequencies), tuple(phases))
        return g.shared_const(key, table)
    column = position_indices(g, x, axis, (-1, 1), first) if positions is None else g.Unsqueeze(positions, [-1])
    column = g.cast(column, x.dtype if x.dtype.startswith("float") else g.float_dtype)
    waves = g.Sin(g.Add(g.Mul(column, list(map(float, frequencies))), list(map(float, phases))))
    return waves if amplitude == 1.0 else g.Mul(waves, amplitude)
