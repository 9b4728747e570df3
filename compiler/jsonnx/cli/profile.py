"""The command profile."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from ..core.diagnostics import UsageError
from ..core.files.user_files import UserFiles, file_names
from .common import (
    ALL_OPTION,
    DATA_ROOT_OPTION,
    EXIT_INVALID_INPUT,
    FORMAT_OPTION,
    PROVIDER_OPTION,
    PROVIDER_OPTIONS_OPTION,
    SCALE_OPTION,
    SET_OPTION,
    UNVERIFIED_OPTION,
    handles_errors,
    print_diagnostics,
    print_provider_choice,
    print_result,
    print_status,
)
from .options import data_option

if TYPE_CHECKING:
    from ..pipeline.inspect.profile_network import ProfileOptions

Value = TypeVar("Value")

MAX_WORKERS = 100_000
MAX_BATCH_SIZE = 100_000


@click.command(short_help="Show where the time of a network goes, by layer, operator or node.")
@click.argument("spec_or_model", metavar="SPEC_OR_MODEL")
@click.option("--training", is_flag=True, help="Measure steps of training instead of runs of the model.")
@data_option(
    "Samples to run; if omitted, the spec's training data, and drawn inputs for runs of the model.",
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
    "--steps",
    type=click.IntRange(1, 10_000),
    default=20,
    show_default=True,
    help="Steps or runs to measure; with --batch-sizes, the minimum number of runs.",
)
@click.option(
    "--by",
    type=click.Choice(["layer", "op", "node"]),
    default="layer",
    show_default=True,
    help="What a row of the table is: a layer, an operator or a node.",
)
@click.option("--top", type=click.IntRange(min=1), metavar="N", help="Show the N rows with the longest times.")
@click.option(
    "--batch-sizes",
    metavar="N,N...",
    help="Measure latency percentiles, throughput and memory of the model with batches of these numbers of samples.",
)
@click.option(
    "--require",
    "requirements",
    multiple=True,
    metavar="FIGURE<AMOUNT",
    help="With --batch-sizes: exit with status 1 unless a figure keeps this bound, in quotes: 'p95<5ms', "
    "'p95@32<20ms', 'throughput>=1000' or 'memory<500MB'. May be repeated.",
)
@click.option(
    "--workers",
    metavar="N,N...",
    help="Predict distributed training by these numbers of workers, from steps of one worker that are measured here.",
)
@click.option(
    "--bandwidth",
    metavar="RATE",
    default="10Gbit",
    show_default=True,
    help="With --workers: what each worker sends and receives per second, such as 100Mbit or 1.25GB.",
)
@click.option(
    "--latency",
    metavar="TIME",
    default="50us",
    show_default=True,
    help="With --workers: the time from a worker to another one, such as 50us or 5ms.",
)
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
    data: UserFiles | None,
    data_roots: tuple[str, ...],
    weights: str | None,
    batch_size: int | None,
    steps: int,
    by: str,
    top: int | None,
    batch_sizes: str | None,
    requirements: tuple[str, ...],
    workers: str | None,
    bandwidth: str,
    latency: str,
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

    With --batch-sizes, it measures the latency and the throughput of a model, and the memory of a process that only
    loads and runs it.

    With --workers, it predicts the steps of a distributed training: their time, what workers send, and how many of them
    pay.
    """
    from ..core.files.files import refuse_overwrite
    from ..pipeline.inspect.profile_network import ProfileOptions, profile_model, profile_training
    from ..render.results.profile_text import profile_json, profile_text
    from ..render.text.terminal import line_width, shows_color
    from ..runtime.providers.provider_options import parse_assignments

    if batch_sizes is not None:
        others = {"--training": training, "--workers": workers, "--batch-size": batch_size, "--top": top}
        _refuse_options({**others, "--trace": trace_file}, "--batch-sizes")
    elif requirements:
        raise UsageError("bad-option", "--require has no effect without --batch-sizes", "add --batch-sizes 1")
    if workers is not None:
        _refuse_options({"--trace": trace_file}, "--workers")
    if (training or workers is not None) and Path(spec_or_model).suffix.lower() == ".onnx":
        option, help = "--training" if training else "--workers", "name the spec or the RUN folder that it is from"
        raise UsageError("bad-option", f"{option} needs a spec: an ONNX model has no training step", help)
    if trace_file is not None:
        refuse_overwrite(list(map(Path, [spec_or_model, *file_names(data)])), [Path(trace_file)])
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
    if batch_sizes is not None:
        _measure_latency(spec_or_model, options, batch_sizes, requirements, format_)
        return
    if workers is not None:
        _predict_scaling(spec_or_model, options, workers, (bandwidth, latency), format_)
        return
    found = (profile_training if training else profile_model)(spec_or_model, options)
    if format_ == "json":
        print_result(profile_json(found))
    else:
        print_result(profile_text(found, by, top, shows_color(sys.stdout), line_width(sys.stdout)))
    if trace_file is not None:
        print_status(f"wrote {trace_file}")


def _refuse_options(options: Mapping[str, object], mode: str) -> None:
    """Raises UsageError for the first of the given options, which have no effect with the option `mode`."""
    for option, value in options.items():
        if value:
            raise UsageError("bad-option", f"{option} has no effect with {mode}", "leave one of them out")


def _measure_latency(
    model: str, options: ProfileOptions, batch_sizes: str, requirements: tuple[str, ...], format_: str
) -> None:
    from ..pipeline.inspect.measure_latency import measure_latency
    from ..pipeline.inspect.required_latency import LatencyBound, check_latency, require_batch_sizes
    from ..render.results.latency_text import latency_json, latency_text
    from ..render.text.terminal import line_width, shows_color

    sizes = _option("--batch-sizes", partial(_numbers, MAX_BATCH_SIZE), batch_sizes)
    bounds = [LatencyBound.parse(text) for text in requirements]
    require_batch_sizes(bounds, sizes)
    measured = measure_latency(model, sizes, options)
    if format_ == "json":
        print_result(latency_json(measured))
    else:
        print_result(latency_text(measured, shows_color(sys.stdout), line_width(sys.stdout)))
    failures = check_latency(measured, bounds)
    if failures:
        print_diagnostics(failures, "text")
        sys.exit(EXIT_INVALID_INPUT)


def _predict_scaling(
    spec_or_run: str, options: ProfileOptions, workers: str, link: tuple[str, str], format_: str
) -> None:
    from ..core.quantities import parse_bandwidth, parse_seconds
    from ..pipeline.inspect.measure_scaling import measure_scaling
    from ..render.results.scaling_text import scaling_json, scaling_text
    from ..render.text.terminal import line_width, shows_color
    from ..runtime.profile.scaling_model import Link

    parsed = Link(_option("--bandwidth", parse_bandwidth, link[0]), _option("--latency", parse_seconds, link[1]))
    counts = _option("--workers", partial(_numbers, MAX_WORKERS), workers)
    scaling = measure_scaling(spec_or_run, options, counts, parsed)
    if format_ == "json":
        print_result(scaling_json(scaling))
    else:
        print_result(scaling_text(scaling, shows_color(sys.stdout), line_width(sys.stdout)))


def _option(name: str, parse: Callable[[str], Value], text: str) -> Value:
    try:
        return parse(text)
    except ValueError as error:
        raise UsageError("bad-option", f"{name}: {error}") from None


def _numbers(maximum: int, text: str) -> list[int]:
    """Different numbers in ascending order."""
    numbers = [part.strip() for part in text.split(",")]
    if not all(re.fullmatch("[0-9]{1,6}", number) and 1 <= int(number) <= maximum for number in numbers):
        raise ValueError(f"expected numbers from 1 to {maximum:,}, such as 1,8,64, got {text[:40]!r}")
    return sorted({int(number) for number in numbers})
