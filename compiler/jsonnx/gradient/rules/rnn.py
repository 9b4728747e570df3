"""LSTM, GRU and RNN: forwards step by step, and back through time.

ONNX' operators give out states only. So in a training step they are written out as a loop, whose steps also give the
factors of the cotangents on the way back: nothing is computed twice. For few samples, where operators are too small for
that, see `few_samples`.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..registry import Builder, Cotangents, Node, Value, vjp
from .lstm_small_batch import MAX_SMALL_BATCH, lstm_small_batch
from .rnn_activations import RnnActivation, rnn_activations
from .rnn_common import INITIAL_C, INITIAL_H, Recurrence, StepResult, read_recurrence


@vjp("RNN")
def rnn(g: Builder, node: Node, *dys: Value | None) -> Cotangents:
    """h' = f(x W^T + h R^T + b)."""
    run = read_recurrence(g, node)
    (f,) = rnn_activations(node, "Tanh")
    inputs, product = run.gate_inputs_and_product()

    def forward(g: Builder, states: Sequence[Value], slices: Sequence[Value]) -> StepResult:
        gate, met = product(g, slices[0], states[0])
        hidden = f.apply(g, gate)
        return [hidden], [met, f.derivative(g, hidden)]

    def back(g: Builder, carry: Sequence[Value], slices: Sequence[Value]) -> StepResult:
        dgate = g.Mul(carry[0], slices[0])
        return [g.MatMul(dgate, run.r)], [dgate]

    met, slopes = run.run_forward(forward, [run.initial_state(INITIAL_H)], [inputs])
    carry, (dgates,) = run.run_backward(back, dys, [slopes])
    dw, *biases, dr = run.weight_gradients(dgates, run.flatten_steps(met))
    return run.operand_cotangents(dgates, dw, dr, biases, carry)


@vjp("LSTM")
def lstm(g: Builder, node: Node, *dys: Value | None) -> Cotangents:
    """c' = forget * c + i * new and h' = o * out, where out = k(c'). Gates are kept in the operator's order."""
    run = read_recurrence(g, node)
    if g.expected_batch is not None and g.expected_batch <= MAX_SMALL_BATCH and run.x.type.is_static(0):
        return lstm_small_batch(run, dys)
    f, of_new, of_cell = rnn_activations(node, "Sigmoid", "Tanh", "Tanh")
    inputs, product = run.gate_inputs_and_product()

    def forward(g: Builder, states: Sequence[Value], slices: Sequence[Value]) -> StepResult:
        h, c = states
        together, met = product(g, slices[0], h)
        *gates, new = g.Split(together, axis=1, num_outputs=4, outputs=4)
        i, o, forget = (f.apply(g, gate) for gate in gates)
        new = of_new.apply(g, new)
        added, kept = g.Mul(i, new), g.Mul(forget, c)
        cell = g.Add(kept, added)
        out = of_cell.apply(g, cell)
        hidden = g.Mul(o, out)
        to_gates = [f.times_derivative(g, *of) for of in ((i, new, added), (o, out, hidden), (forget, c, kept))]
        through = of_cell.times_derivative(g, out, o, hidden)
        return [hidden, cell], [met, *to_gates, of_new.times_derivative(g, new, i, added), through, forget]

    def back(g: Builder, carry: Sequence[Value], slices: Sequence[Value]) -> StepResult:
        dh, dc = carry
        to_i, to_o, to_forget, to_new, through, forget = slices
        dc = g.Add(g.Mul(dh, through), dc)
        dgates = g.Concat(g.Mul(dc, to_i), g.Mul(dh, to_o), g.Mul(dc, to_forget), g.Mul(dc, to_new), axis=1)
        return [g.MatMul(dgates, run.r), g.Mul(dc, forget)], [dgates]

    states = [run.initial_state(INITIAL_H), run.initial_state(INITIAL_C)]
    met, *factors = run.run_forward(forward, states, [inputs])
    carry, (dgates,) = run.run_backward(back, dys, factors)
    dw, *biases, dr = run.weight_gradients(dgates, run.flatten_steps(met))
    return run.operand_cotangents(dgates, dw, dr, biases, carry)


@vjp("GRU")
def gru(g: Builder, node: Node, *dys: Value | None) -> Cotangents:
    """h' = z * h + (1 - z) * new."""
    return (gru_reset_after if node.attribute("linear_before_reset", 0) else gru_reset_before)(
        read_recurrence(g, node), dys
    )


def gru_reset_after(run: Recurrence, dys: Sequence[Value | None]) -> Cotangents:
    """new = k(x W^T + b + r * (h R^T + c)): every gate's cotangent is a factor times that of h'."""
    g = run.g
    f, of_new = rnn_activations(run.node, "Sigmoid", "Tanh")
    parts: list[Value | None] = [None] * 3
    bias_of_state: Value | None = None
    if run.biases:
        (*of_x, of_new_x), (*of_h, bias_of_state) = (g.Split(b, axis=1, num_outputs=3, outputs=3) for b in run.biases)
        parts = [*map(g.Add, of_x, of_h), of_new_x]
    weights = g.Split(run.w, axis=0, num_outputs=3, outputs=3)
    inputs = [run.input_product(w, bias) for w, bias in zip(weights, parts, strict=True)]

    def forward(g: Builder, states: Sequence[Value], slices: Sequence[Value]) -> StepResult:
        (h,) = states
        *of_state, new_h = g.Split(g.Gemm(h, run.r, transB=1), axis=1, num_outputs=3, outputs=3)
        z, r = (f.apply(g, g.Add(a, b)) for a, b in zip(of_state, slices, strict=False))
        new_h = new_h if bias_of_state is None else g.Add(new_h, bias_of_state)
        reset = g.Mul(r, new_h)
        new = of_new.apply(g, g.Add(slices[2], reset))
        hidden, to_z, to_new = gru_interpolation(g, f, of_new, z, h, new)
        return [hidden], [h, to_z, g.Mul(to_new, f.times_derivative(g, r, new_h, reset)), g.Mul(to_new, r), to_new, z]

    def back(g: Builder, carry: Sequence[Value], slices: Sequence[Value]) -> StepResult:
        (dh,) = carry
        dz, dr, dnew_h, dnew, direct = (g.Mul(dh, factor) for factor in slices)
        of_state = g.Concat(dz, dr, dnew_h, axis=1)
        return [g.Gemm(of_state, run.r, direct)], [g.Concat(dz, dr, dnew, axis=1), of_state]

    before, *factors = run.run_forward(forward, [run.initial_state(INITIAL_H)], inputs)
    carry, (of_inputs, of_state) = run.run_backward(back, dys, factors)
    dw, *biases = run.weight_gradients(of_inputs)
    dr = run.state_weight_gradient(before, of_state)
    return run.operand_cotangents(of_inputs, dw, dr, [*biases, g.ReduceSum(of_state, [0], keepdims=1)], carry)


def gru_reset_before(run: Recurrence, dys: Sequence[Value | None]) -> Cotangents:
    """new = k(x W^T + (r * h) R^T + b)."""
    g, sizes = run.g, [2 * run.units, run.units]
    f, of_new = rnn_activations(run.node, "Sigmoid", "Tanh")
    bias = run.summed_bias()
    biases = (None, None) if bias is None else g.Split(bias, sizes, axis=1, outputs=2)
    inputs = [run.input_product(w, b) for w, b in zip(g.Split(run.w, sizes, axis=0, outputs=2), biases, strict=True)]
    of_gates, of_reset = g.Split(run.r, sizes, axis=0, outputs=2)

    def forward(g: Builder, states: Sequence[Value], slices: Sequence[Value]) -> StepResult:
        (h,) = states
        gates = g.Split(run.add_state_product(g, slices[0], h, of_gates), axis=1, num_outputs=2, outputs=2)
        z, r = (f.apply(g, gate) for gate in gates)
        reset = g.Mul(r, h)
        new = of_new.apply(g, g.Gemm(reset, of_reset, slices[1], transB=1))
        hidden, to_z, to_new = gru_interpolation(g, f, of_new, z, h, new)
        return [hidden], [h, to_z, f.times_derivative(g, r, h, reset), to_new, z, r, reset]

    def back(g: Builder, carry: Sequence[Value], slices: Sequence[Value]) -> StepResult:
        (dh,) = carry
        to_z, to_r, to_new, z, r = slices
        dnew = g.Mul(dh, to_new)
        dreset = g.MatMul(dnew, of_reset)
        dgates = g.Concat(g.Mul(dh, to_z), g.Mul(dreset, to_r), axis=1)
        return [g.Gemm(dgates, of_gates, g.Add(g.Mul(dh, z), g.Mul(dreset, r)))], [dgates, dnew]

    before, *factors, reset = run.run_forward(forward, [run.initial_state(INITIAL_H)], inputs)
    carry, (dgates, dnew) = run.run_backward(back, dys, factors)
    dr = g.Concat(run.state_weight_gradient(before, dgates), run.state_weight_gradient(reset, dnew), axis=0)
    of_inputs = g.Concat(dgates, dnew, axis=1)
    dw, *biases = run.weight_gradients(of_inputs)
    return run.operand_cotangents(of_inputs, dw, dr, biases, carry)


def gru_interpolation(
    g: Builder, f: RnnActivation, of_new: RnnActivation, z: Value, h: Value, new: Value
) -> tuple[Value, Value, Value]:
    """h' = z * h + (1 - z) * new, and the factors that lead from its cotangent to those of z and new before their
    functions."""
    rest, change = g.Sub(1.0, z), g.Sub(h, new)
    kept = g.Mul(z, change)
    return (
        g.Add(new, kept),
        f.times_derivative(g, z, change, kept),
        of_new.times_derivative(g, new, rest, g.Mul(rest, new)),
    )
