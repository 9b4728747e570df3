"""Every code that a diagnostic can have, explained: one Markdown file a code."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from textwrap import fill
from typing import Any

from ...core.system.documentation import page_address, page_path
from ...layers.unsupported import unsupported_layer
from ...lint.rule import Rule
from ...lint.rules import RULES
from ...sections.lint_codes import LINT_CODES
from ..text.terminal import TEXT_WIDTH, page_line
from .explanation import Explanation

_FOLDER = files(__name__)

CODES = tuple(sorted(file.name.removesuffix(".md") for file in _FOLDER.iterdir() if file.name.endswith(".md")))


@cache
def explanation(code: str) -> Explanation:
    """The explanation of one of `CODES`; that of a lint rule has the rule's subject, and ends with when it runs."""
    written = Explanation.parse(_FOLDER.joinpath(f"{code}.md").read_text("utf-8"))
    if code not in RULES:
        return written
    rule = RULES[code]
    return written._replace(text=written.text + _conditions(rule), subject=rule.group, severities=(rule.severity,))


def _conditions(rule: Rule) -> str:
    """When a lint rule runs, as a further sentence; empty for a rule that always runs."""
    conditions = [] if rule.is_default else ["only if it is selected"]
    conditions += ["with `--data`"] if rule.needs_data else []
    return f" The rule runs {' and '.join(conditions)}." if conditions else ""


def page_of(code: str) -> str:
    """The page of one of `CODES` without its suffix; what a spec can silence is among the rules."""
    return page_path(_page_kind(code), code)


def address_of(code: str) -> str | None:
    """The address of the page of a code; None if no address of the site is set, or there is no such code."""
    return page_address(_page_kind(code), code) if code in CODES else None


def _page_kind(code: str) -> str:
    return "rule" if code in LINT_CODES else "error"


def explain(code: str) -> str | None:
    """The explanation of a diagnostic code, or of an unsupported Keras layer; None for any other word.

    It ends with the address of the code's page, if an address of the site is set.
    """
    missing = unsupported_layer(code)
    if missing is not None:
        return f"{missing.code}: {missing.message}\n\n{fill(f'Instead: {missing.help}.', TEXT_WIDTH)}"
    if code not in CODES:
        return None
    about, address = explanation(code), address_of(code)
    text = f"{code}: {about._replace(text=fill(about.text, TEXT_WIDTH)).plain_text()}"
    return f"{text}\n\n{page_line(address)}" if address else text


def explanation_json(code: str) -> dict[str, Any] | None:
    """What `explain` returns, as a JSON value."""
    missing = unsupported_layer(code)
    if missing is not None:
        return {"code": missing.code, "message": missing.message, "help": missing.help}
    if code not in CODES:
        return None
    about, address = explanation(code), address_of(code)
    return {
        "code": code,
        "title": about.title,
        "text": about.text,
        "wrong_example": about.wrong_example,
        "right_example": about.right_example,
        "severities": [*about.severities],
        "fixes": [*about.fixes],
        **({"page": address} if address else {}),
    }


__all__ = ["CODES", "Explanation", "address_of", "explain", "explanation", "explanation_json", "page_of"]
