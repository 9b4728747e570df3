"""Diagnostics as text, and in the formats that editors, CI and code scanning read."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from xml.etree import ElementTree

from ...core.diagnostics import Diagnostic, Note, Position
from ...core.invisible_characters import escape_invisible
from ...core.quantities import count_text
from .diagnostics_json import diagnostics_json
from .source_excerpts import MAX_SOURCE_LINE_WIDTH, Excerpt

SourceExcerpts = Mapping[str, Mapping[Position, Excerpt]]
"""By file name, the parts of lines that the text shows at positions."""

MAX_DIAGNOSTICS_PER_FILE = 20
"""Diagnostics of one file that the text shows; the others are counted."""


@dataclass(frozen=True)
class ShownDiagnostics:
    """Which diagnostics of a file the text shows: the first ones and, after them, a note."""

    limit: int | None = MAX_DIAGNOSTICS_PER_FILE
    option: str | None = None
    """The option of the command that shows all."""

    def first(self, file_diagnostics: Sequence[Diagnostic]) -> Sequence[Diagnostic]:
        """The diagnostics of one file that the text shows."""
        if self.limit is None or len(file_diagnostics) <= self.limit:
            return file_diagnostics
        rest = file_diagnostics[self.limit :]
        return [*file_diagnostics[: self.limit], *(item for item in rest if item.severity == "note")]


FORMATS = ("text", "json", "github", "sarif", "junit", "gitlab")


def render(
    diagnostics: Sequence[Diagnostic],
    format: str,
    *,
    excerpts: Mapping[str, Mapping[Position, Excerpt]] = {},
    files: Sequence[str] = (),
    color: bool = False,
    shown: ShownDiagnostics = ShownDiagnostics(),
) -> str:
    """The diagnostics in one of FORMATS.

    `excerpts` are the parts of lines that are shown, `files` the names of all files that were read, with or without
    diagnostics. Invisible and bidirectional characters of the user's text are escaped.
    """
    if format == "text":
        return _render_text(diagnostics, excerpts, files, color, shown)
    from .code_quality import render_code_quality  # formats that a terminal does not need
    from .sarif import render_sarif

    renderers: dict[str, Callable[[Sequence[Diagnostic], Sequence[str]], str]] = {
        "json": _render_json,
        "github": _render_github,
        "sarif": render_sarif,
        "junit": _render_junit,
        "gitlab": render_code_quality,
    }
    return renderers[format](diagnostics, files)


def location_text(item: Diagnostic | Note) -> str:
    """`spec.json:5:23`, as far as it is known; the JSON path if there is no text."""
    if item.line is None:
        return escape_invisible(
            f"{item.file}: {item.path}" if item.file and item.path != "$" else item.file or item.path
        )
    position = f"{item.line}:{item.column}" if item.column else str(item.line)
    return escape_invisible(f"{item.file}:{position}" if item.file else f"line {position}")


def by_file(diagnostics: Sequence[Diagnostic], files: Sequence[str]) -> dict[str | None, list[Diagnostic]]:
    """The diagnostics of each file; an empty list for a file without any."""
    groups: dict[str | None, list[Diagnostic]] = {file: [] for file in files}
    for diagnostic in diagnostics:
        groups.setdefault(diagnostic.file, []).append(diagnostic)
    return groups


def position_of(diagnostic: Diagnostic) -> Position | None:
    """The position of a diagnostic whose line and column are known."""
    return Position(diagnostic.line, diagnostic.column) if diagnostic.line and diagnostic.column else None


# -- text ------------------------------------------------------------------------------------------------------------

_ANSI_STYLES = {"error": "1;31", "warning": "1;33", "note": "1;36", "strong": "1", "frame": "1;34"}


def _render_text(
    diagnostics: Sequence[Diagnostic],
    excerpts: SourceExcerpts,
    files: Sequence[str],
    color: bool,
    shown: ShownDiagnostics,
) -> str:
    def paint(style: str, text: str) -> str:
        return f"\x1b[{_ANSI_STYLES[style]}m{text}\x1b[0m" if color else text

    blocks = []
    for file, file_diagnostics in by_file(diagnostics, files).items():
        file_excerpts = excerpts.get(file or "", {})
        first = shown.first(file_diagnostics)
        blocks += [_diagnostic_text(diagnostic, file_excerpts, paint) for diagnostic in first]
        if hidden := len(file_diagnostics) - len(first):
            how = f"; {shown.option} shows them" if shown.option else ""
            blocks.append(f"and {hidden:,} more in {escape_invisible(file or 'the document')}{how}")
    has_files = files or not diagnostics or any(item.file and item.severity != "note" for item in diagnostics)
    return "\n\n".join([*blocks, _summary_line(diagnostics, files)] if has_files else blocks)


def _diagnostic_text(
    diagnostic: Diagnostic, excerpts: Mapping[Position, Excerpt], paint: Callable[[str, str], str]
) -> str:
    head = paint(diagnostic.severity, f"{diagnostic.severity}[{diagnostic.code}]") + paint(
        "strong", f": {escape_invisible(diagnostic.message)}"
    )
    shown = [head]
    margin = " " * len(str(diagnostic.line or ""))
    if diagnostic.file or diagnostic.line or diagnostic.path != "$":
        shown.append(f"{margin}{paint('frame', '-->')} {location_text(diagnostic)}")
    position = position_of(diagnostic) if diagnostic.severity != "note" else None
    if position is not None and position in excerpts:
        line, caret = _marked_line(excerpts[position], position.column)
        bar = paint("frame", "|")
        shown += [
            f"{margin} {bar}",
            f"{paint('frame', str(diagnostic.line))} {bar} {line}",
            f"{margin} {bar} {paint(diagnostic.severity, caret)}",
        ]
    sign = paint("frame", "=")
    shown += [f"{margin} {sign} note: {_note_text(note)}" for note in diagnostic.notes]
    if diagnostic.help:
        shown.append(f"{margin} {sign} help: {escape_invisible(diagnostic.help)}")
    return "\n".join(line.rstrip() for line in shown)


def _note_text(note: Note) -> str:
    nowhere = note.line is None and note.path == "$"
    return escape_invisible(note.message) + ("" if nowhere else f" ({location_text(note)})")


_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"?|[\w.+-]+(?:[/:][\w.+-]+)*|.?')


def _marked_line(excerpt: Excerpt, column: int) -> tuple[str, str]:
    """The part of a line around a column, and carets under the token that starts there."""
    line, start = excerpt.text, column - 1 - excerpt.offset
    token_match = _TOKEN.match(line[start : start + MAX_SOURCE_LINE_WIDTH])  # no more is shown of a longer token
    end = start + max(1, token_match.end() if token_match else 0)
    is_short = not excerpt.offset and len(line) <= MAX_SOURCE_LINE_WIDTH
    first = 0 if is_short else max(0, min(start - MAX_SOURCE_LINE_WIDTH // 3, len(line) - MAX_SOURCE_LINE_WIDTH))
    last = first + MAX_SOURCE_LINE_WIDTH
    before, token, after = line[first:start], line[start : min(end, last)], line[min(end, last) : last]
    before, token, after = (escape_invisible(part.replace("\t", " ")) for part in (before, token, after))
    lead, rest = "..." if first or excerpt.offset else "", "..." if last < len(line) else ""
    return f"{lead}{before}{token}{after}{rest}", " " * _display_width(lead + before) + "^" * max(
        1, _display_width(token)
    )


def _display_width(text: str) -> int:
    """Columns that a text takes in a terminal."""
    if text.isascii():
        return len(text)
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def _summary_line(diagnostics: Sequence[Diagnostic], files: Sequence[str]) -> str:
    """The last line: the numbers of errors and warnings, and of files that have them."""
    affected = {diagnostic.file for diagnostic in diagnostics if diagnostic.file}
    counts = [
        count_text(number, severity)
        for severity in ("error", "warning")
        if (number := sum(diagnostic.severity == severity for diagnostic in diagnostics))
    ]
    if counts:
        total = len({*files, *affected})
        place = f" in {f'{len(affected)} of ' if len(affected) < total else ''}{count_text(total, 'file')}"
        return " and ".join(counts) + (place if affected else "")
    return (
        f"{count_text(len(files), 'file')} {'is' if len(files) == 1 else 'are'} fine" if files else "nothing is wrong"
    )


# -- formats for programs --------------------------------------------------------------------------------------------


def _render_json(diagnostics: Sequence[Diagnostic], files: Sequence[str]) -> str:
    return json.dumps(diagnostics_json(diagnostics), indent=2)


def _render_github(diagnostics: Sequence[Diagnostic], files: Sequence[str]) -> str:
    """Workflow commands, which GitHub shows at the line."""
    commands = []
    for diagnostic in diagnostics:
        values = {"file": diagnostic.file, **_github_range(diagnostic), "title": diagnostic.code}
        properties = ",".join(
            f"{key}={_escape_property(str(value))}" for key, value in values.items() if value is not None
        )
        command = "notice" if diagnostic.severity == "note" else diagnostic.severity
        commands.append(f"::{command} {properties}::{_escape_data(_full_message(diagnostic))}")
    return "\n".join(commands)


def _github_range(diagnostic: Diagnostic) -> dict[str, int | None]:
    """The range of a diagnostic. GitHub shows an annotation below its last line, so one of several lines has no end."""
    line, end_line = diagnostic.line, diagnostic.end_line
    values = {"line": line, "col": diagnostic.column}
    return values | {"endLine": end_line, "endColumn": diagnostic.end_column} if end_line == line else values


def _escape_data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _escape_property(text: str) -> str:
    return _escape_data(text).replace(":", "%3A").replace(",", "%2C")


def _full_message(diagnostic: Diagnostic) -> str:
    """Message, notes and help as lines."""
    notes = [f"note: {_note_text(note)}" for note in diagnostic.notes]
    help = [f"help: {escape_invisible(diagnostic.help)}"] if diagnostic.help else []
    return "\n".join([escape_invisible(diagnostic.message), *notes, *help])


_DECLARATION = "<?xml version='1.0' encoding='us-ascii'?>\n"


def _render_junit(diagnostics: Sequence[Diagnostic], files: Sequence[str]) -> str:
    """One test case a file, which fails if the file has errors."""
    groups = by_file(diagnostics, files)
    failed = sum(any(diagnostic.severity == "error" for diagnostic in group) for group in groups.values())
    counts = {"tests": str(len(groups)), "failures": str(failed), "errors": "0", "skipped": "0"}
    suites = ElementTree.Element("testsuites", counts)
    suite = ElementTree.SubElement(suites, "testsuite", {"name": "jsonnx", **counts})
    for file, file_diagnostics in groups.items():
        name = escape_invisible(file or "document")
        case = ElementTree.SubElement(
            suite, "testcase", {"classname": "jsonnx", "name": name, "file": name, "time": "0"}
        )
        for severity in ("error", "warning"):
            group = [diagnostic for diagnostic in file_diagnostics if diagnostic.severity == severity]
            if not group:
                continue
            attributes = {"message": count_text(len(group), severity), "type": group[0].code}
            tag, attributes = ("failure", attributes) if severity == "error" else ("system-out", {})
            blocks = (f"{location_text(d)}: {d.severity}[{d.code}]: {_full_message(d)}" for d in group)
            ElementTree.SubElement(case, tag, attributes).text = "\n".join(blocks)
    ElementTree.indent(suites)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + _ascii_xml(suites)


def _ascii_xml(root: ElementTree.Element) -> str:
    """The XML with non-ASCII characters as character references, without the declaration."""
    return ElementTree.tostring(root, encoding="us-ascii").decode("ascii").removeprefix(_DECLARATION)
