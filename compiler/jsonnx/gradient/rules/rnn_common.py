"""What the rules of LSTM, GRU and RNN share: a node's operands as matrices, and loops over its steps.

What does not wait for another step (products with the inputs, the gradients of all weights) is one operation over all
of them. Row t * batch + n of a matrix belongs to step t of sample n.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from math import prod

from ...core.types import Dim
from ...ir.loops import MAX_UNROLLED_STEPS, StepFn
from ..registry import Builder, Node, Value

MIN_UNROLL_WEIGHTS = 1 << 18
"""Weights of a state from which on more steps of an LSTM or RNN are written out than usual: 256 units of an LSTM have
as many."""
MAX_TOTAL_UNROLLED_STEPS = 128
"""And how many, those of all such layers together. On a CPU the order of their weights is then made once for all steps
(`tuning.cpu.recurrent.convert`): with 16 samples and more a layer of 50 to 128 steps takes 0.77 to 0.9 of the time of a
Scan. The first step comes 0.2 to 0.8 seconds later, whichever the provider; so it is not done for more steps."""
MIN_UNROLL_SAMPLES = 8
"""Samples below which that pass leaves rows as they are."""

SEQUENCE_LENS, INITIAL_H, INITIAL_C, PEEPHOLES = 4, 5, 6, 7

StepResult = tuple[Sequence[Value], Sequence[Value]]
"""States, and what else a step gives."""
GateFn = Callable[[Builder, Value, Value], tuple[Value, Value]]


@dataclass(frozen=True)
class Recurrence:
    """The operands of a node of one direction, as matrices, and the places of its steps.

    `input_rows` are the inputs and, where there are biases, ones beside them: so a bias is one more column of the weights.
    Nodes from `first_node` on were emitted for it.
    """

    g: Builder
    node: Node
    first_node: int
    x: Value
    input_rows: Value
    w: Value
    r: Value
    biases: tuple[Value, Value] | None

    @property
    def reverse(self) -> bool:
        return bool(self.node.attribute("direction", "forward") == "reverse")

    @property
    def units(self) -> int:
        return int(self.r.shape[-1])

    @cached_property
    def max_unrolled_steps(self) -> int | None:
        """Steps up to which its loops are written out; None as usual: short ones are, of others it is no gain, or they
        would be too many."""
        g, time = self.g, self.x.shape[0]
        many = g.expected_batch is not None and g.expected_batch >= MIN_UNROLL_SAMPLES and self.node.op != "GRU"
        if not many or not self.r.type.is_static() or prod(self.r.shape) < MIN_UNROLL_WEIGHTS:
            return None
        if (
            not isinstance(time, int)
            or time <= MAX_UNROLLED_STEPS
            or g.unrolled_steps + time > MAX_TOTAL_UNROLLED_STEPS
        ):
            return None
        g.unrolled_steps += time
        return time

    def unflatten_steps(self, rows: Value) -> Value:
        """A matrix of all steps as [time, batch, size]."""
        shape = (*self.x.shape[:2], rows.shape[-1])
        return self.g.refine(self.g.Reshape(rows, self.g.sizes(shape, self.x)), shape)

    def flatten_steps(self, x: Value) -> Value:
        """A value [time, batch, size] as rows."""
        return self.g.reshape(x, (x.shape[0] * x.shape[1], x.shape[-1]))

    @cached_property
    def zero_state(self) -> Value:
        """Zeros [batch, units]."""
        shape: tuple[Dim, ...] = (self.x.shape[1], self.units)
        return self.g.refine(self.g.Expand(self.g.const(0.0, self.x.dtype), self.g.sizes(shape, self.x)), shape)

    def add_state_product(self, g: Builder, inputs: Value, h: Value, weights: Value) -> Value:
        """`inputs + h @ weights^T`."""
        return inputs if h is self.zero_state else g.Gemm(h, weights, inputs, transB=1)

    def initial_state(self, input_index: int) -> Value:
        """The states [batch, units] that the first step met."""
        given = self.node.input(input_index)
        return self.zero_state if given is None else self.g.Squeeze(given, [0])

    def summed_bias(self) -> Value | None:
        return None if self.biases is None else self.g.Add(*self.biases)

    def input_product(self, w: Value, bias: Value | None) -> Value:
        """`x @ w^T + bias`, for all steps."""
        return self.unflatten_steps(self.g.Gemm(self.input_rows, self.append_bias_column(w, bias), transB=1))

    def append_bias_column(self, w: Value, bias: Value | None) -> Value:
        """What rows are multiplied by."""
        return w if bias is None else self.g.Concat(w, self.g.Transpose(bias, perm=[1, 0]), axis=1)

    @cached_property
    def concatenates_state(self) -> bool:
        """Whether a step makes one row of its state and its inputs, in this order. For no more inputs than units that
        takes less time than to take their products apart, step by step, and to add the state's to each: 5 % less for 28
        and 128."""
        features = self.x.shape[-1]
        return isinstance(features, int) and features <= self.units

    def gate_inputs_and_product(self) -> tuple[Value, GateFn]:
        """What gates are made of at each step besides the state, [time, batch, size], and how: a function of these and
        the state that gives `inputs @ w^T + bias + state @ r^T`, and what `weight_gradients` wants to know of the step: the row
        that this is a product of, or the state.
        """
        if not self.concatenates_state:
            return self.input_product(self.w, self.summed_bias()), lambda g, x, h: (
                self.add_state_product(g, x, h, self.r),
                h,
            )
        biases = [] if self.biases is None else [self.g.Add(*self.biases)]
        whole = self.g.Concat(*(self.g.Transpose(w, perm=[1, 0]) for w in (self.r, self.w)), *biases, axis=0)

        def product(g: Builder, x: Value, h: Value) -> tuple[Value, Value]:
            row = g.Concat(h, x, axis=1)
            return g.MatMul(row, whole), row

        return self.unflatten_steps(self.input_rows), product

    def run_forward(self, step: StepFn[Builder], states: Sequence[Value], slices: Sequence[Value]) -> list[Value]:
        """Runs the steps in place of the operator, and what they give, [time, batch, size].

        The hidden state is the first of the states.
        """

        def forward(g: Builder, before: Sequence[Value], slices: Sequence[Value]) -> StepResult:
            after, given = step(g, before, slices)
            return after, [after[0], *given]

        g = self.g
        last, (after, *given) = g.loop(
            forward, states, slices, reverse=self.reverse, max_unrolled_steps=self.max_unrolled_steps
        )
        found = [g.Unsqueeze(after, [1]), *(g.Unsqueeze(state, [0]) for state in last)]
        replace_node(g, self.node, self.first_node, found)
        return given

    def run_backward(
        self, step: StepFn[Builder], dys: Sequence[Value | None], saved: Sequence[Value]
    ) -> tuple[Sequence[Value], list[Value]]:
        """Runs the steps from the last to the first, with what they gave on the way forward.

        From the cotangents of the operator's results: those of the first states, and what the steps gave, as rows.
        """
        g, (dy, *last) = self.g, dys
        outside = [] if dy is None else [g.Squeeze(dy, [1])]

        def back(g: Builder, carry: Sequence[Value], slices: Sequence[Value]) -> StepResult:
            if outside:
                carry, slices = [g.Add(carry[0], slices[0]), *carry[1:]], slices[1:]
            return step(g, carry, slices)

        start = [self.zero_state if dstate is None else g.Squeeze(dstate, [0]) for dstate in last]
        carry, found = g.loop(
            back, start, [*outside, *saved], reverse=not self.reverse, max_unrolled_steps=self.max_unrolled_steps
        )
        return carry, [self.flatten_steps(part) for part in found]

    def weight_gradients(self, dgates: Value, multiplied_rows: Value | None = None) -> list[Value]:
        """The gradients of what rows were multiplied by, from the cotangents of the products: of the inputs' weights,
        [sizes, features], of their bias if there is one, [1, sizes], and of the weights of the states before each step,
        which these steps `multiplied_rows`, as rows of theirs or of states and inputs."""
        g, rows = self.g, self.input_rows
        if multiplied_rows is not None:
            rows = (
                multiplied_rows if multiplied_rows.shape[1] != self.units else g.Concat(multiplied_rows, rows, axis=1)
            )
        whole = g.Gemm(rows, dgates, transA=1)
        sizes = [*([] if multiplied_rows is None else [self.units]), self.x.shape[-1], *([1] if self.biases else [])]
        parts = list(g.Split(whole, sizes, axis=0, outputs=len(sizes)) if len(sizes) > 1 else [whole])
        parts = parts[1:] + parts[:1] if multiplied_rows is not None else parts
        bias = 1 if self.biases else None
        return [x if place == bias else g.Transpose(x, perm=[1, 0]) for place, x in enumerate(parts)]

    def state_weight_gradient(self, states: Value, dgates: Value) -> Value:
        """The gradient of what the states were multiplied by that steps met, [time, batch, units]: [sizes, units]."""
        return self.g.Transpose(self.g.Gemm(self.flatten_steps(states), dgates, transA=1), perm=[1, 0])

    def operand_cotangents(
        self, dproducts: Value, dw: Value, dr: Value, biases: Sequence[Value], carry: Sequence[Value]
    ) -> list[Value | None]:
        """The cotangents of all operands, from those of what the gates get from the inputs and those of the weights;
        `biases` are one for both, or one each."""
        g = self.g
        dx = self.unflatten_steps(g.MatMul(dproducts, self.w))
        bias = g.Concat(biases[0], biases[-1], axis=1) if self.biases else None
        return [dx, g.Unsqueeze(dw, [0]), g.Unsqueeze(dr, [0]), bias, None, *(g.Unsqueeze(x, [0]) for x in carry)]


def read_recurrence(g: Builder, node: Node) -> Recurrence:
    """Raises NotImplementedError for what no layer of ours emits."""
    forms = ("clip", "input_forget", "layout")
    others = node.attribute("direction", "forward") == "bidirectional" or any(map(node.attribute, forms))
    if others or node.input(SEQUENCE_LENS) or node.input(PEEPHOLES):
        raise NotImplementedError(f"a gradient of {node.op} with more than one direction, lengths, peepholes or a clip")
    start = len(g.nodes)
    x, w, r = node.inputs[:3]
    assert x is not None
    assert w is not None
    assert r is not None
    bias = node.input(3)
    rows = g.reshape(x, (x.shape[0] * x.shape[1], x.shape[-1]))
    return Recurrence(
        g,
        node,
        start,
        x,
        rows if bias is None else g.Pad(rows, [0, 0, 0, 1], g.const(1.0, x.dtype)),
        g.Squeeze(w, [0]),
        g.Squeeze(r, [0]),
        None if bias is None else g.Split(bias, axis=1, num_outputs=2, outputs=2),
    )


def replace_node(g: Builder, node: Node, first_node: int, results: Sequence[Value]) -> None:
    """The nodes from `first_node` on take the place of a node, and values computed by them that of its results.

    A node that stands in another graph, as in the body of a Scan whose derivative this is, stays as it is.
    """
    place = next((index for index, other in enumerate(g.nodes[:first_node]) if other is node), None)
    if place is None:
        return
    named = dict(zip(results, node.outputs, strict=False))
    made = g.nodes[first_node:]
    del g.nodes[first_node:]
    g.nodes[place : place + 1] = [replace(n, outputs=tuple(named.get(y, y) for y in n.outputs)) for n in made]
