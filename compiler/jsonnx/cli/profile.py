"""The command profile."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from ..core.diagnostics import UsageError
from .common import (
    ALL_OPTION,
    DATA_ROOT_OPTION,
    FORMAT_OPTION,
    PROVIDER_OPTION,
    PROVIDER_OPTIONS_OPTION,
    SCALE_OPTION,
    SET_OPTION,
    UNVERIFIED_OPTION,
    handles_errors,
    print_provider_choice,
    print_result,
    print_status,
)


@click.command(short_help="Show where the time of a network goes, by layer, operator or node.")
@click.argument("spec_or_model", metavar="SPEC_OR_MODEL")
@click.option("--training", is_flag=True, help="Measure steps of training instead of runs of the model.")
@click.option(
    "--data",
    metavar="FILE",
    help="Samples to run; if omitted, the spec's training data, and drawn inputs for runs of the model.",
)
@DATA_ROOT_OPTION
@click.option(
    "--weights",
    metavar="FILE",
    help="Weights to compute with, a file or a RUN folder, instead of the spec's weights or the initial ones.",
)
@click.option(
    "--batch-size",
    type=click.IntRange(min=1),
    metavar="N",
    help="Samples in a step or run; if omitted, the spec's batch size for a step, and 1 for a run.",
)
@click.option(
    "--steps", type=click.IntRange(1, 10_000), default=20, show_default=True, help="Steps or runs to measure."
)
@click.option(
    "--by",
    type=click.Choice(["layer", "op", "node"]),
    default="layer",
    show_default=True,
    help="What a row of the table is: a layer, an operator or a node.",
)
@click.option("--top", type=click.IntRange(min=1), metavar="N", help="Show the N rows with the longest times.")
@click.option("--trace", "trace_file", metavar="FILE", help="Also write all events to a file, for Perfetto or Chrome.")
@PROVIDER_OPTION
@PROVIDER_OPTIONS_OPTION
@click.option("--threads", type=click.IntRange(1, 256), metavar="N", help="Number of threads; all CPUs if omitted.")
@UNVERIFIED_OPTION
@FORMAT_OPTION
@SCALE_OPTION
@SET_OPTION
@ALL_OPTION
@handles_errors
def profile(
    spec_or_model: str,
    training: bool,
    data: str | None,
    data_roots: tuple[str, ...],
    weights: str | None,
    batch_size: int | None,
    steps: int,
    by: str,
    top: int | None,
    trace_file: str | None,
    provider: str,
    provider_options: tuple[str, ...],
    threads: int | None,
    unverified: bool,
    format_: str,
    scale: str | None,
    changes: tuple[str, ...],
) -> None:
    """Show where the time of a network goes: by layer, operator or node.

    Runs the model of a spec, of a RUN folder or of an ONNX file; with --training, steps of training on the data of a
    spec or of a RUN folder, of which nothing is kept. The first steps are not measured. Each node that onnxruntime runs
    is timed, also fused ones, and belongs to the layer that it was emitted for.
    """
    from ..core.files.files import refuse_overwrite
    from ..pipeline.inspect.profile_network import ProfileOptions, profile_model, profile_training
    from ..render.results.profile_text import profile_json, profile_text
    from ..render.text.terminal import line_width, shows_color
    from ..runtime.providers.provider_options import parse_assignments

    if training and Path(spec_or_model).suffix.lower() == ".onnx":
        help = "name the spec or the RUN folder that it is from"
        raise UsageError("bad-option", "--training needs a spec: an ONNX model has no training step", help)
    if trace_file is not None:
        refuse_overwrite([Path(name) for name in (spec_or_model, data) if name], [Path(trace_file)])
    print_provider_choice(provider)
    options = ProfileOptions(
        steps,
        batch_size,
        data,
        weights,
        provider,
        parse_assignments(provider_options),
        threads,
        changes,
        scale,
        data_roots,
        not unverified,
        trace_file,
    )
    found = (profile_training if training else profile_model)(spec_or_model, options)
    if format_ == "json":
        print_result(profile_json(found))
    else:
        print_result(profile_text(found, by, top, shows_color(sys.stdout), line_width(sys.stdout)))
    if trace_file is not None:
        print_status(f"wrote {trace_file}")
