"""A training run from the command line: a spec in, a RUN folder out."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ...collective.protocol import Collective
from ...core.diagnostics import CompileError, Diagnostic, Note, UsageError
from ...core.files.files import refuse_overwrite
from ...core.files.run_layout import MODEL_FILE, WEIGHTS_FILE
from ...core.training_options import DEFAULT_OPTIONS, TrainingOptions
from ...data.drift.statistics_json import statistics_text
from ...placement import ProviderPlacement
from ...runtime.fit.schedule_steps import write_steps
from ...runtime.fit.trainer import Diverged, History
from ...runtime.fit_arguments import FitSettings, fit_settings
from ...runtime.providers.signals import StopOnSignal
from ...runtime.session.weight_files import WeightsReport
from ..check.check import CheckedSpec
from ..compile.peft_adapter import peft_files
from ..compile.word_vectors import vector_notes
from ..run_folder.run_folder import RunFolder
from ..run_folder.run_info import DIVERGED, FINISHED, INTERRUPTED, RunInfo, read_run_info, run_info_texts
from ..run_folder.spec_files import spec_sha256, spec_texts
from ..train.data_warnings import data_warnings
from ..train.learned_spec import learned_notes, with_learned
from ..train.run_data import DataFiles, RunData
from ..train.trainer import Trainer
from .data_statistics import data_statistics
from .describe_run import end_info, start_info, unspecified_arguments
from .lock_file import LockedRun
from .run_folder_callback import SAVE_ERRORS, RunFolderCallback
from .run_inputs import input_files, load_data, resumed_trainer
from .run_outcome import Outcome
from .run_trackers import RunTrackers, selected_trackers
from .run_warnings import Warn, no_warning
from .spec_changes import change_texts, with_change_notes
from .training_placement import fallback_diagnostic, training_placement
from .training_ranks import compare_ranks, share_checkpoint

RESTART_HELP = "choose another folder with -o, or start over with --force"


def train(
    checked: CheckedSpec,
    folder: Path,
    options: TrainingOptions = DEFAULT_OPTIONS,
    *,
    lock: LockedRun | None = None,
    callbacks: Iterable[object] = (),
    warn: Warn = no_warning,
    on_weights_resolved: Callable[[WeightsReport], None] = lambda report: None,
    on_resumed: Callable[[list[str]], None] = lambda lines: None,
    on_placement: Callable[[ProviderPlacement | None], None] = lambda placement: None,
    collective: Collective | None = None,
) -> Outcome:
    """Trains on the spec's data and writes all results to the folder.

    With a `collective` of several workers, this is the worker of rank 0; the others call `follow`.

    An interrupted run leaves its weights, its model and a checkpoint. `warn` is called with warnings,
    `on_weights_resolved` with the report on initial weights from a file, `on_resumed` with lines that say where a run
    is resumed and how its spec has changed, `on_placement` with the placement of the training step. Raises
    CompileError, FeedError, UsageError, and Diverged, in which case the folder has the last finite weights. With a
    `lock`, the run must be the locked one.
    """
    start_time = time.monotonic()
    run_folder = RunFolder(folder, lambda text: warn([Diagnostic("run-locked", text, severity="warning")]))
    refuse_overwrite(input_files(checked, options), run_folder.result_files)
    resumes = is_resumed(run_folder, options)
    if resumes:
        trainer = resumed_trainer(checked, options, warn, collective)
    else:
        trainer = Trainer(checked, **options.trainer_arguments(), collective=collective)
    trackers = RunTrackers(selected_trackers(trainer.plan.training.trackers, options.trackers), warn)
    _report_placement(checked, trainer, options, warn, on_placement)
    data = load_data(trainer, DataFiles.of(options))  # before anything is written, so that an error leaves no files
    notes = learned_notes(checked, data.train)
    spec_hash = spec_sha256(checked)
    checked = with_learned(checked, data.train)
    if not resumes:
        warn(notes)
        if trainer.plan.vector_tasks:
            trainer.plan_trainer.prepare(data.train)
        warn(vector_notes(checked, trainer.plan_trainer.engine.vector_counts))
        warn(checked.without_silenced(data_warnings(checked, data, has_initial_weights=options.weights is not None)))
    if lock is not None:  # a run that was resumed with other epochs has kept the schedule of its first ones
        write_steps(trainer.plan_trainer.engine, lock.schedule_steps)
    if collective is not None:
        compare_ranks(collective, trainer, data, warn)
    run = PreparedRun(run_folder, checked, spec_hash, options, trainer, data, warn, start_time, collective)
    return run.train(resumes, trackers, callbacks, lock, on_weights_resolved, on_resumed)


def _report_placement(
    checked: CheckedSpec,
    trainer: Trainer,
    options: TrainingOptions,
    warn: Warn,
    on_placement: Callable[[ProviderPlacement | None], None],
) -> None:
    """Where the nodes of the training step run. Raises CompileError `cpu-fallback` in a strict run."""
    placement = training_placement(checked, trainer.plan.train, trainer.resolved_provider)
    on_placement(placement)
    found = placement and fallback_diagnostic(placement, is_error=options.strict, file=checked.source.file)
    if found and options.strict:
        raise CompileError([found])
    if found:
        warn([found])


@dataclass(frozen=True)
class PreparedRun:
    """A run whose spec, initial weights and data have been read, before anything is written."""

    folder: RunFolder
    checked: CheckedSpec
    spec_sha256: str
    options: TrainingOptions
    trainer: Trainer
    data: RunData
    warn: Warn
    start_time: float
    collective: Collective | None = None
    fit_arguments: Mapping[str, Any] = field(default_factory=lambda: {"verbose": 0})
    """The arguments of `Trainer.fit` besides data and callbacks."""
    array_parts: tuple[str, ...] = ()
    """The parts of the data that a program gave as arrays."""
    sample_arguments: Mapping[str, Any] = field(default_factory=dict)
    """The arguments of `Trainer.fit` with a fraction for validation, and with weights of samples."""

    @property
    def settings(self) -> FitSettings:
        """The settings of the fit."""
        arguments = {key: value for key, value in self.fit_arguments.items() if key not in ("verbose", "class_weight")}
        return fit_settings(self.trainer.plan.training, **arguments)

    def train(
        self,
        resumes: bool,
        trackers: RunTrackers,
        callbacks: Iterable[object],
        lock: LockedRun | None = None,
        on_weights_resolved: Callable[[WeightsReport], None] = lambda report: None,
        on_resumed: Callable[[list[str]], None] = lambda lines: None,
    ) -> Outcome:
        """Trains, and writes all results to the folder. Raises the errors of the function `train`."""
        folder, trainer, data = self.folder, self.trainer, self.data
        trainer.plan_trainer.open_teacher()  # before anything is written
        if lock is not None:
            self.check_lock(lock)
        with folder:
            if is_resumed(folder, self.options) != resumes:
                message = f"another process has started or removed the run in {str(folder.path)!r}"
                raise UsageError("run-exists", message, "give the command once more")
            trainer.plan_trainer.temporary_folder = folder.path
            run_info = self.resume(on_resumed) if resumes else self.start(on_weights_resolved)
            writer = RunFolderCallback(folder, trainer, self.options.on_save_error == "continue", self.warn)
            document = self.checked.source.value
            with _resume_help(), trackers.tracking(trainer, folder.path, run_info, document, resumes):
                history = self.fit(writer, trackers, callbacks, run_info)
                with StopOnSignal() as stop_signal:
                    files = self.write_results()
                history.signal = history.signal or stop_signal.signal
                test_metrics = {}
                if data.test is not None and not history.interrupted:
                    test_metrics = trainer.evaluate(data.test)
                trackers.send({f"test_{name}": metric for name, metric in test_metrics.items()})
                trackers.state = INTERRUPTED if history.interrupted else FINISHED
                self.write_end(run_info, trackers.state, history, test_metrics, files)
                writer.finish()
                is_locked = lock is not None and not history.interrupted
                if lock is not None and is_locked:
                    lock.require_weights(files[WEIGHTS_FILE], run_info)
            split_counts = {part: len(data.parts[part]) for part in data.split_parts}
            return Outcome(
                folder.path,
                history,
                test_metrics,
                trainer.temperatures,
                trainer.thresholds,
                self.checked.network.labels,
                split_counts,
                is_locked,
                trainer.plan.training.restore_best_weights,
            )

    def check_lock(self, lock: LockedRun) -> None:
        """Raises CompileError if the run cannot be the lock file's; warns if its last bits may differ."""
        run_info = self._info()
        lock.require_inputs(run_info)
        self.warn(lock.environment_warnings(run_info))

    def start(self, on_weights_resolved: Callable[[WeightsReport], None]) -> RunInfo:
        """Writes the first files of the run. Returns the content of `run.json`."""
        if self.options.resume:
            message = f"there is no run in {str(self.folder.path)!r} to resume yet, so it is started"
            self.warn([Diagnostic("no-checkpoint", message, severity="warning")])
        if self.trainer.weights_report is not None:
            on_weights_resolved(self.trainer.weights_report)
        run_info = self._info()
        self.folder.start_run(self.trainer, self._description(run_info))
        if self.collective is not None:
            share_checkpoint(self.collective, None)
        return run_info

    def resume(self, on_resumed: Callable[[list[str]], None]) -> RunInfo:
        """Loads the newest checkpoint. Returns the content of `run.json`.

        Raises UsageError if there is no checkpoint, CompileError if the run cannot be resumed; then nothing is written.
        """
        path = self.folder.path
        try:
            checkpoint, warnings = self.folder.load_newest_checkpoint(self.trainer, exact=self.options.exact)
        except CompileError as error:
            raise CompileError(with_change_notes(error.diagnostics, self.folder.paths.spec, self.checked)) from error
        if checkpoint is None:
            raise UsageError("no-checkpoint", f"there is no checkpoint in {str(path)!r} to resume from", RESTART_HELP)
        settings = {key: self.fit_arguments.get(key) for key in ("batch_size", "epochs", "shuffle")}
        self.trainer.check_resumed_fit(self.data.train, self.data.validation, **settings)
        self.warn(warnings)
        on_resumed([self._resumed_text(), *change_texts(self.folder.paths.spec, self.checked)])
        run_info = self._info()
        self.folder.write_texts(self._description(run_info))
        if self.collective is not None:
            share_checkpoint(self.collective, checkpoint)
        return run_info

    def _resumed_text(self) -> str:
        steps, epochs, planned = self.trainer.steps, self.trainer.epochs_done, self.trainer.plan.training.epochs
        if not steps:
            return "no checkpoint was written since the start: begins at epoch 1"
        if epochs >= planned:
            return f"all {epochs} epochs are trained already"
        return f"continues after step {steps:,}, in epoch {epochs + 1} of {planned}"

    def _description(self, run_info: RunInfo) -> dict[Path, str]:
        """The texts of the files that describe the run, by path."""
        paths = self.folder.paths
        return spec_texts(paths, self.checked) | run_info_texts(paths, run_info)

    def _info(self) -> RunInfo:
        """The content of `run.json` while the run goes on."""
        options, before = self.options, RunInfo()
        if options.resume and self.folder.has_run:
            with suppress(UsageError, CompileError):  # a damaged description is replaced
                before = read_run_info(self.folder.path)
        info = start_info(
            self.folder.path,
            self.checked,
            self.spec_sha256,
            self.trainer,
            self.data,
            options,
            self.settings,
            before,
        )
        arguments = unspecified_arguments(self.settings, self.sample_arguments, self.data.train)
        return info | ({"arrays": list(self.array_parts)} if self.array_parts else {}) | arguments

    def fit(
        self, writer: RunFolderCallback, trackers: RunTrackers, callbacks: Iterable[object], run_info: RunInfo
    ) -> History:
        """Trains. If the training diverges, the error names the weights that are left."""
        train, validation = self.data.train, self.data.validation
        try:
            ordered = [*callbacks, trackers, writer]
            return self.trainer.fit(train, validation_data=validation, callbacks=ordered, **self.fit_arguments)
        except Diverged as error:
            writer.try_log(writer.write_steps)
            trackers.state = DIVERGED
            files: Mapping[str, str] = {}
            try:
                files = self.write_results()
                note = Note(f"the last finite weights are in {str(self.folder.paths.model)!r}")
            except CompileError as unusable:  # the last finite weights are those of the checkpoint
                note = Note(f"no weights were written: {unusable.diagnostics[0].message}")
            self.write_end(run_info, DIVERGED, error.history or History(), {}, files)
            error.diagnostics = [replace(item, notes=(*item.notes, note)) for item in error.diagnostics]
            raise

    def write_results(self) -> dict[str, str]:
        """Writes the statistics of the data, weights and model, but no checkpoint: a run that diverged resumes from the
        checkpoint before it.

        Returns the SHA-256 of weights and model.
        """
        statistics = data_statistics(self.checked, self.trainer, self.data)
        if statistics is not None:
            self.folder.write_texts({self.folder.paths.data_statistics: statistics_text(statistics)})
        model = self.trainer.model()
        digests = {
            WEIGHTS_FILE: self.folder.write_weights(self.trainer.current_weights()),
            MODEL_FILE: self.folder.write_model(model.writer, model.labels_file),
        }
        self.folder.write_adapter(peft_files(self.checked, self.trainer.current_weights()))
        return digests

    def write_end(
        self,
        run_info: RunInfo,
        state: str,
        history: History,
        test_metrics: Mapping[str, float],
        files: Mapping[str, str],
    ) -> None:
        """Writes how the run has ended to `run.json` and `execution.json`."""
        seconds = time.monotonic() - self.start_time
        ended = end_info(run_info, state, seconds, history, test_metrics, files)
        self.folder.write_texts(run_info_texts(self.folder.paths, ended))


def is_resumed(run: RunFolder, options: TrainingOptions) -> bool:
    """Whether the run continues the one in the folder. Raises UsageError if it would overwrite a file, or if the folder
    has files of a run, but not the one that makes it possible to resume it."""
    folder = str(run.path)
    existing, may_overwrite = run.existing_files, options.resume or options.force
    if run.has_run and not may_overwrite:
        message = f"there is already a run in {folder!r}"
        raise UsageError("run-exists", message, f"continue it with --resume, {RESTART_HELP}")
    if options.resume and not run.has_run and existing and not options.force:
        message = f"the folder {folder!r} has {existing[0].name!r}, but no run to resume"
        raise UsageError("no-checkpoint", message, RESTART_HELP)
    if existing and not may_overwrite:
        message = f"{str(existing[0])!r} already exists"
        raise UsageError("run-exists", message, f"{RESTART_HELP}, which overwrites it")
    return options.resume and run.has_run


@contextmanager
def _resume_help() -> Iterator[None]:
    """Adds the way to continue to the error that a file of the run cannot be written or read, as on a full disk."""
    try:
        yield
    except UsageError as error:
        if error.diagnostic.code in SAVE_ERRORS:
            help = "once that is fixed, --resume continues from the last checkpoint"
            error.diagnostic = replace(error.diagnostic, help=help)
        raise


__all__ = ["Outcome", "ProviderPlacement", "is_resumed", "train"]
