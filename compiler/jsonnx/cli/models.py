"""Commands that create and use models: compile, predict, inspect."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from ..core.diagnostics import UsageError
from ..core.files.user_files import UserFiles
from .budget import budget_options
from .common import (
    ALL_OPTION,
    FORMAT_OPTION,
    PARTIAL_OPTION,
    PROVIDER_OPTION,
    PROVIDER_OPTIONS_OPTION,
    SCALE_OPTION,
    SEED_TYPE,
    SET_OPTION,
    SPEC_ARGUMENT,
    UNVERIFIED_OPTION,
    checked_spec,
    handles_errors,
    print_diagnostics,
    print_document,
    print_provider_choice,
    print_result,
    print_status,
    print_weights_report,
)
from .options import MAX_WORKERS, TARGET_OPTION, address_option, data_option, require_distributed

if TYPE_CHECKING:
    from ..pipeline.compile.model import Model

MAX_COMPRESSED_BYTES = 100 * 1000**2
"""Maximum size of a model whose download size is computed, in bytes: compression takes a few seconds."""

_print_notes = partial(print_diagnostics, format_="text")


@click.command()
@SPEC_ARGUMENT
@click.option("-o", "--output", required=True, metavar="MODEL.onnx", help="File to write; with --training, a folder.")
@click.option(
    "--weights",
    metavar="FILE",
    help="Weights of the model (.safetensors, .npz, .keras or .h5, or a RUN folder) instead of the spec's or the "
    "initial ones; or a folder with an adapter of PEFT for these.",
)
@PARTIAL_OPTION
@UNVERIFIED_OPTION
@click.option("--seed", type=SEED_TYPE, help="Seed of the initial weights; the spec's seed if omitted.")
@TARGET_OPTION
@budget_options()
@click.option(
    "--inputs",
    multiple=True,
    metavar="NAMES",
    help="Compile the part of the network behind these layers (names separated by commas), whose values it takes.",
)
@click.option(
    "--outputs",
    multiple=True,
    metavar="NAMES",
    help="Compile the part of the network up to these layers (names separated by commas).",
)
@click.option("--training", is_flag=True, help="Write train_step.onnx, model.onnx and manifest.json to a folder.")
@SCALE_OPTION
@SET_OPTION
@ALL_OPTION
@handles_errors
def compile(
    spec: str,
    output: str,
    weights: str | None,
    partial: bool,
    unverified: bool,
    seed: int | None,
    target: str,
    inputs: tuple[str, ...],
    outputs: tuple[str, ...],
    training: bool,
    scale: str | None,
    changes: tuple[str, ...],
    limits: Mapping[str, Any],
) -> None:
    """Compile a spec to an ONNX model. If it exceeds the budget of the spec or of the options, nothing is written.

    Labels and thresholds of the outputs, if it has any, are also written beside the model, to NAME.labels.json.
    """
    from ..core.diagnostics import CompileError
    from ..core.files.files import refuse_overwrite
    from ..core.files.run_layout import labels_path
    from ..pipeline.compile.check_budget import check_budget
    from ..pipeline.compile.compile import compile_checked, compile_part
    from ..pipeline.compile.initial_weights import possible_weight_files
    from ..pipeline.compile.network_part import network_part
    from ..pipeline.train.training_export import training_files, write_training_folder
    from ..pipeline.validate.check_model_budget import check_model_budget

    if training and (inputs or outputs):
        raise UsageError("bad-option", "--training writes the whole network", "leave out --inputs and --outputs")
    checked = checked_spec(spec, changes, scale)
    files = (
        [Path(output) / name for name in training_files(checked)]
        if training
        else [Path(output), labels_path(Path(output))]
    )
    refuse_overwrite([*checked.files, *possible_weight_files(weights)], files)
    if inputs or outputs:
        part = network_part(checked, split_names(inputs), split_names(outputs))
        over_budget = check_budget(part.checked, limits)
        model = compile_part(checked, part, weights, seed, partial=partial, verify=not unverified, target=target)
    else:
        over_budget = check_budget(checked, limits)
        model = compile_checked(checked, weights, seed, partial=partial, verify=not unverified, target=target)
    if model.weights_report is not None:
        print_weights_report(model.weights_report)
    model.verify()
    over_budget += check_model_budget(checked, model, limits)
    if over_budget:
        raise CompileError(over_budget)
    if training:
        write_training_folder(checked, model, seed, Path(output), target)
        print_status(f"wrote {output}")
        return
    model.save(output)
    print_status(f"wrote {output} ({_size_text(model, target)})")


def _size_text(model: Model, target: str) -> str:
    """The size of a model and, for browsers, the size of its download, unless compression takes long."""
    from ..core.limits import bytes_text
    from ..core.providers.known_providers import PROVIDERS

    size = bytes_text(model.size_bytes)
    is_download = target in PROVIDERS and PROVIDERS[target].runs_in_browsers
    if not is_download or model.size_bytes > MAX_COMPRESSED_BYTES:
        return size
    return f"{size}, {bytes_text(model.gzip_bytes())} with gzip"


def split_names(texts: Sequence[str]) -> list[str]:
    """The names in texts that separate them by commas."""
    return [name.strip() for text in texts for name in text.split(",") if name.strip()]


@click.command()
@click.argument("run", metavar="RUN_OR_MODEL")
@click.argument("files", metavar="[FILE]", nargs=-1)
@data_option(
    "Input data: a file, a folder of tables, images, recordings or texts, or a pattern in quotes; - is standard input. "
    "May also follow the model without `--data`."
)
@click.option(
    "--input-format",
    type=click.Choice(["csv", "tsv", "json", "jsonl"]),
    help="Format of the data, instead of the file's suffix; csv on standard input if omitted.",
)
@click.option(
    "-o",
    "--output",
    metavar="OUT",
    help="File to write: .csv, .json, .jsonl, .npz or .parquet, or a folder of parts, whose name ends in /; CSV on "
    "standard output if omitted.",
)
@click.option(
    "--output-format",
    type=click.Choice(["csv", "jsonl", "parquet"]),
    help="Format of the parts in a folder; parquet if omitted.",
)
@click.option(
    "--force",
    is_flag=True,
    help="Start anew if the prediction was interrupted, in place of going on with its finished parts.",
)
@click.option(
    "--id",
    "ids",
    multiple=True,
    metavar="COLUMN",
    help="Write this column of the data beside the results. May be repeated.",
)
@click.option("--with-inputs", is_flag=True, help="Write all columns of the data beside the results.")
@click.option(
    "--last",
    "forecast",
    flag_value="last",
    help="For time series, predict only what follows the last known row of each, with a row and a time for each step.",
)
@click.option(
    "--long",
    "forecast",
    flag_value="long",
    help="For time series, write a row for each step that a window predicts, with its series and its time.",
)
@click.option(
    "--distributed",
    type=click.Choice(["ray"]),
    help="Predict on the workers of a Ray cluster, to the same file; all nodes need model, data and output at the same "
    "paths.",
)
@click.option(
    "--workers",
    type=click.IntRange(1, MAX_WORKERS),
    metavar="N",
    help="With --distributed, the number of workers; one CPU of the cluster must remain free. [default: 1]",
)
@address_option("prediction")
@click.option(
    "--cpus-per-worker",
    type=click.IntRange(1, 4096),
    metavar="N",
    help="With --distributed, the CPUs that each worker reserves, and its threads. [default: 1]",
)
@click.option(
    "--threshold",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    help="Probability above which a sigmoid output predicts a class; the model's threshold, or else 0.5, if omitted.",
)
@click.option(
    "--seed", type=SEED_TYPE, default=0, show_default=True, help="Seed of the model's random inputs, if it has any."
)
@PROVIDER_OPTION
@PROVIDER_OPTIONS_OPTION
@UNVERIFIED_OPTION
@ALL_OPTION
@handles_errors
def predict(
    run: str,
    files: tuple[str, ...],
    data: UserFiles | None,
    input_format: str | None,
    output: str | None,
    output_format: str | None,
    force: bool,
    ids: tuple[str, ...],
    with_inputs: bool,
    forecast: Literal["last", "long"] | None,
    distributed: str | None,
    workers: int | None,
    address: str | None,
    cpus_per_worker: int | None,
    threshold: float | None,
    seed: int,
    provider: str,
    provider_options: tuple[str, ...],
    unverified: bool,
) -> None:
    """Compute the outputs of a trained model for input data."""
    from ..pipeline.predict.predict import Reports
    from ..pipeline.predict.predict import predict as predict_data
    from ..pipeline.predict.predictor import PredictOptions
    from ..pipeline.run.trained_model import TrainedModel
    from ..render.results.progress import SampleCounter
    from ..runtime.providers.provider_options import parse_assignments

    data = _one_file(files, data)
    if ids and with_inputs:
        raise UsageError("bad-option", "--id and --with-inputs exclude each other", "--with-inputs writes all columns")
    require_distributed(
        distributed,
        "a prediction on a cluster",
        {"--workers": workers, "--address": address, "--cpus-per-worker": cpus_per_worker},
    )
    options = PredictOptions(threshold, None if with_inputs else ids, input_format, output_format, force, forecast)
    print_provider_choice(provider)
    run_options = parse_assignments(provider_options)
    model = TrainedModel.open(Path(run), provider, not unverified, provider_options=run_options, seed=seed)
    with SampleCounter() as counter:
        reports = Reports(print_result, counter.show, print_status, _print_notes)
        if distributed is None:
            predict_data(model, data, output, options, reports)
            return
        from ..ray.scoring import ScoringWorkers, predict_on_ray

        scoring_workers = ScoringWorkers(workers or 1, cpus_per_worker or 1, address)
        predict_on_ray(model, data, output, options, scoring_workers, reports)


def _one_file(files: Sequence[str], data: UserFiles | None) -> UserFiles:
    """The data that are named with or without `--data`. Raises UsageError unless they are named once."""
    named = [*files, *([] if data is None else [data])]
    if not named:
        raise UsageError("bad-option", "no data to predict are named", "add --data FILE; - is standard input")
    if len(named) > 1:
        help = "name a folder, or a pattern in quotes, such as --data 'photos/*.jpg'"
        raise UsageError("bad-option", f"{len(named)} files are named, and one is predicted at a time", help)
    return named[0]


@click.command()
@click.argument("model", metavar="MODEL.onnx")
@click.option("--spec", "output", metavar="OUT.json", help="Write the model's spec to a file; - prints only the spec.")
@FORMAT_OPTION
@handles_errors
def inspect(model: str, output: str | None, format_: str) -> None:
    """Show signature, labels, versions and spec of an ONNX model."""
    import json

    from ..core.files.files import refuse_overwrite, write_atomically
    from ..interop.model_info import inspect_model
    from ..render.networks.model_info_text import inspection_json, inspection_text

    model_info = inspect_model(model)
    warnings = model_info.warnings()
    if warnings:
        print_diagnostics(warnings, "text")
    if output == "-":
        print_document(model_info.spec_text.rstrip("\n"))
        return
    if output:
        refuse_overwrite([Path(model)], [Path(output)])
        write_atomically(output, model_info.spec_text.encode())
        print_status(f"wrote {output}")
    is_json = format_ == "json"
    print_result(json.dumps(inspection_json(model_info), indent=2) if is_json else inspection_text(model_info))
