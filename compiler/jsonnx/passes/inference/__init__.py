"""Optimisation of graphs with constant weights before they are written.

Not for graphs whose weights are inputs, as in training and evaluation: folding changes the values of weights.
"""

from __future__ import annotations

from functools import reduce

from ...ir import Graph
from ..canonicalize import canonicalize
from ..gelu_as_erf import write_gelu_as_erf
from ..layout import propagate_transposes
from .channels_first_rules import INFERENCE_RULES
from .fold_affine import fold_affine
from .fold_transpose import fold_transpose_into_matmul
from .fuse_hard_activations import fuse_hard_activations
from .fuse_pad import fuse_pads
from .global_average_pool import use_global_average_pool
from .remove_noops import remove_noops
from .shared_weights import multiply_by_transposed_weights


def propagate_transposes_for_inference(graph: Graph) -> Graph:
    """Moves operators on channels to the layout of convolutions, so that the Transposes between them cancel out."""
    return propagate_transposes(graph, INFERENCE_RULES)


PASSES = (
    multiply_by_transposed_weights,
    propagate_transposes_for_inference,
    fold_transpose_into_matmul,
    remove_noops,
    fuse_hard_activations,
    fuse_pads,
    canonicalize,
    fold_affine,
    use_global_average_pool,
    remove_noops,
    canonicalize,
    write_gelu_as_erf,
)


def optimize_for_inference(graph: Graph) -> Graph:
    """A graph with the same inputs and outputs and fewer operators; results differ by rounding only."""
    return reduce(lambda result, apply: apply(result), PASSES, graph)
