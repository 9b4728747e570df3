"""The shared part of the gradients of LSTM, GRU and RNN: operands as matrices, and loops over time.

Computations that do not depend on the previous step (products with the inputs, weight gradients) are one operation over
all steps. They use matrices whose row t * batch + n belongs to step t of sample n.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from math import prod

from ...core.types import Dim
from ...ir.loops import StepFn
from ..registry import Builder, GradientBuilder, Node, Value
from ..tuning import GradientTuning

SEQUENCE_LENS, INITIAL_H, INITIAL_C, PEEPHOLES = 4, 5, 6, 7

STATE_COUNTS = {"GRU": 1, "LSTM": 2, "RNN": 1}

StepResult = tuple[Sequence[Value], Sequence[Value]]
"""The next states, and further results of the step."""
GateFn = Callable[[Builder, Value, Value], tuple[Value, Value]]
"""`gates(g, slice, h)`: the gates before their activations, and the row (or state) that was multiplied."""


@dataclass(frozen=True)
class Recurrence:
    """The operands of a unidirectional node, as matrices.

    `input_rows` are the inputs of all steps. If there are biases, a column of ones is appended, so that a bias is one
    more column of the weights. The nodes from index `first_node` on were emitted for this recurrence.
    """

    g: GradientBuilder
    node: Node
    first_node: int
    x: Value
    input_rows: Value
    w: Value
    r: Value
    biases: tuple[Value, Value] | None
    max_unrolled_steps: int

    @property
    def reverse(self) -> bool:
        return bool(self.node.attribute("direction", "forward") == "reverse")

    @property
    def units(self) -> int:
        return int(self.r.shape[-1])

    # -- operands ----------------------------------------------------------------------------------------------------

    def unflatten_steps(self, rows: Value) -> Value:
        """A matrix of all steps as [time, batch, size]."""
        shape = (*self.x.shape[:2], rows.shape[-1])
        return self.g.refine(self.g.Reshape(rows, self.g.sizes(shape, self.x)), shape)

    def flatten_steps(self, x: Value) -> Value:
        """A value [time, batch, size] as a matrix."""
        return self.g.reshape(x, (x.shape[0] * x.shape[1], x.shape[-1]))

    @cached_property
    def zero_state(self) -> Value:
        """Zeros [batch, units], emitted at their first use."""
        shape: tuple[Dim, ...] = (self.x.shape[1], self.units)
        return self.g.refine(self.g.Expand(self.g.const(0.0, self.x.dtype), self.g.sizes(shape, self.x)), shape)

    def initial_state(self, input_index: int) -> Value:
        """The state [batch, units] before the first step."""
        operand = self.node.input(input_index)
        return self.zero_state if operand is None else self.g.Squeeze(operand, [0])

    def summed_bias(self) -> Value | None:
        return None if self.biases is None else self.g.Add(*self.biases)

    # -- products ----------------------------------------------------------------------------------------------------

    def input_product(self, w: Value, bias: Value | None) -> Value:
        """`x @ w^T + bias`, for all steps."""
        return self.unflatten_steps(self.g.Gemm(self.input_rows, self.append_bias_column(w, bias), transB=1))

    def append_bias_column(self, w: Value, bias: Value | None) -> Value:
        """`[w, bias^T]`, the weights of `input_rows`."""
        return w if bias is None else self.g.Concat(w, self.g.Transpose(bias, perm=[1, 0]), axis=1)

    def add_state_product(self, g: Builder, inputs: Value, h: Value, weights: Value) -> Value:
        """`inputs + h @ weights^T`."""
        return inputs if h is self.zero_state else g.Gemm(h, weights, inputs, transB=1)

    def gate_inputs_and_product(self) -> tuple[Value, GateFn]:
        """The per-step operand [time, batch, size] of the gates, and the function of it and of the state that computes
        `x @ w^T + bias + h @ r^T`."""
        if not concatenates_state(self.x.shape[-1], self.r, self.g.tuning):

            def add(g: Builder, product: Value, h: Value) -> tuple[Value, Value]:
                return self.add_state_product(g, product, h, self.r), h

            return self.input_product(self.w, self.summed_bias()), add
        biases = [] if self.biases is None else [self.g.Add(*self.biases)]
        weights = self.g.Concat(*(self.g.Transpose(w, perm=[1, 0]) for w in (self.r, self.w)), *biases, axis=0)

        def multiply(g: Builder, x: Value, h: Value) -> tuple[Value, Value]:
            row = g.Concat(h, x, axis=1)
            return g.MatMul(row, weights), row

        return self.unflatten_steps(self.input_rows), multiply

    def ordered(self, gates: Sequence[Value]) -> Sequence[Value]:
        """The parts of a gate product in the operator's order."""
        return gates

    def joined(self, g: Builder, gates: Sequence[Value]) -> Value:
        """Gates in the operator's order as one matrix, in the order of the weights."""
        return g.Concat(*gates, axis=1)

    def state_cotangent(self, g: Builder, dgates: Value) -> Value:
        """`dgates @ r`."""
        return g.MatMul(dgates, self.r)

    def input_cotangent(self, dgates: Value) -> Value:
        """`dgates @ w`, for all steps."""
        return self.g.MatMul(dgates, self.w)

    # -- loops -------------------------------------------------------------------------------------------------------

    def run_forward(self, step: StepFn[Builder], states: Sequence[Value], slices: Sequence[Value]) -> list[Value]:
        """Replaces the operator by a loop, whose first state is the hidden state.

        Returns the further results of the steps, [time, batch, size].
        """

        def forward(g: Builder, states: Sequence[Value], slices: Sequence[Value]) -> StepResult:
            next_states, results = step(g, states, slices)
            return next_states, [next_states[0], *results]

        g = self.g
        last, (hidden, *results) = g.loop(
            forward, states, slices, reverse=self.reverse, max_unrolled_steps=self.max_unrolled_steps
        )
        outputs = [g.Unsqueeze(hidden, [1]), *(g.Unsqueeze(state, [0]) for state in last)]
        replace_node(g, self.node, self.first_node, outputs)
        return results

    def run_backward(
        self, step: StepFn[Builder], dys: Sequence[Value | None], saved: Sequence[Value]
    ) -> tuple[Sequence[Value], list[Value]]:
        """Runs the steps from last to first, over the cotangents of the operator's outputs and values saved by
        `run_forward`.

        Returns the cotangents of the initial states, and the results of the steps as matrices.
        """
        g, (dy, *last) = self.g, dys
        last += [None] * (STATE_COUNTS[self.node.op] - len(last))  # a node need not have all outputs
        hidden_cotangents = [] if dy is None else [g.Squeeze(dy, [1])]

        def back(g: Builder, carry: Sequence[Value], slices: Sequence[Value]) -> StepResult:
            if hidden_cotangents:
                carry, slices = [g.Add(carry[0], slices[0]), *carry[1:]], slices[1:]
            return step(g, carry, slices)

        start = [self.zero_state if dstate is None else g.Squeeze(dstate, [0]) for dstate in last]
        slices = [*hidden_cotangents, *saved]
        carry, results = g.loop(
            back, start, slices, reverse=not self.reverse, max_unrolled_steps=self.max_unrolled_steps
        )
        return carry, [self.flatten_steps(result) for result in results]

    # -- cotangents --------------------------------------------------------------------------------------------------

    def weight_gradients(self, dgates: Value, multiplied_rows: Value | None = None) -> list[Value]:
        """The weight gradients `dgates^T @ rows`: dw [gates, features], dbias [1, gates] if there are biases, and dr
        [gates, units] if `multiplied_rows` are given.

        `multiplied_rows` are the rows that each step multiplied: its state, or its state and inputs concatenated.
        """
        g, rows = self.g, self.input_rows
        if multiplied_rows is not None:
            has_inputs = multiplied_rows.shape[1] != self.units
            rows = multiplied_rows if has_inputs else g.Concat(multiplied_rows, rows, axis=1)
        product = g.Gemm(rows, dgates, transA=1)
        sizes = [*([] if multiplied_rows is None else [self.units]), self.x.shape[-1], *([1] if self.biases else [])]
        parts = list(g.Split(product, sizes, axis=0, outputs=len(sizes)) if len(sizes) > 1 else [product])
        parts = parts[1:] + parts[:1] if multiplied_rows is not None else parts
        bias_index = 1 if self.biases else None
        return [x if index == bias_index else g.Transpose(x, perm=[1, 0]) for index, x in enumerate(parts)]

    def state_weight_gradient(self, states: Value, dgates: Value) -> Value:
        """dr = dgates^T @ states [gates, units], from the states [time, batch, units] before each step."""
        return self.g.Transpose(self.g.Gemm(self.flatten_steps(states), dgates, transA=1), perm=[1, 0])

    def kernel_cotangent(self, gradient: Value) -> Value:
        """The cotangent of an operand with weights, from their gradient as `weight_gradients` returns it."""
        return self.g.Unsqueeze(gradient, [0])

    def operand_cotangents(
        self, dproducts: Value, dw: Value, dr: Value, biases: Sequence[Value], carry: Sequence[Value]
    ) -> list[Value | None]:
        """The cotangents of all operands, in the operator's order; dx = dproducts @ w.

        `biases` has one gradient for both biases, or one for each.
        """
        g = self.g
        dx = self.unflatten_steps(self.input_cotangent(dproducts))
        dbias = g.Concat(biases[0], biases[-1], axis=1) if self.biases else None
        return [
            dx,
            self.kernel_cotangent(dw),
            self.kernel_cotangent(dr),
            dbias,
            None,
            *(g.Unsqueeze(x, [0]) for x in carry),
        ]


def concatenates_state(features: Dim, r: Value, tuning: GradientTuning) -> bool:
    """Whether a step multiplies its state and inputs as one row, rather than adding two products."""
    has_few_inputs = isinstance(features, int) and features <= tuning.max_inputs_per_unit * r.shape[-1]
    return has_few_inputs and prod(r.shape) <= tuning.max_row_weights


def read_recurrence(g: GradientBuilder, node: Node) -> Recurrence:
    """Emits the operands as matrices. Raises NotImplementedError for attributes that no layer emits."""
    unsupported = ("clip", "input_forget", "layout")
    if any(map(node.attribute, unsupported)) or node.input(SEQUENCE_LENS) or node.input(PEEPHOLES):
        raise NotImplementedError("with lengths, peepholes, a clip or samples first")
    first_node = len(g.nodes)
    x, w, r = node.inputs[:3]
    assert x is not None
    assert w is not None
    assert r is not None
    bias = node.input(3)
    rows = g.reshape(x, (x.shape[0] * x.shape[1], x.shape[-1]))
    return Recurrence(
        g,
        node,
        first_node,
        x,
        rows if bias is None else g.Pad(rows, [0, 0, 0, 1], g.const(1.0, x.dtype)),
        g.Squeeze(w, [0]),
        g.Squeeze(r, [0]),
        None if bias is None else g.Split(bias, axis=1, num_outputs=2, outputs=2),
        max_unrolled_steps(g, node.op, x.shape[0], r),
    )


def max_unrolled_steps(g: GradientBuilder, op: str, time: Dim, r: Value) -> int:
    """The maximum number of steps of an unrolled loop.

    A longer loop with large weights `r` is unrolled, too, if that many steps are left in the builder.
    """
    limit = g.tuning.max_unrolled_steps
    if isinstance(time, int) and time > limit and gains_from_unrolling(op, r, g.expected_batch, g.tuning):
        return time if g.reserve_unrolled_steps(time) else limit
    return limit


def gains_from_unrolling(op: str, r: Value, batch: int | None, tuning: GradientTuning) -> bool:
    """Whether an unrolled loop is faster even if it is long: the recurrent weights and the batch are large."""
    if op == "GRU" or batch is None or batch < tuning.min_unroll_batch or not r.type.is_static():
        return False
    return tuning.min_unroll_weights <= prod(r.shape) <= tuning.max_unroll_weights


def replace_node(g: Builder, node: Node, first_node: int, results: Sequence[Value]) -> None:
    """Replaces a node by the nodes from index `first_node` on, which then compute its outputs in place of `results`.

    Does nothing if the node is part of another graph, such as the body of a Scan that is being differentiated.
    """
    index = next((index for index, other in enumerate(g.nodes[:first_node]) if other is node), None)
    if index is None:
        return
    outputs = dict(zip(results, node.outputs, strict=False))
    emitted = g.nodes[first_node:]
    del g.nodes[first_node:]
    g.nodes[index : index + 1] = [replace(n, outputs=tuple(outputs.get(y, y) for y in n.outputs)) for n in emitted]
