"""Weights of Keras 1 and 2 in the forms that Keras 3 gives them: gates together, kernels in its order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from ...core.types import Dim

LSTM_GATE_OFFSETS = (0, 6, 3, 9)
"""Where the gates i, f, c and o of an LSTM's twelve arrays begin in Keras 1, three arrays each."""
GRU_GATE_OFFSETS = (0, 3, 6)
MIRRORED_BY_THEANO = ("conv1d", "conv2d", "conv3d", "conv2dtranspose", "convlstm2d")
"""Convolutions that Theano computes with mirrored kernels, as Keras 2 knew when it changed backends."""
MAYBE_MIRRORED_BY_THEANO = ("separableconv", "depthwiseconv", "deconvolution")


class AmbiguousLayout(ValueError):
    """What a file leaves open, so that its numbers could mean two things: the end of a sentence."""


@dataclass
class Producer:
    """Which Keras wrote a file, and on what."""

    version: str
    backend: str | None
    assumed_tensorflow: list[str] = field(default_factory=list)
    """Kernels taken for TensorFlow's, for lack of a word."""

    @property
    def is_keras1(self) -> bool:
        return self.version.split(".")[0] == "1"

    def notices(self) -> Iterator[str]:
        if self.assumed_tensorflow:
            yield (
                f"a file of Keras 1 does not say which backend wrote it: the {len(self.assumed_tensorflow)} kernels of its "
                "convolutions are taken as TensorFlow's; Theano's would be mirrored"
            )


def upgrade_weights(
    arrays: Sequence[np.ndarray], names: Sequence[str], shapes: Sequence[Sequence[Dim]], kind: str, producer: Producer
) -> list[np.ndarray]:
    """A layer's arrays, in Keras' order, as Keras 3 would have written them for weights of these names and shapes.

    What has no known form comes back as it is. Raises Unsure.
    """
    found = list(arrays)
    if len(shapes) and len(shapes) % 3 == 0 and len(found) in (3 * len(shapes), 4 * len(shapes)):
        found = _concatenate_gates(found, 12 if len(found) == 4 * len(shapes) else 9)
    if len(found) != len(shapes):
        return found
    for index in range(2, len(found)):
        found[index - 2 : index + 1] = _convert_from_cudnn(found[index - 2 : index + 1], shapes[index])
    return [_convert_kernel(*given, kind, producer) for given in zip(found, names, shapes, strict=True)]


def _concatenate_gates(arrays: Sequence[np.ndarray], arrays_per_cell: int) -> list[np.ndarray]:
    """Kernel, recurrent kernel and bias of each cell, out of three arrays a gate."""
    gates = LSTM_GATE_OFFSETS if arrays_per_cell == 12 else GRU_GATE_OFFSETS
    cells = range(0, len(arrays), arrays_per_cell)
    return [np.concatenate([arrays[cell + gate + part] for gate in gates], -1) for cell in cells for part in range(3)]


def _convert_from_cudnn(cell: list[np.ndarray], bias: Sequence[Dim]) -> list[np.ndarray]:
    """The arrays of a cell as they are, or those of cuDNN's layers, which are told by their two biases in a row."""
    kernel, recurrent, both = cell
    if kernel.ndim != 2 or recurrent.ndim != 2 or both.ndim != 1:
        return cell
    units = recurrent.shape[0]
    gates = 4 if both.shape == (8 * units,) and tuple(bias) == (4 * units,) else 0
    gates = 3 if both.shape == (6 * units,) and tuple(bias) == (2, 3 * units) else gates
    if not gates or kernel.shape[1] != gates * units or recurrent.shape != (units, gates * units):
        return cell
    kernel = np.hstack([part.T.reshape(part.shape, order="F") for part in np.hsplit(kernel, gates)])
    recurrent = np.hstack([part.T for part in np.hsplit(recurrent, gates)])
    return [kernel, recurrent, both.reshape(2, -1) if gates == 3 else both.reshape(2, -1).sum(0)]


def _convert_kernel(array: np.ndarray, name: str, shape: Sequence[Dim], kind: str, producer: Producer) -> np.ndarray:
    """A convolution's kernel in Keras 3's order, not mirrored."""
    what = "".join([kind, *name.split("/")[1:-1]]).lower().replace("_", "").replace("convolution", "conv")
    if "conv" not in what or not name.endswith("kernel") or array.ndim < 3:
        return array
    wanted = tuple(shape)
    if producer.is_keras1:
        array = _reorder_kernel_axes(array, wanted)
    spatial = tuple(range(len(wanted) - 2))
    if all(size == 1 for size in wanted[: len(spatial)]):
        return array
    if producer.backend is None and producer.is_keras1:
        producer.assumed_tensorflow.append(name)
    elif producer.backend == "theano":
        if any(word in what for word in MAYBE_MIRRORED_BY_THEANO) or not any(
            word in what for word in MIRRORED_BY_THEANO
        ):
            raise AmbiguousLayout("was written on Theano, whose kernels of this kind of layer may be mirrored")
        return np.flip(array, spatial)
    return array


def _reorder_kernel_axes(array: np.ndarray, expected_shape: tuple[Dim, ...]) -> np.ndarray:
    """A kernel of Keras 1, which has filters first where it was made for Theano. Raises Unsure."""
    if array.ndim == 4 and len(expected_shape) == 3:  # of one axis: one of two that is 1
        first = array[:, 0] if array.shape[1] == 1 else array
        other = array.transpose(2, 3, 1, 0)[:, 0] if array.shape[3] == 1 else array
        array = first if first.shape == expected_shape else other
    if array.ndim != len(expected_shape) or array.ndim < 4:
        return array
    turned = array.transpose(*range(2, array.ndim), 1, 0)
    if turned.shape != expected_shape:
        return array
    if array.shape == expected_shape:
        raise AmbiguousLayout("has as many filters as its kernel is wide, so that its axes cannot be told apart")
    raise AmbiguousLayout("has Theano's order of axes, and the file does not say whether its kernel is mirrored")
