"""The `sweep` section of a spec: which values are searched, how, and by which metric they are compared."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from ..core.components import ArrayCodec, DictCodec, Json, NullableCodec, ScalarCodec, SectionCodec, attr
from ..core.reserved_names import LOSS, validation_name
from .section_base import Section
from .training_section import TimeLimitSection

SWEEP_KEY = "sweep"
"""The key of the section in a spec."""
MAX_TRIALS = 100_000

VALUE_CODEC = ScalarCodec(type=["number", "string", "boolean", "null", "array", "object"])
"""Any JSON value: what fits is decided by the place in the spec that it is for."""


class ValuesCodec(ArrayCodec):
    """A list of values, at least one."""

    def schema(self) -> dict[str, Json]:
        return super().schema() | {"minItems": 1}


class SpaceCodec(DictCodec):
    """The parameters of a search by name, at least one."""

    def schema(self) -> dict[str, Json]:
        return super().schema() | {"minProperties": 1}


Values = Annotated[tuple[Any, ...] | None, NullableCodec(ValuesCodec(VALUE_CODEC))]
Interval = Annotated[tuple[float, float] | None, NullableCodec(ArrayCodec(ScalarCodec(type="number"), 2))]
Step = Annotated[float | None, NullableCodec(ScalarCodec(type="number"))]
Conditions = Annotated[dict[str, Any] | None, NullableCodec(DictCodec(VALUE_CODEC))]


class ParameterSection(Section):
    """The values that a search tries for a parameter or a path of the spec: a `choice`, a `range` or a `log_range`."""

    choice: Values = attr(None, doc="The values to choose from.")
    range: Interval = attr(
        None, doc="The least and the greatest value. With two integers, all values between them are integers."
    )
    log_range: Interval = attr(
        None, doc="Like `range`, for positive numbers whose logarithm is distributed evenly, such as learning rates."
    )
    step: Step = attr(None, doc="Distance between two values of a `range`; null for any value in it.", above=0)
    points: int | None = attr(
        None, doc="Number of values that a grid takes from the range, at equal distances.", minimum=2, maximum=10_000
    )
    when: Conditions = attr(
        None,
        doc="Condition under which the parameter is set: an object with the value, or an array of the values, that "
        "another parameter of the search must have.",
    )


class PruningSection(Section):
    """When a trial is ended early: a pruner of Optuna, which the extra `search` installs."""

    method: Literal["median", "successive_halving", "hyperband"] = attr(
        "median",
        doc="`median` ends a trial whose best value is worse than the median of the finished trials at that epoch. "
        "`successive_halving` lets the best 1 of `reduction_factor` trials continue at epochs whose distances grow by "
        "that factor; `hyperband` does so with several first epochs.",
    )
    min_epochs: int = attr(1, doc="Epochs that every trial trains.", minimum=1)
    min_trials: int = attr(4, doc="Finished trials before `median` ends any.", minimum=1)
    reduction_factor: int = attr(3, doc="Factor of `successive_halving` and `hyperband`.", minimum=2, maximum=100)


class PruningCodec(SectionCodec):
    """A string is a method with its default arguments."""

    def schema(self) -> dict[str, Json]:
        return {"anyOf": [PruningSection.codecs()["method"].schema(), super().schema()]}

    def read(self, value: Json) -> Any:
        return super().read({"method": value} if isinstance(value, str) else value)


Pruning = Annotated[PruningSection | None, NullableCodec(PruningCodec(PruningSection))]


class SweepSection(Section):
    """A search for the best values of parameters: `jsonnx sweep` trains the spec once for each set of values."""

    parameters: Annotated[dict[str, ParameterSection], SpaceCodec(SectionCodec(ParameterSection))] = attr(
        doc="What to vary: parameters of the spec, or dotted paths as after `--set`."
    )
    sampler: Literal["random", "grid", "qmc", "tpe", "cma_es"] = attr(
        "random",
        doc="How values are proposed: `random`; `grid`, all combinations; `qmc`, a quasi-random sequence, which covers "
        "the space more evenly; `tpe` and `cma_es`, which learn from earlier trials (these three need the extra "
        "`search`).",
    )
    trials: int | None = attr(
        None, doc="Number of trials; null for all combinations of a grid.", minimum=1, maximum=MAX_TRIALS
    )
    metric: str = attr(validation_name(LOSS), doc="Metric by which trials are compared, such as `val_accuracy`.")
    mode: Literal["auto", "min", "max"] = attr(
        "auto", doc="Whether lower (`min`) or higher (`max`) values are better; `auto` decides by the name."
    )
    seeds: int = attr(
        1,
        doc="Number of seeds with which each trial is trained, from the spec's seed on; the mean counts.",
        minimum=1,
        maximum=1000,
    )
    folds: int | None = attr(
        None,
        doc="Number of folds for cross-validation: each trial is trained once for each `fold` of "
        "`training.data.split`; the mean counts.",
        minimum=2,
        maximum=1000,
    )
    pruning: Pruning = attr(None, doc="When unpromising trials end early; null for never.")
    time_limit: TimeLimitSection | None = attr(
        None, doc="Time after which the search ends, as with Ctrl-C, so that it can be resumed."
    )
    invalid: Literal["error", "skip"] = attr(
        "error", doc="What to do about values that are valid alone, but not together: `error`, or `skip` the trial."
    )
    seed: int = attr(0, doc="Seed of the proposals.", minimum=0, maximum=(1 << 63) - 1)
