"""Writes a RUN folder: spec, weights, model, losses and metrics, and checkpoints to resume the run."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from fnmatch import fnmatchcase
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from ...backend import ModelWriter, model_data_files, write_model
from ...core.diagnostics import CompileError, Diagnostic, UsageError
from ...core.files.digests import file_sha256, hashed_parts
from ...core.files.files import (
    error_reason,
    file_exists,
    make_folders,
    open_without_links,
    read_without_links,
    refuse_special_files,
    remove_empty_folders,
    remove_file,
    remove_temporary_files,
    sync_file,
    write_atomically,
)
from ...core.files.run_layout import CHECKPOINT_PATTERN, RunPaths
from ...core.metric_values import numbers_only
from ...interop.safetensors_file import weights_parts
from .checkpoint_manifest import read_manifest, write_manifest
from .metric_files import csv_line, csv_lines, epoch_line, epoch_lines, lines_until
from .run_lock import RunLock

if TYPE_CHECKING:
    import numpy as np

    from ...runtime.execution.history import History

MAX_CHECKPOINTS = 2
"""Number of checkpoints that are kept, so that an older one can be resumed if the newest is damaged."""


class ResumableTrainer(Protocol):
    """A trainer whose state checkpoints keep."""

    @property
    def steps(self) -> int: ...

    def save_checkpoint(self, path: str | os.PathLike[str]) -> str: ...

    def load_checkpoint(self, path: str | os.PathLike[str], *, exact: bool = False) -> list[Diagnostic]: ...


class RunFolder:
    """A folder that one run at a time writes to; as a context, it holds a lock.

    Entering raises UsageError `run-locked` if another process holds the lock, `unwritable-file` if the folder cannot be
    created or has links in place of files of a run; `on_wait` is called with the reason before it waits. All that
    writes raises UsageError `run-locked` if another process has taken over. If an error ends the context before a new
    run has started, nothing of it is left.
    """

    def __init__(self, path: str | os.PathLike[str], on_wait: Callable[[str], None] = lambda text: None) -> None:
        self.path = Path(path)
        self.paths = RunPaths(self.path)
        self._on_wait = on_wait
        self._lock = RunLock(self.path)
        self._created_folders: list[Path] = []
        self._is_starting = False
        self._described: tuple[Path, ...] = ()
        """The files that describe the run which is starting."""
        self._digests: dict[str, str] = {}

    def __enter__(self) -> RunFolder:
        refuse_special_files([*self.paths.written, *self.checkpoints()])
        self._created_folders = make_folders(self.paths.checkpoint_folder)
        try:
            self._acquire_lock()
        except OSError as error:
            raise self._unwritable(error) from error
        try:
            self._is_starting = self.path in self._created_folders  # if that cannot be told
            self._is_starting = not self.existing_files
            remove_temporary_files(self.path)
            remove_temporary_files(self.paths.checkpoint_folder)
        except (OSError, UsageError) as error:
            self._leave(failed=True)
            if isinstance(error, UsageError):
                raise
            raise self._unwritable(error) from error
        return self

    def _acquire_lock(self) -> None:
        """Takes the lock. If that fails, removes what this process has created, unless there is another process, which
        may have come first in a folder that this one has created."""
        try:
            self._lock.acquire(self._on_wait)
        except OSError:
            with suppress(OSError):
                created = {self.paths.lock, self.paths.checkpoint_folder}
                if self.path in self._created_folders and {*self.path.iterdir()} <= created:
                    self.paths.lock.unlink(missing_ok=True)
                    remove_empty_folders(self._created_folders)
            raise

    def __exit__(self, error_type: type[BaseException] | None, *error: object) -> None:
        self._leave(failed=error_type is not None)

    def _leave(self, failed: bool) -> None:
        """Releases the lock. Removes the files and folders of a run that failed to start."""
        removes_run = failed and self._is_starting
        if removes_run:
            paths = self.paths
            starting = (paths.checkpoint(0), *self._described, paths.checkpoint_manifest, paths.lock)
            for path in (*starting, *self.result_files):
                with suppress(OSError):
                    path.unlink(missing_ok=True)
        self._lock.release()
        if removes_run:
            remove_empty_folders(self._created_folders)

    @property
    def result_files(self) -> tuple[Path, ...]:
        """All files of a run but its checkpoints and their manifest."""
        return (*self.paths.results, self.paths.best_checkpoint)

    @property
    def existing_files(self) -> list[Path]:
        """The files of a run in the folder, except files of a run that was killed before it started: a first
        checkpoint, and what is written between that and `run.json`. Raises UsageError `unreadable-file`."""
        first = self.paths.checkpoint(0)
        checkpoints = [path for path in self.checkpoints() if path != first]
        files = [path for path in self.result_files if file_exists(path)]
        if file_exists(first) and not self.has_run:
            files = [path for path in files if path not in self.paths.description]
        return files + checkpoints

    @property
    def has_run(self) -> bool:
        """Whether there is a run: its first checkpoint is written before the file that says so."""
        return file_exists(self.paths.run_info)

    def start_run(self, trainer: ResumableTrainer, description: Mapping[Path, str]) -> None:
        """Writes the first checkpoint, then replaces the files of an earlier run. `description` has the texts of files
        by path, in the order in which they are written; the last one is `run.json`."""
        first = self.paths.checkpoint(trainer.steps)
        self._write_checkpoint(trainer, first)
        self._write_manifest([first])
        earlier = [path for path in self.checkpoints() if path != first]
        results = [path for path in self.result_files if path not in description]
        for old in [*earlier, *results, *model_data_files(self.paths.model)]:
            remove_file(old)
        self._described = tuple(description)
        self.write_texts(description)
        self._write(self.paths.steps, b"")
        self._is_starting = False

    def write_texts(self, texts: Mapping[Path, str]) -> None:
        """Replaces files, by path."""
        for path, text in texts.items():
            if path.parent != self.path:  # a tokenizer that lies in a folder beside its spec
                self._created_folders += make_folders(path.parent)
            self._write(path, text.encode())

    def write_model(self, model: ModelWriter, labels: bytes | None = None) -> str:
        """Writes the model, and its labels file if it has labels. Returns the SHA-256 of the model's file."""
        self._lock.require()
        write_model(model, self.paths.model, labels, follows_links=False)
        try:
            return file_sha256(self.paths.model)
        except OSError as error:
            message = f"cannot read {str(self.paths.model)!r}: {error_reason(error)}"
            raise UsageError("unreadable-file", message) from error

    def write_weights(self, weights: Mapping[str, np.ndarray]) -> str:
        """Writes the weights. Returns the SHA-256 of the file."""
        return self._write_hashed(self.paths.weights, weights_parts(weights))

    def write_adapter(self, files: Mapping[str, bytes | Iterable[Any]]) -> None:
        """Writes the files of the adapters, by their names."""
        if files:
            make_folders(self.paths.adapter)
        for name, content in files.items():
            self._write(self.paths.adapter / name, content)

    def _write_hashed(self, path: Path, parts: Iterable[Any]) -> str:
        digest = sha256()
        self._write(path, hashed_parts(parts, digest))
        return digest.hexdigest()

    def _write(self, path: Path, content: bytes | Iterable[Any]) -> None:
        self._lock.require()
        write_atomically(path, content, follows_links=False)

    def _unwritable(self, error: Exception) -> UsageError:
        return UsageError("unwritable-file", f"cannot write in {str(self.path)!r}: {error_reason(error)}")

    # -- losses and metrics ------------------------------------------------------------------------------------------

    def write_metrics(self, history: History) -> None:
        """Replaces all lines of epochs by the lines of a history, whatever was lost or cut off."""
        self._write(self.paths.metrics, epoch_lines(history))

    def append_metrics(self, epoch: int, metrics: Mapping[str, float]) -> None:
        """Adds a line for an epoch. If that fails, adds nothing."""
        self._append(self.paths.metrics, epoch_line(epoch, metrics))

    def append_steps(self, lines: bytes) -> None:
        """Adds lines of metrics by step. If that fails, adds nothing."""
        self._append(self.paths.steps, lines)

    def remove_steps_after(self, step: int) -> None:
        """Removes the lines of later steps, which a resumed run repeats, and a line that was cut off.

        Creates the file if the process was killed before.
        """
        path = self.paths.steps
        try:
            contents = read_without_links(path)
        except FileNotFoundError:
            self._write(path, b"")
            return
        except OSError as error:
            raise _unreadable(path, error) from error
        kept = lines_until(step, contents)
        if len(kept) < len(contents):
            self._write(path, kept)

    def write_csv(self, history: History) -> None:
        """Replaces the lines of the CSV file by the lines of a history."""
        self._write(self.paths.csv_log, csv_lines(history))

    def append_csv(self, epoch: int, metrics: Mapping[str, float]) -> None:
        """Adds a line for an epoch to the CSV file; the first line has the names."""
        metrics = numbers_only(metrics)
        self._append(self.paths.csv_log, csv_line([epoch, *metrics.values()]), header=csv_line(["epoch", *metrics]))

    def sync_metrics(self, has_csv: bool) -> None:
        """Waits until the lines that were added are on the disk. Raises UsageError `unwritable-file`."""
        for path in (self.paths.metrics, self.paths.csv_log) if has_csv else (self.paths.metrics,):
            sync_file(path)

    def sync_steps(self) -> None:
        """Writes the lines of `steps.jsonl` from the memory of the system to the disk."""
        sync_file(self.paths.steps)

    def _append(self, path: Path, line: bytes, header: bytes = b"") -> None:
        """Adds a line to a file, and a header before the first one. If that fails, adds nothing."""
        self._lock.require()
        try:
            with open(path, "ab", buffering=0, opener=open_without_links) as file:
                size = file.tell()
                line = line if size else header + line
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
        """The paths of the checkpoints, from the newest to the oldest. Raises UsageError `unreadable-file`."""
        folder = self.paths.checkpoint_folder
        if not file_exists(folder):
            return []
        try:
            files = [*folder.iterdir()]
        except OSError as error:
            raise _unreadable(folder, error) from error
        found = [file for file in files if fnmatchcase(file.name, CHECKPOINT_PATTERN)]
        return sorted(found, reverse=True)

    def save_checkpoint(self, trainer: ResumableTrainer, keep: int = MAX_CHECKPOINTS) -> Path:
        """Writes a checkpoint and the manifest, then removes all checkpoints but the newest ones.

        Those of later steps are removed, too: they were damaged when the run was resumed.
        """
        path = self.paths.checkpoint(trainer.steps)
        self._write_checkpoint(trainer, path)
        self.keep_checkpoints_until(path, keep)
        return path

    def keep_checkpoints_until(self, last: Path, keep: int = MAX_CHECKPOINTS) -> None:
        """Lists the newest checkpoints up to `last` in the manifest, and removes all others."""
        self._lock.require()
        kept = self._checkpoints_until(last)[:keep]
        self._write_manifest([*kept, self.paths.best_checkpoint])
        for file in self.checkpoints():
            if file not in kept:
                remove_file(file)

    def _checkpoints_until(self, last: Path) -> list[Path]:
        return [path for path in self.checkpoints() if path <= last]

    def save_best_checkpoint(self, trainer: ResumableTrainer) -> None:
        """Replaces the checkpoint of the best epoch."""
        self._write_checkpoint(trainer, self.paths.best_checkpoint)
        kept = self._checkpoints_until(self.paths.checkpoint(trainer.steps))
        self._write_manifest([*kept, self.paths.best_checkpoint])

    def _write_checkpoint(self, trainer: ResumableTrainer, path: Path) -> None:
        self._lock.require()
        refuse_special_files([path])
        self._digests[path.name] = trainer.save_checkpoint(path)

    def _write_manifest(self, paths: Iterable[Path]) -> None:
        """Lists the existing ones of these files. Files of an earlier process are read: it may have been killed before
        it wrote the manifest."""
        present = [path for path in paths if file_exists(path)]
        self._digests = {path.name: self._digests.get(path.name) or _digest(path) for path in present}
        write_manifest(self.paths.checkpoint_manifest, self._digests)

    def load_newest_checkpoint(
        self, trainer: ResumableTrainer, *, exact: bool = False
    ) -> tuple[Path | None, list[Diagnostic]]:
        """Load the newest undamaged checkpoint. Returns its path, None if there are no checkpoints, and warnings about
        damaged ones.

        Raises CompileError if all are damaged (nothing is deleted), if the newest undamaged one does not fit, or, with
        `exact`, if the run could not be resumed bit for bit.
        """
        damaged: list[Diagnostic] = []
        for path in self.checkpoints():
            try:
                return path, [
                    *self._manifest_warnings(),
                    *(_damage_warning(diagnostic) for diagnostic in damaged),
                    *trainer.load_checkpoint(path, exact=exact),
                ]
            except (CompileError, UsageError) as error:
                errors = error.diagnostics if isinstance(error, CompileError) else [error.diagnostic]
                if errors[0].code not in ("bad-checkpoint", "unreadable-file"):
                    raise
                damaged += errors
        if damaged:
            raise CompileError(damaged)
        return None, []

    def _manifest_warnings(self) -> list[Diagnostic]:
        """Warnings about checkpoints that the manifest lists, but which are missing, and about a damaged manifest."""
        file = str(self.paths.checkpoint_manifest)
        try:
            names = read_manifest(self.paths.checkpoint_manifest)
        except (ValueError, OSError) as error:
            message = f"the manifest is damaged ({error_reason(error)}); the checkpoints' own checksums decide"
            return [Diagnostic("bad-checkpoint", message, file=file, severity="warning")]
        missing = [name for name in names if not os.path.exists(self.paths.checkpoint_folder / name)]
        return [
            Diagnostic("bad-checkpoint", f"the checkpoint {name!r} is missing", file=file, severity="warning")
            for name in missing
        ]


def _damage_warning(error: Diagnostic) -> Diagnostic:
    return Diagnostic(
        "bad-checkpoint", f"{error.message}; an older checkpoint is used", file=error.file, severity="warning"
    )


def _digest(path: Path) -> str:
    """The SHA-256 of a file. Raises UsageError `unreadable-file`."""
    try:
        return file_sha256(path)
    except OSError as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: OSError) -> UsageError:
    return UsageError("unreadable-file", f"cannot read {str(path)!r}: {error_reason(error)}")
