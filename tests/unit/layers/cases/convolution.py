"""Convolutions."""

from . import Case


def conv(kind: str, **arguments) -> dict:
    return {"type": kind, "filters": 4, "kernel_size": 3, **arguments}


def conv2d(**arguments) -> dict:
    return conv("Conv2D", **arguments)


def depthwise(kind: str, **arguments) -> dict:
    return {"type": kind, "kernel_size": 3, **arguments}


FIRST = {"data_format": "channels_first"}

CASES = [
    Case("conv1d", conv("Conv1D"), [(5, 2)]),
    Case("conv1d-same-strides", conv("Conv1D", kernel_size=[4], strides=3, padding="same"), [(7, 2)]),
    Case("conv1d-causal", conv("Conv1D", padding="causal", activation="tanh"), [(5, 2)]),
    Case("conv1d-causal-above-input", conv("Conv1D", kernel_size=4, padding="causal"), [(1, 2)]),
    Case("conv1d-causal-strides", conv("Conv1D", kernel_size=2, strides=3, padding="causal"), [(8, 2)]),
    Case("conv1d-causal-dilation", conv("Conv1D", dilation_rate=2, padding="causal", groups=2), [(6, 4)]),
    Case("conv1d-channels-first", conv("Conv1D", padding="causal", use_bias=False, **FIRST), [(2, 5)]),
    Case("conv2d", conv2d(), [(5, 6, 2)]),
    Case("conv2d-whole-image", conv2d(kernel_size=[4, 5]), [(4, 5, 2)]),
    Case("conv2d-pointwise", conv2d(kernel_size=1, use_bias=False), [(3, 2, 5)]),
    Case("conv2d-pointwise-strided", conv2d(kernel_size=1, strides=2), [(5, 4, 2)]),
    Case("conv2d-same", conv2d(padding="same", activation="tanh"), [(4, 5, 2)]),
    Case("conv2d-same-even-kernel", conv2d(kernel_size=[2, 4], padding="same"), [(3, 5, 1)]),
    Case("conv2d-same-kernel-above-image", conv2d(kernel_size=5, padding="same"), [(2, 3, 2)]),
    Case("conv2d-same-strides", conv2d(strides=2, padding="same"), [(5, 6, 2)]),
    Case("conv2d-same-strides-apart", conv2d(kernel_size=[1, 2], strides=3, padding="same"), [(7, 5, 2)]),
    Case("conv2d-strides-leave-rest", conv2d(strides=[2, 3]), [(6, 7, 2)]),
    Case("conv2d-strides-above-kernel", conv2d(kernel_size=2, strides=3), [(7, 8, 2)]),
    Case("conv2d-dilation", conv2d(kernel_size=[2, 3], dilation_rate=[3, 2]), [(6, 5, 2)]),
    Case("conv2d-dilation-same", conv2d(dilation_rate=2, padding="same"), [(4, 5, 2)]),
    Case("conv2d-groups", conv2d(groups=2, padding="same"), [(4, 3, 6)]),
    Case("conv2d-depthwise", conv2d(groups=4, strides=2), [(5, 6, 4)]),
    Case("conv2d-channels-first", conv2d(data_format="channels_first", strides=[1, 2], padding="same"), [(2, 4, 5)]),
    Case("conv2d-one-channel", conv2d(filters=1, use_bias=False), [(3, 3, 1)]),
    Case("conv2d-penalties", conv2d(kernel_regularizer="l2", bias_regularizer="l1", activation="softmax"), [(3, 4, 1)]),
    Case("conv3d", conv("Conv3D", kernel_size=[1, 2, 3]), [(2, 3, 4, 2)]),
    Case("conv3d-same", conv("Conv3D", kernel_size=2, strides=[1, 2, 3], padding="same"), [(2, 3, 4, 2)]),
    Case("conv3d-dilation", conv("Conv3D", kernel_size=2, dilation_rate=[1, 2, 1], groups=2), [(2, 3, 3, 4)]),
    Case("conv3d-channels-first", conv("Conv3D", kernel_size=2, **FIRST), [(2, 3, 2, 3)]),
    # -- by channel
    Case("depthwise-conv1d", depthwise("DepthwiseConv1D", activation="tanh"), [(5, 3)]),
    Case("depthwise-conv1d-multiplier", depthwise("DepthwiseConv1D", depth_multiplier=2, padding="same"), [(4, 3)]),
    Case("depthwise-conv1d-first", depthwise("DepthwiseConv1D", strides=2, dilation_rate=2, **FIRST), [(3, 8)]),
    Case("depthwise-conv2d", depthwise("DepthwiseConv2D"), [(4, 5, 3)]),
    Case("depthwise-conv2d-one-channel", depthwise("DepthwiseConv2D", depth_multiplier=3), [(3, 4, 1)]),
    Case("depthwise-conv2d-multiplier", depthwise("DepthwiseConv2D", depth_multiplier=2, padding="same"), [(3, 4, 3)]),
    Case("depthwise-conv2d-strides", depthwise("DepthwiseConv2D", strides=2, padding="same"), [(5, 6, 2)]),
    Case("depthwise-conv2d-rest", depthwise("DepthwiseConv2D", kernel_size=[2, 3], strides=[3, 2]), [(7, 6, 2)]),
    Case("depthwise-conv2d-dilation", depthwise("DepthwiseConv2D", dilation_rate=[1, 2], use_bias=False), [(4, 6, 2)]),
    Case("depthwise-conv2d-gaps-apart", depthwise("DepthwiseConv2D", strides=2, dilation_rate=2), [(7, 8, 2)]),
    Case("depthwise-conv2d-many-places", depthwise("DepthwiseConv2D", padding="same"), [(9, 9, 2)]),
    Case("depthwise-conv2d-first", depthwise("DepthwiseConv2D", depth_multiplier=2, **FIRST), [(2, 4, 5)]),
    Case("depthwise-conv2d-pointwise", depthwise("DepthwiseConv2D", kernel_size=1, depth_multiplier=2), [(3, 2, 2)]),
    Case("separable-conv1d", conv("SeparableConv1D", depth_multiplier=2, activation="tanh"), [(5, 2)]),
    Case("separable-conv1d-same", conv("SeparableConv1D", strides=2, padding="same", use_bias=False), [(6, 3)]),
    Case("separable-conv2d", conv("SeparableConv2D"), [(4, 5, 3)]),
    Case("separable-conv2d-multiplier", conv("SeparableConv2D", depth_multiplier=2, padding="same"), [(3, 4, 2)]),
    Case("separable-conv2d-dilation", conv("SeparableConv2D", dilation_rate=2, padding="same"), [(4, 5, 2)]),
    Case("separable-conv2d-first", conv("SeparableConv2D", strides=[2, 1], **FIRST), [(3, 5, 4)]),
    Case(
        "separable-conv2d-penalties",
        conv("SeparableConv2D", depthwise_regularizer="l1", pointwise_regularizer="l2", bias_regularizer="l2"),
        [(3, 4, 2)],
    ),
    # -- transposed
    Case("conv1d-transpose", conv("Conv1DTranspose"), [(4, 2)]),
    Case("conv1d-transpose-one-step", conv("Conv1DTranspose", strides=2, padding="same"), [(1, 2)]),
    Case("conv1d-transpose-apart", conv("Conv1DTranspose", kernel_size=2, strides=5, padding="same"), [(3, 2)]),
    Case("conv1d-transpose-first", conv("Conv1DTranspose", strides=3, output_padding=2, **FIRST), [(2, 3)]),
    Case("conv2d-transpose", conv("Conv2DTranspose", activation="tanh"), [(3, 2, 2)]),
    Case("conv2d-transpose-strides", conv("Conv2DTranspose", strides=2), [(3, 2, 2)]),
    Case("conv2d-transpose-apart", conv("Conv2DTranspose", kernel_size=[1, 2], strides=[3, 4]), [(3, 2, 2)]),
    Case("conv2d-transpose-same", conv("Conv2DTranspose", strides=2, padding="same"), [(3, 2, 2)]),
    Case("conv2d-transpose-same-1", conv("Conv2DTranspose", kernel_size=[4, 5], padding="same"), [(3, 2, 2)]),
    Case("conv2d-transpose-even", conv("Conv2DTranspose", kernel_size=4, strides=2, padding="same"), [(3, 2, 2)]),
    Case("conv2d-transpose-output", conv("Conv2DTranspose", strides=[2, 3], output_padding=[1, 0]), [(3, 2, 2)]),
    Case(
        "conv2d-transpose-same-output",
        conv("Conv2DTranspose", kernel_size=[2, 3], strides=[3, 2], output_padding=[0, 1], padding="same"),
        [(3, 2, 2)],
    ),
    Case(
        "conv2d-transpose-same-output-apart",
        conv("Conv2DTranspose", kernel_size=[1, 3], strides=6, output_padding=[3, 5], padding="same"),
        [(2, 3, 2)],
    ),
    Case("conv2d-transpose-dilation", conv("Conv2DTranspose", dilation_rate=[2, 1], use_bias=False), [(3, 2, 2)]),
    Case("conv2d-transpose-dilation-same", conv("Conv2DTranspose", dilation_rate=2, padding="same"), [(3, 2, 2)]),
    Case("conv2d-transpose-first", conv("Conv2DTranspose", strides=2, padding="same", **FIRST), [(2, 3, 2)]),
    Case("conv3d-transpose", conv("Conv3DTranspose", kernel_size=2, strides=[1, 2, 1]), [(2, 1, 3, 2)]),
    Case(
        "conv3d-transpose-same",
        conv("Conv3DTranspose", kernel_size=[1, 2, 3], strides=2, padding="same"),
        [(2, 1, 2, 2)],
    ),
    Case("conv3d-transpose-first", conv("Conv3DTranspose", kernel_size=2, output_padding=0, **FIRST), [(2, 1, 2, 2)]),
]
