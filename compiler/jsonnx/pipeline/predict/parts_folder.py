"""The folder of finished parts beside the file that a prediction writes, from which an interrupted one goes on.

`_job.json` says what is predicted: the model, the data and the options, none of which may change. `_progress.json` is
replaced after each part. Both names begin with an underscore, so that readers of a folder of parts skip them.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import stat
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from ...core.diagnostics import UsageError
from ...core.files.files import (
    error_reason,
    make_folders,
    remove_file,
    remove_temporary_files,
    write_atomically,
)
from ...core.files.run_layout import RunPaths
from ...data.files.input_stream import STREAM_START, StreamPlace
from ...data.tables.table_file import FirstRow
from ..run_folder.run_lock import RunLock
from .prediction_files import PART_FORMATS, PartFormat, make_types_equal

FOLDER_SUFFIX = ".parts"
JOB_FILE, PROGRESS_FILE = "_job.json", "_progress.json"
JOINED_FILE = "_joined"
"""The output before it is renamed."""
CLUSTER_FOLDER = "_cluster"
"""The folder in which workers of a cluster write parts."""
COPY_BYTES = 1 << 20
FORCE_HELP = "--force removes its parts and starts anew; -o names another file"

Job = Mapping[str, Any]
"""What is predicted: values of JSON, by what they are."""


class Progress(NamedTuple):
    """What is finished."""

    parts: int = 0
    rows: int = 0
    place: StreamPlace = STREAM_START
    """The place of the first row that is not finished."""
    columns: tuple[str, ...] = ()
    """The names of the columns of all parts; empty if there is no part."""

    def to_json(self) -> dict[str, Any]:
        return {"parts": self.parts, "rows": self.rows, "place": self.place, "columns": self.columns}

    @staticmethod
    def from_json(value: Any) -> Progress:
        item, first, skipped = value["place"]
        place = StreamPlace(item, FirstRow(*first), skipped)
        return Progress(value["parts"], value["rows"], place, tuple(value["columns"]))


class PartsFolder:
    """The folder of the parts of a file, or of a folder of files, `output`."""

    def __init__(self, output: Path, format: PartFormat, is_folder: bool, job: Job) -> None:
        self.output, self.path = output, output.with_name(output.name + FOLDER_SUFFIX)
        self._format, self._is_folder, self._job = format, is_folder, job
        self.progress = Progress()
        self.exists = False
        """Whether parts are written: a single one needs no folder."""

    @contextmanager
    def opened(self, force: bool, continues: bool = True) -> Iterator[None]:
        """Holds the lock of the folder, if there is one or once there is. Reads the progress of an interrupted job, if
        this one `continues` it; with `force`, removes its parts. Raises UsageError if it was another job."""
        self._lock = RunLock(self.path, "predicting")
        try:
            if os.path.lexists(self.path):
                self._acquire()
                if force or not (self.path / JOB_FILE).exists():
                    self.remove_parts()
                else:
                    self._require_same_job()
                    self.progress = self._read_progress() if continues else Progress()
            yield
        finally:
            self._lock.release()

    def part(self, number: int) -> Path:
        return self.path / f"part-{number:06d}{self._format.suffix}"

    def create(self) -> None:
        """Creates the folder, if it does not exist. Raises UsageError."""
        if self.exists:
            return
        make_folders(self.path)
        self._acquire()
        write_atomically(self.path / JOB_FILE, _json_bytes(self._job))

    def add_in_any_order(self, number: int, content: bytes) -> None:
        """Writes a part whose number is not that of the next one. Raises UsageError."""
        self._lock.require()
        write_atomically(self.part(number), content)

    def add(self, content: bytes, rows: int, place: StreamPlace, columns: Sequence[str]) -> None:
        """Writes the next part, whose rows end at a place. Raises UsageError."""
        self.create()
        self.add_in_any_order(self.progress.parts, content)
        progress = Progress(self.progress.parts + 1, self.progress.rows + rows, place, tuple(columns))
        write_atomically(self.path / PROGRESS_FILE, _json_bytes(progress.to_json()))
        self.progress = progress

    def finish(self) -> None:
        """Makes the output of the parts, and removes their folder. Raises UsageError."""
        self.join(self.progress.parts, self.progress.columns)

    def join(self, count: int, columns: Sequence[str]) -> None:
        """Makes the output of so many parts, whose columns have these names, and removes their folder. Raises
        UsageError."""
        self._lock.require()
        paths = [self.part(number) for number in range(count)]
        remove_temporary_files(self.path)
        if not self._is_folder:
            # In the folder of parts, where a killed process leaves no large file that nobody removes.
            write_atomically(self.path / JOINED_FILE, self._format.join(paths, columns))
            self._replace_output()
            self.remove()
            return
        if self._format is PART_FORMATS["parquet"]:
            for path, content in make_types_equal(paths):
                write_atomically(path, content)
        self._lock.release()
        try:
            shutil.rmtree(self.path / CLUSTER_FOLDER, ignore_errors=True)
            self.path.rename(self.output)
            for name in (PROGRESS_FILE, self._lock.path.name):
                (self.output / name).unlink(missing_ok=True)
        except OSError as error:
            message = f"cannot rename {str(self.path)!r} to {str(self.output)!r}: {error_reason(error)}"
            raise UsageError("unwritable-file", message) from error

    def _replace_output(self) -> None:
        """Renames the joined file to the output, whose permissions and symbolic link are kept. Raises UsageError."""
        target = os.path.realpath(self.output)
        try:
            if os.path.exists(target):
                os.chmod(self.path / JOINED_FILE, stat.S_IMODE(os.stat(target).st_mode))
            os.replace(self.path / JOINED_FILE, target)
        except OSError as error:
            if error.errno == errno.EXDEV:  # a link to another file system
                with open(self.path / JOINED_FILE, "rb") as file:
                    write_atomically(self.output, iter(partial(file.read, COPY_BYTES), b""))
                return
            message = f"cannot write {str(self.output)!r}: {error_reason(error)}"
            raise UsageError("unwritable-file", message) from error

    def remove_parts(self) -> None:
        """Removes the files of a job. The lock stays. Raises UsageError `file-exists` if the folder is no job's."""
        names = {entry.name for entry in os.scandir(self.path)}
        paths = RunPaths(self.path)
        others = names - {JOB_FILE, PROGRESS_FILE, paths.lock.name, paths.lock_owner.name}
        if others and JOB_FILE not in names:
            message = f"the folder {str(self.path)!r} is not one of parts that `predict` has written"
            raise UsageError("file-exists", message, "remove it, or name another file with -o")
        remove_file(self.path / PROGRESS_FILE)  # first: it says which parts there are
        remove_temporary_files(self.path)
        for name in others:
            if name.startswith("part-") or name == JOINED_FILE:
                remove_file(self.path / name)
        shutil.rmtree(self.path / CLUSTER_FOLDER, ignore_errors=True)
        write_atomically(self.path / JOB_FILE, _json_bytes(self._job))

    def remove(self) -> None:
        """Removes the folder. Raises UsageError."""
        self.remove_parts()
        remove_file(self.path / JOB_FILE)
        self._lock.release()
        remove_file(self._lock.path)
        with suppress(OSError):  # another program has put a file there
            self.path.rmdir()

    def _acquire(self) -> None:
        try:
            self._lock.acquire()
        except OSError as error:
            message = f"cannot write in the folder {str(self.path)!r}: {error_reason(error)}"
            raise UsageError("unwritable-file", message) from error
        self.exists = True

    def _require_same_job(self) -> None:
        """Raises UsageError `job-changed` if the parts are those of another job."""
        try:
            job = json.loads((self.path / JOB_FILE).read_bytes())
        except (OSError, ValueError) as error:
            message = f"{str(self.path / JOB_FILE)!r} cannot be read: {error_reason(error)}"
            raise UsageError("unreadable-file", message, FORCE_HELP) from error
        try:
            difference = _difference(job, json.loads(_json_bytes(self._job)))
        except (TypeError, KeyError, AttributeError):  # it is not what jsonnx has written
            difference = "other settings"
        if difference:
            message = f"{str(self.path)!r} has parts of an interrupted prediction, which had {difference}"
            raise UsageError("job-changed", message, FORCE_HELP)

    def _read_progress(self) -> Progress:
        try:
            progress = Progress.from_json(json.loads((self.path / PROGRESS_FILE).read_bytes()))
        except FileNotFoundError:
            return Progress()
        except (OSError, ValueError, KeyError, TypeError) as error:
            message = f"{str(self.path / PROGRESS_FILE)!r} cannot be read: {error_reason(error)}"
            raise UsageError("unreadable-file", message, FORCE_HELP) from error
        missing = next((path for path in map(self.part, range(progress.parts)) if not path.is_file()), None)
        if missing is not None:
            raise UsageError("unreadable-file", f"the finished part {str(missing)!r} is missing", FORCE_HELP)
        return progress


def _difference(job: Job, other: Job) -> str | None:
    """What differs between two jobs: `another model`; None if nothing does."""
    if job == other:
        return None
    if job.get("model") != other.get("model"):
        return "another model"
    files, others = job.get("data", []), other.get("data", [])
    if [file["name"] for file in files] != [file["name"] for file in others]:
        return "other data files"
    changed = next((file["name"] for file, now in zip(files, others, strict=True) if file != now), None)
    if changed is not None:
        return f"another content of {changed!r}"
    options, now = job.get("options", {}), other.get("options", {})
    name = next(name for name in (*now, *options, "jsonnx") if options.get(name) != now.get(name) or name == "jsonnx")
    if name == "jsonnx":
        return f"version {job.get('jsonnx')} of jsonnx"
    return f"{json.dumps(options.get(name))} as {name}"


def _json_bytes(value: Any) -> bytes:
    return json.dumps(value, indent=1).encode() + b"\n"
