"""TimeDistributed: applies a layer to every step of a sequence."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, TypeGuard

from ...core.components import Component, attr, snake_case
from ...core.limits import MAX_UNROLLED_COPIES
from ...core.types import TensorType, rank_help, require
from ..activations import ActivationFunction
from ..axes import merge_first_axes, split_first_axis
from ..base import Layer, infer_types, inner_layer_scope, layer, require_no_added_input
from ..normalization.normalization import BatchNormalization
from .rnn import Recurrent, timestep_type

if TYPE_CHECKING:
    from ...ir import Builder, Value


@layer
class TimeDistributed(Layer):
    """Applies a layer to every step of [batch, time, ...], with the same weights.

    If the layer treats samples independently, the steps are merged into the batch axis for a single call.
    BatchNormalization computes statistics per step in training, and updates its averages step by step. Other layers
    that depend on the batch are called once per step, which needs a fixed number of steps.
    """

    supports_masking = True
    reads_masks = True
    mask_argument = True

    layer: Layer = attr(doc="The layer to apply, with one input and one output; it takes steps [batch, ...].")

    def infer(self, x: TensorType) -> TensorType:
        require(x.rank >= 3, f"needs a sequence of rank 3 or more, [batch, time, ...], got {x}", rank_help(x, 3))
        inner = self.layer
        takes_one = inner.arity[0] <= 1
        require(takes_one, f"wraps a layer of one input, {inner.type_name} needs {inner.arity[0]}")
        for part in nested_components(inner):
            require_no_added_input(part)
            require(
                getattr(part, "activity_regularizer", None) is None and not getattr(part, "penalizes_itself", False),
                f"has a penalty on the outputs of {part.type_name}, a layer inside it",
                "give TimeDistributed an activity_regularizer, or add a layer that has one after it",
                "unsupported-argument",
            )
        if is_batch_dependent(inner, x.rank - 1) and not can_merge_steps(inner):
            copies = x.static_size(1)
            text = f"needs a copy of {inner.type_name} for each of {copies} steps, as it is not applied by sample"
            require(copies <= MAX_UNROLLED_COPIES, f"{text}, the limit is {MAX_UNROLLED_COPIES}", code="too-large")
        results = infer_types(inner, timestep_type(x))
        require(len(results) == 1, f"wraps a layer of one output, {inner.type_name} has {len(results)} here")
        keeps_batch = results[0].shape[:1] == x.shape[:1]
        require(keeps_batch, f"wraps a layer that keeps the batch axis, {inner.type_name} makes {results[0]} of a step")
        return results[0].with_shape((*x.shape[:2], *results[0].shape[1:]))

    def infer_mask(self, inputs: Sequence[TensorType], masks: Sequence[TensorType | None]) -> TensorType | None:
        """Passes the mask on. The inner layer checks the mask of a step."""
        (x,), (mask,) = inputs, masks
        if mask is not None:
            require(mask.shape[:2] == x.shape[:2], f"needs a mask [batch, time, ...] beside its input {x}, got {mask}")
            if self.layer.reads_masks:
                self.layer.infer_mask([timestep_type(x)], [timestep_type(mask)])
        return mask

    def lower(self, g: Builder, x: Value, masks: Sequence[Value | None] = (None,)) -> Any:
        inner, mask = self.layer, masks[0] if self.layer.reads_masks else None
        with inner_layer_scope(g, snake_case(inner.type_name), inner):
            if g.training and g.trainable and can_merge_steps(inner):
                return inner.normalize(g, x, mask, steps=1)
            needs_steps = g.training and g.trainable and is_batch_dependent(inner, x.rank - 1)
            if needs_steps or acts_along_batch_axis(inner, x.rank - 1):
                steps = [
                    self.call_layer(g, take_step(g, x, t), None if mask is None else take_step(g, mask, t))
                    for t in range(x.shape[1])
                ]
                return g.Concat(*(g.Unsqueeze(step, [1]) for step in steps), axis=1)
            return split_first_axis(
                g, self.call_layer(g, merge_first_axes(g, x), None if mask is None else merge_first_axes(g, mask)), x
            )

    def call_layer(self, g: Builder, x: Value, mask: Value | None) -> Value:
        """Applies the layer to a batch of steps."""
        (output_type,) = infer_types(self.layer, x.type)
        y: Value = self.layer.lower(g, x, masks=[mask]) if self.layer.reads_masks else self.layer.lower(g, x)
        return g.refine(y, output_type.shape)


def take_step(g: Builder, x: Value, step: int) -> Value:
    """One step of [batch, time, ...]."""
    return g.refine(g.Gather(x, step, axis=1), (x.shape[0], *x.shape[2:]))


def nested_components(component: Component) -> Iterator[Any]:
    """Yields a component, and the layers and activations inside it."""
    yield component
    for value in vars(component).values():
        for part in value if isinstance(value, tuple) else (value,):
            if isinstance(part, (Layer, ActivationFunction)):
                yield from nested_components(part)


def is_batch_dependent(inner: Layer, rank: int) -> bool:
    """Whether a sample's result may depend on other samples of the batch, or the layer counts its calls."""
    mixes = any(getattr(part, "mixes_samples", False) and part.trainable for part in nested_components(inner))
    return mixes or acts_along_batch_axis(inner, rank)


def can_merge_steps(inner: Layer) -> TypeGuard[BatchNormalization]:
    """Whether batch-dependent steps can be computed together, as the state after each step has a closed form."""
    return isinstance(inner, BatchNormalization)


def acts_along_batch_axis(inner: Layer, rank: int) -> bool:
    """Whether the layer operates along the batch axis of a value of this rank, or is constant along it.

    Inside layers that iterate over steps, values have one axis less.
    """
    parts = list(nested_components(inner))
    max_depth = any(isinstance(part, Recurrent) for part in parts) + sum(isinstance(p, TimeDistributed) for p in parts)
    batch_axes = {0, *(depth - rank for depth in range(max_depth + 1))}
    for part in parts:
        axes = getattr(part, "axis", ())
        noise = getattr(part, "noise_shape", None)
        if batch_axes & set(axes if isinstance(axes, tuple) else (axes,)) or (noise and noise[0] is not None):
            return True
        if getattr(part, "always_mixes_samples", False):
            return True
    return False
