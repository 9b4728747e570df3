"""Every code that a diagnostic can have, explained."""

from __future__ import annotations

from textwrap import fill

from ...layers.unsupported import absent
from .environment import RUNS
from .explanation import Explanation
from .keras import KERAS
from .specs import SPECS

EXPLANATIONS: dict[str, Explanation] = dict(sorted({**SPECS, **RUNS, **KERAS}.items()))

CODES = tuple(EXPLANATIONS)


def explain(code: str) -> str | None:
    """The long form of a code as text, or what is known of a layer that is not here; None where there is neither."""
    missing = absent(code)
    if missing is not None:
        return f"{missing.code}: {missing.message}\n\n{fill(f'Instead: {missing.help}.', 88)}"
    about = EXPLANATIONS.get(code)
    return about and f"{code}: {about._replace(text=fill(about.text, 88)).plain()}"


__all__ = ["CODES", "EXPLANATIONS", "Explanation", "explain"]
