"""A model whose low-rank adapters are inputs, for programs that change adapters at run time, and its adapter as a file
of onnxruntime."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..backend import ModelWriter, model_metadata, to_model_writer, write_model
from ..core.diagnostics import CompileError, Diagnostic, UsageError
from ..core.files.files import make_folders, refuse_overwrite, write_atomically
from ..core.files.new_folder import refuse_existing
from ..core.files.run_layout import RunPaths, labels_path
from ..core.types import Size, TensorType
from ..frontend.text.formatter import with_ordered_keys
from ..ir import Adapter, Graph, Value
from ..ir.adapter_arrays import unique_adapters
from ..ir.cost import count_parameters, onnxruntime_ops
from ..ir.dtypes import tensor_proto
from ..ir.graph import Input
from ..passes.canonicalize import canonicalize
from ..passes.constant_folding import bind_weights
from ..passes.inference import optimize_for_inference
from ..passes.layout import propagate_transposes
from ..passes.low_rank_products import distribute_adapters
from ..runtime.providers.random import draw_initial_weights
from ..runtime.session.adapter_file import adapter_file
from .check.check import CheckedSpec, check_spec
from .compile.adapters import adapted_graph, has_adapters
from .compile.graphs import inference_only
from .compile.initial_weights import Weights, resolve_initial_weights
from .compile.labels_file import labels_json
from .compile.target_forms import write_for_target
from .run.trained_model import TrainedModel

ADAPTER_SUFFIX = ".onnx_adapter"
RANK_AGNOSTIC_OPERATORS = {"MatMul", "Gather", "Transpose"}
"""Operators that take adapters of any rank, also of rank 0."""


@dataclass(frozen=True)
class AdaptableModel:
    """A model with its adapters as inputs, and the trained adapter as a file of onnxruntime."""

    writer: ModelWriter
    adapter: bytes
    labels: bytes | None

    def save(self, path: Path, source: Path, replaces: bool = False) -> list[Path]:
        """Writes the model, `NAME.onnx_adapter` and the labels, each file atomically. Returns the paths of the files.

        Raises UsageError `bad-option`, `file-exists`, `is-an-input`, `unwritable-file`.
        """
        if path.suffix.lower() != ".onnx":
            message = f"-o: {str(path)!r} does not end in .onnx"
            raise UsageError("bad-option", message, f"give {str(path.with_suffix('.onnx'))!r}")
        adapter_path = path.with_suffix(ADAPTER_SUFFIX)
        refuse_overwrite([source], [path, adapter_path, labels_path(path)])
        for file in (path, adapter_path):
            refuse_existing(file, replaces)
        make_folders(path.parent)
        write_atomically(adapter_path, self.adapter, follows_links=False)
        write_model(self.writer, path, self.labels)
        return [path, adapter_path]


def export_adaptable_model(source: str, weights: str | None = None, verify: bool = True) -> AdaptableModel:
    """The model of a RUN folder, or of a spec with weights, whose adapters are inputs.

    Raises CompileError for a network without adapters or with adapters that cannot be inputs, UsageError.
    """
    path = Path(source)
    if RunPaths(path).run_info.exists():
        run = TrainedModel.open(path, verify=verify)
        return adaptable_model(run.checked, weights or RunPaths(path).weights, verify)
    return adaptable_model(check_spec(source), weights, verify)


def adaptable_model(checked: CheckedSpec, weights: Weights, verify: bool = True) -> AdaptableModel:
    """The model of a checked spec. An adapter's factor is part of its B, so that adapters may have any rank.

    Raises as `export_adaptable_model`.
    """
    typed = checked.require()
    if not has_adapters(typed.network):
        _refuse(checked, "the network has no adapters", 'name the weights: "training": {"lora": {"weights": [...]}}')
    lowered = adapted_graph(checked)
    scales = {adapter.weight.name: adapter.scale for adapter in lowered.adapters.values()}
    unscaled = {value: adapter._replace(scale=1.0) for value, adapter in lowered.adapters.items()}
    distributed = distribute_adapters(replace(lowered, adapters=unscaled))
    _require_inputs(checked, distributed, unscaled)
    graph = inference_only(propagate_transposes(distributed), typed.network)
    types = {name: value.type for name, value in {**graph.parameters, **graph.states}.items()}
    given, _ = resolve_initial_weights(checked, types, weights, verify=verify)
    arrays = draw_initial_weights(graph, checked.seed(None), given)
    adapters = unique_adapters(replace(graph, adapters=unscaled))
    ranks = _input_ranks(distributed, adapters)
    bound = optimize_for_inference(canonicalize(bind_weights(_with_inputs(graph, adapters, ranks), arrays)))
    bound = write_for_target(bound, "cpu")
    document = with_ordered_keys(typed.network.document)
    metadata = model_metadata(typed, document, count_parameters(graph, set()), onnxruntime_ops(bound), {}, {}, {})
    writer = to_model_writer(bound, name=typed.network.name, metadata=metadata)
    adapter_arrays: dict[str, np.ndarray] = {}
    for adapter in adapters:
        adapter_arrays[adapter.a.name] = arrays[adapter.a.name]
        adapter_arrays[adapter.b.name] = arrays[adapter.b.name] * np.float32(scales[adapter.weight.name])
    labels = labels_json(checked, {})
    return AdaptableModel(
        _with_empty_adapters(writer, adapters, ranks).with_digests(), adapter_file(adapter_arrays), labels
    )


def _require_inputs(checked: CheckedSpec, graph: Graph, adapters: dict[Value, Adapter]) -> None:
    """Raises CompileError for an adapter with a magnitude, and one of a weight that no product can be distributed
    over."""
    for adapter in adapters.values():
        if adapter.magnitude is not None:
            help = "export the merged model: `jsonnx compile`, or the RUN folder's model.onnx"
            _refuse(checked, f"the adapter of {adapter.weight.name!r} has a magnitude (DoRA)", help)
    read = {x for node in graph.nodes for x in node.inputs} | {*graph.outputs.values()}
    for value, adapter in adapters.items():
        if value in read:
            message = (
                f"the adapter of {adapter.weight.name!r} cannot be an input: its weight is read by more than products"
            )
            _refuse(checked, message, "leave the weight out of `lora`, or export the merged model")


def _refuse(checked: CheckedSpec, message: str, help: str) -> None:
    raise CompileError([Diagnostic("not-exportable", message, "$.training.lora", checked.source.file, help=help)])


def _input_ranks(graph: Graph, adapters: tuple[Adapter, ...]) -> dict[str, int | Size]:
    """The rank of each adapter as an input, by the name of its weight: any, but fixed for convolutions and Einsum."""
    ranks: dict[str, int | Size] = {}
    for adapter in adapters:
        operators = {node.op for node in graph.nodes if adapter.a in node.inputs or adapter.b in node.inputs}
        is_any = operators <= RANK_AGNOSTIC_OPERATORS
        ranks[adapter.weight.name] = Size.named(f"{adapter.weight.name}.rank") if is_any else adapter.a.shape[1]
    return ranks


def _with_inputs(graph: Graph, adapters: tuple[Adapter, ...], ranks: Mapping[str, int | Size]) -> Graph:
    """The graph whose adapters are inputs of these ranks."""
    inputs: dict[Value, Input] = {}
    for adapter in adapters:
        rank = ranks[adapter.weight.name]
        for weight, shape in ((adapter.a, (adapter.a.shape[0], rank)), (adapter.b, (rank, adapter.b.shape[1]))):
            inputs[graph.parameters[weight.name]] = Input(weight.name, TensorType(weight.dtype, shape))
    names = {value.name for value in inputs.values()}
    nodes = [node.with_inputs([None if x is None else inputs.get(x, x) for x in node.inputs]) for node in graph.nodes]
    parameters = {name: weight for name, weight in graph.parameters.items() if name not in names}
    all_inputs = {**graph.inputs, **{value.name: value for value in inputs.values()}}
    return replace(graph.with_nodes(nodes, {}), inputs=all_inputs, parameters=parameters, adapters={})


def _with_empty_adapters(
    writer: ModelWriter, adapters: tuple[Adapter, ...], ranks: Mapping[str, int | Size]
) -> ModelWriter:
    """The model in which adapters that are not given change nothing: they have the rank 0, or are zeros."""
    import onnx

    model = onnx.ModelProto()
    model.CopyFrom(writer.model)
    for adapter in adapters:
        rank = ranks[adapter.weight.name]
        rank = rank if isinstance(rank, int) else 0
        for weight, shape in ((adapter.a, (adapter.a.shape[0], rank)), (adapter.b, (rank, adapter.b.shape[1]))):
            model.graph.initializer.append(tensor_proto(np.zeros(shape, np.float32), weight.name))
    arrays: list[Any] = [*writer.arrays, *[None] * (2 * len(adapters))]
    return replace(writer, model=model, arrays=arrays)
