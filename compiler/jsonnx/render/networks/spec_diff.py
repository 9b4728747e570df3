"""The differences between two networks, as text and as JSON values."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ...core.invisible_characters import escape_invisible
from ...core.quantities import count_text
from ...frontend.schema.phrases import short_repr

if TYPE_CHECKING:
    from ...diff import Comparison
    from ...diff.changes import Change, LayerChange, WeightChanges

MAX_LINES_PER_SECTION = 60
"""Lines of one section that are shown; the others are counted."""

MAX_VALUE_CHARACTERS = 60
"""Characters; longer values are abbreviated."""

MARKER_COLORS = {"+": "32", "-": "31", "~": "33", "!": "1;31"}


def comparison_text(comparison: Comparison, color: bool = False) -> str:
    """One line a change: `+` added, `-` removed, `~` changed, `!` breaks the signature."""
    if comparison.is_empty:
        return "no difference in meaning"

    def paint(line: str) -> str:
        line = escape_invisible(line)
        style = MARKER_COLORS.get(line.lstrip()[:1])
        return f"\x1b[{style}m{line}\x1b[0m" if color and style else line

    sections = {
        "signature": [f"{'!' if c.breaks else '~'} {c.part} {c.name} {c.message}" for c in comparison.signature],
        "layers": [line for change in comparison.layers for line in _layer_lines(change)],
        "training": [_training_line(path, change) for path, change in comparison.training.items()],
        "weights": _weight_lines(comparison.weights) if comparison.layers else [],
        "totals": list(_total_lines(comparison)),
        "budget": [_training_line(path, change) for path, change in comparison.budget.items()],
    }
    lines = []
    for title, changes in sections.items():
        if changes:
            lines += [title, *(paint(f"  {line}") for line in _truncate(changes)), ""]
    return "\n".join([*lines, signature_text(comparison)])


def signature_text(comparison: Comparison) -> str:
    """Whether the signature breaks."""
    breaking = sum(change.breaks for change in comparison.signature)
    return f"the signature breaks in {count_text(breaking, 'place')}" if breaking else "the signature holds"


def comparison_json(comparison: Comparison) -> dict[str, Any]:
    """All differences as JSON values."""
    return {
        "breaks": comparison.breaks_signature,
        "same": comparison.is_empty,
        "signature": [change._asdict() for change in comparison.signature],
        "layers": [_layer_json(change) for change in comparison.layers],
        "training": {path: _change_json(change) for path, change in comparison.training.items()},
        "weights": {
            "fit": comparison.weights.unchanged,
            "renamed": comparison.weights.renamed,
            "reshaped": {name: _change_json(change) for name, change in comparison.weights.reshaped.items()},
            "missing": comparison.weights.missing,
            "unused": comparison.weights.unused,
            "load": comparison.weights.load,
        },
        "parameters": _change_json(comparison.parameters),
        "multiply_adds": _change_json(comparison.macs),
        "activation_bytes": _change_json(comparison.activation_bytes),
        "budget": {path: _change_json(change) for path, change in comparison.budget.items()},
    }


def _truncate(lines: Sequence[str]) -> list[str]:
    return [
        *lines[:MAX_LINES_PER_SECTION],
        *([f"and {len(lines) - MAX_LINES_PER_SECTION:,} more"] if len(lines) > MAX_LINES_PER_SECTION else []),
    ]


# -- layers ------------------------------------------------------------------------------------------------------------


def _layer_lines(change: LayerChange) -> list[str]:
    """The changes of a layer; a second line lists their effects on shapes and cost."""
    if change.old is None or change.new is None:
        added = change.old is None
        side: Callable[[Change], Any] = (lambda c: c.new) if added else (lambda c: c.old)
        arguments = ", ".join(f"{name} {_value_text(side(value))}" for name, value in change.arguments.items())
        parts = [
            f"weights of {side(change.weights_of)}" if side(change.weights_of) else "",
            f"from {', '.join(side(change.sources))}",
            f"makes {', '.join(side(change.shapes))}",
            f"{side(change.parameters):,} parameters" if side(change.parameters) else "",
        ]
        kind = f"{side(change.type)}{f' ({arguments})' if arguments else ''}"
        return [f"{'+' if added else '-'} {change.new or change.old}: {kind}; {'; '.join(filter(None, parts))}"]
    name = change.new if change.old == change.new else f"{change.old} -> {change.new}"
    kind = _change_text(change.type) if change.type else change.type.new
    parts = [f"{name} {_change_text(value)}" for name, value in change.arguments.items()]
    if change.sources:
        parts.append(f"from {', '.join(change.sources.old)} -> {', '.join(change.sources.new)}")
    if change.weights_of:
        parts.append(f"weights of {change.weights_of.old or 'its own'} -> {change.weights_of.new or 'its own'}")
    effects = []
    if change.shapes:
        effects.append(f"makes {', '.join(change.shapes.old)} -> {', '.join(change.shapes.new)}")
    if change.parameters:
        effects.append(f"parameters {_count_change_text(change.parameters)}")
    if change.macs:
        effects.append(f"multiply-adds {_count_change_text(change.macs)}")
    renamed = [] if change.old == change.new or parts or effects else ["another name"]
    head = f"~ {name}: {'; '.join([kind, *parts, *renamed])}"
    return [head, *([f"      {'; '.join(effects)}"] if effects else [])]


def _training_line(path: str, change: Change) -> str:
    """One change of the training section, or its addition or removal."""
    if path == "training":
        return "+ the training section was added" if change.old is None else "- the training section was removed"
    return f"~ {path} {_change_text(change)}"


def _change_text(change: Change) -> str:
    return f"{_value_text(change.old)} -> {_value_text(change.new)}"


def _value_text(value: Any) -> str:
    """A short form of a value; of a component, its type and, if they are short, its arguments."""
    if isinstance(value, dict) and isinstance(value.get("type"), str):
        arguments = ", ".join(f"{name} {_value_text(item)}" for name, item in value.items() if name != "type")
        return value["type"] + (
            f" ({arguments if len(arguments) <= MAX_VALUE_CHARACTERS else '...'})" if arguments else ""
        )
    return value if isinstance(value, str) and 0 < len(value) <= MAX_VALUE_CHARACTERS else short_repr(value)


def _count_change_text(change: Change) -> str:
    one, other = ("?" if number is None else f"{number:,}" for number in change)
    return f"{one} -> {other}"


def _layer_json(change: LayerChange) -> dict[str, Any]:
    kind = "added" if change.old is None else "removed" if change.new is None else "changed"
    return {
        "change": kind,
        "old": change.old,
        "new": change.new,
        "type": _change_json(change.type),
        "arguments": {name: _change_json(value) for name, value in change.arguments.items()},
        "from": _change_json(change.sources) if change.sources else None,
        "weights_of": _change_json(change.weights_of) if change.weights_of else None,
        "outputs": _change_json(change.shapes),
        "parameters": _change_json(change.parameters),
        "multiply_adds": _change_json(change.macs),
    }


def _change_json(change: Change) -> dict[str, Any]:
    return {"old": change.old, "new": change.new}


# -- the whole ---------------------------------------------------------------------------------------------------------


def _weight_lines(weights: WeightChanges) -> list[str]:
    """How weights saved for the old network fit the new one; empty if all of them fit."""
    if weights.load:
        return []
    before = {name: f"was {old.partition('/')[0]}'s" for name, old in weights.renamed.items()}
    partly = "; --partial loads these" if weights.unchanged else ""
    return [
        f"{len(weights.unchanged)} of {weights.needed} fit as they are{partly}",
        *(f"~ {name} {list(change.old)} -> {list(change.new)}" for name, change in weights.reshaped.items()),
        *(f"~ {line}" for line in _lines_by_layer(before)),
        *(f"+ {line}" for line in _lines_by_layer(dict.fromkeys(weights.missing, "no old ones"))),
        *(f"- {line}" for line in _lines_by_layer(dict.fromkeys(weights.unused, "no longer used"))),
    ]


def _lines_by_layer(remarks: Mapping[str, str]) -> list[str]:
    """One line for the weights of a layer with the same remark."""
    groups: dict[tuple[str, str], list[str]] = {}
    for name, remark in remarks.items():
        layer, _, weight = name.partition("/")
        groups.setdefault((layer, remark), []).append(weight or layer)
    return [f"{layer}: {', '.join(weights)}: {remark}" for (layer, remark), weights in groups.items()]


def _total_lines(comparison: Comparison) -> Iterator[str]:
    for title, change in totals(comparison).items():
        if change:
            yield f"~ {title} {_count_change_text(change)}{difference_text(change)}"


def totals(comparison: Comparison) -> dict[str, Change]:
    """The costs of both networks by title."""
    return {
        "parameters": comparison.parameters,
        "multiply-adds": comparison.macs,
        "activation bytes": comparison.activation_bytes,
    }


def difference_text(change: Change) -> str:
    """The difference of two numbers and its share of the old one, ` (+20, +4 %)`; empty if one of them is unknown."""
    if change.old is None or change.new is None:
        return ""
    share = f", {100 * (change.new - change.old) / change.old:+.3g} %" if change.old else ""
    return f" ({change.new - change.old:+,}{share})"
