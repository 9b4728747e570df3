"""LSTM, GRU and RNN: backpropagation through time.

The operators output states only, not gates. In a training step a loop therefore replaces the operator; its steps also
save the factors that the backward loop multiplies cotangents by, so that nothing is computed twice. Small batches, for
which starting the nodes of a step dominates, take `lstm_small_batch`.

For a gate y = f(a) with cotangent dy = k * dh, the saved factor is k * f'(a) (`RnnActivation.times_derivative`).
"""

from __future__ import annotations

from collections.abc import Sequence

from ..registry import Builder, Cotangents, GradientBuilder, Node, Value, vjp
from .lstm_small_batch import lstm_small_batch
from .rnn_activations import RnnActivation, rnn_activations
from .rnn_common import INITIAL_C, INITIAL_H, Recurrence, StepResult, read_recurrence
from .rnn_directions import each_direction
from .stored_kernels import with_stored_kernels


@vjp("RNN")
@each_direction
def rnn(g: GradientBuilder, node: Node, *dys: Value | None) -> Cotangents:
    """h' = f(x @ w^T + h @ r^T + b)."""
    run = read_recurrence(g, node)
    (f,) = rnn_activations(node, "Tanh")
    inputs, gate_product = run.gate_inputs_and_product()

    def forward(g: Builder, states: Sequence[Value], slices: Sequence[Value]) -> StepResult:
        gate, row = gate_product(g, slices[0], states[0])
        hidden = f.apply(g, gate)
        return [hidden], [row, f.derivative(g, hidden)]

    def back(g: Builder, carry: Sequence[Value], slices: Sequence[Value]) -> StepResult:
        dgate = g.Mul(carry[0], slices[0])
        return [g.MatMul(dgate, run.r)], [dgate]

    rows, derivatives = run.run_forward(forward, [run.initial_state(INITIAL_H)], [inputs])
    carry, (dgates,) = run.run_backward(back, dys, [derivatives])
    dw, *biases, dr = run.weight_gradients(dgates, run.flatten_steps(rows))
    return run.operand_cotangents(dgates, dw, dr, biases, carry)


@vjp("LSTM")
@each_direction
def lstm(g: GradientBuilder, node: Node, *dys: Value | None) -> Cotangents:
    """c' = forget * c + i * new and h' = o * k(c'), with the gates i, o, forget, new in the operator's order."""
    run = read_recurrence(g, node)
    if g.expected_batch is not None and g.expected_batch <= g.tuning.max_small_batch and run.x.type.is_static(0):
        return lstm_small_batch(run, dys)
    run = with_stored_kernels(run)
    f, f_new, f_cell = rnn_activations(node, "Sigmoid", "Tanh", "Tanh")
    inputs, gate_product = run.gate_inputs_and_product()

    def forward(g: Builder, states: Sequence[Value], slices: Sequence[Value]) -> StepResult:
        h, c = states
        all_gates, row = gate_product(g, slices[0], h)
        *gates, new = run.ordered(g.Split(all_gates, axis=1, num_outputs=4, outputs=4))
        i, o, forget = (f.apply(g, gate) for gate in gates)
        new = f_new.apply(g, new)
        added, kept = g.Mul(i, new), g.Mul(forget, c)
        cell = g.Add(kept, added)
        out = f_cell.apply(g, cell)
        hidden = g.Mul(o, out)
        to_gates = [f.times_derivative(g, *gate) for gate in ((i, new, added), (o, out, hidden), (forget, c, kept))]
        to_cell = f_cell.times_derivative(g, out, o, hidden)
        return [hidden, cell], [row, *to_gates, f_new.times_derivative(g, new, i, added), to_cell, forget]

    def back(g: Builder, carry: Sequence[Value], slices: Sequence[Value]) -> StepResult:
        dh, dc = carry
        to_i, to_o, to_forget, to_new, to_cell, forget = slices
        dc = g.Add(g.Mul(dh, to_cell), dc)
        products = [g.Mul(dc, to_i), g.Mul(dh, to_o), g.Mul(dc, to_forget), g.Mul(dc, to_new)]
        dgates = run.joined(g, products)
        return [run.state_cotangent(g, dgates), g.Mul(dc, forget)], [dgates]

    states = [run.initial_state(INITIAL_H), run.initial_state(INITIAL_C)]
    rows, *factors = run.run_forward(forward, states, [inputs])
    carry, (dgates,) = run.run_backward(back, dys, factors)
    dw, *biases, dr = run.weight_gradients(dgates, run.flatten_steps(rows))
    return run.operand_cotangents(dgates, dw, dr, biases, carry)


@vjp("GRU")
@each_direction
def gru(g: GradientBuilder, node: Node, *dys: Value | None) -> Cotangents:
    """h' = z * h + (1 - z) * new."""
    rule = gru_reset_after if node.attribute("linear_before_reset", 0) else gru_reset_before
    return rule(read_recurrence(g, node), dys)


def gru_reset_after(run: Recurrence, dys: Sequence[Value | None]) -> Cotangents:
    """new = k(x @ w^T + b + reset * (h @ r^T + c)): the cotangent of every gate is a factor times dh'."""
    g = run.g
    f, f_new = rnn_activations(run.node, "Sigmoid", "Tanh")
    input_biases: list[Value | None] = [None] * 3
    state_bias: Value | None = None
    if run.biases:
        (*of_x, of_new), (*of_h, state_bias) = (g.Split(b, axis=1, num_outputs=3, outputs=3) for b in run.biases)
        input_biases = [*map(g.Add, of_x, of_h), of_new]
    weights = g.Split(run.w, axis=0, num_outputs=3, outputs=3)
    inputs = [run.input_product(w, bias) for w, bias in zip(weights, input_biases, strict=True)]

    def forward(g: Builder, states: Sequence[Value], slices: Sequence[Value]) -> StepResult:
        (h,) = states
        *products, new_h = g.Split(g.Gemm(h, run.r, transB=1), axis=1, num_outputs=3, outputs=3)
        z, reset = (f.apply(g, g.Add(a, b)) for a, b in zip(products, slices, strict=False))
        new_h = new_h if state_bias is None else g.Add(new_h, state_bias)
        reset_h = g.Mul(reset, new_h)
        new = f_new.apply(g, g.Add(slices[2], reset_h))
        hidden, to_z, to_new = gru_interpolation(g, f, f_new, z, h, new)
        to_reset = g.Mul(to_new, f.times_derivative(g, reset, new_h, reset_h))
        return [hidden], [h, to_z, to_reset, g.Mul(to_new, reset), to_new, z]

    def back(g: Builder, carry: Sequence[Value], slices: Sequence[Value]) -> StepResult:
        (dh,) = carry
        dz, dreset, dnew_h, dnew, direct = (g.Mul(dh, factor) for factor in slices)
        dstate_products = g.Concat(dz, dreset, dnew_h, axis=1)
        return [g.Gemm(dstate_products, run.r, direct)], [g.Concat(dz, dreset, dnew, axis=1), dstate_products]

    hs, *factors = run.run_forward(forward, [run.initial_state(INITIAL_H)], inputs)
    carry, (dinput_products, dstate_products) = run.run_backward(back, dys, factors)
    dw, *biases = run.weight_gradients(dinput_products)
    dr = run.state_weight_gradient(hs, dstate_products)
    biases = [*biases, g.ReduceSum(dstate_products, [0], keepdims=1)]
    return run.operand_cotangents(dinput_products, dw, dr, biases, carry)


def gru_reset_before(run: Recurrence, dys: Sequence[Value | None]) -> Cotangents:
    """new = k(x @ w^T + (reset * h) @ r^T + b)."""
    g, sizes = run.g, [2 * run.units, run.units]
    f, f_new = rnn_activations(run.node, "Sigmoid", "Tanh")
    bias = run.summed_bias()
    biases = (None, None) if bias is None else g.Split(bias, sizes, axis=1, outputs=2)
    inputs = [run.input_product(w, b) for w, b in zip(g.Split(run.w, sizes, axis=0, outputs=2), biases, strict=True)]
    gate_weights, new_weights = g.Split(run.r, sizes, axis=0, outputs=2)

    def forward(g: Builder, states: Sequence[Value], slices: Sequence[Value]) -> StepResult:
        (h,) = states
        gates = g.Split(run.add_state_product(g, slices[0], h, gate_weights), axis=1, num_outputs=2, outputs=2)
        z, reset = (f.apply(g, gate) for gate in gates)
        reset_h = g.Mul(reset, h)
        new = f_new.apply(g, g.Gemm(reset_h, new_weights, slices[1], transB=1))
        hidden, to_z, to_new = gru_interpolation(g, f, f_new, z, h, new)
        return [hidden], [h, to_z, f.times_derivative(g, reset, h, reset_h), to_new, z, reset, reset_h]

    def back(g: Builder, carry: Sequence[Value], slices: Sequence[Value]) -> StepResult:
        (dh,) = carry
        to_z, to_reset, to_new, z, reset = slices
        dnew = g.Mul(dh, to_new)
        dreset_h = g.MatMul(dnew, new_weights)
        dgates = g.Concat(g.Mul(dh, to_z), g.Mul(dreset_h, to_reset), axis=1)
        return [g.Gemm(dgates, gate_weights, g.Add(g.Mul(dh, z), g.Mul(dreset_h, reset)))], [dgates, dnew]

    hs, *factors, reset_hs = run.run_forward(forward, [run.initial_state(INITIAL_H)], inputs)
    carry, (dgates, dnew) = run.run_backward(back, dys, factors)
    dr = g.Concat(run.state_weight_gradient(hs, dgates), run.state_weight_gradient(reset_hs, dnew), axis=0)
    dinput_products = g.Concat(dgates, dnew, axis=1)
    dw, *dbiases = run.weight_gradients(dinput_products)
    return run.operand_cotangents(dinput_products, dw, dr, dbiases, carry)


def gru_interpolation(
    g: Builder, f: RnnActivation, f_new: RnnActivation, z: Value, h: Value, new: Value
) -> tuple[Value, Value, Value]:
    """h' = z * h + (1 - z) * new. Returns h' and the factors from dh' to the cotangents of z and new before their
    activations."""
    rest, change = g.Sub(1.0, z), g.Sub(h, new)
    kept = g.Mul(z, change)
    return (
        g.Add(new, kept),
        f.times_derivative(g, z, change, kept),
        f_new.times_derivative(g, new, rest, g.Mul(rest, new)),
    )
