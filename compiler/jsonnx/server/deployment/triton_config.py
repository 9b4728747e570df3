"""The configuration of a model in Triton's model repository: `config.pbtxt`, a message of Protocol Buffers as text."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence

from ...backend import package_version
from ...core.diagnostics import CompileError, Diagnostic
from ...core.types import TensorType
from ...pipeline.compile.output_classes import ClassKind
from ..protocol.datatypes import TRITON_TYPES
from .exported_model import ExportedModel

MAX_BATCH_ROWS = 64
"""The samples that Triton may put in a batch, where samples do not meet."""

NOT_FOR_TRITON_HELP = "Triton takes tensors of numbers, truth values and strings without an axis of size 0"


def config_text(model: ExportedModel, labels: Mapping[str, str], warmup: Mapping[str, Sequence[int]] | None) -> str:
    """The text of `config.pbtxt`. `labels` are the names of labels files by output, and `warmup` the shapes of the
    inputs for one sample, with its batch axis."""
    types = {**model.session.inputs, **model.session.random_inputs}
    has_batches = model.batching.is_allowed
    lines = [
        f"# Written by jsonnx {package_version()}.",
        f"name: {_quoted(model.name)}",
        'backend: "onnxruntime"',
        f"# {model.batching.reason[:1].upper()}{model.batching.reason[1:]}.",
        f"max_batch_size: {MAX_BATCH_ROWS if has_batches else 0}",
        *(["dynamic_batching { }"] if has_batches else []),
        *_tensors("input", types, has_batches, model, {}),
        *_tensors("output", model.session.outputs, has_batches, model, labels),
        "# intra_op_thread_count 0: an instance uses all cores. Of several instances, give each its part of them.",
        "instance_group [ { count: 1 } ]",
        'parameters { key: "intra_op_thread_count" value { string_value: "0" } }',
        *(_warmup(warmup, types, has_batches) if warmup is not None else []),
    ]
    return "\n".join(lines) + "\n"


def require_types(model: ExportedModel) -> None:
    """Raises CompileError `not-exportable` for inputs and outputs that Triton cannot serve."""
    inputs = model.session.inputs | model.session.random_inputs
    named = [
        *(("input", *item) for item in inputs.items()),
        *(("output", *item) for item in model.session.outputs.items()),
    ]
    for kind, name, type in named:
        if type.dtype not in TRITON_TYPES or 0 in type.shape:
            message = f"the {kind} {name!r} is {type}, which Triton cannot serve"
            raise CompileError([Diagnostic("not-exportable", message, file=str(model.file), help=NOT_FOR_TRITON_HELP)])


def _tensors(
    kind: str, types: Mapping[str, TensorType], has_batches: bool, model: ExportedModel, labels: Mapping[str, str]
) -> Iterator[str]:
    """The entries of inputs or outputs."""
    yield f"{kind} ["
    for index, (name, type) in enumerate(types.items()):
        dims = _dims(type, has_batches)
        yield "  {"
        yield f"    name: {_quoted(name)}"
        yield f"    data_type: {TRITON_TYPES[type.dtype]}"
        yield f"    dims: [ {', '.join(map(str, dims or [1]))} ]"
        if not dims and has_batches:  # a scalar for each sample
            yield "    reshape: { shape: [ ] }"
        if name in labels and has_batches:  # otherwise Triton takes all samples of a request for one
            yield f"    label_filename: {_quoted(labels[name])}"
            yield from _threshold_comment(model, name)
        yield "  }" if index == len(types) - 1 else "  },"
    yield "]"


def _threshold_comment(model: ExportedModel, output: str) -> Iterator[str]:
    """A line that says how the classes follow, if that is not the largest number, as Triton's classification takes."""
    item = model.classes[output]
    if item.kind is ClassKind.BINARY:
        otherwise, above = map(_quoted, item.labels)
        yield f"    # The class is {above} if the number exceeds {item.cut!r}, else {otherwise}."
    elif item.kind is ClassKind.MULTI_LABEL:
        cuts = item.cut if isinstance(item.cut, tuple) else (item.cut,)
        yield f"    # All classes hold whose numbers exceed {', '.join(map(repr, cuts))}."


def _dims(type: TensorType, has_batches: bool) -> list[int]:
    """The sizes of an input or output, of one sample if there are batches; -1 for one that varies."""
    sizes = type.shape[1:] if has_batches else type.shape
    return [size if isinstance(size, int) else -1 for size in sizes]


def _warmup(shapes: Mapping[str, Sequence[int]], types: Mapping[str, TensorType], has_batches: bool) -> Iterator[str]:
    """A request of one sample, which Triton runs before the model is ready."""
    yield "model_warmup ["
    yield "  {"
    yield '    name: "one sample"'
    yield "    batch_size: 1"
    for name, shape in shapes.items():
        dims = list(shape[1:] if has_batches else shape) or [1]
        sizes, dtype = ", ".join(map(str, dims)), TRITON_TYPES[types[name].dtype]
        yield "    inputs {"
        yield f"      key: {_quoted(name)}"
        yield f"      value {{ data_type: {dtype} dims: [ {sizes} ] zero_data: true }}"
        yield "    }"
    yield "  }"
    yield "]"


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
