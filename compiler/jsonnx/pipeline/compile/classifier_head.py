"""A new classifier in place of the head that a model from elsewhere has."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from ...core.diagnostics import UsageError
from ...core.limits import MAX_NAME_CHARACTERS
from ...frontend.schema.phrases import short_repr
from ...frontend.schema.schema import NAME_SCHEMA

HEAD_HELP = "write --head NAME=CLASSES, such as --head kind=5"


def check_new_name(spec: Mapping[str, Any], name: str, help: str) -> None:
    """Raises UsageError for the name of a new layer or input that is no name, or that the spec has already. Names that
    repetitions and blocks make are not known here: duplicates of them are errors of the spec."""
    if (
        not isinstance(name, str)
        or len(name) > MAX_NAME_CHARACTERS
        or not re.fullmatch(str(NAME_SCHEMA["pattern"]), name)
    ):
        raise UsageError("bad-option", f"{short_repr(name)} is not a valid name", help)
    if name in {*spec.get("inputs", ()), *(entry.get("name") for entry in spec["layers"])}:
        raise UsageError("bad-option", f"the network has a layer or an input with the name {name!r} already", help)


def with_classifier(spec: dict[str, Any], head: Mapping[str, int], frozen: Sequence[str]) -> dict[str, Any]:
    """The spec with a Dense layer of this name and number of classes at its end, and a section `training` that trains
    all but the `frozen` layers. Raises UsageError for another head than a new name and two classes or more."""
    if len(head) != 1:
        raise UsageError("bad-option", f"a head has one name, got {len(head)}", HEAD_HELP)
    ((name, classes),) = head.items()
    check_new_name(spec, name, HEAD_HELP)
    if not isinstance(classes, int) or classes < 2:
        raise UsageError("bad-option", f"a head needs at least 2 classes, got {short_repr(classes)}", HEAD_HELP)
    dense = {"type": "Dense", "name": name, "units": classes, "activation": "softmax"}
    training = {
        "loss": "sparse_categorical_crossentropy",
        "optimizer": {"type": "adam", "learning_rate": 0.001},
        "metrics": ["accuracy"],
        "freeze": [*frozen],
    }
    return {**spec, "layers": [*spec["layers"], dense], "training": training}
