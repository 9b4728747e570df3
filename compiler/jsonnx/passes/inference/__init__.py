"""What a graph whose weights are constant becomes before it is written: the same function in fewer operators.

Not for graphs that are trained, or evaluated with weights of their own: what is folded into a weight is no weight.
"""

from __future__ import annotations

from ...ir import Graph
from ..canonicalize import canonicalize
from ..layout import propagate_transposes
from .channels_first_rules import INFERENCE_RULES
from .fold_affine import fold_affine
from .fold_transpose import fold_transpose_into_matmul
from .fuse_hard_activations import fuse_hard_activations
from .fuse_pad import fuse_pads
from .global_average_pool import use_global_average_pool
from .remove_noops import remove_noops


def propagate_transposes_for_inference(graph: Graph) -> Graph:
    """The same function with what works along the channels in the layout of convolutions."""
    return propagate_transposes(graph, INFERENCE_RULES)


PASSES = (
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
)


def optimize_for_inference(graph: Graph) -> Graph:
    """The same function, to float rounding. Inputs and outputs stay what they are."""
    for change in PASSES:
        graph = change(graph)
    return graph
