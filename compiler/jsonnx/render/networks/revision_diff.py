"""Specs compared with a revision, as text, as JSON values, and as Markdown for a comment on a pull request."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ...core.invisible_characters import escape_invisible
from ...core.limits import bytes_text
from ...core.quantities import count_text
from ..diagnostics.diagnostics_json import diagnostics_json
from .spec_diff import comparison_json, comparison_text, difference_text

if TYPE_CHECKING:
    from ...diff import Comparison
    from ...diff.changes import Change
    from ...diff.revisions import RevisionComparison, SpecChange

COMMENT_MARKER = "<!-- jsonnx diff -->"
"""The first line of the Markdown, by which a program finds its earlier comment and replaces it."""

MAX_COMMENT_CHARACTERS = 60_000
"""GitHub accepts comments of 65,536 characters."""

MAX_DETAIL_LINES = 200

SHORT_HASH_DIGITS = 10

STATE_TEXTS = {
    "unchanged": "no difference in meaning",
    "new": "is new",
    "deleted": "was deleted: programs that use it break",
    "invalid": "has errors",
    "invalid-before": "had errors, so that there is nothing to compare with",
}


def revision_text(compared: RevisionComparison, color: bool = False) -> str:
    """A paragraph for each spec, the differences indented."""
    parts = []
    for change in compared.specs:
        renamed = f" (was {change.old_file})" if change.renamed and change.old_file else ""
        title = escape_invisible(f"{change.file}{renamed}")
        if change.comparison is not None and not change.comparison.is_empty:
            body = comparison_text(change.comparison, color)
            parts.append("\n".join([f"{title}:", *(f"  {line}" if line else "" for line in body.splitlines())]))
        else:
            parts.append(f"{title}: {STATE_TEXTS[change.state]}")
    return "\n\n".join(parts) if any("\n" in part for part in parts) else "\n".join(parts)


def revision_json(compared: RevisionComparison) -> dict[str, Any]:
    """All differences as JSON values; `schemas/diff.schema.json` describes them."""
    return {
        "against": compared.against,
        "commit": compared.commit,
        "breaks_signature": any(change.breaks_signature for change in compared.specs),
        "breaks_weights": any(change.breaks_weights for change in compared.specs),
        "specs": [
            {
                "file": change.file,
                "old_file": change.old_file,
                "state": change.state,
                "renamed": change.renamed,
                "breaks_signature": change.breaks_signature,
                "breaks_weights": change.breaks_weights,
                "differences": None if change.comparison is None else comparison_json(change.comparison),
                "errors": diagnostics_json(change.diagnostics),
            }
            for change in compared.specs
        ],
    }


# -- Markdown ----------------------------------------------------------------------------------------------------------

COLUMNS = ("spec", "signature", "old weights", "parameters", "multiply-adds", "activation memory")


def revision_markdown(compared: RevisionComparison) -> str:
    """A comment: a marker, a line that sums up, a table with a row for each spec that differs, and foldable details."""
    differing = [change for change in compared.specs if change.state != "unchanged" or change.renamed]
    against = code_span(compared.against) + (f" ({compared.commit[:SHORT_HASH_DIGITS]})" if compared.commit else "")
    lines = [COMMENT_MARKER, f"### jsonnx: {_summary(compared, differing)}", ""]
    if differing:
        lines += [f"| {' | '.join(COLUMNS)} |", f"|{' --- |' * len(COLUMNS)}"]
        lines += [f"| {' | '.join(_row(change))} |" for change in differing] + [""]
    footer = [f"Compared with {against}."]
    left = MAX_COMMENT_CHARACTERS - sum(len(line) + 1 for line in [*lines, *footer])
    for index, change in enumerate(differing):
        details = _details(change)
        left -= sum(len(line) + 1 for line in details)
        if left < 0:
            lines += [f"Not shown: details of {count_text(len(differing) - index, 'spec')}.", ""]
            break
        lines += details
    return "\n".join([*lines, *footer])


def _summary(compared: RevisionComparison, differing: list[SpecChange]) -> str:
    if not differing:
        return f"no difference in {count_text(len(compared.specs), 'spec')}"
    breaking = sum(change.breaks_signature for change in differing)
    invalid = sum(change.state == "invalid" for change in differing)
    parts = [f"{len(differing)} of {count_text(len(compared.specs), 'spec')} differ"]
    parts[0] += "s" if len(differing) == 1 else ""
    parts += [f"{breaking} {'breaks' if breaking == 1 else 'break'} programs"] if breaking else []
    parts += [f"{invalid} {'has' if invalid == 1 else 'have'} errors"] if invalid else []
    return ", ".join(parts)


def _row(change: SpecChange) -> list[str]:
    name = code_span(change.file)
    if change.renamed and change.old_file:
        name += f" (was {code_span(change.old_file)})"
    comparison = change.comparison
    if comparison is None:
        text, is_harmless = STATE_TEXTS[change.state], change.state in ("new", "unchanged")
        return [name, text if is_harmless else f"**{text}**", *[""] * (len(COLUMNS) - 2)]
    breaking = sum(part.breaks for part in comparison.signature)
    signature = f"**breaks in {count_text(breaking, 'place')}**" if breaking else "holds"
    memory = _cost_cell(comparison.activation_bytes, bytes_text)
    return [
        name,
        signature,
        _weights_cell(comparison),
        *map(_cost_cell, (comparison.parameters, comparison.macs)),
        memory,
    ]


def _weights_cell(comparison: Comparison) -> str:
    weights = comparison.weights
    if weights.load:
        return "load"
    return f"**{len(weights.unchanged)} of {weights.needed} fit**"


def _cost_cell(change: Change, text_of: Callable[[int], str] = "{:,}".format) -> str:
    """The old and the new cost, and the share of the old one by which it grew; one number if they are the same."""
    old, new = ("?" if number is None else text_of(number) for number in change)
    if not change:
        return new
    percent = re.search(r"[^ ]+ %", difference_text(change))
    return f"{old} → {new}" + (f" ({percent[0]})" if percent else "").replace(" %", "\N{NO-BREAK SPACE}%")


def _details(change: SpecChange) -> list[str]:
    if change.comparison is not None and not change.comparison.is_empty:
        text = comparison_text(change.comparison)
        body = [line.removeprefix("  ") for line in text.splitlines()]  # a marker begins a line that is coloured
    elif change.diagnostics:
        body = [escape_invisible(str(diagnostic)) for diagnostic in change.diagnostics]
    else:
        return []
    hidden = len(body) - MAX_DETAIL_LINES
    body = [*body[:MAX_DETAIL_LINES], *([f"and {hidden:,} more lines"] if hidden > 0 else [])]
    fence = "`" * max(3, 1 + max((len(run) for run in re.findall("`+", "\n".join(body))), default=0))
    title = f"<code>{_html_text(change.file)}</code>"
    return ["<details>", f"<summary>{title}</summary>", "", f"{fence}diff", *body, fence, "", "</details>", ""]


def code_span(text: str) -> str:
    """A text as inline code of a table cell: nothing in it is Markdown, a mention or a link."""
    text = escape_invisible(text).replace("|", "\\|")
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * (longest + 1)
    padding = " " if longest else ""
    return f"{fence}{padding}{text}{padding}{fence}"


def _html_text(text: str) -> str:
    return escape_invisible(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
