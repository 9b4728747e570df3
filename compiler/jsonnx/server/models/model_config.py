"""The configuration of a model in Triton's form, for clients that ask for it before they send requests.

Sources: Triton's docs/protocol/extension_model_configuration.md, model_config.proto.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...core.types import TensorType
from ..protocol.datatypes import TRITON_TYPES
from .served_model import ServedModel


def model_config(served: ServedModel, platform: str, max_batch_rows: int) -> dict[str, Any]:
    """The configuration. Of a model that is batched, the dimensions of tensors are without the batch axis.

    A model with scalars as rows counts as one that is not: tensors without dimensions are not allowed.
    """
    inputs = {**served.inputs, **served.session.random_inputs}
    ranks = [type.rank for type in (*inputs.values(), *served.outputs.values())]
    is_batched = served.batching.is_allowed and min(ranks) > 1
    return {
        "name": served.name,
        "platform": platform,
        "max_batch_size": max_batch_rows if is_batched else 0,
        "input": _tensors(inputs, is_batched),
        "output": _tensors(served.outputs, is_batched),
    }


def _tensors(types: Mapping[str, TensorType], is_batched: bool) -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "data_type": TRITON_TYPES.get(type.dtype, type.dtype),
            "dims": [size if isinstance(size, int) else -1 for size in type.shape[is_batched:]],
        }
        for name, type in types.items()
    ]
