"""Gemma 2 and 3: decoders of `std.GemmaBlock`, with normalized results, windows and caps of scores."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..config import Config
from ..translation import Shape, Translation
from .common import ACTIVATIONS, entry, prefix_of
from .decoder import TANH_GELU, Decoder, Words, read_decoder, scaled_embeddings, translate_decoder
from .layer_values import FULL, SLIDING, layer_types, value_by_layer
from .rotary_options import rotary_by_layer, rotary_options

NORMS = {
    "self_attention_layernorm": "input_layernorm",
    "post_attention_layernorm": "post_attention_layernorm",
    "feedforward_layernorm": "pre_feedforward_layernorm",
    "post_feedforward_layernorm": "post_feedforward_layernorm",
}


def translate_gemma2(config: Config, tensors: Mapping[str, Shape]) -> Translation:
    """Gemma 2: every second layer attends to a window, and scores are capped."""
    decoder = _read(config)
    types = layer_types(config, [FULL if index % 2 else SLIDING for index in range(decoder.layers)])
    rotary = rotary_options(config, config.rope(), decoder.head_dim)
    cap = _cap(config, "attn_logit_softcapping", 50.0)
    options = {} if cap is None else {"score_soft_cap": cap}
    return _translate(config, tensors, decoder, types, rotary, 30.0, **options)


def translate_gemma3(config: Config, tensors: Mapping[str, Shape]) -> Translation:
    """The texts' part of Gemma 3: most layers attend to a window, with a rotary embedding of their own."""
    config.expect("attn_logit_softcapping", None)
    decoder = _read(config, use_query_key_norm=True)
    period = config.integer("sliding_window_pattern", config.integer("_sliding_window_pattern", 6))
    types = layer_types(config, [SLIDING if (index + 1) % period else FULL for index in range(decoder.layers)])
    options = {FULL: rotary_options(config, config.rope(1e6, FULL), decoder.head_dim)}
    theta = config.number("rope_local_base_freq", 10000.0, minimum=1.0)
    options[SLIDING] = {"max_wavelength": theta}
    if config.has("rope_parameters"):
        options[SLIDING] = rotary_options(config, config.rope(theta, SLIDING), decoder.head_dim)
    rotary = rotary_by_layer([options[kind] for kind in types])
    return _translate(config, tensors, decoder, types, rotary, None)


def _read(config: Config, **options: Any) -> Decoder:
    config.expect("use_bidirectional_attention", None, False)
    config.skip("hidden_act", "sliding_window_size")  # not read by transformers
    bias = config.flag("attention_bias", False)
    return read_decoder(config, 256, use_qkv_bias=bias, use_output_bias=bias, scale_offset=1.0, **options)


def _cap(config: Config, key: str, default: float | None) -> float | None:
    """A soft cap; None if the key is null, `default` if it is missing."""
    stored = config.keys()
    cap: float | None = config.number(key, None if key in stored else default)
    return cap


def _translate(
    config: Config,
    tensors: Mapping[str, Shape],
    decoder: Decoder,
    types: list[str],
    rotary: dict[str, Any],
    logit_cap: float | None,
    **more: Any,
) -> Translation:
    """`logit_cap` is the default of `final_logit_softcapping`, and `more` are further arguments of the blocks."""
    prefix, epsilon = prefix_of("model.", tensors), config.number("rms_norm_eps", 1e-6)
    window = config.integer("sliding_window", 4096)
    blocks = entry(
        "std.GemmaBlock",
        "layer_${index}",
        ["embeddings", "attention_mask"],
        repeat=decoder.layers,
        **decoder.arguments(),
        rotary=rotary,
        sliding_window=value_by_layer([window if kind == SLIDING else None for kind in types]),
        score_scale=config.number("query_pre_attn_scalar", 256, minimum=1e-6) ** -0.5,
        **more,
        activation=config.choice("hidden_activation", ACTIVATIONS, TANH_GELU),
        layer_norm_epsilon=epsilon,
        attention_dropout=config.rate("attention_dropout"),
    )
    layers = [scaled_embeddings(decoder.hidden), blocks]
    layers.append(entry("RMSNormalization", "last_hidden_state", epsilon=epsilon))
    weights = decoder.weights(prefix, NORMS) | decoder.norm("last_hidden_state", f"{prefix}norm")
    logit_cap = _cap(config, "final_logit_softcapping", logit_cap)
    is_tied, vocabulary = config.flag("tie_word_embeddings", True), config.integer("vocab_size")
    words = Words(f"{prefix}embed_tokens", vocabulary, decoder.hidden, is_tied, logit_cap)
    return translate_decoder(config, words, layers, weights)
