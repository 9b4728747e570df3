"""Position embeddings of sequences."""

from __future__ import annotations

from math import pi
from typing import TYPE_CHECKING, Any

from ...core.components import attr
from ...core.types import TensorType, broadcast, require, shape_text
from ...training.weights.initializers import Initializer
from ..axes import position_indices
from ..base import Layer, layer
from .positions import MAX_WAVELENGTH, WAVELENGTH, check_positions, sine_table, start_index

if TYPE_CHECKING:
    from ...ir import Builder, Value


class PositionVectors(Layer):
    """Base class of layers that return a vector for every position of their first input, whose values they ignore."""

    arity = (1, 2)
    reads_only_shapes = True

    start_index: int = start_index()

    def infer(self, x: TensorType, positions: TensorType | None = None) -> TensorType:
        require(x.rank >= 3, f"needs a sequence of vectors, [batch, ..., time, features], got {x}")
        require(x.dtype != "string", f"needs numbers, got {x}")
        x.static_size(-1)
        check_positions(x, x.rank - 2, positions)
        if positions is not None:
            shape = (*positions.shape, x.shape[-1])
            fits = broadcast(shape, x.shape) == x.shape
            require(fits, f"cannot broadcast vectors of shape {shape_text(shape)} to the shape of {x}")
        return x.with_dtype("float32")

    def broadcast_to(self, g: Builder, vectors: Value, x: Value) -> Value:
        """Repeats the vectors of positions for all samples. An addition after it does without the copies."""
        return g.refine(g.Expand(vectors, g.sizes(x.shape, x)), x.shape)


@layer
class PositionEmbedding(PositionVectors):
    """Trainable vectors for the positions of a sequence, in the shape of the input.

    Adds nothing to the input by itself: pass both to Add. Only the input's shape counts. The optional second input
    gives the positions, [time] or [batch, time], in place of `start_index`, `start_index + 1`, ... A layer of KerasHub.
    """

    formula = """
        positions = xs[1] if len(xs) > 1 else start_index + arange(x.shape[-2])
        y = broadcast_to(embeddings[positions.astype(int)], x.shape)
    """
    keras_name = "keras_hub.layers.PositionEmbedding"
    sequence_length: int = attr(doc="Number of positions that have a vector: the longest sequence.", minimum=1)
    initializer: Initializer = attr("glorot_uniform", doc="Initial value of the vectors.")

    def infer(self, x: TensorType, positions: TensorType | None = None) -> TensorType:
        y = super().infer(x, positions)
        length = x.shape[-2]
        if positions is None:
            count = self.start_index + (length if isinstance(length, int) else 1)
            at_least = "" if isinstance(length, int) else "at least "
            message = f"has vectors for {self.sequence_length} positions, and needs {at_least}{count} for {x}"
            require(count <= self.sequence_length, message, "increase sequence_length", code="out-of-range")
        return y

    def lower(self, g: Builder, x: Value, positions: Value | None = None) -> Any:
        embeddings = g.param("embeddings", (self.sequence_length, x.type.static_size(-1)), self.initializer)
        length = x.shape[-2]
        if positions is not None:
            vectors = g.Gather(embeddings, g.cast(positions, "int64"), axis=0)
        elif isinstance(length, int):
            vectors = embeddings
            if length < self.sequence_length:
                vectors = g.Slice(embeddings, [self.start_index], [self.start_index + length], [0], [1])
        else:  # a lookup fails on positions without a vector, whereas a slice would be too short
            vectors = g.Gather(embeddings, position_indices(g, x, x.rank - 2, first=self.start_index), axis=0)
        return self.broadcast_to(g, vectors, x)


@layer
class SinePositionEncoding(PositionVectors):
    """Sines and cosines of the positions of a sequence (Vaswani et al., 2017), in the shape of the input.

    Adds nothing to the input by itself: pass both to Add. Only the input's shape counts. The optional second input
    gives the positions, [time] or [batch, time], in place of `start_index`, `start_index + 1`, ... A layer of KerasHub.
    """

    formula = """
        positions = xs[1] if len(xs) > 1 else start_index + arange(x.shape[-2])
        i = arange(x.shape[-1])
        angles = positions[..., None] / max_wavelength ** (2 * (i // 2) / len(i))
        y = broadcast_to(where(i % 2 == 0, sin(angles), cos(angles)), x.shape)
    """
    keras_name = "keras_hub.layers.SinePositionEncoding"
    max_wavelength: float = attr(MAX_WAVELENGTH, doc=WAVELENGTH, minimum=1, maximum=1e12)

    def lower(self, g: Builder, x: Value, positions: Value | None = None) -> Any:
        features = range(x.type.static_size(-1))
        frequencies = [(1 / self.max_wavelength) ** (2 * (index // 2) / len(features)) for index in features]
        phases = [pi / 2 * (index % 2) for index in features]  # a cosine is a sine, a quarter of a turn later
        axis = x.rank - 2
        vectors = sine_table(g, x, axis, frequencies, phases, first=self.start_index, positions=positions)
        return self.broadcast_to(g, vectors, x)
