"""Captions of code blocks: the file that a block is saved as, and the error that a block has on purpose."""

from __future__ import annotations

import re

FENCE = re.compile(r"^( *)```(\w+) ([^\n]*)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
"""A fenced block with words after its language: indentation, language, words, text."""


def captioned(text: str) -> str:
    """The Markdown of a page, whose blocks `json file=spec.json` and `json wrong=unknown-key` have captions."""
    return FENCE.sub(_with_caption, text)


def _with_caption(match: re.Match[str]) -> str:
    indent, language, words, code = match.groups()
    values = dict(word.split("=", 1) for word in words.split() if "=" in word)
    errors = [error for error in values.get("wrong", "").split(",") if error not in ("", "not-checked")]
    parts = [values["file"]] if "file" in values else []
    if errors:
        parts.append(f"refused: {', '.join(f'`{error}`' for error in errors)}")
    if not parts:
        return match[0]
    options = [f":caption: {'; '.join(parts)}", *([":class: wrong"] if errors else [])]
    lines = [f"```{{code-block}} {language}", *options, ""]
    return "".join(f"{indent}{line}\n" for line in lines) + code + f"{indent}```"
