"""Checks the positions of augmentation layers, which change images on the host before a training step."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from ..analysis.shape_inference import TypedNetwork
from ..core.components import Component
from ..core.diagnostics import Report
from ..core.types import Dim, TensorType
from ..frontend.network import Call, Network
from ..layers.image.geometric_augmentation import HostAugmentation
from ..layers.image.pipeline import Pipeline
from ..training.metrics.objective import Objective


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
    be mixed or moved.

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
        if call.layer is not None and getattr(call.layer, "moves_pixels", False) and objective is not None:
            _check_masks(call, typed, objective, report)
    preceding = typed.network.calls_needed_for(source for call in calls for source in call.sources)
    if any(not is_host_augmentation(other.layer) for other in preceding) and not report.has_errors():
        _check_position(typed, calls, report)


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


def _check_masks(call: Call, typed: TypedNetwork, objective: Objective, report: Report) -> None:
    """Reports targets with a value for each pixel of images whose pixels the layer moves."""
    images = typed.types[call.results[0]]
    kind = call.layer.type_name if call.layer else ""
    for output, target in objective.targets.items():
        if (
            output not in call.results
            and target.rank >= 3
            and images.rank == 4
            and target.shape[1:3] == spatial_shape(images, call.layer)
        ):
            message = f"{kind} {call.name!r} moves the pixels of images, but not those of the target of {output!r}"
            help = "augment images and masks together, in their files; layers that change colors can stay"
            report.add("not-supported", call.path, message, help=help)


def spatial_shape(images: TensorType, layer: object) -> tuple[Dim, ...]:
    """The height and width of images."""
    start = 2 if getattr(layer, "data_format", None) == "channels_first" else 1
    return images.shape[start : start + 2]


def _check_position(typed: TypedNetwork, calls: list[Call], report: Report) -> None:
    from .lower import lower

    graph = lower(typed, training=True)
    trained = [name for name, weight in graph.parameters.items() if weight.trainable]
    changing = {name.partition("/")[0] for name in (*trained, *graph.updates, *graph.randoms)}
    first_changing = _first_calls(typed.network, changing)
    for call in calls:
        other = min((first_changing[source] for source in call.sources if source in first_changing), default=None)
        if other is not None:
            preceding = typed.network.calls[other]
            kind = call.layer.type_name if call.layer else ""
            message = f"{kind} {call.name!r} changes images before a step, but {preceding.name!r} is part of the step"
            help = "put it before the first layer that training changes"
            notes = [(preceding.path, f"{preceding.name!r} is here")]
            report.add("not-supported", call.path, message, help=help, notes=notes)


def _first_calls(network: Network, owners: Collection[str]) -> dict[str, int]:
    """By value, the index of the first call of a layer in `owners` that it depends on; values without one are left
    out."""
    first: dict[str, int] = {}
    for index, call in enumerate(network.calls):
        indices = [first[source] for source in call.sources if source in first]
        if call.owner in owners or call.name in owners:
            indices.append(index)
        if indices:
            first |= dict.fromkeys(call.results, min(indices))
    return first
