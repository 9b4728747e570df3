"""The cells of SimpleRNN, GRU and LSTM."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from ...core.components import attr
from ...core.types import Dim, TensorType, require
from ...training.weights.constraints import Constraint
from ...training.weights.initializers import Initializer
from ...training.weights.regularizers import Regularizer
from ..activations import ActivationFunction, activate, activated_type
from ..base import Layer, layer, require_real
from .cell import Cell

if TYPE_CHECKING:
    import numpy as np

    from ...ir import Builder, Value


class RecurrentArguments(Layer):
    """The weight and dropout arguments common to all cells and the layers made of them."""

    activation: ActivationFunction | None = attr("tanh", doc="Activation function applied to the new state.")
    use_bias: bool = attr(True, doc="Whether to add a trainable bias.")
    kernel_initializer: Initializer = attr("glorot_uniform", doc="Initial value of the kernel, applied to the inputs.")
    recurrent_initializer: Initializer = attr(
        "orthogonal", doc="Initial value of the recurrent kernel, applied to the state."
    )
    bias_initializer: Initializer = attr("zeros", doc="Initial value of the bias.")
    kernel_regularizer: Regularizer | None = attr(None, doc="Penalty on the kernel.")
    recurrent_regularizer: Regularizer | None = attr(None, doc="Penalty on the recurrent kernel.")
    bias_regularizer: Regularizer | None = attr(None, doc="Penalty on the bias.")
    kernel_constraint: Constraint | None = attr(None, doc="Projection of the kernel after every update.")
    recurrent_constraint: Constraint | None = attr(None, doc="Projection of the recurrent kernel after every update.")
    bias_constraint: Constraint | None = attr(None, doc="Projection of the bias after every update.")
    dropout: float = attr(
        0.0,
        doc="Fraction of the input features to drop in training, with the same mask at every step.",
        minimum=0,
        below=1,
    )
    recurrent_dropout: float = attr(
        0.0, doc="Fraction of the state to drop in training, with the same mask at every step.", minimum=0, below=1
    )
    seed: int | None = attr(None, doc="Random seed of the dropout; null derives one from the model's seed.")


class GatedArguments(RecurrentArguments):
    """The arguments shared by a cell and its layer."""

    units: int = attr(doc="Size of the state and of the last axis of the output.", minimum=1)


class GRUArguments(Layer):
    """The arguments specific to GRU."""

    recurrent_activation: ActivationFunction | None = attr("sigmoid", doc="Activation function applied to the gates.")
    reset_after: bool = attr(
        True, doc="Whether to apply the reset gate after the recurrent product, which then has its own bias."
    )


class LSTMArguments(Layer):
    """The arguments specific to LSTM."""

    recurrent_activation: ActivationFunction | None = attr("sigmoid", doc="Activation function applied to the gates.")
    unit_forget_bias: bool = attr(True, doc="Whether to initialize the forget gate's bias with ones.")


class CellWeights(NamedTuple):
    kernel: Value
    recurrent_kernel: Value
    bias: Value | None


class LoopInvariants(NamedTuple):
    """A cell's weights, dropout masks and the parts of its recurrent kernel."""

    weights: CellWeights
    input_masks: list[Value]
    state_masks: list[Value]
    recurrent_parts: list[Value]


class GatedCell(Cell, GatedArguments):
    """Base class of cells whose gates are sums of an input product and a recurrent product."""

    gate_count: ClassVar[int]

    @property
    def resolved_bias_initializer(self) -> Initializer:
        raise NotImplementedError

    @property
    def bias_shape(self) -> tuple[int, ...]:
        raise NotImplementedError

    @property
    def gates_per_product(self) -> list[int]:
        """The number of gates per recurrent product, if all gates share one dropout mask."""
        raise NotImplementedError

    def state_types(self, x: TensorType) -> tuple[TensorType, ...]:
        require(x.rank == 2, f"needs an input [batch, features], got {x}")
        require_real(x)
        x.static_size(-1)
        state = TensorType(x.dtype, (x.shape[0], self.units))
        for name in ("activation", "recurrent_activation"):
            result = activated_type(state, getattr(self, name, None))
            require(result == state, f"needs an {name} that keeps the shape of {state}, but its result is {result}")
        return (state,) * len(self.state_names)

    def emit_weights(self, g: Builder, x: TensorType) -> CellWeights:
        """Emits the weights in Keras' shapes and order."""
        width = self.gate_count * self.units
        kernel = g.param(
            "kernel",
            (x.static_size(-1), width),
            self.kernel_initializer,
            self.kernel_regularizer,
            self.kernel_constraint,
        )
        arguments = self.recurrent_initializer, self.recurrent_regularizer, self.recurrent_constraint
        recurrent = g.param("recurrent_kernel", (self.units, width), *arguments)
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
    """`count` dropout masks for inputs and for states each; none in inference or without dropout."""

    def masks(name: str, rate: float, shape: Sequence[Dim]) -> list[Value]:
        if not g.training or not rate:
            return []
        keep = 1 - rate
        return [g.random(name, shape, "mask", keep=keep, scale=1 / keep, seed=cell.seed) for _ in range(count)]

    return masks("dropout", cell.dropout, input), masks("recurrent_dropout", cell.recurrent_dropout, state)


def split_axis(g: Builder, x: Value, sizes: Sequence[int], axis: int) -> list[Value]:
    return [x] if len(sizes) == 1 else list(g.Split(x, list(sizes), axis=axis, outputs=len(sizes)))


def masked_matmul(g: Builder, x: Value, parts: Sequence[Value], masks: Sequence[Value]) -> Value:
    """Multiplies x by the columns of all parts, with no mask, one mask, or one mask per part."""
    if len(masks) == 1:
        x = g.Mul(x, masks[0])
    if len(masks) <= 1:
        results = [g.MatMul(x, part) for part in parts]
    else:
        results = [g.MatMul(g.Mul(x, mask), part) for part, mask in zip(parts, masks, strict=True)]
    return results[0] if len(results) == 1 else g.Concat(*results, axis=-1)


@layer
class SimpleRNNCell(GatedCell):
    """One step of SimpleRNN.

    Used directly as a layer, it takes x [batch, features] and h [batch, units], and returns h twice: as output and
    state.
    """

    formula = """
        x, h = xs
        y = state_h = activation(x @ kernel + h @ recurrent_kernel + bias)
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
        recurrent = masked_matmul(g, states[0], invariants.recurrent_parts, invariants.state_masks)
        return [activate(g, g.Add(input_projection, recurrent), self.activation)]


@layer
class GRUCell(GatedCell, GRUArguments):
    """One step of GRU (Cho et al., 2014).

    Used directly as a layer, it takes x [batch, features] and h [batch, units], and returns h twice: as output and
    state.
    """

    formula = """
        x, h = xs
        bias, recurrent_bias = bias if reset_after and use_bias else (bias, 0)
        x_z, x_r, x_h = split(x @ kernel + bias, 3, axis=-1)
        h_z, h_r, h_h = split(h @ recurrent_kernel + recurrent_bias, 3, axis=-1)
        z, r = recurrent_activation(x_z + h_z), recurrent_activation(x_r + h_r)
        h_h = r * h_h if reset_after else (r * h) @ split(recurrent_kernel, 3, axis=-1)[2]
        y = state_h = z * h + (1 - z) * activation(x_h + h_h)
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
        """With `reset_after`, the recurrent product has its own bias: the second row."""
        width = self.gate_count * self.units
        return (2, width) if self.reset_after else (width,)

    def step(
        self, g: Builder, invariants: LoopInvariants, input_projection: Value, states: Sequence[Value]
    ) -> list[Value]:
        (h,) = states
        x_z, x_r, x_h = split_axis(g, input_projection, [self.units] * 3, axis=-1)
        if self.reset_after:
            recurrent = masked_matmul(g, h, invariants.recurrent_parts, invariants.state_masks)
            if invariants.weights.bias is not None:
                recurrent = g.Add(recurrent, g.Gather(invariants.weights.bias, 1, axis=0))
            h_z, h_r, h_h = split_axis(g, recurrent, [self.units] * 3, axis=-1)
            update, reset = (self.gate(g, x, y) for x, y in ((x_z, h_z), (x_r, h_r)))
            recurrent = g.Mul(reset, h_h)
        else:
            masks = invariants.state_masks
            recurrent = masked_matmul(g, h, invariants.recurrent_parts[:-1], masks[:-1] if len(masks) > 1 else masks)
            h_z, h_r = split_axis(g, recurrent, [self.units] * 2, axis=-1)
            update, reset = (self.gate(g, x, y) for x, y in ((x_z, h_z), (x_r, h_r)))
            recurrent = g.MatMul(g.Mul(reset, g.Mul(h, masks[-1]) if masks else h), invariants.recurrent_parts[-1])
        candidate = activate(g, g.Add(x_h, recurrent), self.activation)
        return [g.Add(g.Mul(update, h), g.Mul(g.Sub(1.0, update), candidate))]

    def gate(self, g: Builder, x: Value, y: Value) -> Value:
        return activate(g, g.Add(x, y), self.recurrent_activation)


class UnitForgetBias(Initializer):
    """Initializer of an LSTM's bias, with ones for the forget gate (Jozefowicz et al., 2015)."""

    type_name = "unit_forget_bias"

    others: Initializer = attr(doc="Initial value of the other gates' bias.")
    seed: int | None = attr(None, doc="Random seed.")

    def check(self, shape: Sequence[Dim]) -> None:
        self.others.check(shape)

    def sample(self, shape: tuple[int, ...], rng: np.random.Generator) -> Any:
        import numpy as np

        units = shape[0] // 4
        before, after = (np.broadcast_to(self.others.sample((n * units,), rng), n * units) for n in (1, 2))
        return np.concatenate([before, np.ones(units), after])


def lstm_bias_initializer(start: Initializer, *, ones: bool) -> Initializer:
    """The initializer of an LSTM's bias, optionally with ones for the forget gate."""
    return UnitForgetBias(others=start, seed=getattr(start, "seed", None)) if ones else start


def lstm_states(g: Builder, cell: Any, gates: Sequence[Value], c: Value) -> list[Value]:
    """Emits an LSTM's states h and c, from its gates i, f, c and o before their activations."""
    i, f, candidate, o = gates
    i, f, o = (activate(g, gate, cell.recurrent_activation) for gate in (i, f, o))
    c = g.Add(g.Mul(f, c), g.Mul(i, activate(g, candidate, cell.activation)))
    return [g.Mul(o, activate(g, c, cell.activation)), c]


@layer
class LSTMCell(GatedCell, LSTMArguments):
    """One step of LSTM (Hochreiter and Schmidhuber, 1997).

    Used directly as a layer, it takes x [batch, features], h and c [batch, units], and returns its output, h and c.
    """

    formula = """
        x, h, c = xs
        i, f, g, o = split(x @ kernel + h @ recurrent_kernel + bias, 4, axis=-1)
        state_c = recurrent_activation(f) * c + recurrent_activation(i) * activation(g)
        y = state_h = recurrent_activation(o) * activation(state_c)
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
