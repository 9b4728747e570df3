"""Keras files as specs and weights: opened, translated, checked.

What comes out is a sound spec: it passed the same check as any other, and what is wrong with it is told at its place in
the Keras file.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .diagnostics import CompileError, Diagnostic
from .driver import forward
from .frontend.format import formatted
from .frontend.source import from_value
from .interop.keras import Imported, KerasFile, matched, open_keras, read_model
from .validation import Checked, check

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


def from_keras(path_or_text: PathOrText) -> tuple[dict[str, Any], Mapping[str, np.ndarray] | None]:
    """The spec and the weights, if there are any, of a Keras model: a path, or the text of `model.to_json()`.

    Raises CompileError with everything that cannot be said in a spec, UsageError where there is no such file.
    """
    found = imported(path_or_text)
    return found.spec, found.weights


def imported(path_or_text: PathOrText) -> Import:
    """As `from_keras`, with what there is to know of the file."""
    file = open_keras(path_or_text)
    if file.source is None:
        help = "compile and train take such a file as --weights; import needs a .keras file, or an .h5 file of a model"
        raise CompileError(
            [Diagnostic("keras-no-model", "this file has weights and no model", "$", file.file, help=help)]
        )
    model = read_model(file.source, file.version, file.training, file.assets)
    checked = _checked(model)
    notices = [*file.notices]
    weights = None
    if file.weights is not None:
        weights, told = _weights(file, model, checked)
        notices += told
    return Import(model.spec, weights, str(model.dialect), (*notices, *model.notices))


def _checked(model: Imported) -> Checked:
    """The spec, which is sound; how it is trained is left out where that does not fit what it computes."""
    checked = check(model.spec)
    errors = [fault for fault in checked.diagnostics if fault.severity == "error"]
    if errors and "training" in model.spec and all(fault.path.startswith("$.training") for fault in errors):
        model.leave_out_training(errors[0].message)
        return _checked(model)
    model.report.retell(errors, model.origin)
    model.report.raise_errors()
    return checked


def _weights(file: KerasFile, model: Imported, checked: Checked) -> tuple[dict[str, np.ndarray], list[Diagnostic]]:
    """The file's weights by our names. Raises CompileError where one is missing, left over or does not fit."""
    assert file.weights is not None
    graph = forward(checked)
    wanted = {name: weight.type for name, weight in {**graph.parameters, **graph.states}.items()}
    trainable = [name for name, parameter in graph.parameters.items() if parameter.trainable]
    result = matched(file.weights, model.owners, wanted, trainable, file.file)
    faults = result.faults(file.file)
    if faults:
        raise CompileError(faults)
    return result.arrays, result.notices
