"""Tensors of a file that no training changes, though operators read them like weights: angles of rotary embeddings,
masks, and the neutral scales and biases that exporters write for normalizations without weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import onnx

from .tensors import FLOAT_TYPES
from .weight_names import is_readable

MAX_MASK_VALUE = -1e4
"""The largest number that stands for "minus infinity" in a mask, which is added to scores and never trained."""
MAX_ROTATION_ERROR = 1e-3
"""The largest error of `cos ** 2 + sin ** 2 = 1` in tables of rotary embeddings, which may be in float16."""

_ANGLE_READERS = frozenset(("Cos", "Sin"))
_ANGLE_STEPS = frozenset(("Add", "Cast", "Concat", "Einsum", "Expand", "Flatten", "Gather", "Identity", "MatMul")) | {
    *("Mul", "Reshape", "Slice", "Squeeze", "Tile", "Transpose", "Unsqueeze", "Where"),
}
"""Operators between the frequencies of a rotary embedding and its angles."""
_NORMALIZATIONS = frozenset(("InstanceNormalization", "LayerNormalization"))

ReadTensor = Callable[[onnx.TensorProto], np.ndarray]


class ConstantTensors:
    """Tells which tensors of a graph are constants."""

    def __init__(self, graph: onnx.GraphProto, tensors: Mapping[str, onnx.TensorProto], read: ReadTensor) -> None:
        self._read = read
        self._readers: dict[str, list[onnx.NodeProto]] = {}
        for node in graph.node:
            for name in node.input:
                self._readers.setdefault(name, []).append(node)
        self._real = _values_of_real_inputs(graph, tensors)
        self._outputs = {value.name for value in graph.output}
        self._rotations = _rotation_tables(tensors, read)

    def contains(self, node: onnx.NodeProto, index: int, tensor: onnx.TensorProto) -> bool:
        """Whether the tensor, which is the input of a node at an index, is a constant."""
        if tensor.name in self._rotations or self._is_angle(tensor.name, set()):
            return True
        return self._is_mask(node, tensor) or self._is_neutral(node, index, tensor)

    def _is_angle(self, name: str, visited: set[str]) -> bool:
        """Whether only sines and cosines read a value, perhaps times positions, which no real input affects."""
        readers = self._readers.get(name, [])
        if name in visited:
            return True
        if name in self._outputs or not readers:
            return False
        visited.add(name)
        for node in readers:
            if node.op_type in _ANGLE_READERS:
                continue
            if node.op_type not in _ANGLE_STEPS or not self._real.isdisjoint(node.input):
                return False
            if not all(self._is_angle(output, visited) for output in node.output):
                return False
        return True

    def _is_mask(self, node: onnx.NodeProto, tensor: onnx.TensorProto) -> bool:
        """Whether a tensor is added to scores or selected from, and holds numbers that stand for minus infinity."""
        if node.op_type not in ("Add", "Where", "Mul", "Sub"):
            return False
        return bool((self._read(tensor) <= MAX_MASK_VALUE).any())

    def _is_neutral(self, node: onnx.NodeProto, index: int, tensor: onnx.TensorProto) -> bool:
        """Whether a tensor is the scale of ones or the bias of zeros of a normalization without such a weight: of an
        InstanceNormalization, as PyTorch writes a group normalization before its weights, or without a name."""
        if node.op_type not in _NORMALIZATIONS:
            return False
        if node.op_type == "LayerNormalization" and is_readable(tensor.name):
            return False
        return bool((self._read(tensor) == (1 if index == 1 else 0)).all())


def _values_of_real_inputs(graph: onnx.GraphProto, tensors: Mapping[str, onnx.TensorProto]) -> set[str]:
    """The inputs of floating-point numbers and the rows of tables, and the values that depend on them."""
    real = {
        value.name
        for value in graph.input
        if value.name not in tensors and value.type.tensor_type.elem_type in FLOAT_TYPES
    }
    for node in graph.node:
        is_lookup = node.op_type == "Gather" and node.input[0] in tensors
        if node.op_type not in ("Shape", "Size") and (is_lookup or not real.isdisjoint(node.input)):
            real.update(node.output)
    return real


def _rotation_tables(tensors: Mapping[str, onnx.TensorProto], read: ReadTensor) -> set[str]:
    """The tensors that are tables of cosines and sines from position 0: two of one shape whose squares add up to 1."""
    found: set[str] = set()
    by_shape: dict[tuple[int, ...], list[tuple[str, np.ndarray]]] = {}
    for name, tensor in tensors.items():
        if len(tensor.dims) < 2 or tensor.data_type not in FLOAT_TYPES or name.endswith("weight"):
            continue
        array = read(tensor)
        if array.size and np.isin(array.reshape(-1, array.shape[-1])[0], (0, 1)).all():
            array = array.astype(np.float32, copy=False)
            for other, other_array in by_shape.get(array.shape, []):
                if np.allclose(array**2 + other_array**2, 1, atol=MAX_ROTATION_ERROR):
                    found |= {name, other}
            by_shape.setdefault(array.shape, []).append((name, array))
    return found
