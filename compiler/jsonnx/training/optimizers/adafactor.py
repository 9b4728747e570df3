"""Adafactor: the squares of the gradients of a matrix are kept as one mean for each row and one for each column."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...core.components import attr
from .optimizer import OPTIMIZERS, Optimizer, Slots, Update

if TYPE_CHECKING:
    from ...ir import Builder, Parameter, Value


@OPTIMIZERS.register("adafactor")
class Adafactor(Optimizer):
    """Steps proportional to the size of the weight, with few slots (Shazeer and Stern, 2018)."""

    formula = """
        if t == 1:
            rows, columns, v = 0, 0, 0
        gain, squares = t ** beta_2_decay, g ** 2 + epsilon_1
        if g.ndim < 2:
            v = (1 - gain) * v + gain * squares
        else:
            rows = (1 - gain) * rows + gain * mean(squares, axis=-1)
            columns = (1 - gain) * columns + gain * mean(squares, axis=-2)
            v = (rows / mean(rows, axis=-1, keepdims=True))[..., :, None] * columns[..., None, :]
        step = g / sqrt(v)
        step /= maximum(1, sqrt(mean(step ** 2)) / clip_threshold)
        w -= minimum(learning_rate, 1 / sqrt(t)) * maximum(epsilon_2, sqrt(mean(w ** 2))) * step
    """
    usual_learning_rates = (1e-5, 1e-1)
    square_slots = frozenset({"velocity", "row_means", "column_means"})
    beta_2_decay: float = attr(-0.8, doc="Exponent of the step in `1 - beta_2`, the decay of the running means.")
    epsilon_1: float = attr(1e-30, doc="Added to the squares of gradients.", minimum=0)
    epsilon_2: float = attr(0.001, doc="Least root mean square of a weight to which a step is relative.", minimum=0)
    clip_threshold: float = attr(1.0, doc="Largest root mean square of a step.", above=0)
    relative_step: bool = attr(
        True, doc="Has no effect: the learning rate is always at most `1 / sqrt(step)`, as in Keras."
    )

    def for_weight(self, weight: Parameter) -> Optimizer:
        optimizer = super().for_weight(weight)
        return FactoredAdafactor(**vars(optimizer)) if weight.rank >= 2 else optimizer

    def slots(self) -> dict[str, float]:
        return {"velocity": 0.0}

    def prepare(self, g: Builder, rate: Value, step: Value) -> Slots:
        """The learning rate, and the weight of the current gradient in the running means, 1 - beta_2."""
        now = g.cast(step, rate.dtype)
        return {"rate": g.Min(rate, g.Reciprocal(g.Sqrt(now))), "gain": g.Pow(now, self.beta_2_decay)}

    def update(self, g: Builder, weight: Value, gradient: Value, slots: Slots, rate: Value, shared: Slots) -> Update:
        squares = g.Add(g.Mul(gradient, gradient), self.epsilon_1)
        changed = self.running_means(g, squares, slots, shared["gain"])
        step = g.Div(gradient, self.root_of_squares(g, changed))
        clipped = g.Div(step, g.Max(g.Div(root_mean_square(g, step), self.clip_threshold), 1.0))
        scale = g.Mul(g.Max(root_mean_square(g, weight), self.epsilon_2), shared["rate"])
        return g.Sub(weight, g.Mul(clipped, scale)), changed

    def running_means(self, g: Builder, squares: Value, slots: Slots, gain: Value) -> dict[str, Value]:
        """The slots after the step; `gain` is the weight of the new squares."""
        return {"velocity": blend(g, slots["velocity"], squares, gain)}

    def root_of_squares(self, g: Builder, slots: Slots) -> Value:
        """The estimated root of the mean square of each element's gradient."""
        return g.Sqrt(slots["velocity"])


class FactoredAdafactor(Adafactor):
    """Adafactor for a weight with two axes or more: the last two are factored."""

    def slots(self) -> dict[str, float]:
        return {"row_means": 0.0, "column_means": 0.0}

    def slot_shape(self, name: str, weight_shape: tuple[int, ...]) -> tuple[int, ...]:
        return weight_shape[:-1] if name == "row_means" else (*weight_shape[:-2], weight_shape[-1])

    def running_means(self, g: Builder, squares: Value, slots: Slots, gain: Value) -> dict[str, Value]:
        return {
            "row_means": blend(g, slots["row_means"], g.ReduceMean(squares, [-1], keepdims=0), gain),
            "column_means": blend(g, slots["column_means"], g.ReduceMean(squares, [-2], keepdims=0), gain),
        }

    def root_of_squares(self, g: Builder, slots: Slots) -> Value:
        rows = g.Div(slots["row_means"], g.ReduceMean(slots["row_means"], [-1], keepdims=1))
        return g.Sqrt(g.Mul(g.Unsqueeze(rows, [-1]), g.Unsqueeze(slots["column_means"], [-2])))


def blend(g: Builder, old: Value, new: Value, gain: Value) -> Value:
    """`(1 - gain) * old + gain * new`."""
    return g.Add(g.Mul(old, g.Sub(1.0, gain)), g.Mul(new, gain))


def root_mean_square(g: Builder, x: Value) -> Value:
    return g.Sqrt(g.ReduceMean(g.Mul(x, x), keepdims=0))
