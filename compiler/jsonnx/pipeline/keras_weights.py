"""Weights out of Keras' files, for a network that is known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from ..core.diagnostics import CompileError, Diagnostic
from ..core.types import ShapeError, TensorType
from ..frontend.network import Call
from ..interop.keras import (
    KerasFile,
    MatchedWeights,
    WeightOwner,
    assign_groups,
    has_unnamed_layers,
    is_legacy_format,
    match_weights,
    readable_layers,
)
from ..interop.keras.export import layer_groups
from ..layers import Layer
from ..lowering.lower import layer_weights
from ..runtime.weight_files import FileWeights, layer_of_weight
from .check import CheckedSpec
from .graphs import forward_graph
from .keras_config import export_config
from .keras_import import import_open_file

WEIGHTS_DIFFER = "weights-differ"
UNNAMED_HELP = (
    "give the file to `jsonnx import` beside the model's JSON, which tells: "
    "jsonnx import model.json model.weights.h5 --weights OUT.safetensors"
)


def load_keras_weights(checked: CheckedSpec, file: KerasFile, partial: bool) -> FileWeights:
    """The weights in a `.keras` or `.h5` file by our names.

    A file that has a model gives all of its weights; where that model cannot be said in a spec and `partial` is asked
    for, those of the layers that the network has too. One of weights alone knows layers by their classes and numbers,
    so it is read as the file of this very network; unless `partial`, every array in it must be one of its weights.
    Raises CompileError, UsageError.
    """
    if file.weights is None and file.source is not None:
        raise CompileError([Diagnostic("keras-no-weights", "this file has a model and no weights", file=file.file)])
    if file.source is None:
        return _match_by_number(checked, file, partial)
    try:
        found = import_open_file(file, fold=False)
    except CompileError as error:
        if not partial:
            raise
        return _match_by_layer_name(checked, file, error)
    assert found.weights is not None
    return FileWeights(
        found.weights, notices=tuple(notice for notice in found.notices if notice.code == WEIGHTS_DIFFER)
    )


def _partial_weights(file: KerasFile, matches: MatchedWeights, notices: Sequence[Diagnostic] = ()) -> FileWeights:
    """What is taken of a file in part, with everything that is not."""
    assert file.weights is not None
    return FileWeights(
        matches.arrays,
        {wrong.name: wrong.reason for wrong in matches.mismatches},
        {path: file.weights.arrays[path].shape for path in (*matches.unexpected_paths, *matches.unused_paths)},
        (*notices, *(notice for notice in matches.notices if notice.code == WEIGHTS_DIFFER)),
    )


# -- a file of weights alone -------------------------------------------------------------------------------------------


def _match_by_number(checked: CheckedSpec, file: KerasFile, partial: bool) -> FileWeights:
    graph = forward_graph(checked)
    wanted = {name: value.type for name, value in {**graph.parameters, **graph.states}.items()}
    trainable = [name for name, parameter in graph.parameters.items() if parameter.trainable]
    assert file.weights is not None
    unclear: dict[str, str] = {}
    if is_legacy_format(file.weights) or not has_unnamed_layers(file.weights):
        owners = _owners_by_number(checked)
    else:
        owners, unclear = _owners_by_structure(checked, file, wanted, partial)
    told = {name: type for name, type in wanted.items() if layer_of_weight(name) not in unclear}
    found = match_weights(file.weights, owners, told, trainable, file.file)
    faults = found.errors(file.file)
    if faults and not partial:
        raise CompileError(faults)
    given = _partial_weights(file, found)
    unfit = {name: unclear[layer_of_weight(name)] for name in wanted if layer_of_weight(name) in unclear}
    return replace(given, unfit={**given.unfit, **unfit})


def _owners_by_number(checked: CheckedSpec) -> list[WeightOwner]:
    """The layers with the groups that they would have in Keras; the file's own names count for more."""
    layers = _layers_in_keras_order(checked)
    groups = layer_groups(layer for _, layer in layers)
    return [
        WeightOwner(name, layer.type_name, (name,), group) for group, (name, layer) in zip(groups, layers, strict=True)
    ]


def _owners_by_structure(
    checked: CheckedSpec, file: KerasFile, weight_types: Mapping[str, TensorType], partial: bool
) -> tuple[list[WeightOwner], dict[str, str]]:
    """The layers with their groups in a file that names none, and why some have none. Raises CompileError."""
    assert file.weights is not None
    kinds = {call.owner: call.layer.type_name for call in checked.network.calls if call.layer is not None}
    own: dict[str, list[str]] = {}
    for name in weight_types:
        own.setdefault(layer_of_weight(name), []).append(name)
    found = assign_groups(file.weights, checked.network, own, {name: type.shape for name, type in weight_types.items()})
    if found.messages and not partial:
        message = "the file does not name its layers, and {}"
        raise CompileError(
            [
                Diagnostic(
                    "weights-unnamed", message.format(cause), file=file.file, help=UNNAMED_HELP if not index else None
                )
                for index, cause in enumerate(found.messages)
            ]
        )
    owners = [
        WeightOwner(name, kind, (name,), found.groups.get(name, ""), name in found.groups)
        for name, kind in kinds.items()
    ]
    return [owner for owner in owners if owner.group], found.unassigned_reasons


def _layers_in_keras_order(checked: CheckedSpec) -> Sequence[tuple[str, Layer]]:
    """The layers in the order in which Keras would number them; in that of the spec where Keras has no words for it."""
    try:
        return export_config(checked, {}).layers
    except CompileError:
        layers = {call.owner: call.layer for call in checked.network.calls if call.layer is not None}
        return [(name, layer) for name, layer in layers.items() if "." not in layer.type_name]


# -- a file whose model cannot be read ---------------------------------------------------------------------------------


def _match_by_layer_name(checked: CheckedSpec, file: KerasFile, error: CompileError) -> FileWeights:
    """The weights of layers that the file and the network both have: of one name and one class, with the same weights.

    Each layer of the file is read by itself, and asked for its weights in the place where the network has its own.
    """
    assert file.source is not None
    assert file.weights is not None
    first = error.diagnostics[0]
    message = f"the file's model cannot be read ({first.message}): layers are told by their names"
    told = Diagnostic(WEIGHTS_DIFFER, message, file=file.file, severity="warning")
    known = list(readable_layers(file.source, file.version))
    if not known:
        found = _match_by_number(checked, file, True)
        return replace(found, notices=(told, *found.notices))
    calls = {call.name: call for call in checked.network.calls if call.owner == call.name}
    graph, owners, unfit = forward_graph(checked), [], {}
    wanted: dict[str, tuple[TensorType, bool]] = {}
    for owner, layer in known:
        inside = _layer_weight_types(layer, calls.get(owner.name), checked)
        own = [name for name in (*graph.parameters, *graph.states) if name.partition("/")[0] == owner.name]
        if not inside:
            unfit.update(dict.fromkeys(own, f"is of another layer in the file, a {owner.class_name}"))
        wanted |= inside
        owners.append(owner._replace(is_used=bool(inside)))
    trainable = [name for name, (_, changes) in wanted.items() if changes]
    types = {name: type for name, (type, _) in wanted.items()}
    found = _partial_weights(file, match_weights(file.weights, owners, types, trainable, file.file), [told])
    return replace(found, unfit={**found.unfit, **unfit})


def _layer_weight_types(
    layer: Layer | None, call: Call | None, checked: CheckedSpec
) -> dict[str, tuple[TensorType, bool]]:
    """The weights of a file's layer in the place of the network's; none where it could not stand there."""
    if layer is None or call is None or call.layer is None or layer.type_name != call.layer.type_name:
        return {}
    try:
        return layer_weights(layer, call, checked.require())
    except ShapeError:
        return {}
