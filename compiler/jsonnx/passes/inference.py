"""What a graph whose weights are constant becomes before it is written: the same function in fewer operators.

Not for graphs that are trained, or evaluated with weights of their own: what is folded into a weight is no weight.
"""

from __future__ import annotations

from ..graph import Graph
from .affine import absorb_affine
from .flattened import absorb_order
from .idle import without_idle
from .layout import channels_first
from .padding import absorb_padding
from .pointwise import POINTWISE
from .pooled import keep_pooled_axes
from .recognised import recognise
from .tidy import tidy


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
