"""Commands about data: data, init, drift."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..core.diagnostics import UsageError
from ..core.files.user_files import UserFiles, files_text
from .common import (
    ALL_OPTION,
    DATA_ROOT_OPTION,
    EXIT_INVALID_INPUT,
    EXIT_USAGE_ERROR,
    FORMAT_OPTION,
    PROVIDER_OPTION,
    SCALE_OPTION,
    SET_OPTION,
    SPEC_ARGUMENT,
    UNVERIFIED_OPTION,
    checked_spec,
    handles_errors,
    print_diagnostics,
    print_document,
    print_result,
    print_status,
)
from .options import data_option

if TYPE_CHECKING:
    from ..pipeline.check.check import CheckedSpec
    from ..pipeline.first_spec.recognise_target import Task


@click.command()
@SPEC_ARGUMENT
@data_option("Describe FILE in place of the files that the spec names.")
@click.option(
    "--write-splits",
    metavar="DIR",
    help="Instead of a description, write the rows of the training, validation and test data to files in the new "
    "folder DIR, as they are in the spec's files (for a folder of images, lists of their names).",
)
@click.option(
    "--preview",
    metavar="FILE",
    help="Instead of a description, write a page (.html) or a picture (.png) of the first training images, each "
    "beside versions that the augmentation layers of the spec make of it.",
)
@DATA_ROOT_OPTION
@FORMAT_OPTION
@SCALE_OPTION
@SET_OPTION
@ALL_OPTION
@handles_errors
def data(
    spec: str,
    data: UserFiles | None,
    write_splits: str | None,
    preview: str | None,
    data_roots: tuple[str, ...],
    format_: str,
    scale: str | None,
    changes: tuple[str, ...],
) -> None:
    """Show what the data of a spec look like before training: columns, classes, equal samples, leaks, a batch.

    The exit status is 1 if training would refuse the data, 2 if a file cannot be read.
    """
    import json

    from ..pipeline.first_spec.describe_data import describe_data
    from ..render.results.data_description import data_description_json, data_description_text
    from ..render.text.terminal import line_width, shows_color

    if data == "":
        raise UsageError("bad-option", "--data= has no value", "name a file, or omit --data")
    if preview is not None:
        _write_preview(checked_spec(spec, changes, scale), preview, data, data_roots)
        return
    if write_splits is not None:
        _write_splits(checked_spec(spec, changes, scale), write_splits, data, data_roots)
        return
    description = describe_data(Path(spec) if spec != "-" else spec, data, changes, scale, data_roots)
    if format_ == "json":
        print_result(json.dumps(data_description_json(description), indent=2))
    else:
        text = data_description_text(description, shows_color(sys.stdout), line_width(sys.stdout))
        if text:
            print_result(text)
        if description.diagnostics:
            print_diagnostics(description.diagnostics, "text")
    has_error = any(item.severity == "error" for item in description.diagnostics)
    sys.exit(EXIT_USAGE_ERROR if description.has_unreadable_data else EXIT_INVALID_INPUT if has_error else 0)


def _write_preview(checked: CheckedSpec, file: str, data: UserFiles | None, data_roots: tuple[str, ...]) -> None:
    """Writes the preview of augmented images, and prints their number."""
    from ..pipeline.report.augmentation_preview import write_preview

    count = write_preview(checked, Path(file), data, data_roots)
    print_status(f"wrote {file}: {count} images")


def _write_splits(checked: CheckedSpec, folder: str, data: UserFiles | None, data_roots: tuple[str, ...]) -> None:
    """Writes the parts of the data, and prints the files and how to train on them."""
    import shlex

    from ..pipeline.train.write_splits import needed_roots, training_changes, write_splits

    written = write_splits(checked, Path(folder), data, data_roots)
    for part in written:
        print_result(f"wrote {files_text(part.files)}: {part.row_count:,} rows")
    command = ["jsonnx", "train", checked.source.file or "-"]
    for change in training_changes(checked, written):
        command += ["--set", f"training.data.{change}"]
    for root in needed_roots(checked, written):
        command += ["--data-root", root]
    print_status(f"next: {shlex.join(command)}")


@click.command()
@click.argument("data", metavar="DATA")
@click.option(
    "--target",
    "targets",
    metavar="COLUMN",
    multiple=True,
    help="Column to predict; repeatable: several columns of 0 and 1 are labels of which a row may have any. For a "
    "folder, the names of its subfolders are predicted.",
)
@click.option(
    "--task",
    type=click.Choice(["classification", "regression"]),
    help="Whether the target has classes or numbers; recognised from its values if omitted.",
)
@click.option(
    "-o", "--output", metavar="SPEC", help="Spec to write; - for standard output. Default: DATA with the suffix .json."
)
@click.option("--force", is_flag=True, help="Overwrite an existing spec.")
@handles_errors
def init(data: str, targets: tuple[str, ...], task: Task | None, output: str | None, force: bool) -> None:
    """Write a first spec that predicts columns of DATA, a data file or a folder of images or texts.

    The types of columns are recognised; they and the number of rows decide on preprocessing, network, loss, metrics and
    split.
    """
    import shlex

    from ..core.files.files import refuse_overwrite, write_atomically
    from ..pipeline.first_spec.init_spec import default_spec_name, init_spec

    output = default_spec_name(data) if output is None else output
    is_file = output != "-"
    if is_file:
        refuse_overwrite([Path(data)], [Path(output)])
        if os.path.lexists(output) and not force:
            raise UsageError("file-exists", f"{output!r} exists", "give another file with -o, or add --force")
    initial = init_spec(data, targets, task, Path(output).parent if is_file else Path())
    for note in initial.notes:
        print_status(note)
    if not is_file:
        print_document(initial.text.rstrip("\n"))
        return
    write_atomically(output, initial.text.encode())
    print_status(f"wrote {output}: {initial.summary}")
    spec = shlex.quote(output)
    root = f" --data-root {shlex.quote(initial.data_root)}" if initial.data_root else ""
    name = shlex.quote(Path(output).name.partition(".")[0])
    print_status(f"next:\n  jsonnx data {spec}{root}\n  jsonnx train {spec} -o runs/{name}{root}")


@click.command()
@click.argument("run", metavar="RUN")
@data_option(
    "Data to compare: a file, a folder of tables, images, recordings or texts, or a pattern in quotes; - is "
    "standard input.",
    required=True,
)
@click.option(
    "--input-format",
    type=click.Choice(["csv", "tsv", "json", "jsonl"]),
    help="Format of the data, instead of the file's suffix; csv on standard input if omitted.",
)
@click.option(
    "--threshold",
    type=click.FloatRange(0, min_open=True),
    default=0.25,
    show_default=True,
    help="Population stability index from which the exit status is 1, if chance does not explain it.",
)
@FORMAT_OPTION
@PROVIDER_OPTION
@UNVERIFIED_OPTION
@ALL_OPTION
@handles_errors
def drift(
    run: str, data: UserFiles, input_format: str | None, threshold: float, format_: str, provider: str, unverified: bool
) -> None:
    """Compare data, and their predictions, with the training data of a run: drift, missing and unknown values.

    The exit status is 1 if a column or a prediction has drifted.
    """
    import json

    from ..pipeline.predict.data_drift import MEANING_NOTE, data_drift, drift_diagnostics
    from ..pipeline.run.trained_model import TrainedModel
    from ..render.results.drift_text import drift_json, drift_text
    from ..render.results.progress import SampleCounter
    from ..render.text.terminal import line_width, shows_color

    model = TrainedModel.open(Path(run), provider, not unverified)
    with SampleCounter() as counter:
        found = data_drift(model, data, input_format, counter.show)
    drifted = found.exceeding(threshold)
    if format_ == "json":
        counts = {"rows": found.rows, "predicted_rows": found.predicted_rows, "training_rows": found.statistics.rows}
        document = drift_json(found.columns, found.outputs, drifted, **counts, threshold=threshold)
        print_result(json.dumps(document, indent=2))
    else:
        print_result(drift_text(found.columns, found.outputs, shows_color(sys.stdout), line_width(sys.stdout)))
        print_status(f"{found.rows:,} rows, compared with {found.statistics.rows:,} of the training data")
        if refused := found.rows - found.predicted_rows:
            print_status(f"{refused:,} of them are not predicted: the model refuses some of their values")
        print_status(MEANING_NOTE)
        if drifted:
            print_diagnostics(drift_diagnostics(run, found, threshold), "text")
    sys.exit(EXIT_INVALID_INPUT if drifted else 0)
