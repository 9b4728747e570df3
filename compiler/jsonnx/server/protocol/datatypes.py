"""The datatypes of the protocol, and the element types of models."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...core.numpy_types import numpy_dtype
from ...core.spelling import similar_words
from .errors import RequestError, bad_request

BYTES = "BYTES"

DATATYPES = {
    "bool": "BOOL",
    "uint8": "UINT8",
    "uint16": "UINT16",
    "uint32": "UINT32",
    "uint64": "UINT64",
    "int8": "INT8",
    "int16": "INT16",
    "int32": "INT32",
    "int64": "INT64",
    "float16": "FP16",
    "bfloat16": "BF16",
    "float32": "FP32",
    "float64": "FP64",
    "string": BYTES,
}
"""The datatype of each element type."""

TRITON_TYPES = {name: f"TYPE_{'STRING' if datatype == BYTES else datatype}" for name, datatype in DATATYPES.items()}
"""The datatypes as Triton's configurations name them, by element type."""

_ELEMENT_TYPES = {datatype: name for name, datatype in DATATYPES.items()}

RAW_ONLY_DATATYPES = ("FP16", "BF16")
"""Datatypes without a JSON form: their values are sent as bytes."""


def datatype_of(element_type: str) -> str:
    """The datatype of a model's element type. One that the protocol lacks keeps its name in ONNX."""
    return DATATYPES.get(element_type, element_type)


def dtype_of(datatype: Any, tensor: str) -> np.dtype[Any]:
    """NumPy's element type of a datatype. Raises RequestError for an unknown one; `tensor` names it in the message."""
    if isinstance(datatype, str) and datatype in _ELEMENT_TYPES:
        return numpy_dtype(_ELEMENT_TYPES[datatype])
    similar = similar_words(datatype.upper(), _ELEMENT_TYPES) if isinstance(datatype, str) else []
    help = f"did you mean {similar[0]!r}?" if similar else f"datatypes are {', '.join(_ELEMENT_TYPES)}"
    raise bad_request(f"{tensor} has the datatype {datatype!r}, which the protocol lacks", help)


def require_datatype(element_type: str, tensor: str) -> str:
    """The datatype of an input or output. Raises RequestError if the protocol has none for its element type."""
    if element_type in DATATYPES:
        return DATATYPES[element_type]
    message = f"{tensor} is of the type {element_type}, for which the protocol has no datatype"
    raise RequestError(501, "unsupported-datatype", message)
