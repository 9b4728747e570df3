"""What a graph whose weights are constant becomes before it is written: the same function in fewer operators.

Not for graphs that are trained, or evaluated with weights of their own: what is folded into a weight is no weight.
"""

from __future__ import annotations

from ...ir import Graph
from ..canonicalize import tidy
from ..layout import channels_first
from .channels_first_rules import POINTWISE
from .fold_affine import absorb_affine
from .fold_transpose import absorb_order
from .fuse_hard_activations import recognise
from .fuse_pad import absorb_padding
from .global_average_pool import keep_pooled_axes
from .remove_noops import without_idle


def in_one_layout(graph: Graph) -> Graph:
    """The same function with what works along the channels in the layout of convolutions."""
    return channels_first(graph, POINTWISE)


PASSES = (
    in_one_layout,
    absorb_order,
    without_idle,
    recognise,
    absorb_padding,
    tidy,
    absorb_affine,
    keep_pooled_axes,
    without_idle,
    tidy,
)


def simplified(graph: Graph) -> Graph:
    """The same function, to float rounding. Inputs and outputs stay what they are."""
    for change in PASSES:
        graph = change(graph)
    return graph
