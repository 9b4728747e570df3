"""SimpleRNN, GRU and LSTM: ONNX' fused operators if they compute the same, otherwise a loop over the cell."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from ...core.components import ScalarCodec, UnionCodec, attr, snake_case
from ..activations import ActivationFunction
from ..base import inner_layer_scope, layer
from .cell import Cell
from .rnn import OutputAndStates, Recurrent, loop_cell
from .rnn_cells import (
    GatedArguments,
    GatedCell,
    GRUArguments,
    GRUCell,
    LSTMArguments,
    LSTMCell,
    SimpleRNNCell,
    dropout_masks,
)

if TYPE_CHECKING:
    from ...ir import Builder, Value

CUDNN = "Performance hint without effect: the runtime chooses its kernels."

AutoOrBool = Annotated[
    bool | str,
    UnionCodec(
        (lambda value: isinstance(value, bool), ScalarCodec(type="boolean")),
        (lambda value: True, ScalarCodec(type="string", enum=["auto"])),
    ),
]

OnnxActivation = tuple[str, float | None, float | None]
"""An activation function in ONNX' recurrent operators: name, alpha, beta."""


def _onnx_relu(relu: Any) -> OnnxActivation | None:
    if relu.max_value is not None or relu.threshold:
        return None
    return _if_monotonic("LeakyRelu", relu.negative_slope) if relu.negative_slope else ("Relu", None, None)


def _if_monotonic(name: str, alpha: float) -> OnnxActivation | None:
    """The activation if it is monotonic: its gradient is computed from its result, which must be invertible."""
    return (name, alpha, None) if alpha >= 0 else None


ONNX_ACTIVATIONS: dict[str, Callable[[Any], OnnxActivation | None]] = {
    "linear": lambda _: ("Affine", 1.0, 0.0),
    "relu": _onnx_relu,
    "leaky_relu": lambda leaky: _if_monotonic("LeakyRelu", leaky.negative_slope),
    "elu": lambda elu: _if_monotonic("Elu", elu.alpha),
    "sigmoid": lambda _: ("Sigmoid", None, None),
    "hard_sigmoid": lambda hard: ("HardSigmoid", hard.slope, 0.5),
    "tanh": lambda _: ("Tanh", None, None),
    "softsign": lambda _: ("Softsign", None, None),
}
"""The activations usable in ONNX' operators. Softplus is excluded: onnxruntime's overflows from 89 on."""


def onnx_activation(activation: ActivationFunction | None) -> OnnxActivation | None:
    """An activation in the operators' terms, or None if they do not have it."""
    return ONNX_ACTIVATIONS.get(activation.type_name if activation else "linear", lambda _: None)(activation)


def activation_attributes(default: Sequence[str], *activations: ActivationFunction | None) -> dict[str, Any]:
    """The operator's attributes for these activations; none if they are its defaults."""
    functions = [function for function in map(onnx_activation, activations) if function is not None]
    if [name for name, _, _ in functions] == list(default):
        return {}
    return {
        "activations": [name for name, _, _ in functions],
        "activation_alpha": [alpha for _, alpha, _ in functions if alpha is not None] or None,
        "activation_beta": [beta for _, _, beta in functions if beta is not None] or None,
    }


class FusedRNN(Recurrent, GatedArguments):
    """Base class of layers that run one type of cell over a sequence and share the cell's arguments."""

    family = "recurrent"
    cell_type: ClassVar[type[GatedCell]]
    gate_order: ClassVar[tuple[int, ...]]
    """For each gate in ONNX' order, its index in Keras' order."""

    def emit_operator(
        self, g: Builder, x: Value, w: Value, r: Value, bias: Value | None, initial: Sequence[Value]
    ) -> tuple[Value, ...]:
        """Emits the operator for time-major inputs, initial states [1, batch, units] and weights in ONNX' layout."""
        raise NotImplementedError

    @property
    def rnn_cell(self) -> Cell:
        arguments = {name: getattr(self, name) for name in self.cell_type.attributes if name != "activity_regularizer"}
        return self.cell_type(**arguments)

    def is_fused(self, *, training: bool) -> bool:
        """Whether the operator computes this layer, if there is no mask."""
        functions = (getattr(self, name, None) for name in ("activation", "recurrent_activation"))
        return all(map(onnx_activation, functions)) and not (training and self.recurrent_dropout)

    def run_time_major(self, g: Builder, x: Value, states: Sequence[Value], mask: Value | None) -> OutputAndStates:
        cell = self.rnn_cell
        assert isinstance(cell, GatedCell)
        with inner_layer_scope(g, snake_case(cell.type_name), cell):
            if mask is not None or not self.is_fused(training=g.training):
                return loop_cell(g, self, cell, x, states, mask)
            kernel, recurrent, bias = cell.emit_weights(g, x.type)
            for input_mask in dropout_masks(g, cell, 1, x.shape[1:], ())[0]:
                x = g.Mul(x, input_mask)
            w, r = (self.onnx_weight_layout(g, weight) for weight in (kernel, recurrent))
            biases = None if bias is None else self.onnx_biases(g, bias)
            sequence, *last = self.emit_operator(g, x, w, r, biases, [g.Unsqueeze(state, [0]) for state in states])
            last = [g.Squeeze(state, [0]) for state in last]
            return g.Squeeze(sequence, [1]) if self.return_sequences else last[0], last

    def operator_attributes(self) -> dict[str, Any]:
        """The attributes common to all three operators."""
        return {"hidden_size": self.units, "direction": "reverse" if self.go_backwards else "forward"}

    def onnx_weight_layout(self, g: Builder, weight: Value) -> Value:
        """Converts a kernel [size, gates * units] to ONNX' layout [1, gates * units, size], gates in ONNX' order."""
        return g.Unsqueeze(self.onnx_gate_order(g, g.transpose(weight, (1, 0))), [0])

    def onnx_biases(self, g: Builder, bias: Value) -> Value:
        """Converts the bias to ONNX' layout [1, 2 * gates * units]: input biases, then recurrent ones."""
        if bias.rank == 2:
            return g.reshape(bias, (1, 2 * bias.shape[1]))
        return g.Unsqueeze(
            g.Concat(self.onnx_gate_order(g, bias), g.const([0.0] * bias.shape[0], bias.dtype), axis=0), [0]
        )

    def onnx_gate_order(self, g: Builder, gates: Value) -> Value:
        """Reorders the gates along the first axis from Keras' order to ONNX'."""
        if self.gate_order == tuple(range(len(self.gate_order))):
            return gates
        parts = g.Split(gates, [self.units] * len(self.gate_order), axis=0, outputs=len(self.gate_order))
        return g.Concat(*(parts[index] for index in self.gate_order), axis=0)


def drop_trailing_none(*operands: Value | None) -> list[Value | None]:
    """Drops None operands at the end."""
    present = list(operands)
    while present and present[-1] is None:
        present.pop()
    return present


@layer
class SimpleRNN(FusedRNN):
    """Fully connected recurrent layer.

    An optional second input [batch, units] is the initial state, zeros by default. A last input [batch, time] of bool
    is a mask that replaces the sequence's own.
    """

    formula = """
        h, results = xs[1] if len(xs) > 1 else zeros((len(x), units)), []
        for step in swapaxes(x[:, ::-1] if go_backwards else x, 0, 1):
            h = activation(step @ kernel + h @ recurrent_kernel + bias)
            results.append(h)
        y, state_h = stack(results, axis=1) if return_sequences else h, h
    """
    arity = (1, 3)
    cell_type = SimpleRNNCell
    gate_order = (0,)

    def emit_operator(
        self, g: Builder, x: Value, w: Value, r: Value, bias: Value | None, initial: Sequence[Value]
    ) -> tuple[Value, ...]:
        functions = activation_attributes(["Tanh"], self.activation)
        return g.RNN(
            x, w, r, *drop_trailing_none(bias, None, *initial), outputs=2, **self.operator_attributes(), **functions
        )


@layer
class GRU(FusedRNN, GRUArguments):
    """Gated recurrent unit (Cho et al., 2014): an update and a reset gate decide what is kept of the state.

    An optional second input [batch, units] is the initial state, zeros by default. A last input [batch, time] of bool
    is a mask that replaces the sequence's own.
    """

    formula = """
        h, results = xs[1] if len(xs) > 1 else zeros((len(x), units)), []
        bias, recurrent_bias = bias if reset_after and use_bias else (bias, 0)
        for step in swapaxes(x[:, ::-1] if go_backwards else x, 0, 1):
            x_z, x_r, x_h = split(step @ kernel + bias, 3, axis=-1)
            h_z, h_r, h_h = split(h @ recurrent_kernel + recurrent_bias, 3, axis=-1)
            z, r = recurrent_activation(x_z + h_z), recurrent_activation(x_r + h_r)
            h_h = r * h_h if reset_after else (r * h) @ split(recurrent_kernel, 3, axis=-1)[2]
            h = z * h + (1 - z) * activation(x_h + h_h)
            results.append(h)
        y, state_h = stack(results, axis=1) if return_sequences else h, h
    """
    arity = (1, 3)
    cell_type = GRUCell
    gate_order = (0, 1, 2)

    use_cudnn: AutoOrBool = attr("auto", doc=CUDNN)

    def emit_operator(
        self, g: Builder, x: Value, w: Value, r: Value, bias: Value | None, initial: Sequence[Value]
    ) -> tuple[Value, ...]:
        functions = activation_attributes(["Sigmoid", "Tanh"], self.recurrent_activation, self.activation)
        attributes = self.operator_attributes() | functions | {"linear_before_reset": int(self.reset_after)}
        return g.GRU(x, w, r, *drop_trailing_none(bias, None, *initial), outputs=2, **attributes)


@layer
class LSTM(FusedRNN, LSTMArguments):
    """Long short-term memory (Hochreiter and Schmidhuber, 1997): gates decide what the state c keeps, takes and shows.

    Two optional further inputs [batch, units] are the initial states h and c, zeros by default. A last input [batch,
    time] of bool is a mask that replaces the sequence's own.
    """

    formula = """
        h, c = xs[1:] if len(xs) > 1 else (zeros((len(x), units)), zeros((len(x), units)))
        results = []
        for step in swapaxes(x[:, ::-1] if go_backwards else x, 0, 1):
            i, f, g, o = split(step @ kernel + h @ recurrent_kernel + bias, 4, axis=-1)
            c = recurrent_activation(f) * c + recurrent_activation(i) * activation(g)
            h = recurrent_activation(o) * activation(c)
            results.append(h)
        y, state_h, state_c = stack(results, axis=1) if return_sequences else h, h, c
    """
    arity = (1, 4)
    cell_type = LSTMCell
    gate_order = (0, 3, 1, 2)  # Keras' order is i, f, c, o; ONNX' is i, o, f, c

    use_cudnn: AutoOrBool = attr("auto", doc=CUDNN)

    def emit_operator(
        self, g: Builder, x: Value, w: Value, r: Value, bias: Value | None, initial: Sequence[Value]
    ) -> tuple[Value, ...]:
        cell_activations = self.activation, self.activation
        functions = activation_attributes(["Sigmoid", "Tanh", "Tanh"], self.recurrent_activation, *cell_activations)
        return g.LSTM(
            x, w, r, *drop_trailing_none(bias, None, *initial), outputs=3, **self.operator_attributes(), **functions
        )
