"""Tiny models of the families of encoders, each as a configuration of transformers."""

from __future__ import annotations

from typing import Any, NamedTuple

TEXT = {"vocab_size": 19, "hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 12}
BERT = {**TEXT, "max_position_embeddings": 16}
ROBERTA = {**BERT, "type_vocab_size": 1, "pad_token_id": 1, "layer_norm_eps": 1e-5}
DISTILBERT = {"vocab_size": 19, "dim": 8, "n_layers": 2, "n_heads": 2, "hidden_dim": 12, "max_position_embeddings": 16}
MODERNBERT = {
    **TEXT,
    "num_hidden_layers": 4,
    "local_attention": 4,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "cls_token_id": 1,
    "sep_token_id": 2,
}
VISION = {**TEXT, "image_size": 8, "patch_size": 4}
del VISION["vocab_size"]
DINOV2 = {**VISION, "patch_size": 2, "mlp_ratio": 2, "layerscale_value": 0.7}
del DINOV2["intermediate_size"]

HIDDEN = {"last_hidden_state": "last_hidden_state"}
POOLED = {**HIDDEN, "pooler": "pooler_output"}
LOGITS = {"classifier": "logits"}
SCORES = {"logits": "logits"}
TOKENS, PAIRS, IMAGES = "tokens", "pairs", "images"


class Case(NamedTuple):
    """A model: its class and configuration, the kind of its inputs, and attributes of its result by our names of
    outputs. `trains` records losses of training steps, too."""

    id: str
    class_name: str
    config: dict[str, Any]
    inputs: str
    outputs: dict[str, str]
    trains: bool = False


CASES = [
    Case("bert", "BertModel", BERT, PAIRS, POOLED),
    Case("bert_classifier", "BertForSequenceClassification", {**BERT, "num_labels": 3}, PAIRS, LOGITS, trains=True),
    Case("bert_tanh_gelu", "BertModel", {**BERT, "hidden_act": "gelu_new"}, PAIRS, POOLED),
    Case("bert_masked_lm", "BertForMaskedLM", BERT, PAIRS, SCORES),
    Case("roberta_masked_lm", "RobertaForMaskedLM", ROBERTA, TOKENS, SCORES),
    Case("distilbert_masked_lm", "DistilBertForMaskedLM", DISTILBERT, TOKENS, SCORES),
    Case("modernbert_masked_lm", "ModernBertForMaskedLM", MODERNBERT, TOKENS, SCORES),
    Case("roberta", "RobertaModel", ROBERTA, TOKENS, POOLED),
    Case("roberta_classifier", "RobertaForSequenceClassification", ROBERTA, TOKENS, LOGITS),
    Case("xlm_roberta_types", "XLMRobertaModel", {**ROBERTA, "type_vocab_size": 2}, PAIRS, POOLED),
    Case("distilbert", "DistilBertModel", DISTILBERT, TOKENS, HIDDEN),
    Case("distilbert_classifier", "DistilBertForSequenceClassification", DISTILBERT, TOKENS, LOGITS),
    Case("modernbert", "ModernBertModel", MODERNBERT, TOKENS, HIDDEN),
    Case("modernbert_classifier", "ModernBertForSequenceClassification", MODERNBERT, TOKENS, LOGITS),
    Case(
        "modernbert_mean",
        "ModernBertForSequenceClassification",
        {**MODERNBERT, "classifier_pooling": "mean", "num_labels": 4},
        TOKENS,
        LOGITS,
        trains=True,
    ),
    Case("vit", "ViTModel", VISION, IMAGES, POOLED),
    Case("vit_classifier", "ViTForImageClassification", {**VISION, "qkv_bias": False}, IMAGES, LOGITS),
    Case("dinov2", "Dinov2Model", DINOV2, IMAGES, HIDDEN),
    Case("dinov2_classifier", "Dinov2ForImageClassification", DINOV2, IMAGES, LOGITS, trains=True),
]
