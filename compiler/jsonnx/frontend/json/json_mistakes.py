"""Common mistakes in JSON texts, by the place at which the parser finds them, and their repairs."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Literal, NamedTuple

from .text_pieces import Replacement


def end_before(text: str, offset: int) -> int:
    """The offset after the last character before an offset that is no space."""
    while offset and text[offset - 1] in " \t\n\r":
        offset -= 1
    return offset


Repairer = Callable[[re.Match[str]], Replacement | None]
"""Returns the repair of a mistake at the match of its pattern, if one is certain."""


class Mistake(NamedTuple):
    """A common mistake."""

    pattern: re.Pattern[str]
    message: str
    """The message, with `{}` for the matched text."""
    help: str | None
    repair: Repairer


def _no_repair(match: re.Match[str]) -> None:
    return None


def _mistakes(*rows: tuple[str, str, str | None] | tuple[str, str, str | None, Repairer]) -> list[Mistake]:
    """Compiles the patterns of mistakes."""
    return [Mistake(re.compile(row[0]), row[1], row[2], row[3] if len(row) == 4 else _no_repair) for row in rows]


# -- repairs -----------------------------------------------------------------------------------------------------------


def _written(text: str) -> Repairer:
    """Replaces the match by a text."""
    return lambda match: Replacement(match.start(), match.end(), text)


def _removed(match: re.Match[str]) -> Replacement:
    return Replacement(match.start(), match.end(), "")


def _in_quotes(match: re.Match[str]) -> Replacement:
    return Replacement(match.start(), match.end(), json.dumps(match[0], ensure_ascii=False))


def _line(match: re.Match[str], end: int) -> Replacement:
    """Removes the text from a match up to an offset: with its line if nothing else is in that, else with the space
    before it."""
    text = match.string
    start = match.start()
    while text[start - 1 : start] in (" ", "\t"):
        start -= 1
    line_end = re.compile(r"[ \t]*(?:\r\n?|\n)").match(text, end)
    begins_line = start == 0 or text[start - 1] in "\r\n"
    if begins_line and not line_end:
        space = re.compile(r"[ \t]*").match(text, end)
        return Replacement(match.start(), space.end() if space else end, "", is_safe=False)
    return Replacement(start, line_end.end() if begins_line and line_end else end, "", is_safe=False)


def _comment(match: re.Match[str]) -> Replacement | None:
    comment = re.compile(r"/\*[\s\S]*?\*/|(?://|#)[^\r\n]*").match(match.string, match.start())
    return _line(match, comment.end()) if comment else None


def _code_fence(match: re.Match[str]) -> Replacement | None:
    fence = re.compile(r"```[ \t]*\w*[ \t]*(?:\r\n?|\n|\Z)").match(match.string, match.start())
    return Replacement(match.start(), fence.end(), "") if fence else None


_QUOTED = re.compile(r"'((?:[^'\\\r\n]|\\[^\r\n])*)'(?=\s*[,:\]}]|\s*\Z)")
_TYPOGRAPHIC_QUOTES = "`\u00ab\u00bb\u2018-\u201f"
_TYPOGRAPHICALLY_QUOTED = re.compile(
    rf'[{_TYPOGRAPHIC_QUOTES}]([^{_TYPOGRAPHIC_QUOTES}"\\\r\n]*)[{_TYPOGRAPHIC_QUOTES}"]'
)


def _single_quotes(match: re.Match[str]) -> Replacement | None:
    """Writes a string in double quotes. An escaped single quote needs no escape there."""
    quoted = _QUOTED.match(match.string, match.start())
    if quoted is None:
        return None
    text = re.sub(r'\\(.)|"', lambda part: {"'": "'", None: '\\"'}.get(part[1], part[0]), quoted[1])
    return Replacement(quoted.start(), quoted.end(), f'"{text}"')


def _typographic_quotes(match: re.Match[str]) -> Replacement | None:
    quoted = _TYPOGRAPHICALLY_QUOTED.match(match.string, match.start())
    return Replacement(quoted.start(), quoted.end(), f'"{quoted[1]}"') if quoted else None


def _space(match: re.Match[str]) -> Replacement:
    """Writes a space in place of another one, and removes what has no width."""
    return Replacement(match.start(), match.end(), " " if match[0].isspace() else "")


def _number(match: re.Match[str]) -> Replacement | None:
    """Writes a number that other languages accept: hexadecimal, with a sign, a point at an end, or underscores."""
    text = match[0].replace("_", "")
    try:
        value = (
            int(text, 16) if "x" in text.lower() else int(text) if re.fullmatch("[+-]?[0-9]+", text) else float(text)
        )
    except ValueError:
        return None
    return Replacement(match.start(), match.end(), json.dumps(value))


def _tuple(match: re.Match[str]) -> Replacement:
    return Replacement(match.start(), match.end(), f"[{match[1].strip().removesuffix(',')}]")


def _before_document(match: re.Match[str]) -> Replacement | None:
    """Removes the text before the first brace."""
    start = match.string.find("{", match.start())
    return Replacement(match.start(), start, "", is_safe=False) if start >= 0 else None


def _assignment(match: re.Match[str]) -> Replacement | None:
    repair = _before_document(match)
    is_name = repair and re.fullmatch(r"[\w. ]*(?::[^={]*)?[=:]\s*", match.string[repair.start : repair.end])
    return repair._replace(is_safe=True) if repair and is_name else repair


def _after_document(match: re.Match[str]) -> Replacement | None:
    """Removes the text after the document, unless a further document is in it."""
    rest = match.string[match.start() :]
    return Replacement(match.start(), len(match.string), "", is_safe=False) if not re.search(r"[{\[]", rest) else None


def _inserted(character: str) -> Repairer:
    """Inserts a character after the token before the match."""

    def repair(match: re.Match[str]) -> Replacement:
        end = end_before(match.string, match.start())
        return Replacement(end, end, character)

    return repair


def _control_character(match: re.Match[str]) -> Replacement:
    return Replacement(match.start(), match.end(), json.dumps(match[0])[1:-1])


def _backslash(match: re.Match[str]) -> Replacement:
    return Replacement(match.start(), match.start(), "\\")


# -- the mistakes ------------------------------------------------------------------------------------------------------

_ANYWHERE = _mistakes(
    (r"```", "a Markdown code fence", "remove the lines with ```: the file is the JSON text alone", _code_fence),
    (r"//|/\*|#", "a comment", "JSON has no comments: remove it", _comment),
    (r"'", "a single quote", "write strings and keys in double quotes", _single_quotes),
    (
        rf"[{_TYPOGRAPHIC_QUOTES}]",
        "a typographic quotation mark",
        'use the plain double quote "',
        _typographic_quotes,
    ),
    (r"=", "an equals sign", "write a colon between a key and its value", _written(":")),
    (
        r"[^\S \t\n\r]|[\ufeff\u200b-\u200f\u2060\0-\x1f]",
        "{} between tokens",
        "only spaces, tabs and line ends are allowed there",
        _space,
    ),
)
_FOR_VALUE = _ANYWHERE + _mistakes(
    (r"[+-]?(?i:nan|inf(?:inity)?)\b", "{} is not a JSON number", "write a finite number, or omit the key"),
    (r"(?i:true)\b", "{} is not a JSON value", "write true", _written("true")),
    (r"(?i:false)\b", "{} is not a JSON value", "write false", _written("false")),
    (r"(?i:null|none|nil|undefined)\b", "{} is not a JSON value", "write null, or omit the key", _written("null")),
    (r"[+-]?0[xX]\w*", "{} is a hexadecimal number", "write it in decimal", _number),
    (r"[+-]?0[0-9]+", "the number {} has a leading zero", "remove the zero", _number),
    (r"\+[0-9.]+", "the number {} has a plus sign", "remove the plus sign", _number),
    (
        r"-?(?:\.[0-9]+|[0-9]+\.(?![0-9]))",
        "the number {} has no digit on one side of its decimal point",
        "write at least one digit on each side",
        _number,
    ),
    (r"[0-9-][\w.+-]*", "{} is not a valid JSON number", None, _number),
    (r"\(([^()\[\]{}\"']*)\)", "{} is not a JSON value", "write a list in square brackets", _tuple),
    (r"[^\W\d]\w*", "{} is not a JSON value", "write text in double quotes", _in_quotes),
    (r",", "a comma without a value before it", "remove it", _removed),
)
_FOR_DOCUMENT = (
    _mistakes(
        (
            r"(?i:(?:const|let|var|export|module|spec|model|config|json)\b[\w. ]*[=:]).*",
            "an assignment",
            "write the value alone",
            _assignment,
        ),
        (
            r"\w[\w .-]*(?:[,;\t][\w .-]+)+\r?\n",
            "a table, not a spec",
            "`jsonnx init` writes a first spec for a table; `--data` of a command takes the table itself",
        ),
        (
            r"[^\W\d]\w*(?:[ \t,]++[^\W\d]|[^\n{\[]*\n)",
            "text before the document",
            "remove it: a spec begins with {",
            _before_document,
        ),
    )
    + _FOR_VALUE
)
_AFTER_DOCUMENT = _ANYWHERE + _mistakes(
    (r"[{\[]", "a second document", "write one document in a file"),
    (r";", "a semicolon", "remove it", _removed),
    (r"[}\]]", "a bracket that closes none", "remove it", _removed),
    (r"[^\W\d]", "text after the document", "remove it: a spec ends with the } of its first {", _after_document),
)
_FOR_KEY = _ANYWHERE + _mistakes(
    (r"[\w$][\w$-]*", "the key {} is not in double quotes", "write it in double quotes", _in_quotes),
    (r",", "a comma without a value before it", "remove it", _removed),
)
_FOR_COLON = _ANYWHERE + _mistakes(
    (r'["\d{\[-]', "a colon is missing before {}", "write a colon between a key and its value", _inserted(":")),
)
_FOR_SEPARATOR = _ANYWHERE + _mistakes(
    (r'["\w{\[-]', "a comma is missing before {}", "write a comma between the two values", _inserted(","))
)
_IN_STRING = _mistakes(
    (r"[\n\r]", "a line ends inside a string", "close the string, or write the line end as \\n"),
    (
        r"[\0-\x1f]",
        "a control character {} inside a string",
        "write a tab as \\t, other control characters as \\u and four hexadecimal digits",
        _control_character,
    ),
    (r"\\u[dD][89a-fA-F][0-9a-fA-F]{2}", "{} is a lone surrogate", "write both surrogates, or the character itself"),
    (r"\\u", "\\u is not followed by four hexadecimal digits", None),
    (r"\\[\s\S]", "{} is not a JSON escape", "write a backslash as \\\\", _backslash),
)
TRAILING_COMMA = Mistake(re.compile(","), "a trailing comma", "remove it", _removed)

Place = Literal["document", "value", "key", "colon", "separator", "string", "end"]
"""The expected value; `document` is the value of a document, `end` the end of the text, `string` that of a string."""

MISTAKES: dict[Place, list[Mistake]] = {
    "document": _FOR_DOCUMENT,
    "value": _FOR_VALUE,
    "key": _FOR_KEY,
    "colon": _FOR_COLON,
    "separator": _FOR_SEPARATOR,
    "string": _IN_STRING,
    "end": _AFTER_DOCUMENT,
}
"""Mistakes by what is expected where they are found. The first whose pattern matches is reported."""

CODE_BY_MESSAGE = {"{} is not a JSON number": "invalid-number", "{} is a lone surrogate": "invalid-encoding"}
