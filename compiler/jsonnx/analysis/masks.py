"""Which masks reach which layer.

Keras knows of masks in two ways. As a model is made, a mask stands beside every value that has one, and a layer that is
called with a `mask` (`Layer.mask_argument`) is connected with it for good. As a model runs, a mask is an attribute of
an array, and every other layer looks there. There it may be gone: MultiHeadAttention deletes the attribute of its
query, value and key. So what runs after it sees no mask beside them, and neither does what takes from that; a layer
that was connected with a mask sees it all the same. An array may be several values at once, since a layer that has
nothing to do, such as a Dropout in inference, hands on the very array it got.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ..core.types import TensorType
from ..frontend.keras_order import keras_call_order
from ..frontend.network import Call, Network


@dataclass(frozen=True, eq=False)
class Mask:
    """A mask that a call makes, of the masks that it is given beside its inputs."""

    type: TensorType
    producer: str
    input_masks: tuple[Mask | None, ...]


@dataclass(frozen=True)
class MaskAssignment:
    """The masks that calls are given, one for each input; those that they make; those beside values in the end."""

    input_masks: Mapping[str, tuple[Mask | None, ...]] = field(default_factory=dict)
    produced: Mapping[str, Mask] = field(default_factory=dict)
    value_masks: Mapping[str, Mask] = field(default_factory=dict)


@dataclass(frozen=True)
class MaskFlows:
    """The masks as the model is made, and as it runs."""

    connected: MaskAssignment = field(default_factory=MaskAssignment)
    inference: MaskAssignment = field(default_factory=MaskAssignment)
    training: MaskAssignment = field(default_factory=MaskAssignment)

    def runtime_masks(self, training: bool) -> MaskAssignment:
        return self.training if training else self.inference

    def masks_by_producer(self, training: bool) -> dict[str, list[Mask]]:
        """The masks that are to be computed, by the calls that make them."""
        found: dict[str, list[Mask]] = {}
        masks = self.runtime_masks(training)
        stack = [mask for given in masks.input_masks.values() for mask in given] + list(masks.value_masks.values())
        seen: set[Mask | None] = {None}
        while stack:
            mask = stack.pop()
            if mask is not None and mask not in seen:
                seen.add(mask)
                found.setdefault(mask.producer, []).append(mask)
                stack += mask.input_masks
        return found


def mask_flows(network: Network, types: Mapping[str, TensorType], connected: MaskAssignment) -> MaskFlows:
    """The masks as a sound network runs, which are those of its making unless a layer takes some off."""
    takers = [call for call in network.calls if call.layer is not None and call.layer.cleared_mask_inputs()]
    if not any(any(connected.input_masks[call.name]) for call in takers):
        return MaskFlows(connected, connected, connected)
    order = keras_call_order(network, connected.value_masks)
    inference, training = (_runtime_masks(order, types, connected, training) for training in (False, True))
    return MaskFlows(connected, inference, training)


def _runtime_masks(
    order: list[Call], types: Mapping[str, TensorType], connected: MaskAssignment, training: bool
) -> MaskAssignment:
    arrays: dict[str, str] = {}  # by value the name of the first one that its array had, where that is another's
    on_array: dict[str, Mask] = {}
    given: dict[str, tuple[Mask | None, ...]] = {}
    made: dict[str, Mask] = {}
    for call in order:
        assert call.layer is not None
        sources = [arrays.get(source, source) for source in call.sources]
        known = connected.input_masks[call.name]
        own = known if call.takes_mask else tuple(on_array.get(array) for array in sources)
        given[call.name] = own
        mask = connected.produced.get(call.name)
        if own != known:
            type = call.layer.infer_mask([types[s] for s in call.sources], [m.type if m else None for m in own])
            mask = Mask(type, call.name, own) if type is not None else None
        if mask is not None:
            made[call.name] = mask
        for place in call.layer.cleared_mask_inputs():
            if place < len(sources):
                on_array.pop(sources[place], None)
        if call.layer.is_passthrough(training):
            arrays[call.name] = sources[0]
        elif mask is not None:
            on_array |= dict.fromkeys(call.results[: call.layer.masked_output_count()], mask)
    values = [result for call in order for result in call.results]
    beside = {value: on_array[arrays.get(value, value)] for value in values if arrays.get(value, value) in on_array}
    return MaskAssignment(given, made, beside)
