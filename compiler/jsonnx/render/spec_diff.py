"""What differs between two networks, as text and as a document."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..frontend.schema.phrases import shown
from .diagnostics import counted, visible

if TYPE_CHECKING:
    from ..diff import Comparison
    from ..diff.changes import Change, LayerChange, Weights

MOST = 60
"""Lines of one kind that are shown; the rest are counted."""

LONG = 60
"""Characters of a value that are shown."""

COLORS = {"+": "32", "-": "31", "~": "33", "!": "1;31"}


def comparison_text(of: Comparison, color: bool = False) -> str:
    """For people: a line a change, `+` what is new, `-` what is gone, `~` what is another, `!` what breaks."""
    if of.is_none:
        return "no difference in meaning"

    def paint(line: str) -> str:
        line = visible(line)
        style = COLORS.get(line.lstrip()[:1])
        return f"\x1b[{style}m{line}\x1b[0m" if color and style else line

    parts = {
        "signature": [f"{'!' if c.breaks else '~'} {c.part} {c.name} {c.message}" for c in of.signature],
        "layers": [line for change in of.layers for line in _layer(change)],
        "training": [_trained(path, change) for path, change in of.training.items()],
        "weights": _weights(of.weights) if of.layers else [],
        "totals": list(_totals(of)),
    }
    lines = []
    for title, found in parts.items():
        if found:
            lines += [title, *(paint(f"  {line}") for line in _few(found)), ""]
    breaking = sum(change.breaks for change in of.signature)
    lines.append(f"the signature breaks in {counted(breaking, 'place')}" if breaking else "the signature holds")
    return "\n".join(lines)


def comparison_json(of: Comparison) -> dict[str, Any]:
    """For programs: everything."""
    return {
        "breaks": of.breaks,
        "same": of.is_none,
        "signature": [change._asdict() for change in of.signature],
        "layers": [_layer_json(change) for change in of.layers],
        "training": {path: _change(change) for path, change in of.training.items()},
        "weights": {
            "fit": of.weights.fitting,
            "renamed": of.weights.renamed,
            "reshaped": {name: _change(change) for name, change in of.weights.reshaped.items()},
            "missing": of.weights.missing,
            "unused": of.weights.unused,
        },
        "parameters": _change(of.parameters),
        "multiply_adds": _change(of.macs),
    }


def _few(lines: Sequence[str]) -> list[str]:
    return [*lines[:MOST], *([f"and {len(lines) - MOST:,} more"] if len(lines) > MOST else [])]


# -- layers ------------------------------------------------------------------------------------------------------------


def _layer(change: LayerChange) -> list[str]:
    """What was done to a layer; on a second line what follows from that, or from what was done before it."""
    if change.old is None or change.new is None:
        added = change.old is None
        side: Callable[[Change], Any] = (lambda c: c.new) if added else (lambda c: c.old)
        arguments = ", ".join(f"{name} {_value(side(value))}" for name, value in change.arguments.items())
        parts = [
            f"weights of {side(change.weights_of)}" if side(change.weights_of) else "",
            f"from {', '.join(side(change.sources))}",
            f"makes {', '.join(side(change.shapes))}",
            f"{side(change.parameters):,} parameters" if side(change.parameters) else "",
        ]
        kind = f"{side(change.type)}{f' ({arguments})' if arguments else ''}"
        return [f"{'+' if added else '-'} {change.new or change.old}: {kind}; {'; '.join(filter(None, parts))}"]
    name = change.new if change.old == change.new else f"{change.old} -> {change.new}"
    kind = _arrow(change.type) if change.type else change.type.new
    parts = [f"{name} {_arrow(value)}" for name, value in change.arguments.items()]
    if change.sources:
        parts.append(f"from {', '.join(change.sources.old)} -> {', '.join(change.sources.new)}")
    if change.weights_of:
        parts.append(f"weights of {change.weights_of.old or 'its own'} -> {change.weights_of.new or 'its own'}")
    effects = []
    if change.shapes:
        effects.append(f"makes {', '.join(change.shapes.old)} -> {', '.join(change.shapes.new)}")
    if change.parameters:
        effects.append(f"parameters {_numbers(change.parameters)}")
    if change.macs:
        effects.append(f"multiply-adds {_numbers(change.macs)}")
    renamed = [] if change.old == change.new or parts or effects else ["another name"]
    head = f"~ {name}: {'; '.join([kind, *parts, *renamed])}"
    return [head, *([f"      {'; '.join(effects)}"] if effects else [])]


def _trained(path: str, change: Change) -> str:
    """How training differs in one point; whole sections come and go."""
    if path == "training":
        return "+ how it is trained is given" if change.old is None else "- how it is trained is no longer given"
    return f"~ {path} {_arrow(change)}"


def _arrow(change: Change) -> str:
    return f"{_value(change.old)} -> {_value(change.new)}"


def _value(value: Any) -> str:
    """A value in short; of a brick its type, and its arguments if they are few."""
    if isinstance(value, dict) and isinstance(value.get("type"), str):
        arguments = ", ".join(f"{name} {_value(item)}" for name, item in value.items() if name != "type")
        return value["type"] + (f" ({arguments if len(arguments) <= LONG else '...'})" if arguments else "")
    return value if isinstance(value, str) and 0 < len(value) <= LONG else shown(value)


def _numbers(change: Change) -> str:
    one, other = ("?" if number is None else f"{number:,}" for number in change)
    return f"{one} -> {other}"


def _layer_json(change: LayerChange) -> dict[str, Any]:
    kind = "added" if change.old is None else "removed" if change.new is None else "changed"
    return {
        "change": kind,
        "old": change.old,
        "new": change.new,
        "type": _change(change.type),
        "arguments": {name: _change(value) for name, value in change.arguments.items()},
        "from": _change(change.sources) if change.sources else None,
        "weights_of": _change(change.weights_of) if change.weights_of else None,
        "outputs": _change(change.shapes),
        "parameters": _change(change.parameters),
        "multiply_adds": _change(change.macs),
    }


def _change(change: Change) -> dict[str, Any]:
    return {"old": change.old, "new": change.new}


# -- the whole ---------------------------------------------------------------------------------------------------------


def _weights(of: Weights) -> list[str]:
    """What becomes of weights that were saved; nothing where all of them fit."""
    if not (of.renamed or of.reshaped or of.missing or of.unused):
        return []
    total = len(of.fitting) + len(of.renamed) + len(of.reshaped) + len(of.missing)
    before = {name: f"was {old.partition('/')[0]}'s" for name, old in of.renamed.items()}
    return [
        f"{len(of.fitting)} of {total} fit as they are",
        *(f"~ {name} {list(change.old)} -> {list(change.new)}" for name, change in of.reshaped.items()),
        *(f"~ {line}" for line in _by_layer(before)),
        *(f"+ {line}" for line in _by_layer(dict.fromkeys(of.missing, "no old ones"))),
        *(f"- {line}" for line in _by_layer(dict.fromkeys(of.unused, "no longer used"))),
    ]


def _by_layer(told: Mapping[str, str]) -> list[str]:
    """Weights by what is told of them, those of a layer on one line."""
    found: dict[tuple[str, str], list[str]] = {}
    for name, what in told.items():
        layer, _, rest = name.partition("/")
        found.setdefault((layer, what), []).append(rest or layer)
    return [f"{layer}: {', '.join(weights)}: {what}" for (layer, what), weights in found.items()]


def _totals(of: Comparison) -> Iterator[str]:
    for title, change in (("parameters", of.parameters), ("multiply-adds", of.macs)):
        if change:
            known = change.old is not None and change.new is not None
            by = f" ({change.new - change.old:+,})" if known else ""
            yield f"~ {title} {_numbers(change)}{by}"
