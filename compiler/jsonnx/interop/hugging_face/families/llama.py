"""Llama, Mistral, Qwen 2, Qwen 3, SmolLM and the first Gemma: decoders of `std.LlamaBlock`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..config import Config
from ..translation import Shape, Translation
from .common import ACTIVATIONS, entry, prefix_of
from .decoder import TANH_GELU, WORDS, Decoder, Words, read_decoder, scaled_embeddings, translate_decoder
from .layer_values import FULL, SLIDING, layer_types, value_by_layer
from .rotary_options import rotary_options

NORMS = {"self_attention_layernorm": "input_layernorm", "feedforward_layernorm": "post_attention_layernorm"}


def translate_llama(config: Config, tensors: Mapping[str, Shape]) -> Translation:
    """Llama 1 to 3, and SmolLM 1 and 2."""
    config.expect("rope_interleaved", False)
    config.skip("is_llama_config")
    return _translate(config, tensors, read_decoder(config, **_biases(config)))


def translate_mistral(config: Config, tensors: Mapping[str, Shape]) -> Translation:
    """Mistral: every layer attends to a window, of 4096 tokens if the key is missing, and to all if it is null."""
    stored = config.keys()
    window = config.integer("sliding_window", None if "sliding_window" in stored else 4096)
    return _translate(config, tensors, read_decoder(config), **({} if window is None else {"sliding_window": window}))


def translate_qwen2(config: Config, tensors: Mapping[str, Shape]) -> Translation:
    """Qwen 2 and 2.5: biases of query, key and value."""
    config.expect("use_mrope", False)
    decoder = read_decoder(config, use_qkv_bias=True)
    return _translate(config, tensors, decoder, **_later_windows(config, decoder))


def translate_qwen3(config: Config, tensors: Mapping[str, Shape]) -> Translation:
    """Qwen 3: query and key of each head are normalized."""
    decoder = read_decoder(config, 128, use_query_key_norm=True, **_biases(config))
    return _translate(config, tensors, decoder, **_later_windows(config, decoder))


def translate_smollm3(config: Config, tensors: Mapping[str, Shape]) -> Translation:
    """SmolLM3: some layers have no rotary positions."""
    config.skip("max_window_layers")
    decoder = read_decoder(config, **_biases(config))
    count, interval = decoder.layers, config.integer("no_rope_layer_interval", 4)
    flags = config.list_of("no_rope_layers", int, [int((index + 1) % interval != 0) for index in range(count)])
    if len(flags) < count:
        config.fail("no_rope_layers", "invalid-value", f"'no_rope_layers' needs a number for each of {count} layers")
    has_window, window = config.flag("use_sliding_window", False), config.integer("sliding_window", None)
    window = window if has_window else None
    types = layer_types(config, [FULL if flag or window is None else SLIDING for flag in flags[:count]])
    use_rotary = value_by_layer([flag != 0 for flag in flags[:count]])
    options = {"use_rotary": use_rotary, **_windows(types, window)}
    return _translate(config, tensors, decoder, is_tied=True, theta=2e6, **options)


def translate_gemma(config: Config, tensors: Mapping[str, Shape]) -> Translation:
    """The first Gemma."""
    config.expect("use_bidirectional_attention", None, False)
    bias = config.flag("attention_bias", False)
    decoder = read_decoder(config, 256, scale_offset=1.0, use_qkv_bias=bias, use_output_bias=bias)
    activation = config.choice("hidden_act", {**ACTIVATIONS, "gelu": ACTIVATIONS[TANH_GELU]}, TANH_GELU)
    if config.has("hidden_activation"):
        activation = config.choice("hidden_activation", ACTIVATIONS, TANH_GELU)
    return _translate(config, tensors, decoder, is_tied=True, activation=activation)


def _translate(
    config: Config,
    tensors: Mapping[str, Shape],
    decoder: Decoder,
    *,
    is_tied: bool = False,
    theta: float = 10000.0,
    **more: Any,
) -> Translation:
    """`is_tied` and `theta` are the defaults of `tie_word_embeddings` and `rope_theta`, and `more` are further
    arguments of the blocks."""
    prefix, epsilon = prefix_of("model.", tensors), config.number("rms_norm_eps", 1e-6)
    if "activation" not in more:
        more["activation"] = config.choice("hidden_act", ACTIVATIONS, "silu")
    scaled = [scaled_embeddings(decoder.hidden)] if decoder.scale_offset else []
    blocks = entry(
        "std.LlamaBlock",
        "layer_${index}",
        [scaled[0]["name"] if scaled else WORDS, "attention_mask"],
        repeat=decoder.layers,
        **decoder.arguments(),
        rotary=rotary_options(config, config.rope(theta), decoder.head_dim),
        **more,
        layer_norm_epsilon=epsilon,
        attention_dropout=config.rate("attention_dropout"),
    )
    layers = [*scaled, blocks, entry("RMSNormalization", "last_hidden_state", epsilon=epsilon)]
    weights = decoder.weights(prefix, NORMS) | decoder.norm("last_hidden_state", f"{prefix}norm")
    is_tied, vocabulary = config.flag("tie_word_embeddings", is_tied), config.integer("vocab_size")
    return translate_decoder(
        config, Words(f"{prefix}embed_tokens", vocabulary, decoder.hidden, is_tied), layers, weights
    )


def _biases(config: Config) -> dict[str, bool]:
    bias, feedforward_bias = config.flag("attention_bias", False), config.flag("mlp_bias", False)
    return {"use_qkv_bias": bias, "use_output_bias": bias, "use_feedforward_bias": feedforward_bias}


def _later_windows(config: Config, decoder: Decoder) -> dict[str, Any]:
    """The sliding windows of Qwen, which the layers from `max_window_layers` on have."""
    has_window, window = config.flag("use_sliding_window", False), config.integer("sliding_window", None)
    first = config.integer("max_window_layers", 28, minimum=0)
    window = window if has_window else None
    default = [SLIDING if window is not None and index >= first else FULL for index in range(decoder.layers)]
    return _windows(layer_types(config, default), window)


def _windows(types: Sequence[str], window: int | None) -> dict[str, Any]:
    """The argument of blocks for the window of the layers of type `sliding_attention`."""
    windows = value_by_layer([window if kind == SLIDING else None for kind in types])
    return {} if windows is None else {"sliding_window": windows}
