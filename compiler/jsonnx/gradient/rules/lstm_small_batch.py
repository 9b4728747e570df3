"""The gradient of an LSTM for few samples, whose steps take less time to compute than to start.

The operator stays, and what it does not give out is computed of its results for all steps at once: the gates by one
product, and the cells, each of which needs the one before, in as many operations as doubling takes to get from one step
to all. So only the way back goes step by step, with a third of the operators. For one sample of 100 or 400 steps (128
units) a training step takes 0.6 of the time of the written-out form; for four about as long, for more longer.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..registry import Builder, Cotangents, Value
from .rnn_activations import rnn_activations
from .rnn_common import INITIAL_C, INITIAL_H, Recurrence, StepResult

MAX_SMALL_BATCH = 4
"""Samples of a step up to which it is faster."""


def lstm_small_batch(run: Recurrence, dys: Sequence[Value | None]) -> Cotangents:
    """c' = forget * c + i * new and h' = o * out, where out = k(c'). Gates are kept in the operator's order."""
    g, hidden = run.g, run.g.Squeeze(run.node.outputs[0], [1])
    f, of_new, of_cell = rnn_activations(run.node, "Sigmoid", "Tanh", "Tanh")
    h, first = (
        run.flatten_steps(previous_states(run, hidden, run.initial_state(INITIAL_H))),
        run.initial_state(INITIAL_C),
    )
    inputs = run.flatten_steps(run.input_product(run.w, run.summed_bias()))
    *gates, new = g.Split(run.unflatten_steps(g.Gemm(h, run.r, inputs, transB=1)), axis=2, num_outputs=4, outputs=4)
    i, o, forget = (f.apply(g, gate) for gate in gates)
    new = of_new.apply(g, new)
    added = g.Mul(i, new)
    cell = cell_states(run, forget, added, first)
    c = previous_states(run, cell, first)
    kept, out = g.Mul(forget, c), of_cell.apply(g, cell)
    to_gates = [f.times_derivative(g, *of) for of in ((i, new, added), (o, out, hidden), (forget, c, kept))]
    factors = g.Concat(*to_gates, of_new.times_derivative(g, new, i, added), axis=2)
    through = of_cell.times_derivative(g, out, o, hidden)

    def back(g: Builder, carry: Sequence[Value], slices: Sequence[Value]) -> StepResult:
        dh, dc = carry
        factors, through, forget = slices
        dc = g.Add(g.Mul(dh, through), dc)
        dgates = g.Mul(g.Concat(dc, dh, dc, dc, axis=1), factors)
        return [g.MatMul(dgates, run.r), g.Mul(dc, forget)], [dgates]

    carry, (dgates,) = run.run_backward(back, dys, [factors, through, forget])
    dw, *biases, dr = run.weight_gradients(dgates, h)
    return run.operand_cotangents(dgates, dw, dr, biases, carry)


def cell_states(run: Recurrence, forget: Value, added: Value, first: Value) -> Value:
    """All c' = forget * c + added, [time, batch, units].

    After a round, a step has what is left of itself and of as many steps before it as rounds have doubled, and `forget`
    what is left of an earlier one behind all these.
    """
    g, time = run.g, run.x.shape[0]
    if first is not run.zero_state:
        added = g.Add(added, g.Mul(forget, place_at_first_step(run, first, time - 1)))
    reach = 1
    while reach < time:
        added = g.Add(added, g.Mul(forget, shift_steps(run, added, reach, 0.0)))
        forget = g.Mul(forget, shift_steps(run, forget, reach, 1.0))
        reach *= 2
    return added


def previous_states(run: Recurrence, states: Value, initial: Value) -> Value:
    """What every step met, of the states after each of them."""
    moved = shift_steps(run, states, 1, 0.0)
    return (
        moved if initial is run.zero_state else run.g.Add(moved, place_at_first_step(run, initial, states.shape[0] - 1))
    )


def shift_steps(run: Recurrence, x: Value, steps: int, fill: float) -> Value:
    """What stands for each step of [time, batch, size], moved to so many steps later, and a value to the first ones."""
    g, time = run.g, x.shape[0]
    if steps == time:
        return g.zeros(x)
    kept = g.Slice(x, [steps], [time], [0]) if run.reverse else g.Slice(x, [0], [time - steps], [0])
    ends = [0, steps] if run.reverse else [steps, 0]
    return g.refine(g.Pad(kept, [ends[0], 0, 0, ends[1], 0, 0], g.const(fill, x.dtype)), x.shape)


def place_at_first_step(run: Recurrence, first: Value, others: int) -> Value:
    """A state [batch, size] at the first step, and zeros at the others."""
    ends = [others, 0] if run.reverse else [0, others]
    padded = run.g.Pad(run.g.Unsqueeze(first, [0]), [ends[0], 0, 0, ends[1], 0, 0])
    return run.g.refine(padded, (others + 1, *first.shape))
