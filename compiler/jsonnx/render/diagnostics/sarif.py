"""Diagnostics as SARIF 2.1.0, for code scanning."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

from ...core.diagnostics import Diagnostic, Note
from ...core.fixes import Fix
from ...core.invisible_characters import escape_invisible
from ..explanations import CODES, address_of, explanation
from .fingerprints import fingerprints, repository_path

SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
MAX_RESULTS = 25_000
"""Results that GitHub accepts in a run."""
MAX_FULL_DESCRIPTION_CHARACTERS = 1_024
FINGERPRINT_NAME = "jsonnxDiagnostic/v1"


def render_sarif(diagnostics: Sequence[Diagnostic], files: Sequence[str]) -> str:
    """A log with one run. Of more than MAX_RESULTS diagnostics, it has errors first, and counts the others."""
    shown = diagnostics
    if len(diagnostics) > MAX_RESULTS:
        shown = sorted(diagnostics, key=lambda diagnostic: diagnostic.severity != "error")[:MAX_RESULTS]
    codes = sorted({diagnostic.code for diagnostic in shown})
    invocation: dict[str, Any] = {"executionSuccessful": True}
    if omitted := len(diagnostics) - len(shown):
        text = f"{omitted:,} further diagnostics are omitted: code scanning accepts {MAX_RESULTS:,}"
        invocation["toolExecutionNotifications"] = [{"level": "warning", "message": {"text": text}}]
    run = {
        "tool": {"driver": {"name": "jsonnx", **_version(), "rules": [_rule(code) for code in codes]}},
        "invocations": [invocation],
        "columnKind": "unicodeCodePoints",
        "results": [
            _result(diagnostic, codes.index(diagnostic.code), fingerprint)
            for diagnostic, fingerprint in zip(shown, fingerprints(shown), strict=True)
        ],
    }
    return json.dumps({"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}, indent=2)


def _version() -> dict[str, str]:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return {"version": version("jsonnx")}
    except PackageNotFoundError:  # a checkout that is not installed
        return {}


def _rule(code: str) -> dict[str, Any]:
    if code not in CODES:
        return {"id": code}
    about = explanation(code)
    address = address_of(code)
    return {
        "id": code,
        "shortDescription": {"text": about.title},
        "fullDescription": {"text": _shortened(about.text, MAX_FULL_DESCRIPTION_CHARACTERS)},
        "help": {"text": about.plain_text(), "markdown": about.markdown()},
    } | ({"helpUri": address} if address else {})


def _shortened(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 3] + "..."


def _result(diagnostic: Diagnostic, rule_index: int, fingerprint: str) -> dict[str, Any]:
    help = f"\nhelp: {escape_invisible(diagnostic.help)}" if diagnostic.help else ""
    result: dict[str, Any] = {
        "ruleId": diagnostic.code,
        "ruleIndex": rule_index,
        "level": diagnostic.severity,
        "message": {"text": escape_invisible(diagnostic.message) + help},
        "locations": [_location(diagnostic, _region(diagnostic) or {"startLine": 1})],
        "partialFingerprints": {FINGERPRINT_NAME: fingerprint},
    }
    if diagnostic.notes:
        result["relatedLocations"] = [
            {"id": number, "message": {"text": escape_invisible(note.message)}, **_location(note, _region(note))}
            for number, note in enumerate(diagnostic.notes, 1)
        ]
    if diagnostic.fix is not None and diagnostic.file and diagnostic.fix.text_edits:
        result["fixes"] = [_fix(diagnostic.file, diagnostic.fix)]
    return result


def _location(item: Diagnostic | Note, region: dict[str, int] | None) -> dict[str, Any]:
    """The location of an item. GitHub refuses a result whose file has no region."""
    location: dict[str, Any] = {"logicalLocations": [{"fullyQualifiedName": item.path}]}
    if item.file:
        physical: dict[str, Any] = {"artifactLocation": {"uri": _uri(item.file)}}
        location["physicalLocation"] = physical | ({"region": region} if region else {})
    return location


def _region(item: Diagnostic | Note) -> dict[str, int] | None:
    """The range of an item; None if its line is not known."""
    if not item.line:
        return None
    region = {"startLine": item.line} | ({"startColumn": item.column} if item.column else {})
    if isinstance(item, Diagnostic) and item.end_line and item.end_column:
        region |= {"endLine": item.end_line, "endColumn": item.end_column}
    return region


def _fix(file: str, fix: Fix) -> dict[str, Any]:
    """A change of the text that corrects an error."""
    replacements = [
        {
            "deletedRegion": {
                "startLine": edit.start.line,
                "startColumn": edit.start.column,
                "endLine": edit.end.line,
                "endColumn": edit.end.column,
            },
            "insertedContent": {"text": edit.text},
        }
        for edit in fix.text_edits
    ]
    change = {"artifactLocation": {"uri": _uri(file)}, "replacements": replacements}
    return {"description": {"text": escape_invisible(fix.title)}, "artifactChanges": [change]}


def _uri(file: str) -> str:
    """A path as a URI reference: characters that are not unreserved are percent-encoded."""
    encode = lambda match: "".join(f"%{byte:02X}" for byte in match[0].encode(errors="surrogateescape"))  # noqa: E731
    return re.sub(r"[^A-Za-z0-9_.~/-]", encode, repository_path(file))
