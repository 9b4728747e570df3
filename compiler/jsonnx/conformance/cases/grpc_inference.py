"""gRPC: inference with typed and raw contents."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from ..case import GRPC, Area
from ..grpc_client import CONTENT_FIELDS, parse_response, raw_input, typed_input
from ..target import UNKNOWN, Target
from ..tensors import BYTES, Tensor
from ..verdicts import NotApplicable, require
from .grpc_metadata import client
from .inference import same

area = Area("grpc-infer", GRPC)

CLIENTS = 8
Request = dict[str, Any]


def _typed(t: Target, inputs: list[Tensor] | None = None, **fields: Any) -> Request:
    """A valid request with typed contents."""
    tensors = t.inputs() if inputs is None else inputs
    if any(tensor.datatype not in CONTENT_FIELDS for tensor in tensors):
        raise NotApplicable("an input has a datatype without typed contents")
    return {"model_name": t.signature.name, "inputs": [typed_input(tensor) for tensor in tensors], **fields}


def _raw(t: Target, inputs: list[Tensor] | None = None, **fields: Any) -> Request:
    """A valid request with raw contents."""
    tensors = t.inputs() if inputs is None else inputs
    request = {"model_name": t.signature.name, "inputs": [raw_input(tensor) for tensor in tensors]}
    return {**request, "raw_input_contents": [tensor.content() for tensor in tensors], **fields}


def _outputs(t: Target, request: Request) -> list[Tensor]:
    return parse_response(client(t).call("ModelInfer", **request))


def _expected(t: Target) -> list[Tensor]:
    """The outputs by REST."""
    if not t.is_deterministic():
        raise NotApplicable("the model answers the same request in different ways")
    return t.outputs(t.request(t.inputs()))


@area.must("typed", "Inputs with typed contents have the outputs that they have by REST.")
def typed(t: Target) -> None:
    same(_expected(t), _outputs(t, _typed(t)))


@area.must("raw", "Inputs with raw contents have the outputs that they have by REST.")
def raw(t: Target) -> None:
    same(_expected(t), _outputs(t, _raw(t)))


@area.must("fields", "The answer has the model's name, and the id of the request.")
def fields(t: Target) -> None:
    found = client(t).call("ModelInfer", **_raw(t, id="é 42"))
    require(found["model_name"] == t.signature.name, t.signature.name, found["model_name"])
    require(found["id"] == "é 42", "the id 'é 42'", found["id"])


@area.must("version", "ModelInfer of a version.")
def version(t: Target) -> None:
    found = client(t).call("ModelInfer", **_raw(t, model_version=t.version))["model_version"]
    require(found in ("", t.version), t.version, found)


@area.must("requested-outputs", "Only requested outputs are returned.")
def requested_outputs(t: Target) -> None:
    for output in t.signature.outputs:
        found = [tensor.name for tensor in _outputs(t, _raw(t, outputs=[{"name": output.name}]))]
        require(found == [output.name], [output.name], found)


@area.must("parameters", "Parameters of each kind are no fault of a request.")
def parameters(t: Target) -> None:
    kinds = {"bool_param": True, "int64_param": -3, "string_param": "text"}
    entries = [{"key": key, "value": {key: value}} for key, value in kinds.items()]
    _outputs(t, _raw(t, parameters=entries))


@area.must("batch", "A batch of three rows is answered by three rows.")
def batch(t: Target) -> None:
    for output in _outputs(t, _raw(t, t.batch(3))):
        require(output.shape[0] == 3, f"3 rows of {output.name}", output.shape)


@area.must("strings", "Elements of BYTES are bytes, typed or raw.")
def strings(t: Target) -> None:
    t.first_input(BYTES)
    same(_outputs(t, _typed(t)), _outputs(t, _raw(t)))


@area.must("concurrent", "Calls at the same time get their own answers.")
def concurrent(t: Target) -> None:
    _expected(t)
    requests = [_raw(t, t.inputs(seed=seed), id=f"call {seed}") for seed in range(CLIENTS)]
    alone = [_outputs(t, request) for request in requests]
    with ThreadPoolExecutor(CLIENTS) as pool:
        received = list(pool.map(lambda request: client(t).call("ModelInfer", **request), requests * 3))
    for number, answer in enumerate(received):
        require(answer["id"] == f"call {number % CLIENTS}", f"call {number % CLIENTS}", answer["id"])
        same(alone[number % CLIENTS], parse_response(answer))


def _both(request: Request) -> None:
    request["inputs"][0]["contents"] = {"fp32_contents": [1.0], "int64_contents": [1]}


def _first(**changes: Any) -> Callable[[Request], None]:
    return lambda request: request["inputs"][0].update(changes)


def _contents(change: Callable[[list[bytes]], list[bytes]]) -> Callable[[Request], None]:
    return lambda request: request.update(raw_input_contents=change(request["raw_input_contents"]))


MISTAKES: dict[str, tuple[str, Callable[[Request], Any]]] = {
    "both-contents": ("raw contents and typed ones in one request", _both),
    "no-contents": ("an input without contents", _contents(lambda c: [])),
    "less-contents": ("raw contents shorter than the shape", _contents(lambda c: [c[0][:-1], *c[1:]])),
    "more-contents": ("raw contents longer than the shape", _contents(lambda c: [c[0] + b"\0", *c[1:]])),
    "surplus-contents": ("more raw contents than inputs", _contents(lambda c: [*c, b"\0"])),
    "unknown-input": ("an input that the model lacks", _first(name=UNKNOWN)),
    "unnamed-input": ("an input without a name", _first(name="")),
    "unknown-datatype": ("an unknown datatype", _first(datatype="FLOAT8")),
    "negative-size": ("a negative size", _first(shape=[-1, -1])),
    "overflowing-sizes": ("sizes whose product is 2^64", _first(shape=[2**32, 2**32])),
    "no-inputs": ("no inputs", lambda r: r.update(inputs=[], raw_input_contents=[])),
    "unknown-output": ("an output that the model lacks", lambda r: r.update(outputs=[{"name": UNKNOWN}])),
    "unknown-model": ("an unknown model", lambda r: r.update(model_name=UNKNOWN)),
    "unknown-version": ("an unknown version", lambda r: r.update(model_version=UNKNOWN)),
}
"""Mistakes in a valid request with raw contents, by the name of the case."""


def _register(name: str, rule: str, mistake: Callable[[Request], Any]) -> None:
    @area.must(name, f"A code other than OK: {rule}.")
    def check(t: Target) -> None:
        request = _raw(t)
        mistake(request)
        client(t).failure("ModelInfer", request)


for _name, (_rule, _mistake) in MISTAKES.items():
    _register(_name, _rule, _mistake)


@area.must("typed-count", "A code other than OK: typed contents with too few elements.")
def typed_count(t: Target) -> None:
    request = _typed(t)
    contents = request["inputs"][0]["contents"]
    for key in contents:
        contents[key] = contents[key][:-1]
    client(t).failure("ModelInfer", request)


@area.must("typed-field", "A code other than OK: typed contents in the field of another datatype.")
def typed_field(t: Target) -> None:
    request = _typed(t)
    entry = request["inputs"][0]
    count = len(t.inputs()[0].elements)
    other = "bytes_contents" if entry["datatype"] != BYTES else "fp32_contents"
    entry["contents"] = {other: [b"a" if other == "bytes_contents" else 1.0] * count}
    client(t).failure("ModelInfer", request)


@area.should("codes", "Mistakes of a client have the code INVALID_ARGUMENT: INTERNAL means that the server failed.")
def codes(t: Target) -> None:
    for name, (_, mistake) in MISTAKES.items():
        request = _raw(t)
        mistake(request)
        expected = ("NOT_FOUND",) if name in ("unknown-model", "unknown-version") else ("INVALID_ARGUMENT", "NOT_FOUND")
        client(t).failure("ModelInfer", request, *expected)


@area.should("deadline", "A deadline that is over is answered by DEADLINE_EXCEEDED, and the server goes on.")
def deadline(t: Target) -> None:
    from .. import protobuf

    client(t).send("ModelInfer", protobuf.encode(protobuf.INFER_REQUEST, _raw(t)), timeout_s=1e-6)
    _outputs(t, _raw(t))
