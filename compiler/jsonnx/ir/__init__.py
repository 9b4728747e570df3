"""Typed construction of ONNX graphs.

Comes in: calls on a `Builder`, one an operator. Goes out: a `Graph`, whose every value has the type that ONNX itself
inferred when its node was emitted. Together with `backend` the only door to onnx. Imports `types`.
"""

from .builder import Builder
from .dtypes import numpy_dtype, onnx_dtype, tensor_proto
from .gc_pause import uncollected
from .graph import (
    Body,
    Constant,
    GradientOf,
    Graph,
    Node,
    Parameter,
    Random,
    Renewal,
    State,
    Value,
    in_order,
    needed,
    node_metadata,
)
from .label_encoder import NotLearned, open_states, settled

__all__ = [
    "Body",
    "Builder",
    "Constant",
    "GradientOf",
    "Graph",
    "Node",
    "NotLearned",
    "Parameter",
    "Random",
    "Renewal",
    "State",
    "Value",
    "in_order",
    "needed",
    "node_metadata",
    "numpy_dtype",
    "onnx_dtype",
    "open_states",
    "settled",
    "tensor_proto",
    "uncollected",
]
