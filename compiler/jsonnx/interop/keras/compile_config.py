"""How a model was compiled, as a `training` section; what cannot be said there is told and left out.

Training is no part of what a model computes: nothing here is an error.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ...core.components import Component, Json, Registry
from ...core.diagnostics import JsonPath, Report
from ...frontend.schema.errors import check_against_schema
from ...frontend.schema.phrases import short_name
from ...training.losses import LOSSES
from ...training.metrics import METRICS
from ...training.optimizers import OPTIMIZERS
from ...training.section import Training
from .layer_entries import LayerTranslator
from .report import KerasReport
from .versions import KerasVersion

IGNORED_ARGUMENTS = ("name", "dtype", "fn", "jit_compile", "is_legacy_optimizer", "decay", "axis_name")
"""Arguments of optimizers, losses and metrics that are none here; a decay is only left out where it is 0."""


class UnsupportedTraining(Exception):
    """What cannot be said, in words."""


def read_compile_config(
    config: Mapping[str, Json], path: JsonPath, outputs: Sequence[str], keras_version: KerasVersion, report: Report
) -> Json:
    """The section for what `compile` was given; None, and a notice, where there is none."""
    if not config or not (config.get("loss") or config.get("optimizer")):
        return None
    try:
        section = TrainingSectionReader(keras_version, outputs).read(config)
        found = Report()
        check_against_schema(
            {"inputs": {"x": {"shape": []}}, "layers": [{"type": "Identity"}], "training": section}, found
        )
        if found.has_errors():
            raise UnsupportedTraining(next(iter(found)).message)
    except UnsupportedTraining as why:
        warn_training_left_out(report, path, str(why))
        return None
    if config.get("weighted_metrics"):
        report.add("keras-differs", path, "metrics weighted by sample are left out", severity="warning")
    return Training(**section).to_json()


def warn_training_left_out(report: Report, path: JsonPath, reason: str) -> None:
    message, help = f"how the model was compiled is left out: {reason}", 'write a "training" section by hand'
    report.add("keras-differs", path, message, help=help, severity="warning")


class TrainingSectionReader:
    """Writes one section."""

    def __init__(self, keras_version: KerasVersion, outputs: Sequence[str]) -> None:
        self.outputs = outputs
        self.report = KerasReport()
        self.translator = LayerTranslator(keras_version, self.report)

    def read(self, config: Mapping[str, Json]) -> dict[str, Json]:
        section: dict[str, Json] = {"loss": self.read_per_output(config.get("loss"), self.read_loss)}
        if section["loss"] is None:
            raise UnsupportedTraining("it has no loss")
        weights = config.get("loss_weights")
        if weights:
            section["loss_weights"] = self.by_output_name(weights)
        section["optimizer"] = self.read_component(
            OPTIMIZERS, config.get("optimizer") or config.get("optimizer_config")
        )
        metrics = self.read_metrics(config.get("metrics"))
        if metrics:
            section["metrics"] = metrics
        if self.report.has_errors():
            raise UnsupportedTraining(next(iter(self.report)).message)
        return section

    def by_output_name(self, value: Json) -> dict[str, Json]:
        """A list or an object, by the names of the outputs."""
        if isinstance(value, Mapping):
            return dict(value)
        if isinstance(value, list) and len(value) == len(self.outputs):
            return dict(zip(self.outputs, value, strict=True))
        raise UnsupportedTraining("it does not go with the outputs")

    def read_per_output(self, value: Json, read_item: Any) -> Json:
        """A loss for all outputs, or by output."""
        if isinstance(value, list) or (isinstance(value, Mapping) and "class_name" not in value):
            named = {name: read_item(item) for name, item in self.by_output_name(value).items() if item is not None}
            return next(iter(named.values())) if len(self.outputs) == 1 and len(named) == 1 else named
        return None if value is None else read_item(value)

    def read_loss(self, value: Json) -> Json:
        return self.read_component(LOSSES, value)

    def read_metrics(self, value: Json) -> Json:
        """Metrics of the one output, or by output."""
        if not value:
            return None
        if isinstance(value, Mapping):
            return {name: self.read_metric_list(item) for name, item in value.items()}
        if isinstance(value, list) and any(isinstance(item, list) for item in value):
            named = {name: self.read_metric_list(item) for name, item in self.by_output_name(value).items()}
            return next(iter(named.values())) if len(named) == 1 else named
        return self.read_metric_list(value)

    def read_metric_list(self, value: Json) -> list[Json]:
        items = value if isinstance(value, list) else [value]
        return [self.read_component(METRICS, item) for item in items if item is not None]

    def read_component(self, registry: Registry, value: Json) -> Json:
        """A brick by its name, or an object with its class and arguments."""
        if isinstance(value, str):
            if value not in registry.by_name:
                raise UnsupportedTraining(f"there is no {registry.kind} {short_name(value)}")
            return value
        kind, config = (value.get("class_name"), value.get("config")) if isinstance(value, Mapping) else (None, None)
        if kind == "function" and isinstance(config, str):
            return self.read_component(registry, config)
        if registry is OPTIMIZERS and isinstance(kind, str):
            kind = kind.removeprefix("Custom>")  # as Keras 2.11 to 2.15 write their own
        brick: type[Component] | None = registry.by_name.get(kind) if isinstance(kind, str) else None
        if brick is None:
            raise UnsupportedTraining(f"there is no {registry.kind} {short_name(str(kind))}")
        given = dict(config) if isinstance(config, Mapping) else {}
        if given.get("decay"):
            raise UnsupportedTraining(f"its {registry.kind} has a decay of the learning rate")
        rate = given.pop("lr", None)
        given = {"learning_rate": rate} | given if rate is not None else given
        if isinstance(given.get("learning_rate"), Mapping) and "value" not in given["learning_rate"]:
            raise UnsupportedTraining(f"its {registry.kind} has a schedule of the learning rate")
        kept = {
            key: item
            for key, item in given.items()
            if key not in IGNORED_ARGUMENTS or (key == "name" and self.has_own_name(brick, item))
        }
        if kept.get("reduction") in ("auto", "sum_over_batch_size"):
            del kept["reduction"]
        return self.translator.translate_component(brick, kept, {}, (registry.kind,), ())

    @staticmethod
    def has_own_name(component: type[Component], name: Json) -> bool:
        """Whether a metric has a name of its own."""
        return component.registry is METRICS and isinstance(name, str) and METRICS.by_name.get(name) is not component  # type: ignore[attr-defined]
