"""What a case says of a server: that it does not hold, or that it does not apply."""

from __future__ import annotations

from typing import Any, NoReturn

MAX_SEEN_CHARACTERS = 300


class Violation(Exception):
    """The server does not behave as the case demands."""

    def __init__(self, expected: str, seen: str) -> None:
        super().__init__(f"expected {expected}, seen {seen}")
        self.expected, self.seen = expected, seen


class NotApplicable(Exception):
    """The case needs what the model or the call of the suite lacks."""


def require(holds: object, expected: Any, seen: Any) -> None:
    """Raises Violation unless `holds` is true."""
    if not holds:
        violate(expected, seen)


def violate(expected: Any, seen: Any) -> NoReturn:
    raise Violation(_text(expected), _text(seen))


def _text(value: Any) -> str:
    text = value if isinstance(value, str) else repr(value)
    return text if len(text) <= MAX_SEEN_CHARACTERS else f"{text[:MAX_SEEN_CHARACTERS]}..."
