"""What functional models and operations need of the walk over a Keras model (`model_walk.Graph`)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from ...core.components import Json
from ...core.diagnostics import JsonPath
from .call_arguments import Bound
from .entries import Flat, Value
from .layer_entries import Layers
from .layer_names import Names
from .model_config import Model, Written
from .report import KerasReport

Results = Any
"""A value, a list of values where a call has several results, or a structure of them; None where something is wrong."""


class CallContext(Protocol):
    """Emits the calls of one document; see `model_walk.Graph`."""

    layers: Layers
    names: Names
    report: KerasReport
    flat: Flat
    options: dict[JsonPath, Mapping[str, Json]]

    def model(self, model: Model, inputs: list[Value | None]) -> Results: ...

    def called(self, layer: Written, call: Bound, masks: Mapping[str, Any], path: JsonPath) -> Results: ...

    def check_mode(self, layer: Written, given: Mapping[str, Any], path: JsonPath) -> bool: ...

    def operation(
        self, layer: Written, args: tuple[Any, ...], kwargs: Mapping[str, Any], path: JsonPath
    ) -> Results: ...
