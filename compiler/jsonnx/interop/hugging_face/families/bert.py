"""BERT and its relatives: encoders of layers with normalization behind the shortcuts (`std.BertLayer`)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from ..config import Config
from ..translation import Shape, Translation, Weights, dense, head_output, head_projection, layer_norm, tensor
from .common import ACTIVATIONS, FIRST_TOKEN, LAST_HIDDEN_STATE, TOKEN_INPUTS, class_count, entry, prefix_of
from .heads import (
    CLASSIFIER_TASK,
    MASKED_TASK,
    WORDS,
    Head,
    MaskedLanguageModel,
    read_pooler,
    require_tied_words,
    with_head,
)

UNUSED = ("cls.*", "classifier.*", "pre_classifier.*", "qa_outputs.*", "lm_head.*", "vocab_*")
"""Tensors of heads other than the imported one."""

UNREAD_KEYS = (
    *("directionality", "pooler_fc_size", "pooler_num_attention_heads", "pooler_num_fc_layers"),
    *("pooler_size_per_head", "pooler_type"),
)
"""Keys of BERT's first files that transformers does not read."""

EPSILON = 1e-12
TYPES = "token_type_embeddings"

TOKEN_POSITIONS = {
    "description": "Positions of tokens, counted from the number of the padding token on; padding is not counted.",
    "parameters": {"padding": 1},
    "layers": [
        entry("ops.not_equal", "is_token", x2="${padding}"),
        entry("ops.cumsum", "count", axis=1, dtype="int64"),
        entry("ops.multiply", "token_count", ["count", "is_token"]),
        entry("ops.add", "position", x2="${padding}"),
    ],
}


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
DISTILBERT_MODULES = ModuleNames(
    "attention.q_lin",
    "attention.k_lin",
    "attention.v_lin",
    "attention.out_lin",
    "sa_layer_norm",
    "ffn.lin1",
    "ffn.lin2",
    "output_layer_norm",
)


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
    config.skip(*UNREAD_KEYS)
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
        config.number("layer_norm_eps", EPSILON),
    )


def translate_bert(config: Config, tensors: Mapping[str, Shape]) -> Translation:
    """BERT and MiniLM."""
    encoder, prefix = read_encoder(config), prefix_of("bert.", tensors)
    positions = config.integer("max_position_embeddings", 512)
    position_entries = [entry("PositionEmbedding", "position_embeddings", WORDS, sequence_length=positions)]
    body = _body(config, encoder, prefix, position_entries, positions)
    pooler = read_pooler(f"{prefix}pooler.dense", encoder.hidden, tensors)
    drop = entry("Dropout", "dropout", rate=config.rate("classifier_dropout", encoder.dropout))
    pooled = Head((), {}) if pooler is None else pooler
    predictions = MaskedLanguageModel(
        "cls.predictions.transform.dense",
        "cls.predictions.transform.LayerNorm",
        "cls.predictions.bias",
        "cls.predictions.decoder",
        encoder.activation,
        encoder.epsilon,
    )
    heads = {
        CLASSIFIER_TASK: _classifier(config, encoder, "classifier", pooled.weights, *pooled.entries, drop),
        MASKED_TASK: _masked_language_model(config, encoder, prefix, predictions),
    }
    return with_head(config, body, heads, pooler, drop)


def translate_roberta(config: Config, tensors: Mapping[str, Shape]) -> Translation:
    """RoBERTa, XLM-RoBERTa and CamemBERT: BERT with positions that begin behind the number of the padding token."""
    encoder, prefix = read_encoder(config), prefix_of("roberta.", tensors)
    size, positions = encoder.hidden, config.integer("max_position_embeddings", 512)
    position_entries = [
        entry("token_positions", "positions", "input_ids", padding=config.integer("pad_token_id", 1, minimum=0)),
        entry("Embedding", "position_embeddings", "positions", input_dim=positions, output_dim=size),
    ]
    body = _body(config, encoder, prefix, position_entries, positions)
    body.spec["blocks"] = {"token_positions": TOKEN_POSITIONS}
    drop = entry("Dropout", "dropout", rate=config.rate("classifier_dropout", encoder.dropout))
    tanh = entry("Dense", "classifier_dense", units=size, activation="tanh")
    entries = (FIRST_TOKEN, drop, tanh, {**drop, "name": "classifier_dropout"})
    dense_weights = dense("classifier_dense", "classifier.dense", size, size)
    predictions = MaskedLanguageModel(
        "lm_head.dense", "lm_head.layer_norm", "lm_head.bias", "lm_head.decoder", "gelu", encoder.epsilon
    )
    heads = {
        CLASSIFIER_TASK: _classifier(config, encoder, "classifier.out_proj", dense_weights, *entries),
        MASKED_TASK: _masked_language_model(config, encoder, prefix, predictions),
    }
    return with_head(config, body, heads, read_pooler(f"{prefix}pooler.dense", size, tensors), drop)


def translate_distilbert(config: Config, tensors: Mapping[str, Shape]) -> Translation:
    """DistilBERT."""
    config.expect("sinusoidal_pos_embds", False, True)  # the vectors are stored in both cases
    config.skip("tie_weights_", "qa_dropout")
    size, heads = config.integer("dim"), config.integer("n_heads")
    config.require_multiple("dim", size, "n_heads", heads)
    encoder = Encoder(
        config.layer_count("n_layers"),
        size,
        heads,
        config.integer("hidden_dim"),
        config.choice("activation", ACTIVATIONS, "gelu"),
        config.rate("dropout", 0.1),
        config.rate("attention_dropout", 0.1),
        EPSILON,
    )
    prefix, positions = prefix_of("distilbert.", tensors), config.integer("max_position_embeddings", 512)
    position_entries = [entry("PositionEmbedding", "position_embeddings", WORDS, sequence_length=positions)]
    layers = f"{prefix}transformer.layer."
    body = _body(config, encoder, prefix, position_entries, positions, 0, layers, DISTILBERT_MODULES)
    drop = entry("Dropout", "dropout", rate=config.rate("seq_classif_dropout", 0.2))
    relu = entry("Dense", "pre_classifier", units=size, activation="relu")
    dense_weights = dense("pre_classifier", "pre_classifier", size, size)
    predictions = MaskedLanguageModel(
        "vocab_transform",
        "vocab_layer_norm",
        "vocab_projector.bias",
        "vocab_projector",
        encoder.activation,
        EPSILON,
    )
    tasks = {
        CLASSIFIER_TASK: _classifier(config, encoder, "classifier", dense_weights, FIRST_TOKEN, relu, drop),
        MASKED_TASK: _masked_language_model(config, encoder, prefix, predictions),
    }
    return with_head(config, body, tasks, None, drop)


def _classifier(config: Config, encoder: Encoder, module: str, weights: Weights, *entries: dict[str, Any]) -> Head:
    """Entries with their weights, and a Dense layer of logits."""
    classes = class_count(config)
    layers = (*entries, entry("Dense", "classifier", units=classes))
    return Head(layers, weights | dense("classifier", module, encoder.hidden, classes))


def _masked_language_model(config: Config, encoder: Encoder, prefix: str, modules: MaskedLanguageModel) -> Head:
    require_tied_words(config)
    return modules.head(f"{prefix}embeddings.word_embeddings.weight", config.integer("vocab_size"), encoder.hidden)


def _body(
    config: Config,
    encoder: Encoder,
    prefix: str,
    position_entries: list[dict[str, Any]],
    positions: int,
    types: int | None = None,
    layers: str | None = None,
    modules: ModuleNames = BERT_MODULES,
) -> Translation:
    """The model up to `last_hidden_state`."""
    vocabulary = config.integer("vocab_size")
    types = config.integer("type_vocab_size", 2) if types is None else types
    module = f"{prefix}embeddings"
    inputs, entries, weights = embedding_entries(vocabulary, types, encoder, module, position_entries, positions)
    spec = {"inputs": inputs, "layers": [*entries, encoder.entry(), LAST_HIDDEN_STATE]}
    weights |= encoder.weights(layers or f"{prefix}encoder.layer.", modules)
    return Translation(spec, weights, unused=UNUSED)


def embedding_entries(
    vocabulary: int,
    types: int,
    encoder: Encoder,
    module: str,
    position_entries: list[dict[str, Any]],
    positions: int,
) -> tuple[dict[str, Any], list[dict[str, Any]], Weights]:
    """The inputs, the entries up to `embeddings`, and their weights: the sum of the vectors of tokens, positions and
    types of tokens, normalized. A single type is no input; with 0 types, there are no vectors of types."""
    size = encoder.hidden
    words = entry("Embedding", WORDS, "input_ids", input_dim=vocabulary, output_dim=size)
    weights = {
        f"{WORDS}/embeddings": tensor(f"{module}.word_embeddings.weight", vocabulary, size),
        "position_embeddings/embeddings": tensor(f"{module}.position_embeddings.weight", positions, size),
        **layer_norm("embeddings_norm", f"{module}.LayerNorm", size),
    }
    inputs, layers, summands = (
        dict(TOKEN_INPUTS),
        [words, *position_entries],
        ["word_embeddings", "position_embeddings"],
    )
    vectors = tensor(f"{module}.token_type_embeddings.weight", types, size)
    if types > 1:
        inputs["token_type_ids"] = inputs["input_ids"]
        layers.append(entry("Embedding", TYPES, "token_type_ids", input_dim=types, output_dim=size))
        weights[f"{TYPES}/embeddings"] = vectors
    elif types == 1:
        layers.append(entry("Variable", TYPES, WORDS, shape=[1, size]))
        weights[f"{TYPES}/value"] = vectors
    layers += [
        entry("Add", "embeddings_sum", [*summands, *([TYPES] if types else [])]),
        entry("LayerNormalization", "embeddings_norm", epsilon=encoder.epsilon),
        entry("Dropout", "embeddings", rate=encoder.dropout),
    ]
    return inputs, layers, weights
