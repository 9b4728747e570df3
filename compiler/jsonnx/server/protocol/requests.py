"""Inference requests and their answers, as every transport has them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

Parameters = Mapping[str, Any]
"""Values of booleans, integers, numbers and strings by name, of a request or of a tensor."""


@dataclass(frozen=True)
class InferInput:
    """An input tensor. The strings of a BYTES tensor are an array of objects."""

    name: str
    datatype: str
    array: np.ndarray
    parameters: Parameters = field(default_factory=dict)


@dataclass(frozen=True)
class RequestedOutput:
    """An output tensor that the client wants."""

    name: str
    parameters: Parameters = field(default_factory=dict)


@dataclass(frozen=True)
class InferRequest:
    """An inference request."""

    model_name: str
    inputs: Sequence[InferInput]
    model_version: str | None = None
    id: str | None = None
    outputs: Sequence[RequestedOutput] | None = None
    """None: all outputs, in the order of the model."""
    parameters: Parameters = field(default_factory=dict)


@dataclass(frozen=True)
class InferOutput:
    """An output tensor. The strings of a BYTES tensor are an array of objects."""

    name: str
    datatype: str
    array: np.ndarray
    parameters: Parameters = field(default_factory=dict)


@dataclass(frozen=True)
class InferResponse:
    """The answer to an inference request."""

    model_name: str
    model_version: str
    outputs: Sequence[InferOutput]
    id: str | None = None
    parameters: Parameters = field(default_factory=dict)
