"""A RUN folder: the spec, weights, model, figures of every epoch, and checkpoints from which a run can be resumed."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from math import isfinite
from pathlib import Path
from typing import IO

import numpy as np

from ..core.diagnostics import CompileError, Diagnostic, UsageError
from ..core.files import error_reason, remove_temporary_files, write_atomically
from ..interop.safetensors_file import safetensors_bytes
from .trainer import Trainer

RUN_INFO_FILE, SPEC_FILE, WEIGHTS_FILE, MODEL_FILE, METRICS_FILE, CHECKPOINT_FOLDER = (
    "run.json",
    "spec.json",
    "weights.safetensors",
    "model.onnx",
    "metrics.jsonl",
    "checkpoints",
)
MAX_CHECKPOINTS = 2
"""Number of checkpoints that are kept, so that an older one can be resumed if the newest is damaged."""


class RunFolder:
    """A folder that one run at a time writes to; as a context, it holds a lock.

    Entering raises UsageError `run-locked` if another process holds the lock, `unwritable-file` if the folder cannot be
    created.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self._lock: IO[bytes] | None = None

    def __enter__(self) -> RunFolder:
        try:
            self.checkpoint_folder.mkdir(parents=True, exist_ok=True)
            self._lock = open(self.path / ".lock", "ab")
        except OSError as error:
            raise UsageError("unwritable-file", f"cannot write in {str(self.path)!r}: {error_reason(error)}") from error
        try:
            _lock_file(self._lock)
        except OSError as error:
            self._lock.close()
            help = "wait until it ends, or name another folder"
            raise UsageError("run-locked", f"another process is training in {str(self.path)!r}", help) from error
        remove_temporary_files(self.path)
        remove_temporary_files(self.checkpoint_folder)
        return self

    def __exit__(self, *error: object) -> None:
        if self._lock is not None:
            self._lock.close()  # the system releases the lock with the file, also when a process dies
            self._lock = None

    @property
    def checkpoint_folder(self) -> Path:
        return self.path / CHECKPOINT_FOLDER

    def write_spec(self, text: str) -> None:
        write_atomically(self.path / SPEC_FILE, text.encode())

    def write_model(self, model: bytes) -> None:
        write_atomically(self.path / MODEL_FILE, model)

    def write_weights(self, weights: Mapping[str, np.ndarray]) -> None:
        write_atomically(self.path / WEIGHTS_FILE, safetensors_bytes(weights))

    def truncate_metrics(self, epochs: int = 0) -> None:
        """Keep the lines of the first epochs only, those that a resumed run has completed."""
        path = self.path / METRICS_FILE
        lines = path.read_bytes().splitlines(keepends=True)[:epochs] if path.exists() else []
        write_atomically(path, b"".join(line for line in lines if line.endswith(b"\n")))

    def append_metrics(self, epoch: int, figures: Mapping[str, float]) -> None:
        """Add a line for an epoch; NaN and infinity become null."""
        json_figures = {name: figure if isfinite(figure) else None for name, figure in figures.items()}
        try:
            with open(self.path / METRICS_FILE, "a", encoding="utf-8") as file:
                file.write(json.dumps({"epoch": epoch, **json_figures}) + "\n")
        except OSError as error:
            raise UsageError(
                "unwritable-file", f"cannot write {str(self.path / METRICS_FILE)!r}: {error_reason(error)}"
            ) from error

    # -- checkpoints -------------------------------------------------------------------------------------------------

    def checkpoints(self) -> list[Path]:
        """The paths of the checkpoints, from the newest to the oldest."""
        return sorted(self.checkpoint_folder.glob("step-*.safetensors"), reverse=True)

    def start_run(self, trainer: Trainer) -> None:
        """Write the first checkpoint, then remove the files of an earlier run."""
        first = self._write_checkpoint(trainer)
        earlier = [path for path in self.checkpoints() if path != first]
        for old in [*earlier, self.path / MODEL_FILE, self.path / WEIGHTS_FILE, self.path / METRICS_FILE]:
            old.unlink(missing_ok=True)

    def save_checkpoint(self, trainer: Trainer) -> Path:
        """Write a checkpoint, then remove those beyond the newest `MAX_CHECKPOINTS`."""
        path = self._write_checkpoint(trainer)
        for old in self.checkpoints()[MAX_CHECKPOINTS:]:
            old.unlink(missing_ok=True)
        return path

    def _write_checkpoint(self, trainer: Trainer) -> Path:
        path = self.checkpoint_folder / f"step-{trainer.steps:012d}.safetensors"
        trainer.save_checkpoint(path)
        return path

    def load_newest_checkpoint(self, trainer: Trainer) -> tuple[Path | None, list[Diagnostic]]:
        """Load the newest undamaged checkpoint. Returns its path, None if there are no checkpoints, and warnings about
        damaged ones.

        Raises CompileError if all are damaged (nothing is deleted), or if the newest undamaged one does not fit.
        """
        damaged: list[Diagnostic] = []
        for path in self.checkpoints():
            try:
                return path, [*(_damage_warning(fault) for fault in damaged), *trainer.load_checkpoint(path)]
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


def _lock_file(file: IO[bytes]) -> None:
    """Lock an open file without waiting. Raises OSError if another process holds the lock."""
    if os.name == "nt":
        import msvcrt

        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
    else:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
