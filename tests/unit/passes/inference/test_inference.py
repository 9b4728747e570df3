"""The passes on inference graphs: which nodes they remove, and that results stay the same up to rounding."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import jsonnx
import numpy as np
import pytest
from jsonnx.backend import to_model_proto, verify_model
from jsonnx.core.types import BATCH, TensorType
from jsonnx.ir import Builder, Graph, Value
from jsonnx.passes.canonicalize import prune
from jsonnx.passes.inference import optimize_for_inference, propagate_transposes_for_inference
from jsonnx.passes.inference.fold_affine import fold_affine
from jsonnx.passes.inference.fold_transpose import fold_transpose_into_matmul
from jsonnx.passes.inference.fuse_hard_activations import fuse_hard_activations
from jsonnx.passes.inference.fuse_pad import fuse_pads
from jsonnx.passes.inference.global_average_pool import use_global_average_pool
from jsonnx.passes.inference.remove_noops import remove_noops
from support.harness import run

TO_FIRST, TO_LAST = [0, 3, 1, 2], [0, 2, 3, 1]
Pass = Callable[[Graph], Graph]


def draw(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng([seed, *shape]).normal(size=shape) / 2


def after(apply: Pass, build: Callable[[Builder, Value], Value], *shape: int) -> Graph:
    """The graph after a pass; asserts that it computes the same."""
    g = Builder()
    x = g.input("x", TensorType("float32", (BATCH, *(shape or (4, 7, 6)))))
    before = g.graph({"y": build(g, x)})
    graph = prune(apply(before))
    feeds = {"x": np.random.default_rng(1).normal(size=(2, *x.shape[1:])).astype(np.float32) * 3}
    expected, actual = run(before, feeds, optimize=False)["y"], run(graph, feeds, optimize=False)["y"]
    assert expected.shape == actual.shape
    np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-5 * max(1.0, float(np.abs(expected).max())))
    return graph


def ops(graph: Graph) -> dict[str, int]:
    return dict(Counter(node.op for node in graph.nodes))


def conv(g: Builder, x: Value, *, bias: bool = False, filters: int = 8, **attributes) -> Value:
    groups = attributes.get("group", 1)
    weights = [draw(filters, x.shape[1] // groups, 3, 3)] + ([draw(filters)] if bias else [])
    return g.Conv(x, *(g.const(weight) for weight in weights), **attributes)


def norm(g: Builder, x: Value, seed: int = 0) -> Value:
    gamma, beta, mean, variance = (draw(x.shape[1], seed=seed + i) for i in range(4))
    return g.BatchNormalization(x, *map(g.const, (gamma, beta, mean, abs(variance) + 0.1)), epsilon=1e-3)


# -- affine operators ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("groups", [1, 2, 4])
def test_a_batch_normalization_is_folded_into_the_convolution_before_it(bias: bool, groups: int) -> None:
    graph = after(fold_affine, lambda g, x: norm(g, conv(g, x, bias=bias, group=groups, pads=[1, 1, 1, 1])))
    assert ops(graph) == {"Conv": 1}


def test_a_batch_normalization_is_folded_into_a_transposed_convolution() -> None:
    graph = after(fold_affine, lambda g, x: norm(g, g.ConvTranspose(x, g.const(draw(4, 5, 3, 3)), strides=[2, 2])))
    assert ops(graph) == {"ConvTranspose": 1}


@pytest.mark.parametrize("groups", [1, 2, 4])
def test_a_batch_normalization_is_folded_into_a_convolution_after_it_without_padding(groups: int) -> None:
    assert ops(after(fold_affine, lambda g, x: conv(g, norm(g, x), group=groups))) == {"Conv": 1}


def test_a_batch_normalization_is_not_folded_into_a_convolution_after_it_with_padding() -> None:
    graph = after(fold_affine, lambda g, x: conv(g, norm(g, x), pads=[0, 1, 0, 1]))
    assert ops(graph) == {"BatchNormalization": 1, "Conv": 1}


def test_a_scale_is_folded_into_a_convolution_with_padding_without_its_shift() -> None:
    graph = after(fold_affine, lambda g, x: conv(g, g.Sub(g.Mul(x, 2.0), 1.0), pads=[1, 1, 1, 1]))
    assert ops(graph) == {"Add": 1, "Conv": 1}


def test_consecutive_affine_operators_become_one() -> None:
    def network(g: Builder, x: Value) -> Value:
        x = g.Div(g.Sub(g.Neg(x), 3.0), g.const(abs(draw(4, 1, 1)) + 0.1))
        return g.Relu(g.Sub(2.0, g.Add(0.5, g.Mul(x, 4.0))))

    assert ops(after(fold_affine, network)) == {"Mul": 1, "Add": 1, "Relu": 1}


def test_affine_operators_on_both_sides_are_folded_into_a_convolution() -> None:
    graph = after(fold_affine, lambda g, x: g.Mul(norm(g, conv(g, g.Add(g.Mul(x, 0.1), 1.0))), 3.0))
    assert ops(graph) == {"Conv": 1}


@pytest.mark.parametrize("rank", [2, 3])
def test_affine_operators_are_folded_into_a_matrix_product(rank: int) -> None:
    def network(g: Builder, x: Value) -> Value:
        y = g.MatMul(g.Add(g.Mul(x, 2.0), g.const(draw(4))), g.const(draw(4, 5)))
        return g.Mul(g.Add(y, g.const(draw(5))), g.const(draw(5, seed=1)))

    op_counts = ops(after(fold_affine, network, *((3, 4) if rank == 3 else (4,))))
    assert op_counts == ({"Gemm": 1} if rank == 2 else {"Add": 2, "MatMul": 1})


def test_affine_operators_before_a_transpose_are_folded_into_the_convolution_after_it() -> None:
    def network(g: Builder, x: Value) -> Value:
        x = g.Div(g.Sub(g.Mul(x, 1 / 255), g.const(draw(3))), g.const(abs(draw(3)) + 0.1))
        return conv(g, g.Transpose(x, perm=TO_FIRST))

    assert ops(after(fold_affine, network, 6, 5, 3)) == {"Transpose": 1, "Conv": 1}


def test_a_convolution_with_another_reader_is_not_folded() -> None:
    def network(g: Builder, x: Value) -> Value:
        y = conv(g, x)
        z = norm(g, y)
        return g.Concat(y, z, g.Relu(z), axis=1)

    assert ops(after(fold_affine, network)) == {"Conv": 1, "BatchNormalization": 1, "Relu": 1, "Concat": 1}


def test_a_factor_that_is_not_per_channel_is_not_folded() -> None:
    graph = after(fold_affine, lambda g, x: g.Mul(conv(g, x), g.const(draw(5, 1))))
    assert ops(graph) == {"Conv": 1, "Mul": 1}


def test_an_output_that_a_convolution_reads_is_not_folded() -> None:
    g = Builder()
    x = g.input("x", TensorType("float32", (BATCH, 4, 7, 6)))
    scaled = g.Mul(x, 2.0)
    graph = fold_affine(g.graph({"scaled": scaled, "y": conv(g, scaled)}))
    assert ops(graph) == {"Mul": 1, "Conv": 1}
    assert graph.outputs["scaled"] is scaled


def test_scales_that_are_not_finite_are_not_folded() -> None:
    def network(g: Builder, x: Value) -> Value:
        zero = g.const(np.zeros(8))
        return g.BatchNormalization(conv(g, x), g.const(np.ones(8)), zero, zero, zero, epsilon=0.0)

    g = Builder()
    x = g.input("x", TensorType("float32", (BATCH, 4, 7, 6)))
    assert ops(fold_affine(g.graph({"y": network(g, x)}))) == {"Conv": 1, "BatchNormalization": 1}


@pytest.mark.parametrize("scale", [1e-43, 1e-36])
def test_a_tiny_scale_is_not_folded_without_its_shift(scale: float) -> None:
    def network(g: Builder, x: Value) -> Value:
        scaled = g.Add(g.Mul(g.Relu(x), g.const(np.full((4, 1, 1), scale))), g.const(np.ones((4, 1, 1))))
        return conv(g, scaled, pads=[1, 1, 1, 1])

    assert ops(after(fold_affine, network))["Conv"] == 1


def test_scales_whose_product_is_infinite_are_not_merged() -> None:
    def network(g: Builder, x: Value) -> Value:
        tiny = g.Mul(g.Relu(x), g.const(1e-30))
        large = g.Mul(g.Exp(tiny), g.const(np.full((4, 1, 1), 1e30)))
        return g.Mul(g.Mul(g.Sub(large, large), g.const(1e30)), g.const(1e30))

    assert ops(after(fold_affine, network))["Mul"] == 4


# -- padding ---------------------------------------------------------------------------------------------------------

PADS = [0, 0, 1, 0, 0, 0, 2, 1]


def test_a_pad_is_fused_into_a_convolution() -> None:
    graph = after(fuse_pads, lambda g, x: conv(g, g.Pad(x, PADS), pads=[0, 1, 0, 0]))
    assert ops(graph) == {"Conv": 1}
    assert graph.nodes[0].attribute("pads") == [1, 1, 2, 1]


def test_a_pad_before_a_transpose_is_fused_into_a_convolution() -> None:
    pads_before_transpose = [0, 1, 0, 0, 0, 2, 1, 0]
    graph = after(fuse_pads, lambda g, x: conv(g, g.Transpose(g.Pad(x, pads_before_transpose), perm=TO_FIRST)), 6, 5, 3)
    assert ops(graph) == {"Transpose": 1, "Conv": 1}


def test_a_pad_is_fused_into_an_average_pooling() -> None:
    def network(g: Builder, x: Value) -> Value:
        return g.AveragePool(g.Pad(x, PADS), kernel_shape=[3, 3], strides=[2, 2])

    assert ops(after(fuse_pads, network)) == {"AveragePool": 1}


@pytest.mark.parametrize("positive", [True, False])
def test_a_pad_is_fused_into_a_max_pooling_of_values_that_are_not_negative(positive: bool) -> None:
    def network(g: Builder, x: Value) -> Value:
        x = g.Relu(x) if positive else g.Tanh(x)
        return g.MaxPool(g.Pad(x, PADS), kernel_shape=[3, 3], strides=[2, 2])

    assert ("Pad" in ops(after(fuse_pads, network))) != positive


@pytest.mark.parametrize("pads", [[0, 1, 0, 0, 0, 0, 0, 0], [0, 0, -1, 0, 0, 0, 0, 0]])
def test_a_pad_of_other_axes_or_by_negative_sizes_is_not_fused(pads: list[int]) -> None:
    assert "Pad" in ops(after(fuse_pads, lambda g, x: conv(g, g.Pad(x, pads))))


def test_a_pad_with_ones_is_not_fused() -> None:
    assert "Pad" in ops(after(fuse_pads, lambda g, x: conv(g, g.Pad(x, PADS, 1.0))))


# -- no-ops ----------------------------------------------------------------------------------------------------------


def test_noops_are_removed() -> None:
    def network(g: Builder, x: Value) -> Value:
        x = g.Mul(g.Add(g.Identity(g.Relu(x)), 0.0), g.const(np.ones((4, 1, 1))))
        x = g.Pad(g.Sub(g.Div(x, 1.0), 0.0), [0] * 8)
        return g.Concat(g.Transpose(g.cast(x, "float32"), perm=[0, 1, 2, 3]), axis=1)

    assert ops(after(remove_noops, network)) == {"Relu": 1}


def test_consecutive_reshapes_become_one() -> None:
    def network(g: Builder, x: Value) -> Value:
        return g.reshape(g.Unsqueeze(g.reshape(x, (BATCH, 168)), [1]), (BATCH, 42, 4))

    assert ops(after(remove_noops, network)) == {"Reshape": 1}
    graph = after(remove_noops, lambda g, x: g.Relu(g.reshape(g.reshape(x, (BATCH, 168)), x.shape)))
    assert ops(graph) == {"Relu": 1}


def test_strings_whose_axis_is_added_and_removed_keep_both_operators() -> None:
    g = Builder()
    x = g.input("x", TensorType("string", (BATCH,)))
    graph = optimize_for_inference(g.graph({"y": g.Squeeze(g.Unsqueeze(x, [0]), [0])}))
    assert [node.op for node in graph.nodes] == ["Unsqueeze", "Squeeze"]
    verify_model(to_model_proto(graph))


def test_a_sum_with_a_zero_that_broadcasts_is_kept() -> None:
    graph = after(remove_noops, lambda g, x: g.Add(x, g.const(np.zeros((2, 1, 4, 7, 6)))))
    assert ops(graph) == {"Add": 1}


def test_zero_minus_a_value_is_kept() -> None:
    assert ops(after(remove_noops, lambda g, x: g.Sub(0.0, g.Div(1.0, g.Add(g.Abs(x), 1.0)))))["Sub"] == 1


def test_a_concat_of_concats_becomes_one() -> None:
    def network(g: Builder, x: Value) -> Value:
        y, z = g.Relu(x), g.Neg(x)
        return g.Concat(x, g.Concat(y, z, axis=1), g.Concat(y, z, axis=1), axis=-3)

    assert ops(after(remove_noops, network))["Concat"] == 1
    shared = after(remove_noops, lambda g, x: g.Concat(y := g.Concat(x, x, axis=1), y, axis=1))
    assert ops(shared) == {"Concat": 2}
    halves = after(remove_noops, lambda g, x: g.Concat(x, g.Concat(y := g.Slice(x, [0], [3], [3]), y, axis=3), axis=1))
    assert ops(halves) == {"Slice": 1, "Concat": 2}


@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("perm", [TO_LAST, [0, 3, 1, 2], [0, 1, 3, 2]])
def test_a_transpose_before_a_matrix_product_is_folded_into_the_matrix(perm: list[int], transposed: bool) -> None:
    def network(g: Builder, x: Value) -> Value:
        flat = g.reshape(g.Transpose(x, perm=perm), (BATCH, 168))
        matrix = draw(168, 5)
        if transposed:
            return g.Gemm(flat, g.const(matrix.T), g.const(draw(5)), transB=1)
        return g.MatMul(flat, g.const(matrix))

    assert "Transpose" not in ops(after(fold_transpose_into_matmul, network))


def test_a_transpose_of_a_part_of_the_row_is_not_folded_into_the_matrix() -> None:
    def network(g: Builder, x: Value) -> Value:
        return g.MatMul(g.Reshape(g.Transpose(x, perm=TO_LAST), [-1, 4]), g.const(draw(4, 5)))

    assert "Transpose" in ops(after(fold_transpose_into_matmul, network))


# -- fused operators -------------------------------------------------------------------------------------------------


def test_clip_arithmetic_is_fused_into_a_hard_sigmoid() -> None:
    def network(g: Builder, x: Value) -> Value:
        return g.Mul(g.Clip(g.Add(x, 3.0), 0.0, 6.0), 1 / 6)

    assert ops(after(fuse_hard_activations, network)) == {"HardSigmoid": 1}
    assert ops(after(fuse_hard_activations, lambda g, x: g.Mul(x, network(g, x)))) == {"HardSwish": 1}


def test_clip_arithmetic_with_another_range_is_not_fused() -> None:
    graph = after(fuse_hard_activations, lambda g, x: g.Mul(g.Clip(g.Add(x, 3.0), 0.0, 6.0), 0.5))
    assert ops(graph) == {"Add": 1, "Clip": 1, "Mul": 1}


def test_a_mean_with_restored_axes_is_a_global_average_pooling() -> None:
    def network(g: Builder, x: Value) -> Value:
        return g.Mul(x, g.reshape(g.ReduceMean(x, [2, 3], keepdims=0), (BATCH, 4, 1, 1)))

    assert ops(after(use_global_average_pool, network)) == {"GlobalAveragePool": 1, "Mul": 1}


# -- layout ----------------------------------------------------------------------------------------------------------


def test_channelwise_operators_between_convolutions_need_no_transpose() -> None:
    def depthwise(g: Builder, x: Value) -> Value:
        return g.Transpose(conv(g, g.Transpose(x, perm=TO_FIRST), group=4, filters=4, pads=[1] * 4), perm=TO_LAST)

    def network(g: Builder, x: Value) -> Value:
        x = depthwise(g, x)
        for _ in range(2):
            y = g.LayerNormalization(depthwise(g, x), g.const(draw(4)), g.const(draw(4)), axis=-1, epsilon=1e-6)
            y = g.MatMul(
                g.Gelu(g.Add(g.MatMul(y, g.const(draw(4, 16))), g.const(draw(16)))),
                g.const(draw(16, 4)),
            )
            x = g.Add(g.Mul(y, g.const(draw(4))), x)
        return g.ReduceMean(x, [1, 2], keepdims=0)

    assert ops(after(propagate_transposes_for_inference, network, 6, 5, 4))["Transpose"] == 1
    graph = after(optimize_for_inference, network, 6, 5, 4)
    assert ops(graph)["Conv"] == 7
    assert ops(graph)["Mul"] == 2 + 2 * 2  # the squares, and two for each Gelu


def test_a_network_without_convolutions_keeps_its_layout() -> None:
    def network(g: Builder, x: Value) -> Value:
        y = g.LayerNormalization(x, g.const(draw(4)), axis=-1)
        return g.MatMul(y, g.const(draw(4, 4)))

    assert ops(after(optimize_for_inference, network, 6, 5, 4)) == {"LayerNormalization": 1, "MatMul": 1}


# -- whole models ----------------------------------------------------------------------------------------------------

RESIDUAL = {
    "inputs": {"image": {"shape": [32, 32, 3]}},
    "layers": [
        {"type": "Rescaling", "scale": 1 / 127.5, "offset": -1},
        {"type": "ZeroPadding2D", "padding": 1},
        {"type": "Conv2D", "filters": 8, "kernel_size": 3, "strides": 2, "use_bias": False},
        {"type": "BatchNormalization"},
        {"type": "Activation", "activation": "relu", "name": "stem"},
        {"type": "GlobalAveragePooling2D"},
        {"type": "Reshape", "target_shape": [1, 1, 8]},
        {"type": "Conv2D", "filters": 2, "kernel_size": 1, "activation": "silu"},
        {"type": "Conv2D", "filters": 8, "kernel_size": 1, "activation": "sigmoid", "name": "gate"},
        {"type": "Multiply", "from": ["stem", "gate"]},
        {"type": "SeparableConv2D", "filters": 8, "kernel_size": 3, "padding": "same"},
        {"type": "BatchNormalization"},
        {"type": "Add", "from": ["batch_normalization_1", "stem"]},
        {"type": "Dropout", "rate": 0.5},
        {"type": "GlobalAveragePooling2D"},
        {"type": "Dense", "units": 5, "activation": "softmax"},
    ],
}


def test_a_folded_model_computes_the_same_and_has_the_unfolded_weights() -> None:
    weights = jsonnx.compile(RESIDUAL).weights
    rng = np.random.default_rng(0)
    weights = {
        name: (array + rng.uniform(0.1, 0.4, array.shape)).astype(array.dtype) for name, array in weights.items()
    }
    models = [jsonnx.compile(RESIDUAL, weights=weights, fold=fold) for fold in (True, False)]
    x = rng.uniform(0, 255, (3, 32, 32, 3)).astype(np.float32)
    folded, unfolded = (next(iter(model.session().run({"image": x}).values())) for model in models)
    np.testing.assert_allclose(folded, unfolded, rtol=1e-4, atol=1e-6)
    for model in models:
        model.verify()
        assert model.weights.keys() == weights.keys()
        assert all((model.weights[name] == array).all() for name, array in weights.items())
    op_counts = Counter(node.op_type for node in models[0].proto.graph.node)
    assert op_counts == {
        **{"Transpose": 1, "Add": 2, "Conv": 5, "Relu": 1, "GlobalAveragePool": 1, "Sigmoid": 2, "Mul": 2},
        **{"ReduceMean": 1, "Gemm": 1, "Softmax": 1},
    }


def test_the_same_model_gives_the_same_bytes() -> None:
    assert jsonnx.compile(RESIDUAL).to_bytes() == jsonnx.compile(RESIDUAL).to_bytes()
