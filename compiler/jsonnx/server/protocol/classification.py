"""The extension `classification`: the most probable classes of each row, as strings `VALUE:INDEX:LABEL`.

Source: Triton's docs/protocol/extension_classification.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .datatypes import BYTES
from .errors import bad_request
from .requests import InferOutput

PARAMETER = "classification"
"""The parameter of a requested output with the number of classes."""


def classified(name: str, array: np.ndarray, count: Any, labels: Sequence[str]) -> InferOutput:
    """The `count` largest values of each row of an output [rows, classes], in falling order. Raises RequestError."""
    if type(count) is not int or count < 1:
        raise bad_request(
            f"the parameter {PARAMETER!r} of the output {name!r} is {count!r}", "give a number of classes"
        )
    if array.dtype.kind not in "fiu" or array.ndim < 1:
        raise bad_request(f"the output {name!r} has no classes", "leave out its parameter 'classification'")
    rows = array.reshape(len(array), -1) if array.ndim > 1 else array.reshape(1, -1)
    indices = np.argsort(-rows.astype(np.float64), axis=1, kind="stable")[:, :count]
    texts = np.empty(indices.shape, object)
    for row, own in enumerate(indices):
        texts[row] = [_text(rows[row, index], index, labels) for index in own]
    return InferOutput(name, BYTES, texts if array.ndim > 1 else texts[0])


def _text(value: Any, index: int, labels: Sequence[str]) -> str:
    text = f"{float(value):f}:{index}"
    return f"{text}:{labels[index]}" if index < len(labels) else text
