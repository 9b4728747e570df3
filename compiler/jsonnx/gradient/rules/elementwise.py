"""Element-wise operators. Broadcasting is undone by the engine."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ...ir import Constant
from ..registry import NOT_DIFFERENTIABLE, Builder, Node, Value, vjp

NOT_DIFFERENTIABLE.update(
    ("Shape", "Size", "Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual", "Not", "And", "Or", "Xor", "IsNaN")
)
NOT_DIFFERENTIABLE.add("IsInf")
NOT_DIFFERENTIABLE.update(("Sign", "Floor", "Ceil", "Round", "ArgMax", "ArgMin", "ConstantOfShape", "Range", "OneHot"))


@vjp("Identity")
def identity(g: Builder, node: Node, dy: Value):
    return dy


@vjp("Add", "Sum")
def add(g: Builder, node: Node, dy: Value):
    return [dy] * len(node.inputs)


@vjp("Sub")
def sub(g: Builder, node: Node, dy: Value):
    return dy, g.Neg(dy)


@vjp("Mul")
def mul(g: Builder, node: Node, dy: Value):
    a, b = node.inputs
    if a is b:  # what comes from a mean is one number for many elements: doubled before it meets them
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
    """y = a - b * n with n the integer next to a / b on the way to 0, as `fmod` has it: of integers nobody asks."""
    a, b = node.inputs
    quotient = g.Div(a, b)
    return dy, g.Neg(g.Mul(dy, g.Mul(g.Sign(quotient), g.Floor(g.Abs(quotient)))))


@vjp("Neg")
def neg(g: Builder, node: Node, dy: Value):
    return g.Neg(dy)


@vjp("Exp")
def exp(g: Builder, node: Node, dy: Value):
    return g.Mul(dy, node.outputs[0])


@vjp("Log")
def log(g: Builder, node: Node, dy: Value):
    return g.Div(dy, node.inputs[0])


@vjp("Relu")
def relu(g: Builder, node: Node, dy: Value):
    """dx = dy where x > 0. HardSigmoid with a huge slope is that step function, and onnxruntime's fastest: 0.8 ms for
    2.8 million elements where Where takes 12. Read off y, which the next operator needs anyway, not off x."""
    return g.Mul(dy, heaviside(g, node.outputs[0]))


def heaviside(g: Builder, x: Value, slope: float = 1e38) -> Value:
    """1 where x > 0, else 0; with a negative slope where x < 0.

    OpenVINO reads a beta of 0 as the default, 0.5; this one is clipped to 0 as well.
    """
    return g.HardSigmoid(x, alpha=slope, beta=-1e-30)


@vjp("Sigmoid")
def sigmoid(g: Builder, node: Node, dy: Value):
    y = node.outputs[0]
    return g.Mul(dy, g.Mul(y, g.Sub(1.0, y)))


@vjp("Tanh")
def tanh(g: Builder, node: Node, dy: Value):
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
"""Functions of one number by their derivative, told from x and y = f(x)."""


def sign(g: Builder, x: Value) -> Value:
    """-1, 0 or 1. A seventh of the time of the operator Sign."""
    return g.Clip(g.Mul(x, 1e38), -1.0, 1.0)


@vjp(*DERIVATIVES)
def unary_function(g: Builder, node: Node, dy: Value):
    return g.Mul(dy, DERIVATIVES[node.op](g, node.inputs[0], node.outputs[0]))


@vjp("Mean")
def mean(g: Builder, node: Node, dy: Value):
    return [g.Mul(dy, 1 / len(node.inputs))] * len(node.inputs)


@vjp("Cast")
def cast(g: Builder, node: Node, dy: Value):
    """Between real types; from any other there is nothing to differentiate, and the engine does not look."""
    return g.cast(dy, node.inputs[0].dtype)


@vjp("Where")
def where(g: Builder, node: Node, dy: Value):
    """By the condition as a number: Where itself is fifteen times as slow."""
    da = g.Mul(dy, g.cast(node.inputs[0], dy.dtype))
    return None, da, g.Sub(dy, da)


@vjp("Pow")
def power(g: Builder, node: Node, dy: Value):
    """y = x ** p, so dx = dy * p * x ** (p - 1) and dp = dy * y * log(x).

    Where p is 0, dx is 0, also at x = 0; and so is dp at x = 0, as in JAX.
    """
    x, p = node.inputs
    if isinstance(p, Constant):
        exponent = p.array.astype(x.dtype)
        below = np.where(exponent == 0, 1, exponent - 1)
        rest = x if np.all(below == 1) else g.Pow(x, below)
        return g.Mul(dy, g.Mul(rest, exponent)), None
    p = g.cast(p, x.dtype)
    below = g.Where(g.Equal(p, 0.0), g.const(1.0, x.dtype), g.Sub(p, 1.0))
    base = g.Where(g.Equal(x, 0.0), g.const(1.0, x.dtype), x)
    return g.Mul(dy, g.Mul(p, g.Pow(x, below))), g.Mul(dy, g.Mul(node.outputs[0], g.Log(base)))


@vjp("Max", "Min")
def extremum(g: Builder, node: Node, dy: Value):
    """A chain of pairs, as max(max(a, b), c). Of two equal ones each gets half, as in JAX."""
    chain = [node.inputs[0]]
    for x in node.inputs[1:-1]:
        chain.append(g.emit(node.op, chain[-1], x))
    dxs = []
    for before, x in zip(reversed(chain), reversed(node.inputs[1:]), strict=False):  # of a single input nothing
        lead = g.Sub(before, x) if node.op == "Max" else g.Sub(x, before)
        kept = g.Mul(dy, g.HardSigmoid(lead, alpha=1e38, beta=0.5))
        dxs.append(g.Sub(dy, kept))
        dy = kept
    return [dy, *reversed(dxs)]


@vjp("Clip")
def clip(g: Builder, node: Node, dy: Value):
    """dx = dy where the result is strictly between the bounds, which get nothing."""
    y, low, high = node.outputs[0], *(None if is_infinite(x) else x for x in (node.input(1), node.input(2)))
    over = y if low is not None and is_zero(low) else None if low is None else g.Sub(y, low)
    under = None if high is None else g.Neg(y) if is_zero(high) else g.Sub(high, y)
    inside = [distance for distance in (over, under) if distance is not None]
    if not inside:
        return dy
    # At a bound one distance is zero, and so is their product.
    return g.Mul(dy, heaviside(g, inside[0] if len(inside) == 1 else g.Mul(*inside))), None, None


def is_infinite(value: Value | None) -> bool:
    return isinstance(value, Constant) and value.dtype.startswith("float") and bool(np.isinf(value.array).all())


def is_zero(value: Value) -> bool:
    return isinstance(value, Constant) and not value.array.any()
