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
from ..frontend.formatter import format_source
from ..frontend.json_reader import from_value
from ..frontend.network import Network
from ..interop.keras import KerasFile, TranslatedModel, match_weights, open_keras, read_model
from .check import CheckedSpec, check_spec
from .graphs import forward_graph

if TYPE_CHECKING:
    import numpy as np

PathOrText = str | os.PathLike[str]


@dataclass(frozen=True)
class ImportedModel:
    """A model of Keras as a spec."""

    spec: dict[str, Any]
    weights: Mapping[str, np.ndarray] | None
    keras_version: str
    """Which Keras wrote the file."""
    notices: tuple[Diagnostic, ...]
    """What is not as in Keras, and what was left out: warnings."""

    @property
    def text(self) -> str:
        """The spec in its canonical form."""
        return format_source(from_value(self.spec))


def from_keras(
    path_or_text: PathOrText, weights: str | os.PathLike[str] | None = None
) -> tuple[dict[str, Any], Mapping[str, np.ndarray] | None]:
    """The spec and the weights, if there are any, of a Keras model: a path, or the text of `model.to_json()`.

    `weights` is a file of them beside the JSON, as `model.save_weights()` writes it.
    Raises CompileError with everything that cannot be said in a spec, UsageError where there is no such file.
    """
    found = import_keras(path_or_text, weights)
    return found.spec, found.weights


def import_keras(
    path_or_text: PathOrText, weights: str | os.PathLike[str] | None = None, *, fold: bool = True
) -> ImportedModel:
    """As `from_keras`, with what there is to know of the file. Unless folded, the spec has no blocks."""
    file = open_keras(path_or_text)
    return import_open_file(file if weights is None else _with_weights(file, os.fspath(weights)), fold=fold)


def _with_weights(file: KerasFile, name: str) -> KerasFile:
    """A model's JSON with the weights of another file. Raises CompileError, UsageError."""
    if file.file_format != "json":
        help = "a file of weights goes with the JSON of model.to_json()"
        raise UsageError("bad-option", f"{file.file!r} is no model's JSON", help)
    beside = open_keras(name)
    if beside.weights is None:
        raise CompileError([Diagnostic("keras-no-weights", "there are no weights in this file", file=name)])
    return replace(file, weights=beside.weights, weights_file=name, notices=(*file.notices, *beside.notices))


def import_open_file(file: KerasFile, *, fold: bool = True) -> ImportedModel:
    """The same of a file that is open already."""
    if file.source is None:
        help = "compile and train take such a file as --weights; import needs a .keras file, or an .h5 file of a model"
        raise CompileError(
            [Diagnostic("keras-no-model", "this file has weights and no model", "$", file.file, help=help)]
        )
    text = file.file_format == "json"  # in an archive a line would be one of a file that nobody sees
    model, checked = _checked_model(
        read_model(file.source, file.version, file.compile_config, file.assets, positions=text)
    )
    notices = [*file.notices]
    weights = None
    if file.weights is not None:
        weights, told = _matched_weights(file, model, checked)
        notices += told
    spec = _folded_spec(model, checked) if fold else model.spec
    return ImportedModel(spec, weights, str(model.keras_version), (*notices, *model.notices))


def _checked_model(model: TranslatedModel) -> tuple[TranslatedModel, CheckedSpec]:
    """The model, whose spec is sound; how it is trained is left out where that does not fit what it computes."""
    checked = check_spec(model.spec)
    errors = [fault for fault in checked.diagnostics if fault.severity == "error"]
    common = model.with_common_sizes() if any(fault.code == "shape-mismatch" for fault in errors) else None
    if common is not None and check_spec(common.spec).typed_network is not None:
        common.warn_common_sizes()
        return _checked_model(common)
    if errors and model.training is not None and all(fault.path.startswith("$.training") for fault in errors):
        return _checked_model(model.without_training(errors[0].message))
    model.report.add_spec_diagnostics(errors, model.keras_path)
    model.report.raise_errors()
    return model, checked


def _folded_spec(model: TranslatedModel, checked: CheckedSpec) -> dict[str, Any]:
    """The spec in blocks, where it means the very same."""
    for spec in model.folded_specs():
        written_out = check_spec(spec).typed_network
        if written_out is not None and _is_same_network(written_out.network, checked.network):
            return spec
    return model.spec


def _is_same_network(one: Network, other: Network) -> bool:
    """Whether two networks have the same calls by the same names, and the same ends."""
    calls = [{call.name: (call.layer, call.sources, call.owner) for call in each.calls} for each in (one, other)]
    return calls[0] == calls[1] and one.inputs == other.inputs and one.outputs == other.outputs


def _matched_weights(
    file: KerasFile, model: TranslatedModel, checked: CheckedSpec
) -> tuple[dict[str, np.ndarray], list[Diagnostic]]:
    """The file's weights by our names. Raises CompileError where one is missing, left over or does not fit."""
    assert file.weights is not None
    graph = forward_graph(checked)
    wanted = {name: weight.type for name, weight in {**graph.parameters, **graph.states}.items()}
    trainable = [name for name, parameter in graph.parameters.items() if parameter.trainable]
    name = file.weights_file or file.file
    result = match_weights(file.weights, model.owners, wanted, trainable, name)
    faults = result.errors(name)
    if faults:
        raise CompileError(faults)
    return result.arrays, result.notices
