"""Compares two specs, which may be files, in the metadata of models, or in RUN folders."""

from __future__ import annotations

import os
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from ...analysis.activation_memory import activation_peak
from ...core.diagnostics import CompileError, JsonPath, is_in_library
from ...core.files.files import open_beneath
from ...core.files.run_layout import RunPaths
from ...diff import ComparedNetwork, Comparison, LayerCost, compare_networks
from ...interop.model_info import inspect_model
from ...lowering.cost import cost_table
from ..check.budget import with_budget_sizes
from ..check.check import CheckedSpec, check_spec
from ..compile.graphs import inference_graph
from ..git.git_files import GIT_PREFIX
from ..run_folder.run_info import no_run_folder
from .spec_at_revision import load_spec_at


def compare_specs(old: str, new: str) -> Comparison:
    """Compares two specs, models or runs. Raises CompileError for an invalid one, UsageError for a missing one."""
    return compare_checked_specs(load_checked_spec(old), load_checked_spec(new))


def compare_checked_specs(old: CheckedSpec, new: CheckedSpec) -> Comparison:
    """Compares two specs. Raises CompileError for an invalid one."""
    return compare_networks(_comparison_side(old), _comparison_side(new))


def load_checked_spec(path_or_stdin: str | os.PathLike[str]) -> CheckedSpec:
    """The spec of a file (`-`: standard input), of a file at a Git revision (`git:REF:PATH`), of a model compiled by
    jsonnx, or of a RUN folder."""
    path = Path(path_or_stdin)
    if isinstance(path_or_stdin, str) and path_or_stdin.startswith(GIT_PREFIX) and not path.exists():
        return load_spec_at(path_or_stdin)
    if os.path.isdir(path):
        model, spec = RunPaths(path).model, RunPaths(path).spec
        if not model.exists() and not spec.exists():
            raise no_run_folder(path)
        return _spec_of_model(model) if model.exists() else check_spec(spec)
    if path.suffix.lower() == ".onnx":
        return _spec_of_model(path)
    return check_spec("-" if str(path_or_stdin) == "-" else path)


def _spec_of_model(path: Path) -> CheckedSpec:
    """The spec that a model contains. Its errors are reported for the model's file."""
    value = inspect_model(path, verify=False).spec.value
    try:
        checked = check_spec(
            value,  # type: ignore[arg-type]
            open_named=partial(open_beneath, path.parent),
            accepts_missing_tokenizers=True,
        )
        checked.require()
    except CompileError as error:
        raise CompileError([replace(diagnostic, file=str(path)) for diagnostic in error.diagnostics]) from error
    return checked


def _comparison_side(checked: CheckedSpec) -> ComparedNetwork:
    typed = checked.require()
    graph = inference_graph(checked)
    sized = with_budget_sizes(checked)
    rows = cost_table(sized.require(), graph if sized is checked else inference_graph(sized))
    peak = activation_peak(sized.require())
    weights = {**graph.parameters, **graph.states}.items()
    return ComparedNetwork(
        typed,
        _explicit_layer_names(checked),
        {row.name: LayerCost(row.parameters, row.macs.constant) for row in rows},
        {name: tuple(size for size in value.shape if isinstance(size, int)) for name, value in weights},
        peak.total if peak else None,
    )


def _explicit_layer_names(checked: CheckedSpec) -> frozenset[str]:
    """The names of layers that the user wrote: for the layer, and for each use of a block around it.

    The library's blocks have a name on every layer.
    """
    flat = checked.flat
    if flat is None:
        return frozenset()
    names = set()
    for index, entry in enumerate(flat.document["layers"]):
        origin = flat.source_map(("layers", index), False)
        places = [path for path in (origin.path, *(path for path, _ in origin.notes)) if not is_in_library(path)]
        if "name" in entry and all("name" in _value_at(checked.source.value, path) for path in places):
            names.add(entry["name"])
    return frozenset(names)


def _value_at(value: Any, path: JsonPath) -> Any:
    for step in path:
        value = value[step]
    return value
