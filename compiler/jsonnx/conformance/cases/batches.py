"""Batches: a first axis of variable size."""

from __future__ import annotations

from ..case import Area
from ..target import Target, parse_outputs, refused
from ..verdicts import NotApplicable, require
from .inference import same

area = Area("batch")

MANY_ROWS = 100


def _rows(t: Target, rows: int) -> None:
    """Requires outputs with so many rows."""
    for output in t.outputs(t.request(t.batch(rows))):
        require(output.shape[0] == rows, f"{rows} rows of {output.name}", output.shape)


@area.must("one", "A batch of one row is answered by one row: the shape represents the entire batch.")
def one(t: Target) -> None:
    _rows(t, 1)


@area.must("three", "A batch of three rows is answered by three rows.")
def three(t: Target) -> None:
    _rows(t, 3)


@area.should("many", f"A batch of {MANY_ROWS} rows is answered by as many, or by an error that says the limit.")
def many(t: Target) -> None:
    inputs = t.batch(MANY_ROWS)
    answer = t.infer(t.request(inputs))
    if answer.status != 200:
        refused(answer)
        raise NotApplicable("the server limits the rows of a request")
    for output in parse_outputs(answer):
        require(output.shape[0] == MANY_ROWS, f"{MANY_ROWS} rows of {output.name}", output.shape)


@area.should("none", "A batch of no rows is answered by no rows or by an error.")
def none(t: Target) -> None:
    answer = t.infer(t.request([tensor.rows(0, 0) for tensor in t.batch(1)]))
    if answer.status == 200:
        for output in parse_outputs(answer):
            require(output.shape[0] == 0, f"no rows of {output.name}", output.shape)
    else:
        refused(answer)


@area.should("rows-alone", "A row of a batch has the outputs that it has alone.")
def rows_alone(t: Target) -> None:
    inputs = t.batch(3)
    together = t.outputs(t.request(inputs))
    if not t.is_deterministic():
        raise NotApplicable("the model answers the same request in different ways")
    for row in range(3):
        alone = t.outputs(t.request([tensor.rows(row, row + 1) for tensor in inputs]))
        same(alone, [output.rows(row, row + 1) for output in together])


@area.must("order", "The rows of an answer are in the order of the request's.")
def order(t: Target) -> None:
    inputs = t.batch(2)
    if not t.is_deterministic():
        raise NotApplicable("the model answers the same request in different ways")
    swapped = [type(x)(x.name, x.datatype, x.shape, x.rows(1, 2).elements + x.rows(0, 1).elements) for x in inputs]
    there, back = t.outputs(t.request(inputs)), t.outputs(t.request(swapped))
    for a, b in zip(there, back, strict=True):
        same([a.rows(0, 1), a.rows(1, 2)], [b.rows(1, 2), b.rows(0, 1)])


@area.should("different-rows", "Inputs with different numbers of rows are an error.")
def different_rows(t: Target) -> None:
    inputs = t.batch(2)
    if len(inputs) < 2:
        raise NotApplicable("the model has one input")
    refused(t.infer(t.request([inputs[0].rows(0, 1), *inputs[1:]])))
