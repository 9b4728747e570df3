"""The functions that a loss or a metric in Python computes with: those of keras.ops that specs have as `ops.NAME`.

`ops.mean(x, axis=-1)` and the others take tensors, and constants among the operands of functions of several tensors.
Functions that create constants are missing: numbers, and arrays of NumPy, are operands themselves.
"""

from __future__ import annotations

from collections.abc import Callable
from inspect import Parameter, Signature
from typing import Any

from ..core.diagnostics import suggestion
from ..layers import LAYERS
from ..training.losses.losses import LOSSES
from .tensor import Tensor, apply, emit_loss

PREFIX = "ops."
CREATION = ("arange", "empty", "eye", "full", "identity", "linspace", "logspace", "ones", "tri", "zeros")
"""The functions of constants, which need no tensor."""

__all__ = ["Tensor", "binary_crossentropy", "categorical_crossentropy", "sparse_categorical_crossentropy"]


def binary_crossentropy(target: Tensor, output: Tensor, from_logits: bool = False) -> Tensor:
    """The binary cross-entropy of each element."""
    loss: Any = LOSSES.by_name["binary_crossentropy"](from_logits=from_logits)
    return emit_loss(loss.terms, target, output)


def categorical_crossentropy(target: Tensor, output: Tensor, from_logits: bool = False, axis: int = -1) -> Tensor:
    """The cross-entropy of each sample or position; targets are probabilities of classes."""
    loss: Any = LOSSES.by_name["categorical_crossentropy"](from_logits=from_logits, axis=axis)
    return emit_loss(loss.unreduced_losses, target, output)


def sparse_categorical_crossentropy(target: Tensor, output: Tensor, from_logits: bool = False) -> Tensor:
    """The cross-entropy of each sample or position; targets are indices of classes."""
    loss: Any = LOSSES.by_name["sparse_categorical_crossentropy"](from_logits=from_logits)
    return emit_loss(loss.unreduced_losses, apply("cast", [target], {"dtype": "int64"}), output)


def __getattr__(name: str) -> Any:
    if name in CREATION:
        message = f"jsonnx.ops has no {name!r}: take NumPy's arrays as operands, or ops.zeros_like and its kin"
        raise AttributeError(message)
    if f"{PREFIX}{name}" not in LAYERS.by_name:
        help = suggestion(name, __dir__()) if not name.startswith("_") else None
        raise AttributeError(f"jsonnx.ops has no {name!r}" + (f": {help}" if help else ""))
    return _function(name)


def __dir__() -> list[str]:
    names = (name.removeprefix(PREFIX) for name in LAYERS.by_name if name.startswith(PREFIX))
    return sorted([*__all__, *(name for name in names if "." not in name and name not in CREATION)])


def _function(name: str) -> Callable[..., Any]:
    """The function of a name, with a signature and the help of its layer."""
    layer_class = LAYERS.by_name[f"{PREFIX}{name}"]
    signature = _signature(name)

    def function(*positional: Any, **named: Any) -> Any:
        try:
            given = dict(signature.bind(*positional, **named).arguments)
        except TypeError as error:
            raise TypeError(f"ops.{name}: {error}; it is ops.{name}{signature}") from None
        if name == "einsum":
            return apply(name, given.pop("operands", ()), given)
        operands = [given.pop(operand, None) for operand in _operands(name)]
        while operands and operands[-1] is None:
            operands.pop()
        if _takes_list(name):
            operands = list(operands[0])
        return apply(name, operands, given)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = layer_class.summary()
    function.__signature__ = signature  # type: ignore[attr-defined]
    return function


def _takes_list(name: str) -> bool:
    """Whether a function takes a list of any number of tensors."""
    return getattr(LAYERS.by_name[f"{PREFIX}{name}"], "arity", ())[1:] == (None,)


def _operands(name: str) -> tuple[str, ...]:
    """The names of the tensors that a function takes."""
    default = ("xs",) if _takes_list(name) else ("x",)
    return getattr(LAYERS.by_name[f"{PREFIX}{name}"], "tensors", default)


def _signature(name: str) -> Signature:
    """The tensors, then the other arguments; these only by name where Keras has them in another order."""
    layer_class = LAYERS.by_name[f"{PREFIX}{name}"]
    if name == "einsum":
        subscripts = Parameter("subscripts", Parameter.POSITIONAL_OR_KEYWORD)
        return Signature([subscripts, Parameter("operands", Parameter.VAR_POSITIONAL)])
    operands, required = _operands(name), layer_class.required_attributes()
    optional_count = getattr(layer_class, "optional_count", 0)
    has_keras_order = not hasattr(layer_class, "tensors") or tuple(layer_class.attributes)[: len(operands)] == operands
    kind = Parameter.POSITIONAL_OR_KEYWORD if has_keras_order else Parameter.KEYWORD_ONLY
    parameters = [
        Parameter(operand, Parameter.POSITIONAL_OR_KEYWORD, **({"default": None} if index < optional_count else {}))
        for index, operand in zip(range(len(operands) - 1, -1, -1), operands, strict=True)
    ]
    others = [key for key in layer_class.attributes if key not in operands]
    others.sort(key=lambda key: key not in required)
    for key in others:
        default = {} if key in required else {"default": layer_class.attributes[key].default}
        parameters.append(Parameter(key, kind, **default))
    return Signature(parameters)
