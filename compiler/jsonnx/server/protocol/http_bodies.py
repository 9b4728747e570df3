"""Bodies of inference requests and answers over HTTP: JSON, and JSON followed by binary tensors.

Source: the Open Inference Protocol, inference_rest.md; Triton's docs/protocol/extension_binary_data.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

import orjson

from .binary_tensors import array_of_bytes, bytes_of_array
from .datatypes import BYTES, RAW_ONLY_DATATYPES, dtype_of
from .errors import bad_request
from .json_tensors import array_of_data, data_of_array
from .requests import InferInput, InferOutput, InferRequest, InferResponse, Parameters, RequestedOutput
from .tensor_shapes import checked_shape

HEADER_LENGTH = "Inference-Header-Content-Length"
"""The HTTP header with the length of the JSON in front of binary tensors."""
BINARY_SIZE, BINARY_DATA, BINARY_OUTPUT = "binary_data_size", "binary_data", "binary_data_output"
"""Parameters: the bytes of a tensor; whether an output is wanted as bytes; whether all outputs are."""


def decode_request(body: bytes, header_length: str | None, model_name: str, model_version: str | None) -> InferRequest:
    """The request in a body. Raises RequestError."""
    length = len(body) if header_length is None else _header_length(header_length, len(body))
    document = parse_json(body[:length] if length < len(body) else body)
    if not isinstance(document, dict):
        raise bad_request("the request is no JSON object")
    request_id = document.get("id")
    if request_id is not None and not isinstance(request_id, str):
        raise bad_request(f"the id of the request is {request_id!r}", "give a string")
    inputs, rest = document.get("inputs"), memoryview(body)[length:]
    if not isinstance(inputs, list):
        raise bad_request("the request has no list `inputs`")
    decoded = []
    for number, item in enumerate(inputs):
        tensor, rest = _decode_input(item, number, rest)
        decoded.append(tensor)
    if len(rest):
        raise bad_request(f"{len(rest):,} bytes follow the last binary tensor")
    outputs = document.get("outputs")
    if outputs is not None and not isinstance(outputs, list):
        raise bad_request("`outputs` of the request is no list")
    requested = [_decode_output(item, number) for number, item in enumerate(outputs)] if outputs else None
    return InferRequest(model_name, decoded, model_version, request_id, requested, _parameters(document, "the request"))


def decode_raw_request(
    body: bytes, inputs: Sequence[Mapping[str, Any]], model_name: str, model_version: str | None
) -> InferRequest:
    """The request in a body of one tensor's bytes, without JSON: one row of the model's only input, as its metadata
    describe it. All outputs are wanted as bytes. Raises RequestError."""
    if len(inputs) != 1:
        raise bad_request(f"a body without JSON is for models with one input, {model_name!r} has {len(inputs)}")
    name, datatype, shape = (inputs[0][key] for key in ("name", "datatype", "shape"))
    sizes = [1, *shape[1:]] if shape[:1] == [-1] else list(shape)
    if -1 in sizes:
        known, item_size = prod(size for size in sizes if size != -1), dtype_of(datatype, name).itemsize
        if sizes.count(-1) > 1 or datatype == BYTES or len(body) % max(1, known * item_size):
            raise bad_request(f"the size of a body without JSON does not tell the shape of {name!r}, {shape}")
        sizes[sizes.index(-1)] = len(body) // max(1, known * item_size)
    array = array_of_bytes(memoryview(body), tuple(sizes), datatype, f"the input {name!r}")
    tensor = InferInput(name, datatype, array, {})
    return InferRequest(model_name, [tensor], model_version, None, None, {BINARY_OUTPUT: True})


def parse_json(text: bytes) -> Any:
    """The value of a JSON text. Raises RequestError."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        if not text.strip():
            raise bad_request("the request has no body") from error
        message = f"the request is not JSON: {error.msg} at line {error.lineno}, column {error.colno}"
        has_nan = any(word in text for word in (b"NaN", b"Infinity"))
        raise bad_request(
            message, "JSON has no NaN and no Infinity: write null for NaN" if has_nan else None
        ) from error


def _header_length(text: str, size: int) -> int:
    is_number = text.isascii() and text.isdecimal() and len(text) <= len(str(size))
    if not is_number or int(text) > size:
        raise bad_request(f"{HEADER_LENGTH} is {text!r}, but the body has {size:,} bytes")
    return int(text)


def _decode_input(item: Any, number: int, rest: memoryview) -> tuple[InferInput, memoryview]:
    """The input, and the bytes behind its own."""
    name = _name(item, f"input {number}")
    tensor = f"the input {name!r}"
    shape, datatype = checked_shape(item.get("shape"), tensor), item.get("datatype")
    parameters = _parameters(item, tensor)
    size = parameters.get(BINARY_SIZE)
    if size is None:
        return InferInput(name, datatype, array_of_data(item.get("data"), shape, datatype, tensor), parameters), rest
    if "data" in item:
        raise bad_request(f"{tensor} has both `data` and the parameter {BINARY_SIZE!r}")
    if type(size) is not int or not 0 <= size <= len(rest):
        raise bad_request(f"{tensor} has {size!r} bytes of {len(rest):,} that are left")
    return InferInput(name, datatype, array_of_bytes(rest[:size], shape, datatype, tensor), parameters), rest[size:]


def _name(item: Any, tensor: str) -> str:
    if not isinstance(item, dict) or not isinstance(item.get("name"), str):
        raise bad_request(f"{tensor} of the request has no name")
    return item["name"]


def _parameters(item: Mapping[str, Any], owner: str) -> Parameters:
    parameters = item.get("parameters")
    if parameters is None:
        return {}
    if not isinstance(parameters, dict):
        raise bad_request(f"the parameters of {owner} are no object")
    for name, value in parameters.items():
        if not isinstance(value, str | int | float):  # a boolean is an int
            message = f"the parameter {name!r} of {owner} is neither a string, nor a number, nor a boolean"
            raise bad_request(message)
    return parameters


def _decode_output(item: Any, number: int) -> RequestedOutput:
    name = _name(item, f"output {number}")
    return RequestedOutput(name, _parameters(item, f"the output {name!r}"))


# -- answers -----------------------------------------------------------------------------------------------------------


def encode_response(request: InferRequest, response: InferResponse) -> tuple[bytes, int | None]:
    """The body of an answer, and the length of its JSON if binary tensors follow it."""
    is_binary = request.parameters.get(BINARY_OUTPUT) is True
    wanted = {output.name: output.parameters.get(BINARY_DATA, is_binary) is True for output in request.outputs or ()}
    tensors: list[bytes] = []
    document: dict[str, Any] = {"model_name": response.model_name, "model_version": response.model_version}
    if response.id is not None:
        document["id"] = response.id
    if response.parameters:
        document["parameters"] = response.parameters
    document["outputs"] = [_encode_output(item, wanted.get(item.name, is_binary), tensors) for item in response.outputs]
    header = orjson.dumps(document, option=orjson.OPT_SERIALIZE_NUMPY)
    return (b"".join([header, *tensors]), len(header)) if tensors else (header, None)


def _encode_output(output: InferOutput, is_binary: bool, tensors: list[bytes]) -> dict[str, Any]:
    item = {"name": output.name, "datatype": output.datatype, "shape": list(output.array.shape)}
    parameters = dict(output.parameters)
    if is_binary or output.datatype in RAW_ONLY_DATATYPES:
        tensors.append(bytes_of_array(output.array))
        parameters[BINARY_SIZE] = len(tensors[-1])
    else:
        item["data"] = data_of_array(output.array)
    return item | {"parameters": parameters} if parameters else item
