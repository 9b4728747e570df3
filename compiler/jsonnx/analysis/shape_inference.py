"""Infers the type of every value of a network from the types of its inputs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import prod

from ..core.diagnostics import Report
from ..core.limits import MAX_ELEMENTS_PER_SAMPLE
from ..core.types import ShapeError, TensorType, require
from ..frontend.network import Call, Network
from .masks import Mask, MaskAssignment, MaskFlows, mask_flows


@dataclass(frozen=True)
class TypedNetwork:
    """A network, with the types of its values by name, and their masks."""

    network: Network
    types: Mapping[str, TensorType]
    masks: MaskFlows = field(default_factory=MaskFlows)

    @property
    def inputs(self) -> dict[str, TensorType]:
        return dict(self.network.inputs)

    @property
    def outputs(self) -> dict[str, TensorType]:
        return {name: self.types[name] for name in self.network.outputs}


def infer_shapes(network: Network, report: Report) -> TypedNetwork:
    """Infers the type and the mask of every value. A fault is reported once, where it first occurs; values that depend
    on it have no type."""
    types: dict[str, TensorType] = {}
    input_masks: dict[str, tuple[Mask | None, ...]] = {}
    produced: dict[str, Mask] = {}
    value_masks: dict[str, Mask] = {}
    for name, type in network.inputs.items():
        try:
            types[name] = _checked_size(type, "is")
        except ShapeError as error:
            report.add(error.code, ("inputs", name, "shape"), f"the input {name!r} {error.message}")
    for call in network.calls:
        if call.layer is None or not call.sources or any(source not in types for source in call.sources):
            continue  # the cause is reported already
        try:
            results = _infer_results(call, types)
            input_masks[call.name] = tuple(value_masks.get(source) for source in call.sources)
            mask = _infer_mask(network, call, types, input_masks[call.name], report)
            if mask is not None:
                produced[call.name] = mask
                value_masks |= dict.fromkeys(call.results[: call.layer.masked_output_count()], mask)
        except ShapeError as error:
            _report_shape_error(network, call, types, error, report)
            continue
        types |= zip(call.results, results, strict=True)
    _check_labels(network, types, report)
    connected = MaskAssignment(input_masks, produced, value_masks)
    if report.has_errors():
        return TypedNetwork(network, types, MaskFlows(connected, connected, connected))
    return TypedNetwork(network, types, mask_flows(network, types, connected))


def _infer_results(call: Call, types: Mapping[str, TensorType]) -> list[TensorType]:
    """The types of a call's results. Raises ShapeError."""
    assert call.layer is not None
    inferred = call.layer.infer(*(types[source] for source in call.sources))
    results = inferred if isinstance(inferred, tuple) else (inferred,)
    checked = [_checked_size(type, "makes") for type in results]
    regularizer = call.layer.activity_regularizer
    if regularizer is not None:
        for type in checked:
            message = f"has an activity_regularizer, and makes {type}, no real numbers"
            require(type.dtype.startswith("float"), message)
            regularizer.check(type.shape)
    return checked


def _infer_mask(
    network: Network, call: Call, types: Mapping[str, TensorType], input_masks: tuple[Mask | None, ...], report: Report
) -> Mask | None:
    """The mask of a layer's results. Warns, as Keras does, if a layer that does not support masks drops one."""
    assert call.layer is not None
    type = call.layer.infer_mask(
        [types[source] for source in call.sources], [mask.type if mask else None for mask in input_masks]
    )
    if any(input_masks) and not call.layer.supports_masking:
        message = f"{call.layer.type_name} {call.name!r} drops the mask of its input: no layer after it sees the mask"
        masked = [source for source, mask in zip(call.sources, input_masks, strict=True) if mask]
        notes = [(network.paths[source], f"{source!r} is masked") for source in masked]
        help = "masked positions count from here on; if they must not, move the layer before the mask is created"
        report.add("mask-ends", call.path, message, help=help, notes=notes, severity="warning")
    return None if type is None else Mask(type, call.name, input_masks)


def _checked_size(type: TensorType, verb: str) -> TensorType:
    known = [size for size in type.shape if isinstance(size, int)]
    require(all(size > 0 for size in known), f"{verb} {type}, which has no elements")
    require(
        prod(known) <= MAX_ELEMENTS_PER_SAMPLE,
        f"{verb} {type}, more than {MAX_ELEMENTS_PER_SAMPLE} elements a sample",
        code="out-of-range",
    )
    return type


def _report_shape_error(
    network: Network, call: Call, types: Mapping[str, TensorType], error: ShapeError, report: Report
) -> None:
    subject = f"{call.layer.type_name} {call.name!r}" if call.layer else repr(call.name)
    sources = dict.fromkeys(call.sources)
    notes = [(network.paths[source], f"{source!r} is {types[source]}") for source in sources]
    report.add(error.code, call.path, f"{subject} {error.message}", help=error.help, notes=notes)


def _check_labels(network: Network, types: Mapping[str, TensorType], report: Report) -> None:
    for name, labels in network.labels.items():
        classes = types[name].shape[-1] if name in types else None
        binary = classes == 1 and len(labels) == 2
        if isinstance(classes, int) and len(labels) != classes and not binary:
            path = ("labels",) if isinstance(network.flat_document.get("labels"), list) else ("labels", name)
            message = f"there are {len(labels)} labels for {classes} classes"
            notes = [(network.paths[name], f"{name!r} is {types[name]}")]
            report.add(
                "labels-mismatch", path, message, help="give one label for every number on the last axis", notes=notes
            )
