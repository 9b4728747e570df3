"""What stands behind the last hidden state of an encoder: a pooler, a classifier, a masked language model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..config import Config
from ..translation import Shape, Translation, Weights, dense, layer_norm, tensor
from .common import FIRST_TOKEN, entry, left_out_head, task_of

LAST_HIDDEN_STATE, WORDS, LOGITS = "last_hidden_state", "word_embeddings", "logits"
CLASSIFIER_TASK, MASKED_TASK = "SequenceClassification", "MaskedLM"


@dataclass(frozen=True)
class Head:
    """Entries behind `last_hidden_state`, whose last result is an output, and their weights."""

    entries: tuple[dict[str, Any], ...]
    weights: Weights
    copies: Mapping[str, str] = field(default_factory=dict)
    """As in Translation."""


def with_head(
    config: Config, body: Translation, heads: Mapping[str, Head], pooler: Head | None, *pooling: dict[str, Any]
) -> Translation:
    """The body, which ends with `last_hidden_state`, with the head of the task that the configuration names, or else
    with the pooler, if there is one. `pooling` stands between the pooler and a new head."""
    task = task_of(config, heads)
    head = heads[task] if task else pooler
    pooled = Head((FIRST_TOKEN,), {}) if pooler is None else pooler
    outputs = [*([] if task else [LAST_HIDDEN_STATE]), *([] if head is None else [head.entries[-1]["name"]])]
    layers = [*body.spec["layers"], *(() if head is None else head.entries)]
    if task == MASKED_TASK:
        layers = [{**one, "type": "ReversibleEmbedding"} if one.get("name") == WORDS else one for one in layers]
    parts = {name for source in pooled.weights.values() for name, _ in source.parts}
    return Translation(
        {**body.spec, "layers": layers, "outputs": outputs},
        body.weights | ({} if head is None else head.weights),
        LAST_HIDDEN_STATE,
        (*pooled.entries, *pooling),
        (*body.unused, *sorted(parts)),
        {} if head is None else head.copies,
        left_out_head(config, heads),
        pooled.weights,
    )


def read_pooler(module: str, size: int, tensors: Mapping[str, Shape], pooled: int | None = None,
                activation: Any = "tanh") -> Head | None:  # fmt: skip
    """The Dense layer on the first token that BERT and ViT may have; None if the folder has no tensors of it."""
    if f"{module}.weight" not in tensors:
        return None
    width = pooled or size
    layer = entry("Dense", "pooler", units=width, activation=activation)
    return Head((FIRST_TOKEN, layer), dense("pooler", module, size, width))


@dataclass(frozen=True)
class MaskedLanguageModel:
    """The modules of a masked language model: a Dense layer, a normalization, and the scores of all tokens by the
    vectors of the embedding, with a bias."""

    dense: str
    norm: str
    bias: str | None
    """The tensor of the bias."""
    decoder: str
    """The module that has the vectors and the bias a second time, in files of older versions."""
    activation: Any
    epsilon: float
    has_biases: bool = True
    """Whether the Dense layer and the normalization have biases."""

    def head(self, words: str, vocabulary: int, size: int) -> Head:
        """The entries and weights. `words` is the tensor of the embedding."""
        no_bias: dict[str, Any] = {} if self.has_biases else {"use_bias": False}
        no_center: dict[str, Any] = {} if self.has_biases else {"center": False}
        entries = [
            entry("Dense", "prediction_dense", LAST_HIDDEN_STATE, units=size, activation=self.activation, **no_bias),
            entry("LayerNormalization", "prediction_norm", epsilon=self.epsilon, **no_center),
            {"use": WORDS, "name": LOGITS if self.bias is None else "token_scores", "from": "prediction_norm"},
        ]
        weights = {
            **dense("prediction_dense", self.dense, size, size, bias=self.has_biases),
            **layer_norm("prediction_norm", self.norm, size, bias=self.has_biases),
        }
        copies = {f"{self.decoder}.weight": words}
        if self.bias is not None:
            entries.append(entry("Variable", "token_bias", shape=[vocabulary], initializer="zeros"))
            entries.append(entry("ops.add", LOGITS, ["token_scores", "token_bias"]))
            weights["token_bias/value"] = tensor(self.bias, vocabulary)
            copies |= {} if self.bias == f"{self.decoder}.bias" else {f"{self.decoder}.bias": self.bias}
        return Head(tuple(entries), weights, copies)


def require_tied_words(config: Config) -> None:
    """Raises CompileError for a masked language model whose scores have vectors of their own."""
    if task_of(config, (MASKED_TASK,)):
        config.expect("tie_word_embeddings", True)
    config.skip("tie_word_embeddings")
