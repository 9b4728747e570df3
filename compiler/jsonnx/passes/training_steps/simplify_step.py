"""The rewrites of every training step, for any runtime, in order."""

from __future__ import annotations

from ...ir import Graph
from ..canonicalize import canonicalize
from .column_sum_matmul import column_sums_as_matmul
from .factor_sums import clear_gradient_flags, factor_sums
from .fold_batchnorm_gamma import fold_gamma_into_weights
from .relu_maxpool_gradient import move_relu_mask_after_pool
from .transposed_products import without_transposed_weights


def simplify_step(step: Graph, batch_size: int) -> Graph:
    """Rewrites a step for batches of this size into fewer or cheaper operators, for any runtime."""
    factored = factor_sums(without_transposed_weights(clear_gradient_flags(canonicalize(step))))
    return column_sums_as_matmul(move_relu_mask_after_pool(fold_gamma_into_weights(factored, batch_size)))
