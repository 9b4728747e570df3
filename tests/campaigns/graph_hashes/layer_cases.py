"""Converts layer cases to specs that can be compiled and, if an output is real, trained."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from jsonnx import TensorType
from jsonnx.layers import LAYERS
from support.harness import one_layer
from unit.layers.cases import Case, augmentation

Spec = dict[str, Any]


def is_augmentation(case: Case) -> bool:
    """Whether the layer runs on the host before the graph, so that no layer before it can be trained."""
    return case in augmentation.CASES


def has_real_inputs(case: Case) -> bool:
    """Whether an input can come from a Dense layer."""
    return bool(behind_dense(case))


def behind_dense(case: Case) -> list[int]:
    """Returns the indices of the inputs that a Dense layer can produce: real, not scalar per sample, no masks."""
    real = case.dtype == "float32"
    return [index for index, shape in enumerate(case.inputs) if real and shape and index not in case.masks]


def layer_spec(case: Case, behind: bool = False) -> Spec:
    """Returns a network of the layer, with a Dense layer before each real input if `behind` is True."""
    dense_names = {index: f"dense{index}" for index in behind_dense(case)} if behind else {}
    dense = [
        {"type": "Dense", "name": name, "from": f"x{index}", "units": case.inputs[index][-1]}
        for index, name in dense_names.items()
    ]
    return network(case, dense, [dense_names.get(index, f"x{index}") for index in range(len(case.inputs))])


def augmentation_spec(case: Case) -> Spec:
    """Returns a network of the layer after a Rescaling layer for each input."""
    before = [
        {"type": "Rescaling", "name": f"scaled{index}", "from": f"x{index}", "scale": 0.5}
        for index in range(len(case.inputs))
    ]
    return network(case, before, [f"scaled{index}" for index in range(len(case.inputs))])


def network(case: Case, before: list[Spec], sources: list[str]) -> Spec:
    """Returns a network of the layer after the layers `before`, with a training section if it has real outputs."""
    types = one_layer(case.layer, *case.inputs, dtype=case.dtype).outputs
    is_random = LAYERS.by_name[case.layer["type"]].adds_input  # an input, which cannot be an output
    types = {"copy": types["layer"]} if is_random else types
    after = [layer for name, type in types.items() if not has_batch(type) for layer in with_batch(name, case, sources)]
    after += [{"type": "Identity", "name": "copy", "from": "layer"}] if is_random else []
    real = [name if has_batch(type) else f"{name}_batch" for name, type in types.items() if is_trained(type)]
    spec: Spec = {
        "inputs": {f"x{index}": {"shape": [*shape], "dtype": case.dtype} for index, shape in enumerate(case.inputs)},
        "layers": [*before, {**case.layer, "name": "layer", "from": sources}, *after],
        "outputs": [name if has_batch(type) else f"{name}_batch" for name, type in types.items()],
    }
    return spec | ({"training": {"loss": dict.fromkeys(real, "mse"), "optimizer": "adam"}} if real else {})


def has_batch(type: TensorType) -> bool:
    """Whether the first axis is the batch, which is required of a network's output."""
    return bool(type.shape) and str(type.shape[0]) == "batch"


def is_trained(type: TensorType) -> bool:
    """Whether a loss can be applied to the output, or to the result of `with_batch`."""
    return type.dtype == "float32" or not has_batch(type)


def with_batch(name: str, case: Case, sources: list[str]) -> Iterator[Spec]:
    """Yields layers that add a batch axis to an output: they multiply the first input by the output's sum."""
    first = sources[0]
    yield {"type": "ops.cast", "name": f"{name}_real", "from": name, "dtype": "float32"}
    yield {"type": "ops.sum", "name": f"{name}_sum", "from": f"{name}_real"}
    if case.dtype != "float32":
        yield {"type": "ops.cast", "name": f"{name}_first", "from": first, "dtype": "float32"}
        first = f"{name}_first"
    yield {"type": "ops.multiply", "name": f"{name}_batch", "from": [first, f"{name}_sum"]}
