"""The operands and attributes of a node, for expansions of operators."""

from __future__ import annotations

from typing import Any

import onnx

from ..core.types import ShapeError
from ..ir import Value
from .graph_emitter import MICROSOFT_HELP, GraphEmitter
from .known_values import Known
from .tensors import attributes_of
from .unreadable_graph import UNSUPPORTED, node_text


class Operands:
    """The operands of a node by index. Operands are emitted when they are read."""

    def __init__(self, emitter: GraphEmitter, node: onnx.NodeProto) -> None:
        self._emitter, self._node = emitter, node
        self.attributes = attributes_of(node)

    def __getitem__(self, index: int) -> Value:
        return self._emitter.value(self._node.input[index])

    def has(self, index: int) -> bool:
        return index < len(self._node.input) and bool(self._node.input[index])

    def known(self, index: int) -> Known | None:
        """The elements of an operand, if they are known."""
        return self._emitter.known(self._node.input[index]) if self.has(index) else None

    def present(self, count: int) -> list[Value | None]:
        """The first operands; None for absent ones."""
        return [self[index] if self.has(index) else None for index in range(count)]

    def attribute(self, name: str, default: Any = None) -> Any:
        return self.attributes.get(name, default)

    def result_is_read(self, index: int) -> bool:
        return index < len(self._node.output) and bool(self._node.output[index])

    def unsupported(self, reason: str) -> ShapeError:
        """The error of a node with arguments that have no expansion."""
        message = f"cannot have {node_text(self._node.op_type, self._node.name)}: {reason}"
        return ShapeError(message, MICROSOFT_HELP, code=UNSUPPORTED)
