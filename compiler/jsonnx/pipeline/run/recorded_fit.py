"""A fit of a program that writes a RUN folder, as `jsonnx train` does."""

from __future__ import annotations

import json
import time
import warnings
from collections.abc import Iterable, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from ...backend import spec_hash
from ...core.diagnostics import Diagnostic, UsageError
from ...core.training_options import TrainingOptions
from ...data.samples.array_digest import array_digest
from ...data.samples.dataset import Dataset
from ..check.check import CheckedSpec, check_source
from ..run_folder.run_folder import RunFolder
from ..run_folder.spec_files import spec_sha256
from ..train.fit_samples import fit_samples
from ..train.learned_spec import with_learned
from ..train.plan_training import fixed_parts
from ..train.run_data import SPEC_FILES, RunData
from .run_inputs import load_data
from .run_outcome import Outcome
from .run_trackers import RunTrackers, selected_trackers
from .training_run import PreparedRun, is_resumed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..train.trainer import Trainer

SPEC_ARGUMENTS = ("epochs", "batch_size", "shuffle", "class_weight")
"""The arguments of a fit that replace values of the spec's `training`."""


def recorded_fit(
    trainer: Trainer,
    checked: CheckedSpec,
    folder: Path,
    options: TrainingOptions,
    data: Mapping[str, Any],
    callbacks: Iterable[object],
    arguments: Mapping[str, Any],
) -> Outcome:
    """Trains, and writes a RUN folder. `data` are the arguments of a fit with its samples, `arguments` the others.

    Raises CompileError, FeedError, UsageError, and Diverged, in which case the folder has the last finite weights.
    """
    start_time = time.monotonic()
    run_folder = RunFolder(folder, lambda text: warn([Diagnostic("run-locked", text, severity="warning")]))
    with _help_in_python():
        resumes = is_resumed(run_folder, options)
    changes = _changes(checked, arguments)
    checked = check_source(checked.source, changes=changes) if changes else checked
    checked.require()
    options = replace(options, changes=(*options.changes, *changes))
    run_data, array_parts = _run_data(trainer, data)
    with _spec_of_run(trainer, checked, run_data.train):
        run = PreparedRun(
            run_folder,
            with_learned(checked, run_data.train),
            spec_sha256(checked),
            options,
            trainer,
            run_data,
            warn,
            start_time,
            fit_arguments=arguments,
            array_parts=array_parts,
            sample_arguments={key: data[key] for key in ("validation_split", "sample_weight")},
        )
        trackers = RunTrackers(selected_trackers(trainer.plan.training.trackers, options.trackers), warn)
        trainer.plan_trainer.forget_fit()
        with _help_in_python(), _current_weights_as_initial(trainer, resumes):
            return run.train(resumes, trackers, callbacks)


@contextmanager
def _spec_of_run(trainer: Trainer, checked: CheckedSpec, train: Dataset) -> Iterator[None]:
    """The trainer has the spec of the run, which checkpoints and the model contain; afterwards its own."""
    own, fingerprint = trainer._checked, trainer.plan.fingerprint
    trainer._checked = checked
    trainer.plan_trainer.plan = replace(trainer.plan, fingerprint=_fingerprint(checked))
    try:
        yield
        trainer._checked = with_learned(own, train)
    except BaseException:
        trainer._checked = own
        raise
    finally:
        trainer.plan_trainer.plan = replace(trainer.plan, fingerprint=fingerprint)


@contextmanager
def _current_weights_as_initial(trainer: Trainer, resumes: bool) -> Iterator[None]:
    """A run that starts with weights of an earlier fit, or that were set, records their digest."""
    plan_trainer = trainer.plan_trainer
    before = plan_trainer.initial_weights_digest
    if plan_trainer.has_changed_weights and not resumes:
        plan_trainer.initial_weights_digest = array_digest(sorted(plan_trainer.current_weights().items()))
    try:
        yield
    finally:
        plan_trainer.initial_weights_digest = before


def warn(diagnostics: list[Diagnostic]) -> None:
    """Shows diagnostics as Python's warnings."""
    for diagnostic in diagnostics:
        warnings.warn(str(diagnostic), stacklevel=2)


def _changes(checked: CheckedSpec, arguments: Mapping[str, Any]) -> tuple[str, ...]:
    """The values of the spec that arguments of the fit replace, as after `--set`."""
    training = cast(dict[str, Any], checked.source.value)["training"]
    given = {key: arguments.get(key) for key in SPEC_ARGUMENTS}
    return tuple(
        f"training.{key}={_json_text(value)}"
        for key, value in given.items()
        if value is not None and training.get(key) != value
    )


def _json_text(value: Any) -> str:
    """The value as JSON, with NumPy's numbers as Python's and integers of keys as strings."""
    return json.dumps(value, default=lambda number: number.item())


def _fingerprint(checked: CheckedSpec) -> dict[str, str]:
    return {key: spec_hash(part) for key, part in fixed_parts(checked.network.flat_document).items()}


def _run_data(trainer: Trainer, data: Mapping[str, Any]) -> tuple[RunData, tuple[str, ...]]:
    """The samples, and the parts of them that are arrays."""
    if all(value is None for value in data.values()):
        return load_data(trainer, SPEC_FILES), ()
    train, validation = fit_samples(trainer.plan, **data)
    if not isinstance(train, Dataset) or not isinstance(validation, Dataset | None):
        raise TypeError("a RUN folder records the digest of all samples: give arrays or files, not batches")
    is_array = {"train": data["x"] is not None, "validation": data["x"] is not None}
    if data["validation_data"] is not None:
        is_array["validation"] = True
    run_data = RunData(train, validation, is_split=data["validation_data"] is None and validation is not None)
    return run_data, tuple(part for part in run_data.parts if is_array[part])


@contextmanager
def _help_in_python() -> Iterator[None]:
    """Replaces options of the command in the help of an error by arguments of `fit`."""
    try:
        yield
    except UsageError as error:
        if error.diagnostic.code != "run-exists":
            raise
        help = "continue it with resume=True, or choose another folder"
        raise UsageError("run-exists", error.diagnostic.message, help) from None
