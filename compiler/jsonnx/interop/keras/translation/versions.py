"""Detects the version of Keras that wrote a file, and upgrades layers to the class and argument names of Keras 3.

All differences of Keras 2 are here, and the differences of Keras 1 in `keras1`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from ....core.components import Json
from . import keras1


class KerasVersion(NamedTuple):
    """The version of Keras that wrote a file."""

    major: int
    full_version: str | None

    def __str__(self) -> str:
        return f"Keras {self.full_version or self.major}"

    def is_before(self, *version: int) -> bool:
        """Whether it is an earlier version. Without `full_version`, the last of its major version is assumed."""
        parts = tuple(int(part) for part in re.findall(r"\d+", self.full_version or "")[:2])
        return parts < version if parts else self.major < version[0]


def detect_version(document: Mapping[str, Json], version: str | None = None) -> KerasVersion:
    """Detects the version of a model's JSON from the version that it or its file states, or else from its keys."""
    stated = document.get("keras_version", version)
    if isinstance(stated, str) and (major := re.match(r"[0-9]{1,4}", stated)):
        return KerasVersion(min(3, max(1, int(major[0]))), stated.removesuffix("-tf"))
    keys = set(_nested_keys(document.get("config"), 4))
    if keys & keras1.KERAS1_NAMES:
        return KerasVersion(1, None)
    is_keras3 = "build_config" in document or "compile_config" in document
    is_keras3 = is_keras3 or not keys.isdisjoint(("args", "DTypePolicy", "batch_shape"))
    return KerasVersion(3 if is_keras3 else 2, None)


def _nested_keys(value: Json, depth: int) -> Iterator[str]:
    """Yields the keys and class names in the first levels of a value."""
    if isinstance(value, dict) and depth:
        yield from value
        if isinstance(value.get("class_name"), str):
            yield value["class_name"]
        for key, item in value.items():
            yield from _nested_keys(item, depth - (key != "config"))
    elif isinstance(value, list):
        for item in value:
            yield from _nested_keys(item, depth)


OriginalNames = dict[str, str]
"""By renamed argument: its key in the file."""


class Keras3Layer(NamedTuple):
    """A layer with the class and argument names of Keras 3."""

    class_name: str
    config: dict[str, Json]
    original_names: OriginalNames


def upgrade_layer(kind: str, config: Mapping[str, Json], keras_version: KerasVersion) -> Keras3Layer:
    """Converts a layer to the class and argument names of Keras 3, and removes arguments without effect."""
    arguments: dict[str, Json] = dict(config)
    original_names: OriginalNames = {}
    if keras_version.major == 1:
        kind, arguments, original_names = keras1.upgrade_keras1_layer(kind, arguments)
    if keras_version.major < 3 and kind in ("GRU", "GRUCell", "CuDNNGRU"):
        arguments.setdefault("reset_after", kind == "CuDNNGRU")
    kind = _CLASS_RENAMES.get(kind, kind)
    for old, new in _ARGUMENT_RENAMES.get(kind, {}).items():
        if old in arguments and new not in arguments:
            arguments[new] = arguments.pop(old)
            original_names[new] = original_names.pop(old, old)
    for key, has_no_effect in _IGNORED_ARGUMENTS.items():
        if key in arguments and has_no_effect(arguments[key]):
            del arguments[key]
    if kind == "ThresholdedReLU":
        function = {"threshold": arguments.pop("theta", 1.0), "default_value": 0.0}
        kind, arguments["activation"] = "Activation", {"class_name": "threshold", "config": function}
        original_names["activation"] = "theta"
    if kind.startswith("SeparableConv"):  # Keras writes inherited arguments of a weight that the layer does not have
        inherited = [key for key in arguments if key.startswith("kernel_") and key != "kernel_size"]
        for key in inherited:
            del arguments[key]
    if arguments.get("groups") == 1 and kind != "GroupNormalization":
        del arguments["groups"]
    for key in ("axis", "shared_axes"):
        axes = arguments.get(key)
        if isinstance(axes, list) and len(axes) < 2:
            arguments[key] = axes[0] if axes else None
    for key in ("x_factor", "y_factor"):  # Keras writes the range that it computes from a number
        bounds = arguments.get(key)
        if isinstance(bounds, list) and len(bounds) == 2 and bounds[0] == -bounds[1]:
            arguments[key] = bounds[1]
    return Keras3Layer(kind, arguments, original_names)


_CLASS_RENAMES = {
    "CuDNNLSTM": "LSTM",
    "CuDNNGRU": "GRU",
    "LSTMV1": "LSTM",
    "LSTMV2": "LSTM",
    "GRUV1": "GRU",
    "GRUV2": "GRU",
    "UnifiedLSTM": "LSTM",
    "UnifiedGRU": "GRU",
    "BatchNormalizationV1": "BatchNormalization",
    "BatchNormalizationV2": "BatchNormalization",
    "SyncBatchNormalization": "BatchNormalization",
    "Convolution1D": "Conv1D",
    "Convolution2D": "Conv2D",
    "Convolution3D": "Conv3D",
    "SeparableConvolution2D": "SeparableConv2D",
    "DepthwiseConvolution2D": "DepthwiseConv2D",
}
"""Class names of earlier versions, with the names in Keras 3."""

_ARGUMENT_RENAMES: dict[str, Mapping[str, str]] = {
    "LeakyReLU": {"alpha": "negative_slope"},
}
"""Argument names of earlier versions, with the names in Keras 3."""


def _one_of(*values: Json) -> Callable[[Any], bool]:
    return lambda value: value is None or any(value is item or value == item for item in values)


def _any_value(value: Json) -> bool:
    return True


_IGNORED_ARGUMENTS: dict[str, Callable[[Any], bool]] = {
    "name": _any_value,
    "batch_input_shape": _any_value,
    "batch_shape": _any_value,
    "input_shape": _any_value,
    "input_dtype": _any_value,
    "input_length": _any_value,
    "autocast": _any_value,
    "implementation": _any_value,  # changes the algorithm, not the result
    "use_cudnn": _any_value,
    "shared_object_id": _any_value,
    "build_config": _any_value,
    "flash_attention": _any_value,
    **dict.fromkeys(("query_shape", "key_shape", "value_shape"), _any_value),
    "vocabulary_size": _any_value,
    "softmax_robust_masking": _one_of(False),
    "time_major": _one_of(False),
    "ragged": _one_of(False),
    "sparse": _one_of(False),
    "stateful": _one_of(False),
    "renorm_clipping": _one_of({}),
    "virtual_batch_size": _one_of(),
    "adjustment": _one_of(),
    "fused": _any_value,
    "synchronized": _one_of(False),
    "experimental_autocast": _any_value,
    "quantization_config": _one_of(),
    "lora_rank": _one_of(),
    "lora_alpha": _one_of(),
}
"""Arguments that have no effect: whatever their value, or with some values only."""
