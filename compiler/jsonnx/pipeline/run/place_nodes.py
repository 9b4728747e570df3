"""Tells which nodes of a spec's graphs, or of a model, a provider leaves to the CPU, and what that costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx

from ...backend import serialize, to_model_proto
from ...core.diagnostics import CompileError, Diagnostic, UsageError, path_text
from ...core.files.loadable_model import LoadableModel
from ...core.providers.known_providers import CPU, providers_of_auto, providers_with_kernel_table
from ...core.types import BATCH
from ...ir import Graph, with_vocabularies
from ...ir.label_encoder import unlearned_states
from ...passes.gelu_as_erf import write_gelu_as_erf
from ...placement import (
    SESSION,
    KernelTable,
    PlacedModel,
    Placement,
    ProviderPlacement,
    copied_tensors,
    kernel_table,
    place_assigned,
    place_nodes,
)
from ...runtime.providers.assignment import assignment, usable_provider
from ...runtime.providers.providers import Provider, find_provider, runtime_version
from ...runtime.providers.static_shapes import has_dynamic_kernels, set_sizes
from ...runtime.session.load_model import loadable_model, model_file
from ..check.check import CheckedSpec, Spec, check_spec
from ..compile.graphs import inference_graph
from ..compile.target_forms import write_for_target
from ..train.model_spec import check_spec_of_model
from ..train.plan_training import plan_training


class Subject(NamedTuple):
    """The graph of a spec, or a model, whose nodes are placed."""

    title: str
    content: Graph | onnx.ModelProto
    batch_size: int = 1
    weights_folder: str | None = None


class _ModelFile(NamedTuple):
    """A model, and the folder of the files with weights that it names."""

    proto: onnx.ModelProto
    folder: str | None


@dataclass(frozen=True)
class _TitledModel:
    title: str
    proto: onnx.ModelProto
    batch_size: int = 1
    needs_static_shapes: bool = False
    weights_folder: str | None = None


def placements(
    spec_or_model: Spec, provider: str | None = None, changes: Sequence[str] = (), scale: str | None = None
) -> list[ProviderPlacement]:
    """Where a provider, or each provider of which that is known, runs the nodes of a model, or of a spec's inference
    model and of its training step if it has one.

    A provider that starts on this machine is asked, unless its onnxruntime is too old to tell. For others, and without
    `provider` for all that have one, the tables of kernels tell. Raises CompileError for an invalid spec or model,
    UsageError `no-kernel-table` for a provider that is neither here nor has a table.
    """
    automatic = [record.name for record in providers_of_auto() if record.name != CPU]
    names = automatic if provider is None else [find_provider(provider).name]
    subjects, paths = subjects_of(spec_or_model, changes, scale)
    tables = [kernel_table(record.name) for record in providers_with_kernel_table()]
    found = [place_by_table(subjects, table, paths) for table in tables if table and table.provider in names]
    for name in names:
        here = placement_here(subjects, name, paths)
        found += [here] if here is not None else []
    if not found:
        message = f"jsonnx has no table of the kernels of {provider!r}, and it does not run here"
        raise UsageError("no-kernel-table", message, _no_table_help())
    return found


def _no_table_help() -> str:
    names = ", ".join(record.name for record in providers_with_kernel_table())
    runtime = "where onnxruntime 1.24 or later has the provider and it starts, its session tells where nodes run"
    return f"there are tables of {names}; {runtime}"


def place_by_table(subjects: Sequence[Subject], table: KernelTable, paths: Mapping[str, str]) -> ProviderPlacement:
    """Where a provider runs the nodes of models, by its table of kernels."""
    models = [_for_provider(subject, table.provider) for subject in subjects]
    placed = tuple(_placed(model, place_nodes(model.proto, table), paths) for model in models)
    return ProviderPlacement(table.provider, table.runtime_version, table.source, placed)


def placement_here(subjects: Sequence[Subject], provider: str, paths: Mapping[str, str]) -> ProviderPlacement | None:
    """Where a provider runs the nodes of models on this machine; None if it does not start here or does not tell."""
    resolved = usable_provider(provider)
    if resolved is None:
        return None
    table = kernel_table(provider)
    placed = []
    for model in (_for_provider(subject, provider) for subject in subjects):
        if model.needs_static_shapes and resolved.record.needs_static_kernels:
            set_sizes(model.proto, {str(BATCH): model.batch_size})
        on_cpu = _nodes_left_to_cpu(LoadableModel(serialize(model.proto), model.weights_folder), resolved)
        if on_cpu is None:
            return None
        placed.append(_placed(model, place_assigned(model.proto, on_cpu, table), paths))
    return ProviderPlacement(resolved.name, runtime_version(), SESSION, tuple(placed))


def _nodes_left_to_cpu(model: LoadableModel, provider: Provider) -> frozenset[str] | None:
    """The names of the nodes that a provider of this machine leaves to the CPU; None if its onnxruntime does not
    tell."""
    if provider.is_cpu:  # its sessions do not tell
        return frozenset()
    found = assignment(model, provider)
    return None if found is None else found.on_cpu


def _placed(model: _TitledModel, placement: Placement, paths: Mapping[str, str]) -> PlacedModel:
    on_cpu = {missing.name for missing in placement.missing}
    copies = copied_tensors(model.proto, on_cpu, {str(BATCH): model.batch_size})
    return PlacedModel(model.title, _with_source_paths(placement, paths), copies, model.batch_size)


def placement_of_model(model: LoadableModel, provider: Provider) -> Placement | None:
    """Where a provider of this machine runs the nodes of a model; None if its onnxruntime does not tell.

    Raises UsageError if the provider refuses the model.
    """
    if provider.is_cpu:
        return None
    on_cpu = _nodes_left_to_cpu(model, provider)
    if on_cpu is None:
        return None
    proto = onnx.load_model_from_string(model.data)
    placement = place_assigned(proto, on_cpu, kernel_table(provider.name))
    return _with_source_paths(placement, _source_paths_in_model(proto))


def step_placement(checked: CheckedSpec, step: Graph, provider: str) -> ProviderPlacement | None:
    """Where a provider runs the nodes of a training step: as its session tells, or else by its table of kernels; None
    if neither is known."""
    training = checked.network.training
    subject = Subject("training step", step, training.batch_size if training else 1)
    paths = _source_paths(checked)
    here = placement_here([subject], provider, paths)
    table = kernel_table(provider)
    return here if here is not None or table is None else place_by_table([subject], table, paths)


def _for_provider(subject: Subject, provider: str) -> _TitledModel:
    """A graph as a model in the form of `compile --for` a provider; a model as it is."""
    if isinstance(subject.content, onnx.ModelProto):
        return _TitledModel(subject.title, subject.content, weights_folder=subject.weights_folder)
    graph = write_gelu_as_erf(write_for_target(_with_vocabularies(subject.content), provider))
    return _TitledModel(subject.title, to_model_proto(graph), subject.batch_size, has_dynamic_kernels(graph))


def subjects_of(
    spec_or_model: Spec, changes: Sequence[str] = (), scale: str | None = None
) -> tuple[list[Subject], dict[str, str]]:
    """The model of a file or a RUN folder, or the graphs of a spec; and the source paths of their layers."""
    model = _read_model(spec_or_model)
    if model is not None:
        subject = Subject("model", model.proto, weights_folder=model.folder)
        return [subject], _source_paths_in_model(model.proto)
    checked = check_spec(spec_or_model, changes=changes, scale=scale)
    checked.require()
    subjects = [Subject("inference model", inference_graph(checked))]
    if checked.objective is not None:
        plan = plan_training(checked)
        subjects.append(Subject("training step", plan.train, plan.training.batch_size))
    return subjects, _source_paths(checked)


def _source_paths_in_model(model: onnx.ModelProto) -> dict[str, str]:
    """The source paths by the spec in a model; empty if it has none that is valid."""
    text = next((entry.value for entry in model.metadata_props if entry.key == "jsonnx.spec"), "")
    try:
        return _source_paths(check_spec_of_model(text))
    except CompileError:
        return {}


def _source_paths(checked: CheckedSpec) -> dict[str, str]:
    """The paths of layers in the spec, by their paths in the flat document; for a block of the library, the path of its
    use."""
    document: Any = checked.network.flat_document
    flat_paths = [("layers", index) for index in range(len(document["layers"]))]
    return {path_text(path): path_text(checked.source_path(path)) for path in flat_paths}


def _with_source_paths(placement: Placement, paths: Mapping[str, str]) -> Placement:
    missing = tuple(replace(node, path=paths.get(node.path, node.path)) for node in placement.missing)
    return replace(placement, missing=missing)


def _with_vocabularies(graph: Graph) -> Graph:
    """The graph with a vocabulary of one token where none is learned yet: the kernels do not depend on the tokens."""
    tokens = {"string": np.array(["token"], object), "int64": np.array([1])}
    return with_vocabularies(graph, {name: tokens[state.dtype] for name, state in unlearned_states(graph).items()})


def _read_model(spec_or_model: Spec) -> _ModelFile | None:
    """The model of a file or a RUN folder; None for a spec."""
    if not isinstance(spec_or_model, str):
        return None
    path = Path(model_file(spec_or_model))
    if path.suffix.lower() != ".onnx":
        return None
    model = loadable_model(path, verify=False)
    try:
        folder = model.weights if isinstance(model.weights, str) else None
        return _ModelFile(onnx.load_model_from_string(model.data), folder)
    except Exception as error:  # protobuf's errors have no base class that onnx documents
        raise CompileError([Diagnostic("bad-model", "not a readable ONNX model", file=str(path))]) from error
