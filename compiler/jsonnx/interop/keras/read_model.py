"""A model's JSON as a document of ours."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from ...core.components import Json, snake_case
from ...core.diagnostics import Diagnostic, JsonPath
from ...frontend.json_reader import Source
from ...frontend.schema.phrases import short_name
from ...layers import Layer
from .compile_config import read_compile_config, warn_training_left_out
from .entries import FlatModel, WeightOwner
from .fold_blocks import fold_blocks
from .inputs_outputs import add_inputs, add_outputs
from .layer_entries import LayerTranslator
from .layer_names import LayerNames, non_input_layers, valid_name
from .model_config import MODEL_CLASSES, LayerConfig, ModelConfig, ModelConfigReader
from .model_walk import ModelWalk
from .operations import is_operation
from .report import KerasReport
from .spec_writer import spec_document
from .versions import KerasVersion, detect_version

VOCABULARY_FILE = "vocabulary.txt"
"""What a layer's learned vocabulary is called in an archive."""


@dataclass(frozen=True)
class TranslatedModel:
    """What a model's JSON says in our language."""

    spec: dict[str, Any]
    """The document, flat: without blocks."""
    owners: tuple[WeightOwner, ...]
    """The layers that may have weights."""
    keras_version: KerasVersion
    flat_model: FlatModel
    training: Json
    report: KerasReport
    """What to tell further faults to."""

    @property
    def notices(self) -> tuple[Diagnostic, ...]:
        """What is not as in Keras, and what was left out: warnings."""
        return tuple(self.report)

    def without_training(self, reason: str) -> TranslatedModel:
        """The same without its `training` section; that is told."""
        warn_training_left_out(self.report, (), reason)
        return replace(self, training=None, spec={key: value for key, value in self.spec.items() if key != "training"})

    def with_common_sizes(self) -> TranslatedModel | None:
        """The same where the free sizes of all inputs are one size on each axis; None where no two could be.

        To Keras all free sizes are `None`, so that it adds what comes from two of them and leaves it to the run.
        """
        free = [
            axis
            for input in self.flat_model.inputs.values()
            for axis, size in enumerate(input["shape"])
            if size is None
        ]
        if len(free) == len(set(free)):
            return None
        inputs = {
            name: {
                **input,
                "shape": [f"axis_{axis + 1}" if size is None else size for axis, size in enumerate(input["shape"])],
            }
            for name, input in self.flat_model.inputs.items()
        }
        return replace(self, spec={**self.spec, "inputs": inputs}, flat_model=replace(self.flat_model, inputs=inputs))

    def warn_common_sizes(self) -> None:
        message = "free sizes of inputs are one size on each axis, axis_1 and so on, since the model puts them together"
        self.report.add("keras-differs", (), message, severity="warning")

    def folded_specs(self) -> Iterator[dict[str, Any]]:
        """The document in blocks, and with less and less folded: to be written out again and compared."""
        for own_names, repeats in ((True, True), (False, True), (False, False)):
            yield fold_blocks(self.flat_model, self.training, repeats=repeats, own_names=own_names)

    def keras_path(self, path: JsonPath) -> JsonPath:
        """Where a part of the document comes from in the Keras file."""
        if (
            path[:1] == ("layers",)
            and len(path) > 1
            and isinstance(path[1], int)
            and path[1] < len(self.flat_model.entries)
        ):
            step = self.flat_model.entries[path[1]]
            return step.layer_entry.source_path(path[2:], step.keras_path)
        if path[:1] == ("inputs",) and len(path) > 1:
            return self.flat_model.input_paths.get(str(path[1]), ())
        return ()


def read_model(
    source: Source,
    version: str | None = None,
    compile_config: Source | None = None,
    assets: Mapping[str, bytes] = {},
    *,
    positions: bool = True,
) -> TranslatedModel:
    """The document for a model's JSON. Raises CompileError.

    `version` is Keras' where the file says it, `compile_config` how the model was compiled where that stands apart, `assets`
    are vocabularies by their paths. Without positions faults are told by their JSON path alone.
    """
    report, value = KerasReport(source.file, source.locate if positions else None), source.value
    if not isinstance(value, dict) or value.get("class_name") not in MODEL_CLASSES:
        report_no_model(value, report)
        report.raise_errors()
    assert isinstance(value, dict)
    model = ModelConfigReader(report).read_model(value, ())
    report.raise_errors()
    assert model is not None
    dialect, names = detect_version(value, version), LayerNames()
    graph = ModelWalk(LayerTranslator(dialect, report), names, report, FlatModel(model_name(model)))
    inputs = add_inputs(model, graph)
    names.assign(model)
    for layer, _, group in layer_groups(model):
        own = [path for path in assets if path.startswith(f"{group}/") and path.endswith(VOCABULARY_FILE)]
        if own:
            graph.translator.vocabularies[layer.path] = decode_vocabulary(assets[own[0]], own[0], report)
    for layer in all_layers(model):
        graph.layer_entry(layer)
    results = graph.call_model(model, inputs)
    add_outputs(graph, results, model.path)
    if not graph.flat_model.outputs and not report.has_errors():
        report.add("keras-wrong-form", (), f"the model {short_name(model.name)} has no outputs")
    report.raise_errors()
    graph.flat_model.drop_unused()
    used = {step.name for step in graph.flat_model.entries}
    warn_unused_layers(graph, model, used)
    report_notices(graph)
    section = None
    compiled, at = (compile_config.value, ()) if compile_config else (value.get("compile_config"), ("compile_config",))
    if isinstance(compiled, dict):
        section = read_compile_config(compiled, at, graph.flat_model.outputs, dialect, report)
    return TranslatedModel(
        spec_document(graph.flat_model, section),
        tuple(weight_owners(model, names, used)),
        dialect,
        graph.flat_model,
        section,
        report,
    )


def readable_layers(source: Source, version: str | None = None) -> Iterator[tuple[WeightOwner, Layer | None]]:
    """The layers of a model that may have weights, each read by itself, whether or not the whole can be said in a spec;
    None where the layer cannot be. Nothing where the model's class is one of its own.
    """
    report, value = KerasReport(source.file), source.value
    if not isinstance(value, dict) or value.get("class_name") not in MODEL_CLASSES:
        return
    model = ModelConfigReader(report).read_model(value, ())
    if model is None or report.has_errors():
        return
    layers, names = LayerTranslator(detect_version(value, version), report), LayerNames()
    add_inputs(model, ModelWalk(layers, names, report, FlatModel(model_name(model))))
    names.assign(model)
    for layer, own, group in layer_groups(model):
        entry = layers.translate(layer)
        yield WeightOwner(names.name_of(layer.path), layer.class_name, own, group), entry.layer if entry else None


def model_name(model: ModelConfig) -> str:
    """The model's name, where a person gave it one."""
    return "model" if re.fullmatch(r"(model|functional|sequential)(_\d+)?", model.name) else valid_name(model.name)


def decode_vocabulary(vocabulary: bytes, path: str, report: KerasReport) -> str:
    """The text of a vocabulary's file."""
    try:
        return vocabulary.decode()
    except UnicodeDecodeError:
        report.add("keras-wrong-form", (), f"the vocabulary {path!r} in the archive is not UTF-8")
        return ""


def report_no_model(value: Json, report: KerasReport) -> None:
    kind = value.get("class_name") if isinstance(value, dict) else None
    if isinstance(kind, str):
        message = f"a model of the class {short_name(kind)}, which is not Sequential or Functional"
        own = "a class of one's own keeps its layers in its code: build the model by the functional API, and save that"
        help = report.suggestion(kind, MODEL_CLASSES) or own
        report.add("keras-unknown-class", ("class_name",), message, help=help)
    else:
        help = "Keras' model.to_json() writes an object with 'class_name' and 'config'"
        report.add("keras-wrong-form", (), "this is no model of Keras", help=help)


def all_layers(model: ModelConfig) -> Iterator[Any]:
    """The layers of a model and of the models inside it, but for inputs and functions."""
    waiting = [model]
    for inside in waiting:
        for layer in non_input_layers(inside):
            waiting += layer.branches
            if layer.inner_model is not None:
                waiting.append(layer.inner_model)
            elif not is_operation(layer):
                yield layer


LayerGroup = tuple[LayerConfig, tuple[str, ...], str]
"""A layer, the names of the models around it and its own, and its group in a `.weights.h5` file."""


def layer_groups(model: ModelConfig, outer_names: tuple[str, ...] = (), group: str = "") -> Iterator[LayerGroup]:
    """Where the layers' weights are in a file."""
    counts: dict[str, int] = {}
    for layer in model.layers:
        for branch in layer.branches:  # whose layers Keras 1 wrote as those of the model itself
            yield from layer_groups(branch, outer_names, group)
        if is_operation(layer):
            continue
        stem = snake_case(layer.class_name)
        number = counts[stem] = counts.get(stem, -1) + 1
        own = f"{group}layers/{stem}_{number}" if number else f"{group}layers/{stem}"
        if layer.inner_model is not None:
            yield from layer_groups(layer.inner_model, (*outer_names, layer.name), f"{own}/")
        elif layer.class_name != "InputLayer":
            yield layer, (*outer_names, layer.name), own


def weight_owners(model: ModelConfig, names: LayerNames, used_names: Collection[str]) -> Iterator[WeightOwner]:
    """The layers with our names."""
    for layer, own, group in layer_groups(model):
        yield WeightOwner(
            names.name_of(layer.path), layer.class_name, own, group, names.name_of(layer.path) in used_names
        )


def warn_unused_layers(walk: ModelWalk, model: ModelConfig, used_names: Collection[str]) -> None:
    """Layers that lead to no output."""
    unused = [layer for layer in all_layers(model) if walk.names.name_of(layer.path) not in used_names]
    if unused:
        some = ", ".join(short_name(layer.name) for layer in unused[:3])
        more = f" and {len(unused) - 3} more" if len(unused) > 3 else ""
        walk.translator.notices.setdefault(f"layers that lead to no output are left out: {some}{more}", unused[0].path)


def report_notices(walk: ModelWalk) -> None:
    """What a user should know of a model that could be read."""
    for message, path in walk.translator.notices.items():
        walk.report.add("keras-differs", path, message, severity="warning")
    changed = walk.names.renames
    if changed:
        some = ", ".join(f"{short_name(old)} is {short_name(new)}" for old, new in changed[:3])
        more = f", and {len(changed) - 3} more" if len(changed) > 3 else ""
        message = f"names that cannot be here, or that stood for several layers, are changed: {some}{more}"
        walk.report.add("keras-differs", (), message, severity="warning")
