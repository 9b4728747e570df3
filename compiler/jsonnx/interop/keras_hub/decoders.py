"""GPT-2, Llama, Qwen, SmolLM3 and Gemma of KerasHub, by the translations of the same architectures of Hugging Face."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ...core.components import Json
from ..hugging_face.config import Config
from ..hugging_face.families.decoder import WORDS
from ..hugging_face.families.gemma import translate_gemma2, translate_gemma3
from ..hugging_face.families.gpt2 import translate_gpt2
from ..hugging_face.families.layer_values import FULL, SLIDING
from ..hugging_face.families.llama import (
    translate_gemma,
    translate_llama,
    translate_qwen2,
    translate_qwen3,
    translate_smollm3,
)
from ..hugging_face.translation import Shape, Translation
from .backbone import Backbone, Source, with_hub_inputs
from .stored_weights import Place, Places, heads_first, joined_heads, offset_by_one

EMBEDDING_GROUP = "reversible_embedding"
BLOCK_EPSILON = 1e-6
"""The epsilon of all normalizations inside of Gemma's blocks, which KerasHub does not configure."""
QWEN3_HEAD_EPSILON = 1e-5
"""The epsilon of the normalizations of query and key in Qwen 3, which KerasHub does not configure."""

_ATTENTION = {
    "self_attention/query": "_self_attention_layer/_query_dense",
    "self_attention/key": "_self_attention_layer/_key_dense",
    "self_attention/value": "_self_attention_layer/_value_dense",
    "self_attention/attention_output": "_self_attention_layer/_output_dense",
    "self_attention/query_norm": "_self_attention_layer/_query_dense_layer_norm",
    "self_attention/key_norm": "_self_attention_layer/_key_dense_layer_norm",
}
_FEEDFORWARD = {
    "feedforward_gate_dense": "_feedforward_gate_dense",
    "feedforward_intermediate_dense": "_feedforward_intermediate_dense",
    "feedforward_output_dense": "_feedforward_output_dense",
}


def _llama_places(stem: str) -> Places:
    norms = {"self_attention_layernorm": "_self_attention_layernorm", "feedforward_layernorm": "_feedforward_layernorm"}
    others = {WORDS: EMBEDDING_GROUP, "last_hidden_state": f"{stem}_layer_norm"}
    return Places(f"{stem}_transformer_decoder", {**_ATTENTION, **_FEEDFORWARD, **norms}, others)


GPT2 = Places(
    "transformer_decoder",
    {
        **{name: group.replace("/_", "/") for name, group in _ATTENTION.items()},
        **_FEEDFORWARD,
        "self_attention_layer_norm": "_self_attention_layer_norm",
        "feedforward_layer_norm": "_feedforward_layer_norm",
    },
    {
        WORDS: EMBEDDING_GROUP,
        "position_embeddings": "position_embedding",
        "last_hidden_state": "layer_normalization",
    },
)
SMOLLM3 = Places(
    "smol_lm3_decoder_layer",
    {
        "self_attention/query": Place("self_attn/q_proj", joined_heads),
        "self_attention/key": Place("self_attn/k_proj", joined_heads),
        "self_attention/value": Place("self_attn/v_proj", joined_heads),
        "self_attention/attention_output": "self_attn/o_proj",
        "feedforward_gate_dense": "mlp/gate_proj",
        "feedforward_intermediate_dense": "mlp/up_proj",
        "feedforward_output_dense": "mlp/down_proj",
        "self_attention_layernorm": "input_layernorm",
        "feedforward_layernorm": "post_attention_layernorm",
    },
    {WORDS: EMBEDDING_GROUP, "last_hidden_state": "rms_normalization"},
)


def _gemma_places(stem: str) -> Places:
    return Places(
        f"{stem}_decoder_block",
        {
            "self_attention/query": Place("attention/query_dense", heads_first),
            "self_attention/key": Place("attention/key_dense", heads_first),
            "self_attention/value": Place("attention/value_dense", heads_first),
            "self_attention/attention_output": "attention/output_dense",
            "self_attention/query_norm": Place("attention/query_norm", offset_by_one),
            "self_attention/key_norm": Place("attention/key_norm", offset_by_one),
            "feedforward_gate_dense": "gating_ffw",
            "feedforward_intermediate_dense": "gating_ffw_2",
            "feedforward_output_dense": "ffw_linear",
            "self_attention_layernorm": Place("pre_attention_norm", offset_by_one),
            "post_attention_layernorm": Place("post_attention_norm", offset_by_one),
            "feedforward_layernorm": Place("pre_ffw_norm", offset_by_one),
            "post_feedforward_layernorm": Place("post_ffw_norm", offset_by_one),
        },
        {WORDS: EMBEDDING_GROUP, "last_hidden_state": Place("rms_normalization", offset_by_one)},
    )


LLAMA, QWEN2, QWEN3 = _llama_places("llama"), _llama_places("qwen"), _llama_places("qwen3")
GEMMA, GEMMA3 = _gemma_places("gemma"), _gemma_places("gemma3")

Translator = Callable[[Config, Mapping[str, Shape]], Translation]


def read_gpt2(source: Source) -> Backbone:
    """GPT-2."""
    config = source.config
    size, heads, dropout = config.integer("hidden_dim"), config.integer("num_heads"), config.rate("dropout", 0.1)
    config.require_multiple("hidden_dim", size, "num_heads", heads)
    keys = {
        "n_embd": size,
        "n_head": heads,
        "n_layer": config.layer_count("num_layers"),
        "n_inner": config.integer("intermediate_dim"),
        "n_positions": config.integer("max_sequence_length", 1024),
        "vocab_size": config.integer("vocabulary_size"),
        "embd_pdrop": dropout,
        "resid_pdrop": dropout,
        "attn_pdrop": dropout,
    }
    return _backbone(source, translate_gpt2, keys, GPT2, language_model="GPT2LMHeadModel")


def read_llama(source: Source) -> Backbone:
    """Llama 1 to 3. Whether the embedding of tokens gives the logits, too, is not in the configuration."""
    config = source.config
    config.expect("rope_position_scaling_factor", 1.0, 1)  # read by earlier versions of KerasHub only
    keys = _llama_keys(source)
    factor = config.number("rope_frequency_adjustment_factor", None, minimum=1e-6)
    if factor is not None:
        keys["rope_scaling"] = {
            "rope_type": "llama3",
            "factor": factor,
            "low_freq_factor": config.number("rope_low_freq_factor", minimum=1e-6),
            "high_freq_factor": config.number("rope_high_freq_factor", minimum=1e-6),
            "original_max_position_embeddings": config.integer("rope_pretraining_sequence_length"),
        }
        keys["max_position_embeddings"] = keys["rope_scaling"]["original_max_position_embeddings"]
    else:
        for key in ("rope_low_freq_factor", "rope_high_freq_factor", "rope_pretraining_sequence_length"):
            config.expect(key, None)
    keys["tie_word_embeddings"] = f"{source.root}layers/{EMBEDDING_GROUP}/vars/1" not in source.arrays
    return _llama_backbone(source, translate_llama, keys, LLAMA)


def read_qwen2(source: Source) -> Backbone:
    """Qwen 2 and 2.5."""
    keys = _llama_keys(source) | {"rope_scaling": _linear_rope(source.config, "rope_scaling_factor") or None}
    window = source.config.integer("sliding_window_size", 32768)
    if source.config.flag("use_sliding_window_attention", False):
        keys |= {"use_sliding_window": True, "sliding_window": window, "max_window_layers": 0}
    keys["tie_word_embeddings"] = source.config.flag("tie_word_embeddings", True)
    return _llama_backbone(source, translate_qwen2, keys, QWEN2)


def read_qwen3(source: Source) -> Backbone:
    """Qwen 3."""
    keys = _llama_keys(source) | {"rope_scaling": _linear_rope(source.config, "rope_scaling_factor") or None}
    window = source.config.integer("sliding_window_size", None)
    if window is not None:
        keys |= {"use_sliding_window": True, "sliding_window": window, "max_window_layers": 0}
    keys["tie_word_embeddings"] = source.config.flag("tie_word_embeddings", True)
    arguments = {"query_key_norm_epsilon": QWEN3_HEAD_EPSILON}
    return _llama_backbone(source, translate_qwen3, keys, QWEN3, arguments)


def read_smollm3(source: Source) -> Backbone:
    """SmolLM3."""
    config = source.config
    config.expect("attention_bias", False)
    config.expect("partial_rotary_factor", 1.0, 1)
    config.skip("attention_dropout", "layer_types", "max_position_embeddings")  # not read by KerasHub
    count = config.layer_count("num_layers")
    rotated = config.list_of("rope_layer_enabled_list", bool)[:count]
    keys = _sizes(source, "num_attention_heads") | {
        "rms_norm_eps": config.number("layer_norm_epsilon"),
        "rope_theta": config.number("rope_theta", minimum=1.0),
        "mlp_bias": config.flag("mlp_bias", False),
        "no_rope_layers": [int(flag) for flag in rotated] + (count - len(rotated)) * [1],
    }
    unused = (f"{source.root}layers/{SMOLLM3.layer_group}*/self_attn/rotary_embedding/vars/0",)
    return _backbone(source, translate_smollm3, keys, SMOLLM3, unused)


def read_gemma(source: Source) -> Backbone:
    """Gemma 1 and 2."""
    config = source.config
    norms = [config.flag(key, False) for key in ("use_post_attention_norm", "use_post_ffw_norm")]
    keys = _gemma_keys(source)
    keys["intermediate_size"] = config.integer("intermediate_dim", minimum=2) // 2
    if norms == [False, False]:
        config.expect("use_sliding_window_attention", False)
        config.expect("attention_logit_soft_cap", None)
        config.expect("final_logit_soft_cap", None)
        config.skip("sliding_window_size")
        return _backbone(source, translate_gemma, keys, GEMMA)
    config.expect("use_post_attention_norm", True)
    config.expect("use_post_ffw_norm", True)
    window = config.integer("sliding_window_size", 4096)
    has_window = config.flag("use_sliding_window_attention", False)
    count = keys["num_hidden_layers"]
    keys |= {
        "sliding_window": window,
        "layer_types": [SLIDING if has_window and index % 2 == 0 else FULL for index in range(count)],
        "attn_logit_softcapping": config.number("attention_logit_soft_cap", None, minimum=1e-6),
        "final_logit_softcapping": config.number("final_logit_soft_cap", None, minimum=1e-6),
        "query_pre_attn_scalar": keys["head_dim"],
    }
    return _backbone(source, translate_gemma2, keys, GEMMA)


def read_gemma3(source: Source) -> Backbone:
    """The texts' part of Gemma 3."""
    config = source.config
    for key in ("use_query_key_norm", "use_post_attention_norm", "use_post_ffw_norm"):
        config.expect(key, True)
    for key in ("use_bidirectional_attention", "is_embedding_model"):
        config.expect(key, False)
    config.expect("vision_encoder", None)
    config.expect("attention_logit_soft_cap", None)
    config.skip("image_size", "pooling_intermediate_dim", "embedding_dim")  # of images and of embeddings
    keys = _gemma_keys(source)
    has_window, count = config.flag("use_sliding_window_attention", False), keys["num_hidden_layers"]
    local, whole = (_linear_rope(config, f"{part}_rope_scaling_factor") for part in ("local", "global"))
    keys |= {
        "intermediate_size": config.integer("intermediate_dim"),
        "sliding_window": config.integer("sliding_window_size", 1024),
        "layer_types": [SLIDING if has_window and index % 6 < 5 else FULL for index in range(count)],
        "rope_parameters": {SLIDING: {"rope_theta": 1e4, **local}, FULL: {"rope_theta": 1e6, **whole}},
        "final_logit_softcapping": config.number("final_logit_soft_cap", None, minimum=1e-6),
        "query_pre_attn_scalar": keys["head_dim"],
    }
    return _backbone(source, translate_gemma3, keys, GEMMA3)


# -- keys of Hugging Face ----------------------------------------------------------------------------------------------


def _sizes(source: Source, heads_key: str = "num_query_heads") -> dict[str, Any]:
    """The keys for the sizes, except for that inside of the feedforward networks of Gemma."""
    config = source.config
    size, heads, shared = (config.integer(key) for key in ("hidden_dim", heads_key, "num_key_value_heads"))
    config.require_multiple(heads_key, heads, "num_key_value_heads", shared)
    head_dim = config.integer("head_dim", None)
    if head_dim is None:
        config.require_multiple("hidden_dim", size, heads_key, heads)
        head_dim = size // heads
    return {
        "vocab_size": config.integer("vocabulary_size"),
        "num_hidden_layers": config.layer_count("num_layers"),
        "hidden_size": size,
        "intermediate_size": config.integer("intermediate_dim"),
        "num_attention_heads": heads,
        "num_key_value_heads": shared,
        "head_dim": head_dim,
    }


def _llama_keys(source: Source) -> dict[str, Any]:
    return _sizes(source) | {
        "rms_norm_eps": source.config.number("layer_norm_epsilon", 1e-6),
        "rope_theta": source.config.number("rope_max_wavelength", 10000, minimum=1.0),
    }


def _linear_rope(config: Config, key: str) -> dict[str, Json]:
    """The keys of rotary embeddings for a factor by which positions are divided."""
    factor = config.number(key, 1.0, minimum=1e-6)
    return {} if factor == 1 else {"rope_type": "linear", "factor": factor}


def _gemma_keys(source: Source) -> dict[str, Any]:
    """The keys that all versions of Gemma have in common. Scores are divided by the root of `head_dim` in any case."""
    config = source.config
    config.expect("query_head_dim_normalize", True)
    config.expect("layer_norm_epsilon", BLOCK_EPSILON)
    dropout = config.rate("dropout")
    if dropout:
        source.warn("'dropout' applies to the attention scores only, not to the result of the attention")
    return _sizes(source) | {"rms_norm_eps": BLOCK_EPSILON, "attention_dropout": dropout}


# -- the backbone ------------------------------------------------------------------------------------------------------


def _llama_backbone(
    source: Source, translate: Translator, keys: Mapping[str, Any], places: Places, arguments: Mapping[str, Any] = {}
) -> Backbone:
    """A backbone with dropout on the results of the attention."""
    dropout = source.config.rate("dropout")
    if dropout:
        source.warn("'dropout' applies to the results of the attention, not to the values before their projection")
        arguments = {**arguments, "dropout": dropout}
    return _backbone(source, translate, keys, places, arguments=arguments)


def _backbone(
    source: Source,
    translate: Translator,
    keys: Mapping[str, Any],
    places: Places,
    unused: tuple[str, ...] = (),
    *,
    arguments: Mapping[str, Any] = {},
    language_model: str = "ModelForCausalLM",
) -> Backbone:
    """The backbone of the architecture with these keys of Hugging Face; `arguments` are further ones of its blocks."""
    architectures = [language_model if source.is_language_model else "Model"]
    translation = translate(Config({**keys, "architectures": architectures}, source.report), {})
    spec = translation.spec
    layers = [{**layer, **arguments} if "repeat" in layer else layer for layer in spec["layers"]]
    shapes = {name: weight.shape for name, weight in translation.weights.items()}
    weights = places.sources(shapes, source.root)
    if not source.is_language_model:
        unused = (*unused, f"{source.root}layers/{EMBEDDING_GROUP}/vars/1")
    size = next(layer["output_dim"] for layer in layers if layer.get("name") == WORDS)
    return Backbone(with_hub_inputs({**spec, "layers": layers}), weights, size, unused=unused)
