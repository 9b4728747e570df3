"""The generations of Keras: which one wrote a file, and what it calls differently.

Comes in: a layer's class and arguments as written. Goes out: the class and the arguments as Keras 3 has them, and where
each was written. What means something else in an older generation is said here, and nowhere else.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from ...core.components import Json
from . import keras1


class KerasVersion(NamedTuple):
    """Who wrote a file."""

    major: int
    full_version: str | None

    def __str__(self) -> str:
        return f"Keras {self.full_version or self.major}"

    def is_before(self, *version: int) -> bool:
        """Whether it was written before a version; a file that does not say is of the last of its generation."""
        known = tuple(int(part) for part in re.findall(r"\d+", self.full_version or "")[:2])
        return known < version if known else self.major < version[0]


def detect_version(document: Mapping[str, Json], version: str | None = None) -> KerasVersion:
    """The generation of a model's JSON: by the version that it or its file names, or else by how it is written."""
    written = document.get("keras_version", version)
    if isinstance(written, str) and re.match(r"\d", written):
        return KerasVersion(min(3, max(1, int(written.partition(".")[0][:4]))), written.removesuffix("-tf"))
    keys = set(_nested_keys(document.get("config"), 4))
    if keys & keras1.KERAS1_NAMES:
        return KerasVersion(1, None)
    is_new = "build_config" in document or "compile_config" in document or "args" in keys or "DTypePolicy" in keys
    return KerasVersion(3 if is_new or "batch_shape" in keys else 2, None)


def _nested_keys(value: Json, depth: int) -> Iterator[str]:
    """The keys and classes in the first levels of a value."""
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
"""By argument: the key under which it was written, where that is another."""


class Keras3Layer(NamedTuple):
    """A layer's class and arguments in Keras 3's words."""

    class_name: str
    config: dict[str, Json]
    original_names: OriginalNames


def upgrade_layer(kind: str, config: Mapping[str, Json], keras_version: KerasVersion) -> Keras3Layer:
    """A layer as Keras 3 would write it."""
    given: dict[str, Json] = dict(config)
    places: OriginalNames = {}
    if keras_version.major == 1:
        kind, given, places = keras1.upgrade_keras1_layer(kind, given)
    if keras_version.major < 3 and kind in ("GRU", "GRUCell", "CuDNNGRU"):
        given.setdefault("reset_after", kind == "CuDNNGRU")
    kind = _CLASS_RENAMES.get(kind, kind)
    for old, new in _ARGUMENT_RENAMES.get(kind, {}).items():
        if old in given and new not in given:
            given[new] = given.pop(old)
            places[new] = places.pop(old, old)
    for key, meant in _IGNORED_ARGUMENTS.items():
        if key in given and meant(given[key]):
            del given[key]
    if kind == "ThresholdedReLU":
        function = {"threshold": given.pop("theta", 1.0), "default_value": 0.0}
        kind, given["activation"] = "Activation", {"class_name": "threshold", "config": function}
        places["activation"] = "theta"
    if kind.startswith("SeparableConv"):  # which inherited them, and has no such weight
        given = {key: value for key, value in given.items() if not key.startswith("kernel_") or key == "kernel_size"}
    if given.get("groups") == 1 and kind != "GroupNormalization":
        del given["groups"]
    for key in ("axis", "shared_axes"):
        axes = given.get(key)
        if isinstance(axes, list) and len(axes) < 2:
            given[key] = axes[0] if axes else None
    for key in ("x_factor", "y_factor"):  # which Keras writes as it keeps them
        bounds = given.get(key)
        if isinstance(bounds, list) and len(bounds) == 2 and bounds[0] == -bounds[1]:
            given[key] = bounds[1]
    return Keras3Layer(kind, given, places)


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
"""Classes by the name that they have now."""

_ARGUMENT_RENAMES: dict[str, Mapping[str, str]] = {
    "LeakyReLU": {"alpha": "negative_slope"},
}
"""Arguments by the name that they have now."""


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
    "implementation": _any_value,  # how it is computed, not what
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
"""Arguments that change nothing: whatever they are, or with these values."""
