"""Writes predictions to a file in bounded memory, or prints them."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...backend import package_version
from ...core.diagnostics import UsageError, or_list
from ...core.files.files import file_exists, open_file, refuse_overwrite, write_atomically
from ...core.files.run_layout import RunPaths
from ...core.files.user_files import UserFiles, expand_user_files
from ...data.files.data_locations import DataItem
from ..run.run_warnings import Warn, no_warning
from ..run.trained_model import TrainedModel, tell_left_out
from .parts_folder import Job, PartsFolder
from .prediction_files import PART_FORMATS, WRITERS, PartFormat, Predictions
from .predictor import PredictOptions, Predictor

FOLDER_FORMAT = "parquet"
"""The format of the parts in a folder, by default."""


@dataclass(frozen=True)
class Reports:
    """What a prediction calls while it runs."""

    print_text: Callable[[str], None]
    """With the predictions, if there is no output file."""
    on_progress: Callable[[int], None] = lambda done: None
    """With the number of samples done."""
    on_status: Callable[[str], None] = lambda text: None
    """With a line about parts that are continued, or left for later."""
    warn: Warn = no_warning
    """With notes about series and windows without a prediction."""


@dataclass(frozen=True)
class Output:
    """Where predictions are written."""

    path: Path
    format: PartFormat
    is_folder: bool

    @staticmethod
    def of(output: str, options: PredictOptions) -> Output | None:
        """The output of a name; None if it is written as a whole. Raises UsageError for an unknown format."""
        path = Path(output)
        is_folder = output.endswith(("/", os.sep)) or path.is_dir()
        if options.output_format and not is_folder:
            help = "let the name of the folder end in /, or leave out --output-format: the suffix of a file says it"
            raise UsageError("bad-option", "--output-format is that of the parts in a folder", help)
        if is_folder:
            if path.is_dir() and any(path.iterdir()):
                raise UsageError("file-exists", f"the folder {output!r} is not empty", "name another one with -o")
            return Output(path, PART_FORMATS[options.output_format or FOLDER_FORMAT], True)
        suffix = path.suffix.lower()
        if suffix not in WRITERS:
            target = f"files that end in {suffix!r}" if suffix else "a file without a suffix"
            help = f"use {or_list([*WRITERS])}, or a folder, whose name ends in /"
            raise UsageError("bad-option", f"cannot write {target}", help)
        if suffix[1:] not in PART_FORMATS or (file_exists(path) and not path.is_file()):
            return None
        return Output(path, PART_FORMATS[suffix[1:]], False)


def predict(
    model: TrainedModel, data: UserFiles, output: str | None, options: PredictOptions, reports: Reports
) -> None:
    """Writes the predictions for a data file (`-`: standard input) in the format of the suffix of `output`, which
    appears when it is complete. If `output` is None, prints csv.

    If there are more rows than a part has, finished parts are kept beside the output, and the same prediction goes on
    with them when it was interrupted. Raises UsageError, CompileError, FeedError.
    """
    refuse_data_as_output(model, data, output)
    target = Output.of(output, options) if output else None
    predictor = Predictor.of(model, data, options)
    if target is None:
        predictions = Predictions.concatenate([part for part, _ in _predicted(predictor, reports)])
        content = WRITERS[Path(output).suffix.lower() if output else ".csv"](predictions)
        if output:
            write_atomically(output, content)
        else:
            reports.print_text(content.decode().rstrip("\n"))
        return
    job = job_of(model, predictor, options)
    folder = PartsFolder(target.path, target.format, target.is_folder, job)
    # Random inputs are drawn in the order of the rows, from the first one on.
    with folder.opened(options.force, continues=not model.session.random_inputs):
        _write_parts(folder, target, predictor, reports)


def refuse_data_as_output(model: TrainedModel, data: UserFiles, output: str | None) -> None:
    """Raises UsageError `is-an-input` if the output is one of the files that are read."""
    run_files = model.folder.iterdir() if model.folder else []
    data_files = [] if data == "-" else map(Path, expand_user_files(data))
    refuse_overwrite([*data_files, *run_files], [Path(output)] if output else [])


def _predicted(
    predictor: Predictor, reports: Reports, folder: PartsFolder | None = None
) -> Iterator[tuple[Predictions, Any]]:
    """The predictions of each part that is not finished, and the part."""
    done, start = (folder.progress.rows, folder.progress.place) if folder else (0, None)

    def on_samples(count: int) -> None:
        nonlocal done
        done += count
        reports.on_progress(done)

    names = folder.progress.columns if folder else ()
    for number, part in enumerate(predictor.parts(*([start] if start else []))):
        if not number or part.samples.damaged.count:
            tell_left_out(part.samples, reports.warn)
        first_row = done
        predictions = predictor.predict(part, on_samples)
        names = names or predictions.names
        yield predictions.in_order(names, first_row), part


def _write_parts(folder: PartsFolder, target: Output, predictor: Predictor, reports: Reports) -> None:
    """Writes each part when the next one is read: if there is only one, it is the output."""
    if folder.progress.parts:
        rows = f"{folder.progress.rows:,} rows are done"
        reports.on_status(f"continues the prediction in {str(folder.path)!r}: {rows}")
    last: tuple[bytes, int, Any, Sequence[str]] | None = None
    try:
        for predictions, part in _predicted(predictor, reports, folder):
            if last is not None:
                folder.add(*last)
            last = target.format.write(predictions), len(part.samples), part.end, predictions.names
        if last is not None and not folder.exists and not target.is_folder:
            write_atomically(target.path, last[0])
            return
        if last is not None:
            folder.add(*last)
        folder.finish()
    except KeyboardInterrupt:
        if folder.progress.parts:
            reports.on_status(continuation_text(folder, folder.progress.rows))
        raise


def continuation_text(folder: PartsFolder, rows: int) -> str:
    """How a prediction that was interrupted after some rows goes on."""
    done = f"{rows:,} rows are finished in {str(folder.path)!r}"
    return f"{done}; the same command continues, --force starts anew"


# -- the job -----------------------------------------------------------------------------------------------------------


def job_of(model: TrainedModel, predictor: Predictor, options: PredictOptions, runner: str = "local") -> Job:
    """What the parts of a prediction depend on."""
    path = model.path or Path()
    with open_file(RunPaths(path).model if model.folder else path) as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]
    return {
        "jsonnx": package_version(),
        "model": {"sha256": digest, "contents": model.session.metadata.get("jsonnx.digest")},
        "data": [_described_file(item) for item in predictor.stream.items],
        "options": {
            "runner": runner,
            "provider": model.session.provider.name,
            "threshold": options.threshold,
            "keep": options.keep,
            "input_format": options.input_format,
            "output_format": options.output_format,
            "part_rows": predictor.part_rows,
            "forecast": options.forecast,
        },
    }


def _described_file(item: DataItem) -> dict[str, Any]:
    """A data file, by what tells whether it has changed."""
    if item.members:
        return {name: [*map(_described_file, files)] for name, files in item.members.items()}
    name = os.path.abspath(item.name)
    if item.open_file is None:  # a folder of images, recordings or texts
        names = item.files or sorted(
            os.path.relpath(os.path.join(folder, file), name) for folder, _, files in os.walk(name) for file in files
        )
        base = os.path.abspath(item.folder.base)
        sizes = [(file, os.stat(os.path.join(base, file)).st_size) for file in names]
        return {"name": name, "files": len(names), "sha256": hashlib.sha256(repr(sizes).encode()).hexdigest()}
    with item.open_file() as file:
        try:
            state = os.fstat(file.fileno())
        except OSError:  # standard input
            return {"name": name, "sha256": hashlib.sha256(file.read()).hexdigest()}
    return {"name": name, "bytes": state.st_size, "modified_ns": state.st_mtime_ns}
