"""A training run from the command line: a spec in, a RUN folder out."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from ..core.diagnostics import CompileError, Diagnostic, Note, UsageError
from ..core.figures import Figure, numbers_only
from ..core.files import refuse_overwrite
from ..core.spec_folders import SpecFolders
from ..runtime.early_stopping import EarlyStoppingMonitor
from ..runtime.provider_options import ProviderOptions
from ..runtime.run_folder import SPEC_FILE, RunFolder
from ..runtime.session import MODEL_FILE
from ..runtime.signals import StopOnSignal
from ..runtime.trainer import Diverged, History
from ..runtime.weight_files import WeightsReport
from ..targets import ProviderPlacement
from ..training.section import DATA_PARTS
from .check import CheckedSpec
from .data_warnings import data_warnings
from .decision import require_validation
from .initial_weights import possible_weight_files
from .learned_spec import learned_notes, with_learned
from .run_data import (
    SPEC_FILES,
    DataFiles,
    RunData,
    file_paths,
    read_part,
    read_split,
    split_off_validation,
)
from .run_info import DIVERGED, FINISHED, INTERRUPTED, RunInfo, end_info, read_run_info, run_info_text, start_info
from .run_recorder import SAVE_ERRORS, Recorder, Warn, no_warning
from .spec_changes import change_texts, with_change_notes
from .trainer import Trainer
from .training_placement import fallback_diagnostic, training_placement

RESTART_HELP = "choose another folder with -o, or start over with --force"


@dataclass
class Outcome:
    """The result of a run. `test_figures` are loss and metrics on the spec's test data, if it names any."""

    folder: Path
    history: History
    test_figures: dict[str, Figure] = field(default_factory=dict)
    temperatures: Mapping[str, float] = field(default_factory=dict)
    thresholds: Mapping[str, float] = field(default_factory=dict)
    split_counts: Mapping[str, int] = field(default_factory=dict)
    """The number of samples of each part of the spec's `split`."""

    @property
    def exit_status(self) -> int:
        """The exit status: 0, or 128 and the number of the signal that interrupted the run."""
        return 128 + self.history.signal if self.history.signal else 0

    def summary_lines(self) -> list[str]:
        """The summary that the command prints."""
        lines = []
        if self.split_counts:
            lines.append("samples  " + "  ".join(f"{part} {count:,}" for part, count in self.split_counts.items()))
        if self.history.timed_out:
            epochs = len(self.history.epoch)
            lines.append(f"the time limit ended it after {epochs} epochs; `--resume` continues from there")
        elif self.history.interrupted:
            lines.append(f"interrupted after {len(self.history.epoch)} epochs; `--resume` continues from there")
        if self.history.stopped_early:
            lines.append(f"stopped early, after epoch {len(self.history.epoch)}")
        if self.history.best_epoch is not None and not self.history.interrupted:
            lines.append(f"best epoch: {self.history.best_epoch + 1}")
        if self.temperatures:
            lines.append(
                "temperature  " + "  ".join(f"{name} {value:.4f}" for name, value in self.temperatures.items())
            )
        if self.thresholds:
            lines.append("threshold  " + "  ".join(f"{name} {value:.4f}" for name, value in self.thresholds.items()))
        if self.test_figures:
            figures = numbers_only(self.test_figures)
            lines.append("test  " + "  ".join(f"{name} {value:.4f}" for name, value in figures.items()))
        return [*lines, f"wrote {self.folder / MODEL_FILE}"]


@dataclass(frozen=True)
class RunOptions:
    """How a run starts, and how it saves: the options of `jsonnx train`."""

    provider: str = "cpu"
    seed: int | None = None
    weights: str | None = None
    partial: bool = False
    resume: bool = False
    force: bool = False
    exact: bool = False
    """Whether a run that cannot be resumed bit for bit is an error."""
    continue_on_save_error: bool = False
    """Whether the run goes on if a checkpoint cannot be written. The last one must be."""
    verify: bool = True
    """Whether initial weights must be those that their digest tells."""
    data: DataFiles = SPEC_FILES
    """Files that replace the spec's training and validation data."""
    data_roots: tuple[str, ...] = ()
    """Folders whose files the spec may name as data, besides its own folder."""
    scale: str | None = None
    changes: tuple[str, ...] = ()
    """The scale and the changes that the spec was checked with, for `run.json`."""
    provider_options: ProviderOptions | None = None

    strict: bool = False
    """Whether it is an error if large nodes run on the CPU instead of the provider."""

    @property
    def may_overwrite(self) -> bool:
        return self.resume or self.force


def train(
    checked: CheckedSpec,
    folder: Path,
    options: RunOptions = RunOptions(),
    *,
    callbacks: Iterable[object] = (),
    warn: Warn = no_warning,
    on_weights_resolved: Callable[[WeightsReport], None] = lambda report: None,
    on_resumed: Callable[[list[str]], None] = lambda lines: None,
    on_placement: Callable[[ProviderPlacement | None], None] = lambda placement: None,
) -> Outcome:
    """Trains on the spec's data and writes all results to the folder.

    An interrupted run leaves its weights, its model and a checkpoint. `warn` is called with warnings,
    `on_weights_resolved` with the report on initial weights from a file, `on_resumed` with lines that say where a run
    is resumed and how its spec has changed, `on_placement` with the placement of the training step. Raises
    CompileError, FeedError, UsageError, and Diverged, in which case the folder has the last finite weights.
    """
    start_time = time.monotonic()
    run_folder = RunFolder(folder, lambda text: warn([Diagnostic("run-locked", text, severity="warning")]))
    refuse_overwrite(_input_files(checked, options), run_folder.result_files)
    resumes = _is_resumed(run_folder, options)
    trainer = _resumed_trainer(checked, options, warn) if resumes else _new_trainer(checked, options)
    _report_placement(checked, trainer, options, warn, on_placement)
    data = _load_data(trainer, options.data)  # before anything is written, so that an error leaves no files
    require_validation(trainer.plan, data.validation is not None)
    notes = learned_notes(checked, data.train)
    checked = with_learned(checked, data.train)
    if not resumes:
        warn(notes)
        warn(data_warnings(checked, data, has_initial_weights=options.weights is not None))
    run = _PreparedRun(run_folder, checked, options, trainer, data, warn, start_time)
    with run_folder:
        if _is_resumed(run_folder, options) != resumes:
            message = f"another process has started or removed the run in {str(folder)!r}"
            raise UsageError("run-exists", message, "give the command once more")
        run_info = run.resume(on_resumed) if resumes else run.start(on_weights_resolved)
        recorder = Recorder(run_folder, trainer, options.continue_on_save_error, warn)
        with _resume_help():
            history = run.fit([recorder, *callbacks], run_info)
            with StopOnSignal() as stop_signal:
                run.write_results()
            history.signal = history.signal or stop_signal.signal
            test_figures = {}
            if data.test is not None and not history.interrupted:
                test_figures = trainer.evaluate(data.test)
            run.write_end(run_info, INTERRUPTED if history.interrupted else FINISHED, history, test_figures)
            recorder.finish()
        split_counts = {part: len(data.parts[part]) for part in data.split_parts}
        return Outcome(folder, history, test_figures, trainer.temperatures, trainer.thresholds, split_counts)


def _report_placement(
    checked: CheckedSpec,
    trainer: Trainer,
    options: RunOptions,
    warn: Warn,
    on_placement: Callable[[ProviderPlacement | None], None],
) -> None:
    """Tells where the nodes of the training step run. Raises CompileError `cpu-fallback` in a strict run."""
    placement = training_placement(checked, trainer.plan.train, trainer.resolved_provider)
    on_placement(placement)
    found = placement and fallback_diagnostic(placement, is_error=options.strict, file=checked.source.file)
    if found and options.strict:
        raise CompileError([found])
    if found:
        warn([found])


@dataclass(frozen=True)
class _PreparedRun:
    """A run whose spec, initial weights and data have been read, before anything is written."""

    folder: RunFolder
    checked: CheckedSpec
    options: RunOptions
    trainer: Trainer
    data: RunData
    warn: Warn
    start_time: float

    def start(self, on_weights_resolved: Callable[[WeightsReport], None]) -> RunInfo:
        """Writes the first files of the run. Returns the content of `run.json`."""
        if self.options.resume:
            message = f"there is no run in {str(self.folder.path)!r} to resume yet, so it is started"
            self.warn([Diagnostic("no-checkpoint", message, severity="warning")])
        if self.trainer.weights_report is not None:
            on_weights_resolved(self.trainer.weights_report)
        run_info = self._info()
        self.folder.start_run(self.trainer, run_info_text(run_info), _spec_text(self.checked))
        return run_info

    def resume(self, on_resumed: Callable[[list[str]], None]) -> RunInfo:
        """Loads the newest checkpoint. Returns the content of `run.json`.

        Raises UsageError if there is no checkpoint, CompileError if the run cannot be resumed; then nothing is written.
        """
        path = self.folder.path
        try:
            checkpoint, warnings = self.folder.load_newest_checkpoint(self.trainer, exact=self.options.exact)
        except CompileError as error:
            raise CompileError(with_change_notes(error.diagnostics, path / SPEC_FILE, self.checked)) from error
        if checkpoint is None:
            raise UsageError("no-checkpoint", f"there is no checkpoint in {str(path)!r} to resume from", RESTART_HELP)
        self.trainer.check_resumed_fit(self.data.train, self.data.validation)
        self.warn(warnings)
        on_resumed([self._resumed_text(), *change_texts(path / SPEC_FILE, self.checked)])
        run_info = self._info()
        self.folder.resume_run(run_info_text(run_info), _spec_text(self.checked))
        return run_info

    def _resumed_text(self) -> str:
        steps, epochs, planned = self.trainer.steps, self.trainer.epochs_done, self.trainer.plan.training.epochs
        if not steps:
            return "no checkpoint was written since the start: begins at epoch 1"
        if epochs >= planned:
            return f"all {epochs} epochs are trained already"
        return f"continues after step {steps:,}, in epoch {epochs + 1} of {planned}"

    def _info(self) -> RunInfo:
        """The content of `run.json` while the run goes on."""
        options, before = self.options, RunInfo()
        if options.resume and self.folder.has_run:
            with suppress(UsageError, CompileError):  # a damaged description is replaced
                before = read_run_info(self.folder.path)
        return start_info(
            self.folder.path,
            self.checked,
            self.trainer,
            self.data,
            options.data.paths,
            options.scale,
            options.changes,
            before,
        )

    def fit(self, callbacks: Iterable[object], run_info: RunInfo) -> History:
        """Trains. If the training diverges, the error names the weights that are left."""
        train, validation = self.data.train, self.data.validation
        try:
            return self.trainer.fit(train, validation_data=validation, callbacks=callbacks, verbose=0)
        except Diverged as error:
            self.write_results()
            self.write_end(run_info, DIVERGED, error.history or History(), {})
            note = Note(f"the last finite weights are in {str(self.folder.path / MODEL_FILE)!r}")
            error.diagnostics = [replace(item, notes=(*item.notes, note)) for item in error.diagnostics]
            raise

    def write_results(self) -> None:
        """Writes weights and model, but no checkpoint: a run that diverged resumes from the checkpoint before it."""
        self.folder.write_weights(self.trainer.weights())
        self.folder.write_model(self.trainer.model().to_bytes())

    def write_end(self, run_info: RunInfo, state: str, history: History, test_figures: Mapping[str, float]) -> None:
        """Writes to `run.json` how the run has ended."""
        seconds = time.monotonic() - self.start_time
        self.folder.write_info(run_info_text(end_info(run_info, state, seconds, history, test_figures)))


def _is_resumed(run: RunFolder, options: RunOptions) -> bool:
    """Whether the run continues the one in the folder. Raises UsageError if it would overwrite a file, or if the folder
    has files of a run, but not the one that makes it possible to resume it."""
    folder = str(run.path)
    existing = run.existing_files
    if run.has_run and not options.may_overwrite:
        message = f"there is already a run in {folder!r}"
        raise UsageError("run-exists", message, f"continue it with --resume, {RESTART_HELP}")
    if options.resume and not run.has_run and existing and not options.force:
        message = f"the folder {folder!r} has {existing[0].name!r}, but no run to resume"
        raise UsageError("no-checkpoint", message, RESTART_HELP)
    if existing and not options.may_overwrite:
        message = f"{str(existing[0])!r} already exists"
        raise UsageError("run-exists", message, f"{RESTART_HELP}, which overwrites it")
    return options.resume and run.has_run


def _new_trainer(checked: CheckedSpec, options: RunOptions) -> Trainer:
    return Trainer(
        checked,
        options.provider,
        options.seed,
        options.weights,
        partial=options.partial,
        verify=options.verify,
        data_roots=options.data_roots,
        provider_options=options.provider_options,
    )


def _resumed_trainer(checked: CheckedSpec, options: RunOptions, warn: Warn) -> Trainer:
    """A trainer whose weights will be replaced by those of a checkpoint.

    Its initial weights are read only to be compared with those that the run started from; if their file is gone, the
    run goes on without. Which of them fitted was decided at the start.
    """
    training = checked.network.training
    partial = options.weights is not None or (training is not None and training.weights is not None)
    try:
        return _new_trainer(checked, replace(options, partial=partial))
    except UsageError as error:
        if error.diagnostic.code != "unreadable-file":
            raise
        message = f"{error.diagnostic.message}, so the initial weights are not compared with those of the run"
        warn([replace(error.diagnostic, message=message, severity="warning")])
        return Trainer(
            checked,
            options.provider,
            options.seed,
            {},
            partial=True,
            data_roots=options.data_roots,
            provider_options=options.provider_options,
        )


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


def _input_files(checked: CheckedSpec, options: RunOptions) -> list[Path]:
    """All files that the run reads."""
    training = checked.network.training
    folders = SpecFolders.of(checked.folder, options.data_roots)
    data_files = file_paths(training.data if training else None, folders, options.data)
    return [*checked.files, *data_files, *possible_weight_files(options.weights)]


def _load_data(trainer: Trainer, files: DataFiles) -> RunData:
    """Reads and checks all data of the run, and splits off the validation data if the spec says so."""
    plan = trainer.plan
    split = read_split(plan.training.data, files, plan.data_spec, plan.source)
    train = split.get("train") or read_part("train", plan.training.data, files, plan.data_spec, plan.source)
    if train is None:
        help = "name a file in `training.data.train`, or with --data FILE"
        raise UsageError("no-data", "the spec names no data to train on", help)
    plan = plan.with_learned(train)
    section = plan.training.data
    validation, test = (
        split.get(part) or read_part(part, section, files, plan.data_spec, plan.source) for part in DATA_PARTS[1:]
    )
    data = split_off_validation(train, validation, section, plan.source)
    EarlyStoppingMonitor(plan, data.validation is not None)  # raises UsageError if the monitored figure is not reported
    return replace(data, test=test, split_parts=tuple(split))


def _spec_text(checked: CheckedSpec) -> str:
    """The spec as it is trained, as JSON."""
    return json.dumps(checked.source.value, indent=2, ensure_ascii=False) + "\n"


__all__ = ["Outcome", "ProviderPlacement", "RunOptions", "train"]
