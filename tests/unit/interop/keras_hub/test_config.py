"""Every key of a configuration of KerasHub is read, known to change nothing, or refused by its name."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import jsonnx
import numpy as np
import pytest
from jsonnx.core.diagnostics import CompileError
from jsonnx.pipeline.compile.keras_import import import_keras
from support.keras_hub_files import drawn_inputs, recorded_models, write_archive, write_model

RECORDED = recorded_models()
MIXED = {"class_name": "DTypePolicy", "config": {"name": "mixed_bfloat16"}}
HALF = {"class_name": "DTypePolicy", "config": {"name": "bfloat16"}}
QUANTIZED = {"class_name": "QuantizedDTypePolicy", "config": {"mode": "int8", "source_name": "float32"}}


def changed(name: str, **keys: Any) -> dict[str, Any]:
    """A recorded model with changed keys of its configuration; `backbone__x` is the key x of its backbone."""
    model = copy.deepcopy(RECORDED[name])
    for key, value in keys.items():
        config = model["config"]["config"]
        if key.startswith("backbone__"):
            key, config = key.removeprefix("backbone__"), config["backbone"]["config"]
        config[key] = value
    return model


def errors_of(folder: Path, model: dict[str, Any]) -> list[jsonnx.Diagnostic]:
    with pytest.raises(CompileError) as caught:
        jsonnx.from_keras(write_model(folder / "model.keras", model))
    return caught.value.diagnostics


@pytest.mark.parametrize(
    ("name", "keys", "code", "text"),
    [
        ("bert", {"hidden_dim": "8"}, "wrong-type", "'hidden_dim' has to be an integer"),
        ("bert", {"hidden_dim": 1 << 40}, "out-of-range", "'hidden_dim' has to be between"),
        ("bert", {"hidden_dim": None}, "missing-key", "the key 'hidden_dim' is missing"),
        ("bert", {"num_layers": 10**9}, "out-of-range", "between 1 and 1,000"),
        ("bert", {"num_heads": 3}, "invalid-value", "no multiple of 'num_heads'"),
        ("bert", {"dropout": 1.5}, "out-of-range", "'dropout'"),
        ("bert", {"rotary": True}, "unsupported-model", "the key 'rotary' may change results"),
        ("bert", {"trainable": "no"}, "wrong-type", "'trainable' has to be true or false"),
        ("bert", {"dtype": HALF}, "keras-dtype", "computes in bfloat16"),
        ("bert", {"dtype": QUANTIZED}, "keras-dtype", "computes in QuantizedDTypePolicy"),
        ("bert-classifier", {"num_classes": 0}, "out-of-range", "'num_classes'"),
        ("bert-classifier", {"activation": "my>activation"}, "unsupported-model", "'activation'"),
        ("bert-classifier", {"backbone": None}, "missing-key", "no backbone"),
        ("bert-classifier", {"backbone__extra": 1}, "unsupported-model", "the key 'extra' may change results"),
        ("bert-embedder", {"pooling_mode": "last"}, "unsupported-model", "'pooling_mode' is 'last'"),
        ("llama", {"rope_position_scaling_factor": 2.0}, "unsupported-model", "'rope_position_scaling_factor'"),
        ("llama", {"rope_low_freq_factor": 2.0}, "unsupported-model", "'rope_low_freq_factor'"),
        ("llama", {"num_key_value_heads": 3}, "invalid-value", "no multiple of 'num_key_value_heads'"),
        ("llama3-causal-lm", {"backbone__rope_high_freq_factor": None}, "missing-key", "'rope_high_freq_factor'"),
        ("smollm3-causal-lm", {"backbone__attention_bias": True}, "unsupported-model", "'attention_bias'"),
        ("smollm3-causal-lm", {"backbone__rope_layer_enabled_list": 1}, "wrong-type", "'rope_layer_enabled_list'"),
        ("gemma2", {"query_head_dim_normalize": False}, "unsupported-model", "'query_head_dim_normalize'"),
        ("gemma2", {"use_post_ffw_norm": False}, "unsupported-model", "'use_post_ffw_norm'"),
        ("gemma2", {"layer_norm_epsilon": 1e-3}, "unsupported-model", "'layer_norm_epsilon'"),
        ("gemma3-causal-lm", {"backbone__vision_encoder": {}}, "unsupported-model", "'vision_encoder'"),
        ("gemma3-embedder", {"backbone__use_bidirectional_attention": True}, "unsupported-model", "bidirectional"),
        ("gemma3-embedder", {"backbone__is_embedding_model": True}, "unsupported-model", "'is_embedding_model'"),
        ("vit", {"use_class_token": False}, "unsupported-model", "'use_class_token'"),
        ("vit", {"image_shape": [8, 8]}, "invalid-value", "'image_shape'"),
        ("vit", {"patch_size": [16, 4]}, "invalid-value", "'patch_size'"),
        ("vit-classifier", {"pooling": "max"}, "unsupported-model", "'pooling'"),
        ("dinov2", {"num_register_tokens": 4}, "unsupported-model", "'num_register_tokens'"),
        ("dinov2", {"use_swiglu_ffn": True}, "unsupported-model", "'use_swiglu_ffn'"),
    ],
)
def test_a_key_that_is_not_understood_is_named(
    name: str, keys: dict[str, Any], code: str, text: str, tmp_path: Path
) -> None:
    (error,) = errors_of(tmp_path, changed(name, **keys))
    assert error.code == code, error
    assert text in error.message
    assert error.path.startswith("$.config")


@pytest.mark.parametrize(
    ("class_name", "text"),
    [("MoonshineBackbone", "known names: BertBackbone"), ("BertTextClasifier", "did you mean 'BertTextClassifier'?")],
)
def test_an_unknown_class_is_refused(class_name: str, text: str, tmp_path: Path) -> None:
    model = changed("bert")
    model["config"]["class_name"] = class_name
    (error,) = errors_of(tmp_path, model)
    assert error.code == "keras-unknown-class"
    assert error.help is not None
    assert text in error.help


def test_a_task_needs_the_backbone_of_its_class(tmp_path: Path) -> None:
    model = changed("bert-classifier", backbone=RECORDED["roberta"]["config"])
    (error,) = errors_of(tmp_path, model)
    assert error.code == "invalid-value"
    assert "has to be a BertBackbone, got 'RobertaBackbone'" in error.message


def test_the_position_in_a_json_file_is_shown(tmp_path: Path) -> None:
    text = json.dumps(changed("bert", num_heads=3)["config"], indent=1)
    with pytest.raises(CompileError) as caught:
        jsonnx.from_keras(text)
    (error,) = caught.value.diagnostics
    assert error.line is not None
    assert '"hidden_dim"' in text.splitlines()[error.line - 1]


def test_a_configuration_without_weights(tmp_path: Path) -> None:
    spec, weights = jsonnx.from_keras(json.dumps(RECORDED["bert"]["config"]))
    assert weights is None
    assert spec == jsonnx.from_keras(write_model(tmp_path / "model.keras", RECORDED["bert"]))[0]


# -- weights -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "shape", "text"),
    [
        ("layers/dense/vars/0", None, "the weight 'pooler/kernel' is missing"),
        ("layers/dense/vars/0", [8, 9], "has the shape [8, 9], the configuration leads to [8, 8]"),
        ("layers/dense_1/vars/0", [8, 9], "'layers/dense_1/vars/0' belongs to no weight"),
    ],
)
def test_arrays_that_do_not_fit_are_errors(path: str, shape: list[int] | None, text: str, tmp_path: Path) -> None:
    model = changed("bert")
    model["arrays"].pop(path, None)
    if shape is not None:
        model["arrays"][path] = shape
    (error,) = errors_of(tmp_path, model)
    assert error.code == "weights-mismatch"
    assert text in error.message


def test_llama_may_have_the_embedding_as_kernel_of_its_logits(tmp_path: Path) -> None:
    model = changed("llama-causal-lm")
    del model["arrays"]["layers/llama_backbone/layers/reversible_embedding/vars/1"]
    spec, weights = jsonnx.from_keras(write_model(tmp_path / "model.keras", model))
    assert weights is not None
    assert "tie_weights" not in spec["layers"][0]
    assert "word_embeddings/reverse_embeddings" not in weights


def test_flat_specs_have_the_same_results_and_weights(tmp_path: Path) -> None:
    model = RECORDED["gemma2-causal-lm"]
    path = write_model(tmp_path / "model.keras", model)
    inputs = drawn_inputs({name: tuple(shape) for name, shape in model["inputs"].items()})
    results = []
    for fold in (True, False):
        imported = import_keras(path, fold=fold)
        assert any("repeat" in layer for layer in imported.spec["layers"]) == fold
        results.append(jsonnx.compile(imported.spec, weights=imported.weights).session().run(inputs)["logits"])
    np.testing.assert_array_equal(*results)


def test_the_file_gives_its_weights_to_the_spec(tmp_path: Path) -> None:
    path = write_model(tmp_path / "model.keras", RECORDED["bert"])
    spec, weights = jsonnx.from_keras(path)
    assert weights is not None
    read = jsonnx.Trainer({**spec, "training": {"loss": "mse"}}, weights=path).weights()
    np.testing.assert_array_equal(read["pooler/kernel"], weights["pooler/kernel"])


# -- training ----------------------------------------------------------------------------------------------------------


def test_the_arguments_of_compile_are_the_section_training(tmp_path: Path) -> None:
    spec, _ = jsonnx.from_keras(write_model(tmp_path / "model.keras", RECORDED["bert-classifier"]))
    assert spec["training"]["loss"] == {"type": "sparse_categorical_crossentropy", "from_logits": True}
    assert "freeze" not in spec["training"]


def test_a_frozen_backbone_stays_frozen(tmp_path: Path) -> None:
    model = changed("roberta-classifier", backbone__trainable=False)
    spec, weights = jsonnx.from_keras(write_model(tmp_path / "model.keras", model))
    assert spec["training"]["freeze"] == ["*", "!classifier_dense", "!classifier"]
    trainer = jsonnx.Trainer(spec, weights=weights)
    before = trainer.weights()
    inputs = drawn_inputs({name: tuple(shape) for name, shape in model["inputs"].items()})
    trainer.step(inputs, np.array([0, 1, 2], np.int32))
    changed_layers = {name.split("/")[0] for name, array in trainer.weights().items() if (array != before[name]).any()}
    assert changed_layers == {"classifier_dense", "classifier"}


@pytest.mark.parametrize(
    ("name", "keys", "text"),
    [
        ("bert", {"dtype": MIXED}, "mixed_bfloat16 compute in float32"),
        ("llama", {"dropout": 0.1}, "'dropout' applies to the results of the attention"),
        ("gemma2", {"dropout": 0.1}, "'dropout' applies to the attention scores only"),
        ("vit", {"dropout_rate": 0.1}, "'dropout_rate' applies to the results"),
        ("dinov2", {"dropout_rate": 0.1}, "'dropout_rate' applies to the results"),
    ],
)
def test_a_difference_in_training_is_a_warning(name: str, keys: dict[str, Any], text: str, tmp_path: Path) -> None:
    model = changed(name, **keys)
    path = tmp_path / "model.keras"
    write_archive(path, model["config"], model["arrays"])
    (warning,) = import_keras(path).notices
    assert warning.code == "keras-differs"
    assert text in warning.message
