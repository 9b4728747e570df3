"""Checks the weights of layers: all calls of a layer need the same shapes, which initializers, regularizers and
constraints must accept, and patterns of weight names must match some."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ..analysis.shape_inference import TypedNetwork
from ..core.components import components_of
from ..core.diagnostics import JsonPath, Report
from ..core.fixes import json_text
from ..core.reserved_names import is_adapter_weight
from ..core.types import ShapeError
from ..frontend.network import Call
from ..frontend.schema.phrases import known_names_help, short_name
from ..frontend.weight_patterns import WEIGHT_SEPARATOR, matches, matching_names
from ..sections.columns import EXCLUSION
from ..training.optimizers.multi_optimizer import MultiOptimizer
from ..training.optimizers.optimizer import matches_weight

if TYPE_CHECKING:
    from ..ir import Builder, Graph, Parameter, State

OPTIMIZER_PATH = ("training", "optimizer")
LORA_PATH = ("training", "lora")


def check_shared_weights(typed: TypedNetwork, report: Report) -> None:
    """Reports calls of a layer that need weights of other shapes than its first call, and weights whose initializer,
    regularizer or constraint does not accept the shape.

    Only the lowering tells which weights a layer has. So ONNX is imported if, and only if, the spec shares a layer or
    has a component that restricts shapes.
    """
    calls: dict[str, list[Call]] = {}
    for call in typed.network.calls:
        calls.setdefault(call.owner, []).append(call)
    to_check = [group for group in calls.values() if len(group) > 1 or restricts_weights(group[0].layer)]
    if to_check and not report.has_errors():
        for group in to_check:
            _check_calls(typed, group, report)


def check_optimizer_patterns(typed: TypedNetwork, graph: Graph | None, report: Report) -> None:
    """Reports patterns of the optimizer that match no trainable weight. `graph` is the lowered network if there is one
    already: only it tells the names of weights, and ONNX is imported if, and only if, there is a pattern.
    """
    training = typed.network.training
    patterns = [*training.optimizer.weight_patterns()] if training else []
    if training is None or not patterns or report.has_errors():
        return
    from .lower import lower

    parameters = (graph or lower(typed)).parameters
    names = [name for name, parameter in parameters.items() if parameter.trainable]
    for pattern, path, at_key in patterns:
        if not any(matches_weight(pattern, name) for name in names):
            message = f"{short_name(pattern)} matches the name of no weight"
            help = known_names_help(names) if names else None
            report.add("unknown-name", (*OPTIMIZER_PATH, *path), message, help=help, at_key=at_key)
    if isinstance(training.optimizer, MultiOptimizer) and not report.has_errors():
        _report_shadowed_patterns(training.optimizer, names, report)


def check_frozen_weights(typed: TypedNetwork, graph: Graph | None, report: Report) -> None:
    """Reports patterns of `freeze` for single weights that match none; `graph` as in `check_optimizer_patterns`."""
    training = typed.network.training
    if training is None or typed.network.frozen_weights is None or report.has_errors():
        return
    from .lower import lower

    lowered = graph or lower(typed)
    parameters = lowered.parameters
    averaging = {call.owner for call in typed.network.calls if call.layer and call.layer.freezes_single_states}
    names = [*parameters, *(name for name in lowered.states if name.partition(WEIGHT_SEPARATOR)[0] in averaging)]
    for index, pattern in enumerate(training.freeze):
        if WEIGHT_SEPARATOR in pattern and not matching_names(pattern.removeprefix(EXCLUSION), names):
            help = report.suggestion(pattern.removeprefix(EXCLUSION), names) or known_names_help(names)
            message = f"{short_name(pattern)} matches the name of no weight"
            report.add("unknown-name", ("training", "freeze", index), message, help=help)
    if parameters and not report.has_errors() and not any(parameter.trainable for parameter in parameters.values()):
        help = "leave out the weights that training should change"
        message = "nothing trains: all weights are frozen"
        report.add("nothing-trains", ("training", "freeze"), message, help=help, severity="warning")


def check_adapted_weights(typed: TypedNetwork, graph: Graph | None, report: Report) -> None:
    """Reports patterns of `lora` that match no weight, or a weight that is no matrix; `graph` as in
    `check_optimizer_patterns`."""
    adapted = typed.network.adapted_weights
    if adapted is None or report.has_errors():
        return
    from .lower import lower

    graph = graph or lower(typed)
    adapted_names = [adapter.weight.name for adapter in graph.adapters.values()]
    matrices = [
        name
        for name, weight in graph.parameters.items()
        if weight.input_axes and (name in adapted_names or not adapted.selects(name))
    ]
    for index, pattern in enumerate(adapted.lora.weights):
        others = [name for name, weight in {**graph.parameters, **graph.states}.items() if name not in matrices]
        others = [name for name in others if not is_adapter_weight(name)]
        _check_lora_pattern(pattern, matrices, others, ("weights", index), report)
    for key in ("rank_pattern", "alpha_pattern"):
        for pattern in getattr(adapted.lora, key):
            if not any(matches(pattern, name) for name in adapted_names) and not report.has_errors():
                message = f"{short_name(pattern)} matches the name of no adapted weight"
                path = (*LORA_PATH, key, pattern)
                report.add("unknown-name", path, message, help=known_names_help(adapted_names), at_key=True)
    if not adapted_names and not report.has_errors():
        help = f"begin with the weights to choose from: {json_text(['*', *adapted.lora.weights])}"
        report.add("invalid-value", (*LORA_PATH, "weights"), "the patterns select no weight", help=help)


def _check_lora_pattern(
    pattern: str, matrices: Sequence[str], others: Sequence[str], path: JsonPath, report: Report
) -> None:
    """Reports a pattern that matches no weight, or names a weight that cannot be adapted."""
    name = pattern.removeprefix(EXCLUSION)
    unfit = next((other for other in others if WEIGHT_SEPARATOR in name and matches(name, other)), None)
    if unfit is not None and not pattern.startswith(EXCLUSION):
        kinds = "kernels of Dense, EinsumDense, Conv and attention layers, embeddings, and matrices of OnnxModel"
        advice = f"{kinds} can be; {known_names_help(matrices)}" if matrices else f"{kinds} can be"
        message = f"{short_name(pattern)} matches {short_name(unfit)}, which is no matrix and cannot be adapted"
        report.add("invalid-value", (*LORA_PATH, *path), message, help=advice)
    elif unfit is None and not any(matches(name, matrix) for matrix in matrices):
        help = report.suggestion(name, matrices) or (known_names_help(matrices) if matrices else None)
        message = f"{short_name(pattern)} matches the name of no weight that can be adapted"
        report.add("unknown-name", (*LORA_PATH, *path), message, help=help)


def _report_shadowed_patterns(optimizer: MultiOptimizer, names: list[str], report: Report) -> None:
    """Reports patterns of `optimizer_map` all of whose weights have an optimizer by an earlier pattern."""
    used = {optimizer.optimizer_index(name) for name in names}
    for index, pattern in enumerate(optimizer.optimizer_map, 1):
        if index not in used:
            path = (*OPTIMIZER_PATH, "optimizer_map", pattern)
            message = f"{short_name(pattern)} has no effect: earlier patterns match all of its weights"
            report.add("invalid-value", path, message, help="put the narrower pattern first", at_key=True)


def restricts_weights(value: object) -> bool:
    """Whether a component, or one inside it, does not accept weights of all shapes."""
    return any(getattr(component, "restricts_shape", False) for component in components_of(value))


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
                _report_weights(typed, calls[0], call, error, report)


def _report_weights(typed: TypedNetwork, first: Call, call: Call, error: ShapeError, report: Report) -> None:
    message = f"{call.layer.type_name if call.layer else ''} {call.owner!r} {error.message}"
    if error.code != "shared-weights":
        report.add(error.code, call.path, message, help=error.help)
        return
    types = {c.name: ", ".join(str(typed.types[source]) for source in c.sources) for c in (first, call)}
    notes = [(c.path, f"called with {types[c.name]}") for c in (first, call)]
    report.add(error.code, call.path, message, help="give the calls inputs of the same size", notes=notes)


def check_weights(g: Builder) -> None:
    """Raises ShapeError if an initializer, regularizer or constraint does not accept the shape of its weight."""
    weights: list[Parameter | State] = [*g.parameters.values(), *g.states.values()]
    for weight in weights:
        for kind in ("initializer", "regularizer", "constraint"):
            component: Any = getattr(weight, kind, None)
            if component is not None:
                component.check(weight.shape)
