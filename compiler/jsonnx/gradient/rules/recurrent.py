"""LSTM, GRU and RNN: back through time.

All gates are computed again in one product, from the inputs and the hidden states that the operator gives out. What
does not wait for a later step is one operation over all of them; the steps themselves are a loop over slices of it.
Row t * batch + n of a matrix belongs to step t of sample n.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from ...types import Dim
from ..table import Builder, Cotangents, Node, Value, vjp
from .arithmetic import step as is_positive

SEQUENCE_LENS, INITIAL_H, INITIAL_C, PEEPHOLES = 4, 5, 6, 7

Carry = Sequence[Value]
"""Cotangents of the states after a step."""

Back = tuple[Carry, Sequence[Value]]

Step = Callable[..., Back]
"""`step(g, carry, outside, *slices)`: one step back in time: cotangents of the states before it, and of the gates.

`outside` is what reaches the hidden state before the step from the operator's results, None for nothing; `slices` are
what belongs to the step of the matrices computed for all of them.
"""


@dataclass(frozen=True)
class Recurrence:
    """The operands of a node of one direction, as matrices, and the places of its steps."""

    g: Builder
    node: Node
    time: Dim
    batch: Dim
    rows: Value
    w: Value
    r: Value
    biases: tuple[Value, Value] | None
    states: Value

    @property
    def reverse(self) -> bool:
        return bool(self.node.attribute("direction", "forward") == "reverse")

    def steps(self, rows: Value) -> Value:
        """A matrix of all steps as [time, batch, size]."""
        x, shape = self.node.inputs[0], (self.time, self.batch, rows.shape[-1])
        assert x is not None
        return self.g.refine(self.g.Reshape(rows, self.g.sizes(shape, x)), shape)

    def matrix(self, x: Value) -> Value:
        """A value [time, batch, size] as rows."""
        return self.g.reshape(x, (self.time * self.batch, x.shape[-1]))

    def initial(self, place: int) -> Value:
        """The states [batch, units] that the first step met."""
        given = self.node.input(place)
        if given is not None:
            return self.g.Squeeze(given, [0])
        return self.g.zeros(self.g.Squeeze(self.g.Slice(self.states, [0], [1], [0]), [0]))

    def before(self, states: Value, place: int) -> Value:
        """Of the states after all steps [time, batch, units], those that the steps met, as rows."""
        first = self.initial(place)
        return first if self.time == 1 else self.matrix(self.moved(states, self.g.Unsqueeze(first, [0])))

    def moved(self, steps: Value, first: Value) -> Value:
        """A value of every step as that of the step before it, where the one before the first is given."""
        g, axis = self.g, [0]
        others = g.Slice(steps, [1], [2**31], axis) if self.reverse else g.Slice(steps, [0], [-1], axis)
        return g.refine(g.Concat(*((others, first) if self.reverse else (first, others)), axis=0), steps.shape)

    def last(self, dy: Value | None, dy_last: Value | None) -> Value:
        """The cotangent of the last hidden state, from those of the operator's results."""
        g, parts = self.g, []
        if dy is not None:
            parts.append(g.Squeeze(g.Gather(dy, 0 if self.reverse else -1, axis=0), [0]))
        if dy_last is not None:
            parts.append(g.Squeeze(dy_last, [0]))
        if not parts:
            return self.g.zeros(self.initial(INITIAL_H))
        return parts[0] if len(parts) == 1 else g.Add(*parts)

    def product(self, x: Value, weights: Value, bias: Value | None) -> Value:
        """`x @ weights^T + bias`."""
        return self.g.Gemm(x, weights, *([] if bias is None else [bias]), transB=1)

    def both_biases(self) -> Value | None:
        return None if self.biases is None else self.g.Add(*self.biases)

    def back(self, step: Step, carry: Carry, dy: Value | None, *rows: Value) -> tuple[Carry, list[Value]]:
        """Runs the steps from the last to the first: the carry before the first, and what the steps gave, as rows.

        The carry holds what reaches the last step of dy, the cotangent of the hidden states of all of them.
        """
        outside: list[Value] = []
        if dy is not None:
            steps = self.g.Squeeze(dy, [1])
            nothing = self.g.Unsqueeze(self.g.zeros(carry[0]), [0])
            outside = [nothing if self.time == 1 else self.moved(steps, nothing)]

        def back(g: Builder, carry: Carry, slices: Sequence[Value]) -> Back:
            return step(g, carry, *(slices if outside else (None, *slices)))

        slices = [*outside, *map(self.steps, rows)]
        carry, given = self.g.loop(back, carry, slices, reverse=not self.reverse)
        return carry, [self.matrix(part) for part in given]

    def answer(self, of_inputs: Value, of_states: Value | None, dr: Value, carry: Carry) -> list[Value | None]:
        """The cotangents of all operands, from those of what the gates get from the inputs and from the states.

        None for the latter means that the two are the same.
        """
        g, x = self.g, self.node.inputs[0]
        assert x is not None
        dx = self.steps(g.MatMul(of_inputs, self.w))
        dw = g.Gemm(of_inputs, self.rows, transA=1)
        db = g.ReduceSum(of_inputs, [0], keepdims=1)
        dr_bias = db if of_states is None else g.ReduceSum(of_states, [0], keepdims=1)
        initial = [g.Unsqueeze(dstate, [0]) for dstate in carry]
        biases = g.Concat(db, dr_bias, axis=1)
        return [dx, g.Unsqueeze(dw, [0]), g.Unsqueeze(dr, [0]), biases, None, *initial]


def recurrence(g: Builder, node: Node) -> Recurrence:
    """Raises NotImplementedError for what no layer of ours emits."""
    forms = ("clip", "input_forget", "layout")
    others = node.attribute("direction", "forward") == "bidirectional" or any(map(node.attribute, forms))
    if others or node.input(SEQUENCE_LENS) or node.input(PEEPHOLES):
        raise NotImplementedError(f"a gradient of {node.op} with more than one direction, lengths, peepholes or a clip")
    x, w, r = node.inputs[:3]
    assert x is not None
    assert w is not None
    assert r is not None
    time, batch = x.shape[:2]
    bias = node.input(3)
    return Recurrence(
        g,
        node,
        time,
        batch,
        g.reshape(x, (time * batch, x.shape[-1])),
        g.Squeeze(w, [0]),
        g.Squeeze(r, [0]),
        None if bias is None else g.Split(bias, axis=1, num_outputs=2, outputs=2),
        g.Squeeze(node.outputs[0], [1]),
    )


# -- activation functions --------------------------------------------------------------------------------------------

DEFAULTS = {
    "Affine": (1.0, 0.0),
    "LeakyRelu": (0.01, None),
    "ThresholdedRelu": (1.0, None),
    "ScaledTanh": (1.0, 1.0),
    "HardSigmoid": (0.2, 0.5),
    "Elu": (1.0, None),
}
"""The functions that take an alpha, or an alpha and a beta, and what these are where they are not given."""


class Function(NamedTuple):
    """An activation function of a recurrent operator."""

    name: str
    alpha: float
    beta: float

    def apply(self, g: Builder, x: Value) -> Value:
        if self.name == "Affine":
            return x if self.alpha == 1 and self.beta == 0 else g.Add(g.Mul(x, self.alpha), self.beta)
        if self.name == "ScaledTanh":
            return g.Mul(g.Tanh(g.Mul(x, self.beta)), self.alpha)
        given = dict(zip(("alpha", "beta"), (self.alpha, self.beta), strict=True))
        kept: dict[str, Any] = {
            key: given[key] for key, value in zip(given, DEFAULTS.get(self.name, ()), strict=False) if value is not None
        }
        return g.emit(self.name, x, **kept)

    def slope(self, g: Builder, y: Value) -> Value:
        """The derivative, told from the function's value."""
        return SLOPES[self.name](g, y, self.alpha, self.beta)


def between(g: Builder, below: float, y: Value, above: float) -> Value:
    """`above` where y > 0, `below` elsewhere."""
    return g.Add(g.Mul(is_positive(g, y), above - below), below)


def elu_slope(g: Builder, y: Value, alpha: float, beta: float) -> Value:
    """1 where y > 0, else alpha * exp(x), which is y + alpha."""
    positive = is_positive(g, y)
    return g.Add(positive, g.Mul(g.Sub(1.0, positive), g.Add(y, alpha)))


def softsign_slope(g: Builder, y: Value, alpha: float, beta: float) -> Value:
    """y = x / (1 + |x|), so dy/dx = (1 - |y|)^2."""
    rest = g.Sub(1.0, g.Abs(y))
    return g.Mul(rest, rest)


SLOPES: dict[str, Callable[[Builder, Value, float, float], Value]] = {
    "Affine": lambda g, y, alpha, beta: between(g, alpha, y, alpha),
    "Relu": lambda g, y, alpha, beta: is_positive(g, y),
    "LeakyRelu": lambda g, y, alpha, beta: between(g, alpha, y, 1.0),
    "ThresholdedRelu": lambda g, y, alpha, beta: is_positive(g, y),
    "Sigmoid": lambda g, y, alpha, beta: g.Mul(y, g.Sub(1.0, y)),
    "HardSigmoid": lambda g, y, alpha, beta: g.Mul(g.Mul(is_positive(g, y), is_positive(g, g.Sub(1.0, y))), alpha),
    "Tanh": lambda g, y, alpha, beta: g.Sub(1.0, g.Mul(y, y)),
    "ScaledTanh": lambda g, y, alpha, beta: g.Sub(alpha * beta, g.Mul(g.Mul(y, y), beta / alpha)),
    "Elu": elu_slope,
    "Softsign": softsign_slope,
    "Softplus": lambda g, y, alpha, beta: g.Sub(1.0, g.Exp(g.Neg(y))),
}


def functions(node: Node, *default: str) -> list[Function]:
    """The node's functions; alphas and betas go, in order, to those that take one."""
    alphas, betas = (iter(node.attribute(f"activation_{which}") or ()) for which in ("alpha", "beta"))
    found: list[Function] = []
    for name in (node.attribute("activations") or default)[: len(default)]:
        alpha, beta = DEFAULTS.get(name, (None, None))
        found.append(
            Function(
                name,
                0.0 if alpha is None else next(alphas, alpha),
                0.0 if beta is None else next(betas, beta),
            )
        )
    return found


# -- the operators ---------------------------------------------------------------------------------------------------


def plus(g: Builder, a: Value, b: Value | None) -> Value:
    return a if b is None else g.Add(a, b)


def gemm_plus(g: Builder, a: Value, b: Value, c: Value | None) -> Value:
    """`a @ b + c` in one operator."""
    return g.MatMul(a, b) if c is None else g.Gemm(a, b, c)


@vjp("RNN")
def rnn(g: Builder, node: Node, dy: Value | None, dy_h: Value | None = None) -> Cotangents:
    """h' = f(x W^T + h R^T + b)."""
    run = recurrence(g, node)
    (f,) = functions(node, "Tanh")
    slopes = f.slope(g, run.matrix(run.states))
    carry, (dgates,) = run.back(rnn_step(run.r), [run.last(dy, dy_h)], dy, slopes)
    return run.answer(dgates, None, g.Gemm(dgates, run.before(run.states, INITIAL_H), transA=1), carry)


def rnn_step(r: Value) -> Step:
    def step(g: Builder, carry: Carry, outside: Value | None, slope: Value) -> Back:
        (dh,) = carry
        dgate = g.Mul(dh, slope)
        return (gemm_plus(g, dgate, r, outside),), (dgate,)

    return step


@vjp("LSTM")
def lstm(g: Builder, node: Node, dy: Value | None, dy_h: Value | None = None, dy_c: Value | None = None) -> Cotangents:
    """c' = forget * c + i * new and h' = o * out, where out = k(c'). Gates are kept in the operator's order."""
    run = recurrence(g, node)
    f, of_new, of_cell = functions(node, "Sigmoid", "Tanh", "Tanh")
    before, units = run.before(run.states, INITIAL_H), run.r.shape[-1]
    inputs = run.product(run.rows, run.w, run.both_biases())
    three, new = g.Split(run.product(before, run.r, inputs), [3 * units, units], axis=1, outputs=2)
    three, new = f.apply(g, three), of_new.apply(g, new)
    i, o, forget = g.Split(three, axis=1, num_outputs=3, outputs=3)
    slices, first = [run.steps(forget), run.steps(g.Mul(i, new))], run.initial(INITIAL_C)
    _, (cells,) = g.loop(cell_step, [first], slices, reverse=run.reverse)
    out = of_cell.apply(g, run.matrix(cells))
    slopes = g.Concat(f.slope(g, three), of_new.slope(g, new), axis=1)
    factors = g.Mul(slopes, g.Concat(new, out, run.before(cells, INITIAL_C), i, axis=1))
    through = g.Mul(o, of_cell.slope(g, out))
    last = [run.last(dy, dy_h), g.zeros(first) if dy_c is None else g.Squeeze(dy_c, [0])]
    carry, (dgates,) = run.back(lstm_step(run.r), last, dy, factors, through, forget)
    return run.answer(dgates, None, g.Gemm(dgates, before, transA=1), carry)


def cell_step(g: Builder, states: Carry, slices: Sequence[Value]) -> Back:
    kept, added = slices
    cell = g.Add(g.Mul(kept, states[0]), added)
    return [cell], [cell]


def lstm_step(r: Value) -> Step:
    def step(g: Builder, carry: Carry, outside: Value | None, factors: Value, through: Value, keep: Value) -> Back:
        dh, dc = carry
        dc = g.Add(g.Mul(dh, through), dc)
        dgates = g.Mul(g.Concat(dc, dh, dc, dc, axis=1), factors)
        return (gemm_plus(g, dgates, r, outside), g.Mul(dc, keep)), (dgates,)

    return step


@vjp("GRU")
def gru(g: Builder, node: Node, dy: Value | None, dy_h: Value | None = None) -> Cotangents:
    """h' = z * h + (1 - z) * new."""
    run = recurrence(g, node)
    return (gru_reset_after if node.attribute("linear_before_reset", 0) else gru_reset_before)(run, dy, dy_h)


def gru_reset_after(run: Recurrence, dy: Value | None, dy_h: Value | None) -> Cotangents:
    """new = k(x W^T + b + r * (h R^T + c)): every gate's cotangent is a factor times that of h'."""
    g, before, units = run.g, run.before(run.states, INITIAL_H), run.r.shape[-1]
    f, of_new = functions(run.node, "Sigmoid", "Tanh")
    of_x, of_h = run.biases or (None, None)
    sizes = [2 * units, units]
    gates_x, new_x = g.Split(run.product(run.rows, run.w, of_x), sizes, axis=1, outputs=2)
    gates_h, new_h = g.Split(run.product(before, run.r, of_h), sizes, axis=1, outputs=2)
    gates = f.apply(g, g.Add(gates_x, gates_h))
    z, r = g.Split(gates, axis=1, num_outputs=2, outputs=2)
    new = of_new.apply(g, g.Add(new_x, g.Mul(r, new_h)))
    to_new = g.Mul(g.Sub(1.0, z), of_new.slope(g, new))
    to_gates = g.Mul(f.slope(g, gates), g.Concat(g.Sub(before, new), g.Mul(to_new, new_h), axis=1))
    factors = g.Concat(to_gates, g.Mul(to_new, r), axis=1)
    carry, (of_states, dh) = run.back(reset_after_step(run.r), [run.last(dy, dy_h)], dy, factors, z)
    dgates, _ = g.Split(of_states, sizes, axis=1, outputs=2)
    of_inputs = g.Concat(dgates, g.Mul(dh, to_new), axis=1)
    return run.answer(of_inputs, of_states, g.Gemm(of_states, before, transA=1), carry)


def reset_after_step(weights: Value) -> Step:
    def step(g: Builder, carry: Carry, outside: Value | None, factors: Value, z: Value) -> Back:
        (dh,) = carry
        of_states = g.Mul(g.Concat(dh, dh, dh, axis=1), factors)
        return (g.Gemm(of_states, weights, plus(g, g.Mul(dh, z), outside)),), (of_states, dh)

    return step


def gru_reset_before(run: Recurrence, dy: Value | None, dy_h: Value | None) -> Cotangents:
    """new = k(x W^T + (r * h) R^T + b)."""
    g, before, units = run.g, run.before(run.states, INITIAL_H), run.r.shape[-1]
    f, of_new = functions(run.node, "Sigmoid", "Tanh")
    sizes = [2 * units, units]
    to_gates, to_new = g.Split(run.r, sizes, axis=0, outputs=2)
    gates_x, new_x = g.Split(run.product(run.rows, run.w, run.both_biases()), sizes, axis=1, outputs=2)
    gates = f.apply(g, run.product(before, to_gates, gates_x))
    z, r = g.Split(gates, axis=1, num_outputs=2, outputs=2)
    reset = g.Mul(r, before)
    new = of_new.apply(g, run.product(reset, to_new, new_x))
    factors = g.Mul(f.slope(g, gates), g.Concat(g.Sub(before, new), before, axis=1))
    slopes = g.Mul(g.Sub(1.0, z), of_new.slope(g, new))
    step = reset_before_step(to_gates, to_new)
    carry, (dgates, dnew) = run.back(step, [run.last(dy, dy_h)], dy, factors, slopes, z, r)
    dr = g.Concat(g.Gemm(dgates, before, transA=1), g.Gemm(dnew, reset, transA=1), axis=0)
    return run.answer(g.Concat(dgates, dnew, axis=1), None, dr, carry)


def reset_before_step(to_gates: Value, to_new: Value) -> Step:
    def step(g: Builder, carry: Carry, outside: Value | None, factors: Value, slope: Value, z: Value, r: Value) -> Back:
        (dh,) = carry
        dnew = g.Mul(dh, slope)
        dreset = g.MatMul(dnew, to_new)
        dgates = g.Mul(g.Concat(dh, dreset, axis=1), factors)
        direct = g.Add(g.Mul(dh, z), g.Mul(dreset, r))
        return (g.Gemm(dgates, to_gates, plus(g, direct, outside)),), (dgates, dnew)

    return step
