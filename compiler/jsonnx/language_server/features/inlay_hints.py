"""Inlay hints: the shape and the number of parameters behind each layer."""

from __future__ import annotations

from collections.abc import Mapping

from lsprotocol import types

from ...core.diagnostics import JsonPath
from ...core.types import TensorType
from ...frontend.json.syntax_tree import Node
from ...render.networks.shape_text import keras_shape_text
from ..checks.entry_facts import EntryFacts
from ..documents.documents import Document


def inlay_hints(
    document: Document, facts: Mapping[JsonPath, EntryFacts], visible: types.Range
) -> list[types.InlayHint]:
    """The hints of the entries in a range."""
    positions, root = document.positions, document.tree
    if root is None:
        return []
    start, end = positions.offset(visible.start), positions.offset(visible.end)
    hints = []
    for path, known in facts.items():
        entry = root.at(path)
        if entry is None or entry.kind != "object":
            continue
        offset = _hint_offset(document, entry)
        if start <= offset <= end:
            label = f"{shapes_text(known)}{_parameters_text(known)}"
            hints.append(
                types.InlayHint(
                    positions.position(offset),
                    label,
                    tooltip=_tooltip(known),
                    padding_left=True,
                )
            )
    return sorted(hints, key=lambda hint: (hint.position.line, hint.position.character))


def _hint_offset(document: Document, entry: Node) -> int:
    """Where an entry's hint stands: at the end of its only line, else behind its type."""
    positions = document.positions
    last_line = positions.line_at(max(entry.end - 1, entry.start))
    if positions.line_at(entry.start) == last_line:
        end = positions.line_end(last_line)
        return end if document.text[entry.end : end].strip() in ("", ",") else entry.end
    kind = entry.get("type") or entry.get("use")
    return kind.end if kind is not None else entry.start + 1


def type_text(type: TensorType) -> str:
    """`(batch, 28, 28, 1)`, with the element type if it is not float32."""
    shape = keras_shape_text(type.shape)
    return shape if type.dtype == "float32" else f"{type.dtype} {shape}"


def shapes_text(facts: EntryFacts) -> str:
    """The types of the results of an entry; of the first and the last one if it stands for several that differ."""
    texts = [", ".join(map(type_text, instance.outputs)) for instance in facts.instances]
    text = texts[0] if len({*texts}) == 1 else f"{texts[0]} … {texts[-1]}"
    return text if len(texts) == 1 else f"{len(texts)}x {text}"


def _parameters_text(facts: EntryFacts) -> str:
    return f" · {facts.parameters:,}" if facts.parameters else ""


def _tooltip(facts: EntryFacts) -> str:
    rows = [
        f"{instance.name}: {', '.join(map(type_text, instance.inputs))} → {', '.join(map(type_text, instance.outputs))}"
        for instance in facts.instances[:20]
    ]
    parameters = f"{facts.parameters:,} parameters" if facts.parameters is not None else "parameters: not counted yet"
    return "\n".join([*rows, *(["…"] if len(facts.instances) > 20 else []), parameters])
