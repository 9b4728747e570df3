"""Layers and inputs that nothing uses. They are found although other entries have errors."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple

from ...core.components import Json
from ...core.diagnostics import Report, quoted_or_list
from ...layers import LAYERS, Layer
from ..network import BlockLayer, Call, LeftOutEntry, auxiliary_output_names

MAX_NAMES_SHOWN = 4


@cache
def loss_layers() -> list[str]:
    """The names of all layers that add a loss."""
    return [name for name, layer in LAYERS.by_name.items() if issubclass(layer, Layer) and layer.adds_loss]


"""The layer types whose results nothing need use, since they add to the loss."""


class References(NamedTuple):
    """The known references of a network with errors."""

    meant_names: Collection[str]
    """Names that misspelled references probably stand for."""
    dangling_count: int
    """References that name nothing, and resemble nothing."""
    has_cycle: bool


class Usage(NamedTuple):
    """The results of a check of the usage of all layers."""

    idle_names: Collection[str] = ()
    """Calls of layers in blocks whose results only other uses of the block need; they are left out."""
    idle_results: Collection[str] = ()
    """The results of these calls."""
    not_checked: str | None = None
    """The checks that other errors prevented."""


def check_usage(
    document: Mapping[str, Json],
    calls: Sequence[Call],
    references: References,
    origins: Sequence[BlockLayer | None],
    left_out: Mapping[str, LeftOutEntry],
    report: Report,
) -> Usage:
    """Reports calls and inputs that nothing uses.

    Invalid references may stand for any of them. If there are as many, nothing is reported. `origins` has an item for
    each layer, which is None for layers outside blocks; without layers in blocks, it may be empty. `left_out` has the
    entry left out that would take the result of a layer.
    """
    if not calls:
        return Usage()
    needed = _needed_names(document, calls, references, report)
    idle = _idle_calls(calls, needed, origins)
    used = {_layer_of(source) for call in calls if call.name not in idle for source in call.sources} | needed
    unused_calls = [call for call in calls if call.name not in used and call.name not in idle]
    inputs = document.get("inputs")
    unused_inputs = [name for name in inputs if name not in used] if isinstance(inputs, dict) else []
    idle_results = {result for call in calls if call.name in idle for result in call.results}
    names = [*unused_inputs, *(call.name for call in unused_calls)]
    if names and len(names) <= _unknown_reference_count(document, calls, references, report):
        what = f"whether anything uses {quoted_or_list(names, MAX_NAMES_SHOWN)}"
        return Usage(idle, idle_results, f"{what}, since some references are not valid")
    for call in unused_calls:
        help, notes, entry = "name it in a `from` or in `outputs`, or remove it", [], left_out.get(call.name)
        if entry is not None:
            help = "put first in `from` what remains, or leave this layer out as well"
            notes = [(entry.path, f"{entry.name!r} is left out here, and stands for {entry.first_source!r} alone")]
        report.add("unused-layer", call.path, f"nothing uses the result of {call.name!r}", help=help, notes=notes)
    for name in unused_inputs:
        help = "name it in a `from`, or remove it"
        report.add("unused-input", ("inputs", name), f"no layer takes the input {name!r}", help=help, at_key=True)
    return Usage(idle, idle_results)


def _needed_names(
    document: Mapping[str, Json], calls: Sequence[Call], references: References, report: Report
) -> set[str]:
    """The inputs and layers that are needed although no call takes their results, or perhaps needed."""
    outputs = list(map(_layer_of, names_in_reference(document.get("outputs"))))
    needed = {*outputs, *map(_layer_of, references.meant_names)} | _names_used_by_invalid_entries(document, calls)
    needed.update(_layer_of(name) for name in auxiliary_output_names(document) if isinstance(name, str))
    needed |= {call.name for call in calls if _may_add_loss(call, document, report)}
    if not {call.name for call in calls}.intersection(outputs) or "outputs" not in document:
        needed.add(calls[-1].name)
    return needed


def _may_add_loss(call: Call, document: Mapping[str, Json], report: Report) -> bool:
    """Whether a call adds a loss, or its type is invalid and may be meant as such a layer."""
    if call.layer is not None:
        return call.layer.adds_loss
    entry: Any = document["layers"][int(call.path[1])]
    kind = entry.get("type") if isinstance(entry, dict) else None
    if not isinstance(kind, str):
        return False
    return kind in loss_layers() or (kind not in LAYERS.by_name and bool(report.similar_words(kind, loss_layers())))


def _idle_calls(calls: Sequence[Call], needed: Collection[str], origins: Sequence[BlockLayer | None]) -> set[str]:
    """The unused calls of layers in blocks, if another use of the block uses them and this one others.

    Layers outside blocks count as used: if nothing uses them, that is an error of its own.
    """
    taken = {_layer_of(source) for call in calls for source in call.sources}.union(needed)
    if not origins or all(call.name in taken for call in calls):
        return set()
    origin_by_name = {call.name: origins[int(call.path[1])] for call in calls}
    used = _used_calls(calls, [*needed, *(name for name, origin in origin_by_name.items() if origin is None)])
    used_origins = [origin for name, origin in origin_by_name.items() if origin is not None and name in used]
    used_entries, block_uses = {origin[:2] for origin in used_origins}, {origin.use for origin in used_origins}
    owners = {call.owner for call in calls if call.name in used}
    return {
        name
        for name, origin in origin_by_name.items()
        if name not in used and origin is not None and origin[:2] in used_entries and origin.use in block_uses
    } - owners


def _used_calls(calls: Sequence[Call], needed: Iterable[str]) -> set[str]:
    """The names of the calls on which some layers depend, and of these layers."""
    call_by_name = {call.name: call for call in reversed(calls)}
    used: set[str] = set()
    stack = [call_by_name[name] for name in needed if name in call_by_name]
    while stack:
        call = stack.pop()
        if call.name not in used:
            used.add(call.name)
            sources = map(_layer_of, call.sources)
            stack += [call_by_name[source] for source in sources if source in call_by_name]
    return used


def _unknown_reference_count(
    document: Mapping[str, Json], calls: Sequence[Call], references: References, report: Report
) -> int:
    """The number of unresolved references."""
    entries_without_sources = len(document["layers"]) - sum(call.is_connected for call in calls)
    are_outputs_invalid = report.has_errors(("outputs",))
    return references.dangling_count + entries_without_sources + are_outputs_invalid + references.has_cycle


def names_in_reference(reference: Json) -> list[str]:
    """The names in the value of a `from` or of `outputs`, however it is written."""
    parts = reference if isinstance(reference, list) else [reference]
    return [part for part in parts if isinstance(part, str)]


def _layer_of(name: str) -> str:
    """The layer of a name such as `lstm.state_h`."""
    return name.partition(".")[0]


def _names_used_by_invalid_entries(document: Mapping[str, Json], calls: Sequence[Call]) -> set[str]:
    """The names that entries without sources probably take: those written, and the entry before."""
    call_by_index = {int(call.path[1]): call for call in calls}
    used: set[str] = set()
    layers = document["layers"]
    for index, entry in enumerate(layers if isinstance(layers, list) else ()):
        call = call_by_index.get(index)
        if call is None or not call.is_connected:
            names = names_in_reference(entry.get("from")) if isinstance(entry, dict) else []
            used |= set(map(_layer_of, names))
            before = call_by_index.get(index - 1)
            used |= {before.name} if before is not None else set()
    return used
