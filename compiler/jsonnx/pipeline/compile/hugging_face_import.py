"""Imports folders of Hugging Face models as specs and weights, perhaps with another head."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ...core.diagnostics import CompileError, Diagnostic, UsageError
from ...core.types import TensorType, shape_text
from ...frontend.json.json_reader import from_value
from ...frontend.text.formatter import format_source
from ...interop.hugging_face.read_folder import HuggingFaceModel, read_folder
from ...interop.hugging_face.translation import Translation
from ...runtime.session.weight_files import check_finite
from ..check.check import check_spec
from .classifier_head import with_classifier
from .graphs import forward_graph

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class ImportedFolder:
    """A folder as a spec."""

    spec: dict[str, Any]
    model: HuggingFaceModel

    @property
    def notices(self) -> tuple[Diagnostic, ...]:
        """Warnings: parts of the model that were left out."""
        file = os.fspath(self.model.folder.path)
        warnings = self.model.translation.notices
        return tuple(Diagnostic("not-imported", text, file=file, severity="warning") for text in warnings)

    def text(self, weights: str | None = None) -> str:
        """The spec in its canonical form. A spec that trains a new head names the file of the other weights, if it lies
        beneath the spec's folder."""
        spec = self.spec
        if weights is not None and "training" in spec and not weights.startswith(os.pardir):
            layers = {"file": weights, "layers": spec["training"]["freeze"]}
            spec = {**spec, "training": {"weights": layers, **spec["training"]}}
        return format_source(from_value(spec))

    def weights(self) -> dict[str, np.ndarray]:
        """The weights by name, without those of a new head. Raises CompileError, UsageError."""
        arrays = dict(self.model.arrays())
        check_finite(arrays, os.fspath(self.model.folder.path))
        return arrays


def from_hugging_face(
    folder: str | os.PathLike[str], head: Mapping[str, int] | None = None
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Imports a folder of a Hugging Face model, with `config.json` and safetensors files.

    Returns the spec, and the weights by name, in float32. With `head`, such as `{"kind": 5}`, a new layer of this name
    and number of classes takes the place of the model's own head, and the spec trains it alone; the weights lack those
    of the new layer. Raises CompileError for damaged files and for a model that a spec cannot express, UsageError for a
    missing file.
    """
    imported = import_folder(folder, head)
    return imported.spec, imported.weights()


def import_folder(folder: str | os.PathLike[str], head: Mapping[str, int] | None = None) -> ImportedFolder:
    """As `from_hugging_face`; the weights are read when they are asked for."""
    model = read_folder(folder)
    if head is None:
        _check_weights(model.translation, model.translation.spec, os.fspath(folder))
        return ImportedFolder(model.translation.spec, model)
    body = _without_head(model.translation, os.fspath(folder))
    _check_weights(body, body.spec, os.fspath(folder))
    ((name, _),) = head.items()
    spec = with_classifier(body.spec, head, ["*", f"!{name}"])
    return ImportedFolder(spec, replace(model, translation=body))


def _without_head(translation: Translation, folder: str) -> Translation:
    """The model up to the features of a sample; the tensors of its own head are unused."""
    if translation.features is None:
        help = "import it without --head, and write the layers into the spec"
        raise UsageError("bad-option", f"the import of the model in {folder!r} knows no place of a head", help)
    body = translation.up_to(translation.features, *translation.pooling)
    return replace(body, weights=body.weights | translation.pooling_weights)


def _weight_types(spec: dict[str, Any], folder: str) -> dict[str, TensorType]:
    """The types of all weights of a spec by name. Raises CompileError for sizes that no network can have."""
    try:
        graph = forward_graph(check_spec(spec))
    except CompileError as error:
        lines = [replace(line, file=folder, message=f"as a spec, {line.path}: {line.message}", path="$", line=None)
                 for line in error.diagnostics if line.severity == "error"]  # fmt: skip
        raise CompileError(lines) from error
    return {name: weight.type for name, weight in {**graph.parameters, **graph.states}.items()}


def _check_weights(translation: Translation, spec: dict[str, Any], folder: str) -> None:
    """Raises CompileError unless the table of weights has exactly the weights of the network, in their shapes."""
    expected = {name: type.shape for name, type in _weight_types(spec, folder).items()}
    actual = {name: source.shape for name, source in translation.weights.items()}
    names = sorted(name for name in expected.keys() | actual.keys() if expected.get(name) != actual.get(name))
    errors = [
        Diagnostic("weights-mismatch", _mismatch(name, expected.get(name), actual.get(name)), file=folder)
        for name in names
    ]
    if errors:
        raise CompileError(errors)


def _mismatch(name: str, expected: Any, actual: Any) -> str:
    shapes = [None if shape is None else shape_text(shape) for shape in (expected, actual)]
    return f"the weight {name!r} of the network has the shape {shapes[0]}, the import expects {shapes[1]}"
