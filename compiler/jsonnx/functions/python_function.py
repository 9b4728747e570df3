"""Makes losses and metrics of Python functions: `jsonnx.loss` and `jsonnx.metric`."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial
from hashlib import sha256
from traceback import extract_tb
from typing import Any, Literal, overload

import numpy as np

from ..core.types import ShapeError, TensorType
from ..ir import Builder, Value
from ..training.metrics.python_functions import PythonLoss, PythonMetric
from .tensor import Tensor

Function = Callable[[Any, Any], Any]
Reduction = Literal["sum_over_batch_size", "mean", "mean_with_sample_weight", "sum"]


@overload
def loss(fn: Function, *, name: str | None = ..., classes: bool = ..., reduction: Reduction = ...) -> PythonLoss: ...


@overload
def loss(
    fn: None = None, *, name: str | None = ..., classes: bool = ..., reduction: Reduction = ...
) -> Callable[[Function], PythonLoss]: ...


def loss(
    fn: Function | None = None,
    *,
    name: str | None = None,
    classes: bool = False,
    reduction: Reduction = "sum_over_batch_size",
) -> Any:
    """A loss that a Python function computes, also as a decorator: for `Trainer(loss=...)`, or a spec as a dict.

    `fn(y_true, y_pred)` gets tensors with the batch as their first axis, and computes with their operators and with
    `jsonnx.ops`. It returns one number for each sample, or for each position of a sample, as Keras' losses do, and
    training minimizes their mean; or one number for the whole batch. The function is called when the training is
    planned, and its operators are compiled into the step. Targets have the type of the output; with `classes`, they are
    class indices, without the last axis of the output. `reduction` is that of Keras. `name` replaces the function's
    name.
    """
    if fn is None:
        return partial(loss, name=name, classes=classes, reduction=reduction)
    implementation = PythonFunction(fn)
    component = PythonLoss(
        name=name or implementation.name, sha256=implementation.sha256, classes=classes, reduction=reduction
    )
    return component.replaced(implementation=implementation)


@overload
def metric(fn: Function, *, name: str | None = ..., higher_is_better: bool = ...) -> PythonMetric: ...


@overload
def metric(
    fn: None = None, *, name: str | None = ..., higher_is_better: bool = ...
) -> Callable[[Function], PythonMetric]: ...


def metric(fn: Function | None = None, *, name: str | None = None, higher_is_better: bool = False) -> Any:
    """A metric that a Python function computes, also as a decorator: the mean over all samples of what it returns.

    `fn(y_true, y_pred)` is as for `jsonnx.loss`; its targets are those of the loss. A function that returns one number
    for the batch is averaged over batches, weighted by their sizes. `higher_is_better` tells early stopping and
    checkpoints what the best epoch is.
    """
    if fn is None:
        return partial(metric, name=name, higher_is_better=higher_is_better)
    implementation = PythonFunction(fn)
    component = PythonMetric(
        name=name or implementation.name, sha256=implementation.sha256, higher_is_better=higher_is_better
    )
    return component.replaced(implementation=implementation)


class PythonFunction:
    """A function of targets and outputs, which emits operators when it is called with tensors."""

    def __init__(self, fn: Function) -> None:
        if not callable(fn):
            raise TypeError(f"expected a function of y_true and y_pred, got {type(fn).__name__}")
        self.fn = fn
        self.name = getattr(fn, "__name__", type(fn).__name__).strip("<>")
        self.sha256 = sha256(_source_text(fn, set()).encode(errors="surrogatepass")).hexdigest()
        self._result_types: dict[tuple[TensorType, TensorType], TensorType] = {}

    def __call__(self, y_true: Any, y_pred: Any) -> Any:
        return self.fn(y_true, y_pred)

    def emit(self, g: Builder, target: Value, output: Value) -> Value:
        """The result of a call. Raises ShapeError, with the line of the function, TypeError for another result."""
        try:
            result = self.fn(Tensor(g, target), Tensor(g, output))
        except ShapeError as error:
            raise ShapeError(f"{self._line_of(error)}{error.message}", error.help, error.code) from error
        if isinstance(result, Tensor):
            return result._value
        message = "return a tensor that is computed from y_true and y_pred"
        raise TypeError(f"{self.name} returns {type(result).__name__}: {message}")

    def _line_of(self, error: ShapeError) -> str:
        file = getattr(getattr(self.fn, "__code__", None), "co_filename", None)
        lines = [frame.lineno for frame in extract_tb(error.__traceback__) if frame.filename == file]
        return f"in line {lines[-1]}: " if lines else ""

    def result_type(self, target: TensorType, output: TensorType) -> TensorType:
        """The type of the result. Raises ShapeError, TypeError."""
        key = target, output
        if key not in self._result_types:
            g = Builder()
            with g.scope("loss", ("training", "loss")):
                self._result_types[key] = self.emit(g, g.input("y_true", target), g.input("y_pred", output)).type
        return self._result_types[key]


def _source_text(fn: Any, seen: set[int]) -> str:
    """The source of a function, and of the values that it reads from around it, in a form that tells changes apart."""
    seen.add(id(fn))
    code = getattr(fn, "__code__", None)
    if code is None:
        inner = getattr(fn, "implementation", fn)
        inner = getattr(inner, "fn", inner)
        return _source_text(inner, seen) if inner is not fn and id(inner) not in seen else type(fn).__qualname__
    try:
        text = inspect.cleandoc("\n" + inspect.getsource(fn))
    except (OSError, TypeError):  # typed at a prompt
        text = f"{code.co_code.hex()} {[item for item in code.co_consts if not inspect.iscode(item)]!r} {code.co_names}"
    variables = inspect.getclosurevars(fn)
    read = {**variables.globals, **variables.nonlocals, "defaults": (fn.__defaults__, fn.__kwdefaults__)}
    return "\n".join([text, *(f"{name} = {_value_text(value, seen)}" for name, value in sorted(read.items()))])


def _value_text(value: Any, seen: set[int]) -> str:
    if isinstance(value, (np.ndarray, np.generic)):
        return f"{value.dtype} {value.shape} {sha256(np.ascontiguousarray(value).tobytes()).hexdigest()}"
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(_value_text(item, seen) for item in value)}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{key!r}: {_value_text(item, seen)}' for key, item in value.items())}}}"
    if value is None or isinstance(value, (bool, int, float, str)):
        return repr(value)
    is_function = inspect.isfunction(value) or hasattr(value, "implementation")
    return _source_text(value, seen) if is_function and id(value) not in seen else type(value).__qualname__
