"""Bidirectional: two recurrent layers over one sequence."""

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
    """A recurrent layer and its mirror image over one sequence, from both ends, their outputs merged.

    The two have weights of their own, under `forward_` and `backward_` and the layer's name in snake case. Initial
    states are further inputs, those of the forward layer first. `concat` joins along the last axis. Where a sequence is
    output, masked steps give zeros. A last input [batch, time] of bool is a mask, in place of one beside the sequence.
    """

    arity = (1, None)
    supports_masking = True
    reads_masks = True
    mask_argument = True

    layer: Layer = attr(doc="The layer that goes forward: SimpleRNN, GRU, LSTM, RNN or a ConvLSTM.")
    merge_mode: Literal["concat", "sum", "mul", "ave"] | None = attr(
        "concat", doc="How the two outputs become one; null gives both, the second under the name `backward`."
    )
    weights: tuple[float, ...] | None = attr(
        None, doc="Initial weights.", unsupported="Weights are loaded from a file, not written in a spec."
    )
    backward_layer: Layer | None = attr(None, doc="The layer that goes backwards, where it is not a copy of the first.")

    def direction_layers(self) -> tuple[Any, Any]:
        """The forward layer and the backward layer."""
        return self.layer, self.backward_layer or self.layer.replace(go_backwards=True)

    def output_names(self) -> tuple[str, ...]:
        names = ["backward"] if self.merge_mode is None else []
        for way, inner in zip(("forward", "backward"), self.direction_layers(), strict=True):
            if isinstance(inner, Recurrent):  # what else stands here `infer` refuses
                names += [f"{way}_{name}" for name in inner.output_names()]
        return tuple(names)

    def infer(self, x: TensorType, *states_and_mask: TensorType) -> OutputTypes:
        self.check_directions()
        states, mask = split_states_and_mask(states_and_mask)
        forward, backward = self.direction_layers()
        for half in (forward, backward):
            check_mask(x, mask, unroll=half.unroll)
        require(len(states) % 2 == 0, f"needs as many initial states forward as backward, got {len(states)}")
        half = len(states) // 2
        y, *last = output_types(forward.infer(x, *states[:half]))
        mirrored, *mirrored_last = output_types(backward.infer(x, *states[half:]))
        if self.merge_mode is None:
            results = [y, mirrored]
        elif self.merge_mode == "concat":
            same = y.shape[:-1] == mirrored.shape[:-1]
            require(same, f"cannot join {y} and {mirrored}, which differ on another axis than the last")
            results = [y.with_last(y.shape[-1] + mirrored.shape[-1])]
        else:
            require(y == mirrored, f"cannot merge by {self.merge_mode}: forward gives {y}, backward {mirrored}")
            results = [y]
        results += [*last, *mirrored_last]
        return tuple(results) if len(results) > 1 else results[0]

    def check_directions(self) -> None:
        for inner in (self.layer, self.backward_layer):
            require(
                inner is None or isinstance(inner, Recurrent),
                f"goes around a recurrent layer, not {inner.type_name if inner else inner}",
                "SimpleRNN, GRU, LSTM, RNN and ConvLSTM1D, 2D and 3D are recurrent",
                "unsupported-argument",
            )
        forward, backward = self.direction_layers()
        ways = f"both have go_backwards {str(forward.go_backwards).lower()}"
        require(forward.go_backwards != backward.go_backwards, f"needs layers of opposite directions, {ways}")
        for name in ("return_sequences", "return_state"):
            same = getattr(forward, name) == getattr(backward, name)
            require(same, f"needs two layers with the same {name}")

    def infer_mask(self, inputs: Sequence[TensorType], masks: Sequence[TensorType | None]) -> TensorType | None:
        for half in self.direction_layers():
            check_mask(inputs[0], masks[0], unroll=half.unroll)
        return effective_mask(inputs, masks) if self.layer.return_sequences else None  # type: ignore[attr-defined]

    def lower_mask(self, g: Builder, inputs: Sequence[Value], masks: Sequence[Value | None]) -> Value | None:
        return effective_mask(inputs, masks)

    def masked_output_count(self) -> int:
        return 2 if self.merge_mode is None else 1

    def lower(self, g: Builder, x: Value, *states_and_mask: Value, masks: Sequence[Value | None] = (None,)) -> Any:
        states, mask = split_states_and_mask(states_and_mask)
        return self.run_batch_major(g, x, states, mask or implicit_mask(masks, states))

    def run_batch_major(self, g: Builder, x: Value, states: Sequence[Value], mask: Value | None) -> Any:
        """The outputs for [batch, time, ...], with a mask as `check_mask` wants it."""
        forward, backward = self.direction_layers()
        x, mask, half = swap_batch_and_time(g, x), time_major_mask(g, mask), len(states) // 2
        y, last = run_direction(g, "forward", forward, x, states[:half], mask)
        mirrored, mirrored_last = run_direction(g, "backward", backward, x, states[half:], mask)
        results = self.merge_outputs(g, y, mirrored)
        if forward.return_sequences:
            results = [to_batch_major(g, merged, flip=forward.go_backwards) for merged in results]
        if forward.return_state:
            results += [*last, *mirrored_last]
        return tuple(results) if len(results) > 1 else results[0]

    def merge_outputs(self, g: Builder, y: Value, mirrored: Value) -> list[Value]:
        if self.merge_mode is None:
            return [y, mirrored]
        if self.merge_mode == "concat":
            return [g.Concat(y, mirrored, axis=-1)]
        if self.merge_mode == "mul":
            return [g.Mul(y, mirrored)]
        total = g.Add(y, mirrored)
        return [total if self.merge_mode == "sum" else g.Mul(total, 0.5)]


def run_direction(
    g: Builder, direction: str, inner: Recurrent, x: Value, states: Sequence[Value], mask: Value | None
) -> tuple[Value, list[Value]]:
    """One half, in a scope of its own, its outputs penalized as those of a layer by itself.

    Of a sequence, masked steps give zeros, whatever `zero_output_for_mask` says: so has Keras it.
    """
    inner = inner.replace(zero_output_for_mask=inner.return_sequences)
    with inner_layer_scope(g, f"{direction}_{snake_case(inner.type_name)}", inner):
        y, last = inner.run_time_major(g, x, states, mask)
        if inner.activity_regularizer is not None:
            batch_first = swap_batch_and_time(g, y) if inner.return_sequences else y
            for value in (batch_first, *(last if inner.return_state else ())):
                penalize(g, inner.activity_regularizer, value)
    return y, last
