"""Nodes that onnxruntime's WebGPU provider accepts but computes wrongly or fails on: they are assigned to the CPU.

The rules come from running every test case of every layer on WebGPU and on the CPU with onnxruntime 1.27;
`tests/environments/webgpu` repeats the comparison.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Any

from ...core.providers.known_providers import PROVIDERS
from .model_graphs import all_graphs

PREFERRED_LAYOUT = "NCHW"
"""In NHWC, the provider's default, some convolutions are wrong: from 6 or 9 channels to a multiple of 4, with groups of
5 or 9 output channels, and others."""
MAX_BOUND_TENSORS = 8
"""Tensors that a shader may bind on every GPU."""

Shape = tuple[int | None, ...]
Shapes = Mapping[str, Shape]
"""The known shapes of tensors by name; None stands for an unknown size."""


def session_entries(model: bytes) -> dict[str, str]:
    """The configuration entries for a session of a model: the layout, and the nodes assigned to the CPU."""
    prefix = PROVIDERS["webgpu"].session_entry_prefix
    entries = {f"{prefix}preferredLayout": PREFERRED_LAYOUT}
    names = cpu_only_nodes(model)
    return entries | ({f"{prefix}forceCpuNodeNames": "\n".join(names)} if names else {})


def cpu_only_nodes(model: bytes) -> list[str]:
    """The names of nodes that WebGPU must not run."""
    import onnx

    try:
        graph = onnx.shape_inference.infer_shapes(onnx.load_model_from_string(model)).graph
    except Exception:  # onnxruntime will report the model's error
        return []
    shapes: dict[str, Shape] = {tensor.name: tuple(tensor.dims) for tensor in graph.initializer}
    for value in (*graph.input, *graph.value_info, *graph.output):
        tensor = value.type.tensor_type
        if tensor.HasField("shape"):
            sizes = (size.dim_value if size.HasField("dim_value") else None for size in tensor.shape.dim)
            shapes[value.name] = tuple(sizes)
    return [
        node.name
        for each in all_graphs(graph)
        for node in each.node
        if node.name and node.op_type in _EXCLUSIONS and _is_miscomputed(node, shapes)
    ]


def _is_miscomputed(node: Any, shapes: Shapes) -> bool:
    return _EXCLUSIONS[node.op_type](node, shapes)


def _attributes(node: Any) -> dict[str, Any]:
    from onnx.helper import get_attribute_value

    return {attribute.name: get_attribute_value(attribute) for attribute in node.attribute}


def _conv(node: Any, shapes: Shapes) -> bool:
    """Grouped 3-D convolutions, and pointwise ones of fewer than 8 channels: their bias, which fusion may add later, is
    added along the wrong axis of small images."""
    kernel = shapes.get(node.input[1])
    if kernel is None:
        return False
    groups = _attributes(node).get("group", 1)
    pointwise = groups == 1 and all(size == 1 for size in kernel[2:])
    return (len(kernel) > 4 and groups > 1) or (pointwise and kernel[1] is not None and kernel[1] < 8)


def _conv_transpose(node: Any, shapes: Shapes) -> bool:
    """3-D transposed convolutions."""
    return len(shapes.get(node.input[1]) or ()) > 4


def _max_pool(node: Any, shapes: Shapes) -> bool:
    """Max pooling that also returns the indices of the maxima."""
    return len(node.output) > 1


def _lstm(node: Any, shapes: Shapes) -> bool:
    """Unusual activations."""
    return not set(_attributes(node).get("activations", ())) <= {b"Sigmoid", b"Tanh", b"Relu"}


def _split(node: Any, shapes: Shapes) -> bool:
    """More outputs than a shader can bind."""
    return len(node.output) >= MAX_BOUND_TENSORS


def _elementwise(node: Any, shapes: Shapes) -> bool:
    """Broadcasting of [*sizes] to [..., 1, *sizes] if the number of elements is a multiple of 4 but the last axis is
    not."""
    short, long = sorted((shapes.get(name) or () for name in node.input), key=len)
    if len(short) == len(long) or not short or None in short:
        return False
    sizes = [size for size in short if size is not None]
    is_broadcast = long[-len(short) :] == short and long[-len(short) - 1] == 1
    return is_broadcast and prod(sizes) % 4 == 0 and sizes[-1] % 4 != 0


_EXCLUSIONS = {
    "Conv": _conv,
    "ConvTranspose": _conv_transpose,
    "LSTM": _lstm,
    "MaxPool": _max_pool,
    "Split": _split,
    **dict.fromkeys(("Add", "Div", "Mul", "Pow", "Sub", "Equal", "Greater", "Less"), _elementwise),
}
