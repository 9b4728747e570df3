"""Runs a model before it answers requests, so that the first request is as fast as the others."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping

import numpy as np

from ...core.diagnostics import CompileError, UsageError
from ...data.samples.data_errors import FeedError
from ...pipeline.check.data_spec import index_limits, input_vocabularies
from ...runtime.parity.example_feeds import draw_inputs
from .served_model import ServedModel

SEED = 0
LONG_RUN_S = 0.1
"""Once runs have taken this long, no larger batch is run: the start would take long, and no request comes so soon."""


def warm_up(served: ServedModel, batch_sizes: Iterable[int]) -> str:
    """Runs a model with drawn values of each batch size, of which the first run plans the memory, as long as that takes
    little time.

    Returns why a file of another program refuses the values, which need not mean anything to it; "" if it ran. Raises
    UsageError, CompileError if a model with a spec does not run.
    """
    start_s = time.monotonic()
    try:
        for number, size in enumerate(batch_sizes):
            if number and time.monotonic() - start_s > LONG_RUN_S:
                break
            served.run(served.session.prepare(drawn_feeds(served, size)))
    except (UsageError, CompileError, FeedError) as error:
        if served.trained is not None:
            raise
        return str(error)
    return ""


def drawn_feeds(served: ServedModel, rows: int) -> Mapping[str, np.ndarray]:
    """Values that the inputs of a model may have, as far as its spec tells."""
    if served.trained is None:
        return draw_inputs(served.inputs, SEED, rows)
    typed = served.trained.checked.require()
    return draw_inputs(served.inputs, SEED, rows, index_limits(typed), input_vocabularies(typed))
