"""Recurrences of large weights that multiply by the stored kernels, not by their form for ONNX' operators.

ONNX' operators take transposed kernels with the gates in another order. Copies of large weights, and of their
gradients, take as long as several steps of the loop. So the gates keep the order of the stored kernels throughout, and
biases are operands of their own, instead of a column of the weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from math import prod

from ..registry import Builder, Node, Value
from .rnn_common import GateFn, Recurrence

KERNEL_OPS = ("Squeeze", "Transpose", "Unsqueeze")
"""Operators between the reordered gates of a kernel and an operand of the recurrence."""


@dataclass(frozen=True)
class StoredRecurrence(Recurrence):
    """A recurrence with its kernels as they are stored: [features, gates * units] and [units, gates * units]."""

    kernel: Value
    recurrent_kernel: Value
    gates: tuple[int, ...]
    """For each gate of the operator, its index among those of the kernels."""

    def gate_inputs_and_product(self) -> tuple[Value, GateFn]:
        bias = self.summed_bias()
        bias = None if bias is None else self._reordered(bias, self._stored_order)

        def add(g: Builder, product: Value, h: Value) -> tuple[Value, Value]:
            return product if h is self.zero_state else g.Gemm(h, self.recurrent_kernel, product), h

        return self.unflatten_steps(self.g.Gemm(self._rows, self.kernel, bias)), add

    def ordered(self, gates: Sequence[Value]) -> Sequence[Value]:
        return [gates[index] for index in self.gates]

    def joined(self, g: Builder, gates: Sequence[Value]) -> Value:
        return g.Concat(*(gates[index] for index in self._stored_order), axis=1)

    def state_cotangent(self, g: Builder, dgates: Value) -> Value:
        return g.Gemm(dgates, self.recurrent_kernel, transB=1)

    def input_cotangent(self, dgates: Value) -> Value:
        return self.g.MatMul(dgates, self.g.Transpose(self.kernel, perm=[1, 0]))

    def weight_gradients(self, dgates: Value, multiplied_rows: Value | None = None) -> list[Value]:
        assert multiplied_rows is not None
        dw, dr = (self.g.Gemm(rows, dgates, transA=1) for rows in (self._rows, multiplied_rows))
        biases = [self._reordered(self.g.ReduceSum(dgates, [0], keepdims=1), self.gates)] if self.biases else []
        return [dw, *biases, dr]

    def kernel_cotangent(self, gradient: Value) -> Value:
        """The gradient in the form of the operand, by nodes that cancel with the gradient of what computes it."""
        return self.g.Transpose(self.g.Unsqueeze(self._reordered(gradient, self.gates), [0]), perm=[0, 2, 1])

    @property
    def _rows(self) -> Value:
        """The inputs of all steps, without a column of ones."""
        return self.flatten_steps(self.x)

    @property
    def _stored_order(self) -> list[int]:
        """For each gate of the kernels, its index among those of the operator."""
        return [self.gates.index(index) for index in range(len(self.gates))]

    def _reordered(self, x: Value, order: Sequence[int]) -> Value:
        """X [rows, gates * units] with its gates in another order."""
        parts = self.g.Split(x, [self.units] * len(order), axis=1, outputs=len(order))
        return self.g.Concat(*(parts[index] for index in order), axis=1)


def with_stored_kernels(run: Recurrence) -> Recurrence:
    """The recurrence by its stored kernels, if the weights are large and both kernels are found."""
    g, (w, r) = run.g, run.node.inputs[1:3]
    if (
        not run.r.type.is_static()
        or prod(run.r.shape) <= g.tuning.max_row_weights
        or not isinstance(run.x.shape[-1], int)
    ):
        return run
    producers = {output: node for node in g.nodes for output in node.outputs}
    stored, stored_recurrent = (_stored_kernel(producers, x, run.units) for x in (w, r))
    if stored is None or stored_recurrent is None or stored[1] != stored_recurrent[1]:
        return run
    (kernel, gates), (recurrent_kernel, _) = stored, stored_recurrent
    if kernel.shape[0] != run.x.shape[-1] or recurrent_kernel.shape[0] != run.units:
        return run
    operands = {field.name: getattr(run, field.name) for field in fields(run)}
    return StoredRecurrence(**operands, kernel=kernel, recurrent_kernel=recurrent_kernel, gates=gates)


def _stored_kernel(producers: dict[Value, Node], x: Value | None, units: int) -> tuple[Value, tuple[int, ...]] | None:
    """The kernel [size, gates * units] from which an operand is computed, and the order in which it has its gates."""
    node = producers.get(x) if x is not None else None
    while node is not None and node.op in KERNEL_OPS:
        node = producers.get(node.inputs[0]) if node.inputs[0] is not None else None
    split = producers.get(node.inputs[0]) if node is not None and node.op == "Concat" and node.inputs[0] else None
    if node is None or split is None or split.op != "Split" or not set(node.inputs) <= set(split.outputs):
        return None
    kernel = split.inputs[0]
    has_gates = all(part.rank == 2 and part.shape[1] == units for part in split.outputs)
    if kernel is None or not has_gates or node.attribute("axis") != 1 or len(node.inputs) != len(split.outputs):
        return None
    return kernel, tuple(split.outputs.index(part) for part in node.inputs)
