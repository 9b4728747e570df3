"""Checks the layers whose results are inputs of the compiled model, with random numbers."""

from __future__ import annotations

from ..core.diagnostics import Report
from ..core.types import Size, evaluate_size
from .outputs import output_path
from .shape_inference import TypedNetwork

IS_INPUT_HELP = "to have an input as an output, too, add an Identity after it and name that"


def check_random_inputs(typed: TypedNetwork, report: Report) -> None:
    """Reports random numbers that are outputs, and ones whose sizes do not follow from the sizes of the inputs."""
    for call in typed.network.random_calls:
        type = typed.types.get(call.name)
        if type is None:
            continue
        if call.name in typed.network.outputs:
            message = f"the output {call.name!r} is random numbers, an input of the model"
            report.add("unknown-name", output_path(typed.network, call.name), message, help=IS_INPUT_HELP)
        if not all(_is_known(typed, size) for size in type.shape):
            message = f"{call.name!r} draws {type}, whose size does not follow from the sizes of the inputs"
            report.add("shape-mismatch", call.path, message, help="give the layers before it fixed sizes")


def _is_known(typed: TypedNetwork, size: object) -> bool:
    """Whether a size is fixed, or follows from the sizes of the inputs."""
    if not isinstance(size, Size):
        return True
    sizes = [item for type in typed.inputs.values() for item in type.shape if isinstance(item, Size)]
    try:
        evaluate_size(size, {symbol: 1 for item in sizes for symbol, _ in item.terms})
    except ValueError:
        return False
    return True
