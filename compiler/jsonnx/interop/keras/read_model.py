"""Translates the JSON of a Keras model to a spec."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from ...core.components import Json
from ...core.diagnostics import Diagnostic, JsonPath
from ...core.limits import MAX_KERAS_LAYERS
from ...frontend.json.json_reader import Source
from ...frontend.schema.phrases import name_list, short_name
from ...layers import Layer
from .folding.fold_blocks import fold_blocks
from .folding.spec_writer import spec_document
from .translation.compile_config import read_compile_config, warn_training_left_out
from .translation.entries import FlatModel, WeightOwner
from .translation.inputs_outputs import add_inputs, add_outputs
from .translation.layer_entries import LayerTranslator
from .translation.layer_names import LayerNames, non_input_layers, valid_name
from .translation.model_config import MODEL_CLASSES, LayerConfig, ModelConfig, ModelConfigReader
from .translation.model_walk import ModelWalk
from .translation.operations import is_operation
from .translation.report import KerasReport
from .translation.versions import KerasVersion, detect_version
from .weights.weight_paths import group_names

VOCABULARY_FILE = "vocabulary.txt"
"""The file of a layer's adapted vocabulary in an archive."""

MAX_NAMES_SHOWN = 3
"""Layer names in a warning."""


@dataclass(frozen=True)
class TranslatedModel:
    """The spec of a Keras model."""

    spec: dict[str, Any]
    """The spec, flat: without blocks."""
    owners: tuple[WeightOwner, ...]
    """The layers that may have weights."""
    keras_version: KerasVersion
    flat_model: FlatModel
    training: Json
    """The `training` section of the spec."""
    report: KerasReport
    """Collects the warnings."""

    @property
    def notices(self) -> tuple[Diagnostic, ...]:
        """Warnings: differences from Keras, and parts that were left out."""
        return tuple(self.report)

    def without_training(self, reason: str) -> TranslatedModel:
        """The model without its `training` section, and warns of it."""
        warn_training_left_out(self.report, (), reason)
        return replace(self, training=None, spec={key: value for key, value in self.spec.items() if key != "training"})

    def with_common_sizes(self) -> TranslatedModel | None:
        """The model with one named size for all free sizes on an axis; None if no axis is free twice.

        Keras writes every free size as `None` and checks only at run time that the sizes of two inputs agree.
        """
        shapes = {name: input["shape"] for name, input in self.flat_model.inputs.items()}
        free_axes = [axis for shape in shapes.values() for axis, size in enumerate(shape) if size is None]
        if len(free_axes) == len(set(free_axes)):
            return None
        inputs: dict[str, dict[str, Json]] = {}
        for name, shape in shapes.items():
            named_shape = [f"axis_{axis + 1}" if size is None else size for axis, size in enumerate(shape)]
            inputs[name] = {**self.flat_model.inputs[name], "shape": named_shape}
        return replace(self, spec={**self.spec, "inputs": inputs}, flat_model=replace(self.flat_model, inputs=inputs))

    def warn_common_sizes(self) -> None:
        message = (
            "the free sizes of all inputs on an axis are assumed equal (axis_1 and so on): the model combines them"
        )
        self.report.add("keras-differs", (), message, severity="warning")

    def folded_specs(self) -> Iterator[dict[str, Any]]:
        """Yields the spec folded into blocks, then with less folding: the caller expands each and compares."""
        for own_names, repeats in ((True, True), (False, True), (False, False)):
            yield fold_blocks(self.flat_model, self.training, repeats=repeats, own_names=own_names)

    def keras_path(self, path: JsonPath) -> JsonPath:
        """Maps a path in the spec to the path in the Keras file; the empty path if there is none."""
        match path:
            case ("layers", int(index), *part) if index < len(self.flat_model.entries):
                entry = self.flat_model.entries[index]
                return entry.layer_entry.source_path(tuple(part), entry.keras_path)
            case ("inputs", name, *_):
                return self.flat_model.input_paths.get(str(name), ())
        return ()


def read_model(
    source: Source,
    version: str | None = None,
    compile_config: Source | None = None,
    assets: Mapping[str, bytes] = {},
    *,
    positions: bool = True,
) -> TranslatedModel:
    """Translates the JSON of a Keras model to a spec. Raises CompileError.

    `version` is the Keras version if the file states it, `compile_config` the arguments of `compile` if they are stored
    separately, `assets` the vocabulary files by path. Without `positions`, diagnostics have JSON paths only.
    """
    report, document = KerasReport(source.file, source.locate if positions else None), source.value
    if not isinstance(document, dict) or document.get("class_name") not in MODEL_CLASSES:
        report_no_model(document, report)
        report.raise_errors()
    assert isinstance(document, dict)
    model = ModelConfigReader(report).read_model(document, ())
    report.raise_errors()
    assert model is not None
    check_layer_count(model, report)
    names = LayerNames()
    translator = LayerTranslator(detect_version(document, version), report)
    walk = ModelWalk(translator, names, report, FlatModel(model_name(model)))
    inputs = add_inputs(model, walk)
    names.assign(model)
    _read_vocabularies(walk, model, assets)
    for layer in all_layers(model):
        walk.layer_entry(layer)
    add_outputs(walk, walk.call_model(model, inputs), model.path)
    flat_model = walk.flat_model
    if not flat_model.outputs and not report.has_errors():
        report.add("keras-wrong-form", (), f"the model {short_name(model.name)} has no outputs")
    report.raise_errors()
    flat_model.drop_unused()
    used_names = {entry.name for entry in flat_model.entries}
    warn_unused_layers(walk, model, used_names)
    report_notices(walk)
    training = _read_training(document, compile_config, walk)
    owners = tuple(weight_owners(model, names, used_names))
    spec = spec_document(flat_model, training)
    return TranslatedModel(spec, owners, translator.keras_version, flat_model, training, report)


def check_layer_count(model: ModelConfig, report: KerasReport) -> None:
    """Raises CompileError if nested models, written out for each of their calls, have too many layers."""
    count = model.expanded_layer_count
    if count > MAX_KERAS_LAYERS:
        number = f"{count:,}" if count < 10**15 else "more than 10^15"
        message = f"with nested models written out for each call, the model has {number} layers"
        report.add("too-large", model.path, f"{message}, the limit is {MAX_KERAS_LAYERS:,}")
        report.raise_errors()


def _read_vocabularies(walk: ModelWalk, model: ModelConfig, assets: Mapping[str, bytes]) -> None:
    for layer, _, group in layer_groups(model):
        paths = (path for path in assets if path.startswith(f"{group}/") and path.endswith(VOCABULARY_FILE))
        path = next(paths, None)
        if path is not None:
            walk.translator.vocabularies[layer.path] = decode_vocabulary(assets[path], path, walk.report)


def _read_training(document: Mapping[str, Json], compile_config: Source | None, walk: ModelWalk) -> Json:
    """The `training` section for the arguments of `compile`; None if there are none or they are unsupported."""
    path: JsonPath = () if compile_config else ("compile_config",)
    config = compile_config.value if compile_config else document.get("compile_config")
    if not isinstance(config, dict):
        return None
    return read_compile_config(config, path, walk.flat_model.outputs, walk.keras_version, walk.report)


def readable_layers(source: Source, version: str | None = None) -> Iterator[tuple[WeightOwner, Layer | None]]:
    """Yields the layers that may have weights, each translated by itself; None for a layer that cannot be translated.

    The model as a whole need not be expressible as a spec. Yields nothing if the model has a custom class.
    """
    report, document = KerasReport(source.file), source.value
    if not isinstance(document, dict) or document.get("class_name") not in MODEL_CLASSES:
        return
    model = ModelConfigReader(report).read_model(document, ())
    if model is None or report.has_errors():
        return
    translator, names = LayerTranslator(detect_version(document, version), report), LayerNames()
    add_inputs(model, ModelWalk(translator, names, report, FlatModel(model_name(model))))
    names.assign(model)
    for layer, name_path, group in layer_groups(model):
        entry = translator.translate(layer)
        owner = WeightOwner(names.name_of(layer.path), layer.class_name, name_path, group)
        yield owner, entry.layer if entry else None


def model_name(model: ModelConfig) -> str:
    """The model's name, or `model` if it is one that Keras generated."""
    return "model" if re.fullmatch(r"(model|functional|sequential)(_\d+)?", model.name) else valid_name(model.name)


def decode_vocabulary(vocabulary: bytes, path: str, report: KerasReport) -> str:
    """The text of a vocabulary file; invalid UTF-8 is reported."""
    try:
        return vocabulary.decode()
    except UnicodeDecodeError:
        report.add("keras-wrong-form", (), f"the vocabulary {path!r} in the archive is not UTF-8")
        return ""


def report_no_model(document: Json, report: KerasReport) -> None:
    """Reports that a document is not a Sequential or Functional model of Keras."""
    kind = document.get("class_name") if isinstance(document, dict) else None
    if isinstance(kind, str):
        message = f"the model has the class {short_name(kind)}, which is neither Sequential nor Functional"
        custom = "a custom class has its layers in its code: build the model by the functional API, and save that"
        help = report.suggestion(kind, MODEL_CLASSES) or custom
        report.add("keras-unknown-class", ("class_name",), message, help=help)
    else:
        help = "Keras' model.to_json() writes an object with 'class_name' and 'config'"
        if isinstance(document, dict) and "model_type" in document:
            help = "it is the configuration of a Hugging Face model: give the folder that it lies in"
        report.add("keras-wrong-form", (), "this is not a Keras model", help=help)


def all_layers(model: ModelConfig) -> Iterator[LayerConfig]:
    """Yields the layers of a model and its nested models, without inputs and operations."""
    models = [model]
    for inner in models:
        for layer in non_input_layers(inner):
            models += layer.branches
            if layer.inner_model is not None:
                models.append(layer.inner_model)
            elif not is_operation(layer):
                yield layer


LayerGroup = tuple[LayerConfig, tuple[str, ...], str]
"""A layer, the names of the enclosing models and its own, and its group in a `.weights.h5` file."""


def layer_groups(model: ModelConfig, outer_names: tuple[str, ...] = (), group: str = "") -> Iterator[LayerGroup]:
    """Yields the location of each layer's weights in a weights file; `group` is the prefix of the enclosing groups.

    Keras 1 stores the layers of a Merge's branches as layers of the model itself.
    """
    layers = [layer for layer in model.layers if not is_operation(layer)]
    for layer, name in zip(layers, group_names(layer.class_name for layer in layers), strict=True):
        for branch in layer.branches:
            yield from layer_groups(branch, outer_names, group)
        layer_group, name_path = f"{group}layers/{name}", (*outer_names, layer.name)
        if layer.inner_model is not None:
            yield from layer_groups(layer.inner_model, name_path, f"{layer_group}/")
        elif layer.class_name != "InputLayer":
            yield layer, name_path, layer_group


def weight_owners(model: ModelConfig, names: LayerNames, used_names: Collection[str]) -> Iterator[WeightOwner]:
    """Yields the layers that may have weights, with their names in the spec."""
    for layer, name_path, group in layer_groups(model):
        name = names.name_of(layer.path)
        yield WeightOwner(name, layer.class_name, name_path, group, name in used_names)


def warn_unused_layers(walk: ModelWalk, model: ModelConfig, used_names: Collection[str]) -> None:
    """Warns of layers that contribute to no output."""
    unused = [layer for layer in all_layers(model) if walk.names.name_of(layer.path) not in used_names]
    if unused:
        names = name_list([layer.name for layer in unused], MAX_NAMES_SHOWN)
        walk.notices.setdefault(f"layers that contribute to no output are left out: {names}", unused[0].path)


def report_notices(walk: ModelWalk) -> None:
    """Reports the collected warnings and the renamed layers."""
    for message, path in walk.notices.items():
        walk.report.add("keras-differs", path, message, severity="warning")
    renames = [f"{short_name(old)} is {short_name(new)}" for old, new in walk.names.renames]
    if renames:
        examples = ", ".join(renames[:MAX_NAMES_SHOWN] + ["..."] * (len(renames) > MAX_NAMES_SHOWN))
        message = f"invalid and ambiguous layer names are changed: {examples}"
        walk.report.add("keras-differs", (), message, severity="warning")
