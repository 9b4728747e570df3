"""Weights out of Keras' files, for a network that is known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from .diagnostics import CompileError, Diagnostic
from .driver import forward
from .exports import as_keras
from .imports import translated
from .interop.keras import KerasFile, Owner, matched
from .interop.keras.export import groups_of
from .layers import Layer
from .validation import Checked


def keras_weights(checked: Checked, file: KerasFile, partial: bool) -> Mapping[str, np.ndarray]:
    """The weights in a `.keras` or `.h5` file by our names.

    A file that has a model gives all of its weights. One of weights alone knows layers by their classes and numbers, so
    it is read as the file of this very network; unless `partial`, every array in it must be one of its weights. Raises
    CompileError, UsageError.
    """
    if file.source is None:
        return _by_number(checked, file, partial)
    weights = translated(file, fold=False).weights
    if weights is None:
        raise CompileError([Diagnostic("keras-no-weights", "this file has a model and no weights", file=file.file)])
    return weights


def _by_number(checked: Checked, file: KerasFile, partial: bool) -> Mapping[str, np.ndarray]:
    graph = forward(checked)
    wanted = {name: value.type for name, value in {**graph.parameters, **graph.states}.items()}
    layers = _in_keras_order(checked)
    groups = groups_of(layer for _, layer in layers)
    owners = [Owner(name, layer.type_name, (name,), group) for group, (name, layer) in zip(groups, layers, strict=True)]
    trainable = [name for name, parameter in graph.parameters.items() if parameter.trainable]
    assert file.weights is not None
    found = matched(file.weights, owners, wanted, trainable, file.file)
    faults = found.faults(file.file)
    if faults and not partial:
        raise CompileError(faults)
    return found.arrays


def _in_keras_order(checked: Checked) -> Sequence[tuple[str, Layer]]:
    """The layers in the order in which Keras would number them; in that of the spec where Keras has no words for it."""
    try:
        return as_keras(checked, {}).layers
    except CompileError:
        layers = {call.owner: call.layer for call in checked.network.calls if call.layer is not None}
        return [(name, layer) for name, layer in layers.items() if "." not in layer.type_name]
