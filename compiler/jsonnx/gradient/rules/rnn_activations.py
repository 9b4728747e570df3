"""The activation functions of LSTM, GRU and RNN, and their derivatives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from ..registry import Builder, Node, Value
from .elementwise import heaviside as is_positive

DEFAULT_ALPHA_BETA = {
    "Affine": (1.0, 0.0),
    "LeakyRelu": (0.01, None),
    "ThresholdedRelu": (1.0, None),
    "ScaledTanh": (1.0, 1.0),
    "HardSigmoid": (0.2, 0.5),
    "Elu": (1.0, None),
}
"""The default alpha and beta of the functions that have them."""


class RnnActivation(NamedTuple):
    """An activation function of a recurrent operator."""

    name: str
    alpha: float
    beta: float

    def apply(self, g: Builder, x: Value) -> Value:
        if self.name == "Affine":
            return x if self.alpha == 1 and self.beta == 0 else g.Add(g.Mul(x, self.alpha), self.beta)
        if self.name == "ScaledTanh":
            return g.Mul(g.Tanh(g.Mul(x, self.beta)), self.alpha)
        values = {"alpha": self.alpha, "beta": self.beta}
        defaults = zip(values, DEFAULT_ALPHA_BETA.get(self.name, ()), strict=False)
        attributes: dict[str, Any] = {key: values[key] for key, default in defaults if default is not None}
        return g.emit(self.name, x, **attributes)

    def derivative(self, g: Builder, y: Value) -> Value:
        """The derivative, computed from the function's value y."""
        return DERIVATIVES[self.name](g, y, self.alpha, self.beta)

    def times_derivative(self, g: Builder, y: Value, k: Value, ky: Value) -> Value:
        """k times the derivative, computed from the function's value y and the product ky = k * y."""
        if self.name == "Sigmoid":
            return g.Mul(ky, g.Sub(1.0, y))
        if self.name == "Tanh":
            return g.Sub(k, g.Mul(ky, y))
        return g.Mul(k, self.derivative(g, y))


def select_by_sign(g: Builder, below: float, y: Value, above: float) -> Value:
    """`above` where y > 0, `below` elsewhere."""
    return g.Add(g.Mul(is_positive(g, y), above - below), below)


def elu_derivative(g: Builder, y: Value, alpha: float, beta: float) -> Value:
    """1 where y > 0, else alpha * exp(x) = y + alpha."""
    positive = is_positive(g, y)
    return g.Add(positive, g.Mul(g.Sub(1.0, positive), g.Add(y, alpha)))


def softsign_derivative(g: Builder, y: Value, alpha: float, beta: float) -> Value:
    """y = x / (1 + |x|), so dy/dx = (1 - |y|)^2."""
    rest = g.Sub(1.0, g.Abs(y))
    return g.Mul(rest, rest)


DERIVATIVES: dict[str, Callable[[Builder, Value, float, float], Value]] = {
    "Affine": lambda g, y, alpha, beta: select_by_sign(g, alpha, y, alpha),
    "Relu": lambda g, y, alpha, beta: is_positive(g, y),
    "LeakyRelu": lambda g, y, alpha, beta: select_by_sign(g, alpha, y, 1.0),
    "ThresholdedRelu": lambda g, y, alpha, beta: is_positive(g, y),
    "Sigmoid": lambda g, y, alpha, beta: g.Mul(y, g.Sub(1.0, y)),
    "HardSigmoid": lambda g, y, alpha, beta: g.Mul(g.Mul(is_positive(g, y), is_positive(g, g.Sub(1.0, y))), alpha),
    "Tanh": lambda g, y, alpha, beta: g.Sub(1.0, g.Mul(y, y)),
    "ScaledTanh": lambda g, y, alpha, beta: g.Sub(alpha * beta, g.Mul(g.Mul(y, y), beta / alpha)),
    "Elu": elu_derivative,
    "Softsign": softsign_derivative,
    "Softplus": lambda g, y, alpha, beta: g.Sub(1.0, g.Exp(g.Neg(y))),
}


def rnn_activations(node: Node, *default: str) -> list[RnnActivation]:
    """The node's activation functions. Its alphas and betas are assigned, in order, to the functions that have one."""
    alphas, betas = (iter(node.attribute(f"activation_{which}") or ()) for which in ("alpha", "beta"))
    activations: list[RnnActivation] = []
    for name in (node.attribute("activations") or default)[: len(default)]:
        alpha, beta = DEFAULT_ALPHA_BETA.get(name, (None, None))
        activations.append(
            RnnActivation(
                name,
                0.0 if alpha is None else next(alphas, alpha),
                0.0 if beta is None else next(betas, beta),
            )
        )
    return activations
