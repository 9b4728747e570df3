"""Commands that make models and use them."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from .common import (
    FORMAT_OPTION,
    PARTIAL_OPTION,
    PROVIDER_OPTION,
    SCALE_OPTION,
    SEED_TYPE,
    SET_OPTION,
    SPEC_ARGUMENT,
    checked_spec,
    handles_errors,
    print_diagnostics,
    print_result,
    print_status,
    print_weights_report,
)


@click.command()
@SPEC_ARGUMENT
@click.option("-o", "--output", required=True, metavar="MODEL.onnx", help="File to write; with --training a folder.")
@click.option(
    "--weights",
    metavar="FILE",
    help="A .safetensors, .npz, .keras or .h5 file of weights; else those that the spec names, or initial ones.",
)
@PARTIAL_OPTION
@click.option("--seed", type=SEED_TYPE, help="Decides the initial weights; the spec's seed where omitted.")
@click.option("--training", is_flag=True, help="Write train_step.onnx, model.onnx and manifest.json into a folder.")
@SCALE_OPTION
@SET_OPTION
@handles_errors
def compile(
    spec: str,
    output: str,
    weights: str | None,
    partial: bool,
    seed: int | None,
    training: bool,
    scale: str | None,
    changes: tuple[str, ...],
) -> None:
    """Compile a spec to an ONNX model."""
    from ..core.files import refuse_overwrite
    from ..pipeline.compile import compile_checked
    from ..pipeline.training_export import OUTPUT_FILES, write_training_folder

    checked = checked_spec(spec, changes, scale)
    outputs = [Path(output) / name for name in OUTPUT_FILES] if training else [Path(output)]
    refuse_overwrite([*checked.files, *([Path(weights)] if weights else [])], outputs)
    model = compile_checked(checked, weights, seed, partial=partial)
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
@click.option("-o", "--output", metavar="RUN", help="Folder to write; runs/NAME where omitted.")
@click.option("--resume", is_flag=True, help="Go on from the folder's last checkpoint.")
@click.option(
    "--weights", metavar="FILE", help="Start from these weights instead of those that the spec names, or initial ones."
)
@PARTIAL_OPTION
@click.option("--seed", type=SEED_TYPE, help="In place of the spec's seed.")
@click.option("--force", is_flag=True, help="Replace a run that is in the folder already.")
@click.option("--quiet", is_flag=True, help="No progress.")
@PROVIDER_OPTION
@SCALE_OPTION
@SET_OPTION
@handles_errors
def train(
    spec: str,
    output: str | None,
    resume: bool,
    weights: str | None,
    partial: bool,
    seed: int | None,
    force: bool,
    quiet: bool,
    provider: str,
    scale: str | None,
    changes: tuple[str, ...],
) -> None:
    """Train a network on the data its spec names."""
    from ..pipeline.training_run import RunOptions
    from ..pipeline.training_run import train as run
    from ..render.progress import progress_display

    checked = checked_spec(spec, changes, scale)
    with progress_display(quiet) as shown:
        outcome = run(
            checked,
            Path(output) if output else Path("runs") / checked.network.name,
            RunOptions(provider, seed, weights, partial, resume, force),
            callbacks=[shown],
            warn=lambda diagnostics: print_diagnostics(diagnostics, "text") if diagnostics else None,
            on_weights_resolved=print_weights_report,
        )
    for line in outcome.summary_lines():
        print_result(line)
    sys.exit(outcome.exit_status)


@click.command()
@click.argument("run", metavar="RUN_OR_MODEL")
@click.option("--data", metavar="FILE", help="Data to evaluate on; the spec's test data where omitted.")
@PROVIDER_OPTION
@FORMAT_OPTION
@handles_errors
def evaluate(run: str, data: str | None, provider: str, format_: str) -> None:
    """Show loss and metrics of a trained model on data."""
    import json

    from ..pipeline.prediction_files import json_numbers
    from ..pipeline.trained_model import TrainedModel

    figures = TrainedModel.open(Path(run), provider).evaluate(data)
    if format_ == "json":
        print_result(json.dumps({name: json_numbers(value) for name, value in figures.items()}))
    else:
        print_result("\n".join(f"{name} {value:.6g}" for name, value in figures.items()))


@click.command()
@click.argument("run", metavar="RUN_OR_MODEL")
@click.option("--data", required=True, metavar="FILE", help="Data to predict from: .npz, .npy or .csv.")
@click.option(
    "-o", "--output", metavar="OUT", help="File to write, .csv, .json or .npz; csv on standard output where omitted."
)
@PROVIDER_OPTION
@handles_errors
def predict(run: str, data: str, output: str | None, provider: str) -> None:
    """Write a model's predictions for data."""
    from ..pipeline.trained_model import TrainedModel

    TrainedModel.open(Path(run), provider).predict(data, output, print_result)


@click.command()
@click.argument("model", metavar="MODEL.onnx")
@click.option("--spec", "output", metavar="OUT.json", help="Write the spec that is in the model; - shows it alone.")
@FORMAT_OPTION
@handles_errors
def inspect(model: str, output: str | None, format_: str) -> None:
    """Show what a model file says: signature, labels, versions, and the spec it came from."""
    import json

    from ..core.files import refuse_overwrite, write_atomically
    from ..interop.model_info import inspect_model
    from ..render.model_info_text import inspection_json, inspection_text

    found = inspect_model(model)
    warnings = found.warnings()
    if warnings:
        print_diagnostics(warnings, "text")
    if output == "-":
        print_result(found.spec_text.rstrip("\n"))
        return
    if output:
        refuse_overwrite([Path(model)], [Path(output)])
        write_atomically(output, found.spec_text.encode())
        print_status(f"wrote {output}")
    print_result(json.dumps(inspection_json(found), indent=2) if format_ == "json" else inspection_text(found))
