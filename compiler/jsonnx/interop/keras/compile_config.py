"""How a model was compiled, as a `training` section; what cannot be said there is told and left out.

Training is no part of what a model computes: nothing here is an error.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ...core.components import Brick, Family, Json
from ...core.diagnostics import JsonPath, Report
from ...frontend.schema.errors import check
from ...frontend.schema.phrases import quoted
from ...training.losses import LOSSES
from ...training.metrics import METRICS
from ...training.optimizers import OPTIMIZERS
from ...training.section import Training
from .layer_entries import Layers
from .report import KerasReport
from .versions import Dialect

IDLE = ("name", "dtype", "fn", "jit_compile", "is_legacy_optimizer", "decay", "axis_name")
"""Arguments of optimizers, losses and metrics that are none here; a decay is only left out where it is 0."""


class LeftOut(Exception):
    """What cannot be said, in words."""


def training_of(
    config: Mapping[str, Json], path: JsonPath, outputs: Sequence[str], dialect: Dialect, report: Report
) -> Json:
    """The section for what `compile` was given; None, and a notice, where there is none."""
    if not config or not (config.get("loss") or config.get("optimizer")):
        return None
    try:
        section = Section(dialect, outputs).section(config)
        found = Report()
        check({"inputs": {"x": {"shape": []}}, "layers": [{"type": "Identity"}], "training": section}, found)
        if found.errors():
            raise LeftOut(next(iter(found)).message)
    except LeftOut as why:
        tell_left_out(report, path, str(why))
        return None
    if config.get("weighted_metrics"):
        report.add("keras-differs", path, "metrics weighted by sample are left out", severity="warning")
    return Training(**section).to_json()


def tell_left_out(report: Report, path: JsonPath, why: str) -> None:
    message, help = f"how the model was compiled is left out: {why}", 'write a "training" section by hand'
    report.add("keras-differs", path, message, help=help, severity="warning")


class Section:
    """Writes one section."""

    def __init__(self, dialect: Dialect, outputs: Sequence[str]) -> None:
        self.outputs = outputs
        self.report = KerasReport()
        self.bricks = Layers(dialect, self.report)

    def section(self, config: Mapping[str, Json]) -> dict[str, Json]:
        section: dict[str, Json] = {"loss": self.by_output(config.get("loss"), self.loss)}
        if section["loss"] is None:
            raise LeftOut("it has no loss")
        weights = config.get("loss_weights")
        if weights:
            section["loss_weights"] = self.by_name(weights)
        section["optimizer"] = self.object(OPTIMIZERS, config.get("optimizer") or config.get("optimizer_config"))
        metrics = self.metrics(config.get("metrics"))
        if metrics:
            section["metrics"] = metrics
        if self.report.errors():
            raise LeftOut(next(iter(self.report)).message)
        return section

    def by_name(self, value: Json) -> dict[str, Json]:
        """A list or an object, by the names of the outputs."""
        if isinstance(value, Mapping):
            return dict(value)
        if isinstance(value, list) and len(value) == len(self.outputs):
            return dict(zip(self.outputs, value, strict=True))
        raise LeftOut("it does not go with the outputs")

    def by_output(self, value: Json, read: Any) -> Json:
        """A loss for all outputs, or by output."""
        if isinstance(value, list) or (isinstance(value, Mapping) and "class_name" not in value):
            named = {name: read(item) for name, item in self.by_name(value).items() if item is not None}
            return next(iter(named.values())) if len(self.outputs) == 1 and len(named) == 1 else named
        return None if value is None else read(value)

    def loss(self, value: Json) -> Json:
        return self.object(LOSSES, value)

    def metrics(self, value: Json) -> Json:
        """Metrics of the one output, or by output."""
        if not value:
            return None
        if isinstance(value, Mapping):
            return {name: self.metric_list(item) for name, item in value.items()}
        if isinstance(value, list) and any(isinstance(item, list) for item in value):
            named = {name: self.metric_list(item) for name, item in self.by_name(value).items()}
            return next(iter(named.values())) if len(named) == 1 else named
        return self.metric_list(value)

    def metric_list(self, value: Json) -> list[Json]:
        items = value if isinstance(value, list) else [value]
        return [self.object(METRICS, item) for item in items if item is not None]

    def object(self, family: Family, value: Json) -> Json:
        """A brick by its name, or an object with its class and arguments."""
        if isinstance(value, str):
            if value not in family.names:
                raise LeftOut(f"there is no {family.kind} {quoted(value)}")
            return value
        kind, config = (value.get("class_name"), value.get("config")) if isinstance(value, Mapping) else (None, None)
        if kind == "function" and isinstance(config, str):
            return self.object(family, config)
        if family is OPTIMIZERS and isinstance(kind, str):
            kind = kind.removeprefix("Custom>")  # as Keras 2.11 to 2.15 write their own
        brick: type[Brick] | None = family.names.get(kind) if isinstance(kind, str) else None
        if brick is None:
            raise LeftOut(f"there is no {family.kind} {quoted(str(kind))}")
        given = dict(config) if isinstance(config, Mapping) else {}
        if given.get("decay"):
            raise LeftOut(f"its {family.kind} has a decay of the learning rate")
        rate = given.pop("lr", None)
        given = {"learning_rate": rate} | given if rate is not None else given
        if isinstance(given.get("learning_rate"), Mapping) and "value" not in given["learning_rate"]:
            raise LeftOut(f"its {family.kind} has a schedule of the learning rate")
        kept = {
            key: item
            for key, item in given.items()
            if key not in IDLE or (key == "name" and self.is_named(brick, item))
        }
        if kept.get("reduction") in ("auto", "sum_over_batch_size"):
            del kept["reduction"]
        return self.bricks.brick(brick, kept, {}, (family.kind,), ())

    @staticmethod
    def is_named(brick: type[Brick], name: Json) -> bool:
        """Whether a metric has a name of its own."""
        return brick.family is METRICS and isinstance(name, str) and METRICS.names.get(name) is not brick  # type: ignore[attr-defined]
