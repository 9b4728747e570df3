"""Tells which nodes of a spec's graphs, or of a model, a provider has no kernel for."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx

from ..backend import to_model_proto
from ..core.diagnostics import CompileError, Diagnostic, UsageError
from ..core.files import open_file
from ..ir import Graph, with_vocabularies
from ..ir.label_encoder import unlearned_states
from ..passes.gelu_as_erf import write_gelu_as_erf
from ..runtime.session import MODEL_FILE
from ..targets import PROVIDERS_WITH_TABLES, KernelTable, Placement, kernel_table, place_nodes
from .check import check_spec
from .graphs import inference_graph
from .plan_training import plan_training


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
    spec_or_model: str, table: KernelTable, changes: Sequence[str] = (), scale: str | None = None
) -> dict[str, Placement]:
    """The placement of a model, or of a spec's inference model and of its training step if it has one, by title.

    Raises CompileError for an invalid spec or model.
    """
    return {title: place_nodes(model, table) for title, model in _models(spec_or_model, changes, scale).items()}


def _models(spec_or_model: str, changes: Sequence[str], scale: str | None) -> dict[str, onnx.ModelProto]:
    path = Path(spec_or_model) / MODEL_FILE if os.path.isdir(spec_or_model) else Path(spec_or_model)
    if path.suffix.lower() == ".onnx":
        return {"model": _read_model(path)}
    checked = check_spec(spec_or_model, changes=changes, scale=scale)
    checked.require()
    graphs = {"inference model": inference_graph(checked)}
    if checked.objective is not None:
        graphs["training step"] = plan_training(checked).train
    return {title: to_model_proto(write_gelu_as_erf(_with_vocabularies(graph))) for title, graph in graphs.items()}


def _with_vocabularies(graph: Graph) -> Graph:
    """The graph with a vocabulary of one token where none is learned yet: the kernels do not depend on the tokens."""
    tokens = {"string": np.array(["token"], object), "int64": np.array([1])}
    return with_vocabularies(graph, {name: tokens[state.dtype] for name, state in unlearned_states(graph).items()})


def _read_model(path: Path) -> onnx.ModelProto:
    with open_file(path) as file:
        data = file.read()
    try:
        return onnx.load_model_from_string(data)
    except Exception as error:  # protobuf's errors have no base class that onnx documents
        raise CompileError([Diagnostic("bad-model", "not a readable ONNX model", file=str(path))]) from error
