"""A RUN folder: the spec, weights, model, figures of every epoch, and checkpoints from which a run can be resumed."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from hashlib import sha256
from math import inf
from pathlib import Path

import numpy as np

from ..core.diagnostics import CompileError, Diagnostic, UsageError
from ..core.figures import finite, numbers_only
from ..core.files import (
    error_reason,
    make_folders,
    remove_empty_folders,
    remove_file,
    remove_temporary_files,
    sync_file,
    write_atomically,
)
from ..interop.safetensors_file import safetensors_bytes
from .history import History
from .run_files import (
    BEST_CHECKPOINT_FILE,
    CHECKPOINT_FOLDER,
    CSV_FILE,
    DESCRIPTION_FILES,
    METRICS_FILE,
    MODEL_FILE,
    RESULT_FILES,
    RUN_INFO_FILE,
    STEPS_FILE,
    WEIGHTS_FILE,
)
from .run_lock import LOCK_FILE, RunLock
from .trainer import Trainer

MAX_CHECKPOINTS = 2
"""Number of checkpoints that are kept, so that an older one can be resumed if the newest is damaged."""


class RunFolder:
    """A folder that one run at a time writes to; as a context, it holds a lock.

    Entering raises UsageError `run-locked` if another process holds the lock, `unwritable-file` if the folder cannot be
    created. If an error ends the context before a new run has started, nothing of it is left.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self._lock = RunLock(self.path)
        self._created_folders: list[Path] = []
        self._is_starting = False

    def __enter__(self) -> RunFolder:
        self._created_folders = make_folders(self.checkpoint_folder)
        try:
            self._lock.acquire()
            self._is_starting = not self.existing_files
            remove_temporary_files(self.path)
            remove_temporary_files(self.checkpoint_folder)
        except OSError as error:
            self._is_starting = self.path in self._created_folders
            self._leave(failed=True)
            raise UsageError("unwritable-file", f"cannot write in {str(self.path)!r}: {error_reason(error)}") from error
        return self

    def __exit__(self, error_type: type[BaseException] | None, *error: object) -> None:
        self._leave(failed=error_type is not None)

    def _leave(self, failed: bool) -> None:
        """Releases the lock. Removes the files and folders of a run that failed to start."""
        removes_run = failed and self._is_starting
        if removes_run:
            for path in (*self.checkpoints(), *self.result_files, self.path / LOCK_FILE):
                with suppress(OSError):
                    path.unlink(missing_ok=True)
        self._lock.release()
        if removes_run:
            remove_empty_folders(self._created_folders)

    @property
    def checkpoint_folder(self) -> Path:
        return self.path / CHECKPOINT_FOLDER

    @property
    def result_files(self) -> tuple[Path, ...]:
        """All files of a run but its checkpoints."""
        return (*(self.path / name for name in RESULT_FILES), self.checkpoint_folder / BEST_CHECKPOINT_FILE)

    @property
    def existing_files(self) -> list[Path]:
        """The files of a run that are in the folder, but for those of a run that was killed before it started: a first
        checkpoint, and what is written between that and `run.json`."""
        first = self._checkpoint_path(0)
        checkpoints = [path for path in self.checkpoints() if path != first]
        files = [path for path in self.result_files if os.path.exists(path)]
        if os.path.exists(first) and not self.has_run:
            files = [path for path in files if path.name not in DESCRIPTION_FILES]
        return files + checkpoints

    @property
    def has_run(self) -> bool:
        """Whether there is a run: its first checkpoint is written before the file that says so."""
        return os.path.exists(self.path / RUN_INFO_FILE)

    def start_run(self, trainer: Trainer, description: Mapping[str, str]) -> None:
        """Writes the first checkpoint, then replaces the files of an earlier run. `description` has the texts of files
        by name, in the order in which they are written; the last one is `run.json`."""
        first = self._write_checkpoint(trainer)
        earlier = [path for path in self.checkpoints() if path != first]
        kept = [self.path / name for name in description]  # replaced below
        for old in [*earlier, *(path for path in self.result_files if path not in kept)]:
            remove_file(old)
        self.write_texts(description)
        write_atomically(self.path / STEPS_FILE, b"")
        self.write_metrics(History())
        self._is_starting = False

    def resume_run(self, trainer: Trainer, description: Mapping[str, str]) -> None:
        """Replaces the files of a run by those of the checkpoint that the trainer has loaded."""
        self.write_texts(description)
        self.write_metrics(trainer.history)
        self.remove_steps_after(trainer.steps)

    def write_texts(self, texts: Mapping[str, str]) -> None:
        """Replaces files, by name."""
        for name, text in texts.items():
            write_atomically(self.path / name, text.encode())

    def write_model(self, model: bytes) -> str:
        """Writes the model. Returns the SHA-256 of the file."""
        return self._write_hashed(MODEL_FILE, model)

    def write_weights(self, weights: Mapping[str, np.ndarray]) -> str:
        """Writes the weights. Returns the SHA-256 of the file."""
        return self._write_hashed(WEIGHTS_FILE, safetensors_bytes(weights))

    def _write_hashed(self, name: str, content: bytes) -> str:
        write_atomically(self.path / name, content)
        return sha256(content).hexdigest()

    # -- losses and metrics ------------------------------------------------------------------------------------------

    def write_metrics(self, history: History) -> None:
        """Replaces all lines by those of a history, whatever was lost or cut off."""
        lines = [
            _metrics_line(epoch, {name: figures[index] for name, figures in history.history.items()})
            for index, epoch in enumerate(history.epoch)
        ]
        write_atomically(self.path / METRICS_FILE, b"".join(lines))

    def append_metrics(self, epoch: int, figures: Mapping[str, float]) -> None:
        """Adds a line for an epoch, which is on the disk when the next checkpoint is. If that fails, adds nothing."""
        self._append(METRICS_FILE, _metrics_line(epoch, figures))

    def append_steps(self, lines: bytes) -> None:
        """Adds lines of figures by step. If that fails, adds nothing."""
        self._append(STEPS_FILE, lines)

    def remove_steps_after(self, step: int) -> None:
        """Removes the lines of later steps, which a resumed run repeats, and a line that was cut off."""
        path = self.path / STEPS_FILE
        try:
            lines = path.read_bytes().splitlines(keepends=True)
        except FileNotFoundError:
            return
        except OSError as error:
            raise UsageError("unreadable-file", f"cannot read {str(path)!r}: {error_reason(error)}") from error
        kept = [line for line in lines if line.endswith(b"\n") and _step_of(line) <= step]
        if len(kept) < len(lines):
            write_atomically(path, b"".join(kept))

    def write_csv(self, history: History) -> None:
        """Replaces the lines of the CSV file by those of a history."""
        columns = {
            name: values
            for name, values in history.history.items()
            if not any(isinstance(value, list) for value in values)
        }
        names = list(columns)
        rows = zip(history.epoch, *columns.values(), strict=True)
        lines = [_csv_line(["epoch", *names]), *map(_csv_line, rows)] if names else []
        write_atomically(self.path / CSV_FILE, b"".join(lines))

    def append_csv(self, epoch: int, figures: Mapping[str, float]) -> None:
        """Adds a line for an epoch to the CSV file; the first line has the names."""
        path, figures = self.path / CSV_FILE, numbers_only(figures)
        header = b"" if path.exists() and path.stat().st_size else _csv_line(["epoch", *figures])
        self._append(CSV_FILE, header + _csv_line([epoch, *figures.values()]))

    def _append(self, name: str, line: bytes) -> None:
        """Adds a line to a file. If that fails, adds nothing."""
        path = self.path / name
        try:
            with open(path, "ab", buffering=0) as file:
                size = file.tell()
                try:
                    while line:
                        line = line[file.write(line) :]
                except OSError:
                    file.truncate(size)
                    raise
        except OSError as error:
            raise UsageError("unwritable-file", f"cannot write {str(path)!r}: {error_reason(error)}") from error

    # -- checkpoints -------------------------------------------------------------------------------------------------

    def checkpoints(self) -> list[Path]:
        """The paths of the checkpoints, from the newest to the oldest."""
        if not os.path.isdir(self.checkpoint_folder):  # also for a name that no folder can have
            return []
        return sorted(self.checkpoint_folder.glob("step-*.safetensors"), reverse=True)

    def save_checkpoint(self, trainer: Trainer, keep: int = MAX_CHECKPOINTS) -> Path:
        """Writes a checkpoint, then removes those beyond the newest."""
        for growing_file in (self.path / METRICS_FILE, self.path / STEPS_FILE):
            if growing_file.exists():
                sync_file(growing_file)
        path = self._write_checkpoint(trainer)
        for old in self.checkpoints()[keep:]:
            remove_file(old)
        return path

    def save_best_checkpoint(self, trainer: Trainer) -> None:
        """Replaces the checkpoint of the best epoch."""
        trainer.save_checkpoint(self.checkpoint_folder / BEST_CHECKPOINT_FILE)

    def _write_checkpoint(self, trainer: Trainer) -> Path:
        path = self._checkpoint_path(trainer.steps)
        trainer.save_checkpoint(path)
        return path

    def _checkpoint_path(self, steps: int) -> Path:
        return self.checkpoint_folder / f"step-{steps:012d}.safetensors"

    def load_newest_checkpoint(self, trainer: Trainer, *, exact: bool = False) -> tuple[Path | None, list[Diagnostic]]:
        """Load the newest undamaged checkpoint. Returns its path, None if there are no checkpoints, and warnings about
        damaged ones.

        Raises CompileError if all are damaged (nothing is deleted), if the newest undamaged one does not fit, or, with
        `exact`, if the run could not be resumed bit for bit.
        """
        damaged: list[Diagnostic] = []
        for path in self.checkpoints():
            try:
                return path, [
                    *(_damage_warning(fault) for fault in damaged),
                    *trainer.load_checkpoint(path, exact=exact),
                ]
            except CompileError as error:
                if error.diagnostics[0].code != "bad-checkpoint":
                    raise
                damaged += error.diagnostics
        if damaged:
            raise CompileError(damaged)
        return None, []


def _damage_warning(fault: Diagnostic) -> Diagnostic:
    return Diagnostic(
        "bad-checkpoint", f"{fault.message}; an older checkpoint is used", file=fault.file, severity="warning"
    )


def step_line(step: int, epoch: int, figures: Mapping[str, float]) -> bytes:
    """A line of JSON: the means over the steps of an epoch until a step. Figures that are lists are left out."""
    return _line({"step": step, "epoch": epoch}, numbers_only(figures))


def _metrics_line(epoch: int, figures: Mapping[str, float]) -> bytes:
    """A line of JSON; NaN and infinity become null."""
    return _line({"epoch": epoch}, figures)


def _line(position: Mapping[str, int], figures: Mapping[str, float]) -> bytes:
    return json.dumps({**position, **{name: finite(figure) for name, figure in figures.items()}}).encode() + b"\n"


def _step_of(line: bytes) -> float:
    """The step of a line; infinity for a damaged one."""
    try:
        step = json.loads(line)["step"]
    except (ValueError, KeyError, TypeError):
        return inf
    return step if isinstance(step, int) else inf


def _csv_line(values: Iterable[object]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(values)
    return text.getvalue().encode()
