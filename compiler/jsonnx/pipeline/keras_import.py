"""Keras files as specs and weights: opened, translated, checked.

What comes out is a sound spec: it passed the same check as any other, and what is wrong with it is told at its place in
the Keras file.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ..core.diagnostics import CompileError, Diagnostic, UsageError
from ..frontend.formatter import formatted
from ..frontend.json_reader import from_value
from ..frontend.network import Network
from ..interop.keras import Imported, KerasFile, matched, open_keras, read_model
from .check import Checked, check
from .graphs import forward

if TYPE_CHECKING:
    import numpy as np

PathOrText = str | os.PathLike[str]


@dataclass(frozen=True)
class Import:
    """A model of Keras as a spec."""

    spec: dict[str, Any]
    weights: Mapping[str, np.ndarray] | None
    origin: str
    """Which Keras wrote the file."""
    notices: tuple[Diagnostic, ...]
    """What is not as in Keras, and what was left out: warnings."""

    @property
    def text(self) -> str:
        """The spec in its canonical form."""
        return formatted(from_value(self.spec))


def from_keras(
    path_or_text: PathOrText, weights: str | os.PathLike[str] | None = None
) -> tuple[dict[str, Any], Mapping[str, np.ndarray] | None]:
    """The spec and the weights, if there are any, of a Keras model: a path, or the text of `model.to_json()`.

    `weights` is a file of them beside the JSON, as `model.save_weights()` writes it.
    Raises CompileError with everything that cannot be said in a spec, UsageError where there is no such file.
    """
    found = imported(path_or_text, weights)
    return found.spec, found.weights


def imported(path_or_text: PathOrText, weights: str | os.PathLike[str] | None = None, *, fold: bool = True) -> Import:
    """As `from_keras`, with what there is to know of the file. Unless folded, the spec has no blocks."""
    file = open_keras(path_or_text)
    return translated(file if weights is None else _with_weights(file, os.fspath(weights)), fold=fold)


def _with_weights(file: KerasFile, name: str) -> KerasFile:
    """A model's JSON with the weights of another file. Raises CompileError, UsageError."""
    if file.form != "json":
        help = "a file of weights goes with the JSON of model.to_json()"
        raise UsageError("bad-option", f"{file.file!r} is no model's JSON", help)
    beside = open_keras(name)
    if beside.weights is None:
        raise CompileError([Diagnostic("keras-no-weights", "there are no weights in this file", file=name)])
    return replace(file, weights=beside.weights, weights_file=name, notices=(*file.notices, *beside.notices))


def translated(file: KerasFile, *, fold: bool = True) -> Import:
    """The same of a file that is open already."""
    if file.source is None:
        help = "compile and train take such a file as --weights; import needs a .keras file, or an .h5 file of a model"
        raise CompileError(
            [Diagnostic("keras-no-model", "this file has weights and no model", "$", file.file, help=help)]
        )
    text = file.form == "json"  # in an archive a line would be one of a file that nobody sees
    model, checked = _sound(read_model(file.source, file.version, file.training, file.assets, positions=text))
    notices = [*file.notices]
    weights = None
    if file.weights is not None:
        weights, told = _weights(file, model, checked)
        notices += told
    spec = _folded(model, checked) if fold else model.spec
    return Import(spec, weights, str(model.dialect), (*notices, *model.notices))


def _sound(model: Imported) -> tuple[Imported, Checked]:
    """The model, whose spec is sound; how it is trained is left out where that does not fit what it computes."""
    checked = check(model.spec)
    errors = [fault for fault in checked.diagnostics if fault.severity == "error"]
    common = model.with_common_sizes() if any(fault.code == "shape-mismatch" for fault in errors) else None
    if common is not None and check(common.spec).typed is not None:
        common.tell_common_sizes()
        return _sound(common)
    if errors and model.training is not None and all(fault.path.startswith("$.training") for fault in errors):
        return _sound(model.without_training(errors[0].message))
    model.report.retell(errors, model.origin)
    model.report.raise_errors()
    return model, checked


def _folded(model: Imported, checked: Checked) -> dict[str, Any]:
    """The spec in blocks, where it means the very same."""
    for spec in model.folded():
        written_out = check(spec).typed
        if written_out is not None and _same(written_out.network, checked.network):
            return spec
    return model.spec


def _same(one: Network, other: Network) -> bool:
    """Whether two networks have the same calls by the same names, and the same ends."""
    calls = [{call.name: (call.layer, call.sources, call.owner) for call in each.calls} for each in (one, other)]
    return calls[0] == calls[1] and one.inputs == other.inputs and one.outputs == other.outputs


def _weights(file: KerasFile, model: Imported, checked: Checked) -> tuple[dict[str, np.ndarray], list[Diagnostic]]:
    """The file's weights by our names. Raises CompileError where one is missing, left over or does not fit."""
    assert file.weights is not None
    graph = forward(checked)
    wanted = {name: weight.type for name, weight in {**graph.parameters, **graph.states}.items()}
    trainable = [name for name, parameter in graph.parameters.items() if parameter.trainable]
    name = file.weights_file or file.file
    result = matched(file.weights, model.owners, wanted, trainable, name)
    faults = result.faults(name)
    if faults:
        raise CompileError(faults)
    return result.arrays, result.notices
