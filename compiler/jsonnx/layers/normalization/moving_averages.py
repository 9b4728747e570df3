"""Moving averages of the statistics of batches."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ...ir import Builder, Value


def current_value(g: Builder, state: Any) -> Value:
    """What a state is by now: a shared layer changes its states at every call."""
    return g.updates.get(state.name, state)


def update_average(g: Builder, moving_average: Any, batch_statistic: Value, momentum: float) -> None:
    """Moves an average [channels] by the statistics of a batch, or of batches one after the other: [steps, channels].

    After n steps it is `moving * momentum ** n + sum(batch[t] * (1 - momentum) * momentum ** (n - 1 - t))`.
    """
    if batch_statistic.rank == 1:
        old, new = momentum, g.Mul(batch_statistic, 1 - momentum)
    else:
        old, shares = _decay_weights(g, batch_statistic, momentum)
        new = g.reshape(g.MatMul(shares, batch_statistic), moving_average.shape)
    g.assign(moving_average, g.Add(g.Mul(current_value(g, moving_average), old), new))


def average_before_step(g: Builder, moving_average: Any, batch_statistic: Value, momentum: float) -> Value:
    """What `update_average` has made of an average when the statistics of a batch come, or those of each of [steps, channels]."""
    old = current_value(g, moving_average)
    if batch_statistic.rank == 1:
        return old
    steps = batch_statistic.shape[0]
    count = g.Squeeze(g.Shape(batch_statistic, start=0, end=1), [0])
    at = g.refine(g.Range(g.const(0, "int64"), count, g.const(1, "int64")), (steps,))
    rows = g.Unsqueeze(at, [1])
    since = g.Sub(g.Sub(rows, at), 1)  # how many steps ago another one was, and the one at hand is -1
    base = g.const(momentum, batch_statistic.dtype)
    shares = g.Mul(g.Pow(base, g.cast(g.Max(since, 0), batch_statistic.dtype)), 1 - momentum)
    shares = g.Where(g.Less(since, 0), g.const(0, batch_statistic.dtype), shares)
    return g.Add(g.Mul(g.Pow(base, g.cast(rows, batch_statistic.dtype)), old), g.MatMul(shares, batch_statistic))


def _decay_weights(g: Builder, batch: Value, momentum: float) -> tuple[Any, Value]:
    """What share the old average keeps, and what shares the steps get: [1, steps]."""
    steps = batch.shape[0]
    if isinstance(steps, int):
        shares = [[(1 - momentum) * momentum ** (steps - 1 - at) for at in range(steps)]]
        return momentum**steps, g.const(shares, batch.dtype)
    count = g.Squeeze(g.Shape(batch, start=0, end=1), [0])
    later = g.cast(g.Range(g.Sub(count, 1), g.const(-1, "int64"), g.const(-1, "int64")), batch.dtype)
    powers = g.Pow(g.const(momentum, batch.dtype), g.refine(later, (steps,)))
    kept = g.Pow(g.const(momentum, batch.dtype), g.cast(count, batch.dtype))
    return kept, g.Unsqueeze(g.Mul(powers, 1 - momentum), [0])
