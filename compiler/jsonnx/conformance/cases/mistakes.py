"""Requests with one mistake each: an error object, never an answer and never a failure of the server."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

from ..case import Area, Level
from ..http_client import Answer
from ..target import UNKNOWN, Target, error, rejected
from ..tensors import DATATYPES, nest
from ..verdicts import NotApplicable, require

area = Area("mistake")

Request = dict[str, Any]
Mistake = Callable[[Request], Any]
"""Makes the mistake in a valid request, in place, or returns another body."""


def _first(**changes: Any) -> Mistake:
    def change(request: Request) -> None:
        request["inputs"][0].update(changes)

    return change


def _without(key: str) -> Mistake:
    def remove(request: Request) -> None:
        del request["inputs"][0][key]

    return remove


def _request(**changes: Any) -> Mistake:
    return lambda request: request.update(changes)


def _shape(change: Callable[[list[int]], Any]) -> Mistake:
    """Changes the shape of the first input, which has at least one axis."""

    def reshape(request: Request) -> None:
        entry = request["inputs"][0]
        if not entry["shape"]:
            raise NotApplicable("the first input is a scalar")
        entry["shape"] = change(list(entry["shape"]))

    return reshape


def _data(change: Callable[[list[Any]], Any]) -> Mistake:
    def replace(request: Request) -> None:
        entry = request["inputs"][0]
        entry["data"] = change(list(entry["data"]))

    return replace


def _duplicate(request: Request) -> None:
    request["inputs"].append(request["inputs"][0])


def _surplus(request: Request) -> None:
    request["inputs"].append({**request["inputs"][0], "name": UNKNOWN})


def _missing(request: Request) -> None:
    del request["inputs"][0]


def _other_datatype(request: Request) -> None:
    entry = request["inputs"][0]
    entry["datatype"] = "BOOL" if entry["datatype"] != "BOOL" else "FP64"
    entry["data"] = [True] * len(entry["data"])


def _ragged(request: Request) -> None:
    entry = request["inputs"][0]
    if len(entry["data"]) < 3:
        raise NotApplicable("the first input has less than three elements")
    entry["data"] = [entry["data"][:1], entry["data"][1:]]


def _another_nesting(request: Request) -> None:
    entry = request["inputs"][0]
    if len(entry["shape"]) < 2 or len(set(entry["shape"])) < 2 or 0 in entry["shape"]:
        raise NotApplicable("the first input has no two axes of different sizes")
    entry["data"] = nest(entry["data"], entry["shape"][::-1])


def _non_string_id(request: Request) -> None:
    request["id"] = {"a": 1}


MUST: dict[str, tuple[str, Mistake]] = {
    "no-inputs": ('"inputs" is required', lambda r: r.pop("inputs") and None),
    "empty-inputs": ("the inputs that the model requires are missing", lambda r: r.update(inputs=[])),
    "inputs-object": ('"inputs" is an array', lambda r: r.update(inputs={"a": r["inputs"][0]})),
    "inputs-text": ('"inputs" is an array', _request(inputs="all")),
    "input-text": ("an input is an object", _request(inputs=["x"])),
    "input-null": ("an input is an object", _request(inputs=[None])),
    "missing-input": ("an input that the model requires is missing", _missing),
    "unknown-input": ("an input has a name that the model lacks", _first(name=UNKNOWN)),
    "no-name": ('the "name" of an input is required', _without("name")),
    "name-number": ('"name" is a string', _first(name=7)),
    "no-datatype": ('the "datatype" of an input is required', _without("datatype")),
    "unknown-datatype": ('"datatype" is one of the table', _first(datatype="FLOAT8")),
    "datatype-number": ('"datatype" is a string', _first(datatype=7)),
    "no-shape": ('the "shape" of an input is required', _without("shape")),
    "shape-text": ('"shape" is an array', _first(shape="[2, 3]")),
    "shape-number": ('"shape" is an array', _first(shape=4)),
    "negative-size": ("a size is an unsigned integer", _shape(lambda s: [-1, *s[1:]])),
    "negative-sizes": ("two negative sizes have a positive product", _shape(lambda s: [*[-d for d in s], -1])),
    "fractional-size": ("a size is an integer", _shape(lambda s: [s[0] + 0.5, *s[1:]])),
    "text-size": ("a size is a number", _shape(lambda s: [str(s[0]), *s[1:]])),
    "null-size": ("a size is a number", _shape(lambda s: [None, *s[1:]])),
    "huge-size": ("a size of 2^63 - 1 has no data", _shape(lambda s: [2**63 - 1, *s[1:]])),
    "beyond-64-bits": ("a size is at most 2^64 - 1", _shape(lambda s: [2**70, *s[1:]])),
    "overflowing-sizes": ("the product of the sizes is 2^64, which is 0 in 64 bits", _first(shape=[2**32, 2**32])),
    "none-of-huge-sizes": ("no element, of sizes beyond any memory", _first(shape=[0, 2**62, 2**62], data=[])),
    "more-axes": ("the shape has more axes than the model's", _shape(lambda s: [*s, 1])),
    "many-axes": ("the shape has a thousand axes", _shape(lambda s: [*s, *[1] * 1000])),
    "no-data": ('"data" is required', _without("data")),
    "data-null": ('"data" is an array', _first(data=None)),
    "data-text": ('"data" is an array', _first(data="1, 2, 3")),
    "data-number": ('"data" is an array', _first(data=1)),
    "data-object": ('"data" is an array', _first(data={"0": 1})),
    "empty-data": ("the data have as many elements as the shape", _first(data=[])),
    "less-data": ("the data have as many elements as the shape", _data(lambda d: d[:-1])),
    "more-data": ("the data have as many elements as the shape", _data(lambda d: [*d, d[-1]])),
    "object-element": ("an element is a number, a string or a boolean", _data(lambda d: [{"a": 1}, *d[1:]])),
    "ragged-data": ("nested data form a rectangle", _ragged),
    "outputs-text": ('"outputs" is an array', _request(outputs="all")),
    "output-text": ("a requested output is an object", _request(outputs=["y"])),
    "output-without-name": ('the "name" of a requested output is required', _request(outputs=[{}])),
    "output-name-number": ('the "name" of a requested output is a string', _request(outputs=[{"name": 1}])),
}
"""Mistakes that the protocol excludes, by the name of the case: the rule, and what makes the mistake."""

SHOULD: dict[str, tuple[str, Mistake]] = {
    "duplicate-input": ("an input is given twice", _duplicate),
    "surplus-input": ("beside all inputs, one is given that the model lacks", _surplus),
    "other-datatype": ("the datatype is another one than the model's", _other_datatype),
    "lower-case-datatype": (
        "datatypes are written in capitals",
        lambda r: r["inputs"][0].update(datatype=r["inputs"][0]["datatype"].lower()),
    ),
    "less-axes": ("the shape has less axes than the model's", _shape(lambda s: s[1:])),
    "boolean-size": ("a size is a number", _shape(lambda s: [True, *s[1:]])),
    "nested-otherwise": ("nested data and the shape disagree", _another_nesting),
    "duplicate-output": (
        "an output is requested twice",
        lambda r: r.update(outputs=[{"name": "?"}, {"name": "?"}]),
    ),
    "parameters-list": ('"parameters" is an object', _request(parameters=[1])),
    "parameter-object": ("a parameter is a string, a number or a boolean", _request(parameters={"a": {"b": 1}})),
    "parameter-list": ("a parameter is a string, a number or a boolean", _request(parameters={"a": [1]})),
    "id-object": ('"id" is a string', _non_string_id),
    "outputs-object": ('"outputs" is an array', _request(outputs={"name": "y"})),
}
"""Mistakes that the protocol leaves to the server, of which an answer would hide an error of the client."""


def _make(t: Target, mistake: Mistake) -> Any:
    request = t.request()
    if not request["inputs"]:
        raise NotApplicable("the model has no inputs")
    changed = mistake(request)
    for output in request.get("outputs") or []:
        if isinstance(output, dict) and output.get("name") == "?":
            output["name"] = t.signature.outputs[0].name if t.signature.outputs else UNKNOWN
    return request if changed is None else changed


def _register(name: str, rule: str, mistake: Mistake, level: Level) -> None:
    def check(t: Target) -> None:
        rejected(t.infer(_make(t, mistake)))

    (area.must if level is Level.MUST else area.should)(name, f"An error: {rule}.")(check)


for _level, _table in ((Level.MUST, MUST), (Level.SHOULD, SHOULD)):
    for _name, (_rule, _mistake) in _table.items():
        _register(_name, _rule, _mistake, _level)


def _answers(t: Target) -> Iterator[tuple[str, Answer]]:
    """The answers to all mistakes, by the name of the case."""
    for name, (_, mistake) in MUST.items():
        with suppress(NotApplicable):
            yield name, t.infer(_make(t, mistake))


@area.must("error-objects", 'The HTTP body of a failed inference must contain {"error": $string}.')
def error_objects(t: Target) -> None:
    for _, answer in _answers(t):
        if answer.status >= 400:
            error(answer)


@area.should("statuses", "Mistakes of a client have a status of 4xx: 5xx means that the server failed.")
def statuses(t: Target) -> None:
    for name, answer in _answers(t):
        require(answer.status < 500, f"status 4xx for {name}", str(answer))


@area.should("names-the-input", "The error message names the input that is wrong.")
def names_the_input(t: Target) -> None:
    tensor = t.first_input()
    message = error(t.infer(t.with_input(tensor.name, data=[*tensor.texts(), *tensor.texts()])))
    require(tensor.name in message, f"{tensor.name!r} in the message", message)


@area.should("names-the-datatype", "The error message for an unknown datatype repeats it.")
def names_the_datatype(t: Target) -> None:
    tensor = t.first_input(*DATATYPES)
    message = error(t.infer(t.with_input(tensor.name, datatype="FLOAT8")))
    require("FLOAT8" in message, "'FLOAT8' in the message", message)
