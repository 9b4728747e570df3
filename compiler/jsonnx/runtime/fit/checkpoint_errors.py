"""Reasons that a run cannot be resumed from a checkpoint: another spec, seed, weights, arrays or environment."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ...core.diagnostics import Diagnostic
from ...core.numpy_types import network_dtype
from ...core.reserved_names import loss_metric, validation_name
from ...ir.integer_weights import IntegerWeight
from ..execution.history import OPTIONAL_SETTING_NAMES, SETTING_NAMES
from ..training_plan import TrainingPlan
from .environment import environment_changes

if TYPE_CHECKING:
    from ..execution.engine import Engine

RANDOM_WEIGHTS = "random"
"""Stands for the digest of initial weights in a checkpoint if all weights were drawn."""


def run_errors(plan: TrainingPlan, initial_weights_digest: str | None, state: Mapping[str, Any]) -> Iterator[str]:
    """Differences between the run of a checkpoint's state and a run of the plan with these initial weights.

    Without a digest, any initial weights will do.
    """
    yield from _spec_errors(plan, state)
    if initial_weights_digest not in (None, state["initial_weights"]):
        before = "random weights" if state["initial_weights"] == RANDOM_WEIGHTS else "other weights"
        yield f"the initial weights have changed: it started from {before}"
    if state["seed"] != plan.seed:
        yield f"it was made with seed {state['seed']}, this run has seed {plan.seed}"
    progress = state["progress"]
    if progress and not {*SETTING_NAMES} <= progress["setting"].keys() <= {*SETTING_NAMES, *OPTIONAL_SETTING_NAMES}:
        yield "its settings are incomplete"
    if progress and not _has_same_metrics(plan, progress["totals"]["sums"], progress["batch"]):
        yield "its metrics are not those of this spec"


def _spec_errors(plan: TrainingPlan, state: Mapping[str, Any]) -> Iterator[str]:
    """Vocabulary files and parts of the spec that have changed. The files' tokens are also a part of `layers`."""
    before = state["vocabulary_files"]
    files = [name for name, digest in plan.vocabulary_digests.items() if before.get(name, digest) != digest]
    yield from (f"the vocabulary file {name!r} has changed" for name in files)
    before, now = state["spec"], plan.fingerprint
    parts = [key for key in dict.fromkeys([*now, *before]) if before.get(key) != now.get(key)]
    yield from (f"`{key}` of the spec has changed" for key in parts if key != "layers" or not files)


def array_errors(engine: Engine, values: Mapping[str, np.ndarray], best: Mapping[str, np.ndarray]) -> Iterator[str]:
    """Names, shapes and element types that differ from the engine's variables."""
    expected, lazy_tables = engine.state_types(), engine.execution.lazy_tables
    if lazy_tables and not expected.keys() <= values.keys():  # the state of an eager step
        expected = {name: type for name, type in expected.items() if name not in lazy_tables.extra_states}
    yield from (f"it lacks {name!r}" for name in expected if name not in values)
    yield from (f"it has an unknown array {name!r}" for name in values if name not in expected)
    stored = [(name, array, *expected[name]) for name, array in values.items() if name in expected]
    kept = [(name, array, *_network_type(engine, name)) for name, array in best.items() if name in expected]
    for name, array, dtype, expected_shape in [*stored, *kept]:
        has_any_size = name in engine.vocabularies and array.ndim == len(expected_shape)
        shape = array.shape if has_any_size else expected_shape
        if (array.shape, array.dtype) != (shape, dtype):
            expected_type = f"{dtype}{list(expected_shape)}"
            yield f"{name!r} is {array.dtype}{list(array.shape)}, here it is {expected_type}"


def _network_type(engine: Engine, name: str) -> tuple[np.dtype[Any], tuple[int, ...]]:
    """The element type and the shape that a variable has as a weight of the network, also if integers stand for it."""
    dtype, shape = engine.state_types()[name]
    weight = engine.plan.train.parameters.get(name)
    if isinstance(weight, IntegerWeight):
        return np.dtype(np.float32), weight.original.shape
    return network_dtype(dtype), shape


def _fits(shape: tuple[int, ...], expected: Sequence[Any]) -> bool:
    """Whether sizes are as expected. Sizes that are not fixed, such as the number of samples kept, may be any."""
    fixed = [size if isinstance(size, int) else actual for size, actual in zip(expected, shape, strict=False)]
    return len(shape) == len(expected) and list(shape) == fixed


def _has_same_metrics(plan: TrainingPlan, sums: Mapping[str, Any], batch_count: int) -> bool:
    """Whether sums are those of the plan's metrics, which there are after the first batch of an epoch."""
    expected = {name: plan.train.outputs[name].shape for name in plan.fetched_names}
    try:
        shapes = {name: np.asarray(total, np.float64).shape for name, total in sums.items()}
    except (TypeError, ValueError):
        return False
    has_all = shapes.keys() == expected.keys()
    return (not sums and not batch_count) or (
        has_all and all(_fits(shape, expected[name]) for name, shape in shapes.items())
    )


def has_whole_history(plan: TrainingPlan, progress: Mapping[str, Any]) -> bool:
    """Whether the losses and metrics of the plan have a value for each epoch. Those of validation, if there are any,
    may skip epochs as `validation_freq` says."""
    history, count = progress["history"]["history"], len(progress["history"]["epoch"])
    names = [*map(loss_metric, plan.loss_names), *plan.metrics]
    skips_epochs = "validation_freq" in progress["setting"]
    validation = [] if skips_epochs else [name for name in map(validation_name, names) if name in history]
    return not count or all(len(history.get(name, ())) == count for name in (*names, *validation))


def environment_diagnostics(
    file: str, before: Mapping[str, Any], now: Mapping[str, Any], exact: bool
) -> list[Diagnostic]:
    """The diagnostic `not-exact` if two environments differ."""
    changes = [*environment_changes(before, now)]
    if not changes:
        return []
    message = "the run will not be the same bit for bit: " + "; ".join(changes)
    if not exact:
        return [Diagnostic("not-exact", message, file=file, severity="warning")]
    help = "undo the change, or omit --exact (in Python exact=True): the run is as accurate as before"
    return [Diagnostic("not-exact", message, file=file, help=help)]


MISMATCH_HELP = (
    "undo the change, or start a new run: `jsonnx train SPEC --weights RUN` begins with the weights of this one, "
    "without the state of its optimizer"
)


def mismatch(message: str, file: str | None = None) -> Diagnostic:
    """The diagnostic of a checkpoint of another run."""
    return Diagnostic("checkpoint-mismatch", message, file=file, help=MISMATCH_HELP)
