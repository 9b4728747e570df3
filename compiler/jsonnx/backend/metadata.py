"""The metadata of a compiled model."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

from ..core.signature.thresholds import Threshold
from ..core.types import TensorType

if TYPE_CHECKING:
    import numpy as np


def canonical_json(document: Any) -> str:
    """A JSON value as text, independent of layout and of the order of keys."""
    return json.dumps(document, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def spec_hash(document: Any) -> str:
    """The SHA-256 of a spec's canonical text, as hexadecimal digits."""
    return hashlib.sha256(canonical_json(document).encode()).hexdigest()


def without_trackers(document: Any) -> Any:
    """A spec without its trackers, which change nothing in a model."""
    training = document.get("training")
    if not isinstance(training, dict) or "trackers" not in training:
        return document
    return document | {"training": {key: value for key, value in training.items() if key != "trackers"}}


THRESHOLDS = "jsonnx.thresholds"
"""The key of the decision thresholds of outputs: a JSON object by output, of numbers and of lists by label."""


TARGET_STATISTICS = "jsonnx.target_statistics"
"""The key of what is learned from the targets of outputs: a JSON object by output, with some of the keys `lambda` (of
the Yeo-Johnson transform), `mean` and `variance`."""
TARGET_KEYS = ("lambda", "mean", "variance")

NEEDS = "jsonnx.needs"
"""The key of the operators that only onnxruntime implements."""

QUANTIZATION = "jsonnx.quantization"
"""The key of the variant of a quantized model: a JSON object, as in the section of a spec."""

MAX_TARGET_FEATURES = 10_000
"""The largest number of features of a target whose statistics are written to the metadata."""


def model_metadata(
    typed: Any,
    document: Any,
    parameters: int,
    onnxruntime_ops: Sequence[str] = (),
    input_types: Mapping[str, TensorType] = {},
    thresholds: Mapping[str, Threshold] = {},
    target_statistics: Mapping[str, Mapping[str, np.ndarray]] = {},
) -> dict[str, str]:
    """The metadata of a model: version, signature, class labels, thresholds and statistics of targets by
    output, the spec and its hash, the number of parameters (before folding), and the operators that only onnxruntime
    implements.

    `document` is the spec with its keys in canonical order; `input_types` are the types of the model's inputs, which
    may differ from the spec's.
    """
    network = typed.network
    metadata = {
        "jsonnx.version": package_version(),
        "jsonnx.parameters": str(parameters),
        "jsonnx.signature": json.dumps(
            {
                "inputs": _signature_types({**network.inference_inputs, **input_types}),
                "outputs": _signature_types(typed.inference_outputs),
            }
        ),
        "jsonnx.spec": json.dumps(without_trackers(document), ensure_ascii=False, separators=(",", ":")),
        "jsonnx.spec_sha256": spec_hash(without_trackers(network.document)),
    }
    labels = {name: list(labels) for name, labels in network.labels.items() if name in network.inference_outputs}
    if labels:
        metadata["jsonnx.labels"] = json.dumps(labels)
    if thresholds:
        metadata[THRESHOLDS] = json.dumps(dict(thresholds))
    statistics = {
        name: {key: array.tolist() for key, array in own.items()}
        for name, own in target_statistics.items()
        if all(array.size <= MAX_TARGET_FEATURES for array in own.values())
    }
    if statistics:
        metadata[TARGET_STATISTICS] = json.dumps(statistics)
    return metadata | needs_metadata(onnxruntime_ops)


def needs_metadata(onnxruntime_ops: Sequence[str]) -> dict[str, str]:
    """The metadata about operators that only onnxruntime implements; none without such operators."""
    return {NEEDS: f"onnxruntime, for its operators {', '.join(onnxruntime_ops)}"} if onnxruntime_ops else {}


def precision_from(metadata: Mapping[str, str]) -> str | None:
    """The precision of a quantized model in its metadata; None if they name none."""
    try:
        value: Any = json.loads(metadata.get(QUANTIZATION, "null"))
    except (ValueError, RecursionError):
        return None
    precision = value.get("precision") if isinstance(value, dict) else None
    return precision if isinstance(precision, str) else None


def thresholds_from(metadata: Mapping[str, str]) -> dict[str, Threshold]:
    """The thresholds in a model's metadata; none if it has no valid ones."""
    try:
        value: Any = json.loads(metadata.get(THRESHOLDS, "{}"))
    except (ValueError, RecursionError):
        return {}
    items = value.items() if isinstance(value, dict) else ()
    return {
        name: tuple(item) if isinstance(item, list) else item
        for name, item in items
        if all(isinstance(number, float) and 0 < number < 1 for number in (item if isinstance(item, list) else [item]))
    }


def target_statistics_from(metadata: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """The statistics of targets in a model's metadata; none if it has no valid ones."""
    try:
        value: Any = json.loads(metadata.get(TARGET_STATISTICS, "{}"))
    except (ValueError, RecursionError):
        return {}
    items = value.items() if isinstance(value, dict) else ()
    return {
        name: {key: own[key] for key in TARGET_KEYS if key in own}
        for name, own in items
        if isinstance(own, dict) and all(_is_numeric(own[key]) for key in TARGET_KEYS if key in own)
    }


def _is_numeric(value: Any) -> bool:
    """Whether a JSON value is a number or a list of numbers."""
    numbers = value if isinstance(value, list) else [value]
    return all(isinstance(number, (int, float)) and not isinstance(number, bool) for number in numbers)


def _signature_types(types: Mapping[str, TensorType]) -> dict[str, Any]:
    """Element type and shape by name, in the order of the model; symbolic sizes are strings."""
    return {
        name: {"dtype": type.dtype, "shape": [size if isinstance(size, int) else str(size) for size in type.shape]}
        for name, type in types.items()
    }


@cache
def package_version() -> str:
    try:
        return version("jsonnx")
    except PackageNotFoundError:  # a checkout that is not installed
        return "0+unknown"
