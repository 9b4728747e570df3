"""Imports Keras files as specs and weights.

An imported spec passes the same check as any other spec. Its errors are reported at their place in the Keras file.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ...core.diagnostics import CompileError, Diagnostic, Report, UsageError
from ...frontend.expansion.expand import expand
from ...frontend.json.json_reader import from_value
from ...frontend.network import Network
from ...frontend.text.formatter import format_source
from ...interop.keras import (
    KerasFile,
    MatchedWeights,
    TranslatedModel,
    converted_weights,
    match_weights,
    open_keras,
    read_model,
)
from ...interop.keras_hub.read_model import is_hub_model, read_hub_model
from ..check.check import CheckedSpec, check_spec
from .graphs import forward_graph

if TYPE_CHECKING:
    import numpy as np

PathOrText = str | os.PathLike[str]


@dataclass(frozen=True)
class ImportedModel:
    """A Keras model as a spec with its weights."""

    spec: dict[str, Any]
    weights: Mapping[str, np.ndarray] | None
    keras_version: str
    """The version of Keras that wrote the file."""
    notices: tuple[Diagnostic, ...]
    """Warnings: differences from Keras, and parts of the file that were left out."""

    @property
    def text(self) -> str:
        """The spec in its canonical form."""
        return format_source(from_value(self.spec))


def from_keras(
    path_or_text: PathOrText, weights: str | os.PathLike[str] | None = None
) -> tuple[dict[str, Any], Mapping[str, np.ndarray] | None]:
    """Imports a Keras model: a path (.keras, .h5, .json), or the text of `model.to_json()`.

    Returns the spec, and the weights by name, or None if the file has none; those of a file of 64 MiB or more are
    read-only views of it. `weights` is a file written by `model.save_weights()`, for a model in JSON. Raises
    CompileError with everything that a spec cannot express, UsageError for a missing file.
    """
    model = import_keras(path_or_text, weights)
    return model.spec, model.weights


def import_keras(
    path_or_text: PathOrText, weights: str | os.PathLike[str] | None = None, *, fold: bool = True
) -> ImportedModel:
    """As `from_keras`, with warnings and version. With `fold`, repeated layers become blocks."""
    file = open_keras(path_or_text)
    return import_open_file(file if weights is None else _with_weights(file, os.fspath(weights)), fold=fold)


def _with_weights(file: KerasFile, name: str) -> KerasFile:
    """A model in JSON with the weights of another file. Raises CompileError, UsageError."""
    if file.file_format != "json":
        help = "a weight file can only be given for a model in JSON, as model.to_json() writes it"
        raise UsageError("bad-option", f"{file.file!r} is not a model in JSON", help)
    weights_file = open_keras(name)
    if weights_file.weights is None:
        raise CompileError([Diagnostic("keras-no-weights", "there are no weights in this file", file=name)])
    return replace(
        file, weights=weights_file.weights, weights_file=name, notices=(*file.notices, *weights_file.notices)
    )


def import_open_file(file: KerasFile, *, fold: bool = True) -> ImportedModel:
    """As `import_keras`, for an open file."""
    if file.source is None:
        help = "compile and train take such a file as --weights; import needs a .keras file, or an .h5 file of a model"
        raise CompileError(
            [Diagnostic("keras-no-model", "this file has weights but no model", "$", file.file, help=help)]
        )
    if is_hub_model(file.config):
        return _import_hub_model(file, fold=fold)
    positions = _has_lines(file)
    model, checked = _checked_model(
        read_model(file.source, file.version, file.compile_config, file.assets, positions=positions)
    )
    notices = [*file.notices]
    weights = None
    if file.weights is not None:
        weights, weight_notices = _matched_weights(file, model, checked)
        notices += weight_notices
    spec = _folded_spec(model, checked) if fold else model.spec
    return ImportedModel(spec, weights, str(model.keras_version), (*notices, *model.notices))


def _has_lines(file: KerasFile) -> bool:
    """Whether diagnostics have lines: the JSON inside an archive has none that the user could open."""
    return file.file_format == "json"


def _import_hub_model(file: KerasFile, *, fold: bool) -> ImportedModel:
    """As `import_open_file`, for a model of KerasHub, whose spec has blocks of the library."""
    assert file.source is not None
    model = read_hub_model(file.source, file.version, file.weights, positions=_has_lines(file))
    weights, notices = None, list(file.notices)
    if file.weights is not None:  # before the layers are checked, of which a false number could be large
        name = file.weights_file or file.file
        matched = converted_weights(model.find_weights(file.weights), model.weight_types, name)
        weights, weight_notices = _without_errors(matched, name)
        notices += weight_notices
    checked = check_spec(model.spec)
    model.report.add_spec_diagnostics((d for d in checked.diagnostics if d.severity == "error"), lambda path: ())
    model.report.raise_errors()
    spec = model.spec if fold else _without_blocks(model.spec)
    return ImportedModel(spec, weights, f"KerasHub and {model.keras_version}", (*notices, *model.report))


def _without_blocks(spec: dict[str, Any]) -> dict[str, Any]:
    """A valid spec with all layers written out."""
    flat = expand(spec, Report())
    assert flat is not None
    document: dict[str, Any] = flat.document
    return document


def _checked_model(model: TranslatedModel) -> tuple[TranslatedModel, CheckedSpec]:
    """The model with a valid spec.

    Symbolic sizes are unified, and a training section that does not fit the network is dropped, if that makes the spec
    valid. Raises CompileError otherwise.
    """
    checked = check_spec(model.spec)
    errors = [error for error in checked.diagnostics if error.severity == "error"]
    unified = model.with_common_sizes() if any(error.code == "shape-mismatch" for error in errors) else None
    if unified is not None and check_spec(unified.spec).typed_network is not None:
        unified.warn_common_sizes()
        return _checked_model(unified)
    if errors and model.training is not None and all(error.path.startswith("$.training") for error in errors):
        return _checked_model(model.without_training(errors[0].message))
    model.report.add_spec_diagnostics(errors, model.keras_path)
    model.report.raise_errors()
    return model, checked


def _folded_spec(model: TranslatedModel, checked: CheckedSpec) -> dict[str, Any]:
    """The spec with repeated layers as blocks, if its expansion is the same network."""
    for spec in model.folded_specs():
        expanded = check_spec(spec).typed_network
        if expanded is not None and _is_same_network(expanded.network, checked.network):
            return spec
    return model.spec


def _is_same_network(one: Network, other: Network) -> bool:
    """Whether two networks have the same calls, inputs and outputs by the same names."""
    calls = [{call.name: (call.layer, call.sources, call.owner) for call in each.calls} for each in (one, other)]
    return calls[0] == calls[1] and one.inputs == other.inputs and one.outputs == other.outputs


def _matched_weights(
    file: KerasFile, model: TranslatedModel, checked: CheckedSpec
) -> tuple[dict[str, np.ndarray], list[Diagnostic]]:
    """The file's weights by our names. Raises CompileError for a missing, unexpected or misshapen weight."""
    assert file.weights is not None
    graph = forward_graph(checked)
    types = {name: weight.type for name, weight in {**graph.parameters, **graph.states}.items()}
    trainable = [name for name, parameter in graph.parameters.items() if parameter.trainable]
    name = file.weights_file or file.file
    return _without_errors(match_weights(file.weights, model.owners, types, trainable, name), name)


def _without_errors(matched: MatchedWeights, file: str | None) -> tuple[dict[str, np.ndarray], list[Diagnostic]]:
    """The weights and warnings. Raises CompileError for a missing, unexpected or misshapen weight."""
    if errors := matched.errors(file):
        raise CompileError(errors)
    return matched.arrays, matched.notices
