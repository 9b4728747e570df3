"""Weights out of Keras' files, for a network that is known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from ..core.diagnostics import CompileError, Diagnostic
from ..core.types import ShapeError, TensorType
from ..frontend.network import Call
from ..interop.keras import KerasFile, Matched, Owner, apart, dealt, is_legacy, is_unnamed, matched
from ..interop.keras.export import groups_of
from ..layers import Layer
from ..lowering.lower import weights_of
from ..runtime.weight_files import Given, layer_of
from .check import Checked
from .graphs import forward
from .keras_config import as_keras
from .keras_import import translated

DIFFER = "weights-differ"
UNNAMED = (
    "give the file to `jsonnx import` beside the model's JSON, which tells: "
    "jsonnx import model.json model.weights.h5 --weights OUT.safetensors"
)


def keras_weights(checked: Checked, file: KerasFile, partial: bool) -> Given:
    """The weights in a `.keras` or `.h5` file by our names.

    A file that has a model gives all of its weights; where that model cannot be said in a spec and `partial` is asked
    for, those of the layers that the network has too. One of weights alone knows layers by their classes and numbers,
    so it is read as the file of this very network; unless `partial`, every array in it must be one of its weights.
    Raises CompileError, UsageError.
    """
    if file.weights is None and file.source is not None:
        raise CompileError([Diagnostic("keras-no-weights", "this file has a model and no weights", file=file.file)])
    if file.source is None:
        return _by_number(checked, file, partial)
    try:
        found = translated(file, fold=False)
    except CompileError as error:
        if not partial:
            raise
        return _without_model(checked, file, error)
    assert found.weights is not None
    return Given(found.weights, notices=tuple(notice for notice in found.notices if notice.code == DIFFER))


def _given(file: KerasFile, found: Matched, notices: Sequence[Diagnostic] = ()) -> Given:
    """What is taken of a file in part, with everything that is not."""
    assert file.weights is not None
    return Given(
        found.arrays,
        {wrong.name: wrong.why for wrong in found.wrong},
        {path: file.weights.arrays[path].shape for path in (*found.extra, *found.unused)},
        (*notices, *(notice for notice in found.notices if notice.code == DIFFER)),
    )


# -- a file of weights alone -------------------------------------------------------------------------------------------


def _by_number(checked: Checked, file: KerasFile, partial: bool) -> Given:
    graph = forward(checked)
    wanted = {name: value.type for name, value in {**graph.parameters, **graph.states}.items()}
    trainable = [name for name, parameter in graph.parameters.items() if parameter.trainable]
    assert file.weights is not None
    unclear: dict[str, str] = {}
    if is_legacy(file.weights) or not is_unnamed(file.weights):
        owners = _numbered(checked)
    else:
        owners, unclear = _told_apart(checked, file, wanted, partial)
    told = {name: type for name, type in wanted.items() if layer_of(name) not in unclear}
    found = matched(file.weights, owners, told, trainable, file.file)
    faults = found.faults(file.file)
    if faults and not partial:
        raise CompileError(faults)
    given = _given(file, found)
    unfit = {name: unclear[layer_of(name)] for name in wanted if layer_of(name) in unclear}
    return replace(given, unfit={**given.unfit, **unfit})


def _numbered(checked: Checked) -> list[Owner]:
    """The layers with the groups that they would have in Keras; the file's own names count for more."""
    layers = _in_keras_order(checked)
    groups = groups_of(layer for _, layer in layers)
    return [Owner(name, layer.type_name, (name,), group) for group, (name, layer) in zip(groups, layers, strict=True)]


def _told_apart(
    checked: Checked, file: KerasFile, wanted: Mapping[str, TensorType], partial: bool
) -> tuple[list[Owner], dict[str, str]]:
    """The layers with their groups in a file that names none, and why some have none. Raises CompileError."""
    assert file.weights is not None
    kinds = {call.owner: call.layer.type_name for call in checked.network.calls if call.layer is not None}
    own: dict[str, list[str]] = {}
    for name in wanted:
        own.setdefault(layer_of(name), []).append(name)
    found = dealt(file.weights, checked.network, own, {name: type.shape for name, type in wanted.items()})
    if found.causes and not partial:
        message = "the file does not name its layers, and {}"
        raise CompileError(
            [
                Diagnostic(
                    "weights-unnamed", message.format(cause), file=file.file, help=UNNAMED if not index else None
                )
                for index, cause in enumerate(found.causes)
            ]
        )
    owners = [
        Owner(name, kind, (name,), found.groups.get(name, ""), name in found.groups) for name, kind in kinds.items()
    ]
    return [owner for owner in owners if owner.group], found.unclear


def _in_keras_order(checked: Checked) -> Sequence[tuple[str, Layer]]:
    """The layers in the order in which Keras would number them; in that of the spec where Keras has no words for it."""
    try:
        return as_keras(checked, {}).layers
    except CompileError:
        layers = {call.owner: call.layer for call in checked.network.calls if call.layer is not None}
        return [(name, layer) for name, layer in layers.items() if "." not in layer.type_name]


# -- a file whose model cannot be read ---------------------------------------------------------------------------------


def _without_model(checked: Checked, file: KerasFile, error: CompileError) -> Given:
    """The weights of layers that the file and the network both have: of one name and one class, with the same weights.

    Each layer of the file is read by itself, and asked for its weights in the place where the network has its own.
    """
    assert file.source is not None
    assert file.weights is not None
    first = error.diagnostics[0]
    message = f"the file's model cannot be read ({first.message}): layers are told by their names"
    told = Diagnostic(DIFFER, message, file=file.file, severity="warning")
    known = list(apart(file.source, file.version))
    if not known:
        found = _by_number(checked, file, True)
        return replace(found, notices=(told, *found.notices))
    calls = {call.name: call for call in checked.network.calls if call.owner == call.name}
    graph, owners, unfit = forward(checked), [], {}
    wanted: dict[str, tuple[TensorType, bool]] = {}
    for owner, layer in known:
        inside = _inside(layer, calls.get(owner.name), checked)
        own = [name for name in (*graph.parameters, *graph.states) if name.partition("/")[0] == owner.name]
        if not inside:
            unfit.update(dict.fromkeys(own, f"is of another layer in the file, a {owner.kind}"))
        wanted |= inside
        owners.append(owner._replace(used=bool(inside)))
    trainable = [name for name, (_, changes) in wanted.items() if changes]
    types = {name: type for name, (type, _) in wanted.items()}
    found = _given(file, matched(file.weights, owners, types, trainable, file.file), [told])
    return replace(found, unfit={**found.unfit, **unfit})


def _inside(layer: Layer | None, call: Call | None, checked: Checked) -> dict[str, tuple[TensorType, bool]]:
    """The weights of a file's layer in the place of the network's; none where it could not stand there."""
    if layer is None or call is None or call.layer is None or layer.type_name != call.layer.type_name:
        return {}
    try:
        return weights_of(layer, call, checked.sound)
    except ShapeError:
        return {}
