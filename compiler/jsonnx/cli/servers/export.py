"""The command `export`."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from ...core.diagnostics import UsageError
from ..common import (
    ALL_OPTION,
    PARTIAL_OPTION,
    SEED_TYPE,
    UNVERIFIED_OPTION,
    handles_errors,
    print_status,
    print_weights_report,
)

TARGETS = ("keras", "ort", "lora", "triton", "kserve", "docker")
OPTIONS_OF_TARGETS = {
    "weights": ("keras", "lora"),
    "partial": ("keras",),
    "seed": ("keras",),
    "name": ("triton", "kserve", "docker"),
    "force": ("ort", "lora", "triton", "kserve", "docker"),
    "storage_uri": ("kserve",),
}
"""The targets that an option is for, if it is not for all."""


@click.command(short_help="Convert a network for Keras, or a model for a server or a device.")
@click.argument("source", metavar="SPEC_OR_RUN_OR_MODEL")
@click.option("--keras", is_flag=True, help="Write a Keras 3 model.")
@click.option(
    "--ort",
    is_flag=True,
    help="Write the model in ORT format, for phones and small devices, and a list of the operators that it needs.",
)
@click.option(
    "--lora",
    is_flag=True,
    help="Write the model with its low-rank adapters as inputs, which may be left out, and the trained adapter as a "
    "file for onnxruntime's LoraAdapter.",
)
@click.option("--triton", is_flag=True, help="Write the model to a model repository of the Triton Inference Server.")
@click.option("--kserve", is_flag=True, help="Write the YAML of a KServe service that runs what --triton wrote.")
@click.option(
    "--docker", is_flag=True, help="Write a folder with a Dockerfile that serves the model with `jsonnx serve`."
)
@click.option(
    "-o",
    "--output",
    required=True,
    metavar="OUT",
    help="For Keras, MODEL.keras or a folder for model.json and model.weights.h5. For ORT format, MODEL.ort. With "
    "--lora, MODEL.onnx, which gets MODEL.onnx_adapter beside it. For "
    "Triton, the model repository, which gets a folder NAME. For KServe, a YAML file. For Docker, a folder.",
)
@click.option("--name", metavar="NAME", help="Name of the served model; that of the RUN folder or the file if omitted.")
@click.option(
    "--storage-uri", metavar="URI", help="Where KServe finds the model repository, such as s3://bucket/models."
)
@click.option("--force", is_flag=True, help="Replace what an earlier export has written there.")
@click.option("--weights", metavar="FILE", help="Use these weights instead of the trained or the initial weights.")
@PARTIAL_OPTION
@UNVERIFIED_OPTION
@click.option("--seed", type=SEED_TYPE, help="Seed of the initial weights; the spec's seed if omitted.")
@ALL_OPTION
@handles_errors
def export(source: str, output: str, unverified: bool, **given: Any) -> None:
    """Convert a network and its weights for another framework, or a trained model for a server or a small device.

    What is written for servers and devices appears whole, and replaces nothing without --force. ORT format, Triton and
    Docker also take ONNX files that jsonnx did not write.
    """
    target = _target(given)
    if target == "keras":
        _export_keras(source, output, given["weights"], given["partial"], unverified, given["seed"])
        return
    if target == "ort":
        _export_ort(source, output, given["force"], unverified)
        return
    if target == "lora":
        _export_lora(source, output, given["weights"], given["force"], unverified)
        return
    from ...server.deployment.container import write_container_folder
    from ...server.deployment.exported_model import ExportedModel
    from ...server.deployment.kserve import write_inference_service
    from ...server.deployment.triton_repository import write_triton_model

    path, force, uri = Path(output), given["force"], given["storage_uri"]
    model = ExportedModel.open(source, given["name"], not unverified)
    if target == "triton":
        print_status(f"wrote {write_triton_model(model, path, force)}")
    elif target == "kserve":
        write_inference_service(model.name, uri, path, force)
        print_status(f"wrote {path}" + ("" if uri else ": set its storageUri, or give --storage-uri"))
    else:
        write_container_folder(model, path, force)
        start = f"docker compose --project-directory {shlex.quote(output)} up --build"
        print_status(f"wrote {path}\nnext:\n  {start}")


def _target(given: Mapping[str, Any]) -> str:
    """The one target that is given, with options that are for it. Raises UsageError."""
    targets = [name for name in TARGETS if given[name]]
    if len(targets) != 1:
        message = "the target is missing" if not targets else f"--{targets[0]} and --{targets[1]} are two targets"
        raise UsageError("bad-option", message, f"give one of {', '.join(f'--{name}' for name in TARGETS)}")
    for option, own in OPTIONS_OF_TARGETS.items():
        is_given = given[option] is not None and given[option] is not False
        if is_given and targets[0] not in own:
            name = option.replace("_", "-")
            message = f"--{name} has no effect with --{targets[0]}"
            raise UsageError("bad-option", message, f"--{name} is for {', '.join(f'--{other}' for other in own)}")
    return targets[0]


def _export_keras(
    source: str, output: str, weights: str | None, partial: bool, unverified: bool, seed: int | None
) -> None:
    from ...core.files.files import refuse_overwrite
    from ...pipeline.compile.initial_weights import possible_weight_files
    from ...pipeline.keras_export import export_keras_model

    model = export_keras_model(source, weights, seed, partial, not unverified)
    refuse_overwrite([Path(source), *possible_weight_files(weights)], model.files(output))
    if model.weights_report is not None:
        print_weights_report(model.weights_report)
    for path in model.save(output):
        print_status(f"wrote {path}")


def _export_lora(source: str, output: str, weights: str | None, force: bool, unverified: bool) -> None:
    from ...pipeline.lora_export import export_adaptable_model

    model = export_adaptable_model(source, weights, not unverified)
    for path in model.save(Path(output), Path(source), force):
        print_status(f"wrote {path}")


def _export_ort(source: str, output: str, force: bool, unverified: bool) -> None:
    from ...core.limits import bytes_text
    from ...pipeline.ort_export import export_ort_model

    model = export_ort_model(source, not unverified)
    for path in model.save(Path(output), Path(source), force):
        print_status(f"wrote {path} ({bytes_text(path.stat().st_size)})")
    for note in model.notes:
        print_status(f"note: {note}")
