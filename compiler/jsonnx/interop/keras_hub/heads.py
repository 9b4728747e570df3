"""What tasks of KerasHub add to their backbones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..hugging_face.config import Config
from ..hugging_face.families.common import FIRST_TOKEN, entry
from ..hugging_face.translation import TensorSource, Weights
from .backbone import TOKEN_INPUT, Backbone
from .stored_weights import stored_at

ACTIVATIONS = {
    name: name for name in ("linear", "softmax", "sigmoid", "tanh", "relu", "gelu", "silu", "softplus", "elu", "selu")
}
"""Activations that a classifier may have."""
SEQUENCE, POOLED, EMBEDDING = "last_hidden_state", "pooler", "word_embeddings"
"""Entries of backbones: the results of all positions, the dense layer on the first one, the vectors of tokens."""
HIDDEN, CLASSIFIER, LOGITS = "classifier_dense", "classifier", "logits"
MASK = "padding_mask"
NOTHING: Mapping[str, Any] = {}


def _dense(
    layer: str, group: str, inputs: int, units: int, activation: str, source: str | None = None
) -> tuple[dict[str, Any], Weights]:
    """A Dense layer and its weights."""
    shown = {} if activation == "linear" else {"activation": activation}
    weights = {
        f"{layer}/kernel": stored_at(group, "kernel", (inputs, units)),
        f"{layer}/bias": stored_at(group, "bias", (units,)),
    }
    return entry("Dense", layer, source, units=units, **shown), weights


def _classifier(config: Config, inputs: int, group: str) -> tuple[dict[str, Any], Weights]:
    activation = config.choice("activation", ACTIVATIONS, "linear")
    return _dense(CLASSIFIER, group, inputs, config.integer("num_classes"), activation)


def _with_head(
    backbone: Backbone,
    layers: Sequence[dict[str, Any]],
    weights: Mapping[str, TensorSource] = NOTHING,
    inputs: Mapping[str, Any] = NOTHING,
) -> Backbone:
    """The backbone with further layers, of which the last one is the output."""
    spec = {
        **backbone.spec,
        "inputs": {**backbone.spec["inputs"], **inputs},
        "layers": [*backbone.spec["layers"], *layers],
        "outputs": [layers[-1]["name"]],
    }
    head = tuple(dict.fromkeys(name.partition("/")[0] for name in weights))
    return backbone._replace(spec=spec, weights={**backbone.weights, **weights}, head=head)


def _without_pooler(backbone: Backbone) -> Backbone:
    """The backbone up to the results of all positions."""
    layers = backbone.spec["layers"]
    end = [layer["name"] for layer in layers].index(SEQUENCE) + 1
    dropped = {layer["name"] for layer in layers[end:]}
    weights = {name: source for name, source in backbone.weights.items() if name.partition("/")[0] not in dropped}
    unused = [path for name in backbone.weights.keys() - weights.keys() for path, _ in backbone.weights[name].parts]
    spec = {**backbone.spec, "layers": layers[:end], "outputs": [SEQUENCE]}
    return backbone._replace(spec=spec, weights=weights, unused=(*backbone.unused, *unused))


# -- classifiers -------------------------------------------------------------------------------------------------------


def bert_classifier(backbone: Backbone, config: Config) -> Backbone:
    """A classifier of BERT's pooled output."""
    classifier, weights = _classifier(config, backbone.hidden, "layers/dense")
    return _with_head(backbone, [entry("Dropout", "dropout", rate=config.rate("dropout", 0.1)), classifier], weights)


def distilbert_classifier(backbone: Backbone, config: Config) -> Backbone:
    """A classifier of the first token by two dense layers."""
    width = config.integer("hidden_dim", backbone.hidden)
    hidden, weights = _dense(HIDDEN, "layers/dense", backbone.hidden, width, "relu")
    classifier, classifier_weights = _classifier(config, width, "layers/dense_1")
    dropout = entry("Dropout", "dropout", rate=config.rate("dropout", 0.2))
    return _with_head(backbone, [FIRST_TOKEN, hidden, dropout, classifier], weights | classifier_weights)


def roberta_classifier(backbone: Backbone, config: Config) -> Backbone:
    """A classifier of the first token by two dense layers, with dropout before each."""
    width, rate = config.integer("hidden_dim", backbone.hidden), config.rate("dropout")
    hidden, weights = _dense(HIDDEN, "layers/dense", backbone.hidden, width, "tanh")
    classifier, classifier_weights = _classifier(config, width, "layers/dense_1")
    layers = [
        FIRST_TOKEN,
        entry("Dropout", "pooled_dropout", rate=rate),
        hidden,
        entry("Dropout", "dropout", rate=rate),
        classifier,
    ]
    return _with_head(backbone, layers, weights | classifier_weights)


def vit_classifier(backbone: Backbone, config: Config) -> Backbone:
    """A classifier of the first token, or of the mean of all."""
    mean = entry("GlobalAveragePooling1D", "mean", SEQUENCE)
    layers = [config.choice("pooling", {"token": FIRST_TOKEN, "gap": mean}, "token")]
    weights: Weights = {}
    size, width = backbone.hidden, config.integer("intermediate_dim", None)
    if width is not None:
        hidden, weights = _dense(HIDDEN, "layers/dense", size, width, "tanh")
        layers.append(hidden)
    group = "layers/dense" if width is None else "layers/dense_1"
    classifier, classifier_weights = _classifier(config, size if width is None else width, group)
    layers += [entry("Dropout", "dropout", rate=config.rate("dropout")), classifier]
    return _with_head(backbone, layers, weights | classifier_weights)


# -- language models ---------------------------------------------------------------------------------------------------


def masked_language_model(backbone: Backbone, config: Config) -> Backbone:
    """Logits of the tokens at the positions of the input `mask_positions`, by the embedding of tokens."""
    backbone, size = _without_pooler(backbone), backbone.hidden
    embedding = next(layer for layer in backbone.spec["layers"] if layer["name"] == EMBEDDING)
    reversible = {**embedding, "type": "ReversibleEmbedding"}
    layers = [reversible if layer is embedding else layer for layer in backbone.spec["layers"]]
    head, vocabulary = "layers/masked_lm_head", embedding["input_dim"]
    dense, weights = _dense("masked_dense", f"{head}/_intermediate_dense", size, size, "gelu")
    weights |= {
        "masked_norm/gamma": stored_at(f"{head}/_intermediate_layer_norm", "gamma", (size,)),
        "masked_norm/beta": stored_at(f"{head}/_intermediate_layer_norm", "beta", (size,)),
        "logit_bias/value": stored_at(head, "value", (vocabulary,)),
    }
    head_layers = [
        entry("ops.expand_dims", "mask_positions_column", "mask_positions", axis=-1),
        entry("ops.repeat", "mask_indices", repeats=size, axis=-1),
        entry("ops.take_along_axis", "masked_tokens", [SEQUENCE, "mask_indices"], axis=1),
        dense,
        entry("LayerNormalization", "masked_norm", epsilon=1e-5),
        {"use": EMBEDDING, "name": "token_scores"},
        entry("Variable", "logit_bias", shape=[vocabulary], initializer="zeros"),
        entry("ops.add", LOGITS, ["token_scores", "logit_bias"]),
    ]
    inputs = {"mask_positions": {**TOKEN_INPUT, "shape": ["masked_tokens_of_sample"]}}
    return _with_head(backbone._replace(spec={**backbone.spec, "layers": layers}), head_layers, weights, inputs)


def causal_language_model(backbone: Backbone, config: Config) -> Backbone:
    """The logits of the token behind each position, which are those of the backbone for this task."""
    return backbone


# -- embeddings of texts -----------------------------------------------------------------------------------------------

MEAN = [entry("GlobalAveragePooling1D", "pooled", [SEQUENCE, MASK])]
FIRST = [entry("ops.get_item", "pooled", SEQUENCE, key=[":", 0])]
MAXIMUM = [
    entry("ops.expand_dims", "mask_column", MASK, axis=-1),
    entry("ops.where", "unmasked", ["mask_column", SEQUENCE], x2=-3.4e38),
    entry("ops.max", "pooled", axis=1),
]
LAST = [entry("std.LastToken", "pooled", [SEQUENCE, MASK])]
NORMALIZATION = entry("UnitNormalization", "embedding")


def bert_embedder(backbone: Backbone, config: Config) -> Backbone:
    """One vector of each text, by the mean of its tokens unless the configuration says otherwise."""
    pooling = config.choice("pooling_mode", {"mean": MEAN, "cls": FIRST, "max": MAXIMUM}, "mean")
    return _with_embedding(_without_pooler(backbone), config, pooling)


def decoder_embedder(backbone: Backbone, config: Config) -> Backbone:
    """One vector of each text, that of its last token unless the configuration says otherwise."""
    pooling = config.choice("pooling_mode", {"last": LAST, "mean": MEAN}, "last")
    return _with_embedding(backbone, config, pooling)


def _with_embedding(backbone: Backbone, config: Config, pooling: list[dict[str, Any]]) -> Backbone:
    return _with_head(backbone, [*pooling, *([NORMALIZATION] if config.flag("normalize", True) else [])])
