"""The extension of statistics: counts and durations by model and version."""

from __future__ import annotations

from typing import Any

from ..case import Area
from ..target import UNKNOWN, Target, error, success
from ..verdicts import require

area = Area("statistics", "statistics")


def _statistics(t: Target, version: str | None = None) -> dict[str, Any]:
    """The statistics of the model's first version."""
    document = success(t.http.get(t.path("/stats", version)))
    found = document.get("model_stats") if isinstance(document, dict) else None
    require(isinstance(found, list) and found, "the list 'model_stats'", document)
    assert isinstance(found, list)
    require(all(entry.get("name") == t.signature.name for entry in found), f"statistics of {t.signature.name}", found)
    return dict(found[0])


def _requests(statistics: dict[str, Any], kind: str) -> int:
    return int(statistics["inference_stats"][kind]["count"])


@area.extends("model", "GET v2/models/NAME/stats answers 200 with the statistics of the model's versions.")
def model(t: Target) -> None:
    _statistics(t)


@area.extends("version", "GET v2/models/NAME/versions/VERSION/stats answers 200 with the statistics of that version.")
def version(t: Target) -> None:
    found = _statistics(t, t.version).get("version", t.version)
    require(found == t.version, t.version, found)


@area.extends("all-models", "GET v2/models/stats returns the statistics of all versions of all models.")
def all_models(t: Target) -> None:
    document = success(t.http.get("v2/models/stats"))
    names = [entry.get("name") for entry in document.get("model_stats", [])]
    require(t.signature.name in names, t.signature.name, names)


@area.extends("fields", "Counts are numbers, and a duration has count and ns.")
def fields(t: Target) -> None:
    found = _statistics(t)
    for key in ("last_inference", "inference_count", "execution_count"):
        require(type(found.get(key)) is int, f"the number {key!r}", found)
    for key in ("success", "fail", "queue", "compute_input", "compute_infer", "compute_output"):
        duration = found.get("inference_stats", {}).get(key)
        is_duration = isinstance(duration, dict) and all(type(duration.get(k)) is int for k in ("count", "ns"))
        require(is_duration, f"count and ns of {key!r}", found.get("inference_stats"))


@area.extends("success-count", '"success" counts successful requests.')
def success_count(t: Target) -> None:
    before = _requests(_statistics(t), "success")
    for _ in range(3):
        success(t.infer(t.request()))
    after = _requests(_statistics(t), "success")
    require(after >= before + 3, f"at least {before + 3}", after)


@area.extends("row-count", '"inference_count" counts each inference of a batched request.')
def row_count(t: Target) -> None:
    inputs = t.batch(5)
    before = int(_statistics(t)["inference_count"])
    success(t.infer(t.request(inputs)))
    after = int(_statistics(t)["inference_count"])
    require(after >= before + 5, f"at least {before + 5}", after)


@area.extends("fail-count", '"fail" counts failed inference requests.')
def fail_count(t: Target) -> None:
    before = _requests(_statistics(t), "fail")
    error(t.infer(t.request(outputs=[{"name": UNKNOWN}])))
    after = _requests(_statistics(t), "fail")
    require(after >= before + 1, f"at least {before + 1}", after)


@area.extends("unknown-model", 'Statistics of an unknown model: a status of an error and {"error": $string}.')
def unknown_model(t: Target) -> None:
    error(t.http.get(t.path("/stats", name=UNKNOWN)))
