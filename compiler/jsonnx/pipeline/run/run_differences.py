"""How two runs differ, apart from their specs: what they were made from, and what they ran with, as clauses."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from ...core.training_options import option_keys, recorded_options
from ...runtime.fit.environment import INSTRUCTION_SETS, environment_changes

SCHEDULE_STEPS = "schedule_steps"
"""The key of the numbers of steps of schedules that the data and epochs gave."""
VECTORS = "vectors"
"""The key of the hashes of files of word vectors, by their names."""
TEACHER = "teacher"
"""The key of the hash of the teacher's model."""
FIT_ARGUMENTS = "fit_arguments"
"""The key of arguments of a program's fit that a spec has no keys for."""
DEFAULTS: Mapping[str, Any] = {
    run_key.name: option.run_default for option, run_key in recorded_options() if not run_key.is_in_every_run
}
"""The values of keys that earlier versions did not record."""


def input_differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    """Differences in data, seed, overrides and initial weights. Both are the keys of a run, as in `run.json`."""
    yield from _data_differences(_object(before, "data"), _object(now, "data"))
    if before.get("initial_weights", now.get("initial_weights")) != now.get("initial_weights"):
        yield "the initial weights are others"
    for name, digest in _object(now, VECTORS).items():
        if _object(before, VECTORS).get(name, digest) != digest:
            yield f"the file of word vectors {name!r} has changed"
    if before.get(TEACHER) != now.get(TEACHER):
        yield "the teacher is another model"
    for key in (SCHEDULE_STEPS, *option_keys(is_environment=False)):
        old, new = (values.get(key, DEFAULTS.get(key)) for values in (before, now))
        if old != new:
            yield f"{key} changes from {json.dumps(old)} to {json.dumps(new)}"


def _data_differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    for part in dict.fromkeys([*now, *before]):
        old, new = before.get(part), now.get(part)
        if not isinstance(old, dict):
            yield f"{part} data are new"
        elif not isinstance(new, dict):
            yield f"{part} data are missing"
        elif old.get("samples") != new.get("samples"):
            yield f"the number of samples of {part} data changes from {old.get('samples')} to {new.get('samples')}"
        elif old != new:
            yield f"the {part} data have changed"


def environment_differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """How two runs differ in versions, threads and processor, as far as both record them."""
    old, new = _environment(before), _environment(now)
    common = [name for name in new if old.get(name) is not None and new[name] is not None]
    return [*environment_changes({name: old[name] for name in common}, {name: new[name] for name in common})]


def _environment(values: Mapping[str, Any]) -> dict[str, Any]:
    machine = _object(values, "machine")
    sets = machine.get("instruction_sets")
    return {
        **_object(values, "versions"),
        "threads": values.get("threads"),
        "CPU": machine.get("processor"),
        INSTRUCTION_SETS: sets if isinstance(sets, list) else None,
    }


def _object(values: Mapping[str, Any], key: str) -> dict[str, Any]:
    value = values.get(key)
    return value if isinstance(value, dict) else {}
