"""Causal decoders: keys of published configurations of all versions, heads, old checkpoints, and training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jsonnx
import numpy as np
import pytest
from jsonnx.core.diagnostics import CompileError
from jsonnx.interop.hugging_face.families.layer_values import value_by_layer
from support.hugging_face_folders import fixture, random_tensors, write_fixture, write_folder

TOLERANCE = 2e-5


def results(folder: Path, name: str) -> np.ndarray:
    """The results of an imported folder for the recorded inputs, without those of padding."""
    inputs = {key: np.array(value) for key, value in fixture(name)["inputs"].items()}
    spec, weights = jsonnx.from_hugging_face(folder)
    (y,) = jsonnx.Session(jsonnx.compile(spec, weights=weights)).run(inputs).values()
    return y[inputs["attention_mask"] == 1] if y.ndim == 3 else y


def recorded_results(name: str) -> np.ndarray:
    recorded = fixture(name)
    (y,) = map(np.array, recorded["outputs"].values())
    return y[np.array(recorded["inputs"]["attention_mask"]) == 1]


def version_4(rope: dict[str, Any]) -> dict[str, Any]:
    """The keys that version 4 of transformers had for rotary parameters."""
    scaling = {key: value for key, value in rope.items() if key != "rope_theta"}
    return {"rope_parameters": None, "rope_theta": rope["rope_theta"], "rope_scaling": scaling}


def of_type(name: str) -> dict[str, Any]:
    """The keys of version 4 for a recorded model, with the older key `type`."""
    changes = version_4(fixture(name)["config"]["rope_parameters"])
    changes["rope_scaling"]["type"] = changes["rope_scaling"].pop("rope_type")
    return changes


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("llama_llama3", version_4(fixture("llama_llama3")["config"]["rope_parameters"])),
        ("llama_yarn", version_4(fixture("llama_yarn")["config"]["rope_parameters"])),
        ("qwen3", version_4(fixture("qwen3")["config"]["rope_parameters"])),
        ("llama_linear", of_type("llama_linear")),
        ("llama_longrope", of_type("llama_longrope")),
        ("llama_lm", {"rope_parameters": None, "rope_theta": 100.0, "rope_scaling": None, "head_dim": None}),
        ("qwen2", {"layer_types": None, "use_mrope": False}),
        ("smollm3", {"layer_types": None, "max_window_layers": 28}),
        ("smollm3", {"layer_types": None, "no_rope_layers": None, "no_rope_layer_interval": 2}),
        ("gemma", {"hidden_act": "gelu", "hidden_activation": None}),
        ("gemma", {"hidden_act": "gelu", "hidden_activation": "gelu_pytorch_tanh"}),
        ("gemma2", {"layer_types": None, "hidden_act": "gelu_pytorch_tanh", "sliding_window_size": 4096}),
        (
            "gemma3",
            {
                **version_4({"rope_theta": 1000.0, "rope_type": "linear", "factor": 8.0}),
                **{
                    "rope_local_base_freq": 50.0,
                    "layer_types": None,
                    "sliding_window_pattern": 2,
                    "cache_implementation": "hybrid",
                },
            },
        ),
        ("gpt2", {"n_ctx": 1024, "hidden_size": None}),
        ("llama", {"_model_name_or_path": "x", "is_llama_config": True, "rope_interleaved": False}),
    ],
)
def test_configurations_of_other_versions_lead_to_the_same_results(
    name: str, changes: dict[str, Any], tmp_path: Path
) -> None:
    folder = write_fixture(tmp_path, name, **changes)
    np.testing.assert_allclose(results(folder, name), recorded_results(name), atol=TOLERANCE)


def rope_of_layers(kind: str, **changes: Any) -> dict[str, Any]:
    """The rotary parameters of the recorded Gemma 3, with changes for one kind of layers."""
    stored = fixture("gemma3")["config"]["rope_parameters"]
    return {**stored, kind: {**stored[kind], **changes}}


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("mistral", {"sliding_window": 4}),
        ("qwen2", {"sliding_window": 2}),
        ("qwen2", {"layer_types": ["full_attention", "full_attention"]}),
        ("smollm3", {"no_rope_layers": [1, 1]}),
        ("gemma", {"hidden_act": "silu", "hidden_activation": None}),
        ("gemma2", {"attn_logit_softcapping": 2.0}),
        ("gemma2", {"final_logit_softcapping": 3.0}),
        ("gemma2", {"query_pre_attn_scalar": 10}),
        ("gemma2", {"sliding_window": 2}),
        ("gemma3", {"layer_types": ["sliding_attention"] * 3}),
        ("gemma3", {"rope_parameters": rope_of_layers("full_attention", rope_theta=2000.0)}),
        ("gemma3", {"rope_parameters": rope_of_layers("sliding_attention", rope_theta=200.0)}),
        ("llama_llama3", {"rope_parameters": {**fixture("llama_llama3")["config"]["rope_parameters"], "factor": 5.0}}),
        ("qwen3", {"rope_parameters": {**fixture("qwen3")["config"]["rope_parameters"], "mscale": 1.2}}),
        ("gpt2", {"activation_function": "gelu"}),
        ("llama", {"rms_norm_eps": 1e-3}),
    ],
)
def test_each_option_changes_the_results(name: str, changes: dict[str, Any], tmp_path: Path) -> None:
    difference = np.abs(results(write_fixture(tmp_path, name, **changes), name) - recorded_results(name))
    assert difference.max() > 5 * TOLERANCE


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([8, 8, 8], 8),
        ([None, None, 8], "${null if index < 2 else 8}"),
        ([8, None, 8, None], "${[8, null][index % 2]}"),
        ([8, 8, None, 8, 8, None, 8], "${[8, 8, null][index % 3]}"),
        ([True, False, True, False, False], "${[true, false, true, false, false][index]}"),
    ],
)
def test_values_of_layers_are_one_expression(values: list[Any], expected: Any) -> None:
    assert value_by_layer(values) == expected


def rope(name: str, **changes: Any) -> dict[str, Any]:
    return {"rope_parameters": {**fixture(name)["config"]["rope_parameters"], **changes}}


@pytest.mark.parametrize(
    ("name", "changes", "text"),
    [
        ("llama", rope("llama", rope_type="dynamic", factor=2.0), "'rope_type' is 'dynamic'"),
        ("llama", rope("llama", partial_rotary_factor=0.5), "'partial_rotary_factor' is 0.5"),
        ("llama", rope("llama", stretch=1), "the key 'stretch' may change results"),
        ("llama", rope("llama", factor=2.0), "the key 'factor' may change results"),
        ("llama", {"rope_interleaved": True}, "'rope_interleaved' is true"),
        ("llama", {"num_key_value_heads": 3}, "no multiple of 'num_key_value_heads'"),
        ("llama", {"residual_multiplier": 0.2}, "the key 'residual_multiplier' may change results"),
        ("llama_llama3", rope("llama_llama3", low_freq_factor=None), "the key 'low_freq_factor' is missing"),
        ("llama_longrope", rope("llama_longrope", long_factor=[1.0]), "'long_factor' needs 2 numbers"),
        ("qwen2", {"use_mrope": True}, "'use_mrope' is true"),
        ("qwen2", {"layer_types": ["full_attention"]}, "for each of the 2 layers"),
        ("qwen2", {"layer_types": ["full_attention", "linear_attention"]}, "for each of the 2 layers"),
        ("smollm3", {"no_rope_layers": [1]}, "'no_rope_layers' needs a number for each of 2 layers"),
        ("gemma2", {"use_bidirectional_attention": True}, "'use_bidirectional_attention' is true"),
        ("gemma3", {"attn_logit_softcapping": 30.0}, "'attn_logit_softcapping' is 30.0"),
        ("gpt2", {"scale_attn_by_inverse_layer_idx": True}, "'scale_attn_by_inverse_layer_idx' is true"),
        ("gpt2", {"n_head": 5}, "no multiple of 'n_head'"),
    ],
)
def test_an_option_that_is_not_understood_is_named(
    name: str, changes: dict[str, Any], text: str, tmp_path: Path
) -> None:
    with pytest.raises(CompileError) as caught:
        jsonnx.from_hugging_face(write_fixture(tmp_path, name, **changes))
    assert text in caught.value.diagnostics[0].message
    assert caught.value.diagnostics[0].file == str(tmp_path / "config.json")


def test_an_old_checkpoint_of_gpt2_has_buffers_and_no_prefix(tmp_path: Path) -> None:
    recorded = fixture("gpt2_lm")
    tensors = random_tensors(recorded["tensors"])
    old = {name.removeprefix("transformer."): array for name, array in tensors.items()}
    old |= {f"h.{index}.attn.bias": np.ones((1, 1, 16, 16), np.float32) for index in range(2)}
    old["lm_head.weight"] = old["wte.weight"]
    folder = write_folder(tmp_path, recorded["config"], old)
    np.testing.assert_allclose(results(folder, "gpt2_lm"), recorded_results("gpt2_lm"), atol=TOLERANCE)


def test_tied_tensors_that_differ_are_refused(tmp_path: Path) -> None:
    recorded = fixture("gemma_lm")
    tensors = random_tensors(recorded["tensors"])
    tensors["lm_head.weight"] = 2 * tensors["model.embed_tokens.weight"]
    with pytest.raises(CompileError, match=r"'lm_head\.weight' and 'model\.embed_tokens\.weight' differ"):
        jsonnx.from_hugging_face(write_folder(tmp_path, recorded["config"], tensors))


def test_a_language_model_without_its_own_head_tensor_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CompileError, match=r"the tensor 'lm_head\.weight' is missing"):
        jsonnx.from_hugging_face(write_fixture(tmp_path, "gemma_lm", tie_word_embeddings=False))


@pytest.mark.parametrize("name", ["llama_lm", "gemma2", "gpt2_lm", "llama_classifier"])
def test_another_head_classifies_by_the_last_token(name: str, tmp_path: Path) -> None:
    spec, weights = jsonnx.from_hugging_face(write_fixture(tmp_path, name), head={"kind": 3})
    assert jsonnx.validate(spec) == []
    inputs = {key: np.array(value) for key, value in fixture(name)["inputs"].items()}
    trainer = jsonnx.Trainer(spec, weights=weights, partial=True)
    before = trainer.weights()
    assert trainer.predict(inputs).shape == (len(inputs["input_ids"]), 3)
    trainer.fit(inputs, np.arange(len(inputs["input_ids"])) % 3, epochs=1, verbose=0)
    changed = [key for key, array in trainer.weights().items() if not np.array_equal(array, before[key])]
    assert changed == ["kind/kernel", "kind/bias"]


@pytest.mark.parametrize("side", ["left", "right"])
def test_padding_changes_no_gradient(side: str, tmp_path: Path) -> None:
    """Other tokens in the padding lead to the same weights after a step."""
    spec, weights = jsonnx.from_hugging_face(write_fixture(tmp_path, "llama_classifier"))
    loss = {"type": "sparse_categorical_crossentropy", "from_logits": True}
    spec["training"] = {"loss": loss, "optimizer": {"type": "sgd", "learning_rate": 0.1}}
    ids = np.random.default_rng(0).integers(3, 19, (2, 6))
    padding = np.s_[:, :2] if side == "left" else np.s_[:, 4:]
    mask, other = np.ones_like(ids), ids.copy()
    mask[padding], other[padding] = 0, 5
    trained = []
    for tokens in (ids, other):
        trainer = jsonnx.Trainer(spec, weights=weights)
        trainer.fit({"input_ids": tokens, "attention_mask": mask}, np.array([1, 0]), epochs=1, verbose=0)
        trained.append(trainer.weights())
    for key, array in trained[0].items():
        np.testing.assert_allclose(array, trained[1][key], atol=TOLERANCE, err_msg=key)


def test_kinds_of_layers_may_have_different_frequencies(tmp_path: Path) -> None:
    """YaRN in the layers that attend to all positions, and in those with a window: equal to each alone."""
    yarn = {"rope_type": "yarn", "factor": 4.0, "rope_theta": 1000.0, "original_max_position_embeddings": 8}
    spec, _ = jsonnx.from_hugging_face(
        write_fixture(tmp_path, "gemma3", rope_parameters=rope_of_layers("full_attention", **yarn))
    )
    (rotary,) = (entry["rotary"] for entry in spec["layers"] if "rotary" in entry)
    assert rotary["rope_type"] == '${["linear", "yarn"][index % 2]}'
    assert rotary["scaling_factor"] == "${[1.0, 4.0][index % 2]}"
    assert rotary["max_wavelength"] == "${[50.0, 1000.0][index % 2]}"
    assert rotary["beta_fast"] == 32.0
    assert jsonnx.validate(spec) == []
