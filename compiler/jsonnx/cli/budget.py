"""Options that limit what a network and its model may cost."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import click

from ..core.providers.known_providers import providers_with_kernel_table
from ..core.quantities import (
    AMOUNT_EXAMPLES,
    BYTES_TITLE,
    COUNT_TITLE,
    MAX_OPSET_LIMIT,
    MIN_OPSET_LIMIT,
    parse_bytes,
    parse_count,
)
from .common import Command


class AmountType(click.ParamType):  # type: ignore[type-arg]
    """A number with an optional suffix, as in a budget."""

    def __init__(self, title: str, parse: Callable[[str], int]) -> None:
        self.name, self._parse = title, parse

    def convert(self, value: Any, param: click.Parameter | None, context: click.Context | None) -> int:
        try:
            return self._parse(value)
        except ValueError as error:
            self.fail(str(error), param, context)


COUNT, BYTES = AmountType(COUNT_TITLE, parse_count), AmountType(BYTES_TITLE, parse_bytes)

NETWORK_OPTIONS = {
    "parameters": click.option(
        "--max-parameters",
        type=COUNT,
        metavar="N",
        help=f"Fail if the compiled model has more parameters than N ({AMOUNT_EXAMPLES[COUNT_TITLE]}).",
    ),
    "multiply_adds": click.option(
        "--max-macs",
        "--max-multiply-adds",
        "max_multiply_adds",
        type=COUNT,
        metavar="N",
        help="Fail if a sample takes more multiply-adds than N.",
    ),
    "activation_memory": click.option(
        "--max-activation-memory",
        type=BYTES,
        metavar="BYTES",
        help=f"Fail if the layers' values take more memory at a time than BYTES ({AMOUNT_EXAMPLES[BYTES_TITLE]}).",
    ),
}
MODEL_OPTIONS = {
    "model_bytes": click.option(
        "--max-model-bytes", type=BYTES, metavar="BYTES", help="Fail if the model's file is larger than BYTES."
    ),
    "opset": click.option(
        "--max-opset",
        type=click.IntRange(MIN_OPSET_LIMIT, MAX_OPSET_LIMIT),
        metavar="N",
        help="Fail if the model needs a later ONNX operator set than N.",
    ),
    "targets": click.option(
        "--target",
        "max_targets",
        multiple=True,
        type=click.Choice([provider.name for provider in providers_with_kernel_table()]),
        help="Fail unless this execution provider has a kernel for every operator of the model. May be repeated.",
    ),
}
"""Options by key of the budget."""


def budget_options(network: bool = True, model: bool = True) -> Callable[[Command], Command]:
    """Decorates a command: adds the options on the network, on the compiled model, or both, and passes the given ones
    to it as `limits`, by key of the budget."""
    options = {**(NETWORK_OPTIONS if network else {}), **(MODEL_OPTIONS if model else {})}

    def decorate(command: Command) -> Command:
        @wraps(command)
        def run(*arguments: Any, **values: Any) -> Any:
            given = {key: values.pop(f"max_{key}") for key in options}
            limits = {key: value for key, value in given.items() if value is not None and value != ()}
            return command(*arguments, limits=limits, **values)

        decorated: Any = run
        for option in reversed(options.values()):
            decorated = option(decorated)
        return decorated

    return decorate
