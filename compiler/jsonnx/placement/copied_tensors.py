"""What nodes on the CPU cost: the tensors that are copied between the CPU and the device at every run."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass

import onnx
from onnx import helper, shape_inference


@dataclass(frozen=True)
class Copies:
    """The tensors that are copied at a run of a model."""

    tensors: int
    bytes: int
    """Their size, as far as it is known."""
    is_complete: bool
    """Whether all sizes are known."""
    bytes_by_node: Mapping[str, int]
    """For each node on the CPU the size of the tensors that it gets from the device or gives to it."""


def copied_tensors(model: onnx.ModelProto, on_cpu: Collection[str], sizes: Mapping[str, int]) -> Copies:
    """The tensors between nodes on the CPU, by their names, and those on the device, outside the bodies of loops.

    `sizes` gives symbolic sizes. Weights and inputs of the model are left out: they are copied before it runs.
    """
    if not on_cpu:
        return Copies(0, 0, True, {})
    graph = shape_inference.infer_shapes(model).graph
    producers = {name: node for node in graph.node for name in node.output if name}
    bytes_of = {value.name: _size(value, sizes) for value in (*graph.value_info, *graph.output)}
    copied: dict[str, int | None] = {}
    bytes_by_node: dict[str, int] = defaultdict(int)
    for consumer in graph.node:
        for name in {name for name in consumer.input if name in producers}:
            producer = producers[name]
            if producer.op_type == "Constant" or (producer.name in on_cpu) == (consumer.name in on_cpu):
                continue
            size = copied[name] = bytes_of.get(name)
            node = producer if producer.name in on_cpu else consumer
            bytes_by_node[node.name] += size or 0
    known = [size for size in copied.values() if size is not None]
    return Copies(len(copied), sum(known), len(known) == len(copied), dict(bytes_by_node))


def _size(value: onnx.ValueInfoProto, sizes: Mapping[str, int]) -> int | None:
    """The bytes of a tensor; None if its size is unknown."""
    tensor = value.type.tensor_type
    if not tensor.HasField("shape") or tensor.elem_type in (onnx.TensorProto.UNDEFINED, onnx.TensorProto.STRING):
        return None
    total = helper.tensor_dtype_to_np_dtype(tensor.elem_type).itemsize
    for size in tensor.shape.dim:
        known = size.dim_value if size.HasField("dim_value") else sizes.get(size.dim_param)
        if known is None:
            return None
        total *= known
    return int(total)
