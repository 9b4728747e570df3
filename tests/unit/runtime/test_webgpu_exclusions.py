"""Nodes that WebGPU must not run. The rules read the model alone, so the tests need no WebGPU."""

from __future__ import annotations

import pytest
from jsonnx.backend import serialize, to_model_proto
from jsonnx.core.types import BATCH, TensorType
from jsonnx.ir import Builder
from jsonnx.runtime.providers import webgpu_exclusions


def excluded_operators(emit, **shapes: tuple) -> list[str]:
    """The operators assigned to the CPU, of a graph with inputs of these shapes."""
    g = Builder()
    emitted_values = emit(g, *(g.input(name, TensorType("float32", shape)) for name, shape in shapes.items()))
    results = emitted_values if isinstance(emitted_values, tuple | list) else [emitted_values]
    model = serialize(to_model_proto(g.graph({f"result_{index}": value for index, value in enumerate(results)})))
    return [name.strip("/") for name in webgpu_exclusions.cpu_only_nodes(model)]


@pytest.mark.parametrize(
    ("kernel", "group", "is_excluded"),
    [((8, 4, 1, 1), 1, True), ((8, 16, 1, 1), 1, False), ((8, 4, 3, 3), 1, False), ((8, 4, 3, 3), 2, False)],
)
def test_pointwise_convolutions_of_few_channels(kernel, group, is_excluded):
    x = (BATCH, kernel[1] * group, 5, 5)
    excluded_ops = excluded_operators(lambda g, x, w: g.Conv(x, w, group=group), x=x, w=kernel)
    assert excluded_ops == (["Conv"] if is_excluded else [])


@pytest.mark.parametrize(("group", "is_excluded"), [(1, False), (2, True)])
def test_grouped_3d_convolutions(group, is_excluded):
    excluded_ops = excluded_operators(
        lambda g, x, w: g.Conv(x, w, group=group), x=(BATCH, 4, 5, 5, 5), w=(4, 4 // group, 2, 2, 2)
    )
    assert excluded_ops == (["Conv"] if is_excluded else [])


@pytest.mark.parametrize(("size", "is_excluded"), [((3, 3), False), ((3, 3, 3), True)])
def test_transposed_3d_convolutions(size, is_excluded):
    x = (BATCH, 4, *[5] * len(size))
    excluded_ops = excluded_operators(lambda g, x, w: g.ConvTranspose(x, w), x=x, w=(4, 2, *size))
    assert excluded_ops == (["ConvTranspose"] if is_excluded else [])


@pytest.mark.parametrize("outputs", [1, 2])
def test_max_pooling_with_indices(outputs):
    excluded_ops = excluded_operators(
        lambda g, x: g.MaxPool(x, kernel_shape=[2, 2], outputs=outputs), x=(BATCH, 2, 4, 4)
    )
    assert excluded_ops == (["MaxPool"] if outputs == 2 else [])


@pytest.mark.parametrize("parts", [7, 8])
def test_more_outputs_than_a_shader_binds(parts):
    excluded_ops = excluded_operators(lambda g, x: g.Split(x, axis=1, num_outputs=parts, outputs=parts), x=(BATCH, 56))
    assert excluded_ops == (["Split"] if parts == 8 else [])


@pytest.mark.parametrize(
    ("x", "y", "is_excluded"),
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
def test_products_that_fail(x, y, is_excluded):
    assert excluded_operators(lambda g, x, y: g.Mul(x, y), x=x, y=y) == (["Mul"] if is_excluded else [])


def test_an_invalid_model_is_left_to_onnxruntime():
    assert webgpu_exclusions.session_entries(b"no model") == {"ep.webgpuexecutionprovider.preferredLayout": "NCHW"}
