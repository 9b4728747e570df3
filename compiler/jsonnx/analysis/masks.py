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
from ..frontend.keras_order import in_running_order
from ..frontend.network import Call, Network


@dataclass(frozen=True, eq=False)
class Mask:
    """A mask that a call makes, of the masks that it is given beside its inputs."""

    type: TensorType
    maker: str
    given: tuple[Mask | None, ...]


@dataclass(frozen=True)
class Masks:
    """The masks that calls are given, one for each input; those that they make; those beside values in the end."""

    given: Mapping[str, tuple[Mask | None, ...]] = field(default_factory=dict)
    made: Mapping[str, Mask] = field(default_factory=dict)
    beside: Mapping[str, Mask] = field(default_factory=dict)


@dataclass(frozen=True)
class Flows:
    """The masks as the model is made, and as it runs."""

    connected: Masks = field(default_factory=Masks)
    inference: Masks = field(default_factory=Masks)
    training: Masks = field(default_factory=Masks)

    def running(self, training: bool) -> Masks:
        return self.training if training else self.inference

    def made_by(self, training: bool) -> dict[str, list[Mask]]:
        """The masks that are to be computed, by the calls that make them."""
        found: dict[str, list[Mask]] = {}
        masks = self.running(training)
        stack = [mask for given in masks.given.values() for mask in given] + list(masks.beside.values())
        seen: set[Mask | None] = {None}
        while stack:
            mask = stack.pop()
            if mask is not None and mask not in seen:
                seen.add(mask)
                found.setdefault(mask.maker, []).append(mask)
                stack += mask.given
        return found


def flows(network: Network, types: Mapping[str, TensorType], connected: Masks) -> Flows:
    """The masks as a sound network runs, which are those of its making unless a layer takes some off."""
    takers = [call for call in network.calls if call.layer is not None and call.layer.takes_off_masks()]
    if not any(any(connected.given[call.name]) for call in takers):
        return Flows(connected, connected, connected)
    order = in_running_order(network, connected.beside)
    inference, training = (_running(order, types, connected, training) for training in (False, True))
    return Flows(connected, inference, training)


def _running(order: list[Call], types: Mapping[str, TensorType], connected: Masks, training: bool) -> Masks:
    arrays: dict[str, str] = {}  # by value the name of the first one that its array had, where that is another's
    on_array: dict[str, Mask] = {}
    given: dict[str, tuple[Mask | None, ...]] = {}
    made: dict[str, Mask] = {}
    for call in order:
        assert call.layer is not None
        sources = [arrays.get(source, source) for source in call.sources]
        known = connected.given[call.name]
        own = known if call.takes_mask else tuple(on_array.get(array) for array in sources)
        given[call.name] = own
        mask = connected.made.get(call.name)
        if own != known:
            type = call.layer.infer_mask([types[s] for s in call.sources], [m.type if m else None for m in own])
            mask = Mask(type, call.name, own) if type is not None else None
        if mask is not None:
            made[call.name] = mask
        for place in call.layer.takes_off_masks():
            if place < len(sources):
                on_array.pop(sources[place], None)
        if call.layer.hands_on(training):
            arrays[call.name] = sources[0]
        elif mask is not None:
            on_array |= dict.fromkeys(call.results[: call.layer.masked_outputs()], mask)
    values = [result for call in order for result in call.results]
    beside = {value: on_array[arrays.get(value, value)] for value in values if arrays.get(value, value) in on_array}
    return Masks(given, made, beside)
