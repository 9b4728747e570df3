"""Optimisation of graphs with constant weights before they are written.

Not for graphs whose weights are inputs, as in training and evaluation: folding changes the values of weights.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce

from ...ir import Graph
from ..canonicalize import canonicalize
from ..gelu_as_erf import write_gelu_as_erf
from ..layout import propagate_transposes
from .channels_first_rules import INFERENCE_RULES
from .fold_affine import fold_affine, fold_affine_into_producers
from .fold_transpose import fold_transpose_into_matmul
from .fuse_hard_activations import fuse_hard_activations
from .fuse_pad import fuse_pads
from .global_average_pool import use_global_average_pool
from .remove_noops import remove_noops
from .shared_weights import multiply_by_transposed_weights

GraphPass = Callable[[Graph], Graph]


def propagate_transposes_for_inference(graph: Graph) -> Graph:
    """Moves operators on channels to the layout of convolutions, so that the Transposes between them cancel out."""
    return propagate_transposes(graph, INFERENCE_RULES)


PASSES: tuple[GraphPass, ...] = (
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

QUANTIZATION_PASSES = tuple(fold_affine_into_producers if each is fold_affine else each for each in PASSES)
"""The passes before quantization. A normalization stays in front of the operator that reads it: it gives the columns of
a table the common range that a quantizer needs."""


STRUCTURAL_PASSES = (
    propagate_transposes_for_inference,
    remove_noops,
    fuse_hard_activations,
    fuse_pads,
    canonicalize,
    use_global_average_pool,
    remove_noops,
    canonicalize,
)
"""The passes that change no weights, for graphs whose weights may be inputs."""


def optimize_for_inference(graph: Graph, passes: Sequence[GraphPass] = PASSES) -> Graph:
    """A graph with the same inputs and outputs and fewer operators; results differ by rounding only."""
    return reduce(lambda result, apply: apply(result), passes, graph)
