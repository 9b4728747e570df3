"""A SWEEP folder: the spec, how it is searched, a record of each trial, the best spec, and the runs of trials."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from ..core.diagnostics import CompileError, Diagnostic, UsageError
from ..core.files.files import (
    error_reason,
    make_folders,
    open_file,
    refuse_special_files,
    remove_file,
    remove_temporary_files,
    write_atomically,
)
from ..core.files.sweep_data import SPEC_FILE, SWEEP_FILE
from .trials import Trial, record_text

BEST_FILE, PAGE_FILE, TRIALS_FOLDER = "best.json", "sweep.html", "trials"
MAX_RECORD_BYTES = 1 << 24
SWEEP_FOLDER_HELP = "a SWEEP folder is what `jsonnx sweep SPEC -o SWEEP` writes"


class SweepFolder:
    """The files of a sweep. Each is written atomically; `sweep.json` is the last one that a new sweep writes."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)

    @property
    def has_sweep(self) -> bool:
        return os.path.exists(self.path / SWEEP_FILE)

    @property
    def existing_files(self) -> list[Path]:
        """The files and folders in the folder that a new sweep would replace."""
        names = (SWEEP_FILE, SPEC_FILE, BEST_FILE, PAGE_FILE, TRIALS_FOLDER)
        return [self.path / name for name in names if os.path.lexists(self.path / name)]

    def make(self) -> list[Path]:
        """Creates the folder. Returns the folders that it created. Raises UsageError `unwritable-file`, also if it has
        links in place of files of a sweep."""
        trials = self.path / TRIALS_FOLDER
        refuse_special_files([*self.existing_files, *trials.glob("*"), *trials.glob("*/*")])
        return make_folders(self.path / TRIALS_FOLDER)

    def start(self, settings: Mapping[str, Any], spec_text: str) -> None:
        """Writes what a sweep is made from."""
        write_atomically(self.path / SPEC_FILE, spec_text.encode(), follows_links=False)
        self.write_settings(settings)

    def write_settings(self, settings: Mapping[str, Any]) -> None:
        text = json.dumps(settings, indent=2, ensure_ascii=False) + "\n"
        write_atomically(self.path / SWEEP_FILE, text.encode(), follows_links=False)

    def read_settings(self) -> dict[str, Any]:
        """The content of `sweep.json`. Raises CompileError `damaged-file`, UsageError `unreadable-file`."""
        if not self.has_sweep:
            raise UsageError("unreadable-file", f"{str(self.path)!r} is not a SWEEP folder", SWEEP_FOLDER_HELP)
        settings = _read_json(self.path / SWEEP_FILE)
        if not isinstance(settings, dict):
            raise _damaged(self.path / SWEEP_FILE, "not the description of a sweep")
        return settings

    def read_spec(self) -> str:
        """The text of the spec that the sweep was started with. Raises UsageError, CompileError."""
        with open_file(self.path / SPEC_FILE) as file:
            try:
                return file.read().decode()
            except UnicodeDecodeError as error:
                raise _damaged(self.path / SPEC_FILE, "not UTF-8") from error

    def read_trials(self, parameters: Collection[str]) -> list[Trial]:
        """The trials by number, whose values are those of parameters. Raises CompileError `damaged-file`."""
        trials: dict[int, Trial] = {}
        for path in sorted((self.path / TRIALS_FOLDER).glob("*.json")):
            try:
                trial = Trial.from_json(_read_json(path))
            except ValueError as error:
                raise _damaged(path, str(error)) from error
            if not trial.values.keys() <= {*parameters}:
                raise _damaged(path, "it has values of other parameters")
            if path != self.trial_file(trial.number):
                raise _damaged(path, f"the record of trial {trial.number}")
            trials[trial.number] = trial
        for trial in trials.values():
            if trial.duplicate_of is not None and trial.duplicate_of not in trials:
                raise _damaged(
                    self.trial_file(trial.number), f"it repeats trial {trial.duplicate_of}, which is missing"
                )
        return [trials[number] for number in sorted(trials)]

    def write_trial(self, trial: Trial) -> None:
        write_atomically(self.trial_file(trial.number), record_text(trial).encode(), follows_links=False)

    def remove_trial(self, trial: Trial) -> None:
        """Removes the record of a trial and its runs."""
        self.remove_runs(trial.number)
        remove_file(self.trial_file(trial.number))

    def trial_file(self, number: int) -> Path:
        return self.path / TRIALS_FOLDER / f"{number:04d}.json"

    def log_file(self, number: int) -> Path:
        """The output of the process of a trial; it is kept if the trial fails."""
        return self.path / TRIALS_FOLDER / f"{number:04d}.log"

    @staticmethod
    def run_name(number: int, part: str) -> str:
        """The RUN folder of a trial, or of a part of it, relative to the SWEEP folder."""
        return f"{TRIALS_FOLDER}/{number:04d}" + (f"/{part}" if part else "")

    def remove_runs(self, number: int) -> None:
        """Removes the RUN folders of a trial. Raises UsageError `unwritable-file`."""
        path = self.path / self.run_name(number, "")
        try:
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
        except OSError as error:
            raise UsageError("unwritable-file", f"cannot remove {str(path)!r}: {error_reason(error)}") from error

    def remove_temporary_files(self) -> None:
        remove_temporary_files(self.path)
        remove_temporary_files(self.path / TRIALS_FOLDER)

    def write_best_spec(self, text: str) -> None:
        write_atomically(self.path / BEST_FILE, text.encode(), follows_links=False)

    def write_page(self, text: str) -> None:
        write_atomically(self.path / PAGE_FILE, text.encode(), follows_links=False)


def _read_json(path: Path) -> Any:
    """Raises CompileError `damaged-file`, UsageError `unreadable-file`."""
    with open_file(path) as file:
        data = file.read(MAX_RECORD_BYTES)
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        raise _damaged(path, "not JSON") from error


def _damaged(path: Path, message: str) -> CompileError:
    help = "remove the file; --resume then runs the trial again" if path.parent.name == TRIALS_FOLDER else None
    return CompileError([Diagnostic("damaged-file", message, file=str(path), help=help)])
