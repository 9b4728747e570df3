"""Augmentation: which layers change images before a step, and whether they stand where they can."""

from __future__ import annotations

from collections.abc import Iterable

from ..analysis.shape_inference import TypedNetwork
from ..core.components import Component
from ..core.diagnostics import Report
from ..frontend.network import Call, Network
from ..layers.image.geometric_augmentation import HostAugmentation
from ..layers.preprocessing.pipeline import Pipeline
from ..training.objective import Objective


def augmented_input_name(call: str) -> str:
    """The name under which the training graph is fed what a layer made."""
    return f"{call}/augmented"


def is_host_augmentation(layer: object) -> bool:
    """Whether a layer changes images in training, outside the graph."""
    return isinstance(layer, HostAugmentation) or (isinstance(layer, Pipeline) and layer.augments)


def augmentation_calls(network: Network) -> list[Call]:
    """The calls of layers that change images in training."""
    return [call for call in network.calls if is_host_augmentation(call.layer)]


def check_augmentation(typed: TypedNetwork, objective: Objective | None, report: Report) -> None:
    """Reports augmentation layers inside others, those behind layers that training changes, and those that mix images
    whose targets cannot be mixed.

    What training changes only the layers' lowering says; so a spec with other layers before an augmentation pays for
    importing ONNX, and no other does.
    """
    for call in typed.network.calls:
        for inner in _nested_augmentations(call.layer):
            message = f"{inner.type_name} cannot stand inside the layer {call.name!r}: it changes images before a step"
            report.add("not-supported", call.path, message, help="write it as a layer of its own, before this one")
    calls = augmentation_calls(typed.network)
    if not calls or typed.network.training is None or report.has_errors(("layers",)) or report.has_errors(("inputs",)):
        return
    for call in calls:
        if call.layer is not None and getattr(call.layer, "mixes_targets", False) and objective is not None:
            _check_targets(call, objective, report)
    before = {call.name: typed.network.calls_needed_for(call.sources) for call in calls}
    computed = any(not is_host_augmentation(other.layer) for others in before.values() for other in others)
    if computed and not report.has_errors():
        _check_position(typed, before, calls, report)


def _nested_augmentations(layer: object) -> Iterable[Component]:
    """The augmentation layers among a layer's attributes."""
    if not isinstance(layer, Component) or is_host_augmentation(layer):
        return
    for value in vars(layer).values():
        for inner in value if isinstance(value, tuple) else (value,):
            if isinstance(inner, HostAugmentation) and isinstance(inner, Component):
                yield inner
            yield from _nested_augmentations(inner)


def _check_targets(call: Call, objective: Objective, report: Report) -> None:
    for output, target in objective.targets.items():
        if not target.dtype.startswith("float"):
            kind = call.layer.type_name if call.layer else ""
            message = f"{kind} {call.name!r} mixes targets too, and those of {output!r} are {target}, which cannot be"
            help = "use a loss of shares, such as categorical_crossentropy, and targets with a number for each class"
            report.add("not-supported", call.path, message, help=help)


def _check_position(
    typed: TypedNetwork, predecessors: dict[str, list[Call]], calls: list[Call], report: Report
) -> None:
    from .lower import lower

    graph = lower(typed, training=True)
    trained = [name for name, weight in graph.parameters.items() if weight.trainable]
    changing = {name.partition("/")[0] for name in (*trained, *graph.updates, *graph.randoms)}
    for call in calls:
        other = next((other for other in predecessors[call.name] if other.owner in changing), None)
        if other is not None:
            kind = call.layer.type_name if call.layer else ""
            message = f"{kind} {call.name!r} changes images before a step, and {other.name!r} is part of the step"
            help = "put it before the first layer that training changes"
            notes = [(other.path, f"{other.name!r} is here")]
            report.add("not-supported", call.path, message, help=help, notes=notes)
