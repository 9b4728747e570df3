"""Writes a model to Triton's model repository: its configuration, its labels and a version folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from ...core.diagnostics import CompileError, Diagnostic, UsageError
from ...core.files.file_kinds import ONNX, other_kind_error
from ...core.files.files import open_file
from ...core.files.new_folder import copy_file, new_folder, refuse_existing, write_files
from ...core.numpy_types import numpy_dtype
from ...core.types import Dim, TensorType
from ...data.samples.data_errors import FeedError
from .exported_model import ExportedModel
from .triton_config import config_text, require_types

CONFIG_FILE = "config.pbtxt"
VERSION = "1"
WARMUP_SIZES = (1, 8, 32, 128, 512)
"""What is tried in turn for the axes of a sample whose sizes vary: layers may need a minimal size."""


def write_triton_model(model: ExportedModel, repository: Path, replaces: bool = False) -> Path:
    """Writes the folder of a model, which appears whole. Returns its path.

    Raises UsageError `file-exists`, `unwritable-file`, CompileError `not-exportable`, `other-format`.
    """
    folder = repository / model.name
    refuse_existing(folder, replaces, CONFIG_FILE)
    require_types(model)
    _require_onnx(model.file)
    names, texts = _labels_files(model)
    texts[CONFIG_FILE] = config_text(model, names, _warmup_shapes(model))
    with new_folder(folder) as new:
        write_files(new, texts)
        copy_model(model, new / VERSION)
    return folder


def _require_onnx(path: Path) -> None:
    """Raises CompileError `other-format` for a model in ORT format, which Triton does not know by the name that it
    wants."""
    with open_file(path) as file:
        if error := other_kind_error(file, str(path), "an ONNX model", (ONNX,)):
            raise error


def copy_model(model: ExportedModel, folder: Path) -> None:
    """Copies a model to a version folder: to `model.onnx`, a folder if it has files with weights, as Triton wants."""
    target = folder / "model.onnx"
    if not model.weight_files:
        copy_file(model.file, target)
        return
    copy_file(model.file, target / "model.onnx")
    own_folder = model.file.resolve().parent
    for file in model.weight_files:
        copy_file(file, target / file.relative_to(own_folder))


def _labels_files(model: ExportedModel) -> tuple[dict[str, str], dict[str, str]]:
    """The names of labels files by output, and their texts by name: a line for each number of the output."""
    outputs = [name for name in model.session.outputs if name in model.classes]
    names = {name: "labels.txt" if len(outputs) == 1 else f"labels_{i}.txt" for i, name in enumerate(outputs)}
    texts = {
        names[name]: "".join(" ".join(label.splitlines()) + "\n" for label in model.classes[name].probability_labels)
        for name in outputs
    }
    return names, texts


def _warmup_shapes(model: ExportedModel) -> dict[str, tuple[int, ...]] | None:
    """Shapes of inputs of one sample of zeros and empty strings that the model computes; None if no such are found.

    Raises CompileError `not-exportable` if the outputs do not have the declared types.
    """
    types = {**model.session.inputs, **model.session.random_inputs}
    return next((shapes for size in WARMUP_SIZES if _runs(model, shapes := _shapes(types, size))), None)


def _shapes(types: Mapping[str, TensorType], size: int) -> dict[str, tuple[int, ...]]:
    """The shapes of one sample. Sizes with the same name are equal; all but the first axis of each input vary alike."""
    batches: set[Dim] = {type.shape[0] for type in types.values() if type.rank}

    def known(dim: Dim) -> int:
        return dim if isinstance(dim, int) else 1 if dim in batches else size

    return {name: tuple(map(known, type.shape)) for name, type in types.items()}


def _runs(model: ExportedModel, shapes: Mapping[str, Sequence[int]]) -> bool:
    """Whether the model computes zeros and empty strings of these shapes."""
    types = {**model.session.inputs, **model.session.random_inputs}
    feeds = {name: _zeros(shape, types[name].dtype) for name, shape in shapes.items()}
    try:
        outputs = model.session.run(feeds)
    except (UsageError, CompileError, FeedError):
        return False
    for name, type in model.session.outputs.items():
        array = outputs[name]
        sizes = [dim if isinstance(dim, int) else size for size, dim in zip(array.shape, type.shape, strict=False)]
        if array.dtype != numpy_dtype(type.dtype) or array.ndim != type.rank or list(array.shape) != sizes:
            message = f"the output {name!r} is {array.dtype}{list(array.shape)}, and the model declares {type}"
            raise CompileError([Diagnostic("not-exportable", message, file=str(model.file))])
    return True


def _zeros(shape: Sequence[int], dtype: str) -> np.ndarray:
    return np.full(shape, "", object) if dtype == "string" else np.zeros(shape, numpy_dtype(dtype))
