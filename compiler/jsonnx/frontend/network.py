"""A network as written: layer calls, connected by names."""

from __future__ import annotations

from collections.abc import Collection, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

from ..core.components import Json, components_of
from ..core.diagnostics import JsonPath
from ..core.files.tokenizer_file import Tokenization
from ..core.types import ShapeError, TensorType, rank_help
from ..layers import Layer
from ..sections.lint_section import IgnoredFinding
from ..sections.quantization_section import DEFAULT_VARIANT, QuantizationVariant
from ..sections.training_section import Training
from ..training.losses.regression_losses import Quantile
from ..training.target_form import TargetForm
from .weight_patterns import AdaptedWeights, FrozenWeights


class BlockLayer(NamedTuple):
    """The origin of a layer in a block: its entry, how many repetitions of it follow, and the outermost use."""

    entry: JsonPath
    later_repetitions: int
    use: str


BLOCK_USES = "block_uses"
"""Begins the paths of uses of blocks, which a flat document does not contain."""


class InputShape(NamedTuple):
    """The shape that an input of a block must have, without the batch axis."""

    input: str
    sizes: tuple[int | None, ...]
    """The sizes, None for any."""
    parameters: tuple[str | None, ...] = ()
    """For each size, the parameter of the block that gives it, if it is not computed."""

    def problem(self, type: TensorType) -> tuple[str, str | None] | None:
        """The error in the type of a value, and help; None for a valid type."""
        subject, shape = f"its input {self.input!r}", type.shape[1:]
        if len(shape) != len(self.sizes):
            rank = len(self.sizes) + 1
            return f"needs rank {rank} (with the batch) for {subject}, got {type}", rank_help(type, rank)
        for axis, (actual, size) in enumerate(zip(shape, self.sizes, strict=True), -len(shape)):
            if size is not None and actual != size:
                name = self.parameters[axis] if self.parameters and isinstance(actual, int) else None
                help = f'write "{name}": {actual}, the size of the input' if name else None
                return f"needs size {size} on axis {axis} of {subject}, got {actual} of {type}", help
        return None


class BlockInput(NamedTuple):
    """An input of a use of a block, with the shape that it must have."""

    shape: InputShape
    value: str
    """The name of the value in the network."""
    use: tuple[str, str]
    """The name of the use and the name of the block."""
    path: JsonPath


class LeftOutEntry(NamedTuple):
    """An entry of several sources that is left out, and stands for the first of them."""

    name: str
    first_source: str
    path: JsonPath


class RepeatedUse(NamedTuple):
    """An entry that repeats a block."""

    names: list[str]
    """The names of its copies, in order."""
    path: JsonPath


@dataclass(frozen=True)
class Call:
    """One call of a layer. `owner` is the name of the call whose weights it uses: its own, unless its entry has `use`.

    `layer` is None if its attributes are invalid; then its results have no types.
    """

    name: str
    layer: Layer | None
    sources: tuple[str, ...]
    path: JsonPath
    owner: str
    block_uses: tuple[tuple[str, str], ...] = ()
    """The enclosing uses of blocks, from the outermost: the name of the use and the name of the block."""

    @cached_property
    def results(self) -> tuple[str, ...]:
        """The names of its values: the call's own name, and `name.output` for every further output."""
        try:
            further_outputs = self.layer.output_names() if self.layer else ()
        except ShapeError:  # an invalid inner layer, which `infer` reports
            further_outputs = ()
        return (self.name, *(f"{self.name}.{output}" for output in further_outputs))

    def sources_of(self, values: Collection[str]) -> tuple[str, ...]:
        """The sources on which those of its results depend that are among these values."""
        try:
            indices = [index for index, name in enumerate(self.results) if name in values]
            read = self.layer.inputs_of_results(indices) if self.layer else None
        except ShapeError:  # which `infer` reports
            return self.sources
        return self.sources if read is None else tuple(self.sources[i] for i in read if i < len(self.sources))

    @property
    def may_lack_sources(self) -> bool:
        """Whether the layer may have no input."""
        return self.layer is not None and not self.layer.arity[0]

    @property
    def is_connected(self) -> bool:
        """Whether the call has the inputs that its layer needs, as far as they are known."""
        return bool(self.sources) or self.may_lack_sources

    @property
    def takes_mask(self) -> bool:
        """Whether Keras passes the mask of its input to the layer."""
        return self.layer is not None and self.layer.mask_argument and len(self.sources) == 1


def has_adapter(call: Call) -> bool:
    """Whether the arguments of a layer, or of one inside it, ask for a low-rank adapter."""
    return any(getattr(part, "lora_rank", None) is not None for part in components_of(call.layer))


@dataclass(frozen=True)
class Network:
    """A network; its calls are in topological order."""

    name: str
    inputs: Mapping[str, TensorType]
    calls: tuple[Call, ...]
    outputs: tuple[str, ...]
    """All outputs: the ones of the compiled model, then the ones that only training and evaluation have."""
    tokenizations: tuple[Tokenization, ...] = ()
    """The calls of Tokenizer layers, whose results are among the inputs."""
    text_inputs: Mapping[str, TensorType] = field(default_factory=dict)
    """The inputs of the spec that Tokenizers read, and nothing else: the network has their results in their place."""
    labels: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    training: Training | None = None
    learning_rate_factors: Mapping[str, float] = field(default_factory=dict)
    """Factors on the learning rate, by layer; layers without a factor are missing."""
    frozen_weights: FrozenWeights | None = None
    """The single weights that are not trained; None if patterns for layers alone tell."""
    adapted_weights: AdaptedWeights | None = None
    """The weights that the section `lora` adapts; None without such a section."""
    paths: Mapping[str, JsonPath] = field(default_factory=dict)
    """The path of the definition of each value."""
    descriptions: Mapping[str, str] = field(default_factory=dict)
    """Descriptions of inputs, layers and uses of blocks, by name."""
    block_outputs: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """For each use of a block, by its name: the names of its outputs, by the names of the values in the network."""
    block_inputs: Mapping[int, Sequence[BlockInput]] = field(default_factory=dict)
    """The inputs of uses of blocks whose shape is to be checked, by the index of the layer that takes them."""
    repeated_uses: Sequence[RepeatedUse] = ()
    dropped: tuple[Call, ...] = ()
    """The calls of layers in blocks that are left out, since nothing uses their results; in topological order."""
    document: Json = None
    """The spec, with all overrides applied."""
    flat_document: Json = None
    """The spec after expansion: without blocks, repetitions and expressions."""
    variants: Mapping[str, QuantizationVariant] = field(default_factory=dict)
    """The quantized variants of the model, by name."""
    ignored_findings: Sequence[IgnoredFinding] = ()
    """The rules and warnings that the spec silences."""
    not_checked: str | None = None
    """The checks that other errors prevented, such as whether a layer is used."""

    @cached_property
    def training_variant(self) -> QuantizationVariant | None:
        """The quantized variant that training computes; None if it computes in floating point."""
        name = None if self.training is None else self.training.quantize
        return None if name is None else self.variants.get(name, DEFAULT_VARIANT)

    @cached_property
    def added_losses(self) -> dict[str, Call]:
        """The first call of each layer that adds a reported loss, by the name of the layer."""
        calls = [call for call in self.calls if call.layer is not None and call.layer.adds_loss]
        return {call.owner: call for call in reversed(calls)}

    @cached_property
    def random_calls(self) -> tuple[Call, ...]:
        """The calls whose results are inputs of the compiled model, with random numbers."""
        return tuple(call for call in self.calls if call.layer is not None and call.layer.adds_input)

    @cached_property
    def target_forms(self) -> dict[str, TargetForm]:
        """The outputs whose model's values differ from the network's own ones, because their targets are transformed or
        normalized, or because they are quantiles."""
        training = self.training
        if training is None or training.loss is None:
            return {}
        forms = {name: training.target_form(name) for name in self.outputs}
        return {name: form for name, form in forms.items() if form is not None}

    @cached_property
    def quantiles(self) -> dict[str, tuple[float, ...]]:
        """The quantiles on the last axis of outputs."""
        losses = {} if self.training is None else {name: self.training.loss_of(name) for name in self.outputs}
        return {name: loss.quantiles for name, loss in losses.items() if isinstance(loss, Quantile)}

    @cached_property
    def auxiliary_outputs(self) -> tuple[str, ...]:
        """The outputs that the compiled model does not have."""
        names = self.training.auxiliary_outputs if self.training is not None else ()
        return tuple(name for name in self.outputs if name in names)

    @cached_property
    def inference_outputs(self) -> tuple[str, ...]:
        """The outputs of the compiled model."""
        return tuple(name for name in self.outputs if name not in self.auxiliary_outputs)

    @cached_property
    def inference_inputs(self) -> dict[str, TensorType]:
        """The inputs of the compiled model: those that its outputs depend on."""
        if not self.added_losses and not self.auxiliary_outputs:
            return dict(self.inputs)  # every input that nothing uses is an error
        read = self._values_needed_for(self.inference_outputs)
        return {name: type for name, type in self.inputs.items() if name in read}

    @cached_property
    def inference_calls(self) -> tuple[Call, ...]:
        """The calls on which the outputs of the compiled model depend."""
        if not self.added_losses and not self.auxiliary_outputs:
            return self.calls  # every layer that nothing uses is an error
        needed = self._values_needed_for(self.inference_outputs)
        return tuple(call for call in self.calls if not needed.isdisjoint(call.results))

    @cached_property
    def inference_owners(self) -> frozenset[str]:
        """The layers whose weights the compiled model has."""
        return frozenset(call.owner for call in self.inference_calls)

    def _values_needed_for(self, values: Iterable[str]) -> set[str]:
        """These values, and those that they depend on."""
        needed = set(values)
        for call in reversed(self.calls):
            if not needed.isdisjoint(call.results):
                needed.update(call.sources_of(needed))
        return needed

    def calls_needed_for(self, values: Iterable[str], known: Container[str] = ()) -> list[Call]:
        """The calls on which some values depend, in order. The search stops at calls whose name is `known`."""
        needed_values, calls = set(values), []
        for call in reversed(self.calls):
            if needed_values.intersection(call.results):
                calls.append(call)
                needed_values.update(() if call.name in known else call.sources)
        return calls[::-1]


def auxiliary_output_names(document: Mapping[str, Json]) -> Sequence[Json]:
    """The items of `auxiliary_outputs` in the training section of a document; none if it is not a list."""
    training = document.get("training")
    names = training.get("auxiliary_outputs") if isinstance(training, dict) else None
    return names if isinstance(names, list) else ()
