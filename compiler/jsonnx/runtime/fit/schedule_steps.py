"""The numbers of steps in learning rate schedules that the length of a fit determines."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ...core.diagnostics import CompileError, Diagnostic, JsonPath
from ...core.numpy_types import numpy_dtype
from ...core.reserved_names import schedule_attribute, schedule_steps_name
from ...core.types import ShapeError
from ...training.optimizers.relative_steps import TrainingLength
from ...training.optimizers.schedules import Schedule

if TYPE_CHECKING:
    from ...data.samples.batch_stream import BatchStream
    from ...data.samples.dataset import Dataset
    from ..execution.engine import Engine
    from ..fit_arguments import FitSettings
    from ..training_plan import TrainingPlan


def relative_schedules(plan: TrainingPlan) -> Iterator[tuple[int, JsonPath, Schedule]]:
    """The schedules with numbers of steps that the length of a fit determines: the index of the optimizer, and the path
    of the schedule."""
    for index, (place, optimizer) in enumerate(plan.training.optimizer.located_optimizers()):
        rate = optimizer.learning_rate
        if isinstance(rate, Schedule) and rate.relative_steps:
            yield index, ("training", "optimizer", *place, "learning_rate"), rate


def known_steps(engine: Engine) -> dict[str, int]:
    """The numbers of steps that the first fit has determined, by attribute; empty before it."""
    names = engine.plan.schedule_states
    states = engine.current_variables() if names else {}
    steps = {schedule_attribute(name): int(states[name]) for name in names}
    return steps if all(steps.values()) else {}


def set_schedule_steps(engine: Engine, samples: Dataset | BatchStream, settings: FitSettings) -> dict[str, Any]:
    """Sets the numbers of steps that the length of the first fit determines. Returns them as parameters of callbacks,
    with those that a first fit of this length has."""
    if not engine.plan.schedule_states:
        return {}
    steps, has_length = known_steps(engine), _steps_per_epoch(samples, settings) is not None
    planned = planned_steps(engine.plan, samples, settings) if has_length or not steps else steps
    if not steps:
        write_steps(engine, planned)
    steps = steps or planned
    ends = _ends(engine.plan, steps)
    return {
        "schedule_steps": steps,
        "planned_schedule_steps": planned,
        "schedule_has_ended": None not in ends and all(engine.steps >= (end or 0) for end in ends),
    }


def write_steps(engine: Engine, steps: Mapping[str, int]) -> None:
    """Sets the numbers of steps, by attribute, unless they are those of other schedules."""
    values = {name: steps.get(schedule_attribute(name), 0) for name in engine.plan.schedule_states}
    if len(values) == len(steps) and all(values.values()):
        states = engine.plan.train.states
        engine.write({name: np.array(value, numpy_dtype(states[name].dtype)) for name, value in values.items()})


def _ends(plan: TrainingPlan, steps: Mapping[str, int]) -> list[int | None]:
    """The steps after which the rates of schedules stay the same; None for a schedule without a last rate."""
    ends: list[int | None] = []
    for index, _, schedule in relative_schedules(plan):
        attributes: dict[str, Any] = dict(vars(schedule))
        for name in schedule.relative_steps:
            attributes[name] = steps[schedule_attribute(schedule_steps_name(index, name))]
        key = None if attributes.get("cycle") else schedule.length_key
        ends.append(None if key is None else attributes[key] + attributes.get("warmup_steps", 0))
    return ends


def planned_steps(plan: TrainingPlan, samples: Dataset | BatchStream, settings: FitSettings) -> dict[str, int]:
    """The numbers of steps for a first fit, by attribute. Raises CompileError if they are not known, or too small."""
    steps: dict[str, int] = {}
    for index, path, schedule in relative_schedules(plan):
        per_epoch = _steps_per_epoch(samples, settings)
        if per_epoch is None:
            help = "give `steps_per_epoch` to `fit`, or numbers of steps to the schedule"
            message = f"{schedule.type_name} depends on the number of steps, and the data are a stream without a length"
            raise _error(plan, (*path, next(iter(schedule.relative_steps))), message, help)
        try:
            resolved = schedule.steps_in(TrainingLength(per_epoch, settings.epochs))
        except ShapeError as error:
            raise _error(plan, path, f"{schedule.type_name} {error.message}", error.help) from error
        steps |= {schedule_attribute(schedule_steps_name(index, name)): number for name, number in resolved.items()}
    return steps


def _steps_per_epoch(samples: Dataset | BatchStream, settings: FitSettings) -> int | None:
    return settings.steps_per_epoch or samples.batch_count(settings.batch_size)


def require_known_steps(plan: TrainingPlan) -> None:
    """Raises CompileError if a step needs numbers of steps that only a fit determines."""
    for _, path, schedule in relative_schedules(plan):
        attribute = next(iter(schedule.relative_steps))
        message = f"the number of steps of {schedule.type_name} is known only to a fit, from its data and epochs"
        help = f"give `{attribute}` as a number"
        raise _error(plan, (*path, attribute), message, help)


def _error(plan: TrainingPlan, path: JsonPath, message: str, help: str | None) -> CompileError:
    return CompileError([plan.source.locate_diagnostic(Diagnostic("invalid-value", message, help=help), path)])
