"""Recurrent layers: SimpleRNN, GRU, LSTM, and Bidirectional around one of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from ..bricks import OneOf, Plain, attr, snake_case
from ..training.constraints import Constraint
from ..training.initializers import Initializer
from ..training.regularizers import Regularizer
from ..types import Dim, ShapeError, TensorType, require
from .activations import Activation_
from .base import Layer, Types, layer

if TYPE_CHECKING:
    import numpy as np

    from ..graph import Builder, Value

NO_DROPOUT = "A mask on the state of every step does not fit ONNX' recurrent operators."
STATEFUL = "A state kept from batch to batch is not supported: pass the last state as a further input instead."
UNROLL = "A hint that does not change results, accepted and not needed: the compiler decides how steps are run."
CUDNN = "A hint that does not change results, accepted and not needed: the runtime chooses its kernels."

AutoOrBool = Annotated[
    bool | str,
    OneOf(
        (lambda value: isinstance(value, bool), Plain(type="boolean")),
        (lambda value: True, Plain(type="string", enum=["auto"])),
    ),
]

Function = tuple[str, float | None, float | None]
"""An activation function as ONNX' recurrent operators write it: name, alpha, beta."""


def _relu(relu: Any) -> Function | None:
    if relu.max_value is not None or relu.threshold:
        return None
    return ("LeakyRelu", relu.negative_slope, None) if relu.negative_slope else ("Relu", None, None)


NATIVE: dict[str, Callable[[Any], Function | None]] = {
    "linear": lambda _: ("Affine", 1.0, 0.0),
    "relu": _relu,
    "leaky_relu": lambda leaky: ("LeakyRelu", leaky.negative_slope, None),
    "elu": lambda elu: ("Elu", elu.alpha, None),
    "sigmoid": lambda _: ("Sigmoid", None, None),
    "hard_sigmoid": lambda _: ("HardSigmoid", 1 / 6, 0.5),
    "tanh": lambda _: ("Tanh", None, None),
    "softsign": lambda _: ("Softsign", None, None),
    "softplus": lambda _: ("Softplus", None, None),
}
"""The activation functions that the operators compute inside their loop."""


def native(activation: Activation_ | None) -> Function | None:
    """The activation as the operators write it; None where they cannot."""
    return NATIVE.get(activation.type_name if activation else "linear", lambda _: None)(activation)


def function_attributes(default: Sequence[str], *activations: Activation_ | None) -> dict[str, Any]:
    """The operator's attributes for these activations, none at all where they are its default."""
    found = [function for function in map(native, activations) if function is not None]
    if [name for name, _, _ in found] == list(default):
        return {}
    return {
        "activations": [name for name, _, _ in found],
        "activation_alpha": [alpha for _, alpha, _ in found if alpha is not None] or None,
        "activation_beta": [beta for _, _, beta in found if beta is not None] or None,
    }


class Recurrent(Layer):
    """A layer that carries a state from step to step of a sequence [batch, time, features]."""

    cell: ClassVar[str]
    """Keras' name of the cell, which owns the weights."""
    order: ClassVar[tuple[int, ...]]
    """Where Keras keeps the gates of the operator, first to last."""
    state_names: ClassVar[tuple[str, ...]] = ("state_h",)

    units: int = attr(doc="Size of the state, which is the last axis of the output.", minimum=1)
    activation: Activation_ | None = attr("tanh", doc="Function applied to the new state.")
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
    recurrent_dropout: float = attr(0.0, doc="Fraction of the state dropped in training.", unsupported=NO_DROPOUT)
    seed: int | None = attr(None, doc="Seed of the dropout, in place of one derived from the model's seed.")
    return_sequences: bool = attr(False, doc="Whether to output the state of every step, not of the last one only.")
    return_state: bool = attr(False, doc="Whether to output the last state as well.")
    go_backwards: bool = attr(False, doc="Whether to go from the last step to the first, and to output in that order.")
    stateful: bool = attr(False, doc="Whether the last state starts the next batch.", unsupported=STATEFUL)
    unroll: bool = attr(False, doc=UNROLL)

    def recur(self, g: Builder, x: Value, w: Value, r: Value, initial: Sequence[Value]) -> tuple[Value, ...]:
        """The operator's outputs for time-major inputs, initial states [1, batch, units] and weights in its layout."""
        raise NotImplementedError

    def output_names(self) -> tuple[str, ...]:
        return self.state_names if self.return_state else ()

    def infer(self, x: TensorType, *states: TensorType) -> Types:
        check_sequence(x)
        self.check_activations()
        count, state = len(self.state_names), TensorType(x.dtype, (x.shape[0], self.units))
        names = ", ".join(self.state_names)
        require(len(states) in (0, count), f"needs all its initial states ({names}) or none, got {len(states)}")
        for name, given in zip(self.state_names, states, strict=False):
            require(given == state, f"needs {state} as its initial {name}, got {given}")
        y = TensorType(x.dtype, (*x.shape[:2], self.units)) if self.return_sequences else state
        return (y, *[state] * count) if self.return_state else y

    def check_activations(self) -> None:
        for name in ("activation", "recurrent_activation"):
            function: Any = getattr(self, name, None)
            if native(function) is None:
                plain = f"cannot use {function.type_name} as its {name}: a recurrence can have {', '.join(NATIVE)}"
                bounded = f"cannot bound the relu that is its {name}: a recurrence has no max_value or threshold"
                raise ShapeError(bounded if function.type_name in NATIVE else plain, code="unsupported-argument")

    def lower(self, g: Builder, x: Value, *states: Value) -> Any:
        sequence, *last = self.run(g, g.transpose(x, (1, 0, 2)), states)
        y = batch_major(g, sequence, flip=self.go_backwards) if self.return_sequences else last[0]
        return (y, *last) if self.return_state else y

    def run(self, g: Builder, x: Value, states: Sequence[Value]) -> list[Value]:
        """The states [time, batch, units] in the order of the inputs [time, batch, features], and the last states."""
        with g.at(self.cell):
            if g.training and self.dropout:
                kept = 1 - self.dropout
                mask = g.random("dropout", x.shape[1:], "mask", keep=kept, scale=1 / kept, seed=self.seed)
                x = g.Mul(x, mask)
            w = self.weight(g, "kernel", x.shape[-1])
            r = self.weight(g, "recurrent_kernel", self.units)
            sequence, *last = self.recur(g, x, w, r, [g.Unsqueeze(state, [0]) for state in states])
            return [g.Squeeze(sequence, [1]), *(g.Squeeze(state, [0]) for state in last)]

    def shared(self) -> dict[str, Any]:
        """The attributes that all three operators have."""
        return {"hidden_size": self.units, "direction": "reverse" if self.go_backwards else "forward"}

    def weight(self, g: Builder, name: str, size: int) -> Value:
        """A kernel [size, gates * units] as the operator wants it: [1, gates * units, size], gates in its order."""
        kind = name.removesuffix("_kernel")
        kinds = [getattr(self, f"{kind}_{part}") for part in ("initializer", "regularizer", "constraint")]
        kernel = g.param(name, (size, len(self.order) * self.units), *kinds)
        return g.Unsqueeze(self.in_order(g, g.transpose(kernel, (1, 0))), [0])

    def bias(self, g: Builder, initializer: Initializer) -> Value | None:
        """The bias [gates * units] as the operator wants it: [1, 2 * gates * units], the second half zero."""
        if not self.use_bias:
            return None
        size = len(self.order) * self.units
        bias = g.param("bias", (size,), initializer, self.bias_regularizer, self.bias_constraint)
        return g.Unsqueeze(g.Concat(self.in_order(g, bias), g.const([0.0] * size), axis=0), [0])

    def in_order(self, g: Builder, gates: Value) -> Value:
        """The gates along the first axis, from Keras' order to the operator's."""
        if self.order == tuple(range(len(self.order))):
            return gates
        parts = g.Split(gates, [self.units] * len(self.order), axis=0, outputs=len(self.order))
        return g.Concat(*(parts[place] for place in self.order), axis=0)


def check_sequence(x: TensorType) -> None:
    require(x.rank == 3, f"needs a sequence [batch, time, features], got {x}")
    require(x.dtype.startswith("float"), f"needs real numbers, got {x}")
    require(x.shape[1] != 0, f"needs at least one step, got {x}")
    x.fixed(-1)


def batch_major(g: Builder, sequence: Value, *, flip: bool) -> Value:
    """A sequence [time, batch, units] as [batch, time, units], from its last step to its first where flipped."""
    ordered = g.Slice(sequence, [-1], [-(2**63)], [0], [-1]) if flip else sequence
    return g.transpose(g.refine(ordered, sequence.shape), (1, 0, 2))


def trimmed(*operands: Value | None) -> list[Value | None]:
    """Without the absent operands at the end."""
    kept = list(operands)
    while kept and kept[-1] is None:
        kept.pop()
    return kept


@layer
class SimpleRNN(Recurrent):
    """Fully connected recurrent layer: `h = activation(x @ kernel + h @ recurrent_kernel + bias)`.

    A second input, [batch, units], is the state to start from, in place of zeros.
    """

    arity = (1, 2)
    cell = "simple_rnn_cell"
    order = (0,)

    def recur(self, g: Builder, x: Value, w: Value, r: Value, initial: Sequence[Value]) -> tuple[Value, ...]:
        optional = trimmed(self.bias(g, self.bias_initializer), None, *initial)
        functions = function_attributes(["Tanh"], self.activation)
        return g.RNN(x, w, r, *optional, outputs=2, **self.shared(), **functions)


@layer
class GRU(Recurrent):
    """Gated recurrent unit (Cho et al., 2014).

    With the gates z (update) and r (reset) of the inputs and the state: `h = z * h + (1 - z) * new`, where
    `new = activation(x @ kernel + r * (h @ recurrent_kernel))`, or `(r * h) @ recurrent_kernel` where `reset_after` is
    false. A second input, [batch, units], is the state to start from, in place of zeros.
    """

    arity = (1, 2)
    cell = "gru_cell"
    order = (0, 1, 2)

    recurrent_activation: Activation_ | None = attr("sigmoid", doc="Function applied to the gates.")
    reset_after: bool = attr(
        True, doc="Whether the reset gate acts after the product with the state, which then has a bias of its own."
    )
    use_cudnn: AutoOrBool = attr("auto", doc=CUDNN)

    def recur(self, g: Builder, x: Value, w: Value, r: Value, initial: Sequence[Value]) -> tuple[Value, ...]:
        bias = self.two_biases(g) if self.reset_after and self.use_bias else self.bias(g, self.bias_initializer)
        functions = function_attributes(["Sigmoid", "Tanh"], self.recurrent_activation, self.activation)
        attributes = self.shared() | functions | {"linear_before_reset": int(self.reset_after)}
        return g.GRU(x, w, r, *trimmed(bias, None, *initial), outputs=2, **attributes)

    def two_biases(self, g: Builder) -> Value:
        """The biases of the inputs and of the state, both of all gates."""
        shape = (2, len(self.order) * self.units)
        bias = g.param("bias", shape, self.bias_initializer, self.bias_regularizer, self.bias_constraint)
        return g.reshape(bias, (1, 2 * shape[1]))


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


@layer
class LSTM(Recurrent):
    """Long short-term memory (Hochreiter and Schmidhuber, 1997).

    With the gates i, f and o of the inputs and the state h: `c = f * c + i * activation(x @ kernel + h @
    recurrent_kernel + bias)` and `h = o * activation(c)`. Two more inputs, [batch, units], are the states h and c to
    start from, in place of zeros.
    """

    arity = (1, 3)
    cell = "lstm_cell"
    order = (0, 3, 1, 2)  # Keras keeps i, f, c, o; ONNX i, o, f, c
    state_names = ("state_h", "state_c")

    recurrent_activation: Activation_ | None = attr("sigmoid", doc="Function applied to the gates.")
    unit_forget_bias: bool = attr(True, doc="Whether the forget gate's bias begins with ones.")
    use_cudnn: AutoOrBool = attr("auto", doc=CUDNN)

    def recur(self, g: Builder, x: Value, w: Value, r: Value, initial: Sequence[Value]) -> tuple[Value, ...]:
        start = self.bias_initializer
        if self.unit_forget_bias:
            start = UnitForgetBias(others=start, seed=getattr(start, "seed", None))
        optional = trimmed(self.bias(g, start), None, *initial)
        both = self.activation, self.activation
        functions = function_attributes(["Sigmoid", "Tanh", "Tanh"], self.recurrent_activation, *both)
        return g.LSTM(x, w, r, *optional, outputs=3, **self.shared(), **functions)


@layer
class Bidirectional(Layer):
    """A recurrent layer and its mirror image over one sequence, from both ends, their outputs merged.

    The two have weights of their own, under `forward_` and `backward_` and the layer's name in snake case. Initial
    states are further inputs, those of the forward layer first.
    """

    arity = (1, 5)

    layer: Layer = attr(doc="The layer that goes forward: SimpleRNN, GRU or LSTM.")
    merge_mode: Literal["concat", "sum", "mul", "ave"] | None = attr(
        "concat", doc="How the two outputs become one; null gives both, the second under the name `backward`."
    )
    weights: tuple[float, ...] | None = attr(
        None, doc="Initial weights.", unsupported="Weights are loaded from a file, not written in a spec."
    )
    backward_layer: Layer | None = attr(None, doc="The layer that goes backwards, where it is not a copy of the first.")

    def halves(self) -> tuple[Any, Any]:
        """The forward layer and the backward layer."""
        return self.layer, self.backward_layer or self.layer.but(go_backwards=True)

    def output_names(self) -> tuple[str, ...]:
        names = ["backward"] if self.merge_mode is None else []
        for way, inner in zip(("forward", "backward"), self.halves(), strict=True):
            if isinstance(inner, Recurrent):  # what else stands here `infer` refuses
                names += [f"{way}_{name}" for name in inner.output_names()]
        return tuple(names)

    def infer(self, x: TensorType, *states: TensorType) -> Types:
        self.check_halves()
        forward, backward = self.halves()
        check_sequence(x)
        require(len(states) % 2 == 0, f"needs as many initial states forward as backward, got {len(states)}")
        half = len(states) // 2
        y, *last = listed_types(forward.infer(x, *states[:half]))
        mirrored, *mirrored_last = listed_types(backward.infer(x, *states[half:]))
        if self.merge_mode is None:
            results = [y, mirrored]
        elif self.merge_mode == "concat":
            results = [y.with_last(y.fixed(-1) + mirrored.fixed(-1))]
        else:
            require(y == mirrored, f"cannot merge by {self.merge_mode}: forward gives {y}, backward {mirrored}")
            results = [y]
        results += [*last, *mirrored_last]
        return tuple(results) if len(results) > 1 else results[0]

    def check_halves(self) -> None:
        for inner in (self.layer, self.backward_layer):
            require(
                inner is None or isinstance(inner, Recurrent),
                f"goes around a recurrent layer, not {inner.type_name if inner else inner}",
                "SimpleRNN, GRU and LSTM are recurrent",
                "unsupported-argument",
            )
            require(
                inner is None or inner.activity_regularizer is None,
                "has an activity_regularizer on its inner layer",
                "give it to Bidirectional itself",
                "unsupported-argument",
            )
        forward, backward = self.halves()
        ways = f"both have go_backwards {str(forward.go_backwards).lower()}"
        require(forward.go_backwards != backward.go_backwards, f"needs layers of opposite directions, {ways}")
        for name in ("return_sequences", "return_state"):
            same = getattr(forward, name) == getattr(backward, name)
            require(same, f"needs two layers with the same {name}")

    def lower(self, g: Builder, x: Value, *states: Value) -> Any:
        forward, backward = self.halves()
        x, half = g.transpose(x, (1, 0, 2)), len(states) // 2
        sequence, *last = named_run(g, "forward", forward, x, states[:half])
        mirrored, *mirrored_last = named_run(g, "backward", backward, x, states[half:])
        if not forward.return_sequences:
            results = self.merged(g, last[0], mirrored_last[0])
        else:
            flip = forward.go_backwards
            results = [batch_major(g, merged, flip=flip) for merged in self.merged(g, sequence, mirrored)]
        if forward.return_state:
            results += [*last, *mirrored_last]
        return tuple(results) if len(results) > 1 else results[0]

    def merged(self, g: Builder, y: Value, mirrored: Value) -> list[Value]:
        if self.merge_mode is None:
            return [y, mirrored]
        if self.merge_mode == "concat":
            return [g.Concat(y, mirrored, axis=-1)]
        if self.merge_mode == "mul":
            return [g.Mul(y, mirrored)]
        total = g.Add(y, mirrored)
        return [total if self.merge_mode == "sum" else g.Mul(total, 0.5)]


def named_run(g: Builder, way: str, inner: Recurrent, x: Value, states: Sequence[Value]) -> list[Value]:
    """One half of a Bidirectional, in a scope of its own."""
    outside, g.trainable = g.trainable, g.trainable and inner.trainable
    with g.at(f"{way}_{snake_case(inner.type_name)}"):
        results = inner.run(g, x, states)
    g.trainable = outside
    return results


def listed_types(types: Types) -> tuple[TensorType, ...]:
    return types if isinstance(types, tuple) else (types,)
