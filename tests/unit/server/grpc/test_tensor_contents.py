from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from jsonnx.server.grpc.messages import MESSAGES
from jsonnx.server.grpc.tensor_contents import array_of_contents, set_contents
from jsonnx.server.protocol.errors import RequestError

VALUES = {
    "BOOL": ("bool", [True, False]),
    "INT8": ("int8", [-128, 127]),
    "INT16": ("int16", [-(2**15), 2**15 - 1]),
    "INT32": ("int32", [-(2**31), 2**31 - 1]),
    "INT64": ("int64", [-(2**63), 2**63 - 1]),
    "UINT8": ("uint8", [0, 255]),
    "UINT16": ("uint16", [0, 2**16 - 1]),
    "UINT32": ("uint32", [0, 2**32 - 1]),
    "UINT64": ("uint64", [0, 2**64 - 1]),
    "FP32": ("float32", [0.1, -np.inf]),
    "FP64": ("float64", [0.1, 1e300]),
    "BYTES": ("object", ["", "Grüße\0"]),
}


def contents(**fields: Any) -> Any:
    return MESSAGES["InferTensorContents"](**fields)


@pytest.mark.parametrize("datatype", VALUES)
def test_values_survive_the_way_there_and_back(datatype: str) -> None:
    dtype, values = VALUES[datatype]
    array = np.array(values, dtype).reshape(2, 1)
    message = contents()
    set_contents(message, array, datatype)
    decoded = array_of_contents(message, (2, 1), datatype, "the input 'x'")
    assert decoded.dtype == array.dtype
    assert np.array_equal(decoded, array)


def test_a_tensor_without_values() -> None:
    assert array_of_contents(contents(), (0, 3), "FP32", "x").shape == (0, 3)


BAD = {
    "another field": (
        "FP32",
        [1],
        {"fp64_contents": [1.0]},
        "x is FP32, and has values in fp64_contents; give them in fp32_contents, or as raw_input_contents",
    ),
    "two fields": (
        "FP32",
        [1],
        {"fp32_contents": [1.0], "int_contents": [1]},
        "x is FP32, and has values in int_contents",
    ),
    "too few": ("FP32", [2, 2], {"fp32_contents": [1.0]}, r"x has the shape \[2, 2\], so 4 values, but 1 are given"),
    "none": ("INT8", [2], {}, r"x has the shape \[2\], so 2 values, but 0 are given; give them in int_contents"),
    "beyond": ("INT8", [2], {"int_contents": [1, 128]}, "x is INT8, and has 128, which is beyond its range"),
    "negative": ("UINT16", [1], {"uint_contents": [65536]}, "x is UINT16, and has 65536"),
    "half": ("FP16", [1], {"fp32_contents": [1.0]}, "x is FP16, for which `contents` has no field; send raw_input"),
    "brain": ("BF16", [0], {}, "x is BF16, for which `contents` has no field"),
    "bytes": ("BYTES", [2], {"bytes_contents": [b"a", b"\xff"]}, "element 1 of x is not UTF-8"),
    "unknown": ("FP31", [1], {}, "x has the datatype 'FP31', which the protocol lacks"),
    "empty": ("", [1], {}, "x has the datatype '', which the protocol lacks"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_contents(case: str) -> None:
    datatype, shape, fields, message = BAD[case]
    with pytest.raises(RequestError, match=message) as raised:
        array_of_contents(contents(**fields), tuple(shape), datatype, "x")
    assert (raised.value.status, raised.value.code) == (400, "bad-request")
