"""Common mistakes in JSON texts, by the place at which the parser finds them."""

from __future__ import annotations

import re

Mistakes = list[tuple[re.Pattern[str], str, str | None]]
"""Pattern, message (with `{}` for the matched text) and help. The first pattern that matches is reported."""


def _mistakes(*rows: tuple[str, str, str | None]) -> Mistakes:
    """Compiles the patterns of mistakes."""
    return [(re.compile(pattern), message, help) for pattern, message, help in rows]


MISTAKES_ANYWHERE = _mistakes(
    (r"```", "a Markdown code fence", "remove the lines with ```: the file is the JSON text alone"),
    (r"//|/\*|#", "a comment", "JSON has no comments: remove it"),
    (r"'", "a single quote", "write strings and keys in double quotes"),
    (r"[`\u00ab\u00bb\u2018-\u201f]", "a typographic quotation mark", 'use the plain double quote "'),
    (r"=", "an equals sign", "write a colon between a key and its value"),
    (
        r"[^\S \t\n\r]|[\ufeff\u200b-\u200f\u2060\0-\x1f]",
        "{} between tokens",
        "only spaces, tabs and line ends are allowed there",
    ),
)
MISTAKES_FOR_VALUE = MISTAKES_ANYWHERE + _mistakes(
    (r"[+-]?(?i:nan|inf(?:inity)?)\b", "{} is not a JSON number", "write a finite number, or omit the key"),
    (r"(?i:true)\b", "{} is not a JSON value", "write true"),
    (r"(?i:false)\b", "{} is not a JSON value", "write false"),
    (r"(?i:null|none|nil|undefined)\b", "{} is not a JSON value", "write null, or omit the key"),
    (r"[+-]?0[xX]\w*", "{} is a hexadecimal number", "write it in decimal"),
    (r"[+-]?0[0-9]+", "the number {} has a leading zero", "remove the zero"),
    (r"\+[0-9.]+", "the number {} has a plus sign", "remove the plus sign"),
    (
        r"-?(?:\.[0-9]+|[0-9]+\.(?![0-9]))",
        "the number {} has no digit on one side of its decimal point",
        "write at least one digit on each side",
    ),
    (r"[0-9-][\w.+-]*", "{} is not a valid JSON number", None),
    (r"[^\W\d]\w*", "{} is not a JSON value", "write text in double quotes"),
)
MISTAKES_FOR_DOCUMENT = (
    _mistakes(
        (
            r"(?i:(?:const|let|var|export|module|spec|model|config|json)\b[\w. ]*[=:]).*",
            "an assignment",
            "write the value alone",
        ),
        (
            r"\w[\w .-]*(?:[,;\t][\w .-]+)+\r?\n",
            "a table, not a spec",
            "`jsonnx init` writes a first spec for a table; `--data` of a command takes the table itself",
        ),
        (r"[^\W\d]\w*(?:[ \t,]++[^\W\d]|[^\n{\[]*\n)", "text before the document", "remove it: a spec begins with {"),
    )
    + MISTAKES_FOR_VALUE
)
"""Mistakes at the beginning of a text."""

MISTAKES_AFTER_DOCUMENT = MISTAKES_ANYWHERE + _mistakes(
    (r"[{\[]", "a second document", "write one document in a file"),
    (r"[^\W\d]", "text after the document", "remove it: a spec ends with the } of its first {"),
)
MISTAKES_FOR_KEY = MISTAKES_ANYWHERE + _mistakes(
    (r"[\w$][\w$-]*", "the key {} is not in double quotes", "write it in double quotes")
)
MISTAKES_FOR_SEPARATOR = MISTAKES_ANYWHERE + _mistakes(
    (r'["\w{\[-]', "a comma is missing before {}", "write a comma between the two values")
)
MISTAKES_IN_STRING = _mistakes(
    (r"[\n\r]", "a line ends inside a string", "close the string, or write the line end as \\n"),
    (
        r"[\0-\x1f]",
        "a control character {} inside a string",
        "write a tab as \\t, other control characters as \\u and four hexadecimal digits",
    ),
    (r"\\u[dD][89a-fA-F][0-9a-fA-F]{2}", "{} is a lone surrogate", "write both surrogates, or the character itself"),
    (r"\\u", "\\u is not followed by four hexadecimal digits", None),
    (r"\\[\s\S]", "{} is not a JSON escape", "write a backslash as \\\\"),
)
CODE_BY_MESSAGE = {"{} is not a JSON number": "invalid-number", "{} is a lone surrogate": "invalid-encoding"}
