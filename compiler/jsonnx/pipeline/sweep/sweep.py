"""A search for the best values of a spec: a spec with `sweep` in, a SWEEP folder out."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from ...core.diagnostics import CompileError, Diagnostic, UsageError
from ...core.files.files import error_reason, refuse_overwrite, refuse_special_files, remove_empty_folders
from ...core.files.spec_folders import SpecFolders
from ...core.files.spec_source import SpecSource
from ...core.invisible_characters import escape_invisible
from ...core.training_options import TrainingOptions
from ...frontend.json.json_reader import STDIN_NAME, Source
from ...hyperparameter_search.make_sampler import make_sampler, restore
from ...hyperparameter_search.optuna_pruner import Pruner
from ...hyperparameter_search.sweep_folder import BEST_FILE, PAGE_FILE, TRIALS_FOLDER, SweepFolder
from ...hyperparameter_search.trials import FAILED, Trial, best_trial, counts_by_state
from ...render.results.progress import Verbosity
from ...render.results.sweep_display import NoSweepDisplay, sweep_display
from ...render.results.sweep_page import sweep_page
from ...runtime.providers.provider_options import ProviderOptions
from ...sections.data_section import DATA_PARTS
from ...sections.sweep_section import MAX_TRIALS
from ..check.check import CheckedSpec, Spec, check_source, read_spec
from ..check.check_columns import check_columns
from ..check.check_paths import check_paths
from ..check.check_sweep import check_sweep, values_text
from ..check.sweep_plan import SweepPlan, is_maximized
from ..run.run_names import numbered_folders
from ..run_folder.run_lock import RunLock
from ..train.check_data import check_data
from ..train.run_data import DataFiles
from .sweep_options import Keep, SweepOptions, require_same_search, start_settings
from .sweep_run import SweepRun, text_of
from .trial_host import TrialHost
from .trial_process import LocalHost

PARENT_FOLDER = Path("sweeps")
NO_SECTION_HELP = 'write one: "sweep": {"parameters": {"width": {"choice": [32, 64]}}, "trials": 10}'


@dataclass(frozen=True)
class SweepResult:
    """The result of a search."""

    folder: Path
    metric: str
    trials: list[Trial]
    best: Trial | None
    """The finished trial with the best value; None if none has finished."""
    limit: int
    """The number of trials of the whole search."""
    signal: int | None = None
    timed_out: bool = False

    @property
    def is_complete(self) -> bool:
        return len(self.trials) >= self.limit and all(trial.has_ended for trial in self.trials)

    @property
    def best_spec(self) -> dict[str, Any] | None:
        """The spec with the best values in place."""
        return json.loads((self.folder / BEST_FILE).read_text("utf-8")) if self.best is not None else None

    @property
    def exit_status(self) -> int:
        """The exit status: 0, 1 if no trial has finished, or 128 and the number of the signal that ended the search."""
        if self.signal:
            return 128 + self.signal
        return 0 if self.best is not None or self.timed_out else 1

    def to_json(self) -> dict[str, Any]:
        return {
            "folder": str(self.folder),
            "metric": self.metric,
            "complete": self.is_complete,
            "trials": counts_by_state(self.trials),
            "best": None if self.best is None else self.best.to_json(),
        }

    def summary_lines(self) -> list[str]:
        """The summary that the command prints."""
        counts = counts_by_state(self.trials)
        lines = [f"trials  {'  '.join(f'{state} {count:,}' for state, count in counts.items())}"]
        if not self.is_complete:
            ended = sum(trial.has_ended for trial in self.trials)
            reason = "the time limit ended it" if self.timed_out else "interrupted"
            lines.append(f"{reason} after {ended:,} of {self.limit:,} trials; `--resume` continues from there")
        failed = [trial for trial in self.trials if trial.state == FAILED]
        if failed and self.best is None:
            lines.append(f"trial {failed[0].number} failed: {escape_invisible(failed[0].reasons[0])}")
        if self.best is not None:
            lines.append(f"best  trial {self.best.number}  {self.metric} {self.best.value:.6g}")
            lines.append(f"  {values_text(self.best.values)}")
            lines.append(f"wrote {self.folder / BEST_FILE} and {self.folder / PAGE_FILE}")
        return lines


def run_sweep(
    spec: Spec,
    folder: str | os.PathLike[str] | None,
    options: SweepOptions,
    display: NoSweepDisplay | None = None,
    *,
    host: TrialHost | None = None,
    warn: Callable[[list[Diagnostic]], None] = lambda diagnostics: None,
    on_status: Callable[[str], None] = lambda text: None,
) -> SweepResult:
    """Runs the search of a spec, or continues one, and writes all results to the folder.

    Without a folder, it is `sweeps/SPEC`, `sweeps/SPEC-2` and so on. `host` runs the trials, by default on this
    machine. `warn` is called with warnings, `on_status` with lines that say what is done. Raises CompileError,
    FeedError, UsageError.
    """
    original = replace(read_spec(spec), functions=())  # trials read the spec from a file
    check = _checked_search(original, options, warn)
    name = check.checked.network.name
    path = Path(folder) if folder is not None else _default_folder(original, name, options)
    sweep_folder = SweepFolder(path)
    _refuse_existing(sweep_folder, options)
    refuse_overwrite(check.checked.files, sweep_folder.existing_files)
    resumes = options.resume and sweep_folder.has_sweep
    on_status(f"{'resuming the search' if resumes else 'searching'} in {path}")
    if not resumes:
        _check_data(check.base, options)
    host = host or LocalHost()
    with _locked(sweep_folder), closing(host):
        if resumes != (options.resume and sweep_folder.has_sweep):
            message = f"another process has started or removed the search in {str(path)!r}"
            raise UsageError("run-exists", message, "give the command once more")
        _refuse_existing(sweep_folder, options)
        run = _prepared_run(sweep_folder, check, options, resumes, display or NoSweepDisplay(), host)
        run.queue.check_all(on_status)
        run.prepare_host(on_status)
        if resumes:
            sweep_folder.write_settings(run.settings)
            _tidy(sweep_folder, run)
        else:
            sweep_folder.start(run.settings, text_of(original))
        signal = run.run()
        best = best_trial(run.trials, run.is_maximized)
        best_spec = run.best_spec_text(best) if best is not None else None
        sweep_folder.write_page(sweep_page(name, run.view(), check.plan.space, best_spec))
        metric = check.plan.section.metric
        return SweepResult(path, metric, run.trials, best, run.queue.limit, signal, run.timed_out)


class _Search(NamedTuple):
    """A checked spec with a search."""

    checked: CheckedSpec
    base: CheckedSpec
    """The spec with its own values, in a cross-validation with its first fold."""
    plan: SweepPlan


def _checked_search(original: Source, options: SweepOptions, warn: Callable[[list[Diagnostic]], None]) -> _Search:
    """Checks the spec, and the spec with each of the values. Raises CompileError."""
    checked = check_source(original, changes=options.training.changes, scale=options.training.scale)
    checked = checked._replace(diagnostics=[*checked.diagnostics, *check_columns(checked)])
    checked.require()
    if checked.network.training is None:
        raise UsageError("no-data", "the spec has no `training`", 'write one: "training": {"loss": "...", "data": {}}')
    has_validation = True if options.training.validation_data is not None else None
    check = check_sweep(
        original, checked, options.training.scale, options.training.changes, has_validation, max_cost=None
    )
    if check.has_errors:
        raise CompileError(check.diagnostics)
    if check.plan is None or check.base is None:
        raise UsageError("no-sweep", "the spec has no `sweep`", NO_SECTION_HELP)
    warn([*checked.diagnostics, *check.diagnostics])
    return _Search(checked, check.base, check.plan)


def _prepared_run(
    folder: SweepFolder,
    check: _Search,
    options: SweepOptions,
    resumes: bool,
    display: NoSweepDisplay,
    host: TrialHost,
) -> SweepRun:
    """A search that starts, or one with the trials of earlier processes. Raises CompileError, UsageError."""
    plan, maximized = check.plan, is_maximized(check.base, check.plan.section)
    threads = options.threads_per_trial(host)
    settings = start_settings(folder.path, plan, options, check.checked.network.name, maximized, threads)
    if resumes:
        settings = require_same_search(folder, plan, settings)
        if options.training.threads is not None:
            settings |= {"threads": threads}
    sampler = make_sampler(plan.section, plan.space, plan.section.trials or MAX_TRIALS, maximized)
    records = _read_records(folder, plan.space.names, options) if resumes else {}
    restore(sampler, list(records.values()))
    pruner = _pruner(check, maximized)
    if pruner is not None:
        pruner.restore(list(records.values()))
    return SweepRun(folder, plan, options, settings, sampler, pruner, maximized, records, display, host)


def _pruner(check: _Search, is_maximized: bool) -> Pruner | None:
    """The pruner of a search; None if it has none. Raises UsageError `missing-package`."""
    pruning, training = check.plan.section.pruning, check.base.network.training
    if pruning is None or training is None:
        return None
    return Pruner(pruning, training.epochs, is_maximized)


def _check_data(base: CheckedSpec, options: SweepOptions) -> None:
    """Reads the data once, so that an error in them is reported before the first trial. Raises CompileError."""
    folders = SpecFolders.of(base.folder, options.training.data_roots)
    replaced = DataFiles.of(options.training).paths
    parts = [part for part in DATA_PARTS if part not in replaced]
    diagnostics = check_paths(base, folders, parts, "error")
    errors = [error for error in diagnostics if error.severity == "error"]
    if not errors:
        skipped = {part for part in DATA_PARTS if part in replaced}
        source = SpecSource(base.source.file, base.locate, folders.roots)
        found = check_data(base, source, options.training.data, skipped).diagnostics
        errors = [error for error in found if error.severity == "error"]
    if errors:
        raise CompileError(errors)


def _default_folder(original: Source, name: str, options: SweepOptions) -> Path:
    """The folder of a search for which the user names none: a new one, or with `resume` the newest."""
    file = original.file
    base = Path(file).stem if file and file != STDIN_NAME else name
    folders = numbered_folders(PARENT_FOLDER, base)
    existing = [number for number, path in folders.items() if SweepFolder(path).has_sweep]
    if options.resume and existing:
        refuse_special_files([folders[max(existing)]])
        return folders[max(existing)]
    number = max(folders, default=0) + 1
    return PARENT_FOLDER / (base if number == 1 else f"{base}-{number}")


def _refuse_existing(folder: SweepFolder, options: SweepOptions) -> None:
    """Raises UsageError `run-exists` if a new search would overwrite files."""
    path = str(folder.path)
    if options.resume and folder.has_sweep:
        return
    if folder.has_sweep:
        message = f"there is already a search in {path!r}"
        raise UsageError("run-exists", message, "continue it with --resume, or choose another folder with -o")
    existing = [file for file in folder.existing_files if not _is_left_behind(file)]
    if existing:
        raise UsageError("run-exists", f"{str(existing[0])!r} already exists", "choose another folder with -o")


def _is_left_behind(file: Path) -> bool:
    """Whether a file was written by a search that was killed before it started: an empty folder for trials."""
    return file.name == TRIALS_FOLDER and file.is_dir() and not any(file.iterdir())


@contextmanager
def _locked(folder: SweepFolder) -> Iterator[None]:
    """Holds the lock of the folder. If an error keeps a new search from starting, nothing of it is left.

    Raises UsageError `run-locked`, `unwritable-file`.
    """
    created = folder.make()
    lock = RunLock(folder.path)
    try:
        lock.acquire()
    except OSError as error:
        message = f"cannot write in {str(folder.path)!r}: {error_reason(error)}"
        raise UsageError("unwritable-file", message) from error
    try:
        folder.remove_temporary_files()
        yield
    finally:
        lock.release()
        if created and not folder.has_sweep:
            lock.path.unlink(missing_ok=True)
            remove_empty_folders(created)


def _read_records(folder: SweepFolder, parameters: Collection[str], options: SweepOptions) -> dict[int, Trial]:
    """The trials of an earlier process; with `retry_failed` without the failed ones and their duplicates, whose files
    are removed."""
    records = {trial.number: trial for trial in folder.read_trials(parameters)}
    failed = {number for number, trial in records.items() if options.retry_failed and trial.state == FAILED}
    retried = [trial for number, trial in records.items() if number in failed or trial.duplicate_of in failed]
    for trial in retried:
        folder.remove_trial(trial)
        del records[trial.number]
    return records


def _tidy(folder: SweepFolder, run: SweepRun) -> None:
    """Completes what a killed process has not: removes runs that are not kept, and writes the best spec."""
    best = best_trial(run.trials, run.is_maximized)
    for trial in run.trials:
        if trial.has_ended and trial is not best and run.options.keep == "best":
            folder.remove_runs(trial.number)
    if best is not None:
        run.write_best_spec(best)


def sweep(
    spec: Spec,
    folder: str | os.PathLike[str] | None = None,
    *,
    jobs: int = 1,
    threads: int | None = None,
    resume: bool = False,
    retry_failed: bool = False,
    keep: Keep = "best",
    seed: int | None = None,
    provider: str = "cpu",
    provider_options: ProviderOptions | None = None,
    data_roots: Iterable[str | os.PathLike[str]] = (),
    scale: str | None = None,
    changes: Sequence[str] = (),
    verbose: Verbosity = "auto",
    host: TrialHost | None = None,
) -> SweepResult:
    """Searches for the best values of a spec, as its `sweep` says: `jsonnx sweep` in Python.

    Each trial trains the spec with some values in a process of its own, `jobs` at a time, with `threads` each. All
    results are in the folder, by default a new one in `sweeps`; with `resume`, the search in it goes on. The result has
    the `trials`, the `best` one and the `best_spec`. `keep` is "best" or "all": whose RUN folders remain. `seed`
    replaces the spec's seed; `scale` is the name of one of its scales, and a change is a text like `width=128`, as
    after `--set`. `verbose` is as in `Trainer.fit`. `host` runs the trials: by default this machine, with
    `jsonnx.ray.RayTrialHost()` a cluster. Raises CompileError for an invalid spec, before the first trial; UsageError
    if the folder has another search.
    """
    if keep not in ("best", "all"):
        raise ValueError(f"keep must be 'best' or 'all', got {keep!r}")
    if isinstance(jobs, bool) or not isinstance(jobs, int) or jobs < 1:
        raise ValueError(f"jobs must be a positive integer, got {jobs!r}")
    training = TrainingOptions(
        seed=seed,
        data_roots=tuple(os.fspath(root) for root in data_roots),
        threads=threads,
        provider=provider,
        provider_options=provider_options,
        scale=scale,
        changes=tuple(changes),
    )
    options = SweepOptions(jobs, resume, retry_failed, keep, training)
    with sweep_display(verbose) as display:
        return run_sweep(spec, folder, options, display, host=host)
