"""Keras files as specs: reads, translates and checks them.

What comes out is a sound spec: it passed the same check as any other, and what is wrong with it is told at its place in
the Keras file.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .diagnostics import CompileError, Diagnostic
from .driver import forward
from .interop.keras import Imported, KerasFile, Matched, matched, open_keras, read_model
from .validation import Checked, check


@dataclass(frozen=True)
class Import:
    """A model of Keras as a spec."""

    spec: dict[str, Any]
    weights: Mapping[str, Any] | None
    origin: str
    """Which Keras wrote the file."""
    notices: tuple[Diagnostic, ...]
    """What is not as in Keras, and what was left out: warnings."""


def from_keras(path_or_text: str | os.PathLike[str]) -> tuple[dict[str, Any], Mapping[str, Any] | None]:
    """The spec and the weights, if there are any, of a Keras model: a path, or the text of `model.to_json()`.

    Raises CompileError with everything that cannot be said in a spec, UsageError where there is no such file.
    """
    found = imported(path_or_text)
    return found.spec, found.weights


def imported(path_or_text: str | os.PathLike[str]) -> Import:
    """As `from_keras`, with what there is to know of the file."""
    file = open_keras(path_or_text)
    if file.source is None:
        help = "compile and train take such a file as --weights; import needs a .keras file, or an .h5 file of a model"
        raise CompileError(
            [Diagnostic("keras-no-model", "this file has weights and no model", "$", file.file, help=help)]
        )
    model = read_model(file.source, file.version)
    checked = check(model.spec)
    model.report.retell((fault for fault in checked.diagnostics if fault.severity == "error"), model.origin)
    model.report.raise_errors()
    found = _weights(file, model, checked)
    told = (*model.notices, *file.notices, *found.notices)
    return Import(model.spec, found.arrays if file.weights else None, str(model.dialect), told)


def _weights(file: KerasFile, model: Imported, checked: Checked) -> Matched:
    """The file's weights by our names. Raises CompileError where one is missing, is left over, or does not fit."""
    if file.weights is None:
        return Matched()
    graph = forward(checked)
    types = {name: value.type for name, value in {**graph.parameters, **graph.states}.items()}
    trainable = {name for name, parameter in graph.parameters.items() if parameter.trainable}
    found = matched(file.weights, model.owners, types, trainable, file.file)
    if faults := found.faults(file.file):
        raise CompileError(faults)
    return found
