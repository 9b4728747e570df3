"""Attention by blocks of queries, so that the scores of all queries and keys never exist at once.

The softmax of a query needs only the scores of this query. The backward pass computes the scores of a block again, so
that no scores are kept. Under a causal mask or a sliding window, a block reads only the keys that its queries can see.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import TYPE_CHECKING

from ...core.types import Dim, Size, evaluate_size
from ..axes import position_indices
from .attention_masks import Band, mask_as_float

if TYPE_CHECKING:
    from ...ir import Builder, Value

MIN_SCORES_BYTES = 1 << 24
"""Minimum size of the scores of a batch that are computed by blocks."""
MAX_BLOCK_BYTES = 1 << 23
"""Size of the scores of a block, unless there are `MAX_BLOCKS`: a few such tensors stay in a processor's cache."""
MAX_BLOCKS = 16
"""A block takes about 40 operators of a training step."""
MIN_BLOCK_QUERIES = 32
"""Minimum number of queries of a block: products of fewer rows leave processors idle."""


ScoresOf = Callable[[int, "Value"], "Value"]
MatMul = Callable[["Builder", "Value", "Value"], "Value"]


def block_count(g: Builder, scores: Sequence[Dim]) -> int:
    """The number of blocks for scores [..., queries, keys] of a batch of the expected sizes; 1 for few scores."""
    try:
        sizes = [evaluate_size(size, g.expected_sizes) for size in scores]
    except ValueError:  # also without expected sizes, since the size of a batch is symbolic
        return 1
    scores_bytes = 4 * prod(sizes)
    if not g.training or scores_bytes < MIN_SCORES_BYTES:
        return 1
    return max(1, min(MAX_BLOCKS, -(-scores_bytes // MAX_BLOCK_BYTES), sizes[-2] // MIN_BLOCK_QUERIES))


class QueryBlocks:
    """The queries [..., queries, features] of an attention in `count` blocks of consecutive positions.

    All blocks have equal sizes, but the last ones may be smaller or empty. Where queries and keys are positions of one
    sequence, keys have the same blocks, and a block of queries reads those that its queries can see.
    """

    def __init__(self, g: Builder, queries: Value, keys: Value, count: int, band: Band, *, skips_keys: bool) -> None:
        """`keys` are [..., features, keys]. Unless `skips_keys`, all blocks read all keys, as they must if a query that
        sees no key has scores of all."""
        self._g, self._queries, self._keys, self._band = g, queries, keys, band
        self._key_count = keys.shape[-1]
        self._length = queries.shape[-2]
        self._skips_keys = skips_keys and self._length == self._key_count
        self._spans_window = False
        self._min_size = 1
        """Minimum size of a block, so that a window spans no more than the neighbouring blocks."""
        self.count = count
        if band.window is not None and self._skips_keys:
            windows = evaluate_size(self._length, g.expected_sizes) // band.window
            window_count = max(1, min(count, windows))
            if (2 if band.causal else 3) * count <= window_count**2:  # the largest scores are no larger
                self.count, self._min_size, self._spans_window = window_count, band.window, True
        if isinstance(self._length, int):  # no block is empty
            self.count = -(-self._length // self._block_size(self._length))
        self._bounds = self._bound_sizes()
        """The first positions of all blocks, and the number of positions."""
        self._layout = self._length, self.count, self._min_size
        self._sizes, *self._edges = g.shared_values(("query blocks", *self._layout), self._emit_bounds)

    def _block_size(self, length: int) -> int:
        return max(-(-length // self.count), self._min_size)

    def _bound_sizes(self) -> Sequence[Dim]:
        length, count, least = self._length, self.count, self._min_size
        if isinstance(length, int):
            return [min(number * self._block_size(length), length) for number in range(count + 1)]
        share = f"(({length} + {count - 1})//{count})"
        text = share if least == 1 else f"({share} + {least} - min({share}, {least}))"
        return [0, *(Size.named(f"min({length}, {number}*{text})") for number in range(1, count)), length]

    def _emit_bounds(self) -> tuple[Value, ...]:
        """The sizes of all blocks as a vector, and their first positions and the number of positions as vectors of one
        element."""
        g, rank = self._g, self._queries.rank
        if isinstance(self._length, int):
            sizes = [self.rows(block) for block in range(self.count)]
            vectors: list[list[Dim]] = [sizes, *([bound] for bound in self._bounds)]
            return tuple(g.const(vector, "int64") for vector in vectors)
        length = g.Shape(self._queries, start=rank - 2, end=rank - 1)
        share = g.Div(g.Add(length, self.count - 1), self.count)
        share = share if self._min_size == 1 else g.Max(share, [self._min_size])
        edges = g.Min(length, g.Mul(share, list(range(self.count + 1))))
        starts, ends = (g.Slice(edges, [first], [first + self.count]) for first in (0, 1))
        return g.Sub(ends, starts), *(g.Slice(edges, [index], [index + 1]) for index in range(self.count + 1))

    def key_range(self, block: int) -> range | None:
        """The blocks of keys that a block of queries reads; None if it reads all keys, which have no blocks."""
        if not self._skips_keys or not (self._spans_window or self._band.causal):
            return None
        first = max(0, block - 1) if self._spans_window else 0
        return range(first, block + 1 if self._band.causal else min(block + 2, self.count))

    def key_size(self, block: int) -> Dim:
        """The number of keys that a block of queries reads."""
        keys = self.key_range(block)
        return self._key_count if keys is None else self._bounds[keys.stop] - self._bounds[keys.start]

    def attend(self, value: Value, dropout: Value | None, scores_of: ScoresOf, matmul: MatMul) -> Value:
        """The results [..., queries, features] of all queries.

        `value` is [..., keys, features], `dropout` the factors of all scores, `scores_of(block, products)` computes the
        scores of a block from its products of queries and keys.
        """
        g = self._g
        results: list[Value] = []
        queries, keys = self.split_queries(self._queries, -2), self.split_keys(self._keys, -1)
        values = self.split_keys(value, -2)
        for block in range(self.count):
            with g.recomputed():
                scores = scores_of(block, matmul(g, queries[block], self.read_keys(keys, block, -1)))
                scores = scores if dropout is None else g.Mul(scores, self.cut(dropout, block))
                results.append(matmul(g, scores, self.read_keys(values, block, -2)))
        return self._resized(g.Concat(*results, axis=-2), -2, self._length)

    def split_queries(self, x: Value, axis: int) -> list[Value]:
        """The blocks of a value along its axis of queries; the value itself for each, if the axis has size 1."""
        if x.shape[axis] == 1:
            return [x] * self.count
        parts = self._g.Split(x, self._sizes, axis=axis, outputs=self.count)
        return [self._resized(part, axis, self.rows(block)) for block, part in enumerate(parts)]

    def split_keys(self, x: Value, axis: int) -> list[Value]:
        """The blocks of a value along its axis of keys; only the value itself if keys have no blocks."""
        return [x] if self.key_range(0) is None else self.split_queries(x, axis)

    def read_keys(self, parts: Sequence[Value], block: int, axis: int) -> Value:
        """The keys that a block of queries reads, of the blocks of all keys along an axis."""
        keys = self.key_range(block)
        if keys is None or parts[keys.start] is parts[keys.stop - 1]:
            return parts[0 if keys is None else keys.start]
        joined = self._g.Concat(*parts[keys.start : keys.stop], axis=axis)
        return self._resized(joined, axis, self.key_size(block))

    def rows(self, block: int) -> Dim:
        """The number of queries of a block."""
        return self._bounds[block + 1] - self._bounds[block]

    def cut(self, x: Value, block: int) -> Value:
        """The part of a value [..., queries, keys] that a block computes with, for values that have no gradient."""
        g, keys, shape = self._g, self.key_range(block), list(x.shape)
        cuts: dict[int, tuple[int, int]] = {}
        if shape[-2] != 1:
            cuts[x.rank - 2], shape[-2] = (block, block + 1), self.rows(block)
        if shape[-1] != 1 and keys is not None:
            cuts[x.rank - 1], shape[-1] = (keys.start, keys.stop), self.key_size(block)
        if not cuts:
            return x
        starts, ends = (self._edges_at(indices) for indices in zip(*cuts.values(), strict=True))
        return g.refine(g.Slice(x, starts, ends, list(cuts)), shape)

    def _edges_at(self, indices: tuple[int, ...]) -> Value:
        """The positions at which some blocks begin, as a vector."""

        def joined() -> tuple[Value, ...]:
            edges = [self._edges[index] for index in indices]
            return (edges[0] if len(edges) == 1 else self._g.Concat(*edges, axis=0),)

        return self._g.shared_values(("edges of query blocks", *self._layout, indices), joined)[0]

    def masks(self, block: int, explicit_masks: Sequence[Value]) -> list[Value]:
        """The masks of a block, as numbers: of the band, and those given for all queries and keys."""
        masks = [mask_as_float(self._g, self.cut(mask, block)) for mask in explicit_masks]
        is_banded = self._band.causal or self._band.window is not None
        return [self._band_mask(block), *masks] if is_banded else masks

    def _band_mask(self, block: int) -> Value:
        """The mask of the band [queries, keys] for a block, 1 where a query sees a key."""
        g, band = self._g, self._band

        def mask() -> tuple[Value, ...]:
            queries = position_indices(g, self._queries, self._queries.rank - 2, (-1, 1))
            keys = position_indices(g, self._keys, self._keys.rank - 1, (1, -1))
            return (band.mask(g, self.cut(queries, block), self.cut(keys, block)),)

        key = ("band of query blocks", *self._layout, self._key_count, self.key_range(block), band, block)
        return g.shared_values(key, mask)[0]

    def _resized(self, x: Value, axis: int, size: Dim) -> Value:
        shape = list(x.shape)
        shape[axis] = size
        return self._g.refine(x, shape)
