"""Inference: fields of the answer, identifiers, parameters and requested outputs."""

from __future__ import annotations

import json
import math
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from ..case import Area
from ..target import UNKNOWN, Target, error, parse_outputs, refused, rejected, success
from ..tensors import BYTES, Tensor, nest
from ..verdicts import NotApplicable, require

area = Area("infer")

LONG_ID_CHARACTERS = 10_000
CLIENTS = 8


def same(one: list[Tensor], other: list[Tensor]) -> None:
    """Requires equal outputs, but for the order of additions."""
    require(len(one) == len(other), f"{len(one)} outputs", f"{len(other)}")
    for a, b in zip(one, other, strict=True):
        require(a.equals(b), f"{a.name} {a.shape} {a.texts()[:8]}", f"{b.name} {b.shape} {b.texts()[:8]}")


def same_answers(t: Target, one: Any, other: Any) -> None:
    """Requires equal outputs of two requests, of a model that answers one request always alike."""
    if not t.is_deterministic():
        raise NotApplicable("the model answers the same request in different ways")
    same(t.outputs(one), t.outputs(other))


@area.must("answers", "POST v2/models/NAME/infer answers a valid request by 200.")
def answers(t: Target) -> None:
    require(t.rejection is None, "status 200", t.rejection)
    success(t.infer(t.request()))


@area.must("version", "POST v2/models/NAME/versions/VERSION/infer runs that version.")
def version(t: Target) -> None:
    document = success(t.infer(t.request(), t.version))
    require(document.get("model_version", t.version) == t.version, f"version {t.version}", document)


@area.must("model-name", '"model_name": the name of the model used for inference.')
def model_name(t: Target) -> None:
    name = success(t.infer(t.request())).get("model_name")
    require(name == t.signature.name, t.signature.name, name)


@area.must("model-version", '"model_version": $string #optional, of those that the metadata list.')
def model_version(t: Target) -> None:
    found = success(t.infer(t.request())).get("model_version")
    require(found is None or isinstance(found, str), "a string", found)
    require(not found or not t.signature.versions or found in t.signature.versions, "a listed version", found)


@area.must("outputs", "Each output of an answer has a name, a shape, a datatype and as many elements as its shape.")
def outputs(t: Target) -> None:
    t.outputs(t.request())


@area.must("all-outputs", "Without requested outputs, all outputs of the model are returned.")
def all_outputs(t: Target) -> None:
    names = {output.name for output in t.outputs(t.request())}
    declared = {output.name for output in t.signature.outputs}
    require(declared <= names, f"{sorted(declared)}", f"{sorted(names)}")


@area.must("output-datatypes", "Outputs have the datatypes of the metadata.")
def output_datatypes(t: Target) -> None:
    declared = {output.name: output.datatype for output in t.signature.outputs}
    for output in t.outputs(t.request()):
        expected = declared.get(output.name, output.datatype)
        require(output.datatype == expected, f"{expected} for {output.name}", output.datatype)


@area.must("output-shapes", "Outputs have the shapes of the metadata, with a size for each -1.")
def output_shapes(t: Target) -> None:
    declared = {output.name: output.shape for output in t.signature.outputs}
    for output in t.outputs(t.request()):
        shape = declared.get(output.name, output.shape)
        fits = len(shape) == len(output.shape) and all(a in (-1, b) for a, b in zip(shape, output.shape, strict=True))
        require(fits, f"shape {shape} for {output.name}", output.shape)


@area.should("content-type", "An answer in JSON has the Content-Type application/json.")
def content_type(t: Target) -> None:
    kind = t.infer(t.request()).headers.get("content-type", "")
    require(kind.startswith("application/json"), "application/json", kind)


@area.must("id", '"id": if specified, this identifier must be returned in the response.')
def id_(t: Target) -> None:
    _echoes(t, "42")


@area.must("unicode-id", "An identifier with any characters is returned as it was.")
def unicode_id(t: Target) -> None:
    _echoes(t, 'ü "模型" \\ \n\u2028 \U0001f600')


@area.should("long-id", f"An identifier of {LONG_ID_CHARACTERS:,} characters is returned as it was.")
def long_id(t: Target) -> None:
    _echoes(t, "x" * LONG_ID_CHARACTERS)


def _echoes(t: Target, id: str) -> None:
    found = success(t.infer(t.request(id=id))).get("id")
    require(found == id, repr(id[:40]), found)


@area.should("error-keeps-connection", "A request after an error on the same connection is answered.")
def error_keeps_connection(t: Target) -> None:
    bad, good = b"{", json.dumps(t.request()).encode()
    parts = [t.http.head("POST", t.path("/infer"), f"Content-Length: {len(body)}") + body for body in (bad, good)]
    received = t.http.exchange(*parts, answers=2, pause_s=0.05)
    require([a.status for a in received] in ([400, 200], [422, 200]), "400, then 200", [a.status for a in received])


@area.must("parameters", "A parameter is a string, a number or a boolean; unknown ones are no fault of a request.")
def parameters(t: Target) -> None:
    success(t.infer(t.request(parameters={"note": "text", "count": 3, "rate": 0.5, "on": True})))


@area.must("input-parameters", "An input may have parameters.")
def input_parameters(t: Target) -> None:
    request = t.request()
    for entry in request["inputs"]:
        entry["parameters"] = {**entry.get("parameters", {}), "note": "text"}
    success(t.infer(request))


@area.must("output-parameters", "A requested output may have parameters.")
def output_parameters(t: Target) -> None:
    name = _output_names(t)[0]
    success(t.infer(t.request(outputs=[{"name": name, "parameters": {"note": "text"}}])))


def _output_names(t: Target, at_least: int = 1) -> list[str]:
    names = [output.name for output in t.signature.outputs] or [o.name for o in t.outputs(t.request())]
    if len(names) < at_least:
        raise NotApplicable(f"the model has {len(names)} outputs")
    return names


@area.must("requested-outputs", '"outputs": the output tensors requested for this inference; others are not returned.')
def requested_outputs(t: Target) -> None:
    for name in _output_names(t, at_least=2):
        found = [output.name for output in t.outputs(t.request(outputs=[{"name": name}]))]
        require(found == [name], [name], found)


@area.should("output-order", "Outputs come in the order in which they are requested.")
def output_order(t: Target) -> None:
    for names in (_output_names(t, at_least=2), _output_names(t)[::-1]):
        found = [output.name for output in t.outputs(t.request(outputs=[{"name": name} for name in names]))]
        require(found == names, names, found)


@area.must("requested-values", "Requested outputs have the values that they have without a request for them.")
def requested_values(t: Target) -> None:
    names = [output.name for output in t.outputs(t.request())]
    same_answers(t, t.request(), t.request(outputs=[{"name": name} for name in names]))


@area.must("unknown-output", "A requested output that the model lacks is an error.")
def unknown_output(t: Target) -> None:
    rejected(t.infer(t.request(outputs=[{"name": UNKNOWN}])))


@area.should("no-requested-outputs", "An empty list of outputs asks for all of them.")
def no_requested_outputs(t: Target) -> None:
    found = [output.name for output in t.outputs(t.request(outputs=[]))]
    require(found == [output.name for output in t.outputs(t.request())], "all outputs", found)


@area.must("flat-and-nested", "Elements are nested as the tensor's axes, or flat: both mean the same tensor.")
def flat_and_nested(t: Target) -> None:
    nested = {"inputs": [tensor.document(nested=True) for tensor in t.inputs() if tensor.shape]}
    if len(nested["inputs"]) != len(t.inputs()):
        raise NotApplicable("an input is a scalar")
    same_answers(t, t.request(t.inputs()), nested)


@area.should("partly-nested", "Data nested by other axes than the shape's are an error, or read in their order.")
def partly_nested(t: Target) -> None:
    tensor = next((tensor for tensor in t.inputs() if math.prod(tensor.shape) > 1), None)
    if tensor is None:
        raise NotApplicable("all inputs have one element")
    rows = nest(tensor.elements, (len(tensor.elements), 1))
    answer = t.infer(t.with_input(tensor.name, data=rows))
    if answer.status == 200:
        same(t.outputs(t.request()), parse_outputs(answer))
    else:
        refused(answer)


@area.must("input-order", "Inputs are found by name, in any order.")
def input_order(t: Target) -> None:
    if len(t.inputs()) < 2:
        raise NotApplicable("the model has one input")
    same_answers(t, t.request(), {**t.request(), "inputs": t.request()["inputs"][::-1]})


@area.must("integers-for-floats", "An element may be an integer also where the datatype is a float.")
def integers_for_floats(t: Target) -> None:
    tensor = t.first_input("FP32", "FP64")
    data = [index % 2 for index in range(len(tensor.elements))]
    same_answers(
        t, t.with_input(tensor.name, data=data), t.with_input(tensor.name, data=[float(item) for item in data])
    )


@area.should("extra-fields", "Unknown fields, such as the model_name of the binary extension's example, are ignored.")
def extra_fields(t: Target) -> None:
    success(t.infer(t.request(model_name=t.signature.name)))


@area.should("null-fields", "Optional fields that are null count as absent: clients write them so.")
def null_fields(t: Target) -> None:
    success(t.infer(t.request(id=None, parameters=None, outputs=None)))


@area.should("repeatable", "The same request has the same answer.")
def repeatable(t: Target) -> None:
    request = t.request()
    same(t.outputs(request), t.outputs(request))


@area.must("concurrent", "Requests at the same time get their own answers, with their own ids.")
def concurrent(t: Target) -> None:
    requests = [t.request(t.inputs(seed=seed), id=f"request {seed}") for seed in range(CLIENTS)]
    alone = [t.outputs(request) for request in requests]
    if not t.is_deterministic():
        raise NotApplicable("the model answers the same request in different ways")
    with ThreadPoolExecutor(CLIENTS) as pool:
        received = list(pool.map(t.infer, requests * 3))
    for number, answer in enumerate(received):
        id = success(answer).get("id")
        require(id == f"request {number % CLIENTS}", f"request {number % CLIENTS}", id)
        same(alone[number % CLIENTS], parse_outputs(answer))


@area.must("unknown-model", 'Inference of an unknown model: a status of an error and {"error": $string}.')
def unknown_model(t: Target) -> None:
    error(t.http.post(t.path("/infer", name=UNKNOWN), t.request()))


@area.should("unknown-model-status", "Inference of an unknown model or version is answered by 404.")
def unknown_model_status(t: Target) -> None:
    error(t.http.post(t.path("/infer", name=UNKNOWN), t.request()), 404)
    error(t.infer(t.request(), UNKNOWN), 404)


@area.must("unknown-version", 'Inference of an unknown version: a status of an error and {"error": $string}.')
def unknown_version(t: Target) -> None:
    error(t.infer(t.request(), UNKNOWN))


@area.should("bytes-as-text", "Outputs of BYTES are strings in JSON.")
def bytes_as_text(t: Target) -> None:
    found = [output for output in t.outputs(t.request()) if output.datatype == BYTES]
    if not found:
        raise NotApplicable("the model has no output of BYTES")
    require(all(isinstance(e, str) for output in found for e in output.elements), "strings", found[0].elements[:3])
