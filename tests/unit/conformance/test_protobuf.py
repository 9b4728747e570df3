"""The suite's own codec of gRPC messages, beside that of protobuf."""

from __future__ import annotations

from typing import Any

import pytest
from jsonnx.conformance import protobuf
from jsonnx.conformance.protobuf import INFER_REQUEST, INFER_RESPONSE, MODEL_METADATA
from jsonnx.conformance.verdicts import Violation
from jsonnx.server.grpc.messages import MESSAGES

REQUEST: dict[str, Any] = {
    "model_name": "m",
    "id": "é",
    "inputs": [
        {"name": "x", "datatype": "INT64", "shape": [2, -1], "contents": {"int64_contents": [-5, 2**62]}},
        {"name": "y", "datatype": "FP32", "shape": [2], "contents": {"fp32_contents": [0.5, -2.0]}},
        {"name": "z", "datatype": "BYTES", "shape": [2], "contents": {"bytes_contents": [b"", b"\xff"]}},
        {"name": "b", "datatype": "BOOL", "shape": [3], "contents": {"bool_contents": [True, False, True]}},
    ],
    "raw_input_contents": [b"\0\1"],
    "parameters": [{"key": "rate", "value": {"double_param": 0.5}}, {"key": "count", "value": {"int64_param": -3}}],
}


def test_a_message_is_read_as_it_was_written() -> None:
    found = protobuf.decode(INFER_REQUEST, protobuf.encode(INFER_REQUEST, REQUEST))
    assert (found["model_name"], found["id"], found["raw_input_contents"]) == ("m", "é", [b"\0\1"])
    assert [tensor["shape"] for tensor in found["inputs"]] == [[2, -1], [2], [2], [3]]
    assert found["inputs"][0]["contents"]["int64_contents"] == [-5, 2**62]
    assert found["parameters"][1]["value"]["int64_param"] == -3


def test_protobuf_reads_what_the_suite_writes() -> None:
    message = MESSAGES["ModelInferRequest"]()
    message.ParseFromString(protobuf.encode(INFER_REQUEST, REQUEST))
    assert message.id == "é"
    assert list(message.inputs[0].shape) == [2, -1]
    assert list(message.inputs[0].contents.int64_contents) == [-5, 2**62]
    assert list(message.inputs[1].contents.fp32_contents) == [0.5, -2.0]
    assert list(message.inputs[2].contents.bytes_contents) == [b"", b"\xff"]
    assert list(message.inputs[3].contents.bool_contents) == [True, False, True]
    assert message.parameters["rate"].double_param == 0.5
    assert list(message.raw_input_contents) == [b"\0\1"]


def test_the_suite_reads_what_protobuf_writes() -> None:
    message = MESSAGES["ModelInferResponse"](model_name="m", raw_output_contents=[b"abc"])
    message.outputs.add(name="y", datatype="FP64", shape=[1, 2]).contents.fp64_contents.extend([1.5, 2.5])
    found = protobuf.decode(INFER_RESPONSE, message.SerializeToString())
    assert (found["model_name"], found["raw_output_contents"]) == ("m", [b"abc"])
    assert found["outputs"][0]["contents"]["fp64_contents"] == [1.5, 2.5]
    metadata = MESSAGES["ModelMetadataResponse"](name="m", versions=["1", "2"], platform="p")
    metadata.inputs.add(name="x", datatype="BYTES", shape=[-1])
    found = protobuf.decode(MODEL_METADATA, metadata.SerializeToString())
    assert (found["versions"], found["inputs"][0]["shape"]) == (["1", "2"], [-1])


@pytest.mark.parametrize("data", [b"\x0a\x05ab", b"\xff" * 12, b"\x0a", b"\x0b\x00"])
def test_a_broken_message_is_a_violation(data: bytes) -> None:
    with pytest.raises(Violation, match="protocol buffers"):
        protobuf.decode(INFER_RESPONSE, data)
