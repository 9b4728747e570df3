"""GPT-2: a decoder of `std.TransformerDecoder`, with learned positions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..config import Config
from ..translation import Shape, Translation, Weights, layer_norm, tensor
from .common import ACTIVATIONS, entry, prefix_of
from .decoder import WORDS, Words, translate_decoder

POSITIONS = "position_embeddings"


def translate_gpt2(config: Config, tensors: Mapping[str, Shape]) -> Translation:
    """GPT-2 and models of its architecture, such as DistilGPT-2."""
    config.expect("scale_attn_weights", True)
    config.expect("scale_attn_by_inverse_layer_idx", False)
    config.skip("reorder_and_upcast_attn")  # orders the products of half precision
    config.skip("summary_type", "summary_use_proj", "summary_activation", "summary_proj_to_labels")
    config.skip("summary_first_dropout", "n_ctx")
    size, heads = _size(config, "n_embd", "hidden_size"), _size(config, "n_head", "num_attention_heads")
    config.require_multiple("n_embd", size, "n_head", heads)
    count = config.layer_count("n_layer" if config.has("n_layer") else "num_hidden_layers")
    intermediate, epsilon = config.integer("n_inner", 4 * size), config.number("layer_norm_epsilon", 1e-5)
    positions = _size(config, "n_positions", "max_position_embeddings")
    prefix = prefix_of("transformer.", tensors)
    layers = [
        entry("PositionEmbedding", POSITIONS, WORDS, sequence_length=positions),
        entry("Add", "embeddings_sum", [WORDS, POSITIONS]),
        entry("Dropout", "embeddings", rate=config.rate("embd_pdrop", 0.1)),
        entry(
            "std.TransformerDecoder",
            "layer_${index}",
            ["embeddings", "attention_mask"],
            repeat=count,
            hidden_dim=size,
            intermediate_dim=intermediate,
            num_heads=heads,
            dropout=config.rate("resid_pdrop", 0.1),
            attention_dropout=config.rate("attn_pdrop", 0.1),
            activation=config.choice("activation_function", ACTIVATIONS, "gelu_new"),
            layer_norm_epsilon=epsilon,
            normalize_first=True,
        ),
        entry("LayerNormalization", "last_hidden_state", epsilon=epsilon),
    ]
    weights = {
        f"{POSITIONS}/embeddings": tensor(f"{prefix}wpe.weight", positions, size),
        **layer_norm("last_hidden_state", f"{prefix}ln_f", size),
    }
    for index in range(count):
        weights |= _layer_weights(f"layer_{index}", f"{prefix}h.{index}", size, heads, intermediate)
    is_tied = config.flag("tie_word_embeddings", True)
    words = Words(f"{prefix}wte", config.integer("vocab_size"), size, is_tied)
    is_language_model = config.list_of("architectures", str, [])[:1] == ["GPT2LMHeadModel"]
    return translate_decoder(config, words, layers, weights, is_language_model=is_language_model)


def _size(config: Config, key: str, new_key: str) -> Any:
    """A size under its name in GPT-2, or under that in other models."""
    return config.integer(key if config.has(key) or not config.has(new_key) else new_key)


def _layer_weights(layer: str, module: str, size: int, heads: int, intermediate: int) -> Weights:
    """The weights of a layer. Kernels are stored as [inputs, outputs], those of query, key and value side by side."""
    head_dim, attention = size // heads, f"{layer}_self_attention"
    kernel, bias = (
        tensor(f"{module}.attn.c_attn.weight", size, 3 * size),
        tensor(f"{module}.attn.c_attn.bias", 3 * size),
    )
    weights: Weights = {}
    for number, role in enumerate(("query", "key", "value")):
        span = number * size, (number + 1) * size
        weights[f"{attention}/{role}/kernel"] = kernel.columns(*span).reshaped(size, heads, head_dim)
        weights[f"{attention}/{role}/bias"] = bias.rows(*span).reshaped(heads, head_dim)
    output = tensor(f"{module}.attn.c_proj.weight", size, size).reshaped(heads, head_dim, size)
    weights[f"{attention}/attention_output/kernel"] = output
    weights[f"{attention}/attention_output/bias"] = tensor(f"{module}.attn.c_proj.bias", size)
    dense = (("intermediate", "c_fc", size, intermediate), ("output", "c_proj", intermediate, size))
    for name, part, inputs, outputs in dense:
        weights[f"{layer}_feedforward_{name}_dense/kernel"] = tensor(f"{module}.mlp.{part}.weight", inputs, outputs)
        weights[f"{layer}_feedforward_{name}_dense/bias"] = tensor(f"{module}.mlp.{part}.bias", outputs)
    weights |= layer_norm(f"{layer}_self_attention_layer_norm", f"{module}.ln_1", size)
    return weights | layer_norm(f"{layer}_feedforward_layer_norm", f"{module}.ln_2", size)
