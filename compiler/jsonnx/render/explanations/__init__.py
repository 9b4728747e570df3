"""Every code that a diagnostic can have, explained."""

from __future__ import annotations

from textwrap import fill

from ...layers.unsupported import unsupported_layer
from ...lint.rule import Rule
from ...lint.rules import RULES
from ..text.terminal import TEXT_WIDTH
from .data import DATA_EXPLANATIONS
from .explanation import Explanation
from .files import FILE_EXPLANATIONS
from .gates import GATE_EXPLANATIONS
from .keras import KERAS_EXPLANATIONS
from .running import RUNNING_EXPLANATIONS
from .serving import SERVING_EXPLANATIONS
from .specs import SPEC_EXPLANATIONS


def _of_rule(rule: Rule) -> Explanation:
    """The explanation of a lint rule, with when it runs."""
    conditions = [] if rule.is_default else ["only if it is selected"]
    conditions += ["with `--data`"] if rule.needs_data else []
    runs = f" The rule runs {' and '.join(conditions)}." if conditions else ""
    return Explanation(rule.title, rule.text + runs, rule.wrong_example, rule.right_example)


LINT_EXPLANATIONS = {rule.code: _of_rule(rule) for rule in RULES.values()}

_BY_SUBJECT = (
    *(
        SPEC_EXPLANATIONS,
        KERAS_EXPLANATIONS,
        FILE_EXPLANATIONS,
        DATA_EXPLANATIONS,
        RUNNING_EXPLANATIONS,
        SERVING_EXPLANATIONS,
    ),
    LINT_EXPLANATIONS,
    GATE_EXPLANATIONS,
)

EXPLANATIONS: dict[str, Explanation] = dict(sorted(item for subject in _BY_SUBJECT for item in subject.items()))

CODES = tuple(EXPLANATIONS)


def explain(code: str) -> str | None:
    """The explanation of a diagnostic code, or of an unsupported Keras layer; None for any other word."""
    missing = unsupported_layer(code)
    if missing is not None:
        return f"{missing.code}: {missing.message}\n\n{fill(f'Instead: {missing.help}.', TEXT_WIDTH)}"
    about = EXPLANATIONS.get(code)
    return about and f"{code}: {about._replace(text=fill(about.text, TEXT_WIDTH)).plain_text()}"


__all__ = ["CODES", "EXPLANATIONS", "Explanation", "explain"]
