"""Muon: the steps of matrices are orthogonalized; all other weights use Adam."""

from __future__ import annotations

import re
from math import sqrt
from typing import TYPE_CHECKING, Any

from ...core.components import attr
from ...core.types import require
from ..numerics import square_sum
from .adam_optimizers import AdamBase
from .optimizer import EPSILON_DOC, OPTIMIZERS, WEIGHT_DECAY_DOC, Optimizer, Slots, Update, decay_and_add

if TYPE_CHECKING:
    from ...ir import Builder, Parameter, Value

NORM_EPSILON = 1e-7
"""Added to the norm of a matrix that is divided by it."""


@OPTIMIZERS.register()
class Muon(Optimizer):
    """Momentum, made orthogonal by Newton-Schulz iterations; Adam for embeddings, excluded layers, and weights other
    than matrices (Jordan et al., 2024)."""

    formula = """
        if t == 1:
            m = 0
        w -= learning_rate * weight_decay * w
        m = momentum * m + g
        x = momentum * m + g if nesterov else m
        x = x / (sqrt(sum(x ** 2)) + 1e-7)
        for _ in range(ns_steps):
            square = x @ x.T
            x = muon_a * x + (muon_b * square + muon_c * square @ square) @ x
        w -= learning_rate * x * (1 if rms_rate is None else rms_rate * sqrt(max(w.shape)))
    """
    usual_learning_rates = (1e-5, 1e-1)
    weight_decay: float | None = attr(0.004, doc=WEIGHT_DECAY_DOC, minimum=0)
    momentum: float = attr(0.95, doc="Decay of the sum of gradients.", minimum=0, maximum=1)
    nesterov: bool = attr(True, doc="Whether to use Nesterov momentum.")
    ns_steps: int = attr(5, doc="Number of Newton-Schulz iterations.", minimum=1, maximum=100)
    muon_a: float = attr(3.4445, doc="Factor of the matrix X in an iteration.")
    muon_b: float = attr(-4.775, doc="Factor of `(X X^T) X`.")
    muon_c: float = attr(2.0315, doc="Factor of `(X X^T)^2 X`.")
    rms_rate: float | None = attr(
        0.2, doc="Steps are multiplied by this and the root of the longer side of the matrix; null: not multiplied."
    )
    exclude_layers: tuple[str, ...] | None = attr(
        None, doc="Regular expressions; weights whose names contain a match use Adam, best those of the last layer."
    )
    exclude_embeddings: bool = attr(True, doc="Whether weights with `embedding` in their names use Adam.")
    adam_beta_1: float = attr(0.9, doc="Decay of Adam's running mean of gradients.", minimum=0, below=1)
    adam_beta_2: float = attr(0.999, doc="Decay of Adam's running mean of squared gradients.", minimum=0, below=1)
    adam_weight_decay: float | None = attr(0.004, doc="Weight decay of the weights that use Adam.", minimum=0)
    adam_lr_ratio: float = attr(1.0, doc="Learning rate of Adam, relative to that of Muon.", above=0)
    epsilon: float = attr(1e-7, doc=EPSILON_DOC, minimum=0)

    def check(self) -> None:
        super().check()
        for pattern in self.exclude_layers or ():
            try:
                re.compile(pattern)
            except re.error as error:
                message = f"has an invalid regular expression in exclude_layers, {pattern!r}: {error}"
                require(False, message, code="invalid-value")

    @property
    def decays_weights(self) -> bool:
        return bool(self.weight_decay or self.adam_weight_decay)

    def for_weight(self, weight: Parameter) -> Optimizer:
        return super().for_weight(weight) if self.is_orthogonalized(weight) else self.adam().for_weight(weight)

    def is_orthogonalized(self, weight: Parameter) -> bool:
        is_embedding = self.exclude_embeddings and "embedding" in weight.name.lower()
        is_excluded = any(re.search(pattern, weight.name) for pattern in self.exclude_layers or ())
        return weight.rank == 2 and not is_embedding and not is_excluded

    def adam(self) -> MuonAdam:
        """The optimizer of the weights that do not use Muon."""
        arguments: dict[str, Any] = {
            "learning_rate_ratio": self.adam_lr_ratio,
            "weight_decay": self.adam_weight_decay,
            "exclude_from_weight_decay": self.exclude_from_weight_decay,
            "beta_1": self.adam_beta_1,
            "beta_2": self.adam_beta_2,
            "epsilon": self.epsilon,
            "slot_dtype": self.slot_dtype,
        }
        return MuonAdam(**arguments)

    def slots(self) -> dict[str, float]:
        return {"momentum": 0.0}

    def update(self, g: Builder, weight: Value, gradient: Value, slots: Slots, rate: Value, shared: Slots) -> Update:
        momentum = decay_and_add(g, slots["momentum"], self.momentum, gradient)
        direction = decay_and_add(g, momentum, self.momentum, gradient) if self.nesterov else momentum
        step = self.orthogonalized(g, direction)
        longer_side = max(size for size in weight.shape if isinstance(size, int))
        scale = 1.0 if self.rms_rate is None else sqrt(longer_side) * self.rms_rate
        return g.Sub(weight, g.Mul(step, g.Mul(rate, scale))), {"momentum": momentum}

    def orthogonalized(self, g: Builder, x: Value) -> Value:
        """About `U V^T` for a matrix `U S V^T`: each iteration maps the singular values, which the norm bounds by 1, by
        the polynomial `a s + b s^3 + c s^5`.

        The square matrix is the smaller one of `X X^T` and `X^T X`.
        """
        rows, columns = x.shape
        x = g.Div(x, g.Add(g.Sqrt(square_sum(g, x)), NORM_EPSILON))
        for _ in range(self.ns_steps):
            transposed = g.Transpose(x, perm=[1, 0])
            square = g.MatMul(transposed, x) if rows > columns else g.MatMul(x, transposed)
            polynomial = g.Add(g.Mul(square, self.muon_b), g.Mul(g.MatMul(square, square), self.muon_c))
            product = g.MatMul(x, polynomial) if rows > columns else g.MatMul(polynomial, x)
            x = g.Add(g.Mul(x, self.muon_a), product)
        return x


class MuonAdam(AdamBase):
    """Adam with another learning rate. The weight decay does not depend on it."""

    learning_rate_ratio: float = attr(doc="Learning rate of the steps, relative to that of the weight decay.")

    def prepare(self, g: Builder, rate: Value, step: Value) -> Slots:
        return super().prepare(
            g, rate if self.learning_rate_ratio == 1.0 else g.Mul(rate, self.learning_rate_ratio), step
        )
