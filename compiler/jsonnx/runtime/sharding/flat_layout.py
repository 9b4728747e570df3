"""The vector that holds all results of a shard."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import TYPE_CHECKING

import numpy as np

from ...core.reserved_names import LOSS_WEIGHT, is_gradient_name, is_metric_sums_name, sparse_gradient_weight
from ..providers.aligned_arrays import VECTOR_ALIGNMENT_BYTES
from .shard_group import STOP_FLAGS

if TYPE_CHECKING:
    from ...ir import Value

ALIGNED_ELEMENTS = VECTOR_ALIGNMENT_BYTES // 4


class FlatLayout:
    """Where the results of a shard lie in one vector: gradients first, as they may travel in 16 bits, then other means
    over samples, then sums.

    Sparse gradients, and rows of samples, which some metrics keep, have no fixed size and no place in it; neither have
    sums in float64, which some metrics need.
    """

    def __init__(self, outputs: Mapping[str, Value]) -> None:
        others = [name for name in outputs if not sparse_gradient_weight(name)]
        self.row_names = [name for name in others if not outputs[name].type.is_static()]
        self.wide_names = [n for n in others if n not in self.row_names and outputs[n].dtype != "float32"]
        names = [name for name in others if name not in (*self.row_names, *self.wide_names)]
        sums = {name for name in names if is_metric_sums_name(name) or name == LOSS_WEIGHT}
        names.sort(key=lambda name: (name in sums, not is_gradient_name(name)))
        self._places: dict[str, tuple[int, tuple[int, ...]]] = {}
        self.gradient_elements = self._mean_elements = end = 0
        for name in names:
            shape = tuple(int(size) for size in outputs[name].shape)
            self._places[name] = end, shape
            end += -(-prod(shape) // ALIGNED_ELEMENTS) * ALIGNED_ELEMENTS
            self.gradient_elements = end if is_gradient_name(name) else self.gradient_elements
            self._mean_elements = self._mean_elements if name in sums else end
        self._stop_start = end
        self.elements = end + ALIGNED_ELEMENTS

    def views(self, vector: np.ndarray) -> dict[str, np.ndarray]:
        """The results in a vector, by name."""
        return {
            name: vector[start : start + prod(shape)].reshape(shape) for name, (start, shape) in self._places.items()
        }

    def stops(self, vector: np.ndarray) -> np.ndarray:
        """The reasons to stop in a vector."""
        return vector[self._stop_start : self._stop_start + len(STOP_FLAGS)]

    def divide_by_weight(self, total: np.ndarray) -> np.float32:
        """Makes the sums over all shards means over the losses of the batch, if shards have been weighted by the
        `LOSS_WEIGHT` of each. Returns the divisor, which is that of sparse gradients, too."""
        weight = np.float32(1)
        if LOSS_WEIGHT in self._places:
            weight = total[self._places[LOSS_WEIGHT][0]] or weight
            total[: self._mean_elements] /= weight
        return weight
