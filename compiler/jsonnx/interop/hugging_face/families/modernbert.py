"""ModernBERT: an encoder with rotary positions, of which every third layer attends globally (`std.ModernBertLayer`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from ..config import Config
from ..translation import Shape, Translation, Weights, dense, head_output, layer_norm, tensor
from .common import ACTIVATIONS, FIRST_TOKEN, TOKEN_INPUTS, class_count, entry, prefix_of, task_of
from .heads import CLASSIFIER_TASK, MASKED_TASK, Head, MaskedLanguageModel, require_tied_words, with_head
from .layer_values import FULL, SLIDING, layer_types, value_by_layer

UNUSED = ("head.*", "decoder.*", "classifier.*")
"""Tensors of heads that are not imported."""


class Sizes(NamedTuple):
    """The sizes of the repeated layers."""

    layers: int
    hidden: int
    heads: int
    intermediate: int


def translate_modernbert(config: Config, tensors: Mapping[str, Shape]) -> Translation:
    """The base model, a classifier of sequences, or a masked language model."""
    for key in ("attention_bias", "mlp_bias", "norm_bias"):
        config.expect(key, False)
    config.expect("position_embedding_type", "absolute", "rope", "sans_pos")  # no module reads it
    config.skip("max_position_embeddings", "layer_norm_eps", "sparse_prediction")
    config.skip("sparse_pred_ignore_index", "deterministic_flash_attn", "reference_compile", "repad_logits_with_grad")
    hidden, heads = config.integer("hidden_size"), config.integer("num_attention_heads")
    config.require_multiple("hidden_size", hidden, "num_attention_heads", heads)
    sizes = Sizes(config.layer_count("num_hidden_layers"), hidden, heads, config.integer("intermediate_size"))
    epsilon, vocabulary = config.number("norm_eps", 1e-5), config.integer("vocab_size")
    prefix = prefix_of("model.", tensors)
    layers = [
        entry("Embedding", "word_embeddings", "input_ids", input_dim=vocabulary, output_dim=hidden),
        entry("LayerNormalization", "embeddings_norm", epsilon=epsilon, center=False),
        entry("Dropout", "embeddings", rate=config.rate("embedding_dropout")),
        _repeated_layer(config, sizes, epsilon),
        entry("LayerNormalization", "last_hidden_state", epsilon=epsilon, center=False),
    ]
    words = tensor(f"{prefix}embeddings.tok_embeddings.weight", vocabulary, hidden)
    weights = {
        "word_embeddings/embeddings": words,
        **layer_norm("embeddings_norm", f"{prefix}embeddings.norm", hidden, bias=False),
        **_layer_weights(f"{prefix}layers.", sizes),
        **layer_norm("last_hidden_state", f"{prefix}final_norm", hidden, bias=False),
    }
    body = Translation({"inputs": dict(TOKEN_INPUTS), "layers": layers}, weights, unused=UNUSED)
    pooling = _pooling(config)
    bias, activation = (
        config.flag("classifier_bias", False),
        config.choice("classifier_activation", ACTIVATIONS, "gelu"),
    )
    decoder_bias = "decoder.bias" if config.flag("decoder_bias", True) else None
    if task_of(config, (MASKED_TASK,)):
        config.expect("classifier_bias", False)
    require_tied_words(config)
    predictions = MaskedLanguageModel("head.dense", "head.norm", decoder_bias, "decoder", activation, epsilon, False)
    heads = {
        CLASSIFIER_TASK: _classifier(config, sizes.hidden, epsilon, pooling, activation, bias),
        MASKED_TASK: predictions.head(f"{prefix}embeddings.tok_embeddings.weight", vocabulary, hidden),
    }
    return replace(with_head(config, body, heads, None), pooling=(pooling,))


def _repeated_layer(config: Config, sizes: Sizes, epsilon: float) -> dict[str, Any]:
    """The entry of all layers, whose options depend on whether the layer attends globally."""
    every = config.integer("global_attn_every_n_layers", 3)
    kinds = layer_types(config, [FULL if index % every == 0 else SLIDING for index in range(sizes.layers)])
    window = config.integer("local_attention", 128) // 2 + 1
    full, local = (_rope_theta(config, kind) for kind in (FULL, SLIDING))
    return entry(
        "std.ModernBertLayer",
        "layer_${index}",
        ["embeddings", "attention_mask"],
        repeat=sizes.layers,
        hidden_dim=sizes.hidden,
        intermediate_dim=sizes.intermediate,
        num_heads=sizes.heads,
        sliding_window=value_by_layer([None if kind == FULL else window for kind in kinds]),
        rope_max_wavelength=value_by_layer([full if kind == FULL else local for kind in kinds]),
        normalize_attention="${index > 0}",
        activation=config.choice("hidden_activation", ACTIVATIONS, "gelu"),
        attention_dropout=config.rate("attention_dropout"),
        dropout=config.rate("mlp_dropout"),
        layer_norm_epsilon=epsilon,
    )


def _rope_theta(config: Config, kind: str) -> float:
    """The longest wavelength of the layers of a kind, divided by 2 pi."""
    default = config.number("global_rope_theta", 160000.0, minimum=1.0)
    if kind == SLIDING:
        default = config.number("local_rope_theta", 10000.0, minimum=1.0)
    rope = config.rope(default, kind)
    rope.expect("rope_type", "default")
    theta: float = rope.number("rope_theta", default, minimum=1.0)
    return theta


def _layer_weights(prefix: str, sizes: Sizes) -> Weights:
    weights: Weights = {}
    hidden, heads, width = sizes.hidden, sizes.heads, sizes.intermediate
    head_dim = hidden // heads
    for index in range(sizes.layers):
        layer, module = f"layer_{index}", f"{prefix}{index}"
        fused = tensor(f"{module}.attn.Wqkv.weight", 3 * hidden, hidden)
        for number, role in enumerate(("query", "key", "value")):
            part = fused.rows(number * hidden, (number + 1) * hidden).transposed()
            weights[f"{layer}_attention/{role}/kernel"] = part.reshaped(hidden, heads, head_dim)
        output = f"{layer}_attention/attention_output"
        weights |= head_output(output, f"{module}.attn.Wo", heads, head_dim, hidden, bias=False)
        if index > 0:
            weights |= layer_norm(f"{layer}_attention_norm", f"{module}.attn_norm", hidden, bias=False)
        weights |= layer_norm(f"{layer}_feedforward_norm", f"{module}.mlp_norm", hidden, bias=False)
        halves = tensor(f"{module}.mlp.Wi.weight", 2 * width, hidden)
        weights[f"{layer}_intermediate/kernel"] = halves.rows(0, width).transposed()
        weights[f"{layer}_gate/kernel"] = halves.rows(width, 2 * width).transposed()
        weights |= dense(f"{layer}_output", f"{module}.mlp.Wo", width, hidden, bias=False)
    return weights


def _pooling(config: Config) -> dict[str, Any]:
    """The entry that makes one vector of a sequence."""
    mean = entry("GlobalAveragePooling1D", "mean", ["last_hidden_state", "attention_mask"])
    pooling: dict[str, Any] = config.choice("classifier_pooling", {"cls": FIRST_TOKEN, "mean": mean}, "cls")
    return pooling


def _classifier(
    config: Config, hidden: int, epsilon: float, pooling: dict[str, Any], activation: Any, bias: bool
) -> Head:
    """The model's own classifier."""
    classes = class_count(config)
    entries = (
        pooling,
        entry("Dense", "head", units=hidden, activation=activation, use_bias=bias),
        entry("LayerNormalization", "head_norm", epsilon=epsilon, center=False),
        entry("Dropout", "dropout", rate=config.rate("classifier_dropout")),
        entry("Dense", "classifier", units=classes),
    )
    weights = {
        **dense("head", "head.dense", hidden, hidden, bias=bias),
        **layer_norm("head_norm", "head.norm", hidden, bias=False),
        **dense("classifier", "classifier", hidden, classes),
    }
    return Head(entries, weights)
