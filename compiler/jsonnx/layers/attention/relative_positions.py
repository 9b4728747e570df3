"""Relative positions: terms of attention scores that depend on the distance from a query position to a key position."""

from __future__ import annotations

from math import log, log2
from typing import TYPE_CHECKING, Any, NamedTuple

from ...core.components import Component, Registry, attr
from ...core.types import Dim, TensorType, require
from ...training.weights.initializers import Initializer
from ..axes import MAX_SLICE_BOUND, position_indices
from ..base import Layer, layer
from ..einsum_dense import reshape_symbolic

if TYPE_CHECKING:
    from ...ir import Builder, Value

RELATIVE_POSITIONS = Registry(
    "relative_position", "A term of attention scores that depends on the distance from query to key."
)

BUCKET_FORMULA = """count = num_buckets // 2 if bidirectional else num_buckets
        exact, size = count // 2, abs(distance) if bidirectional else maximum(-distance, 0)
        growth = log(maximum(size, 1) / exact) / log(max_distance / exact)
        coarse = exact + floor(growth * (count - exact) + 1e-9)
        bucket = where(size < exact, size, minimum(coarse, count - 1))
        bucket += count * (distance > 0) if bidirectional else 0"""
"""The bucket of each distance, as lines of a formula."""

MAX_BUCKETS = 4096
MAX_MAX_DISTANCE = 1 << 16


class DistanceAxes(NamedTuple):
    """The axes of queries and keys, of which a distance is the position of the key minus that of the query."""

    query: Value
    key: Value
    axis: int

    @property
    def sizes(self) -> tuple[Dim, Dim]:
        return self.query.shape[self.axis], self.key.shape[self.axis]

    def size(self, g: Builder, of_keys: bool = False) -> Value:
        """The number of queries or keys, as a vector of one element."""
        return g.sizes((self.sizes[of_keys],), self.key if of_keys else self.query)

    def distances(self, g: Builder, limit: int) -> Value:
        """The distances from `-queries`, which does not occur, to `keys - 1`, clipped to a limit and counted from 0."""
        queries, keys = self.sizes
        if isinstance(queries, int) and isinstance(keys, int):
            clipped = [min(max(distance, -limit), limit) + limit for distance in range(-queries, keys)]
            return g.const(clipped, "int64")
        query_count, key_count = (g.Squeeze(self.size(g, of_keys), [0]) for of_keys in (False, True))
        distances = g.Range(g.Neg(query_count), key_count, g.const(1, "int64"))
        return g.refine(g.Add(g.Clip(distances, -limit, limit), limit), (queries + keys,))

    def by_pair(self, g: Builder, x: Value) -> Value:
        """Values [..., query, distance] as values [..., query, key].

        Without the first `queries` elements, rows that are shorter by one begin one distance earlier from row to row.
        """
        queries, keys = self.sizes
        front, rows, last = x.shape[:-2], queries + keys, x.rank - 1
        x = reshape_symbolic(g, x, (*front, rows, queries), x)
        x = g.refine(g.Slice(x, [1], [MAX_SLICE_BOUND], [last - 1]), (*front, rows - 1, queries))
        x = reshape_symbolic(g, x, (*front, queries, rows - 1), x)
        return g.refine(g.Slice(x, [0], self.size(g, of_keys=True), [last]), (*front, queries, keys))

    def by_distance(self, g: Builder, x: Value) -> Value:
        """Values [..., query, key] as values [..., query, distance], with 0 at the distances that do not occur."""
        queries, keys = self.sizes
        front, rows, last = x.shape[:-2], queries + keys, x.rank - 1
        zeros = g.full(0.0, g.Concat(g.Shape(x, end=last), g.Sub(self.size(g), 1), axis=0), x.dtype)
        x = g.refine(g.Concat(x, zeros, axis=last), (*front, queries, rows - 1))
        x = reshape_symbolic(g, x, (*front, rows - 1, queries), x)
        pads = [0] * (2 * x.rank)  # of all axes: OpenVINO takes no others
        pads[last - 1] = 1
        x = g.refine(g.Pad(x, pads), (*front, rows, queries))
        return reshape_symbolic(g, x, (*front, queries, rows), x)


class RelativePosition(Component):
    """Base class of the relative positions that an attention layer has as an option."""

    registry = RELATIVE_POSITIONS

    def term(self, g: Builder, query: Value, axes: DistanceAxes, is_causal: bool) -> Value:
        """The term that is added to the scores, [..., heads, query time, key time]; `query` is the scaled query,
        [..., heads, time, features]."""
        raise NotImplementedError

    def check(self, is_causal: bool) -> None:
        """Raises ShapeError if the arguments do not fit each other."""

    def add_to_values(self, g: Builder, y: Value, scores: Value, axes: DistanceAxes) -> Value:
        """The heads' results y, [..., heads, query time, features], with the term of relative positions added."""
        return y


@RELATIVE_POSITIONS.register()
class Alibi(RelativePosition):
    """A penalty in proportion to the distance, with a fixed slope for each head (Press et al., 2022).

    For numbers of heads that are no power of 2, the slopes of the power of 2 below are followed by every other one of
    the next power of 2.
    """

    formula = """
        slopes = 2 ** (-8 * arange(1, heads + 1) / heads)  # for a power of 2
        distance = arange(keys) - arange(queries)[:, None]
        term = -slopes[:, None, None] * abs(distance)
    """

    def term(self, g: Builder, query: Value, axes: DistanceAxes, is_causal: bool) -> Value:
        query_positions = position_indices(g, axes.query, axes.axis, (-1, 1))
        distances = g.Abs(g.Sub(position_indices(g, axes.key, axes.axis, (1, -1)), query_positions))
        slopes = alibi_slopes(query.shape[-3])
        return g.Mul(g.cast(distances, query.dtype), g.const([[[-slope]] for slope in slopes], query.dtype))


def alibi_slopes(heads: int) -> list[float]:
    """The slope of each head."""
    power = 1 << int(log2(heads))
    slopes = [2 ** (-8 * (head + 1) / power) for head in range(power)]
    return slopes + [2 ** (-4 * (head + 1) / power) for head in range(0, 2 * (heads - power), 2)]


class DistanceBuckets(Component):
    """Trainable numbers for buckets of distances, one for each head."""

    num_buckets: int = attr(32, doc="Number of buckets.", minimum=2, maximum=MAX_BUCKETS)
    max_distance: int = attr(
        128, doc="Distance from which on all are in the last bucket.", minimum=2, maximum=MAX_MAX_DISTANCE
    )
    initializer: Initializer = attr("uniform", doc="Initial value of the numbers.")

    def check_buckets(self, bidirectional: bool) -> None:
        """Raises ShapeError if there are too few buckets, or if the distances do not need as many."""
        exact = self.exact_distances(bidirectional)
        message = f"needs at least {4 if bidirectional else 2} buckets, got {self.num_buckets}"
        require(exact > 0, message, code="out-of-range")
        message = f"has a bucket for each distance below {exact}, and the max_distance {self.max_distance}"
        require(self.max_distance > exact, message, "increase max_distance, or reduce num_buckets", "out-of-range")

    def exact_distances(self, bidirectional: bool) -> int:
        """The number of distances, from 0, that have a bucket of their own."""
        return self.num_buckets // (4 if bidirectional else 2)

    def bucket(self, distance: int, bidirectional: bool) -> int:
        """The bucket of a distance: half of the buckets for each sign, or all for keys that are not after the query."""
        count = self.num_buckets // 2 if bidirectional else self.num_buckets
        first = count if bidirectional and distance > 0 else 0
        size = abs(distance) if bidirectional else max(-distance, 0)
        exact = self.exact_distances(bidirectional)
        if size < exact:
            return first + size
        ratio = log(size / exact) / log(self.max_distance / exact)
        rounding = 1e-9  # so that a power of the ratio of two buckets is in the bucket that it begins
        return first + min(exact + int(ratio * (count - exact) + rounding), count - 1)

    def bias(self, g: Builder, heads: int, axes: DistanceAxes, bidirectional: bool) -> Value:
        """The numbers of all pairs of positions, [heads, query time, key time]."""
        table = g.param("embeddings", (self.num_buckets, heads), self.initializer)
        limit = self.max_distance
        buckets = g.const([self.bucket(distance, bidirectional) for distance in range(-limit, limit + 1)], "int64")
        queries, keys = axes.sizes
        numbers = g.Gather(table, g.Gather(buckets, axes.distances(g, limit), axis=0), axis=0)
        numbers = g.Unsqueeze(g.Transpose(numbers, perm=[1, 0]), [1])
        rows = g.Expand(numbers, g.Concat([1], axes.size(g), [1], axis=0))
        return axes.by_pair(g, g.refine(rows, (heads, queries, queries + keys)))


@RELATIVE_POSITIONS.register()
class T5(RelativePosition, DistanceBuckets):
    """A trainable number for each head and each bucket of distances (Raffel et al., 2020).

    Half of the buckets are single distances, the others grow like the logarithm of the distance, to `max_distance`. T5
    itself shares the numbers between all layers (RelativePositionBias does that), and does not scale the query.
    """

    formula = f"""
        distance = arange(keys) - arange(queries)[:, None]
        {BUCKET_FORMULA}
        term = moveaxis(embeddings[bucket.astype(int)], -1, 0)
    """
    bidirectional: bool | None = attr(
        None,
        doc="Whether keys after the query have buckets of their own; null for true unless the attention is causal.",
    )

    def check(self, is_causal: bool) -> None:
        self.check_buckets(self.is_bidirectional(is_causal))

    def is_bidirectional(self, is_causal: bool) -> bool:
        return not is_causal if self.bidirectional is None else self.bidirectional

    def term(self, g: Builder, query: Value, axes: DistanceAxes, is_causal: bool) -> Value:
        return self.bias(g, query.shape[-3], axes, self.is_bidirectional(is_causal))


@RELATIVE_POSITIONS.register()
class Shaw(RelativePosition):
    """A trainable vector for each clipped distance, added to the keys (Shaw et al., 2018). All heads share them."""

    formula = """
        distance = arange(keys) - arange(queries)[:, None]
        vectors = key_embeddings[clip(distance, -max_distance, max_distance) + max_distance]
        term = einsum("bhqf,qkf->bhqk", query, vectors)
    """
    max_distance: int = attr(16, doc="Distance from which on all have one vector.", minimum=1, maximum=MAX_MAX_DISTANCE)
    use_values: bool = attr(False, doc="Whether other vectors are added to the values as well.")
    initializer: Initializer = attr("glorot_uniform", doc="Initial value of the vectors.")

    def vectors(self, g: Builder, name: str, size: int, axes: DistanceAxes) -> Value:
        """The vectors of all distances, [distances, features]."""
        table = g.param(name, (2 * self.max_distance + 1, size), self.initializer)
        return g.Gather(table, axes.distances(g, self.max_distance), axis=0)

    def term(self, g: Builder, query: Value, axes: DistanceAxes, is_causal: bool) -> Value:
        vectors = self.vectors(g, "key_embeddings", query.shape[-1], axes)
        return axes.by_pair(g, g.MatMul(query, g.Transpose(vectors, perm=[1, 0])))

    def add_to_values(self, g: Builder, y: Value, scores: Value, axes: DistanceAxes) -> Value:
        if not self.use_values:
            return y
        vectors = self.vectors(g, "value_embeddings", y.shape[-1], axes)
        return g.Add(y, g.MatMul(axes.by_distance(g, scores), vectors))


@layer
class RelativePositionBias(Layer, DistanceBuckets):
    """A trainable number for each head and each bucket of distances (Raffel et al., 2020), to share between layers.

    The result, [batch, heads, query time, key time], is the input `attention_bias` of attention layers, so that they
    have the same numbers, as in T5. The inputs are the query and, unless it is the same, the key. Only their shapes
    count.
    """

    formula = f"""
        query, key = xs[0], xs[-1]
        distance = arange(key.shape[1]) - arange(query.shape[1])[:, None]
        {BUCKET_FORMULA}
        bias = moveaxis(embeddings[bucket.astype(int)], -1, 0)
        y = broadcast_to(bias, (len(query), *bias.shape))
    """
    keras_name = ""
    arity = (1, 2)
    reads_only_shapes = True

    num_heads: int = attr(doc="Number of heads of the attention.", minimum=1)
    bidirectional: bool = attr(
        True, doc="Whether keys after the query have buckets of their own; false for causal attention."
    )

    def infer(self, query: TensorType, key: TensorType | None = None) -> TensorType:
        key = query if key is None else key
        for name, x in (("query", query), ("key", key)):
            require(x.rank >= 2, f"needs a sequence, [batch, time, ...], as its {name}, got {x}")
        self.check_buckets(self.bidirectional)
        return TensorType("float32", (query.shape[0], self.num_heads, query.shape[1], key.shape[1]))

    def lower(self, g: Builder, query: Value, key: Value | None = None) -> Any:
        axes = DistanceAxes(query, query if key is None else key, 1)
        bias = g.Unsqueeze(self.bias(g, self.num_heads, axes, self.bidirectional), [0])
        shape = (query.shape[0], *bias.shape[1:])  # an addition to the scores does without the copies
        return g.refine(g.Expand(bias, g.sizes(shape, query, bias)), shape)
