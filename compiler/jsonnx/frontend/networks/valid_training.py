"""The valid parts of a training section, so that they are checked although other parts have errors."""

from __future__ import annotations

from ...core.components import Json
from ...core.diagnostics import JsonPath, Report
from ...sections.training_section import Training

DIVISIBLE_KEYS: dict[str, tuple[type, ...]] = {
    "loss": (dict,),
    "metrics": (dict, list),
    "weighted_metrics": (dict, list),
    "loss_weights": (dict,),
    "learning_rates": (dict,),
}
"""The keys whose items have a meaning of their own, and the types of their values."""


def valid_training(section: Json, report: Report) -> Training | None:
    """The training section without the parts with errors; None if it is missing or not an object.

    If the loss has errors, the losses are an empty object.
    """
    if not isinstance(section, dict):
        return None
    valid: dict[str, Json] = {"loss": {}} if "loss" in section else {}
    for key, value in section.items():
        path: JsonPath = ("training", key)
        if key not in Training.attributes:
            continue
        if not report.has_errors(path):
            valid[key] = value
        elif isinstance(value, DIVISIBLE_KEYS.get(key, ())) and _is_divisible(value, path, report):
            valid[key] = _valid_items(value, path, report)
    return Training(**valid)


def _is_divisible(value: Json, path: JsonPath, report: Report) -> bool:
    """Whether the errors of an object or an array are its items', so that the other items are valid.

    An object with a `type` may be meant as one component, whose other arguments are not checked if the type is wrong.
    """
    is_component = isinstance(value, dict) and "type" in value
    keys = value if isinstance(value, dict) else range(len(value) if isinstance(value, list) else 0)
    return not is_component and any(report.has_errors((*path, key)) for key in keys)


def _valid_items(value: Json, path: JsonPath, report: Report) -> Json:
    """An object or an array without the items with errors; of arrays of metrics, only these are left out."""
    if isinstance(value, list):
        return [item for index, item in enumerate(value) if not report.has_errors((*path, index))]
    valid: dict[str, Json] = {}
    for key, item in value.items() if isinstance(value, dict) else ():
        item_path = (*path, key)
        if not report.has_errors(item_path):
            valid[key] = item
        elif (
            isinstance(item, list)
            and path[-1] in ("metrics", "weighted_metrics")
            and _is_divisible(item, item_path, report)
        ):
            valid[key] = _valid_items(item, item_path, report)
    return valid
