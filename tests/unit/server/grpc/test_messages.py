"""The bytes of messages; `tests/environments/serving` compares all fields with Triton's definitions."""

from __future__ import annotations

from google.protobuf.descriptor_pool import Default
from jsonnx.server.grpc.messages import MESSAGES


def test_fields_have_the_numbers_of_the_protocol() -> None:
    request = MESSAGES["ModelInferRequest"](
        model_name="m",
        model_version="v",
        id="i",
        parameters={"p": {"double_param": 0.5}},
        inputs=[{"name": "x", "datatype": "FP32", "shape": [1, 300], "contents": {"fp32_contents": [1.0]}}],
        outputs=[{"name": "y"}],
        raw_input_contents=[b"\0"],
    )
    expected = (
        b"\x0a\x01m"  # field n of wire type t begins with n * 8 + t
        b"\x12\x01v"
        b"\x1a\x01i"
        b"\x22\x0e\x0a\x01p\x12\x09\x21" + b"\0\0\0\0\0\0\xe0\x3f"  # a map's entry: key 1, value 2; double_param 4
        b"\x2a\x16\x0a\x01x\x12\x04FP32\x1a\x03\x01\xac\x02\x2a\x06\x32\x04\0\0\x80\x3f"
        b"\x32\x03\x0a\x01y"
        b"\x3a\x01\0"
    )
    assert request.SerializeToString() == expected
    assert MESSAGES["ModelInferRequest"].FromString(expected) == request


def test_a_parameter_has_one_value() -> None:
    parameter = MESSAGES["InferParameter"](bool_param=False)
    assert parameter.WhichOneof("parameter_choice") == "bool_param"
    parameter.string_param = "x"
    assert parameter.WhichOneof("parameter_choice") == "string_param"
    assert not parameter.HasField("bool_param")
    assert MESSAGES["InferParameter"]().WhichOneof("parameter_choice") is None


def test_messages_of_clients_may_be_in_the_same_process() -> None:
    """A client's generated code adds messages of the same names to the default pool."""
    for name in MESSAGES:
        try:
            Default().FindMessageTypeByName(f"inference.{name}")
        except KeyError:
            continue
        raise AssertionError(f"{name} is in the default pool")
