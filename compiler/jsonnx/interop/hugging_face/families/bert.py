"""BERT and its relatives: encoders of layers with normalization behind the shortcuts (`std.BertLayer`)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from ..config import Config
from ..translation import Shape, Translation, Weights, dense, head_output, head_projection, layer_norm, tensor
from .common import (
    ACTIVATIONS,
    FIRST_TOKEN,
    LAST_HIDDEN_STATE,
    TOKEN_INPUTS,
    class_count,
    entry,
    prefix_of,
    task_of,
)

UNUSED = ("cls.*", "qa_outputs.*")
"""Tensors of heads that are not imported."""


class ModuleNames(NamedTuple):
    """The modules of one layer, below the layer's own name."""

    query: str = "attention.self.query"
    key: str = "attention.self.key"
    value: str = "attention.self.value"
    output: str = "attention.output.dense"
    output_norm: str = "attention.output.LayerNorm"
    intermediate: str = "intermediate.dense"
    feedforward: str = "output.dense"
    feedforward_norm: str = "output.LayerNorm"


BERT_MODULES = ModuleNames()


class Encoder(NamedTuple):
    """The sizes of the repeated layers."""

    layers: int
    hidden: int
    heads: int
    intermediate: int
    activation: Any
    dropout: float
    attention_dropout: float
    epsilon: float

    def entry(self) -> dict[str, Any]:
        """The repeated entry of the spec."""
        return entry(
            "std.BertLayer",
            "layer_${index}",
            ["embeddings", "attention_mask"],
            repeat=self.layers,
            hidden_dim=self.hidden,
            intermediate_dim=self.intermediate,
            num_heads=self.heads,
            activation=self.activation,
            dropout=self.dropout,
            attention_dropout=self.attention_dropout,
            layer_norm_epsilon=self.epsilon,
        )

    def weights(self, prefix: str, names: ModuleNames = BERT_MODULES) -> Weights:
        """The weights of all layers; the modules of layer 2 begin with `{prefix}2.`."""
        size, head_dim = self.hidden, self.hidden // self.heads
        weights: Weights = {}
        for index in range(self.layers):
            layer, module = f"layer_{index}", f"{prefix}{index}."
            for role, name in (("query", names.query), ("key", names.key), ("value", names.value)):
                weights |= head_projection(f"{layer}_attention/{role}", module + name, size, self.heads, head_dim)
            output = f"{layer}_attention/attention_output"
            weights |= head_output(output, module + names.output, self.heads, head_dim, size)
            weights |= layer_norm(f"{layer}_attention_norm", module + names.output_norm, size)
            weights |= dense(f"{layer}_intermediate", module + names.intermediate, size, self.intermediate)
            weights |= dense(f"{layer}_output", module + names.feedforward, self.intermediate, size)
            weights |= layer_norm(f"{layer}_output_norm", module + names.feedforward_norm, size)
        return weights


def read_encoder(config: Config) -> Encoder:
    """The sizes, with the keys of BERT."""
    config.expect("is_decoder", False)
    config.expect("position_embedding_type", "absolute")
    config.skip("tie_word_embeddings")  # only the heads of language models have such weights
    hidden, heads = config.integer("hidden_size"), config.integer("num_attention_heads")
    config.require_multiple("hidden_size", hidden, "num_attention_heads", heads)
    return Encoder(
        config.layer_count("num_hidden_layers"),
        hidden,
        heads,
        config.integer("intermediate_size"),
        config.choice("hidden_act", ACTIVATIONS, "gelu"),
        config.rate("hidden_dropout_prob", 0.1),
        config.rate("attention_probs_dropout_prob", 0.1),
        config.number("layer_norm_eps", 1e-12),
    )


def translate_bert(config: Config, tensors: Mapping[str, Shape]) -> Translation:
    """BERT and MiniLM: the base model, or a classifier of sequences."""
    encoder = read_encoder(config)
    vocabulary, positions = config.integer("vocab_size"), config.integer("max_position_embeddings", 512)
    types, size = config.integer("type_vocab_size", 2), encoder.hidden
    prefix = prefix_of("bert.", tensors)
    layers = [
        entry("Embedding", "word_embeddings", "input_ids", input_dim=vocabulary, output_dim=size),
        entry("PositionEmbedding", "position_embeddings", sequence_length=positions),
        entry("Embedding", "token_type_embeddings", "token_type_ids", input_dim=types, output_dim=size),
        entry("Add", "sum", ["word_embeddings", "token_type_embeddings", "position_embeddings"]),
        entry("LayerNormalization", "embeddings_norm", epsilon=encoder.epsilon),
        entry("Dropout", "embeddings", rate=encoder.dropout),
        encoder.entry(),
        LAST_HIDDEN_STATE,
    ]
    module = f"{prefix}embeddings"
    weights = {
        "word_embeddings/embeddings": tensor(f"{module}.word_embeddings.weight", vocabulary, size),
        "position_embeddings/embeddings": tensor(f"{module}.position_embeddings.weight", positions, size),
        "token_type_embeddings/embeddings": tensor(f"{module}.token_type_embeddings.weight", types, size),
        **layer_norm("embeddings_norm", f"{module}.LayerNorm", size),
        **encoder.weights(f"{prefix}encoder.layer."),
    }
    outputs, features = ["last_hidden_state"], "last_hidden_state"
    pooling: tuple[dict[str, Any], ...] = (FIRST_TOKEN,)
    if f"{prefix}pooler.dense.weight" in tensors:
        layers += [FIRST_TOKEN, entry("Dense", "pooler", units=size, activation="tanh")]
        weights |= dense("pooler", f"{prefix}pooler.dense", size, size)
        outputs, features, pooling = ["last_hidden_state", "pooler"], "pooler", ()
    dropout = config.rate("classifier_dropout", encoder.dropout)
    if task_of(config, ("SequenceClassification",)):
        layers += [entry("Dropout", "dropout", rate=dropout), entry("Dense", "classifier", units=class_count(config))]
        weights |= dense("classifier", "classifier", size, class_count(config))
        outputs = ["classifier"]
    inputs = {**TOKEN_INPUTS, "token_type_ids": {"shape": ["time"], "dtype": "int64"}}
    spec = {"inputs": inputs, "layers": layers, "outputs": outputs}
    return Translation(spec, weights, features, (*pooling, entry("Dropout", "dropout", rate=dropout)), UNUSED)
