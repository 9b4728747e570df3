"""Tiny models of the families of causal decoders, each as a configuration of transformers."""

from __future__ import annotations

from typing import Any

from encoder_cases import HIDDEN, LOGITS, Case

SIDES, FULL = "sides", "full"
"""Kinds of inputs: texts without padding, padded on the right and on the left; texts without padding alone."""

SIZES = {
    **{"vocab_size": 19, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 12},
    **{"num_key_value_heads": 2, "max_position_embeddings": 32, "bos_token_id": 1, "eos_token_id": 2},
    "pad_token_id": 0,
}
WINDOW = {"sliding_window": 3}
QWEN_WINDOW = {**WINDOW, "use_sliding_window": True, "max_window_layers": 1}
GEMMA = {**SIZES, "head_dim": 6, "num_hidden_layers": 3, "query_pre_attn_scalar": 9, **WINDOW}
CAPS = {"attn_logit_softcapping": 1.5, "final_logit_softcapping": 2.5}
GPT2 = {"vocab_size": 19, "n_embd": 16, "n_layer": 2, "n_head": 4, "n_positions": 16, "pad_token_id": 0}
GPT2_TOKENS = {"bos_token_id": 1, "eos_token_id": 2}
NEXT = {"logits": "logits"}


def rope(rope_type: str, **options: Any) -> dict[str, Any]:
    return {"rope_parameters": {"rope_type": rope_type, "rope_theta": 100.0, **options}}


LLAMA3 = rope("llama3", factor=4.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=8)
LENGTHS = {"original_max_position_embeddings": 4, "short_factor": [1.0, 1.5], "long_factor": [2.0, 5.0]}
LONGROPE = rope("longrope", **LENGTHS)
SHORT = rope("longrope", **LENGTHS | {"original_max_position_embeddings": 8}, factor=3.0)
YARN = rope("yarn", factor=4.0, original_max_position_embeddings=8)
SCALED_YARN = rope("yarn", factor=4.0, original_max_position_embeddings=8, mscale=0.7, mscale_all_dim=0.4)
LOCAL_ROPE = {
    "full_attention": {"rope_type": "linear", "factor": 8.0, "rope_theta": 1000.0},
    "sliding_attention": {"rope_type": "default", "rope_theta": 50.0},
}
KINDS = ["sliding_attention", "full_attention", "sliding_attention"]

DECODERS = [
    Case("llama", "LlamaModel", {**SIZES, **rope("default")}, SIDES, HIDDEN),
    Case("llama_lm", "LlamaForCausalLM", {**SIZES, **rope("default")}, FULL, NEXT, trains=True),
    Case(
        "llama_linear",
        "LlamaForCausalLM",
        {**SIZES, **rope("linear", factor=2.5), "tie_word_embeddings": True, "attention_bias": True, "mlp_bias": True},
        *(SIDES, NEXT),
    ),
    Case("llama_llama3", "LlamaForCausalLM", {**SIZES, **LLAMA3, "head_dim": 8}, SIDES, NEXT),
    Case("llama_longrope", "LlamaForCausalLM", {**SIZES, **LONGROPE}, SIDES, NEXT),
    Case("llama_longrope_short", "LlamaForCausalLM", {**SIZES, **SHORT}, SIDES, NEXT),
    Case("llama_yarn", "LlamaForCausalLM", {**SIZES, **YARN}, SIDES, NEXT),
    Case("llama_classifier", "LlamaForSequenceClassification", {**SIZES, "num_labels": 3}, SIDES, LOGITS),
    Case("mistral", "MistralForCausalLM", {**SIZES, **WINDOW}, SIDES, NEXT),
    Case("qwen2", "Qwen2ForCausalLM", {**SIZES, **QWEN_WINDOW}, SIDES, NEXT),
    Case("qwen3", "Qwen3ForCausalLM", {**SIZES, **SCALED_YARN, "head_dim": 6}, SIDES, NEXT),
    Case("qwen3_window", "Qwen3Model", {**SIZES, **QWEN_WINDOW, "head_dim": 10, "attention_bias": True}, SIDES, HIDDEN),
    Case(
        "smollm3",
        "SmolLM3ForCausalLM",
        {**SIZES, "no_rope_layers": [1, 0], "use_sliding_window": True, **WINDOW},
        SIDES,
        NEXT,
    ),
    Case("gemma", "GemmaForCausalLM", {**SIZES, "head_dim": 6}, SIDES, NEXT),
    Case("gemma_lm", "GemmaForCausalLM", {**SIZES, "head_dim": 6}, FULL, NEXT, trains=True),
    Case("gemma2", "Gemma2ForCausalLM", {**GEMMA, **CAPS}, SIDES, NEXT),
    Case("gemma2_lm", "Gemma2ForCausalLM", {**GEMMA, **CAPS}, FULL, NEXT, trains=True),
    Case("gemma3", "Gemma3ForCausalLM", {**GEMMA, "rope_parameters": LOCAL_ROPE, "layer_types": KINDS}, SIDES, NEXT),
    Case("gpt2", "GPT2Model", {**GPT2, **GPT2_TOKENS}, SIDES, HIDDEN),
    Case("gpt2_lm", "GPT2LMHeadModel", {**GPT2, **GPT2_TOKENS, "n_inner": 20}, FULL, NEXT, trains=True),
    Case("gpt2_classifier", "GPT2ForSequenceClassification", {**GPT2, **GPT2_TOKENS}, SIDES, LOGITS),
]
