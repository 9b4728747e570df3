"""Separates the masks that a call states explicitly from the masks that Keras attaches to the inputs anyway."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest
from typing import Any

from ....core.components import snake_case
from ....core.limits import MAX_KERAS_MASK_DEPTH
from .call_arguments import CallArguments, mask_arguments
from .call_results import CallResults
from .masks import MaskExpression, NamedTensor, logical_or, not_equal
from .model_config import LayerConfig, TensorRef, leaves
from .operations import is_operation


@dataclass
class ExplicitMasks:
    """Finds the explicit masks of calls in one functional model."""

    results: CallResults

    def find(self, layer: LayerConfig, arguments: CallArguments) -> dict[str, Any]:
        """The masks of a call, by parameter name, that differ from the masks attached to the inputs."""
        masks = mask_arguments(layer.class_name, arguments.by_name)
        return {name: mask for name, (mask, masked) in masks.items() if not self._is_attached(mask, masked)}

    def tensor(self, mask: Any) -> Any:
        """The tensor of an explicit mask, with its expression."""
        tensor = self.results.substitute(mask)
        return replace(tensor, expression=self._expression(mask, 0)) if isinstance(tensor, NamedTensor) else tensor

    def _is_attached(self, mask: Any, masked: Any) -> bool:
        """Whether a mask argument equals the masks attached to the tensors that it masks."""
        tensors = leaves(self.results.substitute(masked))
        attached = [tensor.mask if isinstance(tensor, NamedTensor) else None for tensor in tensors]
        pairs = zip_longest([self._expression(item, 0) for item in leaves(mask)], attached)
        return all(expression is None or expression == other for expression, other in pairs)

    def _expression(self, mask: Any, depth: int) -> MaskExpression:
        """The expression of a mask. A mask of unknown origin gets an expression that equals no other."""
        if mask is None:
            return None
        result = self.results.of_call(mask) if isinstance(mask, TensorRef) else None
        opaque: MaskExpression = ("value", result.name) if isinstance(result, NamedTensor) else ("unknown", id(mask))
        layer = self.results.layers_by_name.get(mask.layer) if isinstance(mask, TensorRef) else None
        if layer is None or not is_operation(layer) or depth > MAX_KERAS_MASK_DEPTH:
            return opaque
        args = layer.calls[0].args if layer.calls else ()
        return self._operation_expression(layer, args, depth) or opaque

    def _operation_expression(self, layer: LayerConfig, args: Sequence[Any], depth: int) -> MaskExpression:
        """The expression of an operation's result; None for operations that no mask is built of."""

        def operand(argument: Any) -> MaskExpression:
            return self._expression(argument, depth + 1)

        kind, axis = layer.class_name, layer.config.get("axis")
        if kind == "NotEqual" and len(args) == 2 and isinstance(args[1], (int, float)):
            is_evaluated = isinstance(args[0], TensorRef) and args[0] in self.results
            tensor = self.results.substitute(args[0]) if is_evaluated else None
            return not_equal(tensor.name, float(args[1])) if isinstance(tensor, NamedTensor) else None
        if kind == "LogicalOr" and len(args) == 2:
            return logical_or(operand(args[0]), operand(args[1]))
        if not args:
            return None
        if kind == "Any" and axis in (-1, [-1]) and not layer.config.get("keepdims"):
            return ("any", operand(args[0]))
        if kind == "ConvertToTensor":
            return operand(args[0])
        if kind == "ExpandDims" and axis == -1:
            return ("expand_dims", operand(args[0]))
        if kind in ("OnesLike", "ZerosLike") and isinstance(args[0], TensorRef):
            result = self.results.of_call(args[0])
            return (snake_case(kind), result.name) if isinstance(result, NamedTensor) else None
        if kind == "Concatenate" and isinstance(args[0], list):
            return ("concatenate", *(operand(item) for item in args[0]))
        return None
