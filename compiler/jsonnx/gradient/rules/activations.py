"""Activation functions that are ONNX operators.

At a kink the derivative equals Keras' on JAX: 0 for most functions, 1 for LeakyRelu, alpha for Elu.
"""

from __future__ import annotations

from math import pi, sqrt

from ..registry import Builder, Node, Value, vjp
from .elementwise import heaviside, is_nonnegative


@vjp("LeakyRelu")
def leaky_relu(g: Builder, node: Node, dy: Value):
    """dx = dy where x >= 0, else alpha * dy. x has the sign of y, unless alpha underflows."""
    alpha = node.attribute("alpha", 0.01)
    step = is_nonnegative(g, node.outputs[0] if alpha >= 1e-6 else node.inputs[0])
    if 0 <= alpha <= 1:
        return g.Mul(dy, g.Max(step, alpha))
    return g.Mul(dy, g.Add(g.Mul(step, 1 - alpha), alpha))


@vjp("PRelu")
def prelu(g: Builder, node: Node, dy: Value):
    """y = relu(x) - slope * relu(-x), so dx = dy * (x > 0) + dy * slope * (x < 0) and dslope = dy * min(x, 0)."""
    x, slope = node.inputs
    dx = g.Mul(dy, g.Add(heaviside(g, x), g.Mul(heaviside(g, x, -1e38), slope)))
    return dx, g.Mul(dy, g.Clip(x, None, 0.0))


@vjp("ThresholdedRelu")
def thresholded_relu(g: Builder, node: Node, dy: Value):
    """dx = dy where x > alpha, else 0."""
    return g.Mul(dy, heaviside(g, g.Sub(node.inputs[0], node.attribute("alpha", 1.0))))


@vjp("Shrink")
def shrink(g: Builder, node: Node, dy: Value):
    """dx = dy where |x| > lambd, else 0."""
    return g.Mul(dy, heaviside(g, g.Sub(g.Abs(node.inputs[0]), node.attribute("lambd", 0.5))))


@vjp("HardSigmoid")
def hard_sigmoid(g: Builder, node: Node, dy: Value):
    """dx = alpha * dy where 0 < y < 1, else 0."""
    return g.Mul(dy, g.Mul(is_unsaturated(g, node.outputs[0]), node.attribute("alpha", 0.2)))


@vjp("HardSwish")
def hard_swish(g: Builder, node: Node, dy: Value):
    """y = x * h with h = hard_sigmoid(x), so dy/dx = h + x * h'."""
    x = node.inputs[0]
    h = g.HardSigmoid(x, alpha=1 / 6, beta=0.5)
    return g.Mul(dy, g.Add(h, g.Mul(x, g.Mul(is_unsaturated(g, h), 1 / 6))))


def is_unsaturated(g: Builder, y: Value) -> Value:
    """1 where 0 < y < 1, else 0."""
    return heaviside(g, g.Mul(y, g.Sub(1.0, y)))


@vjp("Elu")
def elu(g: Builder, node: Node, dy: Value):
    """dx = dy where x > 0, else dy * alpha * exp(x)."""
    return g.Mul(dy, elu_derivative(g, node.inputs[0], node.attribute("alpha", 1.0)))


@vjp("Selu")
def selu(g: Builder, node: Node, dy: Value):
    """y = gamma * elu(x, alpha)."""
    alpha, gamma = node.attribute("alpha", 1.6732632), node.attribute("gamma", 1.0507010)
    return g.Mul(dy, g.Mul(elu_derivative(g, node.inputs[0], alpha), gamma))


@vjp("Celu")
def celu(g: Builder, node: Node, dy: Value):
    """dx = dy where x > 0, else dy * exp(x / alpha)."""
    alpha = node.attribute("alpha", 1.0)
    x = node.inputs[0] if alpha == 1 else g.Div(node.inputs[0], alpha)
    return g.Mul(dy, elu_derivative(g, x, 1.0))


def elu_derivative(g: Builder, x: Value, alpha: float) -> Value:
    """1 where x > 0, else alpha * exp(x)."""
    exp = g.Exp(g.Clip(x, None, 0.0))
    return exp if alpha == 1 else g.Add(g.Mul(exp, alpha), g.Mul(heaviside(g, x), 1 - alpha))


@vjp("Softplus")
def softplus(g: Builder, node: Node, dy: Value):
    """y = log(1 + exp(x)), so dx = dy * sigmoid(x)."""
    return g.Mul(dy, softplus_derivative(g, node.inputs[0], node.outputs[0]))


def softplus_derivative(g: Builder, x: Value, y: Value) -> Value:
    """sigmoid(x) = exp(x - y). onnxruntime's Sigmoid has an absolute error of 6e-8, large relative to small results."""
    return g.Exp(g.Sub(x, y))


@vjp("Softsign")
def softsign(g: Builder, node: Node, dy: Value):
    """dx = dy / (1 + |x|)**2."""
    root = g.Add(g.Abs(node.inputs[0]), 1.0)
    return g.Div(dy, g.Mul(root, root))


@vjp("Mish")
def mish(g: Builder, node: Node, dy: Value):
    """y = x * t with t = tanh(softplus(x)), so dy/dx = t + x * (1 - t**2) * sigmoid(x)."""
    x = node.inputs[0]
    s = g.Softplus(x)
    t = g.Tanh(s)
    return g.Mul(dy, g.Add(t, g.Mul(g.Mul(x, softplus_derivative(g, x, s)), g.Sub(1.0, g.Mul(t, t)))))


@vjp("Gelu")
def gelu(g: Builder, node: Node, dy: Value):
    """y = x * P(x) with the distribution P and density p of a standard normal, so dy/dx = P(x) + x * p(x)."""
    x = node.inputs[0]
    square = g.Mul(x, x)
    if node.attribute("approximate", "none") == "tanh":
        # P = (1 + t) / 2 with t = tanh(x * (a + b * x**2)), so p = (1 - t**2) / 2 * (a + 3 * b * x**2)
        a = sqrt(2 / pi)
        b = a * 0.044715
        t = g.Tanh(g.Mul(x, g.Add(g.Mul(square, b), a)))
        distribution = g.Add(g.Mul(t, 0.5), 0.5)
        density = g.Mul(g.Sub(0.5, g.Mul(g.Mul(t, t), 0.5)), g.Add(g.Mul(square, 3 * b), a))
    else:
        distribution = g.Add(g.Mul(g.Erf(g.Mul(x, sqrt(0.5))), 0.5), 0.5)
        density = g.Mul(g.Exp(g.Mul(square, -0.5)), sqrt(0.5 / pi))
    return g.Mul(dy, g.Add(distribution, g.Mul(x, density)))
