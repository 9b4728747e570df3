"""Commands that create and use models: compile, train, evaluate, predict, inspect."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from ..core.diagnostics import UsageError
from .common import (
    DATA_ROOT_OPTION,
    FORMAT_OPTION,
    PARTIAL_OPTION,
    PROVIDER_OPTION,
    SCALE_OPTION,
    SEED_TYPE,
    SET_OPTION,
    SPEC_ARGUMENT,
    UNVERIFIED_OPTION,
    checked_spec,
    handles_errors,
    print_diagnostics,
    print_result,
    print_status,
    print_weights_report,
)


@click.command()
@SPEC_ARGUMENT
@click.option("-o", "--output", required=True, metavar="MODEL.onnx", help="File to write; with --training, a folder.")
@click.option(
    "--weights",
    metavar="FILE",
    help="Weights of the model (.safetensors, .npz, .keras or .h5, or a RUN folder) instead of the spec's or the "
    "initial ones.",
)
@PARTIAL_OPTION
@UNVERIFIED_OPTION
@click.option("--seed", type=SEED_TYPE, help="Seed of the initial weights; the spec's seed if omitted.")
@click.option("--training", is_flag=True, help="Write train_step.onnx, model.onnx and manifest.json to a folder.")
@SCALE_OPTION
@SET_OPTION
@handles_errors
def compile(
    spec: str,
    output: str,
    weights: str | None,
    partial: bool,
    unverified: bool,
    seed: int | None,
    training: bool,
    scale: str | None,
    changes: tuple[str, ...],
) -> None:
    """Compile a spec to an ONNX model."""
    from ..core.files import refuse_overwrite
    from ..pipeline.compile import compile_checked
    from ..pipeline.initial_weights import possible_weight_files
    from ..pipeline.training_export import training_files, write_training_folder

    checked = checked_spec(spec, changes, scale)
    outputs = [Path(output) / name for name in training_files(checked)] if training else [Path(output)]
    refuse_overwrite([*checked.files, *possible_weight_files(weights)], outputs)
    model = compile_checked(checked, weights, seed, partial=partial, verify=not unverified)
    if model.weights_report is not None:
        print_weights_report(model.weights_report)
    model.verify()
    if training:
        write_training_folder(checked, model, seed, Path(output))
    else:
        model.save(output)
    print_status(f"wrote {output}")


@click.command()
@SPEC_ARGUMENT
@click.option("-o", "--output", metavar="RUN", help="Folder to write; runs/NAME if omitted.")
@click.option(
    "--resume", is_flag=True, help="Continue from the folder's last checkpoint; start if there is no run yet."
)
@click.option("--exact", is_flag=True, help="Resume only if the result is the same bit for bit.")
@click.option(
    "--on-save-error",
    type=click.Choice(["stop", "continue"]),
    default="stop",
    show_default=True,
    help="Whether the run ends if a checkpoint cannot be written, or goes on and tries again.",
)
@click.option(
    "--weights",
    metavar="FILE",
    help="Start from these weights, a file or a RUN folder, instead of the spec's weights or the initial ones.",
)
@PARTIAL_OPTION
@UNVERIFIED_OPTION
@click.option("--seed", type=SEED_TYPE, help="Override the spec's seed.")
@click.option("--data", metavar="FILE", help="Train on this file instead of the spec's training file.")
@click.option("--validation-data", metavar="FILE", help="Validate on this file instead of the spec's validation data.")
@DATA_ROOT_OPTION
@click.option("--force", is_flag=True, help="Replace an existing run in the folder.")
@click.option("--quiet", is_flag=True, help="Show no progress.")
@PROVIDER_OPTION
@SCALE_OPTION
@SET_OPTION
@handles_errors
def train(
    spec: str,
    output: str | None,
    resume: bool,
    exact: bool,
    on_save_error: str,
    weights: str | None,
    partial: bool,
    unverified: bool,
    seed: int | None,
    data: str | None,
    validation_data: str | None,
    data_roots: tuple[str, ...],
    force: bool,
    quiet: bool,
    provider: str,
    scale: str | None,
    changes: tuple[str, ...],
) -> None:
    """Train a network on the data that its spec names, or on FILE."""
    from ..pipeline.run_data import DataFiles
    from ..pipeline.training_run import RunOptions
    from ..pipeline.training_run import train as run
    from ..render.progress import progress_display

    checked = checked_spec(spec, changes, scale, has_validation_data=validation_data is not None)
    with progress_display(0 if quiet else 1) as display:
        outcome = run(
            checked,
            Path(output) if output else Path("runs") / checked.network.name,
            RunOptions(
                provider,
                seed,
                weights,
                partial,
                resume,
                force,
                exact,
                on_save_error == "continue",
                not unverified,
                DataFiles(data, validation_data),
                data_roots,
            ),
            callbacks=[display],
            warn=lambda diagnostics: print_diagnostics(diagnostics, "text") if diagnostics else None,
            on_weights_resolved=print_weights_report,
        )
    for line in outcome.summary_lines():
        print_result(line)
    sys.exit(outcome.exit_status)


@click.command()
@click.argument("run", metavar="RUN_OR_MODEL")
@click.option("--data", metavar="FILE", help="Data to evaluate on; the spec's test data if omitted.")
@DATA_ROOT_OPTION
@PROVIDER_OPTION
@UNVERIFIED_OPTION
@FORMAT_OPTION
@handles_errors
def evaluate(
    run: str, data: str | None, data_roots: tuple[str, ...], provider: str, unverified: bool, format_: str
) -> None:
    """Compute loss and metrics of a trained model on data."""
    import json

    from ..pipeline.prediction_files import json_numbers
    from ..pipeline.trained_model import TrainedModel

    metrics = TrainedModel.open(Path(run), provider, not unverified, data_roots).evaluate(data)
    if format_ == "json":
        print_result(json.dumps({name: json_numbers(value) for name, value in metrics.items()}))
    else:
        print_result("\n".join(f"{name} {value:.6g}" for name, value in metrics.items()))


@click.command()
@click.argument("run", metavar="RUN_OR_MODEL")
@click.option(
    "--data", required=True, metavar="FILE", help="Input data: .npz, .npy, .csv, .json or .jsonl; - is standard input."
)
@click.option(
    "--input-format",
    type=click.Choice(["csv", "json", "jsonl"]),
    help="Format of the data, instead of the file's suffix; csv on standard input if omitted.",
)
@click.option(
    "-o",
    "--output",
    metavar="OUT",
    help="File to write: .csv, .json, .jsonl or .npz; CSV on standard output if omitted.",
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
    "--threshold",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    help="Probability above which a sigmoid output predicts a class; 0.5 if omitted.",
)
@PROVIDER_OPTION
@UNVERIFIED_OPTION
@handles_errors
def predict(
    run: str,
    data: str,
    input_format: str | None,
    output: str | None,
    ids: tuple[str, ...],
    with_inputs: bool,
    threshold: float | None,
    provider: str,
    unverified: bool,
) -> None:
    """Compute the outputs of a trained model for input data."""
    from ..pipeline.trained_model import PredictOptions, TrainedModel
    from ..render.progress import SampleCounter

    if ids and with_inputs:
        raise UsageError("bad-option", "--id and --with-inputs exclude each other", "--with-inputs writes all columns")
    options = PredictOptions(threshold, None if with_inputs else ids, input_format)
    model = TrainedModel.open(Path(run), provider, not unverified)
    with SampleCounter() as counter:
        model.predict(data, output, print_result, options, counter.show)


@click.command()
@click.argument("model", metavar="MODEL.onnx")
@click.option("--spec", "output", metavar="OUT.json", help="Write the model's spec to a file; - prints only the spec.")
@FORMAT_OPTION
@handles_errors
def inspect(model: str, output: str | None, format_: str) -> None:
    """Show signature, labels, versions and spec of an ONNX model."""
    import json

    from ..core.files import refuse_overwrite, write_atomically
    from ..interop.model_info import inspect_model
    from ..render.model_info_text import inspection_json, inspection_text

    model_info = inspect_model(model)
    warnings = model_info.warnings()
    if warnings:
        print_diagnostics(warnings, "text")
    if output == "-":
        print_result(model_info.spec_text.rstrip("\n"))
        return
    if output:
        refuse_overwrite([Path(model)], [Path(output)])
        write_atomically(output, model_info.spec_text.encode())
        print_status(f"wrote {output}")
    is_json = format_ == "json"
    print_result(json.dumps(inspection_json(model_info), indent=2) if is_json else inspection_text(model_info))
