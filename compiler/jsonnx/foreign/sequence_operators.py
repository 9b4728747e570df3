"""Sequences of tensors of a known length, as exporters write them around a split: they are emitted as their tensors."""

from __future__ import annotations

from collections.abc import Sequence

import onnx

from ..core.types import ShapeError
from ..ir import Value
from .graph_emitter import EmitOperator, GraphEmitter
from .tensors import attributes_of
from .unreadable_graph import UNSUPPORTED, node_text

MAX_SEQUENCE_TENSORS = 4096


def _construct(e: GraphEmitter, node: onnx.NodeProto) -> Sequence[Value]:
    e.sequences[node.output[0]] = [e.value(name) for name in node.input]
    return ()


def _split(e: GraphEmitter, node: onnx.NodeProto) -> Sequence[Value]:
    """Parts of equal or of listed sizes along an axis of a known size."""
    x, attributes = e.value(node.input[0]), attributes_of(node)
    axis = attributes.get("axis", 0) % x.rank
    size = x.shape[axis]
    has_sizes = len(node.input) > 1 and bool(node.input[1])
    known = e.known(node.input[1]) if has_sizes else None
    if not isinstance(size, int) or (has_sizes and known is None):
        raise _unknown_length(node)
    if known is None and size > MAX_SEQUENCE_TENSORS:
        raise _unknown_length(node)
    part = 1 if known is None else int(known.reshape(-1)[0])
    if known is not None and known.ndim:
        sizes = [int(each) for each in known]
    else:
        if part < 1 or size // part > MAX_SEQUENCE_TENSORS:
            raise _unknown_length(node)
        sizes = [min(part, size - start) for start in range(0, size, part)]
    parts = e.emit_operator("Split", [x, sizes], {"axis": axis}, len(sizes))
    if not has_sizes and not attributes.get("keepdims", 1):
        parts = tuple(e.g.Squeeze(each, [axis]) for each in parts)
    e.sequences[node.output[0]] = list(parts)
    return ()


def _at(e: GraphEmitter, node: onnx.NodeProto) -> Sequence[Value]:
    index = e.known(node.input[1])
    if index is None or node.input[0] not in e.sequences:
        raise _unknown_length(node)
    return (e.sequences[node.input[0]][int(index.reshape(-1)[0])],)


def _concatenate(e: GraphEmitter, node: onnx.NodeProto) -> Sequence[Value]:
    attributes = attributes_of(node)
    if node.input[0] not in e.sequences:
        raise _unknown_length(node)
    parts, axis = e.sequences[node.input[0]], attributes["axis"]
    if attributes.get("new_axis", 0):
        parts = [e.g.Unsqueeze(part, [axis]) for part in parts]
    return e.emit_operator("Concat", parts, {"axis": axis})


def _unknown_length(node: onnx.NodeProto) -> ShapeError:
    message = f"cannot have {node_text(node.op_type, node.name)}: the length of its sequence is not known, or too large"
    return ShapeError(message, "export the model without it", code=UNSUPPORTED)


SEQUENCE_OPERATORS: dict[str, EmitOperator] = {
    "ConcatFromSequence": _concatenate,
    "SequenceAt": _at,
    "SequenceConstruct": _construct,
    "SplitToSequence": _split,
}
