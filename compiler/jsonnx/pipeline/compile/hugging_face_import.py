"""Imports folders of Hugging Face models as specs and weights, perhaps with another head."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...core.diagnostics import CompileError, Diagnostic, UsageError
from ...core.files.tokenizer_file import read_tokenizer
from ...core.limits import MAX_TEXT_TOKENS
from ...core.types import TensorType, shape_text
from ...frontend.json.json_reader import from_value
from ...frontend.text.formatter import format_source
from ...interop.hugging_face.config import Config
from ...interop.hugging_face.read_folder import HuggingFaceModel, read_folder
from ...interop.hugging_face.translation import Translation
from ...runtime.session.weight_files import check_finite
from ..check.check import check_spec
from .classifier_head import with_classifier
from .graphs import forward_graph
from .tokenizer_front import with_tokenizer

if TYPE_CHECKING:
    import numpy as np

TOKENIZER_FILE = "tokenizer.json"
SENTENCE_FILE, MAX_LENGTH_KEY, LOWER_CASE_KEY = "sentence_bert_config.json", "max_seq_length", "do_lower_case"
"""Where sentence-transformers says how many tokens of a text it reads, and whether it makes texts lower case."""


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

    @property
    def files(self) -> list[Path]:
        """The files of the folder that were read, and its tokenizer."""
        folder = self.model.folder
        return [folder.path / name for name in sorted({*folder.opened, TOKENIZER_FILE})]

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
    folder: str | os.PathLike[str], head: Mapping[str, int] | None = None, text: str | None = None
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Imports a folder of a Hugging Face model, with `config.json` and safetensors files.

    Returns the spec, and the weights by name, in float32. With `head`, such as `{"kind": 5}`, a new layer of this name
    and number of classes takes the place of the model's own head, and the spec trains it alone; the weights lack those
    of the new layer. With `text`, the name of an input, the spec takes texts in place of ids of tokens, by the folder's
    `tokenizer.json`, which has to lie beneath the current folder. Raises CompileError for damaged files and for a model
    that a spec cannot express, UsageError for a missing file.
    """
    imported = import_folder(folder, head, text)
    return imported.spec, imported.weights()


def import_folder(
    folder: str | os.PathLike[str],
    head: Mapping[str, int] | None = None,
    text: str | None = None,
    spec_folder: str = "",
) -> ImportedFolder:
    """As `from_hugging_face`; the weights are read when they are asked for. The tokenizer is named relative to
    `spec_folder`, by default the current folder."""
    model = read_folder(folder)
    spec = model.translation.spec
    if head is None:
        _check_weights(model.translation, spec, os.fspath(folder))
    else:
        body = _without_head(model.translation, os.fspath(folder))
        _check_weights(body, body.spec, os.fspath(folder))
        spec = with_classifier(body.spec, head, ["*", *(f"!{name}" for name in head)])
        model = replace(model, translation=body)
    return ImportedFolder(spec if text is None else _with_texts(spec, model, text, spec_folder), model)


def _with_texts(spec: dict[str, Any], model: HuggingFaceModel, text: str, spec_folder: str) -> dict[str, Any]:
    """The spec behind the folder's tokenizer. Raises CompileError, UsageError."""
    path = os.path.join(model.folder.path, TOKENIZER_FILE)
    if not model.folder.has(TOKENIZER_FILE):
        help = "a vocabulary in other files is no tokenizer yet: transformers' save_pretrained writes this file"
        raise UsageError("unreadable-file", f"there is no {path!r}", help)
    if os.path.islink(path):
        help = "a spec names files, no links: copy the folder with cp -RL FOLDER COPY, and import the copy"
        raise UsageError("bad-option", f"{path!r} is a symbolic link", help)
    with model.folder.open(TOKENIZER_FILE) as file:
        read_tokenizer(file, path)
    name = os.path.relpath(path, spec_folder or ".")
    if name.startswith(os.pardir):
        help = "write the spec to the folder of the model, or to one above it"
        raise UsageError("bad-option", f"{path!r} does not lie beneath the folder of the spec, which names it", help)
    return with_tokenizer(spec, text, name, _max_length(spec, model))


def _max_length(spec: dict[str, Any], model: HuggingFaceModel) -> int | None:
    """The number of tokens that the model takes, as far as the folder tells; None for the Tokenizer's own default."""
    layers = {entry["name"]: entry for entry in spec["layers"]}
    lengths = [entry["sequence_length"] for entry in layers.values() if entry.get("type") == "PositionEmbedding"]
    if (positions := layers.get("positions", {})).get("type") == "token_positions":  # those of RoBERTa
        lengths.append(layers["position_embeddings"]["input_dim"] - positions["padding"] - 1)
    if model.folder.has(SENTENCE_FILE):
        config = Config.from_source(model.folder.read_json(SENTENCE_FILE))
        if config.flag(LOWER_CASE_KEY, False):
            help = "set it to false in a copy of the file if the tokenizer itself makes texts lower case"
            message = f"{LOWER_CASE_KEY!r} is true, but a Tokenizer does only what its own file says"
            config.fail(LOWER_CASE_KEY, "unsupported-model", message, help)
        length = config.integer(MAX_LENGTH_KEY, None, maximum=int(MAX_TEXT_TOKENS))
        lengths += [] if length is None else [length]
    return min(lengths, default=None)


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
