"""What a network starts from: weights that are given, those of a file that its spec names, or none."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from typing import IO

import numpy as np

from ..core.diagnostics import CompileError, Diagnostic, Report, UsageError
from ..core.files import UnsafePath, display_path, open_beneath, open_file
from ..core.types import TensorType
from ..frontend.layer_patterns import matching_names
from ..runtime.data_errors import FeedError
from ..runtime.weight_files import (
    FileWeights,
    WeightsReport,
    check_finite,
    layer_of_weight,
    match_file_weights,
    match_weights,
    read_open_weight_file,
)
from ..training.section import ALL_LAYERS, InitialWeightsSection
from .check import CheckedSpec

Weights = Mapping[str, np.ndarray] | str | os.PathLike[str] | None
"""Arrays by Keras' names, or a file of them (.safetensors, .npz, or Keras' .keras and .h5); None for initial weights,
or the spec's."""

PARTIAL_HELP = "`--partial`, in Python `partial=True`, takes what fits and draws the rest from the seed"


def resolve_initial_weights(
    checked: CheckedSpec, weight_types: Mapping[str, TensorType], weights: Weights = None, partial: bool = False
) -> tuple[dict[str, np.ndarray], WeightsReport | None]:
    """The weights that are not drawn, and what became of all that were given; None where none were.

    `partial` leaves out what does not fit. Raises CompileError for a file or a spec whose weights do not fit, FeedError
    for arrays, UsageError for a file that cannot be read.
    """
    training = checked.require().network.training
    if weights is None and training is not None and training.weights is not None:
        return weights_from_spec(checked, weight_types, partial)
    if weights is None:
        if partial:
            raise UsageError("bad-option", "there are no weights to take in part", "name a file of them: --weights")
        return {}, None
    name = None
    if isinstance(weights, (str, os.PathLike)):
        name = os.fspath(weights)
        arrays, report = match_file_weights(read_weights_at(checked, name, partial), weight_types)
    else:
        arrays, report = match_weights(weights, weight_types)
    faults = mismatch_diagnostics(report, partial)
    if faults:
        raise CompileError([replace(fault, file=name) for fault in faults]) if name else FeedError(faults)
    return arrays, report


def weights_from_spec(
    checked: CheckedSpec, weight_types: Mapping[str, TensorType], partial: bool
) -> tuple[dict[str, np.ndarray], WeightsReport]:
    """The weights of the file that the spec names, for the layers that it says. Raises CompileError, UsageError."""
    training = checked.require().network.training
    assert training is not None
    assert training.weights is not None
    about: InitialWeightsSection = training.weights
    report = checked.new_report()
    with open_spec_weights(checked, about.file, report) as file:
        found = read_open_weights(checked, file, display_path(checked.folder / about.file), True).with_prefix(
            about.prefix
        )
    if about.layers != ALL_LAYERS:  # then the file may be of a larger network
        layers = {
            layer for pattern in about.layers for layer in matching_names(pattern, map(layer_of_weight, weight_types))
        }
        weight_types = {name: type for name, type in weight_types.items() if layer_of_weight(name) in layers}
        arrays = {name: array for name, array in found.arrays.items() if layer_of_weight(name) in layers}
        found = replace(found, arrays=arrays, extra={})
    arrays, matches = match_file_weights(found, weight_types)
    for fault in mismatch_diagnostics(matches, partial):
        report.add(fault.code, ("training", "weights"), f"{about.file}: {fault.message}", help=fault.help)
    report.raise_errors()
    return arrays, matches


KERAS_SUFFIXES = (".keras", ".h5", ".hdf5", ".weights.json")
"""How the names of Keras' files end."""


def read_open_weights(checked: CheckedSpec, file: IO[bytes], name: str, partial: bool) -> FileWeights:
    """The weights in an open file of that name, by our names. Raises CompileError, UsageError."""
    return (
        read_keras_weights(checked, file, name, partial)
        if name.lower().endswith(KERAS_SUFFIXES)
        else FileWeights(read_open_weight_file(file, name))
    )


def read_weights_at(checked: CheckedSpec, name: str, partial: bool) -> FileWeights:
    """The same of a file that the user named, or of an unpacked `.keras` archive."""
    if os.path.isdir(name) and name.lower().endswith(KERAS_SUFFIXES):
        return read_keras_weights(checked, None, name, partial)
    with open_file(name) as file:
        return read_open_weights(checked, file, name, partial)


def read_keras_weights(checked: CheckedSpec, file: IO[bytes] | None, name: str, partial: bool) -> FileWeights:
    from ..interop.keras import open_keras, read_open_keras_file
    from .keras_weights import load_keras_weights

    given = load_keras_weights(checked, open_keras(name) if file is None else read_open_keras_file(file, name), partial)
    check_finite(given.arrays, name)
    return given


def open_spec_weights(checked: CheckedSpec, name: str, report: Report) -> IO[bytes]:
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


def mismatch_diagnostics(report: WeightsReport, partial: bool) -> list[Diagnostic]:
    """What is wrong with given weights; in part, only that there is nothing to take."""
    if partial:
        given = report.given and not report.taken
        help = (
            f"the network has {', '.join([*report.wanted][:4])}, ...; given are {', '.join([*report.given][:4])}, ..."
        )
        help = next((f"the weight {name!r} {why}" for name, why in report.unfit.items()), help)
        return [Diagnostic("weights-mismatch", "none of the weights fits the network", help=help)] if given else []
    faults = report.diagnostics()
    first = next((index for index, fault in enumerate(faults) if fault.help is None), None)
    if first is not None:
        faults[first] = replace(faults[first], help=PARTIAL_HELP)
    return faults
