"""Typed construction of ONNX graphs.

In: calls of a `Builder`, one for each operator. Out: a `Graph`, in which each value has the type that ONNX inferred
when its node was emitted.
"""

from ..core.numpy_types import numpy_dtype
from .builder import Builder
from .dtypes import onnx_dtype, tensor_proto
from .graph import (
    Adapter,
    Constant,
    GradientInfo,
    Graph,
    Node,
    Parameter,
    Random,
    RecomputedRegion,
    State,
    Subgraph,
    Value,
    WeightUpdate,
    node_metadata,
    reachable_nodes,
    topologically_sorted,
)
from .label_encoder import VocabularyNotLearned, unlearned_states, with_vocabularies
from .weight_shapes import variable_bytes

__all__ = [
    "Adapter",
    "Builder",
    "Constant",
    "GradientInfo",
    "Graph",
    "Node",
    "Parameter",
    "Random",
    "RecomputedRegion",
    "State",
    "Subgraph",
    "Value",
    "VocabularyNotLearned",
    "WeightUpdate",
    "node_metadata",
    "numpy_dtype",
    "onnx_dtype",
    "reachable_nodes",
    "tensor_proto",
    "topologically_sorted",
    "unlearned_states",
    "variable_bytes",
    "with_vocabularies",
]
