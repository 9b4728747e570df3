"""Tensors in requests and answers of the Open Inference Protocol v2: as JSON, and as bytes behind the JSON.

The bytes are those of Triton's extension for binary tensors: little-endian, in C order; an element of type BYTES has
its length before it.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..core.diagnostics import UsageError
from .server_error import other_answer

DATATYPES = {
    **{"BOOL": "bool", "UINT8": "uint8", "UINT16": "uint16", "UINT32": "uint32", "UINT64": "uint64"},
    **{"INT8": "int8", "INT16": "int16", "INT32": "int32", "INT64": "int64"},
    **{"FP16": "float16", "FP32": "float32", "FP64": "float64"},
}
"""The NumPy types of the protocol's datatypes, except BYTES and BF16."""
_DATATYPE_OF = {dtype: name for name, dtype in DATATYPES.items()} | {"bfloat16": "BF16"}
BINARY_ONLY = ("FP16", "BF16")
"""Datatypes that JSON cannot hold."""
LENGTH_BYTES = 4
"""Of the length before an element of type BYTES."""
HEADER_LENGTH = "inference-header-content-length"
"""The header with the length of the JSON before binary tensors."""


class EncodedRequest(NamedTuple):
    """The body of a request, and the headers that describe it."""

    body: bytes
    headers: dict[str, str]


def array_of(name: str, value: Any, datatype: str | None) -> np.ndarray:
    """The array of an input, in the datatype that the model takes, if that is known. Raises UsageError."""
    array = np.asarray(value)
    if array.dtype.kind in "USO":
        return array
    wanted = DATATYPES.get(datatype or "")
    if datatype == "BYTES":
        raise UsageError("bad-feed", f"input {name!r} has {array.dtype} elements, the model takes texts")
    if wanted is None or array.dtype == wanted:
        return array
    if array.dtype.kind == "f" and not wanted.startswith("float"):
        message = f"input {name!r} has {array.dtype} elements, the model takes {wanted}"
        raise UsageError("bad-feed", message, f"round them: numpy.rint(x).astype({wanted!r})")
    cast = array.astype(wanted)
    if array.dtype.kind in "iu" and cast.dtype.kind in "iu" and not np.array_equal(cast, array):
        raise UsageError("bad-feed", f"input {name!r} has values beyond the range of {wanted}")
    return cast


def encode_request(
    inputs: Mapping[str, np.ndarray],
    outputs: Sequence[str] | None,
    parameters: Mapping[str, Any],
    id: str | None,
    is_binary: bool,
) -> EncodedRequest:
    """The body of an inference request. Raises UsageError for elements that the protocol lacks."""
    document: dict[str, Any] = {"id": id} if id is not None else {}
    document["inputs"], blobs = [], []
    for name, array in inputs.items():
        datatype = datatype_of(name, array)
        entry: dict[str, Any] = {"name": name, "shape": list(array.shape), "datatype": datatype}
        if is_binary:
            blobs.append(_to_bytes(array, datatype))
            entry["parameters"] = {"binary_data_size": len(blobs[-1])}
        elif datatype in BINARY_ONLY:
            help = "use a server with the extension binary_tensor_data, or another type"
            raise UsageError("bad-feed", f"input {name!r} has {array.dtype} elements, which JSON cannot hold", help)
        else:
            entry["data"] = _to_json(array, datatype)
        document["inputs"].append(entry)
    if outputs is not None:
        binary = {"parameters": {"binary_data": True}} if is_binary else {}
        document["outputs"] = [{"name": name, **binary} for name in outputs]
    all_parameters = {**parameters, **({"binary_data_output": True} if is_binary and outputs is None else {})}
    if all_parameters:
        document["parameters"] = all_parameters
    header = json.dumps(document, allow_nan=False).encode()
    if not is_binary:
        return EncodedRequest(header, {"Content-Type": "application/json"})
    headers = {"Content-Type": "application/octet-stream", HEADER_LENGTH: str(len(header))}
    return EncodedRequest(b"".join([header, *blobs]), headers)


def datatype_of(name: str, array: np.ndarray) -> str:
    """The protocol's datatype of an array. Raises UsageError."""
    is_text = array.dtype.kind in "US" or (
        array.dtype.kind == "O" and all(isinstance(item, str | bytes) for item in array.flat)
    )
    if is_text:
        return "BYTES"
    datatype = _DATATYPE_OF.get(array.dtype.name)
    if datatype is None:
        raise UsageError("bad-feed", f"input {name!r} has {array.dtype} elements, which the protocol lacks")
    return datatype


def _elements(array: np.ndarray) -> list[bytes]:
    values = array.reshape(-1).tolist()
    return [value if isinstance(value, bytes) else str(value).encode() for value in values]


def _to_bytes(array: np.ndarray, datatype: str) -> bytes:
    if datatype == "BYTES":
        return b"".join(struct.pack("<I", len(item)) + item for item in _elements(array))
    little_endian = array.astype(array.dtype.newbyteorder("<"), copy=False) if datatype != "BF16" else array
    return np.ascontiguousarray(little_endian).tobytes()


def _to_json(array: np.ndarray, datatype: str) -> list[Any]:
    if datatype == "BYTES":
        return [item.decode(errors="surrogateescape") for item in _elements(array)]
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        help = "use a server with the extension binary_tensor_data"
        raise UsageError("bad-feed", "JSON cannot hold NaN and infinities", help)
    return array.reshape(-1).tolist()


def decode_answer(body: bytes, headers: Mapping[str, str]) -> dict[str, np.ndarray]:
    """The outputs of an inference answer, by name. Raises ServerError if it is not of the protocol."""
    try:
        length = int(headers.get(HEADER_LENGTH, len(body)))
        document = json.loads(body[:length])
        outputs, offset = {}, length
        for output in document["outputs"]:
            size = output.get("parameters", {}).get("binary_data_size")
            if size is None:
                array = _from_json(output["data"], output["datatype"])
            else:
                array = _from_bytes(body[offset : offset + size], output["datatype"])
                offset += size
            outputs[output["name"]] = array.reshape(output["shape"])
    except (ValueError, KeyError, TypeError, AttributeError, struct.error) as error:
        raise other_answer("one of the Open Inference Protocol", f": {type(error).__name__}: {error}") from error
    return outputs


def _from_json(data: Any, datatype: str) -> np.ndarray:
    if datatype == "BYTES":
        flat: list[Any] = []
        _flatten(data, flat)
        return _texts(flat)
    return np.asarray(data, np.float32 if datatype == "BF16" else DATATYPES[datatype])


def _flatten(data: Any, flat: list[Any]) -> None:
    if isinstance(data, list):
        for item in data:
            _flatten(item, flat)
    else:
        flat.append(data)


def _from_bytes(data: bytes, datatype: str) -> np.ndarray:
    if datatype == "BYTES":
        items, offset = [], 0
        while offset < len(data):
            (size,) = struct.unpack_from("<I", data, offset)
            items.append(data[offset + LENGTH_BYTES : offset + LENGTH_BYTES + size])
            offset += LENGTH_BYTES + size
        return _texts(items)
    if datatype == "BF16":  # the upper half of a float32
        return (np.frombuffer(data, "<u2").astype("<u4") << 16).view("<f4")
    return np.frombuffer(data, np.dtype(DATATYPES[datatype]).newbyteorder("<"))


def _texts(items: Sequence[Any]) -> np.ndarray:
    """An array of texts; bytes that are not UTF-8 stay bytes."""
    array = np.empty(len(items), object)
    for index, item in enumerate(items):
        array[index] = _text(item) if isinstance(item, bytes) else item
    return array


def _text(item: bytes) -> str | bytes:
    try:
        return item.decode()
    except UnicodeDecodeError:
        return item
