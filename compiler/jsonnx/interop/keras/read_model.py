"""A model's JSON as a document of ours."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from ...core.components import Json, snake_case
from ...core.diagnostics import Diagnostic, JsonPath
from ...frontend.json_reader import Source
from ...frontend.schema.phrases import quoted
from ...layers import Layer
from .compile_config import tell_left_out, training_of
from .entries import Flat, Owner
from .fold_blocks import folded
from .inputs_outputs import add_outputs, inputs_of
from .layer_entries import Layers
from .layer_names import Names, layers_of, valid
from .model_config import MODELS, Model, Reader, Written
from .model_walk import Graph
from .operations import is_operation
from .report import KerasReport
from .spec_writer import document
from .versions import Dialect, dialect_of

VOCABULARY = "vocabulary.txt"
"""What a layer's learned vocabulary is called in an archive."""


@dataclass(frozen=True)
class Imported:
    """What a model's JSON says in our language."""

    spec: dict[str, Any]
    """The document, flat: without blocks."""
    owners: tuple[Owner, ...]
    """The layers that may have weights."""
    dialect: Dialect
    flat: Flat
    training: Json
    report: KerasReport
    """What to tell further faults to."""

    @property
    def notices(self) -> tuple[Diagnostic, ...]:
        """What is not as in Keras, and what was left out: warnings."""
        return tuple(self.report)

    def without_training(self, why: str) -> Imported:
        """The same without its `training` section; that is told."""
        tell_left_out(self.report, (), why)
        return replace(self, training=None, spec={key: value for key, value in self.spec.items() if key != "training"})

    def with_common_sizes(self) -> Imported | None:
        """The same where the free sizes of all inputs are one size on each axis; None where no two could be.

        To Keras all free sizes are `None`, so that it adds what comes from two of them and leaves it to the run.
        """
        free = [axis for input in self.flat.inputs.values() for axis, size in enumerate(input["shape"]) if size is None]
        if len(free) == len(set(free)):
            return None
        inputs = {
            name: {
                **input,
                "shape": [f"axis_{axis + 1}" if size is None else size for axis, size in enumerate(input["shape"])],
            }
            for name, input in self.flat.inputs.items()
        }
        return replace(self, spec={**self.spec, "inputs": inputs}, flat=replace(self.flat, inputs=inputs))

    def tell_common_sizes(self) -> None:
        message = "free sizes of inputs are one size on each axis, axis_1 and so on, since the model puts them together"
        self.report.add("keras-differs", (), message, severity="warning")

    def folded(self) -> Iterator[dict[str, Any]]:
        """The document in blocks, and with less and less folded: to be written out again and compared."""
        for own_names, repeats in ((True, True), (False, True), (False, False)):
            yield folded(self.flat, self.training, repeats=repeats, own_names=own_names)

    def origin(self, path: JsonPath) -> JsonPath:
        """Where a part of the document comes from in the Keras file."""
        if path[:1] == ("layers",) and len(path) > 1 and isinstance(path[1], int) and path[1] < len(self.flat.steps):
            step = self.flat.steps[path[1]]
            return step.entry.path(path[2:], step.path)
        if path[:1] == ("inputs",) and len(path) > 1:
            return self.flat.places.get(str(path[1]), ())
        return ()


def read_model(
    source: Source,
    version: str | None = None,
    training: Source | None = None,
    assets: Mapping[str, bytes] = {},
    *,
    positions: bool = True,
) -> Imported:
    """The document for a model's JSON. Raises CompileError.

    `version` is Keras' where the file says it, `training` how the model was compiled where that stands apart, `assets`
    are vocabularies by their paths. Without positions faults are told by their JSON path alone.
    """
    report, value = KerasReport(source.file, source.locate if positions else None), source.value
    if not isinstance(value, dict) or value.get("class_name") not in MODELS:
        tell_no_model(value, report)
        report.raise_errors()
    assert isinstance(value, dict)
    model = Reader(report).model(value, ())
    report.raise_errors()
    assert model is not None
    dialect, names = dialect_of(value, version), Names()
    graph = Graph(Layers(dialect, report), names, report, Flat(name_of(model)))
    inputs = inputs_of(model, graph)
    names.assign(model)
    for layer, _, group in grouped(model):
        own = [path for path in assets if path.startswith(f"{group}/") and path.endswith(VOCABULARY)]
        if own:
            graph.layers.learned[layer.path] = decoded(assets[own[0]], own[0], report)
    for layer in every_layer(model):
        graph.entry(layer)
    results = graph.model(model, inputs)
    add_outputs(graph, results, model.path)
    if not graph.flat.outputs and not report.errors():
        report.add("keras-wrong-form", (), f"the model {quoted(model.name)} has no outputs")
    report.raise_errors()
    graph.flat.drop_unused()
    used = {step.name for step in graph.flat.steps}
    tell_unused(graph, model, used)
    tell_notices(graph)
    section = None
    compiled, at = (training.value, ()) if training else (value.get("compile_config"), ("compile_config",))
    if isinstance(compiled, dict):
        section = training_of(compiled, at, graph.flat.outputs, dialect, report)
    return Imported(
        document(graph.flat, section), tuple(owners(model, names, used)), dialect, graph.flat, section, report
    )


def apart(source: Source, version: str | None = None) -> Iterator[tuple[Owner, Layer | None]]:
    """The layers of a model that may have weights, each read by itself, whether or not the whole can be said in a spec;
    None where the layer cannot be. Nothing where the model's class is one of its own.
    """
    report, value = KerasReport(source.file), source.value
    if not isinstance(value, dict) or value.get("class_name") not in MODELS:
        return
    model = Reader(report).model(value, ())
    if model is None or report.errors():
        return
    layers, names = Layers(dialect_of(value, version), report), Names()
    inputs_of(model, Graph(layers, names, report, Flat(name_of(model))))
    names.assign(model)
    for layer, own, group in grouped(model):
        entry = layers.entry(layer)
        yield Owner(names.of(layer.path), layer.kind, own, group), entry.brick if entry else None


def name_of(model: Model) -> str:
    """The model's name, where a person gave it one."""
    return "model" if re.fullmatch(r"(model|functional|sequential)(_\d+)?", model.name) else valid(model.name)


def decoded(vocabulary: bytes, path: str, report: KerasReport) -> str:
    """The text of a vocabulary's file."""
    try:
        return vocabulary.decode()
    except UnicodeDecodeError:
        report.add("keras-wrong-form", (), f"the vocabulary {path!r} in the archive is not UTF-8")
        return ""


def tell_no_model(value: Json, report: KerasReport) -> None:
    kind = value.get("class_name") if isinstance(value, dict) else None
    if isinstance(kind, str):
        message = f"a model of the class {quoted(kind)}, which is not Sequential or Functional"
        own = "a class of one's own keeps its layers in its code: build the model by the functional API, and save that"
        help = report.suggestion(kind, MODELS) or own
        report.add("keras-unknown-class", ("class_name",), message, help=help)
    else:
        help = "Keras' model.to_json() writes an object with 'class_name' and 'config'"
        report.add("keras-wrong-form", (), "this is no model of Keras", help=help)


def every_layer(model: Model) -> Iterator[Any]:
    """The layers of a model and of the models inside it, but for inputs and functions."""
    waiting = [model]
    for inside in waiting:
        for layer in layers_of(inside):
            waiting += layer.branches
            if layer.inner is not None:
                waiting.append(layer.inner)
            elif not is_operation(layer):
                yield layer


Grouped = tuple[Written, tuple[str, ...], str]
"""A layer, the names of the models around it and its own, and its group in a `.weights.h5` file."""


def grouped(model: Model, around: tuple[str, ...] = (), group: str = "") -> Iterator[Grouped]:
    """Where the layers' weights are in a file."""
    counts: dict[str, int] = {}
    for layer in model.layers:
        for branch in layer.branches:  # whose layers Keras 1 wrote as those of the model itself
            yield from grouped(branch, around, group)
        if is_operation(layer):
            continue
        stem = snake_case(layer.kind)
        number = counts[stem] = counts.get(stem, -1) + 1
        own = f"{group}layers/{stem}_{number}" if number else f"{group}layers/{stem}"
        if layer.inner is not None:
            yield from grouped(layer.inner, (*around, layer.name), f"{own}/")
        elif layer.kind != "InputLayer":
            yield layer, (*around, layer.name), own


def owners(model: Model, names: Names, used: Collection[str]) -> Iterator[Owner]:
    """The layers with our names."""
    for layer, own, group in grouped(model):
        yield Owner(names.of(layer.path), layer.kind, own, group, names.of(layer.path) in used)


def tell_unused(graph: Graph, model: Model, used: Collection[str]) -> None:
    """Layers that lead to no output."""
    unused = [layer for layer in every_layer(model) if graph.names.of(layer.path) not in used]
    if unused:
        some = ", ".join(quoted(layer.name) for layer in unused[:3])
        more = f" and {len(unused) - 3} more" if len(unused) > 3 else ""
        graph.layers.notices.setdefault(f"layers that lead to no output are left out: {some}{more}", unused[0].path)


def tell_notices(graph: Graph) -> None:
    """What a user should know of a model that could be read."""
    for message, path in graph.layers.notices.items():
        graph.report.add("keras-differs", path, message, severity="warning")
    changed = graph.names.changed
    if changed:
        some = ", ".join(f"{quoted(old)} is {quoted(new)}" for old, new in changed[:3])
        more = f", and {len(changed) - 3} more" if len(changed) > 3 else ""
        message = f"names that cannot be here, or that stood for several layers, are changed: {some}{more}"
        graph.report.add("keras-differs", (), message, severity="warning")
