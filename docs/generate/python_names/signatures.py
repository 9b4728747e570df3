"""The signatures of functions and classes as text."""

from __future__ import annotations

import inspect
from typing import Any

MAX_SIGNATURE_WIDTH = 100
"""Characters of a signature on one line; a longer one has one parameter a line."""


def signature_lines(name: str, value: Any) -> list[str]:
    """The name, the parameters with types and defaults, without `self`, and the type of the result."""
    signature = inspect.signature(value)
    parameters = [parameter for parameter in signature.parameters.values() if parameter.name != "self"]
    texts = [_parameter_text(parameter) for parameter in parameters]
    first_keyword = next((index for index, one in enumerate(parameters) if one.kind is one.KEYWORD_ONLY), None)
    if first_keyword is not None and not any(one.kind is one.VAR_POSITIONAL for one in parameters):
        texts.insert(first_keyword, "*")
    result = "" if inspect.isclass(value) else f" -> {_type_text(signature.return_annotation)}"
    line = f"{name}({', '.join(texts)}){result}"
    if len(line) <= MAX_SIGNATURE_WIDTH:
        return [line]
    return [f"{name}(", *(f"    {text}," for text in texts), f"){result}"]


def _parameter_text(parameter: inspect.Parameter) -> str:
    stars = {parameter.VAR_POSITIONAL: 1, parameter.VAR_KEYWORD: 2}
    prefix = "*" * stars.get(parameter.kind, 0)  # type: ignore[call-overload]
    has_default = parameter.default is not parameter.empty
    default = f" = {'...' if callable(parameter.default) else repr(parameter.default)}" if has_default else ""
    return f"{prefix}{parameter.name}: {_type_text(parameter.annotation)}{default}"


def _type_text(annotation: Any) -> str:
    return annotation if isinstance(annotation, str) else getattr(annotation, "__name__", str(annotation))
