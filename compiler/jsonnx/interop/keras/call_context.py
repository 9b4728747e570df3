"""What functional models and operations need of the walk over a Keras model (`model_walk.ModelWalk`)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from ...core.components import Json
from ...core.diagnostics import JsonPath
from .call_arguments import CallArguments
from .entries import FlatModel, NamedTensor
from .layer_entries import LayerTranslator
from .layer_names import LayerNames
from .model_config import LayerConfig, ModelConfig
from .report import KerasReport

Results = Any
"""A value, a list of values where a call has several results, or a structure of them; None where something is wrong."""


class CallContext(Protocol):
    """Emits the calls of one document; see `model_walk.ModelWalk`."""

    translator: LayerTranslator
    names: LayerNames
    report: KerasReport
    flat_model: FlatModel
    first_call_options: dict[JsonPath, Mapping[str, Json]]

    def call_model(self, model: ModelConfig, inputs: list[NamedTensor | None]) -> Results: ...

    def call_layer(
        self, layer: LayerConfig, call: CallArguments, masks: Mapping[str, Any], path: JsonPath
    ) -> Results: ...

    def check_training_argument(self, layer: LayerConfig, arguments: Mapping[str, Any], path: JsonPath) -> bool: ...

    def call_operation(
        self, layer: LayerConfig, args: tuple[Any, ...], kwargs: Mapping[str, Any], path: JsonPath
    ) -> Results: ...
