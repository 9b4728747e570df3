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
from ...ir.loops import UNROLLED, Step
from ..registry import Builder, Node, Value

LARGE = 1 << 18
"""Weights of a state from which on more steps of an LSTM or RNN are written out than usual: 256 units of an LSTM have
as many."""
LONGEST = 128
"""And how many, those of all such layers together. On a CPU the order of their weights is then made once for all steps
(`tuning.cpu.recurrent.convert`): with 16 samples and more a layer of 50 to 128 steps takes 0.77 to 0.9 of the time of a
Scan. The first step comes 0.2 to 0.8 seconds later, whichever the provider; so it is not done for more steps."""
FEWEST = 8
"""Samples below which that pass leaves rows as they are."""

SEQUENCE_LENS, INITIAL_H, INITIAL_C, PEEPHOLES = 4, 5, 6, 7

Result = tuple[Sequence[Value], Sequence[Value]]
"""States, and what else a step gives."""
Gates = Callable[[Builder, Value, Value], tuple[Value, Value]]


@dataclass(frozen=True)
class Recurrence:
    """The operands of a node of one direction, as matrices, and the places of its steps.

    `rows` are the inputs and, where there are biases, ones beside them: so a bias is one more column of the weights.
    Nodes from `start` on were emitted for it.
    """

    g: Builder
    node: Node
    start: int
    x: Value
    rows: Value
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
    def written_out(self) -> int | None:
        """Steps up to which its loops are written out; None as usual: short ones are, of others it is no gain, or they
        would be too many."""
        g, time = self.g, self.x.shape[0]
        many = g.samples is not None and g.samples >= FEWEST and self.node.op != "GRU"
        if not many or not self.r.type.is_fixed() or prod(self.r.shape) < LARGE:
            return None
        if not isinstance(time, int) or time <= UNROLLED or g.written_out + time > LONGEST:
            return None
        g.written_out += time
        return time

    def steps(self, rows: Value) -> Value:
        """A matrix of all steps as [time, batch, size]."""
        shape = (*self.x.shape[:2], rows.shape[-1])
        return self.g.refine(self.g.Reshape(rows, self.g.sizes(shape, self.x)), shape)

    def matrix(self, x: Value) -> Value:
        """A value [time, batch, size] as rows."""
        return self.g.reshape(x, (x.shape[0] * x.shape[1], x.shape[-1]))

    @cached_property
    def nothing(self) -> Value:
        """Zeros [batch, units]."""
        shape: tuple[Dim, ...] = (self.x.shape[1], self.units)
        return self.g.refine(self.g.Expand(self.g.const(0.0, self.x.dtype), self.g.sizes(shape, self.x)), shape)

    def with_state(self, g: Builder, inputs: Value, h: Value, weights: Value) -> Value:
        """`inputs + h @ weights^T`."""
        return inputs if h is self.nothing else g.Gemm(h, weights, inputs, transB=1)

    def initial(self, place: int) -> Value:
        """The states [batch, units] that the first step met."""
        given = self.node.input(place)
        return self.nothing if given is None else self.g.Squeeze(given, [0])

    def both_biases(self) -> Value | None:
        return None if self.biases is None else self.g.Add(*self.biases)

    def of_inputs(self, w: Value, bias: Value | None) -> Value:
        """`x @ w^T + bias`, for all steps."""
        return self.steps(self.g.Gemm(self.rows, self.with_bias(w, bias), transB=1))

    def with_bias(self, w: Value, bias: Value | None) -> Value:
        """What rows are multiplied by."""
        return w if bias is None else self.g.Concat(w, self.g.Transpose(bias, perm=[1, 0]), axis=1)

    @cached_property
    def joins(self) -> bool:
        """Whether a step makes one row of its state and its inputs, in this order. For no more inputs than units that
        takes less time than to take their products apart, step by step, and to add the state's to each: 5 % less for 28
        and 128."""
        features = self.x.shape[-1]
        return isinstance(features, int) and features <= self.units

    def gates(self) -> tuple[Value, Gates]:
        """What gates are made of at each step besides the state, [time, batch, size], and how: a function of these and
        the state that gives `inputs @ w^T + bias + state @ r^T`, and what `weights` wants to know of the step: the row
        that this is a product of, or the state.
        """
        if not self.joins:
            return self.of_inputs(self.w, self.both_biases()), lambda g, x, h: (self.with_state(g, x, h, self.r), h)
        biases = [] if self.biases is None else [self.g.Add(*self.biases)]
        whole = self.g.Concat(*(self.g.Transpose(w, perm=[1, 0]) for w in (self.r, self.w)), *biases, axis=0)

        def product(g: Builder, x: Value, h: Value) -> tuple[Value, Value]:
            row = g.Concat(h, x, axis=1)
            return g.MatMul(row, whole), row

        return self.steps(self.rows), product

    def forward(self, step: Step[Builder], states: Sequence[Value], slices: Sequence[Value]) -> list[Value]:
        """Runs the steps in place of the operator, and what they give, [time, batch, size].

        The hidden state is the first of the states.
        """

        def forward(g: Builder, before: Sequence[Value], slices: Sequence[Value]) -> Result:
            after, given = step(g, before, slices)
            return after, [after[0], *given]

        g = self.g
        last, (after, *given) = g.loop(forward, states, slices, reverse=self.reverse, most=self.written_out)
        found = [g.Unsqueeze(after, [1]), *(g.Unsqueeze(state, [0]) for state in last)]
        replace_node(g, self.node, self.start, found)
        return given

    def back(
        self, step: Step[Builder], dys: Sequence[Value | None], given: Sequence[Value]
    ) -> tuple[Sequence[Value], list[Value]]:
        """Runs the steps from the last to the first, with what they gave on the way forward.

        From the cotangents of the operator's results: those of the first states, and what the steps gave, as rows.
        """
        g, (dy, *last) = self.g, dys
        outside = [] if dy is None else [g.Squeeze(dy, [1])]

        def back(g: Builder, carry: Sequence[Value], slices: Sequence[Value]) -> Result:
            if outside:
                carry, slices = [g.Add(carry[0], slices[0]), *carry[1:]], slices[1:]
            return step(g, carry, slices)

        start = [self.nothing if dstate is None else g.Squeeze(dstate, [0]) for dstate in last]
        carry, found = g.loop(back, start, [*outside, *given], reverse=not self.reverse, most=self.written_out)
        return carry, [self.matrix(part) for part in found]

    def weights(self, dgates: Value, met: Value | None = None) -> list[Value]:
        """The gradients of what rows were multiplied by, from the cotangents of the products: of the inputs' weights,
        [sizes, features], of their bias if there is one, [1, sizes], and of the weights of the states before each step,
        which these steps `met`, as rows of theirs or of states and inputs."""
        g, rows = self.g, self.rows
        if met is not None:
            rows = met if met.shape[1] != self.units else g.Concat(met, rows, axis=1)
        whole = g.Gemm(rows, dgates, transA=1)
        sizes = [*([] if met is None else [self.units]), self.x.shape[-1], *([1] if self.biases else [])]
        parts = list(g.Split(whole, sizes, axis=0, outputs=len(sizes)) if len(sizes) > 1 else [whole])
        parts = parts[1:] + parts[:1] if met is not None else parts
        bias = 1 if self.biases else None
        return [x if place == bias else g.Transpose(x, perm=[1, 0]) for place, x in enumerate(parts)]

    def of_states(self, met: Value, dgates: Value) -> Value:
        """The gradient of what the states were multiplied by that steps met, [time, batch, units]: [sizes, units]."""
        return self.g.Transpose(self.g.Gemm(self.matrix(met), dgates, transA=1), perm=[1, 0])

    def answer(
        self, of_inputs: Value, dw: Value, dr: Value, biases: Sequence[Value], carry: Sequence[Value]
    ) -> list[Value | None]:
        """The cotangents of all operands, from those of what the gates get from the inputs and those of the weights;
        `biases` are one for both, or one each."""
        g = self.g
        dx = self.steps(g.MatMul(of_inputs, self.w))
        bias = g.Concat(biases[0], biases[-1], axis=1) if self.biases else None
        return [dx, g.Unsqueeze(dw, [0]), g.Unsqueeze(dr, [0]), bias, None, *(g.Unsqueeze(x, [0]) for x in carry)]


def recurrence(g: Builder, node: Node) -> Recurrence:
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


def replace_node(g: Builder, node: Node, start: int, results: Sequence[Value]) -> None:
    """The nodes from `start` on take the place of a node, and values computed by them that of its results.

    A node that stands in another graph, as in the body of a Scan whose derivative this is, stays as it is.
    """
    place = next((index for index, other in enumerate(g.nodes[:start]) if other is node), None)
    if place is None:
        return
    named = dict(zip(results, node.outputs, strict=False))
    made = g.nodes[start:]
    del g.nodes[start:]
    g.nodes[place : place + 1] = [replace(n, outputs=tuple(named.get(y, y) for y in n.outputs)) for n in made]
