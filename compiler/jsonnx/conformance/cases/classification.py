"""The extension of classification: the highest values of an output with index and label."""

from __future__ import annotations

import math
from typing import Any

from ..case import Area
from ..target import Target, error
from ..tensors import BYTES, DATATYPES, Tensor
from ..verdicts import NotApplicable, require
from .inference import same

area = Area("classification", "classification")


def _output(t: Target) -> Tensor:
    """An output of one row with several numbers each, as a model of classes has."""
    for output in t.outputs(t.request()):
        if DATATYPES[output.datatype].is_float and len(output.shape) == 2 and output.shape[1] > 1:
            return output
    raise NotApplicable("the model has no output of several numbers a row")


def _wanted(name: str, count: Any) -> list[dict[str, Any]]:
    return [{"name": name, "parameters": {"classification": count}}]


def _classes(t: Target, output: Tensor, count: int) -> Tensor:
    found = t.outputs(t.request(outputs=_wanted(output.name, count)))
    require(len(found) == 1 and found[0].name == output.name, f"the output {output.name}", found)
    return found[0]


def _parts(text: str) -> tuple[float, int, str | None]:
    """The value, the index and the label of one class."""
    parts = text.split(":", 2)
    require(len(parts) >= 2 and parts[1].isdigit(), '"VALUE:INDEX" or "VALUE:INDEX:LABEL"', text)
    try:
        return float(parts[0]), int(parts[1]), parts[2] if len(parts) == 3 else None
    except ValueError:
        require(False, "a number before the colon", text)
        raise


@area.extends("datatype", "The returned tensor has type BYTES.")
def datatype(t: Target) -> None:
    found = _classes(t, _output(t), 1).datatype
    require(found == BYTES, BYTES, found)


@area.extends("shape", "The returned tensor has shape [batch-size, count].")
def shape(t: Target) -> None:
    output = _output(t)
    for count in (1, 2):
        found = _classes(t, output, count).shape
        require(found == (output.shape[0], count), (output.shape[0], count), found)


@area.extends("format", 'The format of an element is "VALUE:INDEX[:LABEL]".')
def format_(t: Target) -> None:
    output = _output(t)
    for text in _classes(t, output, 2).texts():
        index = _parts(text)[1]
        require(index < output.shape[1], f"an index below {output.shape[1]}", text)


@area.extends("values", "VALUE is the value of the output at INDEX.")
def values(t: Target) -> None:
    output = _output(t)
    if not t.is_deterministic():
        raise NotApplicable("the model answers the same request in different ways")
    for row, text in enumerate(_classes(t, output, 1).texts()):
        value, index, _ = _parts(text)
        expected = output.rows(row, row + 1).elements[index]
        require(math.isclose(value, expected, rel_tol=1e-3, abs_tol=1e-5), expected, text)


@area.extends("order", "The classes are the n highest elements, the highest first.")
def order(t: Target) -> None:
    output = _output(t)
    if not t.is_deterministic():
        raise NotApplicable("the model answers the same request in different ways")
    count = output.shape[1]
    texts = _classes(t, output, count).texts()
    for row in range(output.shape[0]):
        found = [_parts(text)[0] for text in texts[row * count : (row + 1) * count]]
        require(found == sorted(found, reverse=True), "descending values", found)
        highest = max(output.rows(row, row + 1).elements)
        require(math.isclose(found[0], highest, rel_tol=1e-3, abs_tol=1e-5), highest, found[0])


@area.extends("labels", "A class has a label in all rows or in none, and one index has one label.")
def labels(t: Target) -> None:
    output = _output(t)
    known: dict[int, str | None] = {}
    for text in _classes(t, output, output.shape[1]).texts():
        _, index, label = _parts(text)
        require(known.setdefault(index, label) == label, f"{index}:{known[index]}", text)
    require(len({label is None for label in known.values()}) == 1, "labels for all classes or for none", known)


@area.extends("too-many", "More classes than there are: all of them, or an error object.")
def too_many(t: Target) -> None:
    output = _output(t)
    answer = t.infer(t.request(outputs=_wanted(output.name, output.shape[1] + 1)))
    if answer.status != 200:
        error(answer)
        return
    found = _classes(t, output, output.shape[1] + 1).shape
    require(found[1] == output.shape[1], f"{output.shape[1]} classes", found)


@area.extends("bad-count", "A number of classes that is no positive integer: an error object.")
def bad_count(t: Target) -> None:
    output = _output(t)
    for count in (-1, "two", 1.5):
        error(t.infer(t.request(outputs=_wanted(output.name, count))))


@area.extends("other-outputs", "Other requested outputs are returned as tensors.")
def other_outputs(t: Target) -> None:
    output = _output(t)
    others = [other for other in t.outputs(t.request()) if other.name != output.name]
    if not others:
        raise NotApplicable("the model has one output")
    wanted = [*_wanted(output.name, 1), *({"name": other.name} for other in others)]
    same(others, t.outputs(t.request(outputs=wanted))[1:])
