"""Propagates masks through the network.

Keras has two kinds of mask flow. When a model is built, masks accompany symbolic values, and a layer that is called
with a `mask` (`Layer.mask_argument`) is connected to it permanently. When a model runs, a mask is an attribute of an
array, and all other layers look for it there. It may be missing: MultiHeadAttention deletes the attribute from its
query, value and key, so that layers which run later see no mask for them, nor for values computed from them; a layer
that was connected with a mask still sees it. One array may be several values, because a layer that does nothing, such
as Dropout in inference, returns the array that it got.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from ..core.types import PaddingMask, TensorType, require
from ..frontend.network import Call, Network
from ..frontend.networks.keras_order import keras_call_order
from ..layers import Layer


@dataclass(frozen=True, eq=False)
class Mask:
    """A mask that a call produces, from the masks of its inputs."""

    type: TensorType
    producer: str
    input_masks: tuple[Mask | None, ...]


class MaskAssignment(NamedTuple):
    """The masks of each call's inputs, the masks that calls produce, and the final masks of values, all by name."""

    input_masks: Mapping[str, tuple[Mask | None, ...]] = {}
    produced: Mapping[str, Mask] = {}
    value_masks: Mapping[str, Mask] = {}


class MaskFlows(NamedTuple):
    """The masks when the model is built, and when it runs."""

    connected: MaskAssignment = MaskAssignment()
    inference: MaskAssignment = MaskAssignment()
    training: MaskAssignment = MaskAssignment()

    def runtime_masks(self, training: bool) -> MaskAssignment:
        return self.training if training else self.inference

    def masks_by_producer(self, training: bool) -> dict[str, list[Mask]]:
        """The masks that must be computed, by the calls that produce them."""
        by_producer: dict[str, list[Mask]] = {}
        masks = self.runtime_masks(training)
        stack = [mask for inputs in masks.input_masks.values() for mask in inputs] + list(masks.value_masks.values())
        seen: set[Mask | None] = {None}
        while stack:
            mask = stack.pop()
            if mask is not None and mask not in seen:
                seen.add(mask)
                by_producer.setdefault(mask.producer, []).append(mask)
                stack += mask.input_masks
        return by_producer


def infer_mask(
    layer: Layer, inputs: Sequence[TensorType], masks: Sequence[TensorType | None], result: TensorType
) -> TensorType | None:
    """The type of the mask of a layer's result. Raises ShapeError if the layer cannot handle its inputs' masks."""
    for mask in masks:
        if isinstance(mask, PaddingMask) and layer.reads_masks:
            help = "move the steps to axis 1 before, as Permute does"
            require(mask.axis == 1, f"reads the padding of an input whose steps are axis {mask.axis}", help)
    type = merged_padding(inputs, masks, result) if layer.merges_padding else None
    type = layer.infer_mask(inputs, masks) if type is None else type
    return None if isinstance(type, PaddingMask) and not type.fits(result) else type


def merged_padding(
    inputs: Sequence[TensorType], masks: Sequence[TensorType | None], result: TensorType
) -> TensorType | None:
    """The padding mask that all masked inputs have; None if they have none, or different ones."""
    present = [(x, mask) for x, mask in zip(inputs, masks, strict=True) if mask is not None]
    first = present[0][1] if present else None
    agree = all(mask == first and x.rank == result.rank for x, mask in present)
    return first if isinstance(first, PaddingMask) and agree else None


def mask_flows(network: Network, types: Mapping[str, TensorType], connected: MaskAssignment) -> MaskFlows:
    """The masks of a valid network. At run time they are the same as in building it, unless a layer clears some."""
    clearing = [call for call in network.calls if call.layer is not None and call.layer.cleared_mask_inputs()]
    if not any(is_cleared(mask) for call in clearing for mask in connected.input_masks[call.name]):
        return MaskFlows(connected, connected, connected)
    order = keras_call_order(network, connected.value_masks)
    inference, training = (_runtime_masks(order, types, connected, training) for training in (False, True))
    return MaskFlows(connected, inference, training)


def is_cleared(mask: Mask | None) -> bool:
    """Whether an attention layer removes a mask from its inputs, as Keras does; Keras has no padding masks."""
    return mask is not None and not isinstance(mask.type, PaddingMask)


def _runtime_masks(
    order: list[Call], types: Mapping[str, TensorType], connected: MaskAssignment, training: bool
) -> MaskAssignment:
    """The masks at run time, in the order in which Keras calls the layers."""
    arrays: dict[str, str] = {}  # the first name of a value's array, if another value has the same array
    array_masks: dict[str, Mask] = {}
    input_masks: dict[str, tuple[Mask | None, ...]] = {}
    produced: dict[str, Mask] = {}
    for call in order:
        assert call.layer is not None
        sources = [arrays.get(source, source) for source in call.sources]
        connected_masks = connected.input_masks[call.name]
        masks = connected_masks if call.takes_mask else tuple(array_masks.get(array) for array in sources)
        input_masks[call.name] = masks
        mask = connected.produced.get(call.name)
        if masks != connected_masks:
            inputs, mask_types = (
                [types[source] for source in call.sources],
                [mask.type if mask else None for mask in masks],
            )
            type = infer_mask(call.layer, inputs, mask_types, types[call.results[0]])
            mask = Mask(type, call.name, masks) if type is not None else None
        if mask is not None:
            produced[call.name] = mask
        for index in call.layer.cleared_mask_inputs():
            if index < len(sources) and is_cleared(array_masks.get(sources[index])):
                array_masks.pop(sources[index], None)
        if call.layer.is_passthrough(training):
            arrays[call.name] = sources[0]
        elif mask is not None:
            array_masks |= dict.fromkeys(call.results[: call.layer.masked_output_count()], mask)
    values = [result for call in order for result in call.results]
    array_by_value = {value: arrays.get(value, value) for value in values}
    value_masks = {value: array_masks[array] for value, array in array_by_value.items() if array in array_masks}
    return MaskAssignment(input_masks, produced, value_masks)
