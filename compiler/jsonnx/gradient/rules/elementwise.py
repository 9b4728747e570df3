"""Element-wise operators. The backward pass undoes broadcasting."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ...ir import Constant
from ..registry import FLOAT_DTYPES, NOT_DIFFERENTIABLE, Builder, Node, Value, vjp

NOT_DIFFERENTIABLE.update(("Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual", "IsNaN", "IsInf"))
NOT_DIFFERENTIABLE.update(("Not", "And", "Or", "Xor", "Shape", "Size", "ConstantOfShape", "Range", "OneHot"))
NOT_DIFFERENTIABLE.update(("Sign", "Floor", "Ceil", "Round", "ArgMax", "ArgMin", "Hardmax"))
NOT_DIFFERENTIABLE.update(("EyeLike", "RandomNormalLike", "RandomUniformLike", "Bernoulli", "Multinomial"))

SIXTEEN_BIT_DTYPES = ("float16", "bfloat16")


@vjp("Identity")
def identity(g: Builder, node: Node, dy: Value):
    """dx = dy."""
    return dy


@vjp("Dropout")
def dropout(g: Builder, node: Node, dy: Value, _: None = None):
    """dx = dy, since without training the operator changes nothing."""
    is_training, ratio = node.input(2), node.input(1)
    if is_training is not None and not is_zero(is_training) and (ratio is None or not is_zero(ratio)):
        raise NotImplementedError("in training mode")
    return dy


@vjp("Add", "Sum")
def add(g: Builder, node: Node, dy: Value):
    """y = a + b + ..., so da = db = dy."""
    return [dy] * len(node.inputs)


@vjp("Sub")
def sub(g: Builder, node: Node, dy: Value):
    """y = a - b, so da = dy and db = -dy."""
    return dy, g.Neg(dy)


@vjp("Mul")
def mul(g: Builder, node: Node, dy: Value):
    """y = a * b, so da = dy * b and db = dy * a."""
    a, b = node.inputs
    if a is b:  # dy may be a scalar (the gradient of a mean): doubling it first is cheaper than doubling dy * a
        return g.Mul(g.Mul(dy, 2.0), a), None
    return g.Mul(dy, b), g.Mul(dy, a)


@vjp("Div")
def div(g: Builder, node: Node, dy: Value):
    """y = a / b, so da = dy / b and db = -da * y."""
    _, b = node.inputs
    da = g.Div(dy, b)
    return da, g.Neg(g.Mul(da, node.outputs[0]))


@vjp("Mod")
def mod(g: Builder, node: Node, dy: Value):
    """y = a - b * n with n = trunc(a / b) (`fmod`), so da = dy and db = -dy * n."""
    a, b = node.inputs
    quotient = g.Div(a, b)
    return dy, g.Neg(g.Mul(dy, g.Mul(g.Sign(quotient), g.Floor(g.Abs(quotient)))))


@vjp("Neg")
def neg(g: Builder, node: Node, dy: Value):
    """dx = -dy."""
    return g.Neg(dy)


@vjp("Exp")
def exp(g: Builder, node: Node, dy: Value):
    """dx = dy * y."""
    return g.Mul(dy, node.outputs[0])


@vjp("Log")
def log(g: Builder, node: Node, dy: Value):
    """dx = dy / x."""
    return g.Div(dy, node.inputs[0])


@vjp("Relu")
def relu(g: Builder, node: Node, dy: Value):
    """dx = dy where y > 0, else 0. Reading y instead of x lets x be freed, since the next operator keeps y anyway."""
    return g.Mul(dy, heaviside(g, node.outputs[0]))


def heaviside(g: Builder, x: Value, slope: float = 1e38) -> Value:
    """1 where x > 0, else 0; with a negative slope 1 where x < 0, else 0.

    A HardSigmoid with a very large slope is a step function, and much faster in onnxruntime than Where. Its beta is not
    0, which OpenVINO reads as the default of 0.5; a tiny negative beta is clipped to 0. Float16 has no such slope.
    """
    if x.dtype in SIXTEEN_BIT_DTYPES:
        return _compared_with_zero(g, "Greater" if slope > 0 else "Less", x)
    return g.HardSigmoid(x, alpha=slope, beta=-1e-30)


def is_nonnegative(g: Builder, x: Value) -> Value:
    """1 where x >= 0, else 0."""
    if x.dtype in SIXTEEN_BIT_DTYPES:
        return _compared_with_zero(g, "GreaterOrEqual", x)
    return g.HardSigmoid(x, alpha=1e38, beta=1.0)


def _compared_with_zero(g: Builder, op: str, x: Value) -> Value:
    """1 where the comparison holds, else 0. CUDA compares no bfloat16."""
    operand = g.cast(x, "float32") if x.dtype == "bfloat16" else x
    return g.cast(g.emit(op, operand, 0.0), x.dtype)


@vjp("Sigmoid")
def sigmoid(g: Builder, node: Node, dy: Value):
    """dx = dy * y * (1 - y)."""
    y = node.outputs[0]
    return g.Mul(dy, g.Mul(y, g.Sub(1.0, y)))


@vjp("Tanh")
def tanh(g: Builder, node: Node, dy: Value):
    """dx = dy * (1 - y ** 2)."""
    y = node.outputs[0]
    return g.Mul(dy, g.Sub(1.0, g.Mul(y, y)))


DERIVATIVES: dict[str, Callable[[Builder, Value, Value], Value]] = {
    "Abs": lambda g, x, y: g.Sub(1.0, g.Mul(heaviside(g, g.Neg(x)), 2.0)),  # +1 at 0, as in JAX
    "Sqrt": lambda g, x, y: g.Div(0.5, y),
    "Reciprocal": lambda g, x, y: g.Neg(g.Mul(y, y)),
    "Erf": lambda g, x, y: g.Mul(g.Exp(g.Neg(g.Mul(x, x))), 2 / np.sqrt(np.pi)),
    "Sin": lambda g, x, y: g.Cos(x),
    "Cos": lambda g, x, y: g.Neg(g.Sin(x)),
    "Tan": lambda g, x, y: g.Add(g.Mul(y, y), 1.0),
    "Asin": lambda g, x, y: g.Reciprocal(g.Sqrt(g.Sub(1.0, g.Mul(x, x)))),
    "Acos": lambda g, x, y: g.Neg(g.Reciprocal(g.Sqrt(g.Sub(1.0, g.Mul(x, x))))),
    "Atan": lambda g, x, y: g.Reciprocal(g.Add(g.Mul(x, x), 1.0)),
    "Sinh": lambda g, x, y: g.Cosh(x),
    "Cosh": lambda g, x, y: g.Sinh(x),
    "Asinh": lambda g, x, y: g.Reciprocal(g.Sqrt(g.Add(g.Mul(x, x), 1.0))),
    "Acosh": lambda g, x, y: g.Reciprocal(g.Sqrt(g.Sub(g.Mul(x, x), 1.0))),
    "Atanh": lambda g, x, y: g.Reciprocal(g.Sub(1.0, g.Mul(x, x))),
}
"""The derivatives of functions of one variable, computed from x and y = f(x)."""


def sign(g: Builder, x: Value) -> Value:
    """-1, 0 or 1. Faster in onnxruntime than the operator Sign."""
    return g.Clip(g.Mul(x, 1e38), -1.0, 1.0)


@vjp(*DERIVATIVES)
def unary_function(g: Builder, node: Node, dy: Value):
    """dx = dy * f'(x)."""
    return g.Mul(dy, DERIVATIVES[node.op](g, node.inputs[0], node.outputs[0]))


@vjp("Mean")
def mean(g: Builder, node: Node, dy: Value):
    """y = (a + b + ...) / n, so da = db = dy / n."""
    return [g.Mul(dy, 1 / len(node.inputs))] * len(node.inputs)


@vjp("Cast", "CastLike")
def cast(g: Builder, node: Node, dy: Value):
    """dx = dy in the type of x, unless x consists of quantized integers."""
    x = node.inputs[0]
    return g.cast(dy, x.dtype) if x.dtype in FLOAT_DTYPES else dy


@vjp("Where")
def where(g: Builder, node: Node, dy: Value):
    """y = a if c else b, so da = dy * c and db = dy - da, with c as 0 or 1. Faster in onnxruntime than Where."""
    da = g.Mul(dy, g.cast(node.inputs[0], dy.dtype))
    return None, da, g.Sub(dy, da)


@vjp("Pow")
def pow_(g: Builder, node: Node, dy: Value):
    """y = x ** p, so dx = dy * p * x ** (p - 1) and dp = dy * y * log(x).

    As in JAX, dx is 0 where p is 0, also at x = 0, and dp is 0 at x = 0.
    """
    x, p = node.inputs
    if isinstance(p, Constant):
        exponent = p.array.astype(x.dtype)
        lower = np.where(exponent == 0, 1, exponent - 1)
        power = x if np.all(lower == 1) else g.Pow(x, lower)
        return g.Mul(dy, g.Mul(power, exponent)), None
    p = g.cast(p, x.dtype)
    lower = g.Where(g.Equal(p, 0.0), g.const(1.0, x.dtype), g.Sub(p, 1.0))
    base = g.Where(g.Equal(x, 0.0), g.const(1.0, x.dtype), x)
    return g.Mul(dy, g.Mul(p, g.Pow(x, lower))), g.Mul(dy, g.Mul(node.outputs[0], g.Log(base)))


@vjp("Max", "Min")
def extremum(g: Builder, node: Node, dy: Value):
    """y = max(max(a, b), c): of each pair, the larger value gets dy. As in JAX, equal values get half of it each."""
    chain = [node.inputs[0]]
    for x in node.inputs[1:-1]:
        chain.append(g.emit(node.op, chain[-1], x))
    dxs = []
    for so_far, x in zip(reversed(chain), reversed(node.inputs[1:]), strict=False):  # no pairs for a single input
        lead = g.Sub(so_far, x) if node.op == "Max" else g.Sub(x, so_far)
        dso_far = g.Mul(dy, g.HardSigmoid(lead, alpha=1e38, beta=0.5))
        dxs.append(g.Sub(dy, dso_far))
        dy = dso_far
    return [dy, *reversed(dxs)]


@vjp("Clip")
def clip(g: Builder, node: Node, dy: Value):
    """dx = dy where y lies strictly between the bounds, else 0. The bounds get no gradient."""
    y, low, high = node.outputs[0], *(None if is_infinite(x) else x for x in (node.input(1), node.input(2)))
    above_low = y if low is not None and is_zero(low) else None if low is None else g.Sub(y, low)
    below_high = None if high is None else g.Neg(y) if is_zero(high) else g.Sub(high, y)
    distances = [distance for distance in (above_low, below_high) if distance is not None]
    if not distances:
        return dy
    # At a bound one of the distances is zero, and so is their product.
    return g.Mul(dy, heaviside(g, distances[0] if len(distances) == 1 else g.Mul(*distances))), None, None


def is_infinite(value: Value | None) -> bool:
    return isinstance(value, Constant) and value.dtype.startswith("float") and bool(np.isinf(value.array).all())


def is_zero(value: Value) -> bool:
    return isinstance(value, Constant) and not value.array.any()
