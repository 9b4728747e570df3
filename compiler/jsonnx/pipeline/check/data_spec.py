"""The data that the network of a checked spec takes, without planning its training."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from ...analysis.output_layer import VALUE_PRESERVING_LAYERS, unwrapped
from ...analysis.shape_inference import TypedNetwork
from ...core.date_formats import FormatName
from ...core.diagnostics import JsonPath
from ...data.drift.text_vocabulary import TextVocabulary
from ...data.samples.data_spec import DataSpec, IndexRange, make_data_spec
from ...layers.attention.position_embeddings import PositionEmbedding
from ...layers.core import Embedding, ReversibleEmbedding
from ...layers.merging import Concatenate
from ...layers.ops.unary import NanToNum
from ...layers.preprocessing.date_features import DateFeatures
from ...layers.preprocessing.imputation import MISSING_TEXT, Imputation
from ...layers.preprocessing.lookup import IntegerLookup, StringLookup
from ...layers.preprocessing.text_vectorization import TextVectorization
from ...layers.preprocessing.tokenizer import Tokenizer
from ...training.metrics.objective import Objective


def index_limits(typed: TypedNetwork) -> dict[str, int]:
    """For each input that an Embedding or a PositionEmbedding looks up: the number of valid indices."""
    limits: dict[str, int] = {}
    for layer, position, source, _ in input_readers(typed):
        if isinstance(layer, (Embedding, ReversibleEmbedding)):
            if isinstance(layer, ReversibleEmbedding) and typed.inputs[source].dtype.startswith("float"):
                continue  # its inputs are vectors, not indices
            limits[source] = min(layer.input_dim, limits.get(source, layer.input_dim))
        elif isinstance(layer, PositionEmbedding) and position == 1:
            limits[source] = min(layer.sequence_length, limits.get(source, layer.sequence_length))
    return limits


def input_vocabularies(typed: TypedNetwork) -> dict[str, frozenset[Any]]:
    """For each input of a lookup that rejects unknown tokens: the tokens of its vocabulary."""
    vocabularies: dict[str, frozenset[Any]] = {}
    for layer, _, source, _ in input_readers(typed):
        if not isinstance(layer, (StringLookup, IntegerLookup)):
            continue
        table = layer.table
        if table.vocabulary is not None and table.num_oov_indices == 0 and not table.invert:
            masks = [] if table.mask_token is None else [table.mask_token]
            tokens = frozenset([*table.tokens, *masks])
            vocabularies[source] = tokens & vocabularies.get(source, tokens)
    return vocabularies


def text_vocabularies(typed: TypedNetwork) -> dict[str, TextVocabulary]:
    """For each input of texts of which a TextVectorization looks up single words in a vocabulary of the spec: that."""
    return {
        source: TextVocabulary(
            tuple(map(str, layer.table.tokens)),
            "lower" in (layer.standardize or ""),
            "strip" in (layer.standardize or ""),
        )
        for layer, _, source, _ in input_readers(typed)
        if isinstance(layer, TextVectorization)
        and layer.vocabulary is not None
        and layer.split == "whitespace"
        and layer.ngrams is None
    }


def inputs_with_missing_values(typed: TypedNetwork) -> frozenset[str]:
    """The inputs whose every reader takes missing values: an Imputation, a function that tests for NaN or replaces it,
    or a lookup whose mask token is the empty string. DateFeatures passes missing values on."""
    origins = {name: frozenset([name]) for name in typed.inputs}
    read: set[str] = set()
    needed: set[str] = set().union(*(origins.get(name, ()) for name in typed.network.outputs))
    for call in typed.network.calls:
        layer = unwrapped(call.layer)
        inputs = frozenset().union(*(origins.get(source, frozenset()) for source in call.sources))
        if isinstance(layer, (*VALUE_PRESERVING_LAYERS, Concatenate, DateFeatures)):
            origins[call.name] = inputs
            needed |= inputs if call.name in typed.network.outputs else frozenset()
            continue
        read |= inputs
        if not _takes_missing_values(layer):
            needed |= inputs
    readable = {name for name, type in typed.inputs.items() if type.dtype.startswith("float") or type.dtype == "string"}
    return frozenset(readable & read - needed)


def _takes_missing_values(layer: Any) -> bool:
    if isinstance(layer, StringLookup):
        return layer.table.mask_token == MISSING_TEXT
    return isinstance(layer, (Imputation, NanToNum)) or layer.type_name == "ops.isnan"


def date_inputs(typed: TypedNetwork) -> dict[str, tuple[FormatName, ...]]:
    """For each input of texts that DateFeatures reads: the formats of dates that all such layers read."""
    formats: dict[str, tuple[FormatName, ...]] = {}
    for layer, _, source, _ in input_readers(typed):
        if isinstance(layer, DateFeatures):
            known = formats.get(source, layer.formats)
            formats[source] = tuple(name for name in known if name in layer.formats)
    return formats


class InputReader(NamedTuple):
    """A layer that reads the values of an input, directly or behind layers that only arrange them."""

    layer: Any
    position: int
    """Of the value among the layer's inputs."""
    input: str
    path: JsonPath


def input_readers(typed: TypedNetwork) -> Iterator[InputReader]:
    """The layers that read the values of inputs, in topological order."""
    origins = {name: name for name in typed.inputs}
    for call in typed.network.calls:
        layer = unwrapped(call.layer)
        for position, source in enumerate(call.sources):
            if source in origins:
                yield InputReader(layer, position, origins[source], call.path)
        if isinstance(layer, VALUE_PRESERVING_LAYERS) and len(call.sources) == 1 and call.sources[0] in origins:
            origins[call.name] = origins[call.sources[0]]
        elif isinstance(layer, Tokenizer):
            origins |= zip(call.results, call.sources, strict=True)


def input_spec(typed: TypedNetwork) -> DataSpec:
    """The data that prediction takes."""
    inputs = typed.network.inference_inputs
    index_ranges = {name: IndexRange(count) for name, count in index_limits(typed).items()}
    return DataSpec(
        inputs,
        {},
        index_ranges,
        vocabularies=input_vocabularies(typed),
        missing_inputs=inputs_with_missing_values(typed),
        date_inputs=date_inputs(typed),
        training_inputs={name: type for name, type in typed.inputs.items() if name not in inputs},
    ).with_texts(typed.network.text_inputs, typed.network.tokenizations)


def data_spec_of(typed: TypedNetwork, objective: Objective) -> DataSpec:
    """The data that training takes: the same as `TrainingPlan.data_spec`."""
    training = typed.network.training
    if training is None:
        raise ValueError("an objective without a training section")
    return make_data_spec(
        typed.inputs,
        typed.outputs,
        objective.targets,
        index_limits(typed),
        typed.network.labels,
        training,
        input_vocabularies(typed),
        objective.weighted_outputs,
        inputs_with_missing_values(typed),
        date_inputs(typed),
        frozenset(typed.masks.training.value_masks),
    ).with_texts(typed.network.text_inputs, typed.network.tokenizations)
