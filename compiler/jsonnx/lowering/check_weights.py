"""Holds layers to their weights: all calls of one want the same, and initializers, regularizers, constraints suit
them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..analysis.shape_inference import TypedNetwork
from ..core.components import Component
from ..core.diagnostics import Report
from ..core.types import ShapeError
from ..frontend.network import Call

if TYPE_CHECKING:
    from ..ir import Builder, Parameter, State


def check_shared_weights(typed: TypedNetwork, report: Report) -> None:
    """Reports calls of a layer whose inputs want weights of other shapes than those of its first call, and weights that
    do not suit what the layer says of them.

    Which weights a layer has only its lowering says. So a sound spec that shares a layer, or says what does not suit
    every weight, pays for importing ONNX, and no other does.
    """
    calls: dict[str, list[Call]] = {}
    for call in typed.network.calls:
        calls.setdefault(call.owner, []).append(call)
    shared = [group for group in calls.values() if len(group) > 1 or restricts_weights(group[0].layer)]
    if shared and not report.has_errors():
        for group in shared:
            _check_calls(typed, group, report)


def restricts_weights(value: object) -> bool:
    """Whether a brick, or one inside it, does not suit all weights."""
    inside = value if isinstance(value, tuple) else vars(value).values() if isinstance(value, Component) else ()
    return any(map(restricts_weights, inside)) or bool(getattr(value, "restricts_shape", False))


def _check_calls(typed: TypedNetwork, calls: list[Call], report: Report) -> None:
    from ..ir import Builder
    from .lower import lower_layer

    g = Builder()
    for call in calls:
        inputs = [g.input(f"{call.name}/{index}", typed.types[source]) for index, source in enumerate(call.sources)]
        masks = [
            g.input(f"{call.name}/{index}/mask", mask.type) if mask else None
            for index, mask in enumerate(typed.masks.training.input_masks[call.name])
        ]
        with g.scope(call.owner, call.path):
            try:
                if call.layer is not None:
                    lower_layer(g, call.layer, inputs, masks)
                    check_weights(g)
            except ShapeError as error:
                others = [calls[0], call]
                clash = error.code == "shared-weights"
                notes = [(c.path, f"called with {', '.join(str(typed.types[s]) for s in c.sources)}") for c in others]
                message = f"{call.layer.type_name if call.layer else ''} {call.owner!r} {error.message}"
                help = "give the calls inputs of the same size" if clash else error.help
                report.add(error.code, call.path, message, help=help, notes=notes if clash else [])


def check_weights(g: Builder) -> None:
    """ShapeError where a weight does not suit the layer's initializer, regularizer or constraint."""
    weights: list[Parameter | State] = [*g.parameters.values(), *g.states.values()]
    for weight in weights:
        for wish in ("initializer", "regularizer", "constraint"):
            brick: Any = getattr(weight, wish, None)
            if brick is not None:
                brick.check(weight.shape)
