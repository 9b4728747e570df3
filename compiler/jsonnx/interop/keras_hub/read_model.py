"""Translates the configuration in a file of KerasHub."""

from __future__ import annotations

from collections.abc import Callable
from fnmatch import fnmatchcase
from typing import Any, NamedTuple

import numpy as np

from ...core.components import Json, snake_case
from ...core.diagnostics import suggestion
from ...core.types import TensorType, shape_text
from ...frontend.json.json_reader import Source as JsonSource
from ...frontend.schema.phrases import known_names_help, short_name
from ..hdf5 import Hdf5Weights
from ..hugging_face.config import Config
from ..keras.translation.compile_config import read_compile_config
from ..keras.translation.report import KerasReport
from ..keras.translation.versions import KerasVersion, detect_version
from ..keras.weights.weight_sources import WeightSources
from . import decoders, encoders, heads, images
from .backbone import Backbone, Source

BACKBONES: dict[str, Callable[[Source], Backbone]] = {
    "BertBackbone": encoders.read_bert,
    "DistilBertBackbone": encoders.read_distilbert,
    "RobertaBackbone": encoders.read_roberta,
    "GPT2Backbone": decoders.read_gpt2,
    "LlamaBackbone": decoders.read_llama,
    "Llama3Backbone": decoders.read_llama,
    "QwenBackbone": decoders.read_qwen2,
    "Qwen3Backbone": decoders.read_qwen3,
    "SmolLM3Backbone": decoders.read_smollm3,
    "GemmaBackbone": decoders.read_gemma,
    "Gemma3Backbone": decoders.read_gemma3,
    "ViTBackbone": images.read_vit,
    "DINOV2Backbone": images.read_dinov2,
}
"""By class."""

Head = Callable[[Backbone, Config], Backbone]
TASKS: dict[str, tuple[str, Head]] = {
    "BertTextClassifier": ("BertBackbone", heads.bert_classifier),
    "BertMaskedLM": ("BertBackbone", heads.masked_language_model),
    "BertTextEmbedder": ("BertBackbone", heads.bert_embedder),
    "DistilBertTextClassifier": ("DistilBertBackbone", heads.distilbert_classifier),
    "DistilBertMaskedLM": ("DistilBertBackbone", heads.masked_language_model),
    "RobertaTextClassifier": ("RobertaBackbone", heads.roberta_classifier),
    "RobertaMaskedLM": ("RobertaBackbone", heads.masked_language_model),
    **{
        f"{name}CausalLM": (f"{name}Backbone", heads.causal_language_model)
        for name in ("GPT2", "Llama", "Llama3", "Qwen", "Qwen3", "SmolLM3", "Gemma", "Gemma3")
    },
    "Qwen3TextEmbedder": ("Qwen3Backbone", heads.decoder_embedder),
    "Gemma3TextEmbedder": ("Gemma3Backbone", heads.decoder_embedder),
    "ViTImageClassifier": ("ViTBackbone", heads.vit_classifier),
}
"""The class of the backbone and the head, by class."""

PACKAGES = ("keras_hub", "keras_nlp")
CONFIG, BACKBONE, DTYPE = "config", "backbone", "dtype"
"""Keys of serialized objects."""
OBJECT_KEYS = ("module", "registered_name", "build_config", "compile_config", "shared_object_id", "name")
"""Keys of a serialized object that do not determine its results."""


class HubModel(NamedTuple):
    """A model of KerasHub as a spec."""

    spec: dict[str, Any]
    backbone: Backbone
    report: KerasReport
    """Collects the warnings."""
    keras_version: KerasVersion

    @property
    def weight_types(self) -> dict[str, TensorType]:
        """The types of all weights of the network by name."""
        return {name: TensorType("float32", source.shape) for name, source in self.backbone.weights.items()}

    def find_weights(self, stored: Hdf5Weights) -> WeightSources:
        """The arrays of the file, in the layouts of the spec's weights."""
        sources = WeightSources()
        used = set()
        for name, source in self.backbone.weights.items():
            ((path, shape),) = source.parts
            used.add(path)
            if path not in stored.arrays:
                continue
            array = stored.arrays[path]
            if array.shape != shape:
                reason = f"has the shape {shape_text(array.shape)}, the configuration leads to {shape_text(shape)}"
                sources.mismatches[name] = path, reason
            else:
                sources.arrays[name] = path, np.ascontiguousarray(source.applied_to(array))
        for path in stored.arrays:
            if path not in used:
                is_unused = any(fnmatchcase(path, pattern) for pattern in self.backbone.unused)
                (sources.ignored_paths if is_unused else sources.unexpected_paths).append(path)
        return sources


def is_hub_model(document: Json) -> bool:
    """Whether a configuration is that of a class of KerasHub."""
    if not isinstance(document, dict) or not isinstance(document.get("class_name"), str):
        return False
    origins = document.get("module"), document.get("registered_name")
    return any(isinstance(text, str) and text.startswith(PACKAGES) for text in origins)


def read_hub_model(
    source: JsonSource, version: str | None, stored: Hdf5Weights | None, *, positions: bool = True
) -> HubModel:
    """Translates a configuration; `stored` is the file of weights, if there is one. Raises CompileError."""
    document = source.value
    assert isinstance(document, dict)
    report = KerasReport(source.file, source.locate if positions else None)
    root = Config(document, report)
    class_name = root.text("class_name")
    if class_name not in BACKBONES and class_name not in TASKS:
        known = [*BACKBONES, *TASKS]
        message = f"there is no import of KerasHub's class {short_name(class_name)}"
        help = suggestion(class_name, known) or known_names_help(known, len(known))
        root.fail("class_name", "keras-unknown-class", message, help)
    read = _read_backbone if class_name in BACKBONES else _read_task
    backbone, is_frozen = read(root, class_name, frozenset(stored.arrays if stored else ()), report)
    root.check_all_read()
    keras_version = detect_version(document, version)
    spec = with_training(backbone, is_frozen, document.get("compile_config"), keras_version, report)
    return HubModel(spec, backbone, report, keras_version)


def _read_backbone(
    holder: Config,
    class_name: str,
    arrays: frozenset[str],
    report: KerasReport,
    root: str = "",
    is_language_model: bool = False,
) -> tuple[Backbone, bool]:
    """The backbone in an object with class and configuration, and whether it is frozen."""
    config = _config_of(holder)
    _check_dtype(config, report)
    is_frozen = not config.flag("trainable", True)
    return BACKBONES[class_name](Source(config, root, arrays, report, is_language_model)), is_frozen


def _read_task(holder: Config, class_name: str, arrays: frozenset[str], report: KerasReport) -> tuple[Backbone, bool]:
    """The backbone of a task with its head, and whether the backbone is frozen."""
    config = _config_of(holder)
    config.skip("preprocessor")  # it makes tokens of texts, and is no part of the network
    backbone_class, head = TASKS[class_name]
    nested = config.section(BACKBONE)
    if nested is None:
        config.fail(BACKBONE, "missing-key", "the task has no backbone")
    if (nested_class := nested.text("class_name")) != backbone_class:
        message = f"the backbone of a {class_name} has to be a {backbone_class}, got {short_name(nested_class)}"
        nested.fail("class_name", "invalid-value", message)
    root = f"layers/{snake_case(backbone_class)}/"
    is_language_model = head is heads.causal_language_model
    backbone, is_frozen = _read_backbone(nested, backbone_class, arrays, report, root, is_language_model)
    return head(backbone, config), is_frozen


def _config_of(holder: Config) -> Config:
    """The arguments of an object."""
    holder.skip(*OBJECT_KEYS)
    config = holder.section(CONFIG)
    if config is None:
        holder.fail(CONFIG, "missing-key", "the key 'config' is missing")
    config.skip("name")
    return config


def _check_dtype(config: Config, report: KerasReport) -> None:
    """Reports half-precision and quantized weights, and warns of mixed precision and float64."""
    policy = config.section(DTYPE)
    if policy is None:
        return
    policy.skip(*OBJECT_KEYS)
    kind, arguments = policy.text("class_name"), policy.section(CONFIG)
    name = "float32" if arguments is None else arguments.text("name", "float32")
    if kind != "DTypePolicy" or not (name in ("float32", "float64") or name.startswith("mixed_")):
        message = f"the model computes in {name if kind == 'DTypePolicy' else kind}; here all layers use float32"
        help = "save the model with the dtype policy 'float32' or 'mixed_float16': both have float32 weights"
        config.fail(DTYPE, "keras-dtype", message, help)
    if name != "float32":
        message = f"layers with the dtype policy {name} compute in float32 here"
        report.add("keras-differs", (), message, severity="warning")


def with_training(
    backbone: Backbone, is_frozen: bool, compile_config: Json, keras_version: KerasVersion, report: KerasReport
) -> dict[str, Any]:
    """The spec, with a section `training` if the file has the arguments of `compile`. A loss is among them, except for
    embeddings of texts."""
    if not isinstance(compile_config, dict) or compile_config.get("loss") is None:
        return backbone.spec
    outputs = backbone.spec["outputs"]
    training = read_compile_config(compile_config, ("compile_config",), outputs, keras_version, report)
    if training is None:
        return backbone.spec
    if is_frozen and isinstance(training, dict):
        training = {**training, "freeze": ["*", *(f"!{name}" for name in backbone.head)]}
    return {**backbone.spec, "training": training}
