"""A spec, a run or a compiled model as a Keras model: its JSON and its weights."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any

import numpy as np

from ..core.diagnostics import CompileError, Diagnostic, UsageError
from ..core.files.files import error_reason, make_folders, write_atomically
from ..core.files.run_layout import RunPaths
from ..core.reserved_names import target_name
from ..interop.file_slice import MIN_MAPPED_BYTES
from ..interop.keras.export import NamedLayer, write_archive, write_weights_h5
from ..runtime.session.weight_files import WeightsReport
from ..training.numerics import EPSILON
from ..training.target_form import MAX_LOG, TargetForm
from .check.check import CheckedSpec, Spec, check_spec
from .compile.compile import compile_checked
from .compile.graphs import inference_graph
from .compile.initial_weights import Weights
from .compile.keras_config import export_config, keras_variables
from .run.trained_model import TrainedModel

COPIED_BYTES = 1 << 20
"""Bytes that are copied at once from a temporary file."""
MODEL_FILES = ("model.json", "model.weights.h5")
"""The files of an export to a folder."""


@dataclass(frozen=True)
class KerasModel:
    """A model as Keras 3 writes it: `config` for `model_from_json`, `weights` for `load_weights`."""

    config: dict[str, Any]
    name: str
    layers: tuple[NamedLayer, ...]
    """The layers with their weights, in Keras' order."""
    weights_report: WeightsReport | None = None
    """The report on the loaded weights; None if all weights were drawn."""

    @property
    def weights(self) -> bytes:
        """The bytes of a `.weights.h5` file."""
        file = io.BytesIO()
        write_weights_h5(file, self.name, self.layers)
        return file.getvalue()

    def files(self, path: str | os.PathLike[str]) -> list[Path]:
        """The files that `save` writes. Raises UsageError."""
        target = Path(path)
        if target.suffix.lower() in (".h5", ".hdf5", ".json"):  # a folder of that name is not intended
            help = "name a .keras file, or a folder for model.json and model.weights.h5"
            raise UsageError("bad-option", f"{str(path)!r}: a model cannot be exported to this format", help)
        return [target] if target.suffix.lower() == ".keras" else [target / name for name in MODEL_FILES]

    def save(self, path: str | os.PathLike[str]) -> list[Path]:
        """Writes a `.keras` archive, or a folder with `model.json` and `model.weights.h5`. Raises UsageError."""
        files = self.files(path)
        try:
            self._save(files)
        except (OSError, RuntimeError) as error:  # the second one from HDF5
            message = f"cannot write a temporary file: {error_reason(error)}"
            raise UsageError("unwritable-file", message) from error
        return files

    def _save(self, files: Sequence[Path]) -> None:
        with self._temporary_file() as weights:
            write_weights_h5(weights, self.name, self.layers)
            if len(files) == 1:
                with self._temporary_file() as archive:
                    write_archive(archive, self.config, weights)
                    write_atomically(files[0], _chunks(archive))
                return
            make_folders(files[0].parent)
            write_atomically(files[0], json.dumps(self.config, indent=2).encode() + b"\n")
            write_atomically(files[1], _chunks(weights))

    def _temporary_file(self) -> IO[bytes]:
        """A file for the weights, on the disk if they are large. Closing it removes it."""
        size = sum(array.nbytes for layer in self.layers for array in layer.weights.values())
        return TemporaryFile() if size >= MIN_MAPPED_BYTES else io.BytesIO()


def _chunks(file: IO[bytes]) -> Iterator[bytes]:
    file.seek(0)
    while chunk := file.read(COPIED_BYTES):
        yield chunk


def to_keras(
    spec: Spec | CheckedSpec,
    weights: Weights = None,
    seed: int | None = None,
    *,
    partial: bool = False,
    verify: bool = True,
) -> KerasModel:
    """The Keras model of a spec, with the weights that `compile` would use.

    Raises CompileError `not-exportable` for a part that Keras cannot express, and the errors of `compile`.
    """
    checked = spec if isinstance(spec, CheckedSpec) else check_spec(spec)
    model = compile_checked(checked, weights, seed, partial=partial, verify=verify)
    checked = with_rescaled_outputs(checked, model.weights)
    exported = export_config(checked, model.weights)
    graph = inference_graph(checked)
    weights_by_layer: dict[str, dict[str, np.ndarray]] = {}
    for name in (*graph.parameters, *graph.states):
        layer, _, weight = name.partition("/")
        weights_by_layer.setdefault(layer, {})[weight] = model.weights[name]
    layers = tuple(
        NamedLayer(name, layer, keras_variables(layer, weights_by_layer.get(name, {})))
        for name, layer in exported.layers
    )
    return KerasModel(exported.config, checked.network.name, layers, model.weights_report)


def with_rescaled_outputs(checked: CheckedSpec, weights: Mapping[str, np.ndarray]) -> CheckedSpec:
    """The spec without its training, in which further layers restore the unit of normalized and transformed targets.

    Raises CompileError `not-exportable` for a transform that Keras has no layer for.
    """
    forms = checked.network.target_forms
    if not forms or checked.flat is None:
        return checked
    document: Any = {key: value for key, value in checked.flat.document.items() if key not in ("training", "labels")}
    outputs: dict[str, str] = {}
    layers = list(document["layers"])
    taken = {*document["inputs"], *(call.name for call in checked.network.calls)}
    for output, form in forms.items():
        if form.transform == "yeo_johnson":
            message = f"the model undoes the transform 'yeo_johnson' of {output!r}, which Keras has no layer for"
            help = 'export a network whose targets have the transform "log" or "log1p", or none'
            report = checked.new_report()
            report.add("not-exportable", ("training", "target", "transform"), message, help=help)
            raise CompileError(report)
        source = output
        for entry in _restoring_layers(output, form, weights):
            name = next(name for number in count() if (name := f"{output}_rescaled{number or ''}") not in taken)
            taken.add(name)
            layers.append(entry | {"name": name, "from": source})
            outputs[output] = source = name
    names = [outputs.get(name, name) for name in checked.network.outputs]
    return check_spec(document | {"layers": layers, "outputs": names})


def _restoring_layers(output: str, form: TargetForm, weights: Mapping[str, np.ndarray]) -> Iterator[dict[str, Any]]:
    """The layers from the network's own values to those in the unit of the target, without names and sources."""
    scope = target_name(output)
    if form.is_normalized:
        deviation = np.maximum(np.sqrt(weights[f"{scope}/variance"]), np.float32(EPSILON))
        scale, offset = (a[..., None] if form.has_quantiles else a for a in (deviation, weights[f"{scope}/mean"]))
        yield {"type": "Rescaling", "scale": scale.tolist(), "offset": offset.tolist()}
    if form.transform is not None:
        yield {"type": "ops.minimum", "x2": MAX_LOG}
        yield {"type": "ops.exp" if form.transform == "log" else "ops.expm1"}
    if form.has_quantiles:
        yield {"type": "ops.sort"}


def export_keras_model(
    source: str, weights: str | None = None, seed: int | None = None, partial: bool = False, verify: bool = True
) -> KerasModel:
    """The Keras model of a spec file, a RUN folder, or a model compiled by jsonnx (which needs `weights`)."""
    path = Path(source)
    if os.path.isdir(path) and RunPaths(path).run_info.exists():
        run = TrainedModel.open(path, verify=verify)
        return to_keras(run.checked, weights or RunPaths(path).weights, seed, partial=partial, verify=verify)
    if path.suffix.lower() == ".onnx":
        checked = TrainedModel.open(path, verify=verify).checked
        if weights is None:
            help = "give the RUN folder instead, or a weight file: --weights"
            message = "a compiled model does not contain its weights in the form that training uses"
            raise CompileError([Diagnostic("needs-weights", message, file=source, help=help)])
        return to_keras(checked, weights, seed, partial=partial, verify=verify)
    return to_keras(source, weights, seed, partial=partial, verify=verify)
