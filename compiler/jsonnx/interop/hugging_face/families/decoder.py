"""What families of causal decoders share: embeddings, layers with RMS normalization, language models, classifiers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..config import Config
from ..translation import (
    TensorSource,
    Translation,
    Weights,
    dense,
    head_output,
    head_projection,
    tensor,
)
from .common import TOKEN_INPUTS, class_count, entry, left_out_head, task_of

WORDS = "word_embeddings"
TANH_GELU = "gelu_pytorch_tanh"
HEADS = ("lm_head.*", "score.*", "qa_outputs.*", "classifier.*")
"""Tensors of heads that are not imported."""
TASKS = ("CausalLM", "SequenceClassification")

LAST_TOKEN = entry("std.LastToken", "last_token", ["last_hidden_state", "attention_mask"])


@dataclass(frozen=True)
class Decoder:
    """The sizes of a decoder with RMS normalization."""

    layers: int
    hidden: int
    intermediate: int
    heads: int
    shared_heads: int
    head_dim: int
    scale_offset: float = 0.0
    """Added to each stored scale of a normalization. Gemma multiplies by 1 + w: a scale of 1 + w has the same results
    and gradients, only weight decay would draw it to 0 and not to 1."""
    use_qkv_bias: bool = False
    use_output_bias: bool = False
    use_feedforward_bias: bool = False
    use_query_key_norm: bool = False

    def arguments(self) -> dict[str, Any]:
        """The arguments of a block."""
        sizes = {
            "hidden_dim": self.hidden,
            "intermediate_dim": self.intermediate,
            "num_query_heads": self.heads,
            "num_key_value_heads": self.shared_heads,
            "head_dim": self.head_dim,
        }
        flags = ("use_qkv_bias", "use_output_bias", "use_feedforward_bias", "use_query_key_norm")
        return sizes | {name: True for name in flags if getattr(self, name)}

    def norm(self, layer: str, module: str, features: int | None = None) -> Weights:
        """The weights of an RMSNormalization."""
        scale = tensor(f"{module}.weight", features or self.hidden)
        return {f"{layer}/scale": scale.plus(self.scale_offset) if self.scale_offset else scale}

    def weights(self, prefix: str, norms: Mapping[str, str]) -> Weights:
        """The weights of all layers. `norms` are our names of normalizations, and the modules below a layer."""
        weights: Weights = {}
        hidden, features = self.hidden, self.head_dim
        for index in range(self.layers):
            layer, module = f"layer_{index}", f"{prefix}layers.{index}"
            attention, attention_module = f"{layer}_self_attention", f"{module}.self_attn"
            for role, heads in (("query", self.heads), ("key", self.shared_heads), ("value", self.shared_heads)):
                projection = f"{attention_module}.{role[0]}_proj"
                weights |= head_projection(
                    f"{attention}/{role}", projection, hidden, heads, features, bias=self.use_qkv_bias
                )
            output = f"{attention}/attention_output", f"{attention_module}.o_proj"
            weights |= head_output(*output, self.heads, features, hidden, bias=self.use_output_bias)
            for role in ("query", "key") if self.use_query_key_norm else ():
                weights |= self.norm(f"{attention}/{role}_norm", f"{attention_module}.{role[0]}_norm", features)
            for name, norm in norms.items():
                weights |= self.norm(f"{layer}_{name}", f"{module}.{norm}")
            for name, part in (("gate", "gate"), ("intermediate", "up")):
                names = f"{layer}_feedforward_{name}_dense", f"{module}.mlp.{part}_proj"
                weights |= dense(*names, hidden, self.intermediate, bias=self.use_feedforward_bias)
            names = f"{layer}_feedforward_output_dense", f"{module}.mlp.down_proj"
            weights |= dense(*names, self.intermediate, hidden, bias=self.use_feedforward_bias)
        return weights


def read_decoder(config: Config, head_dim: int | None = None, **options: Any) -> Decoder:
    """The sizes, with the keys of Llama. Without `head_dim` in the configuration and here, the features of all heads
    are `hidden_size`."""
    hidden, heads = config.integer("hidden_size"), config.integer("num_attention_heads")
    shared = config.integer("num_key_value_heads", heads)
    config.require_multiple("num_attention_heads", heads, "num_key_value_heads", shared)
    features = config.integer("head_dim", head_dim)
    if features is None:
        config.require_multiple("hidden_size", hidden, "num_attention_heads", heads)
        features = hidden // heads
    layers, intermediate = config.layer_count("num_hidden_layers"), config.integer("intermediate_size")
    config.skip("max_position_embeddings")
    return Decoder(layers, hidden, intermediate, heads, shared, features, **options)


def scaled_embeddings(hidden: int) -> dict[str, Any]:
    """The entry of Gemma that multiplies the vectors of tokens by the root of their size, in float32. A model that is
    run in bfloat16 elsewhere rounds the root to it."""
    return entry("Rescaling", "embeddings", WORDS, scale=hidden**0.5)


@dataclass(frozen=True)
class Words:
    """The vectors of the tokens."""

    module: str
    count: int
    size: int
    is_tied: bool
    """Whether they are also the kernel of the logits."""
    logit_soft_cap: float | None = None

    @property
    def tensor(self) -> TensorSource:
        return tensor(f"{self.module}.weight", self.count, self.size)


def translate_decoder(
    config: Config, words: Words, layers: list[dict[str, Any]], weights: Weights, *, is_language_model: bool = False
) -> Translation:
    """A model of these layers, which follow the embeddings and end with the result `last_hidden_state`."""
    task = task_of(config, TASKS)
    sizes = {"input_dim": words.count, "output_dim": words.size}
    embedding, outputs, copies = entry("Embedding", WORDS, "input_ids", **sizes), ["last_hidden_state"], {}
    weights = {f"{WORDS}/embeddings": words.tensor, **weights}
    if is_language_model or task == "CausalLM":
        cap = {} if words.logit_soft_cap is None else {"logit_soft_cap": words.logit_soft_cap}
        tied = {} if words.is_tied else {"tie_weights": False}
        embedding = entry("ReversibleEmbedding", WORDS, "input_ids", **sizes, **tied, **cap)
        layers = [*layers, {"use": WORDS, "name": "logits", "from": "last_hidden_state"}]
        outputs = ["logits"]
        if words.is_tied:
            copies["lm_head.weight"] = f"{words.module}.weight"
        else:
            weights[f"{WORDS}/reverse_embeddings"] = tensor("lm_head.weight", words.count, words.size).transposed()
    elif task:
        classes = class_count(config)
        layers = [*layers, LAST_TOKEN, entry("Dense", "classifier", units=classes, use_bias=False)]
        weights |= dense("classifier", "score", words.size, classes, bias=False)
        outputs = ["classifier"]
    spec = {"inputs": dict(TOKEN_INPUTS), "layers": [embedding, *layers], "outputs": outputs}
    unused = () if outputs != ["last_hidden_state"] else HEADS
    notices = left_out_head(config, TASKS)
    return Translation(spec, weights, "last_hidden_state", (LAST_TOKEN,), unused, copies, notices)
