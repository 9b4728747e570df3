"""What a network starts from: weights that are given, those of a file that its spec names, or none."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from typing import IO

import numpy as np

from ..core.diagnostics import CompileError, Diagnostic, Report, UsageError
from ..core.files import UnsafePath, open_beneath, open_file, shown
from ..core.types import TensorType
from ..frontend.layer_patterns import selected
from ..runtime.data_errors import FeedError
from ..runtime.weight_files import Given, WeightsReport, check_finite, layer_of, matched, matched_file, weights_in
from ..training.section import EVERY, Start
from .check import Checked

Weights = Mapping[str, np.ndarray] | str | os.PathLike[str] | None
"""Arrays by Keras' names, or a file of them (.safetensors, .npz, or Keras' .keras and .h5); None for initial weights,
or the spec's."""

PARTLY = "`--partial`, in Python `partial=True`, takes what fits and draws the rest from the seed"


def start(
    checked: Checked, wanted: Mapping[str, TensorType], weights: Weights = None, partial: bool = False
) -> tuple[dict[str, np.ndarray], WeightsReport | None]:
    """The weights that are not drawn, and what became of all that were given; None where none were.

    `partial` leaves out what does not fit. Raises CompileError for a file or a spec whose weights do not fit, FeedError
    for arrays, UsageError for a file that cannot be read.
    """
    training = checked.sound.network.training
    if weights is None and training is not None and training.weights is not None:
        return named(checked, wanted, partial)
    if weights is None:
        if partial:
            raise UsageError("bad-option", "there are no weights to take in part", "name a file of them: --weights")
        return {}, None
    name = None
    if isinstance(weights, (str, os.PathLike)):
        name = os.fspath(weights)
        arrays, report = matched_file(given_at(checked, name, partial), wanted)
    else:
        arrays, report = matched(weights, wanted)
    faults = told(report, partial)
    if faults:
        raise CompileError([replace(fault, file=name) for fault in faults]) if name else FeedError(faults)
    return arrays, report


def named(
    checked: Checked, wanted: Mapping[str, TensorType], partial: bool
) -> tuple[dict[str, np.ndarray], WeightsReport]:
    """The weights of the file that the spec names, for the layers that it says. Raises CompileError, UsageError."""
    training = checked.sound.network.training
    assert training is not None
    assert training.weights is not None
    about: Start = training.weights
    report = checked.report()
    with opened(checked, about.file, report) as file:
        found = given_in(checked, file, shown(checked.folder / about.file), True).behind(about.prefix)
    if about.layers != EVERY:  # then the file may be of a larger network
        layers = {layer for pattern in about.layers for layer in selected(pattern, map(layer_of, wanted))}
        wanted = {name: type for name, type in wanted.items() if layer_of(name) in layers}
        arrays = {name: array for name, array in found.arrays.items() if layer_of(name) in layers}
        found = replace(found, arrays=arrays, extra={})
    arrays, matches = matched_file(found, wanted)
    for fault in told(matches, partial):
        report.add(fault.code, ("training", "weights"), f"{about.file}: {fault.message}", help=fault.help)
    report.raise_errors()
    return arrays, matches


KERAS = (".keras", ".h5", ".hdf5", ".weights.json")
"""How the names of Keras' files end."""


def given_in(checked: Checked, file: IO[bytes], name: str, partial: bool) -> Given:
    """The weights in an open file of that name, by our names. Raises CompileError, UsageError."""
    return keras_given(checked, file, name, partial) if name.lower().endswith(KERAS) else Given(weights_in(file, name))


def given_at(checked: Checked, name: str, partial: bool) -> Given:
    """The same of a file that the user named, or of an unpacked `.keras` archive."""
    if os.path.isdir(name) and name.lower().endswith(KERAS):
        return keras_given(checked, None, name, partial)
    with open_file(name) as file:
        return given_in(checked, file, name, partial)


def keras_given(checked: Checked, file: IO[bytes] | None, name: str, partial: bool) -> Given:
    from ..interop.keras import open_keras, opened_keras
    from .keras_weights import keras_weights

    given = keras_weights(checked, open_keras(name) if file is None else opened_keras(file, name), partial)
    check_finite(given.arrays, name)
    return given


def opened(checked: Checked, name: str, report: Report) -> IO[bytes]:
    """The file, which lies beneath the spec's folder. Raises CompileError, UsageError."""
    path = ("training", "weights")
    try:
        return open_beneath(checked.folder, name)
    except UnsafePath as error:
        report.add("unsafe-path", path, str(error), help="name a file beneath the spec's folder")
        raise CompileError(report) from error
    except UsageError as error:
        report.add(error.diagnostic.code, path, error.diagnostic.message)
        (error.diagnostic,) = report
        raise


def told(report: WeightsReport, partial: bool) -> list[Diagnostic]:
    """What is wrong with given weights; in part, only that there is nothing to take."""
    if partial:
        given = report.given and not report.taken
        help = (
            f"the network has {', '.join([*report.wanted][:4])}, ...; given are {', '.join([*report.given][:4])}, ..."
        )
        help = next((f"the weight {name!r} {why}" for name, why in report.unfit.items()), help)
        return [Diagnostic("weights-mismatch", "none of the weights fits the network", help=help)] if given else []
    faults = report.faults()
    first = next((index for index, fault in enumerate(faults) if fault.help is None), None)
    if first is not None:
        faults[first] = replace(faults[first], help=PARTLY)
    return faults
