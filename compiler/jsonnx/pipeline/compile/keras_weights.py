"""Reads the weights of Keras files for a network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from ...core.diagnostics import CompileError, Diagnostic
from ...core.types import ShapeError, TensorType
from ...frontend.network import Call
from ...interop.keras import (
    KerasFile,
    MatchedWeights,
    WeightOwner,
    assign_groups,
    has_unnamed_layers,
    is_legacy_format,
    match_weights,
    readable_layers,
)
from ...interop.keras.export import layer_groups
from ...layers import Layer
from ...lowering.lower import layer_weights
from ...runtime.session.weight_files import FileWeights, layer_of_weight
from ..check.check import CheckedSpec
from .graphs import forward_graph
from .keras_config import export_config
from .keras_import import import_open_file

WEIGHTS_DIFFER = "weights-differ"
UNNAMED_HELP = (
    "give the file to `jsonnx import` together with the model's JSON, which names the layers: "
    "jsonnx import model.json model.weights.h5 --weights OUT.safetensors"
)


def load_keras_weights(checked: CheckedSpec, file: KerasFile, partial: bool) -> FileWeights:
    """Reads the weights of a `.keras` or `.h5` file, by our names.

    A file with a model gives the weights of that model. If a spec cannot express the model, `partial` gives the weights
    of the layers that the network has as well. A file without a model identifies layers by class and number, so it is
    read as a file of this network; unless `partial`, each of its arrays must be a weight of the network. Raises
    CompileError, UsageError.
    """
    if file.weights is None and file.source is not None:
        raise CompileError([Diagnostic("keras-no-weights", "this file has a model but no weights", file=file.file)])
    if file.source is None:
        return _match_by_number(checked, file, partial)
    try:
        model = import_open_file(file, fold=False)
    except CompileError as error:
        if not partial:
            raise
        return _match_by_layer_name(checked, file, error)
    assert model.weights is not None
    notices = tuple(notice for notice in model.notices if notice.code == WEIGHTS_DIFFER)
    return FileWeights(model.weights, notices=notices)


def _partial_weights(file: KerasFile, matches: MatchedWeights, notices: Sequence[Diagnostic] = ()) -> FileWeights:
    """The arrays of a file that fit, with the mismatches and the unused arrays."""
    assert file.weights is not None
    return FileWeights(
        matches.arrays,
        {mismatch.name: mismatch.reason for mismatch in matches.mismatches},
        {path: file.weights.arrays[path].shape for path in (*matches.unexpected_paths, *matches.unused_paths)},
        (*notices, *(notice for notice in matches.notices if notice.code == WEIGHTS_DIFFER)),
    )


# -- a file without a model -------------------------------------------------------------------------------------------


def _match_by_number(checked: CheckedSpec, file: KerasFile, partial: bool) -> FileWeights:
    """Matches the file's groups of arrays to layers by class and number, or else by structure."""
    graph = forward_graph(checked)
    types = {name: value.type for name, value in {**graph.parameters, **graph.states}.items()}
    trainable = [name for name, parameter in graph.parameters.items() if parameter.trainable]
    assert file.weights is not None
    ambiguous: dict[str, str] = {}
    if is_legacy_format(file.weights) or not has_unnamed_layers(file.weights):
        owners = _owners_by_number(checked)
    else:
        owners, ambiguous = _owners_by_structure(checked, file, types, partial)
    matchable = {name: type for name, type in types.items() if layer_of_weight(name) not in ambiguous}
    matches = match_weights(file.weights, owners, matchable, trainable, file.file)
    errors = matches.errors(file.file)
    if errors and not partial:
        raise CompileError(errors)
    file_weights = _partial_weights(file, matches)
    unfit = {name: ambiguous[layer_of_weight(name)] for name in types if layer_of_weight(name) in ambiguous}
    return replace(file_weights, unfit={**file_weights.unfit, **unfit})


def _owners_by_number(checked: CheckedSpec) -> list[WeightOwner]:
    """The layers with the groups that Keras would give them. Names in the file take precedence."""
    layers = _layers_in_keras_order(checked)
    groups = layer_groups(layer for _, layer in layers)
    return [
        WeightOwner(name, layer.type_name, (name,), group) for group, (name, layer) in zip(groups, layers, strict=True)
    ]


def _owners_by_structure(
    checked: CheckedSpec, file: KerasFile, weight_types: Mapping[str, TensorType], partial: bool
) -> tuple[list[WeightOwner], dict[str, str]]:
    """The layers with their groups in a file that does not name layers, and the reasons if some have none.

    Raises CompileError.
    """
    assert file.weights is not None
    class_names = {call.owner: call.layer.type_name for call in checked.network.calls if call.layer is not None}
    weights_by_layer: dict[str, list[str]] = {}
    for name in weight_types:
        weights_by_layer.setdefault(layer_of_weight(name), []).append(name)
    shapes = {name: type.shape for name, type in weight_types.items()}
    assignment = assign_groups(file.weights, checked.network, weights_by_layer, shapes)
    if assignment.messages and not partial:
        message = "the file does not name its layers, and {}"
        raise CompileError(
            [
                Diagnostic(
                    "weights-unnamed", message.format(cause), file=file.file, help=UNNAMED_HELP if not index else None
                )
                for index, cause in enumerate(assignment.messages)
            ]
        )
    owners = [
        WeightOwner(name, class_name, (name,), assignment.groups.get(name, ""), name in assignment.groups)
        for name, class_name in class_names.items()
    ]
    return [owner for owner in owners if owner.group], assignment.unassigned_reasons


def _layers_in_keras_order(checked: CheckedSpec) -> Sequence[tuple[str, Layer]]:
    """The layers in the order in which Keras numbers them; in the spec's order if Keras cannot express the network."""
    try:
        return export_config(checked, {}).layers
    except CompileError:
        layers = {call.owner: call.layer for call in checked.network.calls if call.layer is not None}
        return [(name, layer) for name, layer in layers.items() if "." not in layer.type_name]


# -- a file whose model cannot be read ---------------------------------------------------------------------------------


def _match_by_layer_name(checked: CheckedSpec, file: KerasFile, error: CompileError) -> FileWeights:
    """The weights of the layers that file and network have in common: same name, same class, same weights.

    Each layer of the file is read by itself; its weights have the shapes they would get in the network's place.
    """
    assert file.source is not None
    assert file.weights is not None
    cause = error.diagnostics[0].message
    message = f"the file's model cannot be read ({cause}): layers are matched by name"
    notice = Diagnostic(WEIGHTS_DIFFER, message, file=file.file, severity="warning")
    file_layers = list(readable_layers(file.source, file.version))
    if not file_layers:
        file_weights = _match_by_number(checked, file, True)
        return replace(file_weights, notices=(notice, *file_weights.notices))
    calls = {call.name: call for call in checked.network.calls if call.owner == call.name}
    graph, owners, unfit = forward_graph(checked), [], {}
    types_and_trainable: dict[str, tuple[TensorType, bool]] = {}
    for owner, layer in file_layers:
        layer_types = _layer_weight_types(layer, calls.get(owner.name), checked)
        network_weights = [name for name in (*graph.parameters, *graph.states) if name.partition("/")[0] == owner.name]
        if not layer_types:
            unfit.update(dict.fromkeys(network_weights, f"belongs to a {owner.class_name} in the file"))
        types_and_trainable |= layer_types
        owners.append(owner._replace(is_used=bool(layer_types)))
    trainable = [name for name, (_, is_trainable) in types_and_trainable.items() if is_trainable]
    types = {name: type for name, (type, _) in types_and_trainable.items()}
    matches = match_weights(file.weights, owners, types, trainable, file.file)
    file_weights = _partial_weights(file, matches, [notice])
    return replace(file_weights, unfit={**file_weights.unfit, **unfit})


def _layer_weight_types(
    layer: Layer | None, call: Call | None, checked: CheckedSpec
) -> dict[str, tuple[TensorType, bool]]:
    """Type and trainability of the weights of a file's layer in the place of a layer of the network; empty if it does
    not fit there."""
    if layer is None or call is None or call.layer is None or layer.type_name != call.layer.type_name:
        return {}
    try:
        return layer_weights(layer, call, checked.require())
    except ShapeError:
        return {}
