"""Diagnostics as JSON, for programs, and the JSON Schema of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from ...core.diagnostics import Diagnostic, Position
from ...core.fixes import Fix, TextEdit, json_patch

Schema = dict[str, Any]

KEYS = ("code", "severity", "message", "file", "line", "column", "end_line", "end_column", "path", "help")


def diagnostics_json(diagnostics: Sequence[Diagnostic]) -> list[dict[str, Any]]:
    """The diagnostics as JSON values."""
    return [
        {
            **{key: getattr(diagnostic, key) for key in KEYS},
            "expected": diagnostic.expected,
            "found": diagnostic.found,
            "notes": [asdict(note) for note in diagnostic.notes],
            "fix": _fix_json(diagnostic.fix) if diagnostic.fix else None,
        }
        for diagnostic in diagnostics
    ]


def _fix_json(fix: Fix) -> dict[str, Any]:
    return {
        "title": fix.title,
        "safe": fix.is_safe,
        "patch": json_patch(fix.edits) if fix.edits else None,
        "edits": [_edit_json(edit) for edit in fix.text_edits],
    }


def _edit_json(edit: TextEdit) -> dict[str, Any]:
    start, end = edit.start, edit.end
    return {"start": _position(start, edit.start_offset), "end": _position(end, edit.end_offset), "text": edit.text}


def _position(position: Position, offset: int) -> dict[str, int]:
    return {"line": position.line, "column": position.column, "offset": offset}


# -- the schema --------------------------------------------------------------------------------------------------------


def _described(description: str, schema: Schema) -> Schema:
    return {"description": description, **schema}


def _object(properties: Schema, description: str) -> Schema:
    return {
        "description": description,
        "type": "object",
        "properties": properties,
        "required": [*properties],
        "additionalProperties": False,
    }


_TEXT: Schema = {"type": "string"}
_NULLABLE_TEXT: Schema = {"type": ["string", "null"]}
_NUMBER: Schema = {"type": "integer", "minimum": 1}
_NULLABLE_NUMBER: Schema = {"type": ["integer", "null"], "minimum": 1}
_POINTER: Schema = {"type": "string", "pattern": "^(/|$)"}

_OPERATIONS: list[Schema] = [
    {"op": {"enum": ["add", "replace"]}, "path": _POINTER, "value": True},
    {"op": {"const": "remove"}, "path": _POINTER},
    {"op": {"const": "move"}, "from": _POINTER, "path": _POINTER},
]

_FIX = _object(
    {
        "title": _described("What the fix does, in the imperative", _TEXT),
        "safe": _described(
            "Whether what it writes is certainly meant, and nothing is lost; `--fix` applies such fixes only",
            {"type": "boolean"},
        ),
        "patch": _described(
            "The fix as a JSON Patch (RFC 6902) of the file's value; null if the file is not JSON",
            {
                "anyOf": [
                    {"type": "null"},
                    {
                        "type": "array",
                        "items": {
                            "oneOf": [
                                {
                                    "type": "object",
                                    "properties": operation,
                                    "required": [*operation],
                                    "additionalProperties": False,
                                }
                                for operation in _OPERATIONS
                            ]
                        },
                        "minItems": 1,
                    },
                ]
            },
        ),
        "edits": _described(
            "The same fix as replacements of parts of the text, in its order and without overlap, all with positions "
            "of the text before",
            {
                "type": "array",
                "minItems": 1,
                "items": _object(
                    {
                        "start": {"$ref": "#/$defs/position"},
                        "end": {"$ref": "#/$defs/position"},
                        "text": _described("What replaces the part; empty if it is removed", _TEXT),
                    },
                    "The replacement of the part from `start` up to, but without, `end`",
                ),
            },
        ),
    },
    "A change of the file after which the diagnostic is gone",
)

_NOTE = _object(
    {
        "message": _TEXT,
        "path": _described("As that of a diagnostic", _TEXT),
        "file": _NULLABLE_TEXT,
        "line": _NULLABLE_NUMBER,
        "column": _NULLABLE_NUMBER,
    },
    "A further place that explains the diagnostic, such as the first definition of a name",
)

_DIAGNOSTIC = _object(
    {
        "code": _described("What is wrong, such as `unknown-key`; `jsonnx explain CODE` explains it", _TEXT),
        "severity": {"enum": ["error", "warning", "note"]},
        "message": _described("What is wrong, in a sentence", _TEXT),
        "file": _described("The file as named on the command line; null if there is none", _NULLABLE_TEXT),
        "line": _described("Line of the first character, from 1; null if it is not known", _NULLABLE_NUMBER),
        "column": _described("Its column, from 1, in Unicode code points", _NULLABLE_NUMBER),
        "end_line": _described("Line of the last character", _NULLABLE_NUMBER),
        "end_column": _described("The column after the last character", _NULLABLE_NUMBER),
        "path": _described("The place in the JSON value, such as `$.layers[2].units`; `$` is the whole value", _TEXT),
        "help": _described("What to do", _NULLABLE_TEXT),
        "expected": _described("What is valid there, as a phrase such as `an integer`", _NULLABLE_TEXT),
        "found": _described("What is there, as JSON text, shortened if it is long", _NULLABLE_TEXT),
        "notes": {"type": "array", "items": _NOTE},
        "fix": _described("A fix, if one is evident", {"anyOf": [{"type": "null"}, {"$ref": "#/$defs/fix"}]}),
    },
    "An error, a warning, or a note about what could not be checked",
)


def diagnostics_schema() -> Schema:
    """The JSON Schema of what `--format json` of commands that check specs prints."""
    position = {
        "line": _described("From 1; a line ends with LF, CRLF or CR", _NUMBER),
        "column": _described("From 1, in Unicode code points", _NUMBER),
        "offset": _described(
            "From 0, in Unicode code points; a byte order mark does not count", {"type": "integer", "minimum": 0}
        ),
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "jsonnx diagnostics",
        "description": "What `jsonnx validate --format json` prints: the diagnostics in the order of the file",
        "type": "array",
        "items": {"$ref": "#/$defs/diagnostic"},
        "$defs": {
            "diagnostic": _DIAGNOSTIC,
            "fix": _FIX,
            "position": _object(position, "A position in the text of the file"),
        },
    }
