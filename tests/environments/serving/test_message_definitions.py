"""The messages of `server/grpc` have the fields of Triton's protobuf definitions, which tritonclient carries."""

from __future__ import annotations

from typing import Any

import pytest
from jsonnx.server.grpc.messages import DATA_TYPES, MESSAGES
from tritonclient.grpc import model_config_pb2, service_pb2


def triton_messages() -> dict[str, Any]:
    """Triton's descriptors by their own names, nested ones included."""
    found = dict(model_config_pb2.DESCRIPTOR.message_types_by_name)
    for name, message in service_pb2.DESCRIPTOR.message_types_by_name.items():
        found[name] = message
        found |= {nested.name: nested for nested in message.nested_types if not nested.GetOptions().map_entry}
    return found


SHORTENED = ("ModelConfig", "ModelInput", "ModelOutput", "InferStatistics", "ModelStatistics")
HEALTH = ("HealthCheckRequest", "HealthCheckResponse")
TRITON = triton_messages()


def fields(message: Any) -> list[tuple[object, ...]]:
    """Name, number, type and kind of each field."""
    return [
        (
            field.name,
            field.number,
            field.type,
            field.is_repeated,
            field.containing_oneof is not None,
            _type_name(field.message_type),
        )
        for field in message.fields
    ]


def _type_name(type: Any) -> object:
    """A message's name; of a map's entry, its fields."""
    if type is not None and type.GetOptions().map_entry:
        return fields(type)
    return type and type.name


@pytest.mark.parametrize("name", [name for name in MESSAGES if name not in (*SHORTENED, *HEALTH)])
def test_a_message_has_the_fields_of_triton(name: str) -> None:
    assert fields(MESSAGES[name].DESCRIPTOR) == fields(TRITON[name])


@pytest.mark.parametrize("name", SHORTENED)
def test_a_shortened_message_has_the_first_fields_of_triton(name: str) -> None:
    own, theirs = (
        sorted((field.number, field.name) for field in message.fields)
        for message in (MESSAGES[name].DESCRIPTOR, TRITON[name])
    )
    assert own == theirs[: len(own)]


def test_data_types_have_the_numbers_of_triton() -> None:
    assert list(enumerate(DATA_TYPES)) == [(number, name) for name, number in model_config_pb2.DataType.items()]
