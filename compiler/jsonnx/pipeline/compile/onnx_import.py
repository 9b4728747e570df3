"""Imports ONNX files as specs with an OnnxModel, and perhaps another head."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from ...core.diagnostics import CompileError, Diagnostic, JsonPath, Report, UsageError, quoted_list
from ...core.files.files import UnsafePath, open_beneath, open_file
from ...core.types import TensorType
from ...foreign.classifier import features_of
from ...foreign.loss_output import LossOutput, loss_output
from ...foreign.prepared_graph import ForeignInput, PreparedGraph
from ...foreign.unreadable_graph import UnreadableGraph
from ...frontend.json.json_reader import from_value
from ...frontend.text.formatter import format_source
from ...gradient import NOT_DIFFERENTIABLE, RULES
from ...gradient.registry import FLOAT_DTYPES
from ...interop.external_weights import weights_folder
from ...interop.model_info import inspect_model
from ...lowering.lower import lower
from ..check.check import check_spec
from ..check.onnx_files import DIGEST_KEY, FILE_KEY, GRAPH_KEY, ONNX_MODEL, OnnxFile, read_onnx_file
from .classifier_head import with_classifier

if TYPE_CHECKING:
    import numpy as np

    from ...ir import Value

LAYER_NAME, LOSS_LAYER_NAME = "net", "model_loss"
OPTIMIZER = {"type": "adam", "learning_rate": 0.001}
MAX_NODES_SHOWN = 3


@dataclass(frozen=True)
class ImportedOnnx:
    """An ONNX file as a spec."""

    spec: dict[str, Any]
    """The spec, with the graph of the file unless it is one of jsonnx' own."""
    file: OnnxFile | None
    """The prepared file; None for a model that jsonnx wrote."""
    loss: str | None = None
    """The output of the file that the spec trains as the loss."""
    notices: tuple[Diagnostic, ...] = ()
    """Warnings: operators without a gradient."""

    def text(self, file: str) -> str:
        """The spec in its canonical form, with the name of the file in place of its graph."""
        layers = [
            {**{k: v for k, v in entry.items() if k not in (GRAPH_KEY, DIGEST_KEY)}, FILE_KEY: file}
            if entry.get("type") == ONNX_MODEL and self.file is not None
            else entry
            for entry in self.spec["layers"]
        ]
        return format_source(from_value({**self.spec, "layers": layers}))

    def weights(self) -> dict[str, np.ndarray] | None:
        """The weights of the file by name; None for a model that jsonnx wrote."""
        return None if self.file is None else {f"{LAYER_NAME}/{n}": array for n, array in self.file.model.arrays()}


def from_onnx(
    path: str | os.PathLike[str], head: Mapping[str, int] | None = None, loss: str | None = None
) -> tuple[dict[str, Any], dict[str, np.ndarray] | None]:
    """Imports an ONNX file of any program: its network is the layer `net`.

    Returns the spec, which has the graph of the file and needs no file, and the weights by name. With `head`, such as
    `{"kind": 5}`, a new layer of this name and number of classes takes the place of the last layer with weights, and
    the spec trains it alone. `loss` names the value of the file that training minimizes, computed from labels that are
    an input; an output that is a single number is recognized. The model needs no labels.

    Of a model that jsonnx compiled, the spec is its own, and the weights are None. Raises CompileError for a file that
    cannot be read or has operators that a network cannot have, UsageError for a missing file.
    """
    imported = import_onnx(path, head, loss)
    return imported.spec, imported.weights()


def import_onnx(
    path: str | os.PathLike[str], head: Mapping[str, int] | None = None, loss: str | None = None
) -> ImportedOnnx:
    """As `from_onnx`, with the prepared file and warnings."""
    info = inspect_model(path, verify=False)
    if info.has_spec:
        if head is not None or loss is not None:
            help = "import it without, and write the layer into the spec"
            raise UsageError("bad-option", f"{os.fspath(path)!r} is a model of jsonnx, which has its own spec", help)
        own_spec: Any = info.spec.value
        return ImportedOnnx(own_spec, None)
    if head is not None and loss is not None:
        raise UsageError("bad-option", "a new head has a loss of its own", "leave out --loss, or --head")
    file = _read(os.fspath(path))
    graph = file.model.graph
    try:
        text, _ = graph.to_text(), graph.inputs
        own_loss = loss_output(graph, loss) if head is None else None
    except UnreadableGraph as error:
        raise CompileError([Diagnostic(error.code, error.message, file=os.fspath(path), help=error.help)]) from error
    recorded = {FILE_KEY: Path(path).name, GRAPH_KEY: text, DIGEST_KEY: file.sha256}
    if own_loss is not None:
        spec = _with_loss(graph, recorded, own_loss)
    else:
        spec = _spec(graph, recorded) if head is None else _with_head(graph, recorded, head)
    loss_name = None if own_loss is None else own_loss.loss
    return ImportedOnnx(spec, file, loss_name, tuple(_without_gradient(spec, graph, os.fspath(path))))


def _read(path: str) -> OnnxFile:
    """The prepared file. Raises CompileError, UsageError."""
    folder = weights_folder(path)

    def open_named(name: str, at: JsonPath) -> IO[bytes]:
        return open_file(path) if name == path else open_beneath(folder, os.path.relpath(name, os.path.dirname(path)))

    try:
        file = read_onnx_file(path, (), open_named, Report())
    except UnreadableGraph as error:
        raise CompileError([Diagnostic(error.code, error.message, file=path, help=error.help)]) from error
    except UnsafePath as error:
        raise CompileError([Diagnostic("unsafe-path", f"its weights: {error}", file=path)]) from error
    assert file is not None
    return file


def _spec(
    graph: PreparedGraph, recorded: Mapping[str, str], outputs: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """A spec whose only layer is the model, with the outputs of the file or with these."""
    inputs = graph.inputs_of(list(outputs.values()) if outputs else graph.output_names)
    names = _input_names(inputs)
    declared = {name: _input_json(each) for name, each in zip(names, inputs, strict=True)}
    source = {"from": names} if len(names) > 1 else {}
    chosen = {"outputs": dict(outputs)} if outputs else {}
    return {"inputs": declared, "layers": [{"type": ONNX_MODEL, "name": LAYER_NAME, **source, **recorded, **chosen}]}


def _with_loss(graph: PreparedGraph, recorded: Mapping[str, str], own_loss: LossOutput) -> dict[str, Any]:
    """A spec that trains the model by the loss in its file; its outputs depend on no labels."""
    outputs = _output_names([*own_loss.results, own_loss.loss])
    spec = _spec(graph, recorded, outputs)
    *results, loss_name = outputs
    layers = [*spec["layers"], {"type": "AddLoss", "name": LOSS_LAYER_NAME, "from": f"{LAYER_NAME}.{loss_name}"}]
    named = [LAYER_NAME, *(f"{LAYER_NAME}.{name}" for name in results[1:])]
    return {**spec, "layers": layers, "outputs": named, "training": {"optimizer": OPTIMIZER}}


def _output_names(values: Sequence[str]) -> dict[str, str]:
    """Values of a file by valid names of outputs."""
    names: dict[str, str] = {}
    for value in values:
        base = name = re.sub(r"\W+", "_", value, flags=re.ASCII).strip("_") or "output"
        while name in names:
            name = f"{base}_{len(names)}"
        names[name] = value
    return names


def _input_names(inputs: Sequence[ForeignInput]) -> list[str]:
    names: list[str] = []
    for declared in inputs:
        base = name = re.sub(r"\W+", "_", declared.name, flags=re.ASCII).strip("_") or "x"
        base = name = base if base[0].isalpha() and base != LAYER_NAME else f"input_{base}"
        while name in names:
            name = f"{base}_{len(names)}"
        names.append(name)
    return names


def _input_json(declared: ForeignInput) -> dict[str, Any]:
    sizes = [
        re.sub(r"\W+", "_", size, flags=re.ASCII).strip("_") or None if isinstance(size, str) else size
        for size in declared.shape[1:]
    ]
    shape = [None if isinstance(size, str) and not size[0].isalpha() else size for size in sizes]
    dtype = declared.dtype if declared.dtype in ("bool", "uint8", "int32", "int64") else "int64"
    return {"shape": shape, **({} if "float" in declared.dtype else {"dtype": dtype})}


def _with_head(graph: PreparedGraph, recorded: Mapping[str, str], head: Mapping[str, int]) -> dict[str, Any]:
    """A spec with new layers in place of the last one with weights. Raises CompileError, UsageError."""
    spec = _spec(graph, recorded, {"features": features_of(graph)})
    features = check_spec(spec).require().types[LAYER_NAME]
    return with_classifier({**spec, "layers": [*spec["layers"], *_pooling(features)]}, head, [LAYER_NAME])


def _pooling(features: TensorType) -> list[dict[str, Any]]:
    """The layers between features and a head: ONNX' images have their channels first, its sequences last."""
    if features.rank == 2:
        return []
    if features.rank in (4, 5):
        return [{"type": f"GlobalAveragePooling{features.rank - 2}D", "data_format": "channels_first"}]
    return [{"type": "GlobalAveragePooling1D"} if features.rank == 3 else {"type": "Flatten"}]


def _without_gradient(spec: dict[str, Any], graph: PreparedGraph, file: str) -> Iterator[Diagnostic]:
    """Warnings about operators behind weights that no gradient passes. Raises CompileError for an invalid spec."""
    lowered = lower(check_spec(spec).require())
    active: set[Value | None] = set(lowered.parameters.values())
    counts: Counter[str] = Counter()
    for node in lowered.nodes:
        if node.op in NOT_DIFFERENTIABLE or active.isdisjoint(node.inputs):
            continue
        active.update(y for y in node.outputs if y.dtype in FLOAT_DTYPES)
        counts[node.op] += node.op not in RULES
    for op in sorted(op for op, count in counts.items() if count):
        nodes = [node.name or node.output[0] for node in graph.nodes if node.op_type == op]
        places = f", at {quoted_list(nodes, MAX_NODES_SHOWN)}" if nodes else ""
        message = f"the operator {op} has no gradient: weights before it cannot be trained{places}"
        help = "freeze the layer, or the weights before the operator: `freeze` takes patterns such as net/layer1.*"
        yield Diagnostic("untrained-layers", message, file=file, help=help, severity="warning")
