"""The base of all optimizers, which compute exactly the same as Keras 3's.

Each weight gets its own copy of the operators, so they are as few as possible. For a running mean `m = beta * m + (1 -
beta) * x` the slot holds `m / (1 - beta)`, which needs one operator less; the factor `1 - beta` is part of scalars that
all weights share.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, ClassVar

from ...core.components import Component, Registry, attr
from ...core.types import require
from ..numerics import square_sum
from .schedules import LearningRate, Schedule
from .skipped_steps import SkippedSteps
from .slot_storage import SlotStorage, SlotType

if TYPE_CHECKING:
    from ...core.diagnostics import JsonPath
    from ...ir import Builder, Parameter, Value

OPTIMIZERS = Registry(
    "optimizer",
    "The rule that updates weights by their gradients; `rmsprop` if a spec names none.",
    snake_case_names=False,
    keras_format="keras.optimizers.{class_name}",
)

LEARNING_RATE_DOC = "Step size, or a schedule of it."
EPSILON_DOC = "Added to a divisor, to avoid division by zero."
ROOT_EPSILON_DOC = "Added under the square root, to avoid division by zero."
WEIGHT_DECAY_DOC = "Fraction of the weight that a step subtracts, times the learning rate."
LOSS_SCALE_UNSUPPORTED = "A constant factor is not implemented; `training.loss_scale` scales the loss dynamically."

Slots = Mapping[str, Any]
"""Values by name: the slots of a weight, or the results of `prepare`, which all weights share."""

Update = tuple["Value", dict[str, "Value"]]
"""A weight after a step, and its changed slots by name."""


class Optimizer(Component):
    """`slots` returns the slots of a weight and their initial values; `update` emits the step of one weight.

    All optimizers first clip the gradients, then let the weight decay (by `weight * weight_decay * rate`), then update
    it.
    """

    registry = OPTIMIZERS
    usual_learning_rates: ClassVar[tuple[float, float]] = (1e-6, 1e-2)
    """Minimum and maximum; `jsonnx lint` reports others. The same holds for the momentum and the weight decay."""
    usual_momentum: ClassVar[tuple[float, float] | None] = None
    max_usual_weight_decay: ClassVar[float] = 0.5
    rescales_penalties: ClassVar[bool] = False
    """Whether the gradient of an L2 penalty is divided by the size of all gradients, unlike `weight_decay`."""
    square_slots: ClassVar[frozenset[str]] = frozenset()
    """The names of slots that hold means or sums of squares."""
    learning_rate: LearningRate = attr(0.001, doc=LEARNING_RATE_DOC, above=0, maximum=1e6)
    weight_decay: float | None = attr(None, doc=WEIGHT_DECAY_DOC, minimum=0)
    exclude_from_weight_decay: tuple[str, ...] = attr(
        (),
        doc="Patterns for the names of weights that do not decay: of a layer (`norm*`), of a weight in any layer "
        "(`bias`), or of both (`head/*`).",
    )
    clipnorm: float | None = attr(None, doc="Maximum norm of the gradient of one weight.", above=0)
    clipvalue: float | None = attr(None, doc="Maximum absolute value of a gradient's elements.", above=0)
    global_clipnorm: float | None = attr(None, doc="Maximum norm of all gradients together.", above=0)
    use_ema: bool = attr(
        False, doc="Whether to keep an exponential moving average of the weights, which replaces them after training."
    )
    ema_momentum: float = attr(0.99, doc="Fraction of the average that a step keeps.", minimum=0, maximum=1)
    ema_overwrite_frequency: int | None = attr(
        None, doc="Number of updates after which the average also replaces the weights during training.", minimum=1
    )
    loss_scale_factor: float | None = attr(
        None, doc="Factor of the loss, by which the gradients are divided again.", unsupported=LOSS_SCALE_UNSUPPORTED
    )
    gradient_accumulation_steps: int | None = attr(
        None, doc="Number of steps whose gradients are averaged for one update.", minimum=2
    )

    slot_dtype: SlotType = attr(
        "float32",
        doc="Element type in which the slots of weights with 8,192 elements or more are kept between steps; the "
        "update computes in float32. `bfloat16` and `float16` halve their memory.",
    )

    def check(self) -> None:
        """Raises ShapeError if attributes exclude each other."""
        clipping = [name for name in ("clipnorm", "clipvalue", "global_clipnorm") if getattr(self, name) is not None]
        require(len(clipping) < 2, f"can clip in one way only, got {' and '.join(clipping)}", code="invalid-value")
        has_no_effect = self.exclude_from_weight_decay and not self.decays_weights
        message = "excludes weights from weight decay, but has no `weight_decay`"
        require(not has_no_effect, message, code="invalid-value")
        if isinstance(self.learning_rate, Schedule):
            self.learning_rate.check()

    @property
    def decays_weights(self) -> bool:
        """Whether a step subtracts a fraction of any weight."""
        return bool(self.weight_decay)

    @property
    def optimizers(self) -> tuple[Optimizer, ...]:
        """The optimizers that have a learning rate of their own: this one, or those between which it chooses."""
        return (self,)

    def located_optimizers(self) -> Iterator[tuple[JsonPath, Optimizer]]:
        """`optimizers` with their paths in this one."""
        yield (), self

    def weight_patterns(self) -> Iterator[tuple[str, JsonPath, bool]]:
        """The patterns for names of weights, with their paths in the optimizer; and whether each one is a key there."""
        for index, pattern in enumerate(self.exclude_from_weight_decay):
            yield pattern, ("exclude_from_weight_decay", index), False

    def optimizer_index(self, weight_name: str) -> int:
        """The index in `optimizers` of the one that updates the weight of this name."""
        return 0

    def for_weight(self, weight: Parameter) -> Optimizer:
        """The optimizer of one weight: this one, or one that differs because of the weight's name or shape."""
        return self.replace(weight_decay=0.0) if self.weight_decay and self.is_decay_excluded(weight.name) else self

    def is_decay_excluded(self, name: str) -> bool:
        """Whether a pattern excludes the weight of this name from weight decay."""
        return any(matches_weight(pattern, name) for pattern in self.exclude_from_weight_decay)

    def slots(self) -> dict[str, float]:
        """The names of the slots of a weight, and their initial values."""
        return {}

    def slot_shape(self, name: str, weight_shape: tuple[int, ...]) -> tuple[int, ...]:
        """The shape of a slot of a weight of this shape."""
        return weight_shape

    def can_round_slot(self, name: str) -> bool:
        """Whether the slot may be stored in 16 bits: not if the weight is computed from it, as from a mean of
        weights, or if a difference of slots has to stay positive."""
        return True

    def slot_storage(self, name: str, weight_shape: tuple[int, ...]) -> SlotStorage:
        """How a slot of a weight of this shape is stored."""
        dtype = self.slot_dtype if self.can_round_slot(name) else "float32"
        return SlotStorage.of(dtype, name in self.square_slots, self.slot_shape(name, weight_shape))

    def prepare(self, g: Builder, rate: Value, step: Value) -> Slots:
        """The values that the updates of all weights share. `step` is an int64 that counts updates from 1."""
        return {}

    def update(self, g: Builder, weight: Value, gradient: Value, slots: Slots, rate: Value, shared: Slots) -> Update:
        """The weight and its slots after the step."""
        raise NotImplementedError

    def decay_and_update(
        self, g: Builder, weight: Value, gradient: Value, slots: Slots, rate: Value, shared: Slots
    ) -> Update:
        """The weight and its slots after weight decay and the step."""
        if self.weight_decay:
            weight = g.Sub(weight, g.Mul(weight, g.Mul(rate, self.weight_decay)))
        return self.update(g, weight, gradient, slots, rate, shared)

    def skipped_steps(self) -> SkippedSteps | None:
        """The effect of steps without a gradient on a weight, in closed form; None if there is no closed form."""
        return None

    def clip(self, g: Builder, gradients: dict[Parameter, Value]) -> dict[Parameter, Value]:
        """The gradients, clipped to the bounds."""
        if self.clipnorm is not None:
            return {w: g.Mul(d, clip_factor(g, square_sum(g, d), self.clipnorm)) for w, d in gradients.items()}
        if self.global_clipnorm is not None and gradients:
            squared = g.Sum(*(square_sum(g, d) for d in gradients.values()))
            g.checked.append(squared)
            factor = clip_factor(g, squared, self.global_clipnorm)
            return {w: g.Mul(d, factor) for w, d in gradients.items()}
        if self.clipvalue is not None:
            return {w: g.Clip(d, -self.clipvalue, self.clipvalue) for w, d in gradients.items()}
        return gradients


def matches_weight(pattern: str, name: str) -> bool:
    """Whether a pattern matches a weight's name, `layer/.../weight`, or only its first or last part."""
    parts = name.split("/")
    return any(fnmatchcase(text, pattern) for text in (name, parts[0], parts[-1]))


def clip_factor(g: Builder, squared: Value, bound: float) -> Value:
    """The factor that reduces a norm, given its square, to a bound: `bound / max(norm, bound)`."""
    return g.Div(bound, g.Max(g.Sqrt(squared), bound))


def decay_and_add(g: Builder, old: Value, factor: float, new: Value) -> Value:
    """`factor * old + new`."""
    return g.Add(g.Mul(old, factor), new)


def bias_correction(g: Builder, beta: float, step: Value) -> Value:
    """`1 - beta ** step`, the sum of the weights of a running mean.

    The exponent is an integer, since GPUs compute powers of floats with a relative error of 1e-7, and the subtraction
    makes that an error of 1e-4 in the first steps.
    """
    return g.Sub(1.0, g.Pow(g.const(beta), step))
