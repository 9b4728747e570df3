"""Checks the positions of augmentation layers, which change images on the host before a training step."""

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
    """The input of the training graph for the images that an augmentation layer returns."""
    return f"{call}/augmented"


def is_host_augmentation(layer: object) -> bool:
    """Whether a layer changes images on the host in training."""
    return isinstance(layer, HostAugmentation) or (isinstance(layer, Pipeline) and layer.augments)


def augmentation_calls(network: Network) -> list[Call]:
    """The calls of augmentation layers."""
    return [call for call in network.calls if is_host_augmentation(call.layer)]


def check_augmentation(typed: TypedNetwork, objective: Objective | None, report: Report) -> None:
    """Reports augmentation layers inside other layers, after layers that training changes, or with targets that cannot
    be mixed.

    Only the lowering tells which layers training changes. So ONNX is imported if, and only if, other layers precede an
    augmentation.
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
    predecessors = {call.name: typed.network.calls_needed_for(call.sources) for call in calls}
    has_others = any(not is_host_augmentation(other.layer) for group in predecessors.values() for other in group)
    if has_others and not report.has_errors():
        _check_position(typed, predecessors, calls, report)


def _nested_augmentations(layer: object) -> Iterable[Component]:
    """The augmentation layers among a layer's attributes."""
    if not isinstance(layer, Component) or is_host_augmentation(layer):
        return
    for value in vars(layer).values():
        if isinstance(value, (Component, tuple)):
            for inner in value if isinstance(value, tuple) else (value,):
                if isinstance(inner, HostAugmentation) and isinstance(inner, Component):
                    yield inner
                yield from _nested_augmentations(inner)


def _check_targets(call: Call, objective: Objective, report: Report) -> None:
    for output, target in objective.targets.items():
        if not target.dtype.startswith("float"):
            kind = call.layer.type_name if call.layer else ""
            message = f"{kind} {call.name!r} also mixes targets, but the targets of {output!r} are {target}, not float"
            help = "use a loss that accepts class probabilities, such as categorical_crossentropy"
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
            message = f"{kind} {call.name!r} changes images before a step, but {other.name!r} is part of the step"
            help = "put it before the first layer that training changes"
            notes = [(other.path, f"{other.name!r} is here")]
            report.add("not-supported", call.path, message, help=help, notes=notes)
