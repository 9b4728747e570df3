"""Moving averages of batch statistics."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ...core.limits import require_constant_size

if TYPE_CHECKING:
    from ...ir import Builder, Value


def current_value(g: Builder, state: Any) -> Value:
    """A state's current value within the step: a shared layer updates its states at every call."""
    return g.updates.get(state.name, state)


def update_average(g: Builder, moving_average: Any, batch_statistic: Value, momentum: float) -> None:
    """Updates a moving average [channels] with one batch's statistics, or one after the other with [steps, channels].

    After n steps it is `moving * momentum ** n + sum(batch[t] * (1 - momentum) * momentum ** (n - 1 - t))`.
    """
    if batch_statistic.rank == 1:
        decay, increment = momentum, g.Mul(batch_statistic, 1 - momentum)
    else:
        decay, weights = _decay_weights(g, batch_statistic, momentum)
        increment = g.reshape(g.MatMul(weights, batch_statistic), moving_average.shape)
    g.assign(moving_average, g.Add(g.Mul(current_value(g, moving_average), decay), increment))


def average_before_step(g: Builder, moving_average: Any, batch_statistic: Value, momentum: float) -> Value:
    """The moving average before the batch is added, or before each of its steps for [steps, channels]."""
    average = current_value(g, moving_average)
    if batch_statistic.rank == 1:
        return average
    steps = batch_statistic.shape[0]
    count = g.Squeeze(g.Shape(batch_statistic, start=0, end=1), [0])
    columns = g.refine(g.Range(g.const(0, "int64"), count, g.const(1, "int64")), (steps,))
    rows = g.Unsqueeze(columns, [1])
    age = g.Sub(g.Sub(rows, columns), 1)  # steps between the column's step and the row's; -1 for the row's own step
    base = g.const(momentum, batch_statistic.dtype)
    weights = g.Mul(g.Pow(base, g.cast(g.Max(age, 0), batch_statistic.dtype)), 1 - momentum)
    weights = g.Where(g.Less(age, 0), g.const(0, batch_statistic.dtype), weights)
    decay = g.Pow(base, g.cast(rows, batch_statistic.dtype))
    return g.Add(g.Mul(decay, average), g.MatMul(weights, batch_statistic))


def _decay_weights(g: Builder, batch: Value, momentum: float) -> tuple[Any, Value]:
    """The factor of the old average, and the weights of the steps, [1, steps]."""
    steps = batch.shape[0]
    if isinstance(steps, int):
        require_constant_size(f"needs {steps} weights", steps)
        weights = [[(1 - momentum) * momentum ** (steps - 1 - t) for t in range(steps)]]
        return momentum**steps, g.const(weights, batch.dtype)
    count = g.Squeeze(g.Shape(batch, start=0, end=1), [0])
    later = g.cast(g.Range(g.Sub(count, 1), g.const(-1, "int64"), g.const(-1, "int64")), batch.dtype)
    powers = g.Pow(g.const(momentum, batch.dtype), g.refine(later, (steps,)))
    decay = g.Pow(g.const(momentum, batch.dtype), g.cast(count, batch.dtype))
    return decay, g.Unsqueeze(g.Mul(powers, 1 - momentum), [0])
