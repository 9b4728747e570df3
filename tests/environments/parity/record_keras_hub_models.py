"""Records KerasHub's models for tests/unit/interop/keras_hub: `sh tests/environments/parity/run.sh keras_hub`.

For each model: the configuration in its file, the shapes of its arrays, its outputs for a padded batch, and the losses
of some training steps.
"""

from __future__ import annotations

import io
import json
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import keras
import keras_hub
import numpy as np
from support.keras_hub_files import (
    FIXTURE,
    LEARNING_RATE,
    STEPS,
    VOCABULARY,
    drawn_inputs,
    drawn_labels,
    write_archive,
)

models = keras_hub.models
DECIMALS = 6
"""Decimals of a recorded number."""

ENCODER = {"num_layers": 2, "num_heads": 2, "hidden_dim": 8, "intermediate_dim": 12, "dropout": 0.0}
TEXT = {"vocabulary_size": VOCABULARY, "max_sequence_length": 10, **ENCODER}
DECODER = {
    "vocabulary_size": VOCABULARY,
    "num_layers": 2,
    "num_query_heads": 4,
    "num_key_value_heads": 2,
    "hidden_dim": 16,
    "intermediate_dim": 12,
}
LLAMA3 = {
    "rope_max_wavelength": 500,
    "rope_frequency_adjustment_factor": 8.0,
    "rope_low_freq_factor": 1.0,
    "rope_high_freq_factor": 4.0,
    "rope_pretraining_sequence_length": 64,
}
GEMMA2 = {
    "head_dim": 6,
    "use_post_ffw_norm": True,
    "use_post_attention_norm": True,
    "attention_logit_soft_cap": 2.0,
    "final_logit_soft_cap": 3.0,
    "use_sliding_window_attention": True,
    "sliding_window_size": 3,
}
GEMMA3 = {**GEMMA2, "attention_logit_soft_cap": None, "final_logit_soft_cap": None, "image_size": 16, "num_layers": 7}
SMOLLM3 = {
    "vocabulary_size": VOCABULARY,
    "hidden_dim": 16,
    "intermediate_dim": 12,
    "num_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "attention_bias": False,
    "attention_dropout": 0.0,
    "rope_layer_enabled_list": [True, False],
    "layer_types": ["full_attention", "full_attention"],
    "mlp_bias": False,
    "layer_norm_epsilon": 1e-5,
    "max_position_embeddings": 32,
    "rope_theta": 500.0,
    "partial_rotary_factor": 1.0,
}
VIT = {
    "image_shape": (8, 12, 3),
    "patch_size": (4, 4),
    "num_layers": 2,
    "num_heads": 2,
    "hidden_dim": 8,
    "mlp_dim": 12,
    "layer_norm_epsilon": 1e-5,
}
DINOV2 = {
    "patch_size": 4,
    "num_layers": 2,
    "hidden_dim": 8,
    "num_heads": 2,
    "intermediate_dim": 12,
    "image_shape": (8, 8, 3),
    "position_embedding_shape": (12, 12, 3),
}


def bert_preprocessor() -> Any:
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "good", "bad", "film"]
    tokenizer = models.BertTokenizer(vocabulary=words, lowercase=True)
    return models.BertTextClassifierPreprocessor(tokenizer, sequence_length=8)


CASES: dict[str, Callable[[], keras.Model]] = {
    "bert": lambda: models.BertBackbone(**TEXT, num_segments=3),
    "bert-classifier": lambda: models.BertTextClassifier(
        models.BertBackbone(**TEXT), 4, dropout=0.0, preprocessor=bert_preprocessor()
    ),
    "bert-masked-lm": lambda: models.BertMaskedLM(models.BertBackbone(**TEXT)),
    "bert-embedder": lambda: models.BertTextEmbedder(models.BertBackbone(**TEXT)),
    "bert-embedder-cls": lambda: models.BertTextEmbedder(
        models.BertBackbone(**TEXT), pooling_mode="cls", normalize=False
    ),
    "bert-embedder-max": lambda: models.BertTextEmbedder(models.BertBackbone(**TEXT), pooling_mode="max"),
    "distilbert": lambda: models.DistilBertBackbone(**TEXT),
    "distilbert-classifier": lambda: models.DistilBertTextClassifier(
        models.DistilBertBackbone(**TEXT), 4, dropout=0.0, hidden_dim=6, activation="softmax"
    ),
    "distilbert-masked-lm": lambda: models.DistilBertMaskedLM(models.DistilBertBackbone(**TEXT)),
    "roberta": lambda: models.RobertaBackbone(**TEXT),
    "roberta-classifier": lambda: models.RobertaTextClassifier(models.RobertaBackbone(**TEXT), 4, hidden_dim=6),
    "roberta-masked-lm": lambda: models.RobertaMaskedLM(models.RobertaBackbone(**TEXT)),
    "gpt2": lambda: models.GPT2Backbone(**TEXT),
    "gpt2-causal-lm": lambda: models.GPT2CausalLM(models.GPT2Backbone(**TEXT)),
    "llama": lambda: models.LlamaBackbone(**DECODER, rope_max_wavelength=500),
    "llama-causal-lm": lambda: models.LlamaCausalLM(models.LlamaBackbone(**DECODER)),
    "llama3-causal-lm": lambda: models.Llama3CausalLM(models.Llama3Backbone(**DECODER, **LLAMA3)),
    "qwen2": lambda: models.QwenBackbone(**DECODER),
    "qwen2-causal-lm": lambda: models.QwenCausalLM(models.QwenBackbone(**DECODER, rope_scaling_factor=2.0)),
    "qwen3-causal-lm": lambda: models.Qwen3CausalLM(
        models.Qwen3Backbone(**DECODER, head_dim=6, tie_word_embeddings=False)
    ),
    "qwen3-embedder": lambda: models.Qwen3TextEmbedder(models.Qwen3Backbone(**DECODER, head_dim=6)),
    "qwen3-embedder-mean": lambda: models.Qwen3TextEmbedder(
        models.Qwen3Backbone(**DECODER, head_dim=6), pooling_mode="mean", normalize=False
    ),
    "smollm3-causal-lm": lambda: models.SmolLM3CausalLM(models.SmolLM3Backbone(**SMOLLM3)),
    "gemma-causal-lm": lambda: models.GemmaCausalLM(models.GemmaBackbone(**DECODER, head_dim=6)),
    "gemma2": lambda: models.GemmaBackbone(**DECODER, **GEMMA2),
    "gemma2-causal-lm": lambda: models.GemmaCausalLM(models.GemmaBackbone(**DECODER, **GEMMA2)),
    "gemma3-causal-lm": lambda: models.Gemma3CausalLM(None, models.Gemma3Backbone(**{**DECODER, **GEMMA3})),
    "gemma3-embedder": lambda: models.Gemma3TextEmbedder(models.Gemma3Backbone(**{**DECODER, **GEMMA3})),
    "vit": lambda: models.ViTBackbone(**VIT),
    "vit-classifier": lambda: models.ViTImageClassifier(models.ViTBackbone(**VIT), 4, intermediate_dim=6),
    "vit-classifier-mean": lambda: models.ViTImageClassifier(
        models.ViTBackbone(**VIT), 4, pooling="gap", activation="softmax"
    ),
    "dinov2": lambda: models.DINOV2Backbone(**DINOV2),
}
TRAINED = (
    "bert-classifier",
    "roberta-classifier",
    "gpt2-causal-lm",
    "qwen2-causal-lm",
    "gemma2-causal-lm",
    "vit-classifier",
)
"""Cases of which training steps are recorded."""


def record(model: keras.Model, trained: bool) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.keras")
        model.save(path)
        with zipfile.ZipFile(path) as archive:
            config = json.loads(archive.read("config.json"))
            shapes, values = _arrays(archive.read("model.weights.h5"))
            assets = {
                name.removeprefix("assets/"): archive.read(name).decode()
                for name in archive.namelist()
                if name.startswith("assets/")
            }
        write_archive(path, config, shapes, values, assets)
        model = keras.saving.load_model(path)
    values |= _interpolated_values(model)
    inputs = drawn_inputs({tensor.name: tuple(tensor.shape[1:]) for tensor in model.inputs})
    fed = inputs if isinstance(model.input, dict) else next(iter(inputs.values()))
    outputs = model(fed, training=False)
    outputs = outputs if isinstance(outputs, dict) else {"output": outputs}
    recorded = {
        "config": config,
        "arrays": {name: list(shape) for name, shape in shapes.items()},
        **({"values": values} if values else {}),
        **({"assets": assets} if assets else {}),
        "inputs": {tensor.name: list(tensor.shape[1:]) for tensor in model.inputs},
        "outputs": {name: _numbers(array) for name, array in outputs.items()},
    }
    if trained:
        recorded["losses"] = _losses(model, fed)
    return recorded


def _arrays(weights: bytes) -> tuple[dict[str, tuple[int, ...]], dict[str, list[float]]]:
    """The shapes of all arrays, and the values of those that KerasHub computes from the configuration."""
    arrays: dict[str, Any] = {}
    with h5py.File(io.BytesIO(weights)) as file:
        file.visititems(lambda name, item: arrays.update({name: item[()]} if isinstance(item, h5py.Dataset) else {}))
    arrays = {name: array for name, array in arrays.items() if not name.startswith("optimizer/")}
    values = {name: _numbers(array) for name, array in arrays.items() if "rotary_embedding" in name}
    return {name: array.shape for name, array in arrays.items()}, values


def _interpolated_values(model: keras.Model) -> dict[str, list[float]]:
    """The values of arrays that KerasHub computes from other ones when it opens a file."""
    if not isinstance(model, models.DINOV2Backbone):
        return {}
    variables = [*model.embeddings.trainable_variables, *model.embeddings.non_trainable_variables]
    index = next(i for i, v in enumerate(variables) if v.name == "interpolated_position_embeddings")
    return {f"layers/dinov2_embedding/vars/{index}": _numbers(variables[index])}


def _losses(model: keras.Model, inputs: Any) -> list[float]:
    labels = drawn_labels(model(inputs).shape)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.preprocessor = None
    model.compile(keras.optimizers.SGD(LEARNING_RATE), loss, metrics=[])
    return [float(np.ravel(model.train_on_batch(inputs, labels))[0]) for _ in range(STEPS)]


def _numbers(array: Any) -> list[float]:
    return [float(number) for number in np.round(np.asarray(array, np.float64), DECIMALS).ravel()]


def main() -> None:
    recorded = {}
    for name, build in CASES.items():
        keras.utils.clear_session()
        keras.utils.set_random_seed(0)
        recorded[name] = record(build(), name in TRAINED)
        print(name)
    lines = (f"  {json.dumps(name)}: {json.dumps(entry)}" for name, entry in recorded.items())
    FIXTURE.write_text("{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    main()
