"""Every key of a configuration is read, known to change nothing, or refused by its name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonnx
import pytest
from jsonnx.core.diagnostics import CompileError, Report
from jsonnx.interop.hugging_face.config import Config
from support.hugging_face_folders import write_fixture


def error_of(folder: Path) -> Any:
    with pytest.raises(CompileError) as caught:
        jsonnx.from_hugging_face(folder)
    (error,) = caught.value.diagnostics
    return error


@pytest.mark.parametrize(
    ("changes", "code", "text"),
    [
        ({"hidden_size": "8"}, "wrong-type", "'hidden_size' has to be an integer"),
        ({"hidden_size": True}, "wrong-type", "'hidden_size' has to be an integer"),
        ({"hidden_size": 10**12}, "out-of-range", "'hidden_size' has to be between 1 and 16,777,216"),
        ({"num_hidden_layers": 10**9}, "out-of-range", "between 1 and 1,000"),
        ({"num_hidden_layers": 0}, "out-of-range", "between 1 and 1,000"),
        ({"num_attention_heads": 3}, "invalid-value", "no multiple of 'num_attention_heads'"),
        ({"layer_norm_eps": -1.0}, "out-of-range", "'layer_norm_eps'"),
        ({"hidden_dropout_prob": 1.0}, "out-of-range", "'hidden_dropout_prob'"),
        ({"hidden_act": "quick_gelu"}, "unsupported-model", "'hidden_act' is 'quick_gelu'"),
        ({"hidden_act": ["gelu"]}, "wrong-type", "'hidden_act' has to be a string"),
        ({"position_embedding_type": "relative_key"}, "unsupported-model", "'position_embedding_type'"),
        ({"is_decoder": True}, "unsupported-model", "'is_decoder' is true"),
        ({"is_encoder_decoder": True}, "unsupported-model", "'is_encoder_decoder' is true"),
        ({"embedding_multiplier": 2.0}, "unsupported-model", "the key 'embedding_multiplier' may change results"),
        ({"quantization_config": {"bits": 4}}, "unsupported-model", "'quantization_config'"),
        ({"auto_map": {"AutoModel": "modeling.Model"}}, "unsupported-model", "'auto_map'"),
        ({"pruned_heads": {"0": [1]}}, "unsupported-model", "'pruned_heads'"),
        ({"model_type": "bart"}, "unsupported-model", "there is no import of 'bart'"),
        ({"model_type": None}, "missing-key", "the key 'model_type' is missing"),
        ({"architectures": [1]}, "wrong-type", "'architectures' has to be a list of strings"),
        ({"vocab_size": None}, "missing-key", "the key 'vocab_size' is missing"),
    ],
)
def test_a_key_that_is_not_understood_is_named(changes: dict[str, Any], code: str, text: str, tmp_path: Path) -> None:
    error = error_of(write_fixture(tmp_path, "bert", **changes))
    assert (error.code, error.file) == (code, str(tmp_path / "config.json"))
    assert text in error.message


def test_an_error_has_the_line_of_its_key(tmp_path: Path) -> None:
    error = error_of(write_fixture(tmp_path, "bert", hidden_act="quick_gelu"))
    lines = (tmp_path / "config.json").read_text().splitlines()
    assert '"hidden_act"' in lines[error.line - 1]
    assert "'gelu'" in error.help


def test_a_misspelled_architecture_gets_a_suggestion(tmp_path: Path) -> None:
    assert "'distilbert'" in error_of(write_fixture(tmp_path, "bert", model_type="distillbert")).help


@pytest.mark.parametrize(
    "changes",
    [
        {"pruned_heads": {}, "transformers_version": "4.8.2", "gradient_checkpointing": True},
        {"torch_dtype": "float16", "dtype": None, "_name_or_path": "bert-base", "id2label": {"0": "a"}},
        {"position_embedding_type": "absolute", "output_past": None, "use_cache": False},
    ],
)
def test_keys_of_all_versions_that_change_no_result_are_accepted(changes: dict[str, Any], tmp_path: Path) -> None:
    expected = jsonnx.from_hugging_face(write_fixture(tmp_path / "plain", "bert"))[0]
    assert jsonnx.from_hugging_face(write_fixture(tmp_path / "changed", "bert", **changes))[0] == expected


@pytest.mark.parametrize(
    "text",
    ['{"model_type": "bert", "layer_norm_eps": NaN}', '{"a": 1, "a": 2}', "[]", "{", "", "[" * 100_000],
)
def test_a_malformed_configuration_is_an_error(text: str, tmp_path: Path) -> None:
    write_fixture(tmp_path, "bert")
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(CompileError):
        jsonnx.from_hugging_face(tmp_path)


def config(**values: Any) -> Config:
    return Config(values, Report())


@pytest.mark.parametrize(
    "values",
    [
        {"rope_theta": 5e5, "rope_scaling": {"type": "linear", "factor": 2.0}},
        {"rope_theta": 5e5, "rope_scaling": {"rope_type": "linear", "factor": 2.0}},
        {"rope_parameters": {"rope_theta": 5e5, "rope_type": "linear", "factor": 2.0}},
        {"rope_parameters": {"rope_theta": 5e5, "rope_type": "linear", "factor": 2.0}, "rope_theta": 5e5},
        {"rope_parameters": {"full": {"rope_theta": 5e5, "rope_type": "linear", "factor": 2.0}, "other": {}}},
    ],
)
def test_versions_4_and_5_have_one_form_of_rotary_options(values: dict[str, Any]) -> None:
    read = config(**values)
    rope = read.rope(layer_type="full")
    assert (rope.number("rope_theta"), rope.text("rope_type"), rope.number("factor")) == (5e5, "linear", 2.0)
    read.check_all_read()


def test_an_unknown_rotary_option_is_named() -> None:
    read = config(rope_scaling={"type": "linear", "factor": 2.0, "stretch": 3})
    rope = read.rope()
    rope.skip("rope_type", "factor", "rope_theta")
    with pytest.raises(CompileError, match="'stretch'"):
        read.check_all_read()


def test_rotary_options_of_modernbert_in_version_4(tmp_path: Path) -> None:
    version_4 = {"global_rope_theta": 160000.0, "local_rope_theta": 10000.0, "global_attn_every_n_layers": 3}
    older = {"rope_parameters": None, "layer_types": None, **version_4}
    expected = jsonnx.from_hugging_face(write_fixture(tmp_path / "5", "modernbert"))[0]
    assert jsonnx.from_hugging_face(write_fixture(tmp_path / "4", "modernbert", **older))[0] == expected


def test_irregular_types_of_layers_are_written_out(tmp_path: Path) -> None:
    kinds = ["sliding_attention", "full_attention", "full_attention", "sliding_attention"]
    spec, _ = jsonnx.from_hugging_face(write_fixture(tmp_path, "modernbert", layer_types=kinds))
    assert "${[3, null, null][index % 3]}" in json.dumps(spec)


def test_a_missing_window_of_mistral_is_its_default_and_null_is_none(tmp_path: Path) -> None:
    folder = write_fixture(tmp_path / "model", "mistral", sliding_window=None)

    def window() -> Any:
        (block,) = [
            each for each in jsonnx.from_hugging_face(folder)[0]["layers"] if each.get("type") == "std.LlamaBlock"
        ]
        return block.get("sliding_window")

    assert window() == 4096
    values = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**values, "sliding_window": None}))
    assert window() is None
