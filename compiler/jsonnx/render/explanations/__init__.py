"""Every code that a diagnostic can have, explained."""

from __future__ import annotations

from textwrap import fill

from ...layers.unsupported import unsupported_layer
from .environment import ENVIRONMENT_EXPLANATIONS
from .explanation import Explanation
from .keras import KERAS_EXPLANATIONS
from .specs import SPEC_EXPLANATIONS

EXPLANATIONS: dict[str, Explanation] = dict(
    sorted({**SPEC_EXPLANATIONS, **ENVIRONMENT_EXPLANATIONS, **KERAS_EXPLANATIONS}.items())
)

CODES = tuple(EXPLANATIONS)


def explain(code: str) -> str | None:
    """The explanation of a diagnostic code, or of an unsupported Keras layer; None for any other word."""
    missing = unsupported_layer(code)
    if missing is not None:
        return f"{missing.code}: {missing.message}\n\n{fill(f'Instead: {missing.help}.', 88)}"
    about = EXPLANATIONS.get(code)
    return about and f"{code}: {about._replace(text=fill(about.text, 88)).plain_text()}"


__all__ = ["CODES", "EXPLANATIONS", "Explanation", "explain"]
