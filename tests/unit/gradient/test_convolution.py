"""The gradients of convolution and pooling: equal to finite differences, and the same in onnxruntime."""

from __future__ import annotations

import numpy as np
import pytest
from jsonnx.core.types import BATCH, Dim, Size, TensorType
from jsonnx.gradient import GradientBuilder, GradientTuning, MissingRule, gradients
from jsonnx.gradient.rules import convolution
from jsonnx.ir import Builder, Graph
from jsonnx.tuning.cpu.gradient import CPU_GRADIENTS
from support.harness import check_gradients, reference, run, with_gradients
from support.window_reference import Layout, first_maxima

# sizes of the input, kernel, and what places the windows
PLACES: list[tuple[list[int], list[int], dict]] = [
    ([5], [3], {}),
    ([6], [3], {"strides": [2]}),
    ([70], [2], {}),
    ([7], [3], {"strides": [2], "pads": [0, 1]}),
    ([9], [2], {"strides": [4], "pads": [1, 0]}),
    ([8], [3], {"strides": [2], "dilations": [2], "pads": [2, 1]}),
    ([1], [1], {}),
    ([4, 5], [1, 1], {"strides": [2, 1]}),
    ([4, 5], [2, 3], {"pads": [0, 1, 1, 1]}),
    ([10, 10], [2, 3], {"pads": [0, 1, 1, 1]}),
    ([6, 7], [3, 3], {"strides": [2, 3]}),
    ([5, 6], [2, 2], {"strides": [2, 2], "pads": [1, 0, 0, 1]}),
    ([5, 6], [2, 2], {"strides": [3, 1], "dilations": [1, 3]}),
    ([6, 5], [3, 2], {"strides": [2, 2], "dilations": [2, 3], "pads": [2, 1, 1, 1]}),
    ([6, 6], [2, 3], {"strides": [2, 3]}),
    ([7, 8], [2, 3], {"strides": [2, 3]}),
    ([5, 6], [3, 3], {"strides": [2, 2], "auto_pad": "SAME_UPPER"}),
    ([5, 6], [2, 3], {"strides": [2, 1], "auto_pad": "SAME_LOWER"}),
    ([3, 4, 3], [2, 3, 2], {"strides": [1, 2, 2], "pads": [1, 0, 0, 0, 1, 1]}),
    ([4, 2, 4], [2, 2, 2], {"strides": [2, 2, 2]}),
    ([5, 3, 4], [3, 1, 2], {"strides": [3, 1, 2], "pads": [1, 0, 0, 0, 0, 0]}),
    ([3, 7, 2], [1, 3, 2], {"strides": [1, 3, 2]}),
]
SAME_SIZES = [place for place in PLACES if "auto_pad" not in place[2]]


def name(value) -> str:
    if isinstance(value, dict):
        return "-".join(key[0] + "".join(map(str, of if isinstance(of, list) else [of])) for key, of in value.items())
    return "x".join(map(str, value)) if isinstance(value, list) else str(value)


def each_place(places):
    return pytest.mark.parametrize(("sizes", "kernel", "place"), places, ids=name)


def one_node(op: str, shapes: dict[str, tuple[Dim, ...]], real: str, *constants, **attributes) -> Graph:
    g = Builder(float_dtype=real)
    operands = [g.input(name, TensorType(real, shape)) for name, shape in shapes.items()]
    return g.graph({"y": g.emit(op, *operands, *constants, **attributes)})


def draw(shapes: dict[str, tuple[Dim, ...]], rng: np.random.Generator, **sizes: int) -> dict[str, np.ndarray]:
    known = {"batch": 3, **sizes}
    return {n: rng.normal(size=[s if isinstance(s, int) else known[str(s)] for s in of]) for n, of in shapes.items()}


def check(op: str, shapes: dict[str, tuple[Dim, ...]], *constants, sizes=None, **attributes) -> None:
    """Finite differences in float64, then float32 in onnxruntime against float64."""
    feeds, wanted = draw(shapes, np.random.default_rng(0), **(sizes or {})), list(shapes)
    double = one_node(op, shapes, "float64", *constants, **attributes)
    assert check_gradients(double, feeds, wanted) < 1e-6
    expected = reference(with_gradients(double, wanted), feeds)
    single = with_gradients(one_node(op, shapes, "float32", *constants, **attributes), wanted)
    found = run(single, {n: value.astype(np.float32) for n, value in feeds.items()})
    for result, value in expected.items():
        np.testing.assert_allclose(found[result], value, rtol=1e-4, atol=1e-5, err_msg=result)


@pytest.mark.costly(2)
@pytest.mark.parametrize("groups", [1, 2])
@each_place(PLACES)
def test_a_convolution(sizes, kernel, place, groups) -> None:
    channels, filters = (3, 2) if groups == 1 else (4, 6)
    shapes = {"x": (BATCH, channels, *sizes), "w": (filters, channels // groups, *kernel), "b": (filters,)}
    check("Conv", shapes, group=groups, **place)


VOLUMES = [  # with the height under which three windows stand along it
    ({}, 4),
    ({"pads": [1, 0, 2, 0, 1, 2]}, 3),
    ({"dilations": [1, 3, 2]}, 6),
    ({"pads": [3, 1, 0, 2, 2, 0]}, 1),
]


@pytest.mark.parametrize("symbolic", [False, True])
@pytest.mark.parametrize(("place", "height"), VOLUMES, ids=name)
def test_the_input_gradient_of_a_volume(place, height, symbolic) -> None:
    """A convolution computes it if there are no more filters than channels."""
    for filters, channels in ((2, 3), (3, 3), (3, 2)):
        size = Size.named("height") if symbolic else height
        shapes = {"x": (BATCH, channels, 4, size, 6), "w": (filters, channels, 3, 2, 2)}
        check("Conv", shapes, sizes={"height": height}, **place)
        nodes = with_gradients(one_node("Conv", shapes, "float32", **place), ["x"]).nodes
        assert any(node.op == "ConvTranspose" for node in nodes) == (filters > channels)


@each_place(PLACES)
def test_a_depthwise_convolution(sizes, kernel, place) -> None:
    check("Conv", {"x": (BATCH, 3, *sizes), "w": (3, 1, *kernel)}, group=3, **place)


@each_place(PLACES[::4])
def test_a_depthwise_convolution_with_two_filters_per_channel(sizes, kernel, place) -> None:
    check("Conv", {"x": (BATCH, 3, *sizes), "w": (6, 1, *kernel)}, group=3, **place)


@pytest.mark.costly(2)
@pytest.mark.parametrize("groups", [1, 2])
@each_place(SAME_SIZES)
def test_a_transposed_convolution(sizes, kernel, place, groups) -> None:
    shapes = {"x": (BATCH, 2, *(max(1, size - 2) for size in sizes)), "w": (2, 2 // groups * 2, *kernel)}
    shapes["b"] = (shapes["w"][1] * groups,)
    check("ConvTranspose", shapes, group=groups, **place)


@pytest.mark.parametrize(("strides", "rest"), [([2], [1]), ([3], [2])])
def test_a_transposed_convolution_with_output_padding(strides, rest) -> None:
    shapes = {"x": (BATCH, 2, 4), "w": (2, 3, 2)}
    check("ConvTranspose", shapes, strides=strides, output_padding=rest, pads=[1, 0])


@each_place(PLACES)
def test_max_pooling(sizes, kernel, place) -> None:
    check("MaxPool", {"x": (BATCH, 2, *sizes)}, kernel_shape=kernel, **place)


CEILINGS: list[tuple[list[int], list[int], dict]] = [
    ([8], [3], {"strides": [2]}),
    ([7], [3], {"strides": [2]}),
    ([8, 9], [3, 2], {"strides": [2, 2]}),
    ([6, 6], [3, 3], {"strides": [2, 2], "pads": [1, 0, 1, 0]}),
    ([8, 7], [3, 3], {"strides": [3, 3], "pads": [0, 1, 0, 0]}),
    ([9, 9], [2, 2], {"strides": [2, 2]}),
    ([7, 8], [2, 3], {"strides": [2, 3], "pads": [1, 1, 0, 0]}),
    ([3, 4, 3], [2, 3, 2], {"strides": [2, 2, 2]}),
]


@each_place(CEILINGS)
def test_max_pooling_whose_last_windows_reach_over_the_end(sizes, kernel, place) -> None:
    check("MaxPool", {"x": (BATCH, 2, *sizes)}, kernel_shape=kernel, ceil_mode=1, **place)


@pytest.mark.parametrize("padding_counts", [0, 1])
@each_place(CEILINGS)
def test_average_pooling_whose_last_windows_reach_over_the_end(sizes, kernel, place, padding_counts) -> None:
    attributes = {"count_include_pad": padding_counts, "ceil_mode": 1, **place}
    check("AveragePool", {"x": (BATCH, 2, *sizes)}, kernel_shape=kernel, **attributes)


def test_the_last_windows_of_symbolic_axes_are_unknown() -> None:
    graph = one_node("MaxPool", {"x": (BATCH, 2, Size.named("time"))}, "float32", kernel_shape=[3], ceil_mode=1)
    with pytest.raises(MissingRule, match="operator MaxPool has no gradient rule with ceil_mode along symbolic axes"):
        with_gradients(graph, ["x"])


@pytest.mark.parametrize("padding_counts", [0, 1])
@each_place(PLACES)
def test_average_pooling(sizes, kernel, place, padding_counts) -> None:
    check("AveragePool", {"x": (BATCH, 2, *sizes)}, kernel_shape=kernel, count_include_pad=padding_counts, **place)


@pytest.mark.parametrize("op", ["GlobalAveragePool", "GlobalMaxPool"])
@pytest.mark.parametrize("sizes", [(5,), (3, 4), (2, 1, 3)])
def test_global_pooling(op, sizes) -> None:
    check(op, {"x": (BATCH, 2, *sizes)})


@pytest.mark.parametrize("op", ["ReduceMax", "ReduceMin"])
@pytest.mark.parametrize(("axes", "keepdims"), [([1, 2], 0), ([-1], 1), ([0, 1, 2], 0)])
def test_extrema_along_axes(op, axes, keepdims) -> None:
    check(op, {"x": (BATCH, 3, 4)}, axes, keepdims=keepdims)


SYMBOLIC = [  # two sizes each, under which three windows stand on either axis
    ({"strides": [1, 1]}, (5, 5)),
    ({"strides": [1, 1], "pads": [1, 0, 0, 1]}, (4, 4)),
    ({"strides": [2, 2]}, (7, 8)),
    ({"strides": [2, 2], "pads": [1, 0, 1, 2]}, (6, 5)),
    ({"strides": [2, 2], "auto_pad": "SAME_UPPER"}, (5, 6)),
    ({"strides": [2, 2], "auto_pad": "SAME_LOWER"}, (6, 5)),
]


@pytest.mark.parametrize("op", ["Conv", "MaxPool", "AveragePool"])
@pytest.mark.parametrize(("place", "sizes"), SYMBOLIC, ids=name)
def test_an_image_of_symbolic_size(op, place, sizes) -> None:
    height, width = sizes
    shapes = {"x": (BATCH, 2, Size.named("height"), Size.named("width"))}
    if op == "Conv":
        shapes |= {"w": (3, 2, 3, 3), "b": (3,)}
    else:
        place = {"kernel_shape": [3, 3], **place}
    check(op, shapes, sizes={"height": height, "width": width}, **place)


def test_average_pooling_with_a_symbolic_number_of_channels() -> None:
    shapes = {"x": (BATCH, Size.named("channels"), Size.named("height"), 5)}
    for place, height in (({}, 4), ({"pads": [1, 0, 0, 1], "strides": [2, 1]}, 6)):
        check("AveragePool", shapes, sizes={"channels": 3, "height": height}, kernel_shape=[2, 3], **place)


TIES = [
    ([5, 4], [2, 3], {"strides": [2, 3], "pads": [1, 1, 0, 1]}),
    ([4, 6], [2, 2], {"strides": [2, 2]}),
    ([5, 7], [2, 3], {"strides": [2, 3]}),
    ([5, 5], [3, 3], {"strides": [1, 2], "pads": [1, 1, 1, 1]}),
    ([6, 5], [2, 2], {"strides": [2, 2], "auto_pad": "SAME_UPPER"}),
    ([4, 4, 4], [2, 2, 2], {"strides": [2, 2, 2]}),
    ([7, 3, 5], [3, 3, 2], {"strides": [3, 3, 2], "pads": [1, 0, 0, 1, 0, 1]}),
]


@each_place(TIES)
def test_the_first_of_equal_maxima_in_a_window_gets_the_gradient(sizes, kernel, place) -> None:
    shapes = {"x": (BATCH, 3, *sizes)}
    graph = one_node("MaxPool", shapes, "float32", kernel_shape=kernel, **place)
    x = np.random.default_rng(0).integers(-2, 2, (3, 3, *sizes)).astype(np.float32)
    found = run(with_gradients(graph, ["x"]), {"x": x})["d/x"]
    firsts = first_maxima(x, Layout(sizes, kernel, place["strides"], None, place.get("pads"), place.get("auto_pad")))
    dy = np.random.default_rng(0).normal(size=firsts.shape)  # the weights with_gradients draws
    expected = np.zeros(x.size)
    for index, share in zip(firsts.ravel(), dy.ravel(), strict=True):
        expected[index] += share
    np.testing.assert_allclose(found.ravel(), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("op", ["MaxPool", "AveragePool"])
def test_pooling_tiles_of_volumes_emits_no_resize_of_five_axes(op) -> None:
    g = GradientBuilder()
    x = g.input("x", TensorType("float32", (BATCH, 3, 4, 6, 5)))
    y = g.emit(op, x, kernel_shape=[2, 3, 2], strides=[2, 3, 2])
    dy = g.input("dy", y.type)
    graph = g.graph({"dx": gradients(g, g.graph({"y": y}), {y: dy}, [x])[x]})
    assert {node.inputs[0].rank for node in graph.nodes if node.op == "Resize"} == {4}
    rng = np.random.default_rng(0)
    shapes = {name: (5, *value.shape[1:]) for name, value in graph.inputs.items()}
    feeds = {name: rng.integers(-2, 2, shape).astype(np.float32) for name, shape in shapes.items()}
    whole = run(graph, feeds)["dx"]
    np.testing.assert_allclose(whole.sum((1, 2, 3, 4)), feeds["dy"].sum((1, 2, 3, 4)), rtol=1e-5)
    for samples in (0, 1):
        part = run(graph, {name: value[:samples] for name, value in feeds.items()})["dx"]
        np.testing.assert_array_equal(part, whole[:samples])


def test_equal_extrema_of_an_axis_share_the_gradient() -> None:
    graph = one_node("ReduceMax", {"x": (1, 4)}, "float32", [1], keepdims=1)
    found = run(with_gradients(graph, ["x"]), {"x": np.array([[2, 1, 2, 0]], np.float32)})["d/x"]
    dy = np.random.default_rng(0).normal(size=(1, 1))
    np.testing.assert_allclose(found, dy * [[0.5, 0, 0.5, 0]], rtol=1e-6)


@each_place([place for place in SAME_SIZES if len(place[0]) < 3])
def test_the_weight_gradient_as_one_convolution_over_the_batch(sizes, kernel, place, monkeypatch) -> None:
    """The formula for many channels, for windows of every kind."""
    monkeypatch.setattr(convolution, "conv_weight_gradient", convolution.weight_gradient_as_conv)
    check("Conv", {"x": (BATCH, 4, *sizes), "w": (3, 4, *kernel), "b": (3,)}, **place)


@pytest.mark.costly(2)
@pytest.mark.parametrize("groups", [1, 2])
@each_place(PLACES)
def test_the_weight_gradient_over_the_batch(sizes, kernel, place, groups, monkeypatch) -> None:
    """The formula for large windows, for windows of every kind."""
    monkeypatch.setattr(convolution, "conv_weight_gradient", convolution.weight_gradient_over_batch)
    check("Conv", {"x": (BATCH, 4, *sizes), "w": (6, 4 // groups, *kernel), "b": (6,)}, group=groups, **place)


@pytest.mark.parametrize(("place", "sizes"), SYMBOLIC, ids=name)
def test_the_weight_gradient_over_the_batch_of_symbolic_sizes(place, sizes, monkeypatch) -> None:
    monkeypatch.setattr(convolution, "conv_weight_gradient", convolution.weight_gradient_over_batch)
    shapes = {"x": (BATCH, 4, Size.named("height"), Size.named("width")), "w": (6, 2, 3, 3)}
    check("Conv", shapes, sizes=dict(zip(("height", "width"), sizes, strict=True)), group=2, **place)


@pytest.mark.parametrize("place", [{}, {"pads": [2, 1, 0, 1]}, {"dilations": [2, 1]}], ids=name)
def test_a_convolution_of_many_channels(place) -> None:
    shapes = {"x": (BATCH, 16, 6, 5), "w": (17, 16, 3, 2), "b": (17,)}
    graph = with_gradients(one_node("Conv", shapes, "float32", **place), ["w"])
    assert not any(node.attribute("group", 1) > 1 for node in graph.nodes)  # no columns
    check("Conv", shapes, **place)


@pytest.mark.parametrize(
    ("shapes", "attributes", "formula"),
    [
        ({"x": (BATCH, 3, 28, 28), "w": (3, 1, 3, 3)}, {"group": 3}, "depthwise_weight_gradient"),
        ({"x": (BATCH, 3, 28, 33), "w": (3, 1, 3, 3)}, {"group": 3}, "weight_gradient_by_sample"),
        ({"x": (BATCH, 3, 400, 28), "w": (3, 1, 300, 3)}, {"group": 3}, "weight_gradient_by_sample"),
        ({"x": (BATCH, 16, 28, 28), "w": (16, 16, 3, 3)}, {}, "weight_gradient_as_conv"),
        ({"x": (BATCH, 16, 28, 28), "w": (16, 16, 3, 3)}, {"strides": [2, 2]}, "weight_gradient_by_sample"),
        ({"x": (BATCH, 16, 28, 28), "w": (16, 16, 1, 1)}, {}, "weight_gradient_by_sample"),
        ({"x": (BATCH, 15, 28, 28), "w": (16, 15, 3, 3)}, {}, "weight_gradient_by_sample"),
        ({"x": (BATCH, 15, 10, 10), "w": (16, 15, 3, 3)}, {}, "weight_gradient_of_batch"),
        ({"x": (BATCH, 15, 10, 11), "w": (16, 15, 3, 3)}, {}, "weight_gradient_by_sample"),
        ({"x": (BATCH, 3, 70, 70), "w": (16, 3, 40, 40)}, {}, "weight_gradient_by_sample"),
    ],
)
def test_the_formula_of_the_weight_gradient_depends_on_sizes_and_tuning(shapes, attributes, formula) -> None:
    (node,) = one_node("Conv", shapes, "float32", **attributes).nodes
    (x, w), y, window = node.inputs, node.outputs[0], convolution.Window.of(node)
    for tuning, expected in ((CPU_GRADIENTS, formula), (GradientTuning(), "weight_gradient_by_sample")):
        chosen = convolution.weight_gradient_formula(x, y, w, window, attributes.get("group", 1), tuning)
        assert chosen.__name__ == expected


@pytest.mark.parametrize("tuning", [CPU_GRADIENTS, GradientTuning()], ids=["cpu", "general"])
def test_the_weight_gradient_of_large_windows_has_no_large_constants(tuning) -> None:
    shapes = {"x": (BATCH, 2, 40, 40, 40), "w": (3, 2, 31, 31, 31)}
    (node,) = one_node("Conv", shapes, "float32").nodes
    window = convolution.Window.of(node)
    chosen = convolution.weight_gradient_formula(node.inputs[0], node.outputs[0], node.inputs[1], window, 1, tuning)
    assert chosen.__name__ == "weight_gradient_over_batch"


@each_place(PLACES)
def test_the_general_formula_of_the_weight_gradient(sizes, kernel, place) -> None:
    shapes = {"x": (BATCH, 2, *sizes), "w": (4, 1, *kernel)}
    graph = one_node("Conv", shapes, "float64", group=2, **place)
    feeds = draw(shapes, np.random.default_rng(0))
    assert check_gradients(graph, feeds, list(shapes), tuning=GradientTuning()) < 1e-6
