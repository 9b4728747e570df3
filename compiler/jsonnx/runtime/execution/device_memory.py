"""Tensors in the memory of a device: allocation, and copies between them and arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ...backend import serialize, to_model_proto
from ...core.numpy_types import BFLOAT16_NAME, numpy_dtype
from ...core.types import TensorType
from ...ir import Builder
from ..providers.host_tensors import host_tensor
from ..providers.providers import Provider, create_session, load_runtime

if TYPE_CHECKING:
    import onnxruntime


class DeviceAllocator:
    """Allocates tensors of some types on a provider's device, and copies arrays to them and back.

    Tensors are the outputs of a graph of Identity nodes, the one way to allocate that works with every provider. They
    must be freed before the allocator, so owners declare them first.
    """

    def __init__(self, types: Mapping[str, TensorType], provider: Provider) -> None:
        """`types` are the types of the tensors, by name. They may have symbolic sizes."""
        self._device, self._device_id, self._types = provider.device, provider.device_id, types
        g = Builder()
        model = to_model_proto(g.graph({_output(name): g.Identity(g.input(name, types[name])) for name in types}))
        self._session = create_session(
            serialize(model), provider.with_graph_capture(False), optimization="ORT_DISABLE_ALL"
        )
        self._names = list(types)

    def to_device(self, arrays: Mapping[str, np.ndarray]) -> dict[str, Any]:
        """New tensors with the values of arrays, one for each type."""
        binding = self._session.io_binding()
        for name in self._names:
            array = np.ascontiguousarray(arrays[name]) if arrays[name].ndim else arrays[name]
            binding.bind_ortvalue_input(name, host_tensor(array))
            binding.bind_output(_output(name), self._device, self._device_id)
        self._session.run_with_iobinding(binding)
        return dict(zip(self._names, binding.get_outputs(), strict=True))

    def to_host(self, values: Mapping[str, Any]) -> dict[str, np.ndarray]:
        """Copies of tensors of the device, one for each type."""
        binding = self._session.io_binding()
        arrays = {
            name: np.empty(values[name].shape(), numpy_dtype(BFLOAT16_NAME))
            for name in self._names
            if self._types[name].dtype == BFLOAT16_NAME  # onnxruntime makes no arrays of it
        }
        for name in self._names:
            binding.bind_ortvalue_input(name, values[name])
            if name in arrays:
                binding.bind_ortvalue_output(_output(name), host_tensor(arrays[name]))
            else:
                binding.bind_output(_output(name), "cpu")
        self._session.run_with_iobinding(binding)
        outputs = zip(self._names, binding.get_outputs(), strict=True)
        return {name: arrays[name] if name in arrays else value.numpy() for name, value in outputs}


def _output(name: str) -> str:
    return f"on device/{name}"


def can_copy_in_place() -> bool:
    """Whether this onnxruntime copies between arrays and tensors that exist already (1.23 and later)."""
    return hasattr(load_runtime(), "copy_tensors")


class TensorCopies:
    """Pairs of arrays and tensors of a device, between which values are copied in place.

    The arrays are read or written where they are; both must stay as they are, in shape and address.
    """

    def __init__(self, arrays: Sequence[np.ndarray], tensors: Sequence[Any]) -> None:
        runtime = load_runtime()
        pairs = [(array, tensor) for array, tensor in zip(arrays, tensors, strict=True) if array.size]
        on_host = [pair for pair in pairs if pair[1].device_name() == "cpu"]
        on_device = [pair for pair in pairs if pair[1].device_name() != "cpu"]
        self._copy = getattr(runtime, "copy_tensors", None)
        self._on_host, self._arrays = on_host, [array for array, _ in on_device]  # kept alive
        self._sources = [host_tensor(array) for array in self._arrays]  # share the memory
        self._tensors = [tensor for _, tensor in on_device]

    def to_device(self) -> None:
        for array, tensor in self._on_host:
            tensor.update_inplace(array)
        if self._tensors and self._copy:
            self._copy(self._sources, self._tensors)

    def to_host(self) -> None:
        for array, tensor in self._on_host:
            array[...] = tensor.numpy()
        if self._tensors and self._copy:
            self._copy(self._tensors, self._sources)


def host_tensor_names(session: onnxruntime.InferenceSession) -> frozenset[str] | None:
    """The inputs and outputs that a session reads or writes in the memory of the host, because a node on the CPU
    computes with them; None if this onnxruntime does not tell (before 1.23)."""
    if not hasattr(session, "get_input_memory_infos"):
        return None
    pairs = [
        *zip(session.get_inputs(), session.get_input_memory_infos(), strict=True),
        *zip(session.get_outputs(), session.get_output_memory_infos(), strict=True),
    ]
    return frozenset(value.name for value, memory in pairs if memory is None or memory.name == "Cpu")
