"""Learning rate schedules, as Keras 3 computes them, and one-cycle. A step of training computes its own rate."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import log, pi
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from ...core.components import Component, ComponentCodec, NumberCodec, Registry, UnionCodec, attr
from ...core.types import require
from .relative_steps import RELATIVE_STEPS_DOC, AllSteps, RelativeSteps, Steps, TrainingLength

if TYPE_CHECKING:
    from ...ir import Builder, Value

SCHEDULES = Registry(
    "schedule",
    "The learning rate as a function of the steps done, in place of a number.",
    snake_case_names=False,
    keras_format="keras.optimizers.schedules.{class_name}",
)

INITIAL_RATE_DOC = "Learning rate of the first step."
STAIRCASE_DOC = "Whether the rate changes only after every `decay_steps` steps, instead of at each step."
RESTART_TOLERANCE = 3e-6
"""Added to the number of restarts, a quotient of logarithms, before it is rounded down."""


class Schedule(Component):
    """`rate` emits the learning rate of a step from the number of steps done before it, an int64 scalar."""

    registry = SCHEDULES
    peak_keys: ClassVar[tuple[str, ...]] = ("initial_learning_rate",)
    """The attributes whose maximum is the highest learning rate."""
    length_key: ClassVar[str | None] = None
    """The attribute with the number of steps until the last rate, without a warm-up; None if there is no last rate."""

    def check(self) -> None:
        """Raises ShapeError if attributes contradict each other."""
        for steps in self.relative_steps.values():
            steps.check()

    @property
    def relative_steps(self) -> dict[str, RelativeSteps]:
        """The numbers of steps that the length of the training determines, by attribute."""
        return {name: value for name, value in vars(self).items() if isinstance(value, RelativeSteps)}

    def steps_in(self, length: TrainingLength) -> dict[str, int]:
        """What `relative_steps` are in a training: `all` is what a warm-up leaves. Raises ShapeError for too few
        steps."""
        resolved = {name: steps.steps_in(length) for name, steps in self.relative_steps.items()}
        warmup = resolved.get("warmup_steps", getattr(self, "warmup_steps", 0))
        for name, steps in self.relative_steps.items():
            if steps.is_all:
                resolved[name] = length.steps - warmup
                message = f"has {warmup:,} warm-up steps, and the training {length.steps:,}, so that none is left"
                require(resolved[name] > 0, message, "give a shorter warm-up, or more epochs", code="invalid-value")
        self.replace(**resolved).check()
        return resolved

    def rate(self, g: Builder, step: Value) -> Value:
        raise NotImplementedError


def is_schedule(value: Any) -> bool:
    return isinstance(value, (dict, Schedule))


LearningRate = Annotated[
    float | Schedule, UnionCodec((is_schedule, ComponentCodec(SCHEDULES)), (lambda value: True, NumberCodec()))
]
"""A number, or a schedule."""


def as_float(g: Builder, steps: Any) -> float | Value:
    """A number of steps that is known, or a value, as a floating-point number."""
    return float(steps) if isinstance(steps, int) else g.cast(steps, g.float_dtype)


def elapsed(g: Builder, step: Value, steps: Any) -> Value:
    """The number of steps done, in units of `steps`."""
    return g.Div(g.cast(step, g.float_dtype), as_float(g, steps))


def half_cosine(g: Builder, start: float, end: float, progress: Value) -> Value:
    """A half wave of the cosine from `start` at progress 0 to `end` at progress 1."""
    wave = g.Add(g.Cos(g.Mul(progress, pi)), 1.0)
    return g.Add(g.Mul(wave, 0.5 * (start - end)), end)


def line(g: Builder, start: float, end: float, progress: Value) -> Value:
    """A straight line from `start` at progress 0 to `end` at progress 1."""
    return g.Add(g.Mul(progress, end - start), start)


class Decay(Schedule):
    """Base of the schedules that decay from an initial rate."""

    initial_learning_rate: float = attr(doc=INITIAL_RATE_DOC, minimum=0, maximum=1e6)
    decay_steps: AllSteps = attr(
        doc=f'Number of steps of the decay, "all" that a warm-up leaves, {RELATIVE_STEPS_DOC}.', minimum=1
    )


class RateDecay(Decay):
    """Base of the schedules with a decay rate."""

    decay_rate: float = attr(doc="Strength of the decay over `decay_steps` steps.", minimum=0)
    staircase: bool = attr(False, doc=STAIRCASE_DOC)

    def periods(self, g: Builder, step: Value) -> Value:
        """The number of decay periods that have passed."""
        periods = elapsed(g, step, self.decay_steps)
        return g.Floor(periods) if self.staircase else periods


@SCHEDULES.register()
class ExponentialDecay(RateDecay):
    """The rate is multiplied by `decay_rate` in every `decay_steps` steps."""

    formula = """
        periods = floor(t / decay_steps) if staircase else t / decay_steps
        learning_rate = initial_learning_rate * decay_rate ** periods
    """

    def rate(self, g: Builder, step: Value) -> Value:
        return g.Mul(g.Pow(g.const(self.decay_rate), self.periods(g, step)), self.initial_learning_rate)


@SCHEDULES.register()
class InverseTimeDecay(RateDecay):
    """The rate falls in proportion to the reciprocal of the steps."""

    formula = """
        periods = floor(t / decay_steps) if staircase else t / decay_steps
        learning_rate = initial_learning_rate / (1 + decay_rate * periods)
    """

    def rate(self, g: Builder, step: Value) -> Value:
        return g.Div(self.initial_learning_rate, g.Add(g.Mul(self.periods(g, step), self.decay_rate), 1.0))


@SCHEDULES.register()
class PolynomialDecay(Decay):
    """From `initial_learning_rate` to `end_learning_rate` by a power of the remaining fraction of the steps."""

    formula = """
        progress = t / decay_steps
        progress = progress / maximum(ceil(progress), 1) if cycle else minimum(progress, 1)
        span = initial_learning_rate - end_learning_rate
        learning_rate = span * (1 - progress) ** power + end_learning_rate
    """
    length_key = "decay_steps"
    end_learning_rate: float = attr(0.0001, doc="Learning rate after `decay_steps` steps.", minimum=0, maximum=1e6)
    power: float = attr(1.0, doc="Exponent; 1 decays linearly.", above=0)
    cycle: bool = attr(
        False, doc="Whether the decay starts again after its end, over the next multiple of `decay_steps`."
    )

    def rate(self, g: Builder, step: Value) -> Value:
        progress = elapsed(g, step, self.decay_steps)
        progress = g.Div(progress, g.Max(g.Ceil(progress), 1.0)) if self.cycle else g.Min(progress, 1.0)
        remaining = g.Pow(g.Sub(1.0, progress), self.power)
        return g.Add(g.Mul(remaining, self.initial_learning_rate - self.end_learning_rate), self.end_learning_rate)


@SCHEDULES.register()
class PiecewiseConstantDecay(Schedule):
    """One learning rate up to each boundary, and one after the last."""

    formula = "learning_rate = values[sum(t > array(boundaries))]"
    peak_keys = ("values",)
    boundaries: tuple[int, ...] = attr(
        doc="Numbers of steps done, ascending, up to and including which each value but the last holds.", minimum=0
    )
    values: tuple[float, ...] = attr(doc="Learning rates, one more than boundaries.", minimum=0, maximum=1e6)

    def check(self) -> None:
        count = len(self.boundaries) + 1
        message = f"needs {count} values for {len(self.boundaries)} boundaries, got {len(self.values)}"
        require(len(self.boundaries) > 0, "needs at least one boundary", code="invalid-value")
        require(len(self.values) == count, message, code="invalid-value")
        is_ascending = all(low < high for low, high in pairwise(self.boundaries))
        require(is_ascending, f"needs ascending boundaries, got {list(self.boundaries)}", code="invalid-value")

    def rate(self, g: Builder, step: Value) -> Value:
        is_passed = g.cast(g.Greater(step, g.const(self.boundaries, "int64")), "int64")
        return g.Gather(g.const(self.values), g.ReduceSum(is_passed, keepdims=0), axis=0)


@SCHEDULES.register()
class CosineDecay(Decay):
    """Half a cosine wave from the initial rate down to `alpha` times it, after a linear warm-up if there is a
    `warmup_target` (Loshchilov and Hutter, 2017)."""

    formula = """
        def decay(t, rate):
            return rate * (alpha + (1 - alpha) * (1 + cos(pi * minimum(t / decay_steps, 1))) / 2)

        if warmup_target is None:
            learning_rate = decay(t, initial_learning_rate)
        elif t < warmup_steps:
            rise = warmup_target - initial_learning_rate
            learning_rate = initial_learning_rate + rise * t / warmup_steps
        else:
            learning_rate = decay(t - warmup_steps, warmup_target)
    """
    peak_keys = ("initial_learning_rate", "warmup_target")
    length_key = "decay_steps"
    alpha: float = attr(0.0, doc="Last learning rate, as a fraction of the highest one.", minimum=0)
    warmup_target: float | None = attr(
        None, doc="Learning rate after the warm-up, from which it decays.", minimum=0, maximum=1e6
    )
    warmup_steps: Steps = attr(
        0, doc=f"Number of steps of the warm-up, before the decay, {RELATIVE_STEPS_DOC}.", minimum=0
    )

    def check(self) -> None:
        super().check()
        message = f"has {self.warmup_steps} warm-up steps, but no `warmup_target`"
        help = "give the learning rate after the warm-up; `initial_learning_rate` is the one before it"
        require(not self.warmup_steps or self.warmup_target is not None, message, help, code="invalid-value")

    def rate(self, g: Builder, step: Value) -> Value:
        if self.warmup_target is None:
            return self.decay(g, step, self.initial_learning_rate)
        if not self.warmup_steps:
            return self.decay(g, step, self.warmup_target)
        warm_up = line(g, self.initial_learning_rate, self.warmup_target, elapsed(g, step, self.warmup_steps))
        decay = self.decay(g, g.Max(g.Sub(step, self.warmup_steps), 0), self.warmup_target)
        return g.Where(g.Less(step, self.warmup_steps), warm_up, decay)

    def decay(self, g: Builder, step: Value, highest: float) -> Value:
        """The rate without warm-up."""
        progress = g.Min(elapsed(g, step, self.decay_steps), 1.0)
        return half_cosine(g, highest, highest * self.alpha, progress)


@SCHEDULES.register()
class CosineDecayRestarts(Schedule):
    """Consecutive half cosine waves. Each may be longer and lower than the one before it
    (Loshchilov and Hutter, 2017)."""

    formula = """
        start, length, height = 0, first_decay_steps, 1
        while t >= start + length:
            start, length, height = start + length, length * t_mul, height * m_mul
        wave = height * (1 + cos(pi * (t - start) / length)) / 2
        learning_rate = initial_learning_rate * (alpha + (1 - alpha) * wave)
    """
    initial_learning_rate: float = attr(doc=INITIAL_RATE_DOC, minimum=0, maximum=1e6)
    first_decay_steps: AllSteps = attr(
        doc=f'Number of steps of the first wave, "all", {RELATIVE_STEPS_DOC}.', minimum=1
    )
    t_mul: float = attr(2.0, doc="Length of a wave, relative to the one before it.", minimum=1)
    m_mul: float = attr(1.0, doc="Height of a wave, relative to the one before it.", minimum=0)
    alpha: float = attr(0.0, doc="Least learning rate, as a fraction of the initial one.", minimum=0)

    def rate(self, g: Builder, step: Value) -> Value:
        progress = elapsed(g, step, self.first_decay_steps)
        if self.t_mul == 1.0:
            restarts = g.Floor(progress)
            progress = g.Sub(progress, restarts)
        else:
            growth = g.Log(g.Add(g.Mul(progress, self.t_mul - 1.0), 1.0))
            restarts = g.Floor(g.Add(g.Div(growth, log(self.t_mul)), RESTART_TOLERANCE))
            length = g.Pow(g.const(self.t_mul), restarts)
            start = g.Div(g.Sub(length, 1.0), self.t_mul - 1.0)
            progress = g.Div(g.Sub(progress, start), length)
        wave = g.Mul(g.Pow(g.const(self.m_mul), restarts), half_cosine(g, 1.0, 0.0, progress))
        return g.Mul(g.Add(g.Mul(wave, 1.0 - self.alpha), self.alpha), self.initial_learning_rate)


@SCHEDULES.register()
class OneCycle(Schedule):
    """Up to a maximum, and down again to far below the start (Smith and Topin, 2018), with the arguments and defaults
    of PyTorch's OneCycleLR. After `total_steps` steps, the last rate holds."""

    formula = """
        first = max_learning_rate / div_factor
        steps = [0, pct_start * total_steps - 1, total_steps - 1]
        rates = [first, max_learning_rate, first / final_div_factor]
        if three_phase:
            steps.insert(2, 2 * pct_start * total_steps - 2)
            rates.insert(2, first)
        phase = clip(searchsorted(steps, t), 1, len(steps) - 1)
        progress = clip((t - steps[phase - 1]) / (steps[phase] - steps[phase - 1]), 0, 1)
        progress = (1 - cos(pi * progress)) / 2 if anneal_strategy == "cos" else progress
        learning_rate = rates[phase - 1] + (rates[phase] - rates[phase - 1]) * progress
    """
    keras_name = ""
    peak_keys = ("max_learning_rate",)
    length_key = "total_steps"
    max_learning_rate: float = attr(doc="Highest learning rate.", above=0, maximum=1e6)
    total_steps: AllSteps = attr(doc=f'Number of steps of the cycle, "all", {RELATIVE_STEPS_DOC}.', minimum=2)
    pct_start: float = attr(0.3, doc="Fraction of the cycle in which the rate rises.", above=0, below=1)
    anneal_strategy: Literal["cos", "linear"] = attr("cos", doc="Whether the rate follows a cosine or a line.")
    div_factor: float = attr(25.0, doc="Maximum divided by the first rate.", above=0)
    final_div_factor: float = attr(1e4, doc="First rate divided by the last one.", above=0)
    three_phase: bool = attr(
        False, doc="Whether the rate falls to the first one as fast as it has risen, and then to the last one."
    )

    def check(self) -> None:
        super().check()
        if not isinstance(self.total_steps, int):
            return
        limit = 0.5 if self.three_phase else 1.0
        ends = [factor * self.total_steps + offset for factor, offset in self.phase_ends()]
        is_valid = all(start < end for start, end in pairwise(ends)) and self.pct_start <= limit
        message = f"has no step for one of its phases, with `pct_start` {self.pct_start:g} of {self.total_steps} steps"
        require(is_valid, message, "choose a longer cycle or another `pct_start`", code="invalid-value")

    def phase_ends(self) -> list[tuple[float, float]]:
        """The first step of the cycle and the last steps of its phases, as factors of `total_steps` and offsets."""
        middle = (
            [(self.pct_start, -1.0), (2.0 * self.pct_start, -2.0)] if self.three_phase else [(self.pct_start, -1.0)]
        )
        return [(0.0, 0.0), *middle, (1.0, -1.0)]

    def phase_rates(self) -> list[float]:
        """The learning rates at these steps."""
        first = self.max_learning_rate / self.div_factor
        middle = [self.max_learning_rate, first] if self.three_phase else [self.max_learning_rate]
        return [first, *middle, first / self.final_div_factor]

    def rate(self, g: Builder, step: Value) -> Value:
        now = g.cast(step, g.float_dtype)
        total = as_float(g, self.total_steps)
        ends = [_end(g, total, factor, offset) for factor, offset in self.phase_ends()]
        return self._from_phase(g, now, ends, self.phase_rates())

    def _from_phase(self, g: Builder, now: Value, ends: Sequence[Any], rates: Sequence[float]) -> Value:
        """The rate in the first of these phases or a later one."""
        curve = half_cosine if self.anneal_strategy == "cos" else line
        is_known = all(isinstance(end, float) for end in ends[:2])
        length = ends[1] - ends[0] if is_known else g.Sub(ends[1], ends[0])
        progress = g.Clip(g.Div(g.Sub(now, ends[0]), length), 0.0, 1.0)
        rate = curve(g, rates[0], rates[1], progress)
        if len(ends) == 2:
            return rate
        return g.Where(g.LessOrEqual(now, ends[1]), rate, self._from_phase(g, now, ends[1:], rates[1:]))


def _end(g: Builder, total: Any, factor: float, offset: float) -> Any:
    """The end of a phase of a cycle with a number of steps that is known, or a value."""
    if isinstance(total, float):
        return factor * total + offset
    return g.Add(g.Mul(total, factor), offset) if factor else offset
