"""Reads a folder of a Hugging Face model: the architecture by its `model_type`, its translation, its weights."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

import numpy as np

from ...core.diagnostics import CompileError, Diagnostic, suggestion
from ...core.files.files import MissingFile
from ...core.types import shape_text
from ...frontend.schema.phrases import known_names_help, name_list, short_name
from .checkpoint import Checkpoint, open_checkpoint
from .config import Config
from .families.bert import translate_bert, translate_distilbert, translate_roberta
from .families.common import class_names
from .families.gemma import translate_gemma2, translate_gemma3
from .families.gpt2 import translate_gpt2
from .families.llama import (
    translate_gemma,
    translate_llama,
    translate_mistral,
    translate_qwen2,
    translate_qwen3,
    translate_smollm3,
)
from .families.modernbert import translate_modernbert
from .families.vision_transformer import translate_dinov2, translate_vit
from .folder import ModelFolder, no_model_error, unsupported
from .idle_dropout import without_idle_dropout
from .sentence_embedding import MODULES_FILE, with_sentence_embedding
from .translation import Shape, Translation

CONFIG_FILE = "config.json"
CLASSIFIER = "classifier"
"""The name of the output of classifiers."""

Translator = Callable[[Config, Mapping[str, Shape]], Translation]

ARCHITECTURES: dict[str, Translator] = {
    "bert": translate_bert,
    "camembert": translate_roberta,
    "dinov2": translate_dinov2,
    "distilbert": translate_distilbert,
    "gemma": translate_gemma,
    "gemma2": translate_gemma2,
    "gemma3_text": translate_gemma3,
    "gpt2": translate_gpt2,
    "llama": translate_llama,
    "mistral": translate_mistral,
    "modernbert": translate_modernbert,
    "qwen2": translate_qwen2,
    "qwen3": translate_qwen3,
    "roberta": translate_roberta,
    "smollm3": translate_smollm3,
    "vit": translate_vit,
    "xlm-roberta": translate_roberta,
}
"""The function that translates an architecture, by the `model_type` of its configuration."""

BUFFERS = ("*position_ids", "*rotary_emb.inv_freq", "*.attn.bias", "*.attn.masked_bias")
"""Patterns of tensors that are computed from the configuration: older versions of transformers stored them."""

UNUSED_OF_BASE_MODELS = ("*pooler.*", "*mask_token")
"""Patterns of tensors that base models have, and that a translation may not need."""

MAX_TENSOR_ERRORS = 9
"""Tensors that do not fit that are listed; further ones are counted."""


@dataclass(frozen=True)
class HuggingFaceModel:
    """A folder as a spec."""

    folder: ModelFolder
    translation: Translation
    model_type: str

    def arrays(self) -> Iterator[tuple[str, np.ndarray]]:
        """The weights by our names, one after the other. Raises CompileError, UsageError."""
        with open_checkpoint(self.folder) as checkpoint:
            _check_tensors(self.translation, checkpoint)
            _check_copies(self.translation, checkpoint)
            for name, source in self.translation.weights.items():
                yield name, checkpoint.weight(source)


def read_folder(path: str | os.PathLike[str]) -> HuggingFaceModel:
    """Translates a folder, and checks names and shapes of its tensors without reading them.

    Raises CompileError for a model that a spec cannot express and for damaged files, UsageError for missing ones.
    """
    folder = ModelFolder(path)
    try:
        source = folder.read_json(CONFIG_FILE)
    except MissingFile as error:
        raise no_model_error(folder, error) from error
    config = Config.from_source(source)
    model_type = config.text("model_type")
    if model_type not in ARCHITECTURES:
        known = sorted(ARCHITECTURES)
        help = suggestion(model_type, known) or known_names_help(known, len(known))
        config.fail("model_type", "unsupported-model", f"there is no import of {short_name(model_type)}", help)
    with open_checkpoint(folder) as checkpoint:
        translation = _with_labels(without_idle_dropout(ARCHITECTURES[model_type](config, checkpoint.shapes)), config)
        config.check_all_read()
        translation = _with_notice_of_heads(translation, config, checkpoint)
        if folder.has(MODULES_FILE):
            translation = with_sentence_embedding(folder, translation)
        _check_tensors(translation, checkpoint)
    return HuggingFaceModel(folder, translation, model_type)


def _with_notice_of_heads(translation: Translation, config: Config, checkpoint: Checkpoint) -> Translation:
    """The translation with a notice of tensors of heads that are left out, if no class says which head the model has.
    Without a class, a model is a base model."""
    if any("For" in name for name in config.list_of("architectures", str, [])):
        return translation
    needed = {name for source in translation.weights.values() for name, _ in source.parts}
    used = (*BUFFERS, *UNUSED_OF_BASE_MODELS, *translation.copies)
    left = [
        name
        for name in sorted(checkpoint.shapes.keys() - needed)
        if _matches(name, translation.unused) and not _matches(name, used)
    ]
    if not left:
        return translation
    verb = "is" if len(left) == 1 else "are"
    notice = f"{name_list(left)} {verb} left out: 'architectures' of {CONFIG_FILE} names no class that has a head"
    return replace(translation, notices=(*translation.notices, notice))


def _matches(name: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def _with_labels(translation: Translation, config: Config) -> Translation:
    """A classifier with the names of its classes."""
    names = class_names(config) if translation.spec.get("outputs") == [CLASSIFIER] else []
    return replace(translation, spec={**translation.spec, "labels": names}) if names else translation


def _check_tensors(translation: Translation, checkpoint: Checkpoint) -> None:
    """Raises CompileError for each tensor that is missing, superfluous or has another shape."""
    needed = {name: shape for source in translation.weights.values() for name, shape in source.parts}
    stored, folder = checkpoint.shapes, checkpoint.folder_name
    errors = []
    for name, shape in needed.items():
        if name not in stored:
            errors.append(Diagnostic("weights-mismatch", f"the tensor {name!r} is missing", file=folder))
        elif stored[name] != shape:
            message = f"the tensor {name!r} has the shape {shape_text(stored[name])}, {CONFIG_FILE} leads to "
            errors.append(Diagnostic("weights-mismatch", message + shape_text(shape), file=checkpoint.file_of(name)))
    unused = (*BUFFERS, *translation.unused, *translation.copies)
    for name in stored.keys() - needed.keys():
        if not _matches(name, unused):
            message = f"the tensor {short_name(name)} belongs to no weight of the network"
            errors.append(Diagnostic("weights-mismatch", message, file=checkpoint.file_of(name)))
    if errors:
        errors.sort(key=lambda error: error.message)
        more = len(errors) - MAX_TENSOR_ERRORS
        if more > 0:
            message = f"there are {more:,} more errors of tensors"
            errors[MAX_TENSOR_ERRORS:] = [Diagnostic("weights-mismatch", message, file=folder)]
        raise CompileError(errors)


def _check_copies(translation: Translation, checkpoint: Checkpoint) -> None:
    """Raises CompileError if a tensor that is stored twice has two values."""
    for copy, original in translation.copies.items():
        if {copy, original} <= checkpoint.shapes.keys() and not np.array_equal(
            checkpoint.read(copy), checkpoint.read(original)
        ):
            message = f"the tensors {copy!r} and {original!r} differ, though the configuration ties them"
            raise unsupported(checkpoint.file_of(copy), message)
