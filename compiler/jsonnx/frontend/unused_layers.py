"""Layers and inputs that nothing uses. They are found although other entries have errors."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from ..core.components import Json
from ..core.diagnostics import Report, quoted_or_list
from .network import Call

MAX_NAMES_SHOWN = 4


@dataclass(frozen=True)
class References:
    """What is known of the references of a network with errors."""

    meant_names: Collection[str]
    """Names that misspelled references probably stand for."""
    dangling_count: int
    """References that name nothing, and resemble nothing."""
    has_cycle: bool


def check_all_used(
    document: Mapping[str, Json], calls: Sequence[Call], references: References, report: Report
) -> str | None:
    """Reports calls and inputs that nothing uses.

    Invalid references may stand for any of them. If there are as many, nothing is reported, and the text that is
    returned says what has not been checked; else it is None.
    """
    if not calls:
        return None
    outputs = list(map(_layer_of, names_in_reference(document.get("outputs"))))
    used = {_layer_of(source) for call in calls for source in call.sources} | {*outputs}
    used |= set(map(_layer_of, references.meant_names)) | _names_used_by_invalid_entries(document, calls)
    if not {call.name for call in calls}.intersection(outputs, used) or "outputs" not in document:
        used.add(calls[-1].name)
    unused_calls = [call for call in calls if call.name not in used]
    inputs = document.get("inputs")
    unused_inputs = [name for name in inputs if name not in used] if isinstance(inputs, dict) else []
    unknown_count = _unknown_reference_count(document, calls, references, report)
    if unused_calls or unused_inputs:
        names = [*unused_inputs, *(call.name for call in unused_calls)]
        if len(names) <= unknown_count:
            what = f"whether anything uses {quoted_or_list(names, MAX_NAMES_SHOWN)}"
            return f"{what}, since some references are not valid"
    for call in unused_calls:
        help = "name it in a `from` or in `outputs`, or remove it"
        report.add("unused-layer", call.path, f"nothing uses the result of {call.name!r}", help=help)
    for name in unused_inputs:
        help = "name it in a `from`, or remove it"
        report.add("unused-input", ("inputs", name), f"no layer takes the input {name!r}", help=help, at_key=True)
    return None


def _unknown_reference_count(
    document: Mapping[str, Json], calls: Sequence[Call], references: References, report: Report
) -> int:
    """The number of references of which it is not known what they stand for."""
    entries_without_sources = len(document["layers"]) - sum(bool(call.sources) for call in calls)
    are_outputs_invalid = report.has_errors(("outputs",))
    return references.dangling_count + entries_without_sources + are_outputs_invalid + references.has_cycle


def names_in_reference(reference: Json) -> list[str]:
    """Returns the names in the value of a `from` or of `outputs`, however it is written."""
    parts = reference if isinstance(reference, list) else [reference]
    return [part for part in parts if isinstance(part, str)]


def _layer_of(name: str) -> str:
    """Returns the layer of a name such as `lstm.state_h`."""
    return name.partition(".")[0]


def _names_used_by_invalid_entries(document: Mapping[str, Json], calls: Sequence[Call]) -> set[str]:
    """Returns the names that entries without sources probably take: those written, and the entry before."""
    call_by_index = {int(call.path[1]): call for call in calls}
    used: set[str] = set()
    layers = document["layers"]
    for index, entry in enumerate(layers if isinstance(layers, list) else ()):
        call = call_by_index.get(index)
        if call is None or not call.sources:
            names = names_in_reference(entry.get("from")) if isinstance(entry, dict) else []
            used |= set(map(_layer_of, names))
            before = call_by_index.get(index - 1)
            used |= {before.name} if before is not None else set()
    return used
