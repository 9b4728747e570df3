"""Converts weights of Keras 1 and 2 to the layouts of Keras 3: concatenated gates, kernel axes and orientation."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from ....core.types import Dim

LSTM_GATE_OFFSETS = (0, 6, 3, 9)
"""Index of the first of the three arrays of each gate, i, f, c and o, among the twelve arrays of an LSTM in Keras 1."""
GRU_GATE_OFFSETS = (0, 3, 6)
MIRRORED_BY_THEANO = ("conv1d", "conv2d", "conv3d", "conv2dtranspose", "convlstm2d")
"""Convolutions whose kernels Keras 2 mirrors when it loads a file written on Theano."""
MAYBE_MIRRORED_BY_THEANO = ("separableconv", "depthwiseconv", "deconvolution")


class AmbiguousLayout(ValueError):
    """The file does not determine the layout of a weight; the message is the end of a sentence."""


@dataclass
class Producer:
    """The version and backend of Keras that wrote a file."""

    version: str
    backend: str | None
    assumed_tensorflow: list[str] = field(default_factory=list)
    """Kernels that are assumed to have TensorFlow's orientation, since the file does not name its backend."""

    @property
    def is_keras1(self) -> bool:
        return self.version.split(".")[0] == "1"

    def notices(self) -> Iterator[str]:
        if self.assumed_tensorflow:
            yield (
                f"files of Keras 1 do not name their backend: its {len(self.assumed_tensorflow)} convolution kernels "
                "are assumed to be TensorFlow's; Theano's would be mirrored"
            )


def upgrade_weights(
    arrays: Sequence[np.ndarray], names: Sequence[str], shapes: Sequence[Sequence[Dim]], kind: str, producer: Producer
) -> list[np.ndarray]:
    """Converts a layer's arrays, in Keras' order, to the layouts of Keras 3 for weights of these names and shapes.

    Arrays of unknown layouts are returned unchanged. Raises AmbiguousLayout.
    """
    converted = list(arrays)
    if len(shapes) and len(shapes) % 3 == 0 and len(converted) in (3 * len(shapes), 4 * len(shapes)):
        converted = _concatenate_gates(converted, 12 if len(converted) == 4 * len(shapes) else 9)
    if len(converted) != len(shapes):
        return converted
    for index in range(2, len(converted)):
        converted[index - 2 : index + 1] = _convert_from_cudnn(converted[index - 2 : index + 1], shapes[index])
    return [
        _convert_kernel(array, name, shape, kind, producer)
        for array, name, shape in zip(converted, names, shapes, strict=True)
    ]


def _concatenate_gates(arrays: Sequence[np.ndarray], arrays_per_cell: int) -> list[np.ndarray]:
    """Concatenates the three arrays of each gate to kernel, recurrent kernel and bias of each cell."""
    gates = LSTM_GATE_OFFSETS if arrays_per_cell == 12 else GRU_GATE_OFFSETS
    cells = range(0, len(arrays), arrays_per_cell)
    return [np.concatenate([arrays[cell + gate + part] for gate in gates], -1) for cell in cells for part in range(3)]


def _convert_from_cudnn(cell: list[np.ndarray], bias_shape: Sequence[Dim]) -> list[np.ndarray]:
    """Converts the arrays of a cuDNN cell, recognised by its two concatenated biases; returns other cells unchanged."""
    kernel, recurrent, biases = cell
    if kernel.ndim != 2 or recurrent.ndim != 2 or biases.ndim != 1:
        return cell
    units = recurrent.shape[0]
    gates = 4 if biases.shape == (8 * units,) and tuple(bias_shape) == (4 * units,) else 0
    gates = 3 if biases.shape == (6 * units,) and tuple(bias_shape) == (2, 3 * units) else gates
    if not gates or kernel.shape[1] != gates * units or recurrent.shape != (units, gates * units):
        return cell
    kernel = np.hstack([part.T.reshape(part.shape, order="F") for part in np.hsplit(kernel, gates)])
    recurrent = np.hstack([part.T for part in np.hsplit(recurrent, gates)])
    return [kernel, recurrent, biases.reshape(2, -1) if gates == 3 else biases.reshape(2, -1).sum(0)]


def _convert_kernel(array: np.ndarray, name: str, shape: Sequence[Dim], kind: str, producer: Producer) -> np.ndarray:
    """Converts a convolution kernel to the axis order and orientation of Keras 3. Raises AmbiguousLayout."""
    layer_kind = "".join([kind, *name.split("/")[1:-1]]).lower().replace("_", "").replace("convolution", "conv")
    if "conv" not in layer_kind or not name.endswith("kernel") or array.ndim < 3:
        return array
    expected_shape = tuple(shape)
    if producer.is_keras1:
        array = _reorder_kernel_axes(array, expected_shape)
    spatial_axes = tuple(range(len(expected_shape) - 2))
    if all(size == 1 for size in expected_shape[: len(spatial_axes)]):
        return array
    if producer.backend is None and producer.is_keras1:
        producer.assumed_tensorflow.append(name)
    elif producer.backend == "theano":
        is_uncertain = any(word in layer_kind for word in MAYBE_MIRRORED_BY_THEANO)
        if is_uncertain or not any(word in layer_kind for word in MIRRORED_BY_THEANO):
            raise AmbiguousLayout("was written on Theano, whose kernels of this kind of layer may be mirrored")
        return np.flip(array, spatial_axes)
    return array


def _reorder_kernel_axes(array: np.ndarray, expected_shape: tuple[Dim, ...]) -> np.ndarray:
    """Removes the extra axis of a 1D kernel of Keras 1. Raises AmbiguousLayout if the axes may be in Theano's order."""
    if array.ndim == 4 and len(expected_shape) == 3:  # Keras 1 computed Conv1D as Conv2D with an axis of size 1
        channels_last = array[:, 0] if array.shape[1] == 1 else array
        channels_first = array.transpose(2, 3, 1, 0)[:, 0] if array.shape[3] == 1 else array
        array = channels_last if channels_last.shape == expected_shape else channels_first
    if array.ndim != len(expected_shape) or array.ndim < 4:
        return array
    if array.transpose(*range(2, array.ndim), 1, 0).shape != expected_shape:
        return array
    if array.shape == expected_shape:
        raise AmbiguousLayout("has a shape that fits the axis orders of both TensorFlow and Theano")
    raise AmbiguousLayout("has Theano's order of axes, and the file does not state whether its kernel is mirrored")
