"""The initial weights of a network: the weights that the caller passes, or the weights in the file that its spec
names."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import IO

import numpy as np

from ...core.diagnostics import CompileError, Diagnostic, JsonPath, Report, UsageError
from ...core.files.files import UnsafePath, display_path, open_beneath, open_file
from ...core.files.run_layout import WEIGHTS_FILE, RunPaths
from ...core.files.spec_folders import OWN_FOLDER_HELP, WEIGHTS_HELP, spec_weight_file
from ...core.types import TensorType
from ...data.samples.data_errors import FeedError
from ...frontend.networks.layer_patterns import selected_names
from ...runtime.session.weight_files import (
    FileWeights,
    WeightsReport,
    check_finite,
    layer_of_weight,
    match_file_weights,
    match_weights,
    read_open_weight_file,
)
from ...sections.training_section import ALL_LAYERS, InitialWeightsSection
from ..check.check import CheckedSpec
from .onnx_weights import onnx_weights
from .peft_adapter import is_peft_folder, read_peft_folder

Weights = Mapping[str, np.ndarray] | str | os.PathLike[str] | None
"""Arrays by Keras' weight names, a file (.safetensors, .npz, .keras or .h5), or a folder with an adapter of PEFT for
the weights that the network has without it.

None: the file that the spec names, or else random weights.
"""

PARTIAL_HELP = "`--partial` (in Python `partial=True`) takes the weights that fit and draws the others from the seed"


def resolve_initial_weights(
    checked: CheckedSpec,
    weight_types: Mapping[str, TensorType],
    weights: Weights = None,
    partial: bool = False,
    verify: bool = True,
) -> tuple[dict[str, np.ndarray], WeightsReport | None]:
    """The weights that are not drawn at random, and a report on those that were given (None if none were).

    Those of an OnnxModel that are not given are in its file. With `partial`, weights that do not fit are left out.
    Otherwise raises CompileError for a file whose weights do not fit, FeedError for arrays. With `verify`, raises
    CompileError for a file that differs from the digests that it records. Raises UsageError for a file that cannot be
    read.
    """
    named = os.fspath(weights) if isinstance(weights, (str, os.PathLike)) else ""
    adapter: str | None = None
    if named and is_peft_folder(Path(named)):
        adapter, weights, is_from_spec, partial = named, None, False, False
    else:
        adapter, is_from_spec = _spec_adapter(checked, weights), True
    arrays, report = _given_weights(checked, weight_types, weights, partial, verify)
    if adapter is not None:
        arrays = {**arrays, **_adapter_arrays(checked, adapter, is_from_spec)}
    missing = weight_types.keys() - arrays.keys()
    if missing and (weights is None or weights):
        arrays = {**onnx_weights(checked, missing), **arrays}
    return arrays, report


def _spec_adapter(checked: CheckedSpec, weights: Weights) -> str | None:
    """The folder with an adapter of PEFT that the spec names, if the caller gives no weights."""
    adapted = checked.network.adapted_weights
    return None if adapted is None or weights is not None else adapted.lora.adapter


def _given_weights(
    checked: CheckedSpec, weight_types: Mapping[str, TensorType], weights: Weights, partial: bool, verify: bool
) -> tuple[dict[str, np.ndarray], WeightsReport | None]:
    """The weights that the caller passes or the spec names. Raises as `resolve_initial_weights`."""
    training = checked.require().network.training
    if weights is None and training is not None and training.weights is not None:
        return weights_from_spec(checked, weight_types, partial, verify)
    if weights is None:
        if partial:
            raise UsageError(
                "bad-option", "there are no weights that could be taken partially", "name a file of them: --weights"
            )
        return {}, None
    file = None
    if isinstance(weights, (str, os.PathLike)):
        file = os.fspath(weights)
        arrays, report = match_file_weights(read_weights_at(checked, file, partial, verify), weight_types)
    else:
        arrays, report = match_weights(weights, weight_types)
    errors = mismatch_diagnostics(report, partial)
    if errors:
        raise CompileError([replace(error, file=file) for error in errors]) if file else FeedError(errors)
    return arrays, report


def _adapter_arrays(checked: CheckedSpec, folder: str, is_from_spec: bool) -> dict[str, np.ndarray]:
    """The weights of an adapter of PEFT. A folder that the spec names must be below the spec's folder. Raises
    CompileError, UsageError."""
    if not is_from_spec:
        return read_peft_folder(checked, folder)
    with _errors_at(checked.new_report(), ("training", "lora", "adapter")):
        return read_peft_folder(checked, folder, lambda name: open_beneath(checked.folder, f"{folder}/{name}"))


def weights_from_spec(
    checked: CheckedSpec, weight_types: Mapping[str, TensorType], partial: bool, verify: bool
) -> tuple[dict[str, np.ndarray], WeightsReport]:
    """The weights of the spec's weight file, for the layers that the spec selects. Raises CompileError, UsageError."""
    training = checked.require().network.training
    assert training is not None
    assert training.weights is not None
    section: InitialWeightsSection = training.weights
    report = checked.new_report()
    weight_file = spec_weight_file(checked.folder, section.file)
    with open_spec_weights(checked, weight_file, report) as file:
        name = display_path(checked.folder / weight_file)
        file_weights = read_open_weights(checked, file, name, True, verify).with_prefix(section.prefix)
    if section.layers != ALL_LAYERS:  # the file may be of a larger network
        owners = {*map(layer_of_weight, weight_types)}
        layers = selected_names(section.layers, owners)
        weight_types = {name: type for name, type in weight_types.items() if layer_of_weight(name) in layers}
        arrays = {name: array for name, array in file_weights.arrays.items() if layer_of_weight(name) in layers}
        file_weights = replace(file_weights, arrays=arrays, extra={})
    arrays, weights_report = match_file_weights(file_weights, weight_types)
    for error in mismatch_diagnostics(weights_report, partial):
        report.add(error.code, ("training", "weights"), f"{section.file}: {error.message}", help=error.help)
    report.raise_errors()
    return arrays, weights_report


KERAS_SUFFIXES = (".keras", ".h5", ".hdf5", ".weights.json")
"""Suffixes of weight files written by Keras."""


def read_open_weights(
    checked: CheckedSpec, file: IO[bytes], name: str, partial: bool, verify: bool = True
) -> FileWeights:
    """The weights in an open file, by our names. The format follows from `name`. Raises CompileError, UsageError."""
    if name.lower().endswith(".onnx"):
        help = "give its RUN folder, or the run's weights.safetensors: a model holds weights that are folded"
        raise UsageError("bad-option", f"{name!r} is a model, not a file of weights", help)
    return (
        read_keras_weights(checked, file, name, partial)
        if name.lower().endswith(KERAS_SUFFIXES)
        else FileWeights(read_open_weight_file(file, name, verify))
    )


def read_weights_at(checked: CheckedSpec, name: str, partial: bool, verify: bool = True) -> FileWeights:
    """The weights in a file, or in an unpacked `.keras` archive. Raises CompileError, UsageError."""
    if os.path.isdir(name) and name.lower().endswith(KERAS_SUFFIXES):
        return read_keras_weights(checked, None, name, partial)
    name = weight_file_path(name)
    with open_file(name) as file:
        return read_open_weights(checked, file, name, partial, verify)


def possible_weight_files(path: str | None) -> list[Path]:
    """The files that may be read for weights at a path: the path itself, or the file in a RUN folder."""
    return [] if path is None else [Path(path), Path(path) / WEIGHTS_FILE]


def weight_file_path(path: str) -> str:
    """The file of the weights at a path: for a RUN folder, the weights of the run. Raises UsageError."""
    if not os.path.isdir(path) or path.lower().endswith(KERAS_SUFFIXES):
        return path
    file = os.path.join(path, WEIGHTS_FILE)
    if os.path.exists(file):
        return file
    if RunPaths(Path(path)).run_info.exists():
        help = "`jsonnx train --resume` continues it; Ctrl-C there writes the weights of that moment"
        raise UsageError("unreadable-file", f"the run in {path!r} has no weights yet", help)
    raise UsageError("unreadable-file", f"the folder {path!r} has no weights of a run", WEIGHTS_HELP)


def read_keras_weights(checked: CheckedSpec, file: IO[bytes] | None, name: str, partial: bool) -> FileWeights:
    # Imported here, because other weight files do not need the readers of Keras' formats.
    from ...interop.keras import open_keras, read_open_keras_file
    from .keras_weights import load_keras_weights

    keras_file = open_keras(name) if file is None else read_open_keras_file(file, name)
    file_weights = load_keras_weights(checked, keras_file, partial)
    check_finite(file_weights.arrays, name)
    return file_weights


def open_spec_weights(checked: CheckedSpec, name: str, report: Report) -> IO[bytes]:
    """Opens the spec's weight file, which must be below the spec's folder. Raises CompileError, UsageError."""
    with _errors_at(report, ("training", "weights")):
        return open_beneath(checked.folder, name)


@contextmanager
def _errors_at(report: Report, path: JsonPath) -> Iterator[None]:
    """Reports errors of a file that the spec names at the place of its name."""
    try:
        yield
    except UnsafePath as error:
        report.add("unsafe-path", path, str(error), help=OWN_FOLDER_HELP)
        raise CompileError(report) from error
    except UsageError as error:
        report.add(error.diagnostic.code, path, error.diagnostic.message)
        (error.diagnostic,) = report
        raise


def mismatch_diagnostics(report: WeightsReport, partial: bool) -> list[Diagnostic]:
    """The mismatches between the weights and the network's; with `partial`, only an error if no weight fits."""
    if partial:
        if not report.given or report.taken:
            return []
        names = (
            f"the network has {', '.join([*report.wanted][:4])}, ...; the file {', '.join([*report.given][:4])}, ..."
        )
        help = next((f"the weight {name!r} {reason}" for name, reason in report.unfit.items()), names)
        return [Diagnostic("weights-mismatch", "none of the weights fits the network", help=help)]
    diagnostics = report.diagnostics()
    first = next((index for index, diagnostic in enumerate(diagnostics) if diagnostic.help is None), None)
    if first is not None:
        diagnostics[first] = replace(diagnostics[first], help=PARTIAL_HELP)
    return diagnostics
