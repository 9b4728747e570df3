"""Quantization: where values are rounded to integers, and the integers themselves.

`plan_quantization` chooses the quantizers of a graph; a plan is written as QuantizeLinear and DequantizeLinear nodes
for onnxruntime, and as rounding in floating point for training. Inference graphs are in the form of
`Model.quantizable_graph`.
"""

from .integers import quantization_parameters, quantized_weight, weight_bound, weight_scales
from .placement import observed_graph, plan_quantization
from .quantization_plan import (
    ActivationQuantizer,
    BiasQuantizer,
    MovedValue,
    QuantizationOptions,
    QuantizationPlan,
    WeightQuantizer,
)
from .quantized_nodes import UnusableRange, group_ranges, with_quantized_nodes, with_quantized_weights

__all__ = [
    "ActivationQuantizer",
    "BiasQuantizer",
    "MovedValue",
    "QuantizationOptions",
    "QuantizationPlan",
    "UnusableRange",
    "WeightQuantizer",
    "group_ranges",
    "observed_graph",
    "plan_quantization",
    "quantization_parameters",
    "quantized_weight",
    "weight_bound",
    "weight_scales",
    "with_quantized_nodes",
    "with_quantized_weights",
]
