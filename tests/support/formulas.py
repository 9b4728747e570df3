"""Evaluates the formulas of components: Python with the functions of NumPy and a few others."""

from __future__ import annotations

from collections.abc import Callable
from itertools import groupby, product
from math import erf
from typing import Any

import numpy as np
from jsonnx.core.components import Component
from jsonnx.layers.activations import ActivationFunction
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


def windows(
    x: Array, size: Any, strides: Any = None, padding: str = "valid", dilation_rate: Any = 1, fill: float = 0
) -> Array:
    """The windows of x [batch, ..., channels]: [batch, ..., *size, channels]; `fill` is the value of the padding."""
    spatial = x.ndim - 2
    size, strides, rates = (
        np.broadcast_to(value, spatial) for value in (size, size if strides is None else strides, dilation_rate)
    )
    extents = [int((count - 1) * rate + 1) for count, rate in zip(size, rates, strict=True)]
    sides = [(0, 0)]
    for n, stride, extent in zip(x.shape[1:-1], strides, extents, strict=True):
        missing = {
            "valid": 0,
            "causal": extent - 1,
            "same": max((-(-n // stride) - 1) * stride + extent - n, 0),
        }[padding]
        before = missing if padding == "causal" else missing // 2
        sides.append((before, missing - before))
    padded = np.pad(x, [*sides, (0, 0)], constant_values=fill)
    axes = tuple(range(1, spatial + 1))
    views = np.lib.stride_tricks.sliding_window_view(padded, extents, axes)
    positions = [slice(None), *(slice(None, None, stride) for stride in strides), slice(None)]
    views = views[(*positions, *(slice(None, None, rate) for rate in rates))]
    return np.moveaxis(views, spatial + 1, -1)


NEUTRAL: dict[str, Any] = {
    **{
        "bias": 0,
        "beta": 0,
        "offset": 0,
        "gamma": 1,
        "scale": 1,
        "noise": 0,
        "weights": 1,
        "mask": True,
        "epsilon": 1e-7,
    },
    **{name: lambda x: x for name in ("activation", "recurrent_activation")},
    **dict.fromkeys(("query_bias", "key_bias", "value_bias", "attention_output_bias", "attention_bias"), 0),
    **dict.fromkeys(("query_mask", "value_mask", "key_mask"), np.ones((1, 1))),
    **{"attention_mask": np.ones((1, 1, 1)), "count_weights": np.ones(1)},
}
"""The values of arguments and weights that a component lacks."""

FUNCTIONS: dict[str, Any] = {
    **{name: getattr(np, name) for name in dir(np) if not name.startswith("_")},
    "trapezoid": getattr(np, "trapezoid", None) or np.trapz,  # its name before NumPy 2
    "qr": np.linalg.qr,
    "erf": np.vectorize(erf, otypes=[np.float64]),
    "groupby": groupby,
    "product": product,
    "window_values": window_coefficients,
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "softplus": lambda x: np.logaddexp(x, 0),
    "softmax": softmax,
    "log_softmax": lambda x, axis=-1: x - logsumexp(x, axis, keepdims=True),
    "logsumexp": logsumexp,
    "one_hot": one_hot,
    "divide_no_nan": divide_no_nan,
    "windows": windows,
}
"""The functions that formulas call."""


def argument_value(value: Any) -> Any:
    """The value of an argument in a formula: a function for an activation, of which None is the identity."""
    if isinstance(value, ActivationFunction):
        return function_of(value)
    return value


def function_of(activation: Component) -> Callable[[Array], Array]:
    return lambda x: evaluate(activation, x=x)["y"]


def evaluate(component: Component, formula: str = "", **names: Any) -> dict[str, Any]:
    """All names after the formula of a component, given the values of some; its arguments have their values."""
    arguments = {name: argument_value(value) for name, value in vars(component).items()}
    formula = formula or component.formula
    neutral = {name: value for name, value in NEUTRAL.items() if f"{name} is None" not in formula}
    given = {name: value for name, value in (arguments | names).items() if value is not None or name not in neutral}
    values = FUNCTIONS | neutral | given
    exec(compile(formula, f"formula of {component.type_name}", "exec"), values)
    return values
