"""Tells which nodes of a spec's graphs, or of a model, a provider has no kernel for."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from ..backend import to_model_proto
from ..core.diagnostics import CompileError, Diagnostic, UsageError, path_text
from ..core.files import open_file
from ..ir import Graph, with_vocabularies
from ..ir.label_encoder import unlearned_states
from ..runtime.session import MODEL_FILE
from ..targets import PROVIDERS_WITH_TABLES, KernelTable, Placement, kernel_table, place_nodes
from .check import CheckedSpec, Spec, check_spec
from .graphs import inference_graph
from .plan_training import plan_training
from .target_forms import write_for_target
from .trained_model import spec_from_metadata


def tables_of(provider: str | None) -> list[KernelTable]:
    """The table of a provider, or all tables. Raises UsageError `no-kernel-table` for a provider without one."""
    if provider is not None and provider not in PROVIDERS_WITH_TABLES:
        raise UsageError(
            "no-kernel-table",
            f"jsonnx has no table of the kernels of {provider!r}",
            f"there are tables of {', '.join(PROVIDERS_WITH_TABLES)}",
        )
    return [kernel_table(name) for name in PROVIDERS_WITH_TABLES if provider in (None, name)]


def placements(
    spec_or_model: Spec, tables: Sequence[KernelTable], changes: Sequence[str] = (), scale: str | None = None
) -> list[dict[str, Placement]]:
    """For each table the placement of a model, or of a spec's inference model and of its training step if it has one,
    both in the form of `compile --for` the provider, by title.

    Raises CompileError for an invalid spec or model.
    """
    model = _read_model(spec_or_model)
    if model is not None:
        paths = _source_paths_in_model(model)
        return [{"model": _with_source_paths(place_nodes(model, table), paths)} for table in tables]
    checked = check_spec(spec_or_model, changes=changes, scale=scale)
    graphs, paths = _graphs(checked), _source_paths(checked)
    return [
        {title: _with_source_paths(_place_graph(graph, table), paths) for title, graph in graphs.items()}
        for table in tables
    ]


def _graphs(checked: CheckedSpec) -> dict[str, Graph]:
    """The plain graphs of a spec by title."""
    checked.require()
    graphs = {"inference model": inference_graph(checked)}
    if checked.objective is not None:
        graphs["training step"] = plan_training(checked).train
    return {title: _with_vocabularies(graph) for title, graph in graphs.items()}


def _place_graph(graph: Graph, table: KernelTable) -> Placement:
    return place_nodes(to_model_proto(write_for_target(graph, table.provider)), table)


def _source_paths_in_model(model: onnx.ModelProto) -> dict[str, str]:
    """The source paths by the spec in a model; empty if it has none that is valid."""
    text = next((entry.value for entry in model.metadata_props if entry.key == "jsonnx.spec"), "")
    try:
        return _source_paths(check_spec(spec_from_metadata(text)))
    except CompileError:
        return {}


def _source_paths(checked: CheckedSpec) -> dict[str, str]:
    """The paths of layers in the spec, by those in the flat document; for a block of the library, that of its use."""
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


def _read_model(spec_or_model: Spec) -> onnx.ModelProto | None:
    """The model of a file or a RUN folder; None for a spec."""
    if not isinstance(spec_or_model, str):
        return None
    path = Path(spec_or_model) / MODEL_FILE if os.path.isdir(spec_or_model) else Path(spec_or_model)
    if path.suffix.lower() != ".onnx":
        return None
    with open_file(path) as file:
        data = file.read()
    try:
        return onnx.load_model_from_string(data)
    except Exception as error:  # protobuf's errors have no base class that onnx documents
        raise CompileError([Diagnostic("bad-model", "not a readable ONNX model", file=str(path))]) from error
