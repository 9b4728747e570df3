"""Two specs compared, wherever they are: files, models that hold them, RUN folders."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..core.diagnostics import CompileError, JsonPath, UsageError
from ..diff import Comparison, Cost, Side, compared
from ..interop.model_info import inspected
from ..lowering.cost import cost_table
from ..runtime.run_folder import MODEL, SPEC
from .check import Checked, check
from .graphs import inference_graph


def compare(old: str, new: str) -> Comparison:
    """What changed from a spec to another. Raises CompileError where one is wrong, UsageError where one is missing."""
    return compared(_side(checked_from(old)), _side(checked_from(new)))


def checked_from(where: str | os.PathLike[str]) -> Checked:
    """The spec of a file (standard input for `-`), of a model that jsonnx compiled, or of a RUN folder."""
    path = Path(where)
    if os.path.isdir(path):
        model, spec = path / MODEL, path / SPEC
        if not model.exists() and not spec.exists():
            help = "a RUN folder is what `jsonnx train -o RUN` writes"
            raise UsageError("unreadable-file", f"{str(path)!r} is no RUN folder", help)
        return _of_model(model) if model.exists() else check(spec)
    return _of_model(path) if path.suffix.lower() == ".onnx" else check(os.fspath(where) if str(where) == "-" else path)


def _of_model(path: Path) -> Checked:
    """A model's own spec; what is wrong with it is wrong with the model's file."""
    value = inspected(path).spec.value
    try:
        checked = check(value)  # type: ignore[arg-type]
        checked.sound  # noqa: B018 (raises)
    except CompileError as error:
        raise CompileError([replace(fault, file=str(path)) for fault in error.diagnostics]) from error
    return checked


def _side(checked: Checked) -> Side:
    typed = checked.sound
    graph = inference_graph(checked)
    rows = cost_table(typed, graph)
    weights = {**graph.parameters, **graph.states}.items()
    return Side(
        typed,
        _given_names(checked),
        {row.name: Cost(row.parameters, row.macs) for row in rows},
        {name: tuple(size for size in value.shape if isinstance(size, int)) for name, value in weights},
    )


def _given_names(checked: Checked) -> frozenset[str]:
    """The names of layers that somebody gave: to the layer, and to every use of a block that it is in."""
    flat = checked.flat
    if flat is None:
        return frozenset()
    found = set()
    for index, entry in enumerate(flat.document["layers"]):
        origin = flat.trace(("layers", index), False)
        places = [origin.path, *(path for path, _ in origin.notes)]
        if "name" in entry and all("name" in _at(checked.source.value, path) for path in places):
            found.add(entry["name"])
    return frozenset(found)


def _at(value: Any, path: JsonPath) -> Any:
    for step in path:
        value = value[step]
    return value
