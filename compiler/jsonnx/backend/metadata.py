"""The metadata of a compiled model."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from ..core.types import TensorType


def canonical_json(document: Any) -> str:
    """A JSON value as text, independent of layout and of the order of keys."""
    return json.dumps(document, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def spec_hash(document: Any) -> str:
    """The SHA-256 of a spec's canonical text, as hexadecimal digits."""
    return hashlib.sha256(canonical_json(document).encode()).hexdigest()


THRESHOLDS = "jsonnx.thresholds"
"""The key of the probabilities above which outputs predict a class: a JSON object, by output."""


def model_metadata(
    typed: Any,
    document: Any,
    parameters: int,
    onnxruntime_ops: Sequence[str] = (),
    input_types: Mapping[str, TensorType] = {},
    thresholds: Mapping[str, float] = {},
) -> dict[str, str]:
    """The metadata of a model: version, signature, class labels and thresholds by output, the spec and its hash, the
    number of parameters (before folding), and the operators that only onnxruntime implements.

    `document` is the spec with its keys in canonical order; `input_types` are those of the model's inputs, which may
    differ from the spec's.
    """
    network = typed.network
    metadata = {
        "jsonnx.version": package_version(),
        "jsonnx.parameters": str(parameters),
        "jsonnx.signature": json.dumps(
            {
                "inputs": _signature_types({**network.inference_inputs, **input_types}),
                "outputs": _signature_types(typed.outputs),
            }
        ),
        "jsonnx.spec": json.dumps(document, ensure_ascii=False, separators=(",", ":")),
        "jsonnx.spec_sha256": spec_hash(network.document),
    }
    if network.labels:
        metadata["jsonnx.labels"] = json.dumps({name: list(labels) for name, labels in network.labels.items()})
    if thresholds:
        metadata[THRESHOLDS] = json.dumps(dict(thresholds))
    if onnxruntime_ops:
        metadata["jsonnx.needs"] = f"onnxruntime, for its operators {', '.join(onnxruntime_ops)}"
    return metadata


def thresholds_from(metadata: Mapping[str, str]) -> dict[str, float]:
    """The thresholds in a model's metadata; none if it has no valid ones."""
    try:
        value: Any = json.loads(metadata.get(THRESHOLDS, "{}"))
    except (ValueError, RecursionError):
        return {}
    items = value.items() if isinstance(value, dict) else ()
    return {name: float(item) for name, item in items if isinstance(item, float) and 0 < item < 1}


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
