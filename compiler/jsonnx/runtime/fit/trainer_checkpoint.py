"""The state of a trainer in a checkpoint: what is saved, and what a trainer needs to go on from it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...core.diagnostics import CompileError, Diagnostic
from ...core.numpy_types import numpy_dtype
from ...core.reserved_names import STEP_COUNT, best_weight_name, split_best_weights
from ...interop.string_arrays import bytes_to_strings, with_strings_as_bytes
from ..callbacks.callback_states import CallbackStates
from ..execution.engine import Engine
from ..execution.execution_plan import find_lazy_tables
from ..execution.history import FitProgress, Weights
from ..execution.lazy_embeddings import with_eager_state
from ..execution.variables import DonatedArrays
from ..training_plan import TrainingPlan
from . import checkpoint
from .checkpoint_errors import (
    RANDOM_WEIGHTS,
    array_errors,
    environment_diagnostics,
    has_whole_history,
    mismatch,
    run_errors,
)
from .kept_weights import kept_weights


@dataclass(frozen=True, eq=False)
class SavedRun:
    """The state in a checkpoint, which fits a trainer."""

    values: Mapping[str, np.ndarray]
    """The arrays of the engine's variables, by name."""
    steps: int
    learning_rate: float | None
    """The learning rate; None if a graph computes it."""
    progress: FitProgress | None
    """The progress of the fit; None if the checkpoint was saved outside of a fit."""
    initial_weights: str
    """The digest of the run's initial weights, or RANDOM_WEIGHTS."""
    differences: list[Diagnostic]
    """Warnings about versions and settings that differ from the run's."""


def save_run(
    file: str,
    plan: TrainingPlan,
    engine: Engine,
    progress: FitProgress | None,
    initial_weights: str | None,
    environment: Mapping[str, Any],
) -> str:
    """Writes the state of a run to a file and returns its SHA-256.

    `initial_weights` is the digest of the run's initial weights; None for random ones. Raises UsageError
    `unwritable-file`; then an earlier file of that name is unchanged. Raises TypeError for a callback's state that
    cannot be saved.
    """
    arrays = dict(engine.state_dict())
    callbacks: dict[str, Any] = {}
    if progress is not None:
        if progress.best_weights is not None:
            arrays |= {best_weight_name(name): array for name, array in progress.best_weights.items()}
        callbacks, callback_arrays = progress.callbacks.current().encoded()
        arrays |= callback_arrays
    state = {
        "spec": plan.fingerprint,
        "vocabulary_files": plan.vocabulary_digests,
        "initial_weights": initial_weights or RANDOM_WEIGHTS,
        "seed": plan.seed,
        "steps": engine.steps,
        "learning_rate": engine.learning_rate() if plan.rate_graph is None else None,
        "progress": None if progress is None else progress.state_dict(),
        **callbacks,
        "environment": dict(environment),
    }
    return checkpoint.save(file, with_strings_as_bytes(arrays), state)


def load_run(
    file: str,
    plan: TrainingPlan,
    engine: Engine,
    initial_weights: str | None,
    environment: Mapping[str, Any],
    exact: bool,
    temporary_folder: str | os.PathLike[str] | None = None,
) -> SavedRun:
    """Reads the state of a run from a checkpoint. The engine is not changed.

    `temporary_folder` is for the best weights of large networks (`kept_weights`). Raises UsageError for a missing file,
    CompileError `bad-checkpoint` for a damaged one, `checkpoint-mismatch` for one of another network, seed or initial
    weights, and, with `exact`, `not-exact` if the run will not be the same bit for bit.
    """
    entries, state = checkpoint.load(file)
    arrays, callbacks = checkpoint.split_callbacks(file, entries, state)
    best_entries, other_entries = split_best_weights(arrays)
    best = _decode_strings(engine, {weight: arrays[entry] for entry, weight in best_entries.items()})
    values = converted_state(engine, _decode_strings(engine, {entry: arrays[entry] for entry in other_entries}))
    # Another spec has other arrays, too; they are no further errors.
    errors = [*run_errors(plan, initial_weights, state)] or [*array_errors(engine, values, best)]
    if errors:
        raise CompileError([mismatch(f"cannot resume the run from {file!r}: {error}", file) for error in errors])
    if state["progress"] is not None and not has_whole_history(plan, state["progress"]):
        checkpoint.raise_bad_checkpoint(file, "its history lacks values of some epochs")
    differences = environment_diagnostics(file, state["environment"], environment, exact)
    if differences and exact:
        raise CompileError(differences)
    progress = None
    if state["progress"] is not None:
        best_weights = kept_weights(best, temporary_folder) if best else None
        progress = FitProgress.from_state_dict(plan, state["progress"], best_weights)
        progress.callbacks = CallbackStates(saved=callbacks)
    return SavedRun(values, state["steps"], state["learning_rate"], progress, state["initial_weights"], differences)


def engine_for_plan(plan: TrainingPlan, old: Engine, fast: bool) -> Engine:
    """An engine of another plan of the same network, with the state of one that is not used any more."""
    weights = DonatedArrays(old.current_weights())
    execution, collective = old.execution, None if old.group is None else old.group.collective
    threads = execution.shard_threads or execution.threads
    engine = Engine(plan, execution.provider, threads, fast, weights, collective=collective)
    if old.recorder is not None:
        engine.record_steps(old.recorder)
    engine.write(converted_state(engine, old.state_dict()))
    if plan.rate_graph is None:
        engine.set_learning_rate(old.learning_rate())
    engine.steps, engine.teacher = old.steps, old.teacher
    return engine


def converted_state(engine: Engine, arrays: Mapping[str, np.ndarray]) -> Weights:
    """The `state_dict` of another engine of the same plan, in the form that this engine's `write` takes."""
    lazy_tables = None if engine.execution.lazy_tables else find_lazy_tables(engine.plan)
    arrays = with_eager_state(lazy_tables, arrays) if lazy_tables else arrays
    return {**arrays, **_converted_counts(engine.plan, arrays)}


def _converted_counts(plan: TrainingPlan, arrays: Mapping[str, np.ndarray]) -> Weights:
    """The counts of steps in the element type that they have in this plan, which depends on the provider."""
    converted: Weights = {}
    for name in (STEP_COUNT, *plan.schedule_states):
        count, state = arrays.get(name), plan.train.states.get(name)
        if count is not None and state is not None and count.dtype.kind == "i":
            converted[name] = count.astype(numpy_dtype(state.dtype))
    return {name: count for name, count in converted.items() if np.array_equal(count, arrays[name])}


def _decode_strings(engine: Engine, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The arrays of a file, with the bytes of vocabularies decoded into strings."""
    strings = {name for name, array in engine.vocabularies.items() if array.dtype == object}
    try:
        return {name: bytes_to_strings(array) if name in strings else array for name, array in arrays.items()}
    except ValueError as error:
        raise CompileError([mismatch(f"cannot resume the run: a vocabulary {error}")]) from error
