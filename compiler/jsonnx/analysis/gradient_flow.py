"""Warns about layers with weights that no gradient reaches, so that training leaves them as they are."""

from __future__ import annotations

from collections.abc import Sequence

from ..core.diagnostics import JsonPath, Report, quoted_list, quoted_or_list
from ..frontend.network import Call, Network
from ..training.metrics.objective import Objective
from ..training.weights.regularizers import Regularizer
from .shape_inference import TypedNetwork

MAX_NAMES_SHOWN = 4


def check_gradient_flow(typed: TypedNetwork, objective: Objective, report: Report) -> None:
    """Warns if no weight is trained, or about the layers with weights to train that no loss depends on.

    Nothing is known of the layers if some have errors.
    """
    if report.has_errors(("layers",)) or report.has_errors(("inputs",)):
        return
    network = typed.network
    trained = [call for call in network.calls if call.layer is not None and call.layer.has_trainable_weights]
    if not trained:
        if network.adapted_weights is None:
            _check_frozen(network, report)
        return
    with_gradient = _calls_with_gradient(typed, objective)
    reached = {call.owner for call in with_gradient}
    unreached = list({call.owner: call for call in reversed(trained) if call.owner not in reached}.values())[::-1]
    if unreached:
        is_all = len(unreached) == len({call.owner for call in trained})
        help = _unreached_help(network, objective, with_gradient)
        _report_unreached(unreached, is_all, help, report)


def _check_frozen(network: Network, report: Report) -> None:
    """Warns about a network that has weights, all of which are frozen."""
    frozen = [
        call
        for call in network.calls
        if call.layer is not None
        and not call.layer.trainable
        and call.layer.replace(trainable=True).has_trainable_weights
    ]
    if not frozen:
        return
    is_by_pattern = network.training is not None and bool(network.training.freeze)
    path: JsonPath = ("training", "freeze") if is_by_pattern else (*frozen[0].path, "trainable")
    message = "nothing trains: the weights of all layers are frozen"
    report.add(
        "nothing-trains", path, message, help="leave out the layers that training should change", severity="warning"
    )


def _calls_with_gradient(typed: TypedNetwork, objective: Objective) -> list[Call]:
    """The calls whose results the loss depends on by differentiable functions of real numbers."""
    network = typed.network
    call_by_result = {result: call for call in network.calls for result in call.results}
    penalized = [
        call for call in network.calls if call.layer is not None and call.layer.activity_regularizer is not None
    ]
    with_loss = [call for call in network.calls if call.layer is not None and call.layer.adds_loss]
    stack = [*objective.losses, *(call.name for call in (*penalized, *with_loss))]
    found: dict[str, Call] = {}
    while stack:
        value = stack.pop()
        call = call_by_result.get(value)
        if call is None or call.name in found or not typed.types[value].dtype.startswith("float"):
            continue
        if call.layer is not None and not call.layer.blocks_gradient:
            found[call.name] = call
            stack += call.sources[1:] if call.layer.reads_only_shapes else call.sources
    return list(found.values())


def _report_unreached(unreached: Sequence[Call], is_all: bool, help: str, report: Report) -> None:
    """Warns about layers that no gradient reaches, at the first of them."""
    names = quoted_list([call.owner for call in unreached[:MAX_NAMES_SHOWN]])
    more = f" and {len(unreached) - MAX_NAMES_SHOWN:,} more" if len(unreached) > MAX_NAMES_SHOWN else ""
    is_penalized = any(isinstance(value, Regularizer) for call in unreached for value in vars(call.layer).values())
    exception = " but by their regularizers" if is_penalized else ""
    message = f"no gradient reaches {names}{more}, so that training does not change these weights{exception}"
    if is_all:
        message = f"nothing trains: no gradient reaches {names}{more}, the layers with weights"
    code = "nothing-trains" if is_all else "untrained-layers"
    report.add(code, unreached[0].path, message, help=f'{help}, or write "trainable": false', severity="warning")


def _unreached_help(network: Network, objective: Objective, with_gradient: Sequence[Call]) -> str:
    """What to do about layers that no gradient reaches."""
    without_loss = [name for name in network.outputs if name not in objective.losses]
    if without_loss:
        return f"give a loss to {quoted_or_list(without_loss)}"
    reached = {result for call in with_gradient for result in call.results}
    computed = {result for call in network.calls for result in call.results}
    for call in with_gradient:
        layer, source = call.layer, next(iter(call.sources), None)
        if layer is not None and layer.reads_only_shapes and source in computed - reached:
            reads = f"{layer.type_name} {call.name!r} reads only the shape of {source!r}"
            return f"{reads}, not its values: use both, as Add does of {source!r} and {call.name!r}"
    return "a loss has to depend on them, not only through integers or a stop_gradient"
