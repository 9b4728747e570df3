"""Quantization: where values are rounded to integers, and the integers themselves.

`plan_quantization` chooses the quantizers of a graph; a plan is written as QuantizeLinear and DequantizeLinear nodes
for onnxruntime, and as rounding in floating point for training. `value_of_key` finds the value of a quantizer in
another graph of the same network, such as the training graph, where batch normalization and dropout have other
operators. Inference graphs are in the form of `Model.quantizable_graph`.
"""

from .integers import quantization_parameters, quantized_weight, weight_bound, weight_scales
from .placement import observed_graph, plan_quantization, value_of_key
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
    "value_of_key",
    "weight_bound",
    "weight_scales",
    "with_quantized_nodes",
    "with_quantized_weights",
]
