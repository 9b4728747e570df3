"""The messages of the protocol over gRPC, as classes of the installed protobuf.

Generated code would need one range of versions of protobuf. Sources: open_inference_grpc.proto of the Open Inference
Protocol, grpc_service.proto and model_config.proto of Triton (the messages of its extensions), health.proto of gRPC.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from google.protobuf.descriptor_pb2 import DescriptorProto, FieldDescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass

Message = Any
"""An object of a class of `MESSAGES`."""

PACKAGE = "inference"
SERVICE = f"{PACKAGE}.GRPCInferenceService"
HEALTH_SERVICE = "grpc.health.v1.Health"
"""The service that gRPC's own health checks ask, which is in a package of its own."""

_TENSOR = ("string name", "string datatype", "repeated int64 shape")
_VALUED_TENSOR = (*_TENSOR, "map InferParameter parameters", "InferTensorContents contents")
_MODEL_VERSION = ("string name", "string version")
_REPOSITORY_MODEL = ("string repository_name", "string model_name", "map ModelRepositoryParameter parameters")

_FIELDS: dict[str, Sequence[str]] = {
    "ServerLiveRequest": (),
    "ServerLiveResponse": ("bool live",),
    "ServerReadyRequest": (),
    "ServerReadyResponse": ("bool ready",),
    "ModelReadyRequest": _MODEL_VERSION,
    "ModelReadyResponse": ("bool ready",),
    "ServerMetadataRequest": (),
    "ServerMetadataResponse": ("string name", "string version", "repeated string extensions"),
    "ModelMetadataRequest": _MODEL_VERSION,
    "TensorMetadata": _TENSOR,
    "ModelMetadataResponse": (
        "string name",
        "repeated string versions",
        "string platform",
        "repeated TensorMetadata inputs",
        "repeated TensorMetadata outputs",
    ),
    "InferParameter": (
        "oneof bool bool_param",
        "oneof int64 int64_param",
        "oneof string string_param",
        "oneof double double_param",
        "oneof uint64 uint64_param",
    ),
    "InferTensorContents": (
        "repeated bool bool_contents",
        "repeated int32 int_contents",
        "repeated int64 int64_contents",
        "repeated uint32 uint_contents",
        "repeated uint64 uint64_contents",
        "repeated float fp32_contents",
        "repeated double fp64_contents",
        "repeated bytes bytes_contents",
    ),
    "InferInputTensor": _VALUED_TENSOR,
    "InferRequestedOutputTensor": ("string name", "map InferParameter parameters"),
    "ModelInferRequest": (
        "string model_name",
        "string model_version",
        "string id",
        "map InferParameter parameters",
        "repeated InferInputTensor inputs",
        "repeated InferRequestedOutputTensor outputs",
        "repeated bytes raw_input_contents",
    ),
    "InferOutputTensor": _VALUED_TENSOR,
    "ModelInferResponse": (
        "string model_name",
        "string model_version",
        "string id",
        "map InferParameter parameters",
        "repeated InferOutputTensor outputs",
        "repeated bytes raw_output_contents",
    ),
    "ModelRepositoryParameter": (
        "oneof bool bool_param",
        "oneof int64 int64_param",
        "oneof string string_param",
        "oneof bytes bytes_param",
    ),
    "RepositoryIndexRequest": ("string repository_name", "bool ready"),
    "ModelIndex": ("string name", "string version", "string state", "string reason"),
    "RepositoryIndexResponse": ("repeated ModelIndex models",),
    "RepositoryModelLoadRequest": _REPOSITORY_MODEL,
    "RepositoryModelLoadResponse": (),
    "RepositoryModelUnloadRequest": _REPOSITORY_MODEL,
    "RepositoryModelUnloadResponse": (),
    "ModelConfigRequest": _MODEL_VERSION,
    "ModelInput": ("string name", "int32 data_type", "int32 format", "repeated int64 dims"),
    "ModelOutput": ("string name", "int32 data_type", "repeated int64 dims"),
    "ModelConfig": (
        "string name",
        "string platform",
        "bytes version_policy",
        "int32 max_batch_size",
        "repeated ModelInput input",
        "repeated ModelOutput output",
    ),
    "ModelConfigResponse": ("ModelConfig config",),
    "ModelStatisticsRequest": _MODEL_VERSION,
    "StatisticDuration": ("uint64 count", "uint64 ns"),
    "InferStatistics": (
        "StatisticDuration success",
        "StatisticDuration fail",
        "StatisticDuration queue",
        "StatisticDuration compute_input",
        "StatisticDuration compute_infer",
        "StatisticDuration compute_output",
    ),
    "ModelStatistics": (
        "string name",
        "string version",
        "uint64 last_inference",
        "uint64 inference_count",
        "uint64 execution_count",
        "InferStatistics inference_stats",
        "repeated StatisticDuration batch_stats",
    ),
    "ModelStatisticsResponse": ("repeated ModelStatistics model_stats",),
    "HealthCheckRequest": ("string service",),
    "HealthCheckResponse": ("int32 status",),
}
"""The fields of each message in the order of their numbers, which begin at 1: `[repeated|map|oneof] TYPE NAME`.

The values of a map have strings as keys; a oneof has all fields of its message. Enumerations are int32, which has the
same bytes. Fields at the end of Triton's messages that would be empty are left out, as are the fields of `batch_stats`.
"""

DATA_TYPES = (
    "TYPE_INVALID",
    "TYPE_BOOL",
    "TYPE_UINT8",
    "TYPE_UINT16",
    "TYPE_UINT32",
    "TYPE_UINT64",
    "TYPE_INT8",
    "TYPE_INT16",
    "TYPE_INT32",
    "TYPE_INT64",
    "TYPE_FP16",
    "TYPE_FP32",
    "TYPE_FP64",
    "TYPE_STRING",
    "TYPE_BF16",
)
"""The values of the enumeration DataType in order."""


def _file_descriptor() -> FileDescriptorProto:
    file = FileDescriptorProto(name="jsonnx/inference.proto", package=PACKAGE, syntax="proto3")
    for name, fields in _FIELDS.items():
        message = file.message_type.add(name=name)
        for number, text in enumerate(fields, 1):
            _add_field(message, number, text)
    return file


def _add_field(message: DescriptorProto, number: int, text: str) -> None:
    *kind, type, name = text.split()
    field = message.field.add(name=name, number=number, label=FieldDescriptorProto.LABEL_OPTIONAL)
    _set_type(field, type)
    if kind:
        {"repeated": _repeat, "map": _make_map, "oneof": _add_to_oneof}[kind[0]](message, field)


def _set_type(field: FieldDescriptorProto, type: str) -> None:
    if type in _FIELDS:
        field.type = FieldDescriptorProto.TYPE_MESSAGE
        field.type_name = f".{PACKAGE}.{type}"
    else:
        field.type = FieldDescriptorProto.Type.Value(f"TYPE_{type.upper()}")


def _repeat(message: DescriptorProto, field: FieldDescriptorProto) -> None:
    field.label = FieldDescriptorProto.LABEL_REPEATED


def _make_map(message: DescriptorProto, field: FieldDescriptorProto) -> None:
    """A map is a repeated message of a key and a value."""
    entry = message.nested_type.add(name=f"{field.name.capitalize()}Entry")
    entry.options.map_entry = True
    _add_field(entry, 1, "string key")
    entry.field.add().CopyFrom(field)
    entry.field[1].name, entry.field[1].number = "value", 2
    field.type_name = f".{PACKAGE}.{message.name}.{entry.name}"
    _repeat(message, field)


def _add_to_oneof(message: DescriptorProto, field: FieldDescriptorProto) -> None:
    if not message.oneof_decl:
        message.oneof_decl.add(name="parameter_choice")
    field.oneof_index = 0


def _message_classes() -> dict[str, type[Message]]:
    pool = DescriptorPool()  # the default one may have a client's messages of the same names
    pool.Add(_file_descriptor())
    return {name: GetMessageClass(pool.FindMessageTypeByName(f"{PACKAGE}.{name}")) for name in _FIELDS}


MESSAGES: dict[str, type[Message]] = _message_classes()
"""The classes of messages by name."""
