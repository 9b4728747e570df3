"""Translates the arguments of `compile` to a `training` section.

Unsupported arguments cause warnings only, since the compiled graph does not depend on them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ....core.components import Component, Json, Registry
from ....core.diagnostics import JsonPath, Report
from ....frontend.schema.errors import check_against_schema
from ....frontend.schema.phrases import short_name
from ....sections.training_section import Training
from ....training.losses.losses import LOSSES
from ....training.metrics.metrics import METRICS
from ....training.optimizers.optimizer import OPTIMIZERS
from ....training.optimizers.schedules import SCHEDULES
from .layer_entries import LayerTranslator
from .report import KerasReport
from .versions import KerasVersion

IGNORED_ARGUMENTS = ("name", "dtype", "fn", "jit_compile", "is_legacy_optimizer", "decay", "axis_name")
"""Ignored arguments of optimizers, losses and metrics; `decay` is ignored only if it is 0."""


class UnsupportedTraining(Exception):
    """The reason why a `training` section cannot be written."""


def read_compile_config(
    config: Mapping[str, Json], path: JsonPath, outputs: Sequence[str], keras_version: KerasVersion, report: Report
) -> Json:
    """The `training` section for the arguments of `compile`; None, with a warning, if they are unsupported."""
    if not config or not (config.get("loss") or config.get("optimizer")):
        return None
    try:
        section = TrainingSectionReader(keras_version, outputs).read(config)
        spec: Json = {"inputs": {"x": {"shape": []}}, "layers": [{"type": "Identity"}], "training": section}
        spec_report = Report()
        check_against_schema(spec, spec_report)
        if spec_report.has_errors():
            raise UnsupportedTraining(next(iter(spec_report)).message)
    except UnsupportedTraining as error:
        warn_training_left_out(report, path, str(error))
        return None
    return Training(**section).to_json()


def warn_training_left_out(report: Report, path: JsonPath, reason: str) -> None:
    message = f"the arguments of compile are left out: {reason}"
    help = 'write a "training" section by hand'
    report.add("keras-differs", path, message, help=help, severity="warning")


class TrainingSectionReader:
    """Translates one `training` section."""

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
        for key in ("metrics", "weighted_metrics"):
            metrics = self.read_metrics(config.get(key))
            if metrics:
                section[key] = metrics
        if self.report.has_errors():
            raise UnsupportedTraining(next(iter(self.report)).message)
        return section

    def by_output_name(self, value: Json) -> dict[str, Json]:
        """The items of a list or an object by output name."""
        if isinstance(value, Mapping):
            return dict(value)
        if isinstance(value, list) and len(value) == len(self.outputs):
            return dict(zip(self.outputs, value, strict=True))
        raise UnsupportedTraining("it does not match the number of outputs")

    def read_per_output(self, value: Json, read_item: Any) -> Json:
        """Translates one item for all outputs, or one per output."""
        if isinstance(value, list) or (isinstance(value, Mapping) and "class_name" not in value):
            by_name = {name: read_item(item) for name, item in self.by_output_name(value).items() if item is not None}
            return next(iter(by_name.values())) if len(self.outputs) == 1 and len(by_name) == 1 else by_name
        return None if value is None else read_item(value)

    def read_loss(self, value: Json) -> Json:
        return self.read_component(LOSSES, value)

    def read_metrics(self, value: Json) -> Json:
        """Translates the metrics of the only output, or of each output."""
        if not value:
            return None
        if isinstance(value, Mapping):
            return {name: self.read_metric_list(item) for name, item in value.items()}
        if isinstance(value, list) and any(isinstance(item, list) for item in value):
            by_name = {name: self.read_metric_list(item) for name, item in self.by_output_name(value).items()}
            return next(iter(by_name.values())) if len(by_name) == 1 else by_name
        return self.read_metric_list(value)

    def read_metric_list(self, value: Json) -> list[Json]:
        items = value if isinstance(value, list) else [value]
        return [self.read_component(METRICS, item) for item in items if item is not None]

    def read_component(self, registry: Registry, value: Json) -> Json:
        """Translates a loss, metric or optimizer, given by name or as an object with class and arguments."""
        if isinstance(value, str):
            if value not in registry.by_name:
                raise UnsupportedTraining(f"there is no {registry.kind} {short_name(value)}")
            return value
        kind, config = (value.get("class_name"), value.get("config")) if isinstance(value, Mapping) else (None, None)
        if kind == "function" and isinstance(config, str):
            return self.read_component(registry, config)
        if registry is OPTIMIZERS and isinstance(kind, str):
            kind = kind.removeprefix("Custom>")  # which Keras 2.11 to 2.15 add to their own classes
        if registry is OPTIMIZERS and kind == "MultiOptimizer":
            reason = "a MultiOptimizer has regular expressions for Keras' names of variables, and a spec other patterns"
            raise UnsupportedTraining(reason)
        component: type[Component] | None = registry.by_name.get(kind) if isinstance(kind, str) else None
        if component is None:
            raise UnsupportedTraining(f"there is no {registry.kind} {short_name(str(kind))}")
        config = dict(config) if isinstance(config, Mapping) else {}
        if config.get("decay"):
            raise UnsupportedTraining(f"its {registry.kind} has a decay of the learning rate")
        rate = config.pop("lr", None)
        config = {"learning_rate": rate} | config if rate is not None else config
        schedule = config.get("learning_rate")
        if isinstance(schedule, Mapping) and "value" not in schedule:
            rate = self.read_component(SCHEDULES, config.pop("learning_rate"))
            optimizer = self.read_component(registry, {"class_name": kind, "config": config})
            return {**({"type": optimizer} if isinstance(optimizer, str) else optimizer), "learning_rate": rate}
        arguments = {
            key: value
            for key, value in config.items()
            if key not in IGNORED_ARGUMENTS or (key == "name" and self.has_custom_name(component, value))
        }
        if arguments.get("reduction") in ("auto", "sum_over_batch_size"):
            del arguments["reduction"]
        return self.translator.translate_component(component, arguments, {}, (registry.kind,), ())

    @staticmethod
    def has_custom_name(component: type[Component], name: Json) -> bool:
        """Whether a metric has a name other than its default."""
        return component.registry is METRICS and isinstance(name, str) and METRICS.by_name.get(name) is not component  # type: ignore[attr-defined]
