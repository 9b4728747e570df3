"""Evaluates the formulas of components: Python with the functions of NumPy and a few others."""

from __future__ import annotations

from collections.abc import Callable
from itertools import groupby, product
from math import erf
from typing import Any

import numpy as np
from jsonnx.core.components import Component
from jsonnx.training.weights.window_functions import window_coefficients

Array = np.ndarray


def softmax(x: Array, axis: Any = -1) -> Array:
    shares = np.exp(x - np.max(x, axis, keepdims=True))
    return shares / np.sum(shares, axis, keepdims=True)


def logsumexp(x: Array, axis: Any = None, keepdims: bool = False) -> Array:
    greatest = np.max(x, axis, keepdims=True)
    total = np.log(np.sum(np.exp(x - greatest), axis, keepdims=True)) + greatest
    return total if keepdims else np.squeeze(total, axis)


def one_hot(indices: Array, classes: int) -> Array:
    return np.equal(np.asarray(indices)[..., None], np.arange(classes)).astype(np.float64)


def divide_no_nan(x: Any, y: Any) -> Array:
    numerator, denominator = np.broadcast_arrays(np.asarray(x, np.float64), np.asarray(y, np.float64))
    return np.divide(numerator, denominator, out=np.zeros(numerator.shape), where=denominator != 0)


FUNCTIONS: dict[str, Any] = {
    **{name: getattr(np, name) for name in dir(np) if not name.startswith("_")},
    "qr": np.linalg.qr,
    "erf": np.vectorize(erf, otypes=[np.float64]),
    "groupby": groupby,
    "product": product,
    "window_values": window_coefficients,
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "softplus": lambda x: np.logaddexp(x, 0),
    "relu": lambda x: np.maximum(x, 0),
    "softmax": softmax,
    "log_softmax": lambda x, axis=-1: x - logsumexp(x, axis, keepdims=True),
    "logsumexp": logsumexp,
    "one_hot": one_hot,
    "divide_no_nan": divide_no_nan,
}
"""The functions that formulas call."""


def argument_value(value: Any) -> Any:
    """The value of an argument in a formula: a function for an activation, of which None is the identity."""
    if isinstance(value, Component) and value.registry.kind == "activation":
        return function_of(value)
    return value


def function_of(activation: Component) -> Callable[[Array], Array]:
    return lambda x: evaluate(activation, x=x)["y"]


def evaluate(component: Component, formula: str = "", **names: Any) -> dict[str, Any]:
    """All names after the formula of a component, given the values of some; its arguments have their values."""
    arguments = {name: argument_value(value) for name, value in vars(component).items()}
    values = FUNCTIONS | arguments | names
    exec(compile(formula or component.formula, f"formula of {component.type_name}", "exec"), values)
    return values
