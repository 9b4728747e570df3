"""The losses and metrics of a spec that are Python functions: entries that stand for them, and their components."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ...core.components import Component, Json
from ...core.diagnostics import JsonPath, Report
from ...training.metrics.python_functions import FUNCTION_TYPE, PythonLoss, PythonMetric
from ..schema.phrases import short_name

VALID_ENTRIES = {"loss": "mse", "metrics": "mse", "weighted_metrics": "mse"}
"""The keys of `training` that may have Python functions, and an entry that is valid there."""

Replace = Callable[[dict[str, Json], JsonPath], Any]


@dataclass(frozen=True)
class PythonFunctions:
    """The Python functions that a spec may name. With `accepts_missing`, others get components without a function."""

    components: tuple[Component, ...] = ()
    accepts_missing: bool = False

    def put_into(self, document: Json, report: Report) -> Json:
        """The document with the component of each Python function in place of its entry. Reports missing ones."""

        def component(entry: dict[str, Json], path: JsonPath) -> Any:
            is_loss = path[1] == "loss"
            given = next((item for item in self.components if item.to_json() == entry), None)
            if given is None and not self.accepts_missing:
                kind = "loss" if is_loss else "metric"
                message = f"the {kind} {short_name(str(entry.get('name', '?')))} is a Python function"
                report.add("python-function", path, f"{message}, which no file can contain", help=MISSING_HELP[kind])
                return entry
            # A loss may be a metric, too, and a metric a loss.
            return _component(entry, is_loss=is_loss).replaced(implementation=getattr(given, "implementation", None))

        return replaced_entries(document, component)


NO_FUNCTIONS = PythonFunctions()


def with_valid_entries(document: Json) -> Json:
    """The document with another entry in place of each Python function, whose own is unknown to the schema."""
    return replaced_entries(document, lambda entry, path: VALID_ENTRIES[str(path[1])])


MISSING_HELP = {
    "loss": "in Python, give it again: Trainer(spec, loss=jsonnx.loss(function)); in JSON, name a loss, or compute it "
    "with layers and AddLoss",
    "metric": "in Python, give it again: Trainer(spec, metrics=[jsonnx.metric(function)]); in JSON, name a metric",
}


def _component(entry: dict[str, Json], *, is_loss: bool) -> Component:
    """The component of an entry, which may have been changed by hand."""
    component_class: type[Component] = PythonLoss if is_loss else PythonMetric
    values = {
        key: value
        for key, value in entry.items()
        if key in component_class.attributes and isinstance(value, ENTRY_TYPES.get(key, ()))
    }
    return component_class(**{"name": "?", **values})


ENTRY_TYPES = {"name": str, "sha256": str, "classes": bool, "higher_is_better": bool, "reduction": str}
"""The types of the values of an entry."""


def replaced_entries(document: Json, replace: Replace) -> Json:
    """The document with other values in place of the entries that stand for Python functions."""
    training = document.get("training") if isinstance(document, dict) else None
    if not isinstance(document, dict) or not isinstance(training, dict):
        return document
    replaced = {
        key: _replaced(value, ("training", key), replace) if key in VALID_ENTRIES else value
        for key, value in training.items()
    }
    return {**document, "training": replaced}


def _replaced(value: Json, path: JsonPath, replace: Replace) -> Any:
    if isinstance(value, dict):
        if value.get("type") == FUNCTION_TYPE:
            return replace(value, path)
        return {key: _replaced(item, (*path, key), replace) for key, item in value.items()}
    if isinstance(value, list):
        return [_replaced(item, (*path, index), replace) for index, item in enumerate(value)]
    return value
