"""The labels file beside a model, for runtimes that do not show a model's metadata."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from ...core.numpy_types import numpy_dtype
from ...core.signature.thresholds import Threshold
from ..check.check import CheckedSpec
from .output_classes import ClassKind, output_classes


def labels_json(checked: CheckedSpec, thresholds: Mapping[str, Threshold]) -> bytes | None:
    """The content of the labels file; None if no output has labels or a threshold."""
    document = labels_document(checked, thresholds)
    return json.dumps(document, ensure_ascii=False, indent=2).encode() + b"\n" if document else None


def labels_document(checked: CheckedSpec, thresholds: Mapping[str, Threshold]) -> dict[str, Any]:
    """By output: `labels`, the `kind` of its classes and, where classes are chosen by one, the `threshold` as a number
    of the output, or a list with that of each label. An output that is not [batch, units] has its labels alone, along
    its last axis."""
    typed = checked.require()
    classes = output_classes(checked, model_thresholds=thresholds)
    document: dict[str, Any] = {}
    for name, type in typed.inference_outputs.items():
        if name in classes:
            item = classes[name]
            document[name] = {"kind": item.kind.value, "labels": list(item.labels)}
            if item.kind is not ClassKind.ONE_OF_MANY:
                # Rounded as the comparison in the output's type is, so that it decides alike in doubles.
                document[name]["threshold"] = np.asarray(item.cut, numpy_dtype(type.dtype)).astype(float).tolist()
        elif name in typed.network.labels:
            document[name] = {"labels": list(typed.network.labels[name])}
    return document
