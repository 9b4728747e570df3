"""Infers the type of every value of a network from the types of its inputs."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from ..core.diagnostics import Report
from ..core.types import BATCH, REMOVE_AXES_HELP, ShapeError, TensorType
from ..frontend.network import BlockInput, Call, Network
from ..frontend.schema.phrases import short_name
from ..layers.base import check_size, infer_types
from .ended_masks import check_ended_masks
from .masks import Mask, MaskAssignment, MaskFlows, infer_mask, mask_flows


class TypedNetwork(NamedTuple):
    """A network, with the types of its values by name, and their masks."""

    network: Network
    types: Mapping[str, TensorType]
    masks: MaskFlows = MaskFlows()

    @property
    def inputs(self) -> dict[str, TensorType]:
        return dict(self.network.inputs)

    @property
    def outputs(self) -> dict[str, TensorType]:
        return {name: self.types[name] for name in self.network.outputs}

    @property
    def inference_outputs(self) -> dict[str, TensorType]:
        return {name: self.types[name] for name in self.network.inference_outputs}


def infer_shapes(network: Network, report: Report) -> TypedNetwork:
    """Infers the type and the mask of every value. An error is reported once, where it first occurs; values that depend
    on it have no type."""
    types: dict[str, TensorType] = {}
    input_masks: dict[str, tuple[Mask | None, ...]] = {}
    produced: dict[str, Mask] = {}
    value_masks: dict[str, Mask] = {}
    errors: list[tuple[Call, ShapeError]] = []
    misused: dict[BlockInput, None] = {}
    for name, type in network.inputs.items():
        try:
            check_size(type, "is")
            types[name] = type
        except ShapeError as error:
            report.add(error.code, ("inputs", name, "shape"), f"the input {name!r} {error.message}")
    for call in network.calls:
        if call.layer is None or any(source not in types for source in call.sources):
            continue  # the cause is reported already
        invalid_inputs = [
            block_input
            for block_input in network.block_inputs.get(int(call.path[1]), ())
            if block_input.shape.problem(types[block_input.value])
        ]
        if invalid_inputs:
            misused |= dict.fromkeys(invalid_inputs)
            continue
        try:
            results = infer_types(call.layer, *(types[source] for source in call.sources))
            input_masks[call.name] = tuple(value_masks.get(source) for source in call.sources)
            mask = _infer_mask(call, types, input_masks[call.name], results[0])
            if mask is not None:
                produced[call.name] = mask
                value_masks |= dict.fromkeys(call.results[: call.layer.masked_output_count()], mask)
        except ShapeError as error:
            errors.append((call, error))
            continue
        types |= zip(call.results, results, strict=True)
    _report_block_inputs(network, types, misused, report)
    _report_shape_errors(network, types, errors, report)
    connected = MaskAssignment(input_masks, produced, value_masks)
    check_ended_masks(network, types, connected, report)
    if report.has_errors():
        return TypedNetwork(network, types, MaskFlows(connected, connected, connected))
    return TypedNetwork(network, types, mask_flows(network, types, connected))


def _infer_mask(
    call: Call, types: Mapping[str, TensorType], input_masks: tuple[Mask | None, ...], result: TensorType
) -> Mask | None:
    """The mask of a layer's results."""
    assert call.layer is not None
    inputs, mask_types = (
        [types[source] for source in call.sources],
        [mask.type if mask else None for mask in input_masks],
    )
    type = infer_mask(call.layer, inputs, mask_types, result)
    return None if type is None else Mask(type, call.name, input_masks)


def _report_block_inputs(
    network: Network, types: Mapping[str, TensorType], misused: Iterable[BlockInput], report: Report
) -> None:
    for block_input in misused:
        problem = block_input.shape.problem(types[block_input.value])
        assert problem is not None
        use, block = block_input.use
        notes = [(network.paths[block_input.value], f"{block_input.value!r} is {types[block_input.value]}")]
        message, help = f"{block} {use!r} {problem[0]}", problem[1]
        report.add("shape-mismatch", block_input.path, message, help=help, notes=notes)


def _report_shape_errors(
    network: Network, types: Mapping[str, TensorType], errors: Sequence[tuple[Call, ShapeError]], report: Report
) -> None:
    batch_axis = _batch_axis_help(network) if errors else _NO_BATCH_AXIS_HELP
    for call, error in errors:
        subject = f"{call.layer.type_name} {call.name!r}" if call.layer else repr(call.name)
        notes = [(network.paths[source], f"{source!r} is {types[source]}") for source in dict.fromkeys(call.sources)]
        help = error.help
        if call.name in batch_axis.valid_values:
            reads_inputs = set(call.sources) <= network.inputs.keys()
            if batch_axis.is_null:
                help = batch_axis.text
            elif reads_inputs and help == REMOVE_AXES_HELP:
                help = f"{batch_axis.text}; or {help}"
        report.add(error.code, call.path, f"{subject} {error.message}", help=help, notes=notes)


class _BatchAxisHelp(NamedTuple):
    """A help text for shapes that seem to contain the batch axis, and the values whose shapes are valid without it."""

    text: str
    valid_values: Collection[str]
    is_null: bool = True
    """Whether that axis is null, not a number."""


_NO_BATCH_AXIS_HELP = _BatchAxisHelp("", ())


def _batch_axis_help(network: Network) -> _BatchAxisHelp:
    """Help for shapes that begin with null or a number, which may stand for the batch axis.

    There is none unless all inputs begin with the same.
    """
    document: Any = network.flat_document or {}
    written = document.get("inputs", {})
    first_sizes = [written[name]["shape"][:1] if name in written else [] for name in network.inputs]
    if not first_sizes or not first_sizes[0] or any(sizes != first_sizes[0] for sizes in first_sizes):
        return _NO_BATCH_AXIS_HELP
    size = first_sizes[0][0]
    if isinstance(size, str):
        return _NO_BATCH_AXIS_HELP
    inputs = {name: TensorType(type.dtype, (BATCH, *type.shape[2:])) for name, type in network.inputs.items()}
    typed = infer_shapes(replace(network, inputs=inputs, flat_document=None), Report())
    subject = "the null" if size is None else f"the {size}"
    where = f"the shape of {short_name(next(iter(inputs), ''))}"
    text = f"shapes leave out the batch axis: if {subject} in {where} stands for it, remove it"
    return _BatchAxisHelp(text, typed.types, size is None)
