"""The gradient of an LSTM for small batches, where starting the nodes of a step takes longer than computing them.

The operator stays in the forward pass. The gates of all steps are recomputed from its hidden states by one product, and
the cells, a linear recurrence, by a prefix scan that doubles its reach in each round. Only the backward pass runs step
by step, with a third of the nodes.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..registry import Builder, Cotangents, Value
from .rnn_activations import rnn_activations
from .rnn_common import INITIAL_C, INITIAL_H, Recurrence, StepResult


def lstm_small_batch(run: Recurrence, dys: Sequence[Value | None]) -> Cotangents:
    """c' = forget * c + i * new and h' = o * k(c'), with the gates i, o, forget, new in the operator's order."""
    g, hidden = run.g, run.g.Squeeze(run.node.outputs[0], [1])
    f, f_new, f_cell = rnn_activations(run.node, "Sigmoid", "Tanh", "Tanh")
    h = run.flatten_steps(previous_states(run, hidden, run.initial_state(INITIAL_H)))
    first_cell = run.initial_state(INITIAL_C)
    inputs = run.flatten_steps(run.input_product(run.w, run.summed_bias()))
    *gates, new = g.Split(run.unflatten_steps(g.Gemm(h, run.r, inputs, transB=1)), axis=2, num_outputs=4, outputs=4)
    i, o, forget = (f.apply(g, gate) for gate in gates)
    new = f_new.apply(g, new)
    added = g.Mul(i, new)
    cell = cell_states(run, forget, added, first_cell)
    c = previous_states(run, cell, first_cell)
    kept, out = g.Mul(forget, c), f_cell.apply(g, cell)
    to_gates = [f.times_derivative(g, *gate) for gate in ((i, new, added), (o, out, hidden), (forget, c, kept))]
    factors = g.Concat(*to_gates, f_new.times_derivative(g, new, i, added), axis=2)
    to_cell = f_cell.times_derivative(g, out, o, hidden)

    def back(g: Builder, carry: Sequence[Value], slices: Sequence[Value]) -> StepResult:
        dh, dc = carry
        factors, to_cell, forget = slices
        dc = g.Add(g.Mul(dh, to_cell), dc)
        dgates = g.Mul(g.Concat(dc, dh, dc, dc, axis=1), factors)
        return [g.MatMul(dgates, run.r), g.Mul(dc, forget)], [dgates]

    carry, (dgates,) = run.run_backward(back, dys, [factors, to_cell, forget])
    dw, *biases, dr = run.weight_gradients(dgates, h)
    return run.operand_cotangents(dgates, dw, dr, biases, carry)


def cell_states(run: Recurrence, forget: Value, added: Value, first: Value) -> Value:
    """All c' = forget * c + added, [time, batch, units], starting from the cell `first`.

    Prefix scan: before the round of reach n, `added[t]` is the sum over the last n steps of the parts that remain at
    step t, and `forget[t]` the product of their forget gates. A round adds forget[t] * added[t - n] and doubles n.
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
    """The state before each step, given the state after each step."""
    shifted = shift_steps(run, states, 1, 0.0)
    if initial is run.zero_state:
        return shifted
    return run.g.Add(shifted, place_at_first_step(run, initial, states.shape[0] - 1))


def shift_steps(run: Recurrence, x: Value, steps: int, fill: float) -> Value:
    """Moves [time, batch, size] to later steps, and fills the first ones with a number."""
    g, time = run.g, x.shape[0]
    if steps == time:
        return g.zeros(x)
    kept = g.Slice(x, [steps], [time], [0]) if run.reverse else g.Slice(x, [0], [time - steps], [0])
    before, after = (0, steps) if run.reverse else (steps, 0)
    return g.refine(g.Pad(kept, [before, 0, 0, after, 0, 0], g.const(fill, x.dtype)), x.shape)


def place_at_first_step(run: Recurrence, first: Value, other_steps: int) -> Value:
    """A state [batch, size] at the first step, and zeros at the others: [time, batch, size]."""
    before, after = (other_steps, 0) if run.reverse else (0, other_steps)
    padded = run.g.Pad(run.g.Unsqueeze(first, [0]), [before, 0, 0, after, 0, 0])
    return run.g.refine(padded, (other_steps + 1, *first.shape))
