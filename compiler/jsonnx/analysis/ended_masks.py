"""Warns, as Keras does, about layers that discard the mask of their input."""

from __future__ import annotations

from collections.abc import Mapping

from ..core.diagnostics import Report, quoted_list
from ..core.types import PaddingMask, TensorType
from ..frontend.network import Call, Network
from .masks import Mask, MaskAssignment

COUNTED = "masked positions count from here on"


def check_ended_masks(network: Network, types: Mapping[str, TensorType], masks: MaskAssignment, report: Report) -> None:
    """Warns about each call without errors whose result has no mask though an input has one.

    A call that computes every step from the same step counts only if a later layer or a loss would skip steps.
    """
    consumers: dict[str, list[Call]] = {}
    for call in network.calls:
        for source in dict.fromkeys(call.sources):
            consumers.setdefault(source, []).append(call)
    for call in network.calls:
        inputs = masks.input_masks.get(call.name, ())
        if call.layer is None or not any(inputs) or call.name in masks.produced or call.results[0] not in types:
            continue
        result = types[call.results[0]]
        if _takes_masks(call, inputs, types, result):
            continue
        is_stepwise = call.layer.merges_padding or call.layer.keeps_padding
        if not is_stepwise or _has_mask_reader(network, types, consumers, call):
            _report_end(network, call, inputs, report)


def _takes_masks(
    call: Call, inputs: tuple[Mask | None, ...], types: Mapping[str, TensorType], result: TensorType
) -> bool:
    """Whether the result needs no mask, or the layer takes the masks of its inputs into account."""
    layer = call.layer
    assert layer is not None
    if layer.needs_all_masks:
        return False
    masked = [(types[source], mask.type) for source, mask in zip(call.sources, inputs, strict=True) if mask]
    if layer.reads_masks or layer.reads_only_shapes or all(layer.takes_first_step(*pair) for pair in masked):
        return True
    loses_steps = any(isinstance(mask, PaddingMask) and not mask.fits(result) for _, mask in masked)
    return layer.supports_masking and not loses_steps


def _has_mask_reader(
    network: Network, types: Mapping[str, TensorType], consumers: Mapping[str, list[Call]], call: Call
) -> bool:
    """Whether a layer behind the call would skip masked steps or combines steps, or a loss would skip them."""
    rank = types[call.results[0]].rank
    stack, seen = [call.results[0]], set[str]()
    while stack:
        value = stack.pop()
        if value in seen or value not in types or types[value].rank < rank:
            continue  # without the axis of the steps
        seen.add(value)
        if network.training is not None and value in network.outputs:
            return True
        for consumer in consumers.get(value, ()):
            layer = consumer.layer
            if layer is None or layer.reads_only_shapes:
                continue
            is_stepwise = layer.supports_masking or layer.merges_padding or layer.keeps_padding
            if (layer.reads_masks and not layer.needs_all_masks) or not is_stepwise:
                return True
            stack += consumer.results
    return False


def _report_end(network: Network, call: Call, inputs: tuple[Mask | None, ...], report: Report) -> None:
    assert call.layer is not None
    masked = [source for source, mask in zip(call.sources, inputs, strict=True) if mask]
    unmasked = [source for source, mask in zip(call.sources, inputs, strict=True) if not mask]
    drops, help = "drops the mask of its input", "move the layer before the mask is created"
    if call.layer.needs_all_masks and unmasked:
        has = "has" if len(unmasked) == 1 else "have"
        drops = f"drops the mask of {quoted_list(masked)}, because {quoted_list(unmasked)} {has} none"
        if all(mask is None or mask.type.rank == 2 for mask in inputs):
            help = (
                f'put {{"type": "SequenceMask"}} behind {quoted_list(masked)}: its mask passes {call.layer.type_name}'
            )
    message = f"{call.layer.type_name} {call.name!r} {drops}: no layer after it sees the mask"
    notes = [(network.paths[source], f"{source!r} is masked") for source in masked]
    help = f"{COUNTED}; if they must not, {help}"
    report.add("mask-ends", call.path, message, help=help, notes=notes, severity="warning")
