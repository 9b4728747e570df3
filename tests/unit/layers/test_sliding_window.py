"""Convolution and pooling: shape errors, symbolic sizes, padding."""

from __future__ import annotations

import pytest
from jsonnx.core.types import BATCH, ShapeError, Size, TensorType
from support.harness import make_layer

CONV = {"type": "Conv2D", "filters": 4, "kernel_size": 3}


def infer(spec: dict, *shape) -> TensorType:
    return make_layer(spec).infer(TensorType("float32", (BATCH, *shape)))


INVALID = [
    ({}, (28, 28), "needs an input of rank 4, [batch, height, width, channels], got float32[batch, 28, 28]"),
    (
        {"kernel_size": [2, 5]},
        (9, 4, 1),
        "on axis 2: it spans 5 of 4 in float32[batch, 9, 4, 1], and (4 - 5) // 1 + 1 = 0",
    ),
    ({"dilation_rate": 2}, (4, 9, 1), "it spans (3 - 1) * 2 + 1 = 5 of 4"),
    ({"groups": 4}, (9, 9, 6), "splits 6 channels of the input into 4 groups, but 6 = 1 * 4 + 2"),
    ({"groups": 3}, (9, 9, 6), "splits 4 filters into 3 groups, but 4 = 1 * 3 + 1"),
    ({"strides": 2, "dilation_rate": [1, 2]}, (9, 9, 1), "strides [2, 2] and dilation_rate [1, 2]"),
    ({"strides": 4, "padding": "same"}, (Size.named("height"), 9, 1), "needs a fixed size on axis 1"),
    ({}, (9, 9, Size.named("channels")), "needs a fixed size on axis 3"),
    (
        {"type": "DepthwiseConv1D", "kernel_size": 3, "strides": 2, "dilation_rate": 2, "padding": "same"},
        (Size.named("time"), 2),
        "needs a fixed size on axis 1",
    ),
    (
        {"type": "Conv1DTranspose", "filters": 1, "kernel_size": 4, "output_padding": 0, "padding": "same"},
        (1, 2),
        "has nothing left on axis 1: (1 - 1) * 1 + 4 - 4 = 0 of float32[batch, 1, 2]",
    ),
    ({"type": "AdaptiveMaxPooling1D", "output_size": 2}, (Size.named("time"), 2), "needs a fixed size on axis 1"),
    ({"type": "MaxPooling2D"}, (1, 9, 1), "has a pool larger than its input on axis 1"),
    ({"type": "GlobalMaxPooling2D", "data_format": "channels_first"}, (9,), "[batch, channels, height, width]"),
]


@pytest.mark.parametrize(("changes", "shape", "message"), INVALID)
def test_shape_errors_name_the_mismatch(changes, shape, message) -> None:
    spec = changes if "type" in changes else CONV | changes
    with pytest.raises(ShapeError) as caught:
        infer(spec, *shape)
    assert message in caught.value.message


def test_output_sizes_of_symbolic_inputs_are_symbolic() -> None:
    height, width = Size.named("height"), Size.named("width")
    assert infer(CONV, height, width, 1).shape == (BATCH, height - 2, width - 2, 4)
    assert infer(CONV | {"padding": "same"}, height, width, 1).shape == (BATCH, height, width, 4)
    assert infer({"type": "MaxPooling2D"}, 2 * height, 9, 3).shape == (BATCH, height, 4, 3)
    up, transposed = {"type": "UpSampling1D"}, {"type": "Conv1DTranspose", "filters": 4, "kernel_size": 3, "strides": 2}
    assert infer(up, height, 3).shape == (BATCH, 2 * height, 3)
    assert infer(transposed, height, 3).shape == (BATCH, 2 * height + 1, 4)
    assert infer({"type": "Cropping1D"}, height, 3).shape == (BATCH, height - 2, 3)
    assert infer({"type": "Conv1D", "filters": 4, "kernel_size": 3, "padding": "causal"}, height, 3).shape[1] == height


SAME = [
    (5, 3, 2, 1, (1, 1)),
    (6, 3, 2, 1, (0, 1)),
    (4, 4, 1, 1, (1, 2)),
    (7, 2, 3, 1, (0, 1)),
    (6, 2, 4, 1, None),
    (4, 3, 1, 3, (3, 3)),
]


@pytest.mark.parametrize(("n", "size", "stride", "dilation", "pads"), SAME)
def test_same_padding_puts_the_smaller_half_first(n, size, stride, dilation, pads) -> None:
    spec = CONV | {"kernel_size": [size, 1], "strides": [stride, 1], "dilation_rate": [dilation, 1], "padding": "same"}
    pads_attribute = make_layer(spec).windows.onnx_attributes([n, 1]).get("pads")
    assert pads_attribute == (None if pads is None else [pads[0], 0, pads[1], 0])
