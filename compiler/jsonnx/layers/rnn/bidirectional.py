"""Bidirectional: a recurrent layer run over a sequence in both directions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from ...core.components import attr, snake_case
from ...core.types import TensorType, require
from ..base import Layer, OutputTypes, inner_layer_scope, layer, output_types, penalize
from .rnn import (
    Recurrent,
    check_mask,
    effective_mask,
    implicit_mask,
    split_states_and_mask,
    swap_batch_and_time,
    time_major_mask,
    to_batch_major,
)

if TYPE_CHECKING:
    from ...ir import Builder, Value


@layer
class Bidirectional(Layer):
    """Runs a recurrent layer over a sequence forward and backward, and merges the outputs.

    The two directions have separate weights, named `forward_` or `backward_` plus the layer's type in snake case.
    Initial states are further inputs, first for the forward layer. `concat` concatenates along the last axis. If
    sequences are returned, the output is zero at masked steps. A last input [batch, time] of bool is a mask that
    replaces the sequence's own.
    """

    arity = (1, None)
    supports_masking = True
    reads_masks = True
    mask_argument = True

    layer: Layer = attr(doc="The forward layer: SimpleRNN, GRU, LSTM, RNN or a ConvLSTM.")
    merge_mode: Literal["concat", "sum", "mul", "ave"] | None = attr(
        "concat", doc="How to merge the outputs; null returns both, the second under the name `backward`."
    )
    weights: tuple[float, ...] | None = attr(
        None, doc="Initial weights.", unsupported="Weights are loaded from a file, not written in a spec."
    )
    backward_layer: Layer | None = attr(
        None, doc="The backward layer; null copies `layer` with `go_backwards` reversed."
    )

    def direction_layers(self) -> tuple[Any, Any]:
        """The forward and the backward layer."""
        return self.layer, self.backward_layer or self.layer.replace(go_backwards=True)

    def output_names(self) -> tuple[str, ...]:
        names = ["backward"] if self.merge_mode is None else []
        for direction, inner in zip(("forward", "backward"), self.direction_layers(), strict=True):
            if isinstance(inner, Recurrent):  # `infer` rejects all other layers
                names += [f"{direction}_{name}" for name in inner.output_names()]
        return tuple(names)

    def infer(self, x: TensorType, *states_and_mask: TensorType) -> OutputTypes:
        self.check_directions()
        states, mask = split_states_and_mask(states_and_mask)
        forward, backward = self.direction_layers()
        for inner in (forward, backward):
            check_mask(x, mask, unroll=inner.unroll)
        require(len(states) % 2 == 0, f"needs as many initial states forward as backward, got {len(states)}")
        half = len(states) // 2
        y, *last = output_types(forward.infer(x, *states[:half]))
        backward_y, *backward_last = output_types(backward.infer(x, *states[half:]))
        if self.merge_mode is None:
            results = [y, backward_y]
        elif self.merge_mode == "concat":
            same = y.shape[:-1] == backward_y.shape[:-1]
            require(same, f"cannot concatenate {y} and {backward_y}, which differ on other axes than the last")
            results = [y.with_last(y.shape[-1] + backward_y.shape[-1])]
        else:
            require(y == backward_y, f"cannot merge by {self.merge_mode}: forward gives {y}, backward {backward_y}")
            results = [y]
        results += [*last, *backward_last]
        return tuple(results) if len(results) > 1 else results[0]

    def check_directions(self) -> None:
        for inner in (self.layer, self.backward_layer):
            require(
                inner is None or isinstance(inner, Recurrent),
                f"wraps a recurrent layer, not {inner.type_name if inner else inner}",
                "SimpleRNN, GRU, LSTM, RNN and ConvLSTM1D, 2D and 3D are recurrent",
                "unsupported-argument",
            )
        forward, backward = self.direction_layers()
        directions = f"both have go_backwards {str(forward.go_backwards).lower()}"
        require(forward.go_backwards != backward.go_backwards, f"needs layers of opposite directions, {directions}")
        for name in ("return_sequences", "return_state"):
            equal = getattr(forward, name) == getattr(backward, name)
            require(equal, f"needs two layers with the same {name}")

    def infer_mask(self, inputs: Sequence[TensorType], masks: Sequence[TensorType | None]) -> TensorType | None:
        for inner in self.direction_layers():
            check_mask(inputs[0], masks[0], unroll=inner.unroll)
        return effective_mask(inputs, masks) if self.layer.return_sequences else None  # type: ignore[attr-defined]

    def lower_mask(self, g: Builder, inputs: Sequence[Value], masks: Sequence[Value | None]) -> Value | None:
        return effective_mask(inputs, masks)

    def masked_output_count(self) -> int:
        return 2 if self.merge_mode is None else 1

    def lower(self, g: Builder, x: Value, *states_and_mask: Value, masks: Sequence[Value | None] = (None,)) -> Any:
        states, mask = split_states_and_mask(states_and_mask)
        return self.run_batch_major(g, x, states, mask or implicit_mask(masks, states))

    def run_batch_major(self, g: Builder, x: Value, states: Sequence[Value], mask: Value | None) -> Any:
        """The outputs for an input [batch, time, ...] and a mask that `check_mask` accepts."""
        forward, backward = self.direction_layers()
        x, mask, half = swap_batch_and_time(g, x), time_major_mask(g, mask), len(states) // 2
        y, last = run_direction(g, "forward", forward, x, states[:half], mask)
        backward_y, backward_last = run_direction(g, "backward", backward, x, states[half:], mask)
        results = self.merge_outputs(g, y, backward_y)
        if forward.return_sequences:
            results = [to_batch_major(g, result, flip=forward.go_backwards) for result in results]
        if forward.return_state:
            results += [*last, *backward_last]
        return tuple(results) if len(results) > 1 else results[0]

    def merge_outputs(self, g: Builder, y: Value, backward_y: Value) -> list[Value]:
        if self.merge_mode is None:
            return [y, backward_y]
        if self.merge_mode == "concat":
            return [g.Concat(y, backward_y, axis=-1)]
        if self.merge_mode == "mul":
            return [g.Mul(y, backward_y)]
        total = g.Add(y, backward_y)
        return [total if self.merge_mode == "sum" else g.Mul(total, 0.5)]


def run_direction(
    g: Builder, direction: str, inner: Recurrent, x: Value, states: Sequence[Value], mask: Value | None
) -> tuple[Value, list[Value]]:
    """Runs one direction in its own scope and applies its activity regularizer.

    If sequences are returned, the output is zero at masked steps regardless of `zero_output_for_mask`, as in Keras.
    """
    inner = inner.replace(zero_output_for_mask=inner.return_sequences)
    with inner_layer_scope(g, f"{direction}_{snake_case(inner.type_name)}", inner):
        y, last = inner.run_time_major(g, x, states, mask)
        if inner.activity_regularizer is not None:
            batch_first = swap_batch_and_time(g, y) if inner.return_sequences else y
            for value in (batch_first, *(last if inner.return_state else ())):
                penalize(g, inner.activity_regularizer, value)
    return y, last
