"""The cells of SimpleRNN, GRU and LSTM."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from ...core.components import attr
from ...core.types import Dim, TensorType, require
from ...training.constraints import Constraint
from ...training.initializers import Initializer
from ...training.regularizers import Regularizer
from ..activations import ActivationFunction, activate, activated_type
from ..base import Layer, layer, require_real
from .cell import Cell

if TYPE_CHECKING:
    import numpy as np

    from ...ir import Builder, Value


class RecurrentArguments(Layer):
    """The arguments of all cells, and of the layers made of them, about weights and dropout."""

    activation: ActivationFunction | None = attr("tanh", doc="Function applied to the new state.")
    use_bias: bool = attr(True, doc="Whether to add a learned bias.")
    kernel_initializer: Initializer = attr("glorot_uniform", doc="Initial value of the kernel, which meets the inputs.")
    recurrent_initializer: Initializer = attr(
        "orthogonal", doc="Initial value of the recurrent kernel, which meets the state."
    )
    bias_initializer: Initializer = attr("zeros", doc="Initial value of the bias.")
    kernel_regularizer: Regularizer | None = attr(None, doc="Penalty on the kernel.")
    recurrent_regularizer: Regularizer | None = attr(None, doc="Penalty on the recurrent kernel.")
    bias_regularizer: Regularizer | None = attr(None, doc="Penalty on the bias.")
    kernel_constraint: Constraint | None = attr(None, doc="Projection of the kernel after every update.")
    recurrent_constraint: Constraint | None = attr(None, doc="Projection of the recurrent kernel after every update.")
    bias_constraint: Constraint | None = attr(None, doc="Projection of the bias after every update.")
    dropout: float = attr(
        0.0, doc="Fraction of the features dropped in training, the same ones at every step.", minimum=0, below=1
    )
    recurrent_dropout: float = attr(
        0.0, doc="Fraction of the state dropped in training, the same one at every step.", minimum=0, below=1
    )
    seed: int | None = attr(None, doc="Seed of the dropout, in place of one derived from the model's seed.")


class GatedArguments(RecurrentArguments):
    """The arguments that a cell and the layer made of it share."""

    units: int = attr(doc="Size of the state, which is the last axis of the output.", minimum=1)


class GRUArguments(Layer):
    """What only a GRU has."""

    recurrent_activation: ActivationFunction | None = attr("sigmoid", doc="Function applied to the gates.")
    reset_after: bool = attr(
        True, doc="Whether the reset gate acts after the product with the state, which then has a bias of its own."
    )


class LSTMArguments(Layer):
    """What only an LSTM has."""

    recurrent_activation: ActivationFunction | None = attr("sigmoid", doc="Function applied to the gates.")
    unit_forget_bias: bool = attr(True, doc="Whether the forget gate's bias begins with ones.")


class CellWeights(NamedTuple):
    kernel: Value
    recurrent_kernel: Value
    bias: Value | None


class LoopInvariants(NamedTuple):
    """Of a cell in a loop: its weights, the masks of input and state, and the parts of the recurrent kernel."""

    weights: CellWeights
    input_masks: list[Value]
    state_masks: list[Value]
    recurrent_parts: list[Value]


class GatedCell(Cell, GatedArguments):
    """Base of the cells whose gates are sums of two products: of the input and of the state."""

    gate_count: ClassVar[int]

    @property
    def resolved_bias_initializer(self) -> Initializer:
        raise NotImplementedError

    @property
    def bias_shape(self) -> tuple[int, ...]:
        raise NotImplementedError

    @property
    def gates_per_product(self) -> list[int]:
        """How many gates each product with the state makes, where all meet it under the same mask."""
        raise NotImplementedError

    def state_types(self, x: TensorType) -> tuple[TensorType, ...]:
        require(x.rank == 2, f"needs an input [batch, features], got {x}")
        require_real(x)
        x.static_size(-1)
        state = TensorType(x.dtype, (x.shape[0], self.units))
        for name in ("activation", "recurrent_activation"):
            made = activated_type(state, getattr(self, name, None))
            require(made == state, f"has {state} become {made} by its {name}, and needs the same size")
        return (state,) * len(self.state_names)

    def emit_weights(self, g: Builder, x: TensorType) -> CellWeights:
        """The weights in Keras' shapes and order."""
        width = self.gate_count * self.units
        kernel = g.param(
            "kernel",
            (x.static_size(-1), width),
            self.kernel_initializer,
            self.kernel_regularizer,
            self.kernel_constraint,
        )
        own = self.recurrent_initializer, self.recurrent_regularizer, self.recurrent_constraint
        recurrent = g.param("recurrent_kernel", (self.units, width), *own)
        bias: Value | None = None
        if self.use_bias:
            bias = g.param(
                "bias", self.bias_shape, self.resolved_bias_initializer, self.bias_regularizer, self.bias_constraint
            )
        return CellWeights(kernel, recurrent, bias)

    def emit_loop_invariants(self, g: Builder, x: TensorType) -> LoopInvariants:
        weights = self.emit_weights(g, x)
        count = self.gate_count if self.recurrent_dropout else 1
        inputs, states = dropout_masks(g, self, count, x.shape, (x.shape[0], self.units))
        sizes = [1] * self.gate_count if len(states) > 1 else self.gates_per_product
        return LoopInvariants(
            weights, inputs, states, split_axis(g, weights.recurrent_kernel, [n * self.units for n in sizes], axis=1)
        )

    def project_inputs(self, g: Builder, invariants: LoopInvariants, x: Value) -> Value:
        kernel, _, bias = invariants.weights
        kernels = [kernel]
        if len(invariants.input_masks) > 1:
            kernels = split_axis(g, kernel, [self.units] * self.gate_count, axis=1)
        y = masked_matmul(g, x, kernels, invariants.input_masks)
        if bias is None:
            return y
        return g.Add(y, bias if bias.rank == 1 else g.Gather(bias, 0, axis=0))


def dropout_masks(
    g: Builder, cell: Any, count: int, input: Sequence[Dim], state: Sequence[Dim]
) -> tuple[list[Value], list[Value]]:
    """The masks of inputs and of states: in training, and where there is dropout, `count` of each, or else none."""

    def masks(name: str, rate: float, shape: Sequence[Dim]) -> list[Value]:
        if not g.training or not rate:
            return []
        kept = 1 - rate
        return [g.random(name, shape, "mask", keep=kept, scale=1 / kept, seed=cell.seed) for _ in range(count)]

    return masks("dropout", cell.dropout, input), masks("recurrent_dropout", cell.recurrent_dropout, state)


def split_axis(g: Builder, x: Value, sizes: Sequence[int], axis: int) -> list[Value]:
    return [x] if len(sizes) == 1 else list(g.Split(x, list(sizes), axis=axis, outputs=len(sizes)))


def masked_matmul(g: Builder, x: Value, parts: Sequence[Value], masks: Sequence[Value]) -> Value:
    """x times the columns of all parts: without a mask, under one mask, or under one for each part."""
    if len(masks) == 1:
        x = g.Mul(x, masks[0])
    if len(masks) <= 1:
        results = [g.MatMul(x, part) for part in parts]
    else:
        results = [g.MatMul(g.Mul(x, mask), part) for part, mask in zip(parts, masks, strict=True)]
    return results[0] if len(results) == 1 else g.Concat(*results, axis=-1)


@layer
class SimpleRNNCell(GatedCell):
    """One step of SimpleRNN: `h = activation(x @ kernel + h @ recurrent_kernel + bias)`.

    As a layer by itself it takes x [batch, features] and h [batch, units], and gives h twice: as output and as state.
    """

    arity = (2, 2)
    state_names = ("state_h",)
    output_index = 0
    gate_count = 1
    gates_per_product = [1]

    @property
    def resolved_bias_initializer(self) -> Initializer:
        return self.bias_initializer

    @property
    def bias_shape(self) -> tuple[int, ...]:
        return (self.units,)

    def step(
        self, g: Builder, invariants: LoopInvariants, input_projection: Value, states: Sequence[Value]
    ) -> list[Value]:
        moved = masked_matmul(g, states[0], invariants.recurrent_parts, invariants.state_masks)
        return [activate(g, g.Add(input_projection, moved), self.activation)]


@layer
class GRUCell(GatedCell, GRUArguments):
    """One step of GRU (Cho et al., 2014).

    As a layer by itself it takes x [batch, features] and h [batch, units], and gives h twice: as output and as state.
    """

    arity = (2, 2)
    state_names = ("state_h",)
    output_index = 0
    gate_count = 3

    @property
    def gates_per_product(self) -> list[int]:
        return [3] if self.reset_after else [2, 1]

    @property
    def resolved_bias_initializer(self) -> Initializer:
        return self.bias_initializer

    @property
    def bias_shape(self) -> tuple[int, ...]:
        """Where the reset gate acts after the product with the state, that has a bias of its own, the second row."""
        width = self.gate_count * self.units
        return (2, width) if self.reset_after else (width,)

    def step(
        self, g: Builder, invariants: LoopInvariants, input_projection: Value, states: Sequence[Value]
    ) -> list[Value]:
        (h,) = states
        x_z, x_r, x_new = split_axis(g, input_projection, [self.units] * 3, axis=-1)
        if self.reset_after:
            moved = masked_matmul(g, h, invariants.recurrent_parts, invariants.state_masks)
            if invariants.weights.bias is not None:
                moved = g.Add(moved, g.Gather(invariants.weights.bias, 1, axis=0))
            h_z, h_r, h_new = split_axis(g, moved, [self.units] * 3, axis=-1)
            update, reset = (self.gate(g, x, y) for x, y in ((x_z, h_z), (x_r, h_r)))
            seen = g.Mul(reset, h_new)
        else:
            masks = invariants.state_masks
            moved = masked_matmul(g, h, invariants.recurrent_parts[:-1], masks[:-1] if len(masks) > 1 else masks)
            h_z, h_r = split_axis(g, moved, [self.units] * 2, axis=-1)
            update, reset = (self.gate(g, x, y) for x, y in ((x_z, h_z), (x_r, h_r)))
            seen = g.MatMul(g.Mul(reset, g.Mul(h, masks[-1]) if masks else h), invariants.recurrent_parts[-1])
        new = activate(g, g.Add(x_new, seen), self.activation)
        return [g.Add(g.Mul(update, h), g.Mul(g.Sub(1.0, update), new))]

    def gate(self, g: Builder, x: Value, y: Value) -> Value:
        return activate(g, g.Add(x, y), self.recurrent_activation)


class UnitForgetBias(Initializer):
    """The bias of an LSTM, with ones for the forget gate (Jozefowicz et al., 2015)."""

    type_name = "unit_forget_bias"

    others: Initializer = attr(doc="Initial value of the other gates' bias.")
    seed: int | None = attr(None, doc="Seed of its own.")

    def check(self, shape: Sequence[Dim]) -> None:
        self.others.check(shape)

    def sample(self, shape: tuple[int, ...], rng: np.random.Generator) -> Any:
        import numpy as np

        units = shape[0] // 4
        before, after = (np.broadcast_to(self.others.sample((n * units,), rng), n * units) for n in (1, 2))
        return np.concatenate([before, np.ones(units), after])


def lstm_bias_initializer(start: Initializer, *, ones: bool) -> Initializer:
    """The first bias of an LSTM, with or without ones for the forget gate."""
    return UnitForgetBias(others=start, seed=getattr(start, "seed", None)) if ones else start


def lstm_states(g: Builder, cell: Any, gates: Sequence[Value], c: Value) -> list[Value]:
    """The states h and c of an LSTM from its gates i, f, c and o before their activations."""
    i, f, new, o = gates
    i, f, o = (activate(g, gate, cell.recurrent_activation) for gate in (i, f, o))
    c = g.Add(g.Mul(f, c), g.Mul(i, activate(g, new, cell.activation)))
    return [g.Mul(o, activate(g, c, cell.activation)), c]


@layer
class LSTMCell(GatedCell, LSTMArguments):
    """One step of LSTM (Hochreiter and Schmidhuber, 1997).

    As a layer by itself it takes x [batch, features], h and c [batch, units], and gives its output, h and c.
    """

    arity = (3, 3)
    state_names = ("state_h", "state_c")
    output_index = 0
    gate_count = 4
    gates_per_product = [4]

    @property
    def resolved_bias_initializer(self) -> Initializer:
        return lstm_bias_initializer(self.bias_initializer, ones=self.unit_forget_bias)

    @property
    def bias_shape(self) -> tuple[int, ...]:
        return (self.gate_count * self.units,)

    def step(
        self, g: Builder, invariants: LoopInvariants, input_projection: Value, states: Sequence[Value]
    ) -> list[Value]:
        h, c = states
        gates = g.Add(input_projection, masked_matmul(g, h, invariants.recurrent_parts, invariants.state_masks))
        return lstm_states(g, self, split_axis(g, gates, [self.units] * 4, axis=-1), c)
