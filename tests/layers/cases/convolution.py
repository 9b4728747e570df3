"""Convolutions."""

from . import Case


def conv2d(**arguments) -> dict:
    return {"type": "Conv2D", "filters": 4, "kernel_size": 3, **arguments}


CASES = [
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
]
