"""BERT, DistilBERT and RoBERTa of KerasHub."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..hugging_face.families.bert import Encoder, embedding_entries
from ..hugging_face.families.common import ACTIVATIONS, FIRST_TOKEN, LAST_HIDDEN_STATE, entry
from ..hugging_face.translation import Shape
from .backbone import Backbone, Source, with_hub_inputs
from .stored_weights import Places

LAYER = {
    "attention/query": "_self_attention_layer/query_dense",
    "attention/key": "_self_attention_layer/key_dense",
    "attention/value": "_self_attention_layer/value_dense",
    "attention/attention_output": "_self_attention_layer/output_dense",
    "attention_norm": "_self_attention_layer_norm",
    "intermediate": "_feedforward_intermediate_dense",
    "output": "_feedforward_output_dense",
    "output_norm": "_feedforward_layer_norm",
}
BERT = Places(
    "transformer_encoder",
    LAYER,
    {
        "word_embeddings": "reversible_embedding",
        "position_embeddings": "position_embedding",
        "token_type_embeddings": "embedding",
        "embeddings_norm": "layer_normalization",
        "pooler": "dense",
    },
)
DISTILBERT = Places(
    "transformer_encoder",
    LAYER,
    {
        "word_embeddings": "token_and_position_embedding/token_embedding",
        "position_embeddings": "token_and_position_embedding/position_embedding",
        "embeddings_norm": "layer_normalization",
    },
)


def read_bert(source: Source) -> Backbone:
    """BERT, whose second output is the dense layer on the first token."""
    types = source.config.integer("num_segments", 2)
    pooler = [FIRST_TOKEN, entry("Dense", "pooler", units=source.config.integer("hidden_dim"), activation="tanh")]
    return _read_encoder(source, BERT, ACTIVATIONS["gelu_new"], 1e-12, types, pooler)


def read_distilbert(source: Source) -> Backbone:
    """DistilBERT."""
    return _read_encoder(source, DISTILBERT, "gelu", 1e-12)


def read_roberta(source: Source) -> Backbone:
    """RoBERTa, whose positions begin at 0 in KerasHub."""
    return _read_encoder(source, DISTILBERT, "gelu", 1e-5)


def _read_encoder(
    source: Source,
    places: Places,
    activation: Any,
    epsilon: float,
    types: int = 0,
    pooler: Sequence[dict[str, Any]] = (),
) -> Backbone:
    config = source.config
    size, heads = config.integer("hidden_dim"), config.integer("num_heads")
    config.require_multiple("hidden_dim", size, "num_heads", heads)
    dropout = config.rate("dropout", 0.1)
    layers, intermediate = config.layer_count("num_layers"), config.integer("intermediate_dim")
    encoder = Encoder(layers, size, heads, intermediate, activation, dropout, dropout, epsilon)
    vocabulary, positions = config.integer("vocabulary_size"), config.integer("max_sequence_length", 512)
    position_entries = [entry("PositionEmbedding", "position_embeddings", "word_embeddings", sequence_length=positions)]
    inputs, entries, weights = embedding_entries(vocabulary, types, encoder, "", position_entries, positions)
    entries += [encoder.entry(), LAST_HIDDEN_STATE, *pooler]
    shapes: dict[str, Shape] = {name: weight.shape for name, weight in {**weights, **encoder.weights("")}.items()}
    outputs = ["last_hidden_state"]
    if pooler:
        shapes |= {"pooler/kernel": (size, size), "pooler/bias": (size,)}
        outputs.append("pooler")
    spec = with_hub_inputs({"inputs": inputs, "layers": entries, "outputs": outputs})
    return Backbone(spec, places.sources(shapes, source.root), size)
