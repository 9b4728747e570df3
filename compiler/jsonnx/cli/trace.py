"""The command trace."""

from __future__ import annotations

import sys

import click

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
)


@click.command()
@SPEC_ARGUMENT
@click.option("--data", metavar="FILE", help="Take the batch from FILE instead of the spec's training data.")
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
    data: str | None,
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

    from ..pipeline.trace_network import trace_network
    from ..render.terminal import line_width, shows_color
    from ..render.trace_text import trace_json, trace_text

    traced = trace_network(checked_spec(spec, changes, scale), data, weights, seed, data_roots, not unverified)
    if format_ == "json":
        print_result(json.dumps(trace_json(traced), indent=2))
    else:
        print_result(trace_text(traced, shows_color(sys.stdout), line_width(sys.stdout)))
