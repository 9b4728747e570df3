"""A checked network as rules read it: typed calls, their neighbours, and what the user's file says."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from ..analysis.output_layer import OutputLayer, output_layer
from ..analysis.shape_inference import TypedNetwork
from ..core.components import Json
from ..core.diagnostics import JsonPath, SourceMap, identity_source_map
from ..core.types import TensorType
from ..frontend.network import Call
from ..frontend.networks.silences import Silences
from ..sections.training_section import Training
from ..training.metrics.objective import Objective
from .layer_kinds import PASSTHROUGH_LAYERS, is_one_of

PARAMETERS_KEY = "parameters"

ABSENT = object()
"""The value of a key that the file does not contain, or contains as an expression."""


@dataclass(frozen=True)
class DataFacts:
    """The facts about the data that rules may use."""

    sample_counts: Mapping[str, int] = field(default_factory=dict)
    """Samples by part of the data, such as `train`."""
    class_counts: Mapping[str, Mapping[int, int]] = field(default_factory=dict)
    """Training samples by class index, by output."""
    input_ranges: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    """The least and the greatest number of some training samples, by input."""
    target_ranges: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    """The same, by output."""
    labels: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """The names of the classes in the training data, by output."""


NO_FACTS = DataFacts()


@dataclass(frozen=True, eq=False)
class LintedNetwork:
    """A valid network, with its objective and its data as far as they are known."""

    typed: TypedNetwork
    objective: Objective | None = None
    document: Json = None
    """The JSON value of the user's file."""
    source_map: SourceMap = identity_source_map
    """Returns the path in the user's file for a path in the flat document."""
    data: DataFacts = NO_FACTS
    has_lock: bool = False
    """Whether a lock file beside the spec asks for the same weights again."""
    codes: frozenset[str] = frozenset()
    """The rules and warnings that are selected, and can be found with what is known."""
    silences: Silences | None = None
    """The findings that the spec silences."""

    @property
    def training(self) -> Training | None:
        return self.typed.network.training

    @cached_property
    def calls(self) -> list[Call]:
        """The calls of layers whose types are known, in topological order."""
        types = self.typed.types
        known = [call for call in self.typed.network.calls if call.layer is not None and call.name in types]
        return [call for call in known if all(source in types for source in call.sources)]

    @cached_property
    def call_by_result(self) -> dict[str, Call]:
        return {result: call for call in self.calls for result in call.results}

    @cached_property
    def consumers_by_value(self) -> dict[str, list[Call]]:
        consumers: dict[str, list[Call]] = {}
        for call in self.calls:
            for source in dict.fromkeys(call.sources):
                consumers.setdefault(source, []).append(call)
        return consumers

    @cached_property
    def outputs(self) -> dict[str, OutputLayer]:
        """How the outputs are computed, of those that common layers compute."""
        layers = {name: output_layer(self.typed, name) for name in self.typed.network.outputs}
        return {name: layer for name, layer in layers.items() if layer is not None}

    @cached_property
    def call_count_by_owner(self) -> dict[str, int]:
        counts: dict[str, int] = {}
        for call in self.calls:
            counts[call.owner] = counts.get(call.owner, 0) + 1
        return counts

    def of_kind(self, *kinds: str) -> Iterator[tuple[Call, Any]]:
        """The first calls of layers of some types or families, with the layers."""
        for call in self.calls:
            if is_one_of(call.layer, kinds) and call.name == call.owner:
                yield call, call.layer

    def is_output(self, call: Call) -> bool:
        return any(result in self.typed.network.outputs for result in call.results)

    def input_type(self, call: Call) -> TensorType:
        """The type of a call's first input."""
        return self.typed.types[call.sources[0]]

    def output_type(self, call: Call) -> TensorType:
        return self.typed.types[call.name]

    def producer(self, call: Call, *, skip: tuple[str, ...] = PASSTHROUGH_LAYERS) -> Call | None:
        """The call that computes a call's only input, beyond layers that keep the values; None for an input."""
        while len(call.sources) == 1:
            source = self.call_by_result.get(call.sources[0])
            if source is None or source.layer is None:
                return None
            if not is_one_of(source.layer, skip):
                return source
            call = source
        return None

    def sole_consumer(self, call: Call) -> Call | None:
        """The only call that takes a call's result; None if there are several, or if it is an output."""
        consumers = self.consumers_by_value.get(call.name, [])
        return consumers[0] if len(consumers) == 1 and not self.is_output(call) and len(call.results) == 1 else None

    def next_layer(self, call: Call, *, skip: tuple[str, ...] = PASSTHROUGH_LAYERS) -> Call | None:
        """The only call behind a call, beyond layers that keep the values; None if the way branches or ends."""
        consumer = self.sole_consumer(call)
        while consumer is not None and is_one_of(consumer.layer, skip):
            consumer = self.sole_consumer(consumer)
        return consumer

    def is_shared(self, call: Call) -> bool:
        """Whether the layer of a call is called more than once."""
        return self.call_count_by_owner[call.owner] > 1

    def written(self, path: JsonPath) -> Json:
        """The value that the user's file has at a path of the flat document; ABSENT if it is missing or computed."""
        value: Any = self.document
        source_path = self.source_map(path, False).path
        is_parameter = PARAMETERS_KEY in (source_path[:1] + source_path[2:3])
        if is_parameter or (source_path[-1:] != path[-1:] and isinstance(path[-1], str)):
            return ABSENT  # the value of an expression, which leads to the parameter or to the use of a block
        for step in source_path:
            try:
                value = value[step]
            except (KeyError, IndexError, TypeError):
                return ABSENT
        return ABSENT if isinstance(value, str) and "${" in value else value

    def is_written(self, path: JsonPath) -> bool:
        return self.written(path) is not ABSENT
