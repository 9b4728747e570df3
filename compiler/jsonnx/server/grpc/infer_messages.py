"""ModelInferRequest -> `InferRequest`, and `InferResponse` -> ModelInferResponse."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from ..protocol.binary_tensors import array_of_bytes, bytes_of_array
from ..protocol.datatypes import RAW_ONLY_DATATYPES
from ..protocol.errors import bad_request
from ..protocol.requests import InferInput, InferRequest, InferResponse, Parameters, RequestedOutput
from ..protocol.tensor_shapes import checked_shape
from .messages import MESSAGES, Message
from .tensor_contents import array_of_contents, set_contents

_MIN_INT64, _MAX_INT64 = -(1 << 63), (1 << 63) - 1


def decode_request(message: Message) -> InferRequest:
    """The request of a ModelInferRequest. Raises RequestError."""
    raw = message.raw_input_contents
    if raw and len(raw) != len(message.inputs):
        names = f"{len(message.inputs)} inputs, but raw_input_contents has {len(raw)} elements"
        raise bad_request(f"the request has {names}", "give one for each input, in the same order")
    inputs = [_decode_input(item, raw[index] if raw else None) for index, item in enumerate(message.inputs)]
    outputs = [RequestedOutput(item.name, decode_parameters(item.parameters)) for item in message.outputs]
    return InferRequest(
        message.model_name,
        inputs,
        message.model_version or None,
        message.id or None,
        outputs or None,
        decode_parameters(message.parameters),
    )


def _decode_input(item: Message, raw: bytes | None) -> InferInput:
    tensor = f"the input {item.name!r}"
    shape = checked_shape(list(item.shape), tensor)
    if raw is None:
        array = array_of_contents(item.contents, shape, item.datatype, tensor)
    elif item.HasField("contents"):
        raise bad_request(f"{tensor} has `contents`, and the request raw_input_contents", "give one of them")
    else:
        array = array_of_bytes(raw, shape, item.datatype, tensor)
    return InferInput(item.name, item.datatype, array, decode_parameters(item.parameters))


def decode_parameters(messages: Mapping[str, Message]) -> Parameters:
    """The values of parameters; one without a value is left out."""
    chosen = {name: (item, item.WhichOneof("parameter_choice")) for name, item in messages.items()}
    return {name: getattr(item, field) for name, (item, field) in chosen.items() if field}


def encode_response(response: InferResponse, is_raw: bool) -> Message:
    """A ModelInferResponse. Without `is_raw`, its values are raw only if a datatype has no other form."""
    is_raw = is_raw or any(output.datatype in RAW_ONLY_DATATYPES for output in response.outputs)
    message = MESSAGES["ModelInferResponse"](
        model_name=response.model_name, model_version=response.model_version, id=response.id or ""
    )
    _encode_parameters(response.parameters, message.parameters)
    for output in response.outputs:
        item = message.outputs.add(name=output.name, datatype=output.datatype, shape=output.array.shape)
        _encode_parameters(output.parameters, item.parameters)
        if is_raw:
            message.raw_output_contents.append(bytes_of_array(output.array))
        else:
            set_contents(item.contents, output.array, output.datatype)
    return message


def _encode_parameters(parameters: Parameters, messages: Message) -> None:
    for name, value in parameters.items():
        field, encoded = _parameter(value)
        setattr(messages[name], field, encoded)


def _parameter(value: Any) -> tuple[str, Any]:
    """The field of a value, and the value in it; what has no field is JSON."""
    if isinstance(value, bool | np.bool_):
        return "bool_param", bool(value)
    if isinstance(value, int | np.integer) and _MIN_INT64 <= value <= _MAX_INT64:
        return "int64_param", int(value)
    if isinstance(value, float | np.floating):
        return "double_param", float(value)
    return "string_param", value if isinstance(value, str) else json.dumps(value)
