"""The layers of blocks that are left out where nothing uses their results: their parameters, and a warning."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from math import prod
from typing import NamedTuple

from ..analysis.shape_inference import TypedNetwork, infer_shapes
from ..core.diagnostics import Report, quoted_list
from ..frontend.network import BlockLayer, Call, RepeatedUse

MAX_NAMES_SHOWN = 4


class DroppedLayer(NamedTuple):
    """A layer that is left out, since nothing uses its result."""

    name: str
    type: str
    parameters: int
    block_path: tuple[tuple[str, str], ...]
    """The enclosing uses of blocks, outermost first: names and blocks."""


def dropped_layers(typed: TypedNetwork) -> list[DroppedLayer]:
    """The layers of valid blocks that are left out, with the parameters that they would have, in order."""
    network = typed.network
    if not network.dropped:
        return []
    from .lower import LoweringError, lower

    complete = infer_shapes(replace(network, calls=(*network.calls, *network.dropped)), Report())
    valid = [call for call in complete.network.calls if all(name in complete.types for name in call.results)]
    try:
        graph = lower(complete._replace(network=replace(complete.network, calls=tuple(valid))))
        weights = {**graph.parameters, **graph.states}
    except LoweringError:
        weights = {}
    counts: Counter[str] = Counter()
    for name, weight in weights.items():
        if weight.type.is_static():
            counts[name.partition("/")[0]] += prod(weight.shape)
    return [
        DroppedLayer(call.name, call.layer.type_name, counts[call.name], call.block_uses)
        for call in network.dropped
        if call.layer is not None
    ]


def warn_partly_used_copies(typed: TypedNetwork, origins: Sequence[BlockLayer | None], report: Report) -> None:
    """Warns of results of a repeated block that are used of the last copy only, so that the other copies lack layers.

    `origins` has an item for each layer of the flat document.
    """
    if report.has_errors():
        return
    dropped_by_use: dict[str, list[Call]] = {}
    for call in typed.network.dropped:
        for use, _ in call.block_uses:
            dropped_by_use.setdefault(use, []).append(call)
    parameters: dict[str, int] | None = None
    for repeated in typed.network.repeated_uses:
        dropped = _dropped_but_in_last_copy([dropped_by_use.get(name, []) for name in repeated.names], origins)
        if dropped:
            parameters = parameters or {layer.name: layer.parameters for layer in dropped_layers(typed)}
            _warn(typed, repeated, dropped, sum(parameters[call.name] for call in dropped), report)


def _dropped_but_in_last_copy(
    dropped_by_copy: Sequence[Sequence[Call]], origins: Sequence[BlockLayer | None]
) -> list[Call]:
    """The calls that are left out in all copies but the last."""

    def origin(call: Call) -> tuple[object, ...]:
        block_layer = origins[int(call.path[1])]
        return block_layer[:2] if block_layer is not None else ()

    *others, last = [Counter(map(origin, calls)) for calls in dropped_by_copy]
    in_all_others = others[0]
    for counts in others[1:]:
        in_all_others &= counts
    left_out = in_all_others - last
    return [call for calls in dropped_by_copy[:-1] for call in calls if left_out[origin(call)]]


def _warn(typed: TypedNetwork, repeated: RepeatedUse, dropped: Sequence[Call], parameters: int, report: Report) -> None:
    network, last = typed.network, repeated.names[-1]
    suffixes = {call.name.removeprefix(repeated.names[0]) for call in dropped}
    outputs = [
        output
        for value, output in network.block_outputs.get(last, {}).items()
        if value.partition(".")[0].removeprefix(last) in suffixes
    ]
    results = f"the result{'s' if len(outputs) > 1 else ''} {quoted_list(outputs)} of" if outputs else "a result of"
    names = quoted_list((call.name for call in dropped), MAX_NAMES_SHOWN)
    count = f"{len(repeated.names) - 1} of {len(repeated.names)} copies"
    message = (
        f"only of the last copy, {last!r}, {results} the block is used: {count} lack layers with {parameters:,} "
        f"parameters, {names}"
    )
    known = ", ".join(f'"{name}"' for name in network.block_outputs.get(last, {}).values())
    pattern = f"{last.rstrip('0123456789')}*.{outputs[0] if outputs else 'NAME'}"
    help = (
        f'"carry": [{known}] passes these results on to the next copy; '
        f'"from": ["{pattern}"] takes the result of all copies'
    )
    report.add("partly-used-copies", (*repeated.path, "repeat"), message, help=help, severity="warning")
