"""The command quantize."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..core.diagnostics import CompileError, UsageError
from ..core.files.user_files import UserFiles
from ..sections.quantization_section import PRECISIONS, Precision
from .budget import budget_options
from .common import (
    ALL_OPTION,
    DATA_ROOT_OPTION,
    FORMAT_OPTION,
    UNVERIFIED_OPTION,
    handles_errors,
    print_diagnostics,
    print_result,
    print_status,
)
from .options import FILES_SETTINGS, TARGET_OPTION, data_option

if TYPE_CHECKING:
    from ..core.diagnostics import Diagnostic
    from ..pipeline.quantize.quantization import QuantizedModel
    from ..pipeline.quantize.variant_search import Attempt

_print_notes = partial(print_diagnostics, format_="text")


@click.command(short_help="Quantize a model, and compare it with the float model.")
@click.argument("run", metavar="RUN_OR_MODEL")
@click.option("-o", "--output", required=True, metavar="MODEL.onnx", help="File to write.")
@click.option(
    "--precision",
    type=click.Choice(PRECISIONS),
    help="Element types: 8-bit weights and activations, with ranges that are measured on samples (int8) or in each run "
    "(int8-dynamic), 16-bit floats, or only weights of 8 or 4 bits; int8 if omitted.",
)
@click.option(
    "--variant", metavar="NAME", help="A variant of the spec's section `quantization`, instead of --precision."
)
@click.option(
    "--spec",
    metavar="SPEC",
    help="The spec with the variant, if it was added or changed after training; that of the run if omitted.",
)
@click.option(
    "--tolerance",
    "tolerances",
    multiple=True,
    metavar="METRIC=NUMBER",
    help="How much worse than the float model the quantized one may be, by a metric, or by max_difference or "
    "mean_difference of the outputs. May be repeated; by default that of the variant, or 1 % of the first metric.",
)
@data_option("Samples for measuring ranges, for int8; if omitted, training data of the run's spec.")
@click.option(
    "--validation-data",
    metavar="FILE",
    help="Samples for comparing the models; if omitted, the test data of the run's spec, or else its validation data.",
    **FILES_SETTINGS,
)
@TARGET_OPTION
@budget_options(network=False)
@DATA_ROOT_OPTION
@UNVERIFIED_OPTION
@FORMAT_OPTION
@ALL_OPTION
@handles_errors
def quantize(
    run: str,
    output: str,
    precision: Precision | None,
    variant: str | None,
    spec: str | None,
    tolerances: tuple[str, ...],
    data: UserFiles | None,
    validation_data: UserFiles | None,
    target: str,
    limits: Mapping[str, Any],
    data_roots: tuple[str, ...],
    unverified: bool,
    format_: str,
) -> None:
    """Convert a model to smaller element types, and compare it with the float model.

    Both models are evaluated on the same data. If the quantized one exceeds the tolerance, the command tries a scale
    for each channel, another element type of activations, other methods of calibration, and then more and more of the
    most sensitive layers in floating point. If no attempt is within the tolerance, nothing is written.
    """
    import json

    from ..core.files.files import refuse_overwrite, require_writable_folder
    from ..core.files.run_layout import labels_path
    from ..pipeline.quantize.quantize import quantize_model
    from ..pipeline.quantize.quantize_options import QuantizeOptions
    from ..pipeline.quantize.tolerance import parse_tolerances

    if precision is not None and variant is not None:
        help = "leave out --precision: a variant has one"
        raise UsageError("bad-option", "--precision and --variant exclude each other", help)
    if spec is not None and variant is None:
        raise UsageError("bad-option", "--spec has no effect without --variant", "add --variant or leave out --spec")
    options = QuantizeOptions(
        precision,
        variant,
        spec,
        parse_tolerances(tolerances),
        data,
        validation_data,
        target,
        data_roots,
        not unverified,
    )
    refuse_overwrite(_read_files(run, data, validation_data), [Path(output), labels_path(Path(output))])
    require_writable_folder(Path(output))
    result = quantize_model(Path(run), options, _print_attempt, _print_notes)
    over_budget = _over_budget(result, limits)
    if over_budget:
        raise CompileError(over_budget)
    result.save(output)
    if format_ == "json":
        print_result(json.dumps({"file": output, **result.report}, indent=2))
    else:
        _print_report(result)
    print_status(f"wrote {output}")


def _read_files(run: str, *data: UserFiles | None) -> list[Path]:
    """The files that the command reads."""
    from ..core.files.run_layout import RunPaths
    from ..core.files.user_files import file_names

    named = [Path(name) for files in data if files is not None for name in file_names(files)]
    paths = RunPaths(Path(run))
    return [Path(run), paths.model, paths.weights, *named]


def _over_budget(result: QuantizedModel, limits: Mapping[str, Any]) -> list[Diagnostic]:
    """Errors for the limits of the spec and of the options that the model exceeds. Raises UsageError for limits on a
    model without a RUN folder."""
    from ..pipeline.compile.model import Model
    from ..pipeline.validate.check_model_budget import check_model_budget

    if isinstance(result.model, Model):
        return check_model_budget(result.model.checked, result.model, limits)
    if limits:
        message = "--target and limits of the model need the RUN folder of the model"
        raise UsageError("bad-option", message, "`jsonnx providers MODEL.onnx` shows where the nodes of a file run")
    return []


def _print_attempt(attempt: Attempt) -> None:
    from ..pipeline.quantize.quantization import attempt_json
    from ..render.results.quantization_text import attempt_text

    print_status(attempt_text(attempt_json(attempt)))


def _print_report(result: QuantizedModel) -> None:
    from ..render.results.quantization_text import quantization_text
    from ..render.text.terminal import line_width, shows_color

    print_result(
        quantization_text(result.report, result.compared_text, shows_color(sys.stdout), line_width(sys.stdout))
    )
