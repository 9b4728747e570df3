from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from jsonnx.core.numpy_types import numpy_dtype
from jsonnx.server.grpc.infer_messages import decode_request, encode_response
from jsonnx.server.grpc.messages import MESSAGES
from jsonnx.server.protocol.errors import RequestError
from jsonnx.server.protocol.requests import InferOutput, InferResponse, RequestedOutput


def request(**fields: Any) -> Any:
    return MESSAGES["ModelInferRequest"](model_name="m", **fields)


def tensor(shape: list[int], datatype: str = "FP32", **fields: Any) -> dict[str, Any]:
    return {"name": "x", "datatype": datatype, "shape": shape, **fields}


def test_typed_values() -> None:
    decoded = decode_request(request(inputs=[tensor([2, 1], contents={"fp32_contents": [1, 2]})]))
    assert (decoded.model_name, decoded.model_version, decoded.id, decoded.outputs) == ("m", None, None, None)
    assert decoded.inputs[0].array.tolist() == [[1], [2]]


def test_raw_values() -> None:
    half, words = np.array([0.5, 2], "float16"), b"\2\0\0\0ab\0\0\0\0"
    message = request(
        inputs=[tensor([2], "FP16"), tensor([2], "BYTES"), tensor([1], "BF16")],
        raw_input_contents=[half.tobytes(), words, b"\x80\x3f"],
        model_version="3",
        id="42",
    )
    decoded = decode_request(message)
    assert (decoded.model_version, decoded.id) == ("3", "42")
    assert decoded.inputs[0].array.tolist() == [0.5, 2]
    assert decoded.inputs[1].array.tolist() == ["ab", ""]
    assert decoded.inputs[2].array.astype("float32").tolist() == [1]


def test_parameters_of_all_types_and_requested_outputs() -> None:
    parameters = {
        "b": {"bool_param": True},
        "i": {"int64_param": -3},
        "s": {"string_param": "text"},
        "d": {"double_param": 0.5},
        "u": {"uint64_param": 2**63},
        "none": {},
    }
    values = {"b": True, "i": -3, "s": "text", "d": 0.5, "u": 2**63}
    message = request(
        inputs=[tensor([0], parameters=parameters)],
        outputs=[{"name": "y", "parameters": {"classification": {"int64_param": 2}}}, {"name": "z"}],
        parameters=parameters,
    )
    decoded = decode_request(message)
    assert decoded.parameters == decoded.inputs[0].parameters == values
    assert decoded.outputs == [RequestedOutput("y", {"classification": 2}), RequestedOutput("z")]


ONE = {"fp32_contents": [1.0]}
BAD = {
    "both": ([tensor([1], contents=ONE)], [b"\0\0\0\0"], "'x' has `contents`, and the request raw_input_contents"),
    "fewer": (
        [tensor([1]), tensor([1])],
        [b"\0\0\0\0"],
        "2 inputs, but raw_input_contents has 1 elements; give one for",
    ),
    "more": ([], [b""], "the request has 0 inputs, but raw_input_contents has 1"),
    "short": ([tensor([2])], [b"\0\0\0\0"], r"the shape \[2\] and the datatype FP32, so 8 bytes, but 4 are given"),
    "negative": ([tensor([-1], contents=ONE)], [], r"'x' has the shape \[-1\]"),
    "rank": ([tensor([1] * 33, contents=ONE)], [], "'x' has 33 axes, the limit is 32"),
    "empty": ([tensor([0, 2**62])], [b""], "beyond"),
    "huge": ([tensor([2**62, 2**62])], [b"\0\0\0\0"], "beyond"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_requests(case: str) -> None:
    inputs, raw, message = BAD[case]
    with pytest.raises(RequestError, match=message) as raised:
        decode_request(request(inputs=inputs, raw_input_contents=raw))
    assert (raised.value.status, raised.value.code) == (400, "bad-request")


def test_answers_are_raw_or_typed() -> None:
    outputs = [
        InferOutput("y", "FP32", np.array([[1, 2]], "float32")),
        InferOutput("words", "BYTES", np.array(["ü", "b"], object)),
    ]
    response = InferResponse("m", "1", outputs, "7", {"seconds": 0.5, "rows": 2, "is_cached": False, "list": [1]})
    typed = encode_response(response, is_raw=False)
    assert (typed.model_name, typed.model_version, typed.id) == ("m", "1", "7")
    assert (typed.parameters["seconds"].double_param, typed.parameters["rows"].int64_param) == (0.5, 2)
    assert typed.parameters["is_cached"].WhichOneof("parameter_choice") == "bool_param"
    assert typed.parameters["list"].string_param == "[1]"
    assert (list(typed.outputs[0].shape), list(typed.outputs[0].contents.fp32_contents)) == ([1, 2], [1, 2])
    assert list(typed.outputs[1].contents.bytes_contents) == ["ü".encode(), b"b"]
    assert not typed.raw_output_contents
    raw = encode_response(response, is_raw=True)
    expected = [np.array([1, 2], "float32").tobytes(), b"\2\0\0\0\xc3\xbc\1\0\0\0b"]
    assert list(raw.raw_output_contents) == expected
    assert not any(output.HasField("contents") for output in raw.outputs)


@pytest.mark.parametrize(("datatype", "dtype"), [("FP16", "float16"), ("BF16", "bfloat16")])
def test_an_output_without_a_typed_form_makes_all_raw(datatype: str, dtype: str) -> None:
    outputs = [
        InferOutput("y", "FP32", np.ones(1, "float32")),
        InferOutput("h", datatype, np.ones(1, numpy_dtype(dtype))),
    ]
    raw = encode_response(InferResponse("m", "1", outputs), is_raw=False)
    assert [len(data) for data in raw.raw_output_contents] == [4, 2]
    assert not any(output.HasField("contents") for output in raw.outputs)
