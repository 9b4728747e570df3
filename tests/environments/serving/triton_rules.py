"""Triton's documented rules for a model of its backend for onnxruntime, on Triton's own messages.

After the sources of Triton's core (`model_config_utils.cc`, `backend_model_instance.cc`) and of that backend.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import prod
from pathlib import Path
from typing import Any

import onnx
from google.protobuf import text_format
from onnx import TensorProto
from tritonclient.grpc import model_config_pb2

ELEMENT_TYPES = {
    TensorProto.FLOAT: "TYPE_FP32",
    TensorProto.DOUBLE: "TYPE_FP64",
    TensorProto.FLOAT16: "TYPE_FP16",
    TensorProto.BFLOAT16: "TYPE_BF16",
    TensorProto.STRING: "TYPE_STRING",
    TensorProto.BOOL: "TYPE_BOOL",
    **{
        getattr(TensorProto, f"{sign}INT{bits}"): f"TYPE_{sign}INT{bits}"
        for sign in ("", "U")
        for bits in (8, 16, 32, 64)
    },
}
VARIABLE = -1


def read_config(folder: Path) -> Any:
    """The configuration of a model; a field or a value that Triton does not know is an error."""
    return text_format.Parse((folder / "config.pbtxt").read_text("utf-8"), model_config_pb2.ModelConfig())


def model_file(folder: Path) -> Path:
    """The model of a version: a file, or a folder of the same name with files of weights."""
    path = folder / "1" / "model.onnx"
    return path / "model.onnx" if path.is_dir() else path


def check_model(folder: Path) -> Any:
    """Asserts all rules for a folder of a model repository. Returns the configuration."""
    config = read_config(folder)
    assert config.name == folder.name
    assert config.backend == "onnxruntime"
    assert not config.platform
    assert config.max_batch_size >= 0
    graph = onnx.load(model_file(folder), load_external_data=False).graph
    weights = {item.name for item in graph.initializer}
    inputs = [item for item in graph.input if item.name not in weights]
    check_tensors(config.input, inputs, config.max_batch_size)
    check_tensors(config.output, graph.output, config.max_batch_size)
    check_batching(config, [*inputs, *graph.output])
    check_labels(config, folder)
    check_instances(config)
    for warmup in config.model_warmup:
        check_warmup(warmup, config)
    return config


def check_tensors(tensors: Iterable[Any], declared: Iterable[Any], max_batch_size: int) -> None:
    """Every tensor of the model is there, with its type and its shape."""
    own = {item.name: item.type.tensor_type for item in declared}
    assert [tensor.name for tensor in tensors] == list(own)
    for tensor in tensors:
        type = own[tensor.name]
        assert model_config_pb2.DataType.Name(tensor.data_type) == ELEMENT_TYPES[type.elem_type]
        dims = list(tensor.dims)
        assert dims, "dims must be specified"
        assert all(dim >= 1 or dim == VARIABLE for dim in dims)
        if tensor.HasField("reshape"):
            reshaped = list(tensor.reshape.shape)
            assert all(dim >= 1 or dim == VARIABLE for dim in reshaped)
            assert reshaped or max_batch_size, "an empty reshape needs batches"
            assert prod(dims) == prod(reshaped)
            dims = reshaped
        shape = [size.dim_value if size.HasField("dim_value") else VARIABLE for size in type.shape.dim]
        expected = [VARIABLE, *dims] if max_batch_size else dims
        assert shape == expected if shape else set(dims) == {1}


def check_batching(config: Any, declared: Iterable[Any]) -> None:
    """Batches need an axis of samples first in all tensors; preferred sizes are not for such models."""
    shapes = [item.type.tensor_type.shape.dim for item in declared]
    if config.max_batch_size:
        assert all(shape and not shape[0].HasField("dim_value") for shape in shapes)
    assert config.HasField("dynamic_batching") == (config.max_batch_size > 0)
    assert not config.dynamic_batching.preferred_batch_size
    assert config.dynamic_batching.max_queue_delay_microseconds == 0


def check_labels(config: Any, folder: Path) -> None:
    """A labels file has a line for each number of its output."""
    for output in config.output:
        if output.label_filename:
            lines = (folder / output.label_filename).read_text("utf-8").splitlines()
            assert len(lines) == prod(output.dims)
    assert all(
        not item.HasField("label_filename") for item in config.input if "label_filename" in item.DESCRIPTOR.fields
    )


def check_instances(config: Any) -> None:
    """The number of instances is said: a backend may have a default of its own."""
    assert config.instance_group
    assert all(group.count >= 1 for group in config.instance_group)
    assert int(config.parameters["intra_op_thread_count"].string_value) >= 0


def check_warmup(warmup: Any, config: Any) -> None:
    """A request that fits: all inputs, no size that varies, the batch left out where Triton adds it."""
    assert warmup.batch_size >= 1
    assert config.max_batch_size or warmup.batch_size == 1
    assert set(warmup.inputs) == {item.name for item in config.input}
    for item in config.input:
        given = warmup.inputs[item.name]
        assert given.data_type == item.data_type
        assert given.WhichOneof("input_data_type")
        assert len(given.dims) == len(item.dims)
        assert all(size >= 1 and dim in (size, VARIABLE) for size, dim in zip(given.dims, item.dims, strict=True))
