"""A new classifier in place of the head that a model from elsewhere has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ...core.diagnostics import UsageError

HEAD_HELP = "write --head NAME=CLASSES, such as --head kind=5"


def with_classifier(spec: dict[str, Any], head: Mapping[str, int], frozen: Sequence[str]) -> dict[str, Any]:
    """The spec with a Dense layer of this name and number of classes at its end, and a section `training` that trains
    all but the `frozen` layers. Raises UsageError for fewer than two classes."""
    ((name, classes),) = head.items()
    if classes < 2:
        raise UsageError("bad-option", f"a head needs at least 2 classes, got {classes}", HEAD_HELP)
    dense = {"type": "Dense", "name": name, "units": classes, "activation": "softmax"}
    training = {
        "loss": "sparse_categorical_crossentropy",
        "optimizer": {"type": "adam", "learning_rate": 0.001},
        "metrics": ["accuracy"],
        "freeze": [*frozen],
    }
    return {**spec, "layers": [*spec["layers"], dense], "training": training}
