"""Nodes that WebGPU must not run. The rules read the model alone, so the tests need no WebGPU."""

from __future__ import annotations

import pytest
from jsonnx.backend import serialize, to_model_proto
from jsonnx.core.types import BATCH, TensorType
from jsonnx.ir import Builder
from jsonnx.runtime import webgpu_exclusions


def unsuited(emitted, **shapes: tuple) -> list[str]:
    """The operators assigned to the CPU, of a graph with inputs of these shapes."""
    g = Builder()
    made = emitted(g, *(g.input(name, TensorType("float32", shape)) for name, shape in shapes.items()))
    results = made if isinstance(made, tuple | list) else [made]
    model = serialize(to_model_proto(g.graph({f"result_{index}": value for index, value in enumerate(results)})))
    return [name.strip("/") for name in webgpu_exclusions.cpu_only_nodes(model)]


@pytest.mark.parametrize(
    ("kernel", "group", "kept"),
    [((8, 4, 1, 1), 1, True), ((8, 16, 1, 1), 1, False), ((8, 4, 3, 3), 1, False), ((8, 4, 3, 3), 2, False)],
)
def test_pointwise_convolutions_of_few_channels(kernel, group, kept):
    x = (BATCH, kernel[1] * group, 5, 5)
    found = unsuited(lambda g, x, w: g.Conv(x, w, group=group), x=x, w=kernel)
    assert found == (["Conv"] if kept else [])


@pytest.mark.parametrize(("group", "kept"), [(1, False), (2, True)])
def test_grouped_3d_convolutions(group, kept):
    found = unsuited(lambda g, x, w: g.Conv(x, w, group=group), x=(BATCH, 4, 5, 5, 5), w=(4, 4 // group, 2, 2, 2))
    assert found == (["Conv"] if kept else [])


@pytest.mark.parametrize(("size", "kept"), [((3, 3), False), ((3, 3, 3), True)])
def test_transposed_3d_convolutions(size, kept):
    x = (BATCH, 4, *[5] * len(size))
    found = unsuited(lambda g, x, w: g.ConvTranspose(x, w), x=x, w=(4, 2, *size))
    assert found == (["ConvTranspose"] if kept else [])


@pytest.mark.parametrize("outputs", [1, 2])
def test_max_pooling_with_indices(outputs):
    found = unsuited(lambda g, x: g.MaxPool(x, kernel_shape=[2, 2], outputs=outputs), x=(BATCH, 2, 4, 4))
    assert found == (["MaxPool"] if outputs == 2 else [])


@pytest.mark.parametrize("parts", [7, 8])
def test_more_outputs_than_a_shader_binds(parts):
    found = unsuited(lambda g, x: g.Split(x, axis=1, num_outputs=parts, outputs=parts), x=(BATCH, 56))
    assert found == (["Split"] if parts == 8 else [])


@pytest.mark.parametrize(
    ("x", "y", "kept"),
    [
        ((3, 1, 2, 2), (2, 2), True),
        ((2, 2), (3, 1, 2, 2), True),
        ((3, 1, 4, 4), (4, 4), False),
        ((3, 4, 2, 2), (2, 2), False),
        ((3, 1, 3, 3), (3, 3), False),
        ((3, 1, 2, 2), (3, 1, 2, 2), False),
        ((BATCH, 1, 2, 2), (), False),
    ],
)
def test_products_that_fail(x, y, kept):
    assert unsuited(lambda g, x, y: g.Mul(x, y), x=x, y=y) == (["Mul"] if kept else [])


def test_an_invalid_model_is_left_to_onnxruntime():
    assert webgpu_exclusions.session_entries(b"no model") == {"ep.webgpuexecutionprovider.preferredLayout": "NCHW"}
