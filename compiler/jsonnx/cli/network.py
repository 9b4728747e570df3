"""Commands that show a network: trace, draw."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..core.diagnostics import UsageError
from ..core.files.user_files import UserFiles
from .common import (
    ALL_OPTION,
    DATA_ROOT_OPTION,
    FORMAT_OPTION,
    SCALE_OPTION,
    SEED_TYPE,
    SET_OPTION,
    SPEC_ARGUMENT,
    UNVERIFIED_OPTION,
    checked_spec,
    handles_errors,
    print_result,
    print_status,
)
from .options import data_option

if TYPE_CHECKING:
    from ..pipeline.compile.plot_network import ImageFormat

IMAGE_FORMATS: dict[str, ImageFormat] = {".svg": "svg", ".png": "png", ".pdf": "pdf"}
"""The formats of a drawing, by the suffix of its file."""


@click.command()
@SPEC_ARGUMENT
@data_option(
    "Take the batch from FILE instead of the spec's training data.",
)
@DATA_ROOT_OPTION
@click.option(
    "--weights",
    metavar="FILE",
    help="Weights to compute with, a file or a RUN folder, instead of the spec's weights or the initial ones.",
)
@UNVERIFIED_OPTION
@click.option("--seed", type=SEED_TYPE, help="Override the spec's seed.")
@FORMAT_OPTION
@SCALE_OPTION
@SET_OPTION
@ALL_OPTION
@handles_errors
def trace(
    spec: str,
    data: UserFiles | None,
    data_roots: tuple[str, ...],
    weights: str | None,
    unverified: bool,
    seed: int | None,
    format_: str,
    scale: str | None,
    changes: tuple[str, ...],
) -> None:
    """Show what each layer computes for the first batch: shapes, statistics, gradients, ONNX operators.

    The batch passes forward and backward as in the first training step, with Dropout and batch statistics; nothing is
    trained and nothing is written.
    """
    import json

    from ..pipeline.inspect.trace_network import trace_network
    from ..render.results.trace_text import trace_json, trace_text
    from ..render.text.terminal import line_width, shows_color

    traced = trace_network(checked_spec(spec, changes, scale), data, weights, seed, data_roots, not unverified)
    if format_ == "json":
        print_result(json.dumps(trace_json(traced), indent=2))
    else:
        print_result(trace_text(traced, shows_color(sys.stdout), line_width(sys.stdout)))


@click.command()
@SPEC_ARGUMENT
@click.option("-o", "--output", metavar="FILE", required=True, help="Image to write: .svg, .png or .pdf.")
@SCALE_OPTION
@click.option("--depth", type=click.IntRange(0), metavar="N", help="Draw N levels of blocks; deeper ones as one node.")
@SET_OPTION
@ALL_OPTION
@handles_errors
def draw(spec: str, output: str, scale: str | None, depth: int | None, changes: tuple[str, ...]) -> None:
    """Draw the layers of a network and what each reads, as a diagram in a file. Needs matplotlib."""
    from ..core.files.files import refuse_overwrite, write_atomically
    from ..lowering.cost import cost_table
    from ..pipeline.compile.graphs import costed_graph
    from ..pipeline.compile.plot_network import network_image

    format = IMAGE_FORMATS.get(Path(output).suffix.lower())
    if format is None:
        message = f"the suffix of {output!r} is not that of an image"
        raise UsageError("bad-option", message, f"use one of {', '.join(IMAGE_FORMATS)}")
    refuse_overwrite([Path(spec)], [Path(output)])
    checked = checked_spec(spec, changes, scale)
    rows = cost_table(checked.require(), costed_graph(checked))
    write_atomically(output, network_image(rows, checked.network.inputs, format, depth))
    print_status(f"wrote {output}")
