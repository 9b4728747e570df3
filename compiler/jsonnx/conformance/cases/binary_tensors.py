"""The extension of binary tensor data: tensors behind the JSON object, announced as `binary_tensor_data`."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Sequence
from typing import Any

from ..case import Area
from ..http_client import Answer
from ..target import Target, error, parse_outputs, success
from ..tensors import BYTES, Tensor, parse_binary, parse_shape
from ..verdicts import NotApplicable, require
from .inference import same

EXTENSION = "binary_tensor_data"
LENGTH_HEADER = "Inference-Header-Content-Length"
area = Area("binary", EXTENSION)


def _message(t: Target, inputs: Sequence[Tensor], binary: Sequence[str], **fields: Any) -> tuple[bytes, bytes]:
    """The JSON object and the data behind it, of a request whose inputs named in `binary` are in binary form."""
    entries, contents = [], b""
    for tensor in inputs:
        entry = tensor.document()
        if tensor.name in binary:
            del entry["data"]
            content = tensor.content()
            entry["parameters"] = {"binary_data_size": len(content)}
            contents += content
        entries.append(entry)
    return json.dumps({"inputs": entries, **fields}).encode(), contents


def _send(t: Target, head: bytes, contents: bytes, length: str | None = "", **headers: str) -> Answer:
    """Sends both; the header has the length of the JSON object unless another text is given, or None for no header."""
    sent = {"Content-Type": "application/octet-stream", **headers}
    if length is not None:
        sent[LENGTH_HEADER] = length or str(len(head))
    return t.infer(head + contents, headers=sent)


def _infer(t: Target, **fields: Any) -> Answer:
    inputs = t.inputs()
    return _send(t, *_message(t, inputs, [tensor.name for tensor in inputs], **fields))


def _split(answer: Answer) -> tuple[Any, bytes]:
    """The JSON object of an answer, and the data behind it."""
    require(answer.status == 200, "status 200", str(answer))
    text = answer.headers.get(LENGTH_HEADER.lower())
    if text is None:
        return answer.json(), b""
    require(text.isdigit() and int(text) <= len(answer.body), "a length within the body", text)
    return Answer(200, {}, answer.body[: int(text)]).json(), answer.body[int(text) :]


def outputs_of(answer: Answer) -> list[Tensor]:
    """The outputs of an answer, some of which may be in binary form."""
    document, contents = _split(answer)
    tensors: list[Tensor] = []
    for output in document["outputs"]:
        size = output.get("parameters", {}).get("binary_data_size")
        if size is None:
            tensors += parse_outputs(Answer(200, {}, json.dumps({"outputs": [output]}).encode()))
            continue
        require("data" not in output, "no 'data' beside binary_data_size", output)
        shape = parse_shape(output["shape"])
        elements = parse_binary(output["datatype"], contents[:size])
        tensor = Tensor(output["name"], output["datatype"], shape, elements)
        contents = contents[size:]
        require(len(tensor.content()) == size, f"{size} bytes of {tensor.name}", len(tensor.content()))
        tensors.append(tensor)
    require(not contents, "no bytes behind the last output", f"{len(contents)} bytes")
    return tensors


def _names(t: Target) -> list[str]:
    return [output.name for output in t.signature.outputs]


@area.extends("input", "The binary data of a tensor are delivered in the HTTP body after the JSON object.")
def input_(t: Target) -> None:
    same(t.outputs(t.request(t.inputs())), outputs_of(_infer(t)))


@area.extends("some-inputs", "Some inputs in binary form, others in JSON.")
def some_inputs(t: Target) -> None:
    inputs = t.inputs()
    if len(inputs) < 2:
        raise NotApplicable("the model has one input")
    for tensor in inputs:
        same(t.outputs(t.request(inputs)), outputs_of(_send(t, *_message(t, inputs, [tensor.name]))))


@area.extends("json-only", "A length that covers the whole body: all tensors in JSON.")
def json_only(t: Target) -> None:
    same(t.outputs(t.request()), outputs_of(_send(t, *_message(t, t.inputs(), []))))


@area.extends("output", '"binary_data": true: the output is returned as binary data, in little-endian order.')
def output(t: Target) -> None:
    wanted = [{"name": name, "parameters": {"binary_data": True}} for name in _names(t)]
    answer = t.infer(t.request(outputs=wanted))
    document, contents = _split(answer)
    require(contents or not any(o["shape"] for o in document["outputs"]), "data behind the JSON object", document)
    same(t.outputs(t.request(outputs=[{"name": name} for name in _names(t)])), outputs_of(answer))


@area.extends("output-size", "A binary output has the parameter binary_data_size, and no data.")
def output_size(t: Target) -> None:
    document, _ = _split(_infer(t, parameters={"binary_data_output": True}))
    for entry in document["outputs"]:
        size = entry.get("parameters", {}).get("binary_data_size")
        require(type(size) is int and "data" not in entry, "binary_data_size in place of data", entry)


@area.extends("all-outputs", '"binary_data_output": true: all outputs are returned as binary data.')
def all_outputs(t: Target) -> None:
    same(t.outputs(t.request()), outputs_of(_infer(t, parameters={"binary_data_output": True})))


@area.extends("override", '"binary_data" of an output overrides binary_data_output.')
def override(t: Target) -> None:
    name = _names(t)[0]
    wanted = [{"name": name, "parameters": {"binary_data": False}}]
    document, contents = _split(_infer(t, parameters={"binary_data_output": True}, outputs=wanted))
    require("data" in document["outputs"][0] and not contents, "the output in JSON", document)


@area.extends("mixed-outputs", "Binary outputs come in the order of the JSON object, beside outputs in JSON.")
def mixed_outputs(t: Target) -> None:
    names = _names(t)
    if len(names) < 2:
        raise NotApplicable("the model has one output")
    wanted = [{"name": name, "parameters": {"binary_data": index % 2 == 0}} for index, name in enumerate(names)]
    same(t.outputs(t.request(outputs=[{"name": n} for n in names])), outputs_of(t.infer(t.request(outputs=wanted))))


@area.extends("json-by-default", "Without these parameters, outputs are returned in JSON.")
def json_by_default(t: Target) -> None:
    document, contents = _split(_infer(t))
    require(all("data" in entry for entry in document["outputs"]) and not contents, "outputs in JSON", document)


@area.extends("answer-header", "If the answer has binary data, Inference-Header-Content-Length must be provided.")
def answer_header(t: Target) -> None:
    answer = _infer(t, parameters={"binary_data_output": True})
    require(LENGTH_HEADER.lower() in answer.headers, LENGTH_HEADER, answer.headers)
    kind = answer.headers.get("content-type", "")
    require(kind.startswith("application/octet-stream"), "Content-Type application/octet-stream", kind)


@area.extends("id", "The id is returned as in JSON.")
def id_(t: Target) -> None:
    found = _split(_infer(t, id="42"))[0].get("id")
    require(found == "42", "the id '42'", found)


@area.extends("unaligned", "The data may begin at any byte.")
def unaligned(t: Target) -> None:
    inputs = t.inputs()
    expected = t.outputs(t.request(inputs))
    head, contents = _message(t, inputs, [tensor.name for tensor in inputs])
    for spaces in range(1, 5):
        same(expected, outputs_of(_send(t, head + b" " * spaces, contents)))


@area.extends("batch", "A batch of three rows, in binary form.")
def batch(t: Target) -> None:
    inputs = t.batch(3)
    answer = _send(t, *_message(t, inputs, [x.name for x in inputs], parameters={"binary_data_output": True}))
    same(t.outputs(t.request(inputs)), outputs_of(answer))


@area.extends("raw", "A body of binary data alone, with the length 0, for a model whose shape follows from its size.")
def raw(t: Target) -> None:
    inputs = t.batch(1)
    variable = sum(dim < 0 for dim in t.signature.inputs[0].shape[1:])
    if len(inputs) != 1 or variable > 1 or (inputs[0].datatype == BYTES and len(inputs[0].elements) > 1):
        raise NotApplicable("the model has several inputs, or a shape that its size does not tell")
    answer = _send(t, b"", inputs[0].content(), "0")
    same(t.outputs(t.request(inputs)), outputs_of(answer))


Parts = tuple[bytes, bytes, str | None]
"""A JSON object, the data behind it, and the header with its length: "" for the right one, None for no header."""


def _twice(head: bytes, contents: bytes) -> Parts:
    document = json.loads(head)
    document["inputs"][0]["data"] = [1]
    return json.dumps(document).encode(), contents, ""


def _overflow(head: bytes, contents: bytes) -> Parts:
    document = json.loads(head)
    document["inputs"][0]["shape"] = [2**32, 2**32]
    return json.dumps(document).encode(), contents, ""


def _size(text: bytes) -> Callable[[bytes, bytes], Parts]:
    """Puts a text before each size."""
    key = b'"binary_data_size": '
    return lambda head, contents: (head.replace(key, key + text), contents, "")


MISTAKES: dict[str, tuple[str, Callable[[bytes, bytes], Parts]]] = {
    "size-too-large": ("binary_data_size is more than the data", lambda head, data: (head, data[:-1], "")),
    "data-behind": ("there are more data than the inputs have", lambda head, data: (head, data + b"\0", "")),
    "no-data": ("the data are missing", lambda head, data: (head, b"", "")),
    "no-header": (f"the header {LENGTH_HEADER} is missing", lambda head, data: (head, data, None)),
    "header-text": ("the header is no number", lambda head, data: (head, data, "many")),
    "header-negative": ("the header is negative", lambda head, data: (head, data, "-1")),
    "header-too-large": (
        "the header is more than the body",
        lambda head, data: (head, data, str(len(head) + len(data) + 1)),
    ),
    "header-too-small": ("the header ends within the JSON object", lambda head, data: (head, data, str(len(head) - 3))),
    "size-text": ("binary_data_size is no integer", _size(b'"x", "other": ')),
    "size-negative": ("binary_data_size is negative", _size(b"-")),
    "overflowing-sizes": ("the product of the sizes is 2^64, which is 0 in 64 bits", _overflow),
    "both-forms": ("an input has data and binary_data_size", _twice),
}
"""Mistakes in a valid request in binary form, by the name of the case."""


def _register(name: str, rule: str, mistake: Callable[[bytes, bytes], Parts]) -> None:
    @area.extends(name, f"Error object: {rule}.")
    def check(t: Target) -> None:
        inputs = t.inputs()
        head, contents = _message(t, inputs, [tensor.name for tensor in inputs])
        error(_send(t, *mistake(head, contents)), 400, 411, 413, 415, 422)
        success(t.infer(t.request()))


for _name, (_rule, _mistake) in MISTAKES.items():
    _register(_name, _rule, _mistake)


@area.extends("other-shape", "Error object: the size of the binary data is not that of the shape and datatype.")
def other_shape(t: Target) -> None:
    tensor = t.first_input("FP32", "FP64", "INT32", "INT64", "INT8", "UINT8", "BOOL")
    entry = {**tensor.document(), "parameters": {"binary_data_size": len(tensor.content()) + 1}}
    del entry["data"]
    others = [other.document() for other in t.inputs() if other.name != tensor.name]
    error(_send(t, json.dumps({"inputs": [entry, *others]}).encode(), tensor.content() + b"\0"))


@area.extends("bytes-length", "Error object: an element of BYTES whose length is more than the data.")
def bytes_length(t: Target) -> None:
    tensor = t.first_input(BYTES)
    for content in (struct.pack("<I", 0xFFFFFFFF), b"\x01", struct.pack("<I", 5) + b"abc"):
        entry = {**tensor.document(), "parameters": {"binary_data_size": len(content)}}
        del entry["data"]
        others = [other.document() for other in t.inputs() if other.name != tensor.name]
        error(_send(t, json.dumps({"inputs": [entry, *others]}).encode(), content))


@area.extends("bytes-not-text", "An element of BYTES that is no UTF-8: an answer or an error object.")
def bytes_not_text(t: Target) -> None:
    tensor = t.first_input(BYTES)
    elements = (b"\xff\xfe", *tensor.elements[1:])
    inputs = [Tensor(x.name, x.datatype, x.shape, elements) if x.name == tensor.name else x for x in t.inputs()]
    answer = _send(t, *_message(t, inputs, [tensor.name]))
    if answer.status != 200:
        error(answer)


@area.extends("fp16", "FP16 is representable as binary data in its native size.")
def fp16(t: Target) -> None:
    t.first_input("FP16")
    outputs_of(_infer(t, parameters={"binary_data_output": True}))
