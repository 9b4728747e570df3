"""Rules on convolutions and pooling: what their windows read, and how large their results are."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from typing import Any, NamedTuple

from ...core.types import TensorType
from ...frontend.network import Call
from ...layers.sliding_window import SlidingWindows, spatial_axes
from ..layer_kinds import ALL_CONVOLUTIONS, is_one_of
from ..linted_network import LintedNetwork
from ..rule import Finding, rule

WINDOW_LAYERS = ("convolution", "depthwise convolution", "pooling")
"""Layers whose windows read their input at regular distances."""

MAX_RECEPTIVE_FIELD_FACTOR, MAX_UNREDUCED_FACTOR = 4.0, 2.0
"""Maximum size of the receptive field, relative to the image. Most of a larger one is padding. The second value is for
layers at the full resolution of the image."""

MIN_DROPPED_SHARE = 0.03
"""Minimum share of an axis that windows leave over at its end."""

ACTIVATION_LAYERS = ("Activation", "ReLU", "LeakyReLU", "PReLU", "ELU")
BETWEEN_CONVOLUTION_AND_FLATTEN = ("pooling", *ACTIVATION_LAYERS, "Dropout", "SpatialDropout2D", "BatchNormalization")

LARGE_DENSE_SHARE, MIN_LARGE_DENSE_WEIGHTS = 0.9, 1_000_000


def windows_of(layer: Any) -> SlidingWindows:
    windows: SlidingWindows = layer.windows
    return windows


def spatial_sizes(type: TensorType, layer: Any) -> list[Any]:
    return [type.shape[axis] for axis in spatial_axes(type.rank, layer.data_format)]


class Field(NamedTuple):
    """The part of an image along one axis that an element depends on, and the distance between two elements."""

    size: int = 1
    step: int = 1


@rule("receptive-field")
def receptive_field(network: LintedNetwork) -> Iterator[Finding]:
    fields: dict[str, list[Field]] = {}
    images: dict[str, list[Any]] = {}
    reported: set[str] = set()
    for call in network.calls:
        known = next((source for source in call.sources if source in fields), None)
        layer: Any = call.layer
        if not is_one_of(layer, (*WINDOW_LAYERS, "transposed convolution")):
            if known is not None and network.output_type(call).rank == len(fields[known]) + 2:
                widest = max((source for source in call.sources if source in fields), key=lambda name: fields[name])
                fields[call.name], images[call.name] = fields[widest], images[widest]
            continue
        if layer.family == "transposed convolution":
            continue
        sizes = spatial_sizes(network.input_type(call), layer)
        before = fields.get(call.sources[0]) or [Field()] * len(sizes)
        image = images.get(call.sources[0]) or sizes
        windows = windows_of(layer)
        fields[call.name] = [
            Field(field.size + (span - 1) * field.step, field.step * stride)
            for field, span, stride in zip(before, windows.spans, windows.strides, strict=True)
        ]
        images[call.name] = image
        origin = next((name for name in network.typed.inputs if images[call.name] is image), "")
        if windows.padding != "same" or len(sizes) < 2 or origin in reported:
            continue
        error = _field_error(call, windows.spans, sizes, before, image)
        if error is not None:
            reported.add(origin)
            yield Finding(call.path, error, "use smaller kernels, fewer layers or strides, or larger images")


def _field_error(call: Call, spans: list[int], sizes: list[Any], before: list[Field], image: list[Any]) -> str | None:
    for span, size, field, total in zip(spans, sizes, before, image, strict=True):
        if not isinstance(size, int) or not isinstance(total, int) or span == 1:
            continue
        if span > size:
            return f"the kernel of {call.name!r} spans {span}, and its input has size {size}: it always reads padding"
        limit = MAX_UNREDUCED_FACTOR if field.step == 1 else MAX_RECEPTIVE_FIELD_FACTOR
        if field.size > limit * total:
            return (
                f"an element of the input of {call.name!r} depends on {field.size} x {field.size} pixels, of an image "
                f"of size {total}"
            )
    return None


@rule("dropped-pixels")
def dropped_pixels(network: LintedNetwork) -> Iterator[Finding]:
    for call, layer in network.of_kind(*WINDOW_LAYERS):
        windows, sizes = windows_of(layer), spatial_sizes(network.input_type(call), layer)
        key = "strides" if network.is_written((*call.path, "strides")) else "pool_size"
        path = (*call.path, key) if network.is_written((*call.path, key)) else call.path
        skipped = [max(stride - span, 0) for span, stride in zip(windows.spans, windows.strides, strict=True)]
        if any(skipped):
            if not _others_read_all(network, call):
                stride, span = max(zip(windows.strides, windows.spans, strict=True), key=lambda pair: pair[0] - pair[1])
                message = f"{call.name!r} has strides of {stride} and windows of {span}, and skips what is between them"
                yield Finding(path, message, "use a kernel that is at least as large as the strides")
            continue
        rest = _remainder(windows, sizes, _end_padding(network, call))
        if rest is not None and not _others_read_all(network, call):
            count, size = rest
            rows = "row or column" if count == 1 else "rows or columns"
            message = f"{call.name!r} drops the last {rows} of its input: {count} of {size}"
            help = 'write "padding": "same", or change the size before'
            yield Finding(path, message, help)


def _end_padding(network: LintedNetwork, call: Call) -> list[int]:
    """The zeros at the end of each spatial axis of a call's input."""
    rank = network.input_type(call).rank - 2
    padding: Any = network.producer(call)
    is_padded = padding is not None and padding.layer.type_name == f"ZeroPadding{rank}D"
    return [end for _, end in padding.layer.padding] if is_padded else [0] * rank


def _remainder(windows: SlidingWindows, sizes: list[Any], end_padding: list[int]) -> tuple[int, int] | None:
    """The number of elements at the end of an axis, before its padding, that no window reads, and the axis' size."""
    if windows.padding != "valid":
        return None
    for span, stride, size, padded in zip(windows.spans, windows.strides, sizes, end_padding, strict=True):
        if not isinstance(size, int) or size <= span:
            continue
        dropped = (size - span) % stride - padded
        if dropped >= max(MIN_DROPPED_SHARE * size, 1):
            return dropped, size
    return None


def _others_read_all(network: LintedNetwork, call: Call) -> bool:
    """Whether another layer reads all of the input: then a shortcut skips pixels, and not the network."""
    for other in network.consumers_by_value.get(call.sources[0], []):
        layer: Any = other.layer
        if other is call:
            continue
        if not is_one_of(layer, WINDOW_LAYERS):
            return True
        windows = windows_of(layer)
        covers = all(span >= stride for span, stride in zip(windows.spans, windows.strides, strict=True))
        rest = _remainder(windows, spatial_sizes(network.input_type(other), layer), _end_padding(network, other))
        if covers and rest is None:
            return True
    return False


@rule("even-kernel")
def even_kernel(network: LintedNetwork) -> Iterator[Finding]:
    for call, layer in network.of_kind("convolution", "depthwise convolution"):
        windows = windows_of(layer)
        if windows.padding != "same":
            continue
        for size, stride, dilation in zip(windows.size, windows.strides, windows.dilations, strict=True):
            if size % 2 == 0 and stride == 1 and dilation % 2:
                message = f"the kernel of {call.name!r} has the even size {size}, so the result is shifted"
                yield Finding((*call.path, "kernel_size"), message, f"use {size - 1} or {size + 1}")
                break


@rule("checkerboard", default=False)
def checkerboard(network: LintedNetwork) -> Iterator[Finding]:
    for call, layer in network.of_kind("transposed convolution"):
        pairs = list(zip(layer.kernel_size, layer.strides, strict=True))
        if any(stride > 1 and size % stride for size, stride in pairs):
            size, stride = next(pair for pair in pairs if pair[1] > 1 and pair[0] % pair[1])
            message = f"{call.name!r} has a kernel of size {size} and strides of {stride}, so windows overlap unevenly"
            yield Finding((*call.path, "kernel_size"), message, f"use a multiple of {stride}")


@rule("pixel-convolution")
def pixel_convolution(network: LintedNetwork) -> Iterator[Finding]:
    for call, layer in network.of_kind("convolution", "depthwise convolution"):
        sizes = spatial_sizes(network.input_type(call), layer)
        if all(size == 1 for size in sizes) and max(layer.kernel_size) > 1:
            source = call.sources[0]
            notes = ((network.typed.network.paths[source], f"{source!r} is {network.input_type(call)}"),)
            message = f"{call.name!r} convolves an image of one pixel, so most of its kernel only reads padding"
            yield Finding(call.path, message, "reduce the image less before it, or use Dense", notes)


@rule("large-dense")
def large_dense(network: LintedNetwork) -> Iterator[Finding]:
    counts = {call.name: kernel_weights(network, call) for call in network.calls if call.name == call.owner}
    total = sum(counts.values())
    for call, _ in network.of_kind("Dense"):
        if counts[call.name] < max(MIN_LARGE_DENSE_WEIGHTS, LARGE_DENSE_SHARE * total):
            continue
        flatten = network.producer(call, skip=("Dropout", "Identity", "BatchNormalization", *ACTIVATION_LAYERS))
        if flatten is None or flatten.layer is None or flatten.layer.type_name not in ("Flatten", "Reshape"):
            continue
        sizes = network.input_type(flatten).shape
        convolution = network.producer(flatten, skip=BETWEEN_CONVOLUTION_AND_FLATTEN)
        if len(sizes) < 4 or convolution is None or convolution.layer is None:
            continue
        if is_one_of(convolution.layer, ALL_CONVOLUTIONS):
            share = counts[call.name] / total
            message = (
                f"{call.name!r} has {counts[call.name]:,} weights, {int(100 * share)} % of all, behind {flatten.name!r}"
            )
            notes = ((flatten.path, f"{flatten.name!r} makes vectors of {sizes[1:]}"),)
            help = "pool more before, or use GlobalAveragePooling2D in place of Flatten"
            yield Finding(call.path, message.replace("(", "[").replace(")", "]"), help, notes)


def kernel_weights(network: LintedNetwork, call: Call) -> int:
    """The number of elements of a layer's kernel or table, of the kinds of layers that have most weights."""
    layer: Any = call.layer
    kind = layer.type_name
    if kind in ("Embedding", "ReversibleEmbedding"):
        return int(layer.input_dim * layer.output_dim)
    if not call.sources:
        return 0
    shape = network.input_type(call).shape
    size = shape[1 if getattr(layer, "data_format", None) == "channels_first" else -1] if shape else 0
    if not isinstance(size, int):
        return 0
    if kind == "Dense":
        return int(size * layer.units)
    if layer.family == "convolution":
        return int(prod(layer.kernel_size) * size * layer.filters // layer.groups)
    if layer.family == "transposed convolution":
        return int(prod(layer.kernel_size) * size * layer.filters)
    gates = len(layer.gate_order) if layer.family == "recurrent" else 0
    return int(gates * layer.units * (size + layer.units)) if gates else 0
