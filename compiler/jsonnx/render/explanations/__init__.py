"""Every code that a diagnostic can have, explained."""

from __future__ import annotations

from textwrap import fill

from .explanation import Explanation
from .runs import RUNS
from .specs import SPECS

EXPLANATIONS: dict[str, Explanation] = dict(sorted({**SPECS, **RUNS}.items()))

CODES = tuple(EXPLANATIONS)


def explain(code: str) -> str | None:
    """The long form of a code as text; None where there is no such code."""
    about = EXPLANATIONS.get(code)
    return about and f"{code}: {about._replace(text=fill(about.text, 88)).plain()}"


__all__ = ["CODES", "EXPLANATIONS", "Explanation", "explain"]
