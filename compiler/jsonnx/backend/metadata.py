"""What a deployed model says of itself."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from ..core.types import TensorType


def canonical_json(document: Any) -> str:
    """A JSON value as text that does not depend on layout or on the order of keys."""
    return json.dumps(document, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def spec_hash(document: Any) -> str:
    """The SHA-256 of a spec's canonical text, in hex."""
    return hashlib.sha256(canonical_json(document).encode()).hexdigest()


def model_metadata(typed: Any, document: Any, parameters: int, onnxruntime_ops: Sequence[str] = ()) -> dict[str, str]:
    """The metadata of a model: version, the spec (`document`, its keys in the order of a formatted one) and its hash,
    signature, class labels by output, how many numbers its weights are (folding makes others of them), and what only
    onnxruntime can run."""
    network = typed.network
    told = {
        "jsonnx.version": package_version(),
        "jsonnx.parameters": str(parameters),
        "jsonnx.signature": json.dumps(
            {"inputs": _signature_types(typed.inputs), "outputs": _signature_types(typed.outputs)}
        ),
        "jsonnx.spec": json.dumps(document, ensure_ascii=False, separators=(",", ":")),
        "jsonnx.spec_sha256": spec_hash(network.document),
    }
    if network.labels:
        told["jsonnx.labels"] = json.dumps({name: list(labels) for name, labels in network.labels.items()})
    if onnxruntime_ops:
        told["jsonnx.needs"] = f"onnxruntime, for its operators {', '.join(onnxruntime_ops)}"
    return told


def _signature_types(types: Mapping[str, TensorType]) -> dict[str, Any]:
    """Element type and shape by name, in the order of the model; sizes that are not known have names."""
    return {
        name: {"dtype": type.dtype, "shape": [size if isinstance(size, int) else str(size) for size in type.shape]}
        for name, type in types.items()
    }


@cache
def package_version() -> str:
    try:
        return version("jsonnx")
    except PackageNotFoundError:  # run from a checkout that is not installed
        return "0+unknown"
