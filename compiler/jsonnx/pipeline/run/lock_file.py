"""`jsonnx.lock`: what a run of a spec depended on, and the hash of its weights, so that it can be reproduced.

The file lies beside the spec, and has an entry for each locked spec of that folder.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ...core.diagnostics import CompileError, Diagnostic, Note, UsageError
from ...core.files.digests import file_sha256
from ...core.files.files import write_atomically
from ...core.files.run_layout import WEIGHTS_FILE
from ...core.files.spec_folders import LOCK_FILE, existing_folders
from ...core.training_options import TrainingOptions, option_keys, recorded_options
from ...frontend.json.json_reader import STDIN_NAME, read_file
from ...frontend.schema.fast_validator import is_valid
from ...render.schemas.run_schema import lock_schema
from ...runtime.providers.provider_options import parse_assignments
from ..run_folder.run import Run
from ..run_folder.run_info import FINISHED, RunInfo
from .recorded_data import recorded_folder
from .run_differences import FIT_ARGUMENTS, SCHEDULE_STEPS, TEACHER, VECTORS, environment_differences, input_differences

LOCK_FORMAT = 1
LOCK_HELP = "`jsonnx lock RUN` writes it from a finished run"
INPUT_KEYS = ("spec_sha256", *option_keys(is_environment=False), "data", "initial_weights")
"""Keys of a run that must be the same for the same weights, on whatever machine."""
ENVIRONMENT_KEYS = (*option_keys(is_environment=True), "versions", "machine")
"""Keys of a run on which the last bits of the weights depend."""


@dataclass(frozen=True)
class LockedRun:
    """The entry of a spec in a lock file."""

    file: Path
    spec: str
    """The name of the spec's file."""
    values: Mapping[str, Any]
    """The keys of the run, INPUT_KEYS and ENVIRONMENT_KEYS, and `weights_sha256`."""

    @property
    def schedule_steps(self) -> dict[str, int]:
        """The numbers of steps of schedules that the first fit of the run has determined, by attribute."""
        return dict(self.values.get(SCHEDULE_STEPS, {}))

    def applied_to(self, options: TrainingOptions) -> TrainingOptions:
        """The options with the values that the locked run recorded."""
        values: dict[str, Any] = {}
        for option, run_key in recorded_options():
            value = self.values.get(run_key.name, option.run_default)
            if option.record.kind == "assignments":
                value = parse_assignments(value) or None
            values[option.name] = tuple(value) if isinstance(value, list) else value
        return replace(options, **values)

    def require_inputs(self, run_info: RunInfo) -> None:
        """Raises CompileError `lock-mismatch` if a run has another spec, other data or another seed."""
        differences = [*input_differences(self.values, run_info)]
        if self.values["spec_sha256"] != run_info["spec_sha256"]:
            differences.append("the spec has changed")
        if differences:
            message = f"this run would not be the one in {LOCK_FILE}: {'; '.join(differences)}"
            help = f"restore what has changed, or train without --locked; {LOCK_HELP}"
            raise CompileError([Diagnostic("lock-mismatch", message, file=str(self.file), help=help)])

    def environment_warnings(self, run_info: RunInfo) -> list[Diagnostic]:
        """A warning if versions, threads or the machine are others, so that the last bits of the weights may differ."""
        differences = environment_differences(self.values, run_info)
        if not differences:
            return []
        message = f"the weights may differ from those in {LOCK_FILE}: {'; '.join(differences)}"
        return [Diagnostic("not-exact", message, file=str(self.file), severity="warning")]

    def require_weights(self, weights_sha256: str, run_info: RunInfo) -> None:
        """Raises CompileError `lock-mismatch` if the weights of a finished run are others, with what may have caused
        it."""
        if weights_sha256 == self.values["weights_sha256"]:
            return
        causes = environment_differences(self.values, run_info)
        message = f"the weights are not those in {LOCK_FILE}, bit for bit"
        notes = tuple(map(Note, causes or ["versions, threads and processor are those of the lock file"]))
        help = f"use what the lock file names; if the new weights are to count, {LOCK_HELP}"
        raise CompileError([Diagnostic("lock-mismatch", message, file=str(self.file), help=help, notes=notes)])


def read_lock(spec_file: str | None) -> LockedRun:
    """The entry of a spec in the lock file beside it. Raises UsageError `no-lock`, CompileError for a damaged file."""
    if spec_file is None or spec_file == STDIN_NAME:
        raise UsageError("no-lock", "a spec from standard input has no lock file beside it", "name the spec's file")
    path, name = Path(spec_file).parent / LOCK_FILE, Path(spec_file).name
    if not os.path.exists(path):
        raise UsageError("no-lock", f"there is no {LOCK_FILE} beside {spec_file!r}", LOCK_HELP)
    entries = _read_entries(path)
    if name not in entries:
        raise UsageError("no-lock", f"{str(path)!r} has no entry for {name!r}", LOCK_HELP)
    return LockedRun(path, name, entries[name])


def write_lock(run: Run, data_roots: Iterable[str] = ()) -> Path:
    """Writes the entry of a finished run's spec to the lock file beside the spec. Returns the path of the lock file.

    Raises UsageError `not-lockable` for a run that is not finished or does not record what is needed, `unsafe-path` if
    the run names a folder elsewhere, which is none of `data_roots`.
    """
    values = locked_values(run)
    path = recorded_folder(run.folder, run.info, existing_folders(data_roots)) / LOCK_FILE
    entries = _read_entries(path) if os.path.exists(path) else {}
    entries[run.spec_file] = values
    document = {"format": LOCK_FORMAT, "specs": dict(sorted(entries.items()))}
    write_atomically(path, (json.dumps(document, indent=2) + "\n").encode(), follows_links=False)
    return path


def locked_values(run: Run) -> dict[str, Any]:
    """The entry of a run. Raises UsageError."""
    name = repr(str(run.folder))
    if run.state != FINISHED:
        help = "`jsonnx train --resume` continues it" if run.state != "diverged" else "lock a run that has finished"
        raise UsageError("not-lockable", f"the run in {name} is {run.state}, not finished", help)
    keys = (*INPUT_KEYS, *ENVIRONMENT_KEYS)
    missing = [key for key in keys if key not in run.info] + ([] if run.hashes.get(WEIGHTS_FILE) else ["sha256"])
    if missing:
        message = f"the run in {name} does not record {', '.join(missing)}: an earlier version of jsonnx wrote it"
        raise UsageError("not-lockable", message, "train it once more")
    if run.spec_file == STDIN_NAME:
        raise UsageError("not-lockable", f"the spec of the run in {name} is not a file", "train the spec from a file")
    if FIT_ARGUMENTS in run.info:
        arguments = ", ".join(run.info[FIT_ARGUMENTS])
        message = f"the run in {name} has arguments of `Trainer.fit` that no spec has: {arguments}"
        raise UsageError("not-lockable", message, "leave them out, or train with the command")
    if file_sha256(run.paths.weights) != run.hashes[WEIGHTS_FILE]:
        message = f"{str(run.paths.weights)!r} has changed since the run has ended"
        raise UsageError("not-lockable", message, "train it once more")
    recorded = [*keys, *(key for key in (SCHEDULE_STEPS, VECTORS, TEACHER) if key in run.info)]
    return {**{key: run.info[key] for key in recorded}, "weights_sha256": run.hashes[WEIGHTS_FILE]}


def _read_entries(path: Path) -> dict[str, dict[str, Any]]:
    """The entries of a lock file by the names of the specs. Raises CompileError if the file is damaged."""
    value: Any = read_file(path).value
    if not is_valid(value, lock_schema()):
        message = f"it is not a lock file of format {LOCK_FORMAT}"
        raise CompileError([Diagnostic("damaged-file", message, file=str(path), help=LOCK_HELP)])
    return dict(value["specs"])
