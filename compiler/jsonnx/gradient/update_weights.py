"""The update of all weights by their gradients: accumulation, clipping, weight decay, the optimizer's step, the moving
average and the constraints, in the order of Keras."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cache

from ..core.reserved_names import AVERAGE_SLOT, LAST_LEARNING_RATE, LEARNING_RATE, OPTIMIZER_SCOPE, STEP_COUNT
from ..core.types import Dim, TensorType
from ..ir import Builder, Graph, Parameter, State, Value, WeightUpdate
from ..training.optimizers.optimizer import Optimizer
from ..training.optimizers.schedules import Schedule
from ..training.optimizers.slot_storage import choose
from ..training.weights.initializers import Constant
from .repeated_updates import RepeatedUpdates

ACCUMULATOR_SLOT = "gradient_accumulator"
"""The slot of a weight with the sum of its gradients since the last update."""


def trainable_parameters(g: Builder | Graph) -> list[Parameter]:
    return [p for p in g.parameters.values() if p.trainable]


def rate_graph(optimizer: Optimizer) -> Graph | None:
    """The graph that computes the learning rates of the next step and of the one before from the number of steps; None
    for a constant rate."""
    schedule = optimizer.learning_rate
    if not isinstance(schedule, Schedule):
        return None
    g = Builder()
    with g.scope(OPTIMIZER_SCOPE, ("training", "optimizer")):
        count, schedule = _step_count(g), _with_states(g, schedule)
        last = schedule.rate(g, g.Max(g.Sub(count, 1), 0))
        return g.graph({LEARNING_RATE: schedule.rate(g, count), LAST_LEARNING_RATE: last})


def update_weights(
    g: Builder, optimizer: Optimizer, rate_factors: Mapping[str, float], gradient_by_weight: Mapping[Value, Value]
) -> None:
    """Emits the next values of all trainable weights and of their slots."""
    weights = trainable_parameters(g)
    with g.scope(OPTIMIZER_SCOPE, ("training", "optimizer")):
        # As in Keras, weights without a gradient still decay and are projected.
        with_gradient: dict[Parameter, Value] = {
            w: gradient_by_weight[w] if w in gradient_by_weight else g.zeros(w) for w in weights
        }
        step = _count_step(g, optimizer)
        factors = {weight: rate_factors.get(weight.name.partition("/")[0], 1.0) for weight in weights}
        updated: dict[Parameter, tuple[Optimizer, Value, Mapping[str, Value]]] = {}
        for index in range(len(optimizer.optimizers)):
            own = {w: factor for w, factor in factors.items() if optimizer.optimizer_index(w.name) == index}
            with g.scope(f"+{index}") if index else nullcontext():
                updated |= _prepare(g, optimizer.optimizers[index], _rate(g, optimizer, index, step), own, step)
        updates = RepeatedUpdates(g)
        for weight, gradient in optimizer.clip(g, _accumulate(g, with_gradient, step)).items():
            variant, rate, shared = updated[weight]
            with g.scope(weight.name):
                _update_weight(g, weight, WeightUpdate(variant, gradient, rate, shared), step, updates)


@dataclass(frozen=True, eq=False)
class Step:
    """The facts about a step that the updates of all weights share."""

    rate: Value
    """The learning rate, of the first one of several optimizers."""
    count: State
    """The number of steps before this one."""
    number: Value
    """The number of the update, an int64 that counts from 1."""
    accumulated_steps: int = 1
    """The number of steps whose gradients make up one update."""
    is_update: Value | None = None
    """Whether the step updates the weights; None if all steps do."""
    kept_average: Value | None = None
    """The fraction of the moving average that the step keeps; None without one."""
    overwrites: Value | None = None
    """Whether the moving average replaces the weights; None if it never does."""

    def at_updates(self, g: Builder, new: Value, old: Value) -> Value:
        """The new value in a step that updates the weights, else the old one."""
        return new if self.is_update is None else choose(g, self.is_update, new, old)


def _count_step(g: Builder, optimizer: Optimizer) -> Step:
    """Emits the next count of steps. The learning rate is an input, unless it is a schedule."""
    schedule = optimizer.learning_rate
    rate: Value | None = None
    if not isinstance(schedule, Schedule):
        rate = g.input(LEARNING_RATE, TensorType("float32", ()))
    count = _step_count(g)
    number = next_count = g.Add(count, 1)
    g.assign(count, next_count)
    if isinstance(schedule, Schedule):
        rate = _with_states(g, schedule).rate(g, count)
    assert rate is not None
    accumulated, is_update = optimizer.gradient_accumulation_steps or 1, None
    if accumulated > 1:
        number = g.Add(g.Div(count, accumulated), 1)
        is_update = g.Equal(g.Mod(next_count, accumulated), 0)
    kept = overwrites = None
    if optimizer.use_ema:
        kept = g.Where(g.Equal(number, 1), g.const(0.0), g.const(optimizer.ema_momentum))
        frequency = optimizer.ema_overwrite_frequency
        overwrites = None if frequency is None else g.Equal(g.Mod(number, frequency), 0)
    return Step(rate, count, number, accumulated, is_update, kept, overwrites)


def _with_states(g: Builder, schedule: Schedule) -> Schedule:
    """The schedule that reads the numbers of steps which the length of a training determines from states of the current
    scope (`schedule_steps_name`)."""
    states = {attribute: g.state(attribute, (), Constant(value=0), "int64") for attribute in schedule.relative_steps}
    # Before a fit, a rate is finite, too.
    return schedule.replace(**{attribute: g.Max(state, 1) for attribute, state in states.items()})


def _step_count(g: Builder) -> State:
    return g.state(STEP_COUNT.rpartition("/")[2], (), Constant(value=0), "int64")


def _rate(g: Builder, optimizer: Optimizer, index: int, step: Step) -> Value:
    """The learning rate of one of several optimizers. Constant rates are proportional to the first optimizer's, which
    callbacks change during training."""
    if index == 0:
        return step.rate
    first, own = optimizer.learning_rate, optimizer.optimizers[index].learning_rate
    if isinstance(own, Schedule):
        return _with_states(g, own).rate(g, step.count)
    return g.const(own) if isinstance(first, Schedule) else g.Mul(step.rate, own / first)


def _prepare(
    g: Builder, optimizer: Optimizer, rate: Value, factors: Mapping[Parameter, float], step: Step
) -> dict[Parameter, tuple[Optimizer, Value, Mapping[str, Value]]]:
    """For each weight of an optimizer, given the factor of its learning rate: its form of the optimizer, its learning
    rate, and the values that weights with the same ones share."""
    rates: dict[float, Value] = {
        factor: rate if factor == 1.0 else g.Mul(rate, factor) for factor in sorted({1.0, *factors.values()})
    }
    variants = {weight: optimizer.for_weight(weight) for weight in factors}
    assigned_before = set(g.updates)
    prepared = {
        (variant, factor): variant.prepare(g, rate, step.number)
        for variant in dict.fromkeys([optimizer, *variants.values()])
        for factor, rate in rates.items()
    }
    for name in [name for name in g.updates if name not in assigned_before]:
        g.updates[name] = step.at_updates(g, g.updates[name], g.states[name])
    return {w: (variants[w], rates[factor], prepared[variants[w], factor]) for w, factor in factors.items()}


def _accumulate(g: Builder, gradients: dict[Parameter, Value], step: Step) -> dict[Parameter, Value]:
    """The mean gradients of the steps that make up an update."""
    if step.is_update is None:
        return gradients
    means: dict[Parameter, Value] = {}
    for weight, gradient in gradients.items():
        with g.scope(weight.name):
            accumulator = _slot(g, ACCUMULATOR_SLOT, weight.shape)
            total = g.Add(gradient, accumulator)
            g.assign(accumulator, g.Where(step.is_update, g.const(0.0), total))
            means[weight] = g.Div(total, float(step.accumulated_steps))
    return means


def _update_weight(g: Builder, weight: Parameter, update: WeightUpdate, step: Step, updates: RepeatedUpdates) -> None:
    optimizer = update.optimizer
    stored, slots = {}, {}
    storages = {name: optimizer.slot_storage(name, weight.shape) for name in optimizer.slots()}
    for name, start in optimizer.slots().items():
        storage = storages[name]
        shape = optimizer.slot_shape(name, weight.shape)
        stored[name] = g.state(name, shape, _constant(storage.initial(start)), storage.dtype)
        slots[name] = storage.load(g, stored[name])
    next_weight, next_slots = updates.emit(weight, slots, update)
    for name, value in next_slots.items():
        g.assign(stored[name], step.at_updates(g, storages[name].store(g, value, step.number), stored[name]))
    next_weight = step.at_updates(g, next_weight, weight)
    if step.kept_average is not None:
        next_weight = _average(g, weight, next_weight, step.kept_average, step.overwrites)
    constraint = weight.constraint
    g.updates[weight.name] = next_weight if constraint is None else constraint.project(g, next_weight)
    if constraint is None and step.kept_average is None and update.gradient in g.gradients:
        g.weight_updates[weight.name] = update


def _average(g: Builder, weight: Parameter, next_weight: Value, kept: Value, overwrites: Value | None) -> Value:
    """Updates the moving average of a weight, and returns the weight, or the average that replaces it."""
    average = _slot(g, AVERAGE_SLOT, weight.shape)
    next_average = g.Add(g.Mul(average, kept), g.Mul(next_weight, g.Sub(1.0, kept)))
    g.assign(average, next_average)
    return next_weight if overwrites is None else g.Where(overwrites, next_average, next_weight)


def _slot(g: Builder, name: str, shape: tuple[Dim, ...]) -> State:
    return g.state(name, shape, _constant(0.0))


@cache
def _constant(value: float) -> Constant:
    """An initializer that all slots with an initial value share."""
    return Constant(value=value)
