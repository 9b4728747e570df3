"""Diagnostics as text for people, and as the documents that editors, CI and code scanning read."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from itertools import groupby
from typing import Any
from xml.etree import ElementTree

from ..core.diagnostics import Diagnostic, Note
from .explanations import EXPLANATIONS

MAX_DIAGNOSTICS_PER_FILE = 20
"""Diagnostics shown of one file; the rest are counted."""

MAX_SOURCE_LINE_WIDTH = 100
"""Characters shown of a line of the source."""

FORMATS = ("text", "json", "github", "sarif", "junit")


def render(
    diagnostics: Sequence[Diagnostic],
    format: str,
    *,
    sources: Mapping[str, str] = {},
    files: Sequence[str] = (),
    color: bool = False,
) -> str:
    """The diagnostics in one of FORMATS.

    `sources` gives the text of files whose lines are to be shown, `files` names all that were read, the faultless ones
    too. What users wrote is escaped where it does not show or would reorder the line; our own words are ASCII.
    """
    if format == "text":
        return _render_text(diagnostics, sources, files, color)
    documents: dict[str, Callable[[Sequence[Diagnostic], Sequence[str]], str]] = {
        "json": _render_json,
        "github": _render_github,
        "sarif": _render_sarif,
        "junit": _render_junit,
    }
    return documents[format](diagnostics, files)


def escape_invisible(text: str) -> str:
    """The text with characters escaped that do not show, or that change the order in which others do."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode("ascii") for char in text)


def location_text(item: Diagnostic | Note) -> str:
    """`spec.json:5:23`, as far as it is known; the JSON path where there is no text."""
    if item.line is None:
        return escape_invisible(
            f"{item.file}: {item.path}" if item.file and item.path != "$" else item.file or item.path
        )
    where = f"{item.line}:{item.column}" if item.column else str(item.line)
    return escape_invisible(f"{item.file}:{where}" if item.file else f"line {where}")


def count_text(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def by_file(diagnostics: Sequence[Diagnostic], files: Sequence[str]) -> dict[str | None, list[Diagnostic]]:
    """The diagnostics of each file, in the order given; with an empty list for those without."""
    found: dict[str | None, list[Diagnostic]] = {file: [] for file in files}
    for diagnostic in diagnostics:
        found.setdefault(diagnostic.file, []).append(diagnostic)
    return found


# -- text ------------------------------------------------------------------------------------------------------------

_ANSI_STYLES = {"error": "1;31", "warning": "1;33", "strong": "1", "frame": "1;34"}


def _render_text(
    diagnostics: Sequence[Diagnostic], sources: Mapping[str, str], files: Sequence[str], color: bool
) -> str:
    def paint(style: str, text: str) -> str:
        return f"\x1b[{_ANSI_STYLES[style]}m{text}\x1b[0m" if color else text

    blocks = []
    for file, found in by_file(diagnostics, files).items():
        lines = _split_lines(sources.get(file or "", ""))
        blocks += [_diagnostic_text(diagnostic, lines, paint) for diagnostic in found[:MAX_DIAGNOSTICS_PER_FILE]]
        if len(found) > MAX_DIAGNOSTICS_PER_FILE:
            blocks.append(
                f"and {len(found) - MAX_DIAGNOSTICS_PER_FILE:,} more in {escape_invisible(file or 'the document')}"
            )
    about_files = files or not diagnostics or any(of.file for of in diagnostics)
    return "\n\n".join([*blocks, _summary_line(diagnostics, files)] if about_files else blocks)


def _split_lines(text: str) -> list[str]:
    """Lines as positions count them: after LF, CRLF and a lone CR; a byte order mark is no part of the text."""
    return re.split(r"\r\n?|\n", text.removeprefix("\ufeff"))


def _diagnostic_text(diagnostic: Diagnostic, lines: Sequence[str], paint: Callable[[str, str], str]) -> str:
    head = paint(diagnostic.severity, f"{diagnostic.severity}[{diagnostic.code}]") + paint(
        "strong", f": {escape_invisible(diagnostic.message)}"
    )
    shown = [head]
    margin = " " * len(str(diagnostic.line or ""))
    if diagnostic.file or diagnostic.line or diagnostic.path != "$":
        shown.append(f"{margin}{paint('frame', '-->')} {location_text(diagnostic)}")
    if diagnostic.line and diagnostic.column and diagnostic.line <= len(lines) and lines[diagnostic.line - 1]:
        line, caret = _excerpt(lines[diagnostic.line - 1], diagnostic.column)
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


_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"?|[\w.+-]+|.?')


def _excerpt(line: str, column: int) -> tuple[str, str]:
    """The part of a line around a column, and the carets under the token that begins there."""
    start, end = column - 1, max(column, _TOKEN.match(line, column - 1).end())  # type: ignore[union-attr]
    first = (
        0
        if len(line) <= MAX_SOURCE_LINE_WIDTH
        else max(0, min(start - MAX_SOURCE_LINE_WIDTH // 3, len(line) - MAX_SOURCE_LINE_WIDTH))
    )
    last = first + MAX_SOURCE_LINE_WIDTH
    before, token, after = line[first:start], line[start : min(end, last)], line[min(end, last) : last]
    before, token, after = (escape_invisible(part.replace("\t", " ")) for part in (before, token, after))
    lead, rest = "..." if first else "", "..." if last < len(line) else ""
    return f"{lead}{before}{token}{after}{rest}", " " * _display_width(lead + before) + "^" * max(
        1, _display_width(token)
    )


def _display_width(text: str) -> int:
    """How wide a terminal shows a text."""
    if text.isascii():
        return len(text)
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def _summary_line(diagnostics: Sequence[Diagnostic], files: Sequence[str]) -> str:
    """The last line: how much is wrong where."""
    faulty = {diagnostic.file for diagnostic in diagnostics}
    counts = [
        count_text(number, severity)
        for severity in ("error", "warning")
        if (number := sum(diagnostic.severity == severity for diagnostic in diagnostics))
    ]
    if counts:
        total = count_text(len({*files, *faulty}), "file")
        many = f"{len(faulty)} of {total}" if len(files) > len(faulty) else total
        return f"{' and '.join(counts)} in {many}"
    return (
        f"{count_text(len(files), 'file')} {'is' if len(files) == 1 else 'are'} fine" if files else "nothing is wrong"
    )


# -- documents -------------------------------------------------------------------------------------------------------


def _render_json(diagnostics: Sequence[Diagnostic], files: Sequence[str]) -> str:
    keys = ("code", "severity", "message", "file", "line", "column", "path", "help")
    whole = [
        {key: getattr(of, key) for key in keys} | {"notes": [asdict(note) for note in of.notes]} for of in diagnostics
    ]
    return json.dumps(whole, indent=2)


def _render_github(diagnostics: Sequence[Diagnostic], files: Sequence[str]) -> str:
    """Workflow commands, which GitHub shows beside the line."""
    commands = []
    for of in diagnostics:
        named = {"file": of.file, "line": of.line, "col": of.column, "title": of.code}
        properties = ",".join(
            f"{key}={_escape_property(str(value))}" for key, value in named.items() if value is not None
        )
        commands.append(f"::{of.severity} {properties}::{_escape_data(_whole_message(of))}")
    return "\n".join(commands)


def _escape_data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _escape_property(text: str) -> str:
    return _escape_data(text).replace(":", "%3A").replace(",", "%2C")


def _whole_message(diagnostic: Diagnostic) -> str:
    """Message, notes and help as lines."""
    extra = [f"note: {_note_text(note)}" for note in diagnostic.notes]
    return "\n".join(
        [
            escape_invisible(diagnostic.message),
            *extra,
            *([f"help: {escape_invisible(diagnostic.help)}"] if diagnostic.help else []),
        ]
    )


def _render_sarif(diagnostics: Sequence[Diagnostic], files: Sequence[str]) -> str:
    """SARIF 2.1.0, for code scanning."""
    codes = sorted({of.code for of in diagnostics})
    driver = {"name": "jsonnx", "rules": [_sarif_rule(code) for code in codes]}
    run = {
        "tool": {"driver": driver},
        "columnKind": "unicodeCodePoints",
        "results": [_sarif_result(of, codes.index(of.code)) for of in diagnostics],
    }
    schema = "https://json.schemastore.org/sarif-2.1.0.json"
    return json.dumps({"$schema": schema, "version": "2.1.0", "runs": [run]}, indent=2)


def _sarif_rule(code: str) -> dict[str, Any]:
    about = EXPLANATIONS.get(code)
    if about is None:
        return {"id": code}
    return {
        "id": code,
        "shortDescription": {"text": about.title},
        "fullDescription": {"text": about.text},
        "help": {"text": about.plain_text(), "markdown": about.markdown()},
    }


def _sarif_result(diagnostic: Diagnostic, index: int) -> dict[str, Any]:
    result: dict[str, Any] = {
        "ruleId": diagnostic.code,
        "ruleIndex": index,
        "level": diagnostic.severity,
        "message": {
            "text": escape_invisible(diagnostic.message)
            + (f"\nhelp: {escape_invisible(diagnostic.help)}" if diagnostic.help else "")
        },
        "locations": [_sarif_location(diagnostic)],
    }
    if diagnostic.notes:
        result["relatedLocations"] = [
            {"id": number, "message": {"text": escape_invisible(note.message)}, **_sarif_location(note)}
            for number, note in enumerate(diagnostic.notes, 1)
        ]
    return result


def _sarif_location(item: Diagnostic | Note) -> dict[str, Any]:
    place: dict[str, Any] = {"logicalLocations": [{"fullyQualifiedName": item.path}]}
    if item.file:
        physical: dict[str, Any] = {"artifactLocation": {"uri": _uri(item.file)}}
        if item.line:
            physical["region"] = {"startLine": item.line} | ({"startColumn": item.column} if item.column else {})
        place["physicalLocation"] = physical
    return place


def _uri(file: str) -> str:
    """A path as a URI reference: what is not unreserved, as its bytes in hexadecimal."""
    encode = lambda found: "".join(f"%{byte:02X}" for byte in found[0].encode(errors="surrogateescape"))  # noqa: E731
    return re.sub(r"[^A-Za-z0-9_.~/-]", encode, file.replace("\\", "/"))


_DECLARATION = "<?xml version='1.0' encoding='us-ascii'?>\n"


def _render_junit(diagnostics: Sequence[Diagnostic], files: Sequence[str]) -> str:
    """A test case a file, which fails where the file has errors."""
    found = by_file(diagnostics, files)
    failed = sum(any(of.severity == "error" for of in faults) for faults in found.values())
    counts = {"tests": str(len(found)), "failures": str(failed), "errors": "0", "skipped": "0"}
    suites = ElementTree.Element("testsuites", counts)
    suite = ElementTree.SubElement(suites, "testsuite", {"name": "jsonnx", **counts})
    for file, faults in found.items():
        name = escape_invisible(file or "document")
        case = ElementTree.SubElement(
            suite, "testcase", {"classname": "jsonnx", "name": name, "file": name, "time": "0"}
        )
        for severity, group in groupby(sorted(faults, key=lambda of: of.severity), key=lambda of: of.severity):
            listed = list(group)
            attributes = {"message": count_text(len(listed), severity), "type": listed[0].code}
            tag, attributes = ("failure", attributes) if severity == "error" else ("system-out", {})
            blocks = (f"{location_text(of)}: {of.severity}[{of.code}]: {_whole_message(of)}" for of in listed)
            ElementTree.SubElement(case, tag, attributes).text = "\n".join(blocks)
    ElementTree.indent(suites)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + _ascii_xml(suites)


def _ascii_xml(root: ElementTree.Element) -> str:
    """With what is not ASCII as character references, and without the declaration."""
    return ElementTree.tostring(root, encoding="us-ascii").decode("ascii").removeprefix(_DECLARATION)
