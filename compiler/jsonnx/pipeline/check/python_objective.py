"""Puts losses and metrics that a program gives into a spec."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, cast

from ...frontend.json.json_reader import Source, from_value
from .check import CheckedSpec, Spec, check_source, read_spec


def check_with_objective(
    spec: Spec | CheckedSpec, loss: Any, metrics: Any, changes: Sequence[str] = (), scale: str | None = None
) -> CheckedSpec:
    """Checks a spec with another loss and other metrics, as `check_spec` does; a checked spec is returned as it is."""
    if isinstance(spec, CheckedSpec):
        return spec
    return check_source(with_objective(read_spec(spec), loss, metrics), changes=changes, scale=scale)


def with_objective(source: Source, loss: Any, metrics: Any) -> Source:
    """The source with another loss and other metrics in `training`; None keeps those of the spec.

    Both are as in a spec, and may be Python functions. Raises CompileError for a value that no spec can have.
    """
    given = {"loss": loss, "metrics": list(metrics) if isinstance(metrics, tuple) else metrics}
    written = {key: value for key, value in given.items() if value is not None}
    document: Any = source.value
    if not written or not isinstance(document, dict):
        return source
    added = from_value({"training": written})
    section, changes = document.get("training"), cast(dict[str, Any], added.value)["training"]
    training = {**(section if isinstance(section, dict) else {}), **changes}
    value = {**document, "training": training}
    return replace(source, value=value, functions=(*source.functions, *added.functions))
