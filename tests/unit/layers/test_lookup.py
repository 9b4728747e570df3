"""Lookups and text against results of Keras, by `environments/parity/record_lookups.py`; and adapting to data."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonnx
import numpy as np
import pytest
from jsonnx.core.diagnostics import CompileError

RECORDED = json.loads((Path(__file__).parents[2] / "environments/parity/fixtures/lookups.json").read_text("utf-8"))


def spec(layer: dict[str, Any], x: np.ndarray) -> dict[str, Any]:
    dtype = "string" if x.dtype == object else str(x.dtype).replace("float64", "float32")
    return {"inputs": {"x": {"shape": list(x.shape[1:]), "dtype": dtype}}, "layers": [{**layer, "name": "layer"}]}


def array(x: Any) -> np.ndarray:
    result = np.array(x)
    return result.astype(object) if result.dtype.kind == "U" else result


@pytest.mark.costly(6)
@pytest.mark.parametrize("case", RECORDED["calls"], ids=lambda case: case["layer"]["type"])
def test_lookups_match_keras(case: dict[str, Any]) -> None:
    x, expected = array(case["x"]), array(case["y"])
    model = jsonnx.compile(spec(case["layer"], x))
    model.verify()
    (result,) = model.session().run(x).values()
    assert result.shape == expected.shape
    if expected.dtype == object:
        assert result.tolist() == expected.tolist()
    else:
        assert np.abs(result - expected).max(initial=0.0) < 1e-5


@pytest.mark.costly(2)
@pytest.mark.parametrize("case", RECORDED["lessons"], ids=lambda case: case["layer"]["type"])
def test_adapted_states_match_keras(case: dict[str, Any]) -> None:
    x = array(case["x"])
    network = spec(case["layer"], x)
    rescaling = {"type": "Rescaling", "scale": 1}
    column = {"type": "Reshape", "target_shape": [-1, 1]}
    network["layers"] += [rescaling, column, {"type": "GlobalAveragePooling1D"}, {"type": "Dense", "units": 1}]
    network["training"] = {"loss": "mse"}
    trainer = jsonnx.Trainer(network)
    trainer.fit(x, np.zeros((len(x), 1)), batch_size=4)
    weights = trainer.weights()
    for name, expected in case["states"].items():
        state = weights[f"layer/{name}"]
        if name == "vocabulary":
            assert state.tolist() == expected
        else:
            assert np.ravel(state)[: np.size(expected)] == pytest.approx(np.ravel(expected), rel=1e-5, abs=1e-5)


TEXT = {
    "inputs": {"x": {"shape": [], "dtype": "string"}},
    "layers": [
        {
            "type": "TextVectorization",
            "name": "words",
            "max_tokens": 9,
            "output_mode": "count",
            "pad_to_max_tokens": True,
        },
        {"type": "Dropout", "rate": 0.2},
        {"type": "Dense", "units": 1},
    ],
    "training": {"loss": "mse", "batch_size": 4},
}
X = np.array(["the cat", "a dog, the dog", "", "a cat!", "the end"], object)
Y = np.arange(5.0)


def test_compiling_and_training_require_a_learned_vocabulary() -> None:
    with pytest.raises(CompileError, match="learned no vocabulary yet"):
        jsonnx.compile(TEXT)
    with pytest.raises(CompileError, match="learned no vocabulary yet"):
        jsonnx.Trainer(TEXT).step(X, Y)


def test_weights_and_checkpoints_contain_the_learned_vocabulary(tmp_path: Path) -> None:
    trainer = jsonnx.Trainer(TEXT)
    trainer.fit(X, Y, epochs=2)
    weights = trainer.weights()
    assert weights["words/vocabulary"].tolist() == ["the", "dog", "cat", "a", "end"]
    second = jsonnx.Trainer(TEXT, weights=weights)
    second.fit(np.array(["other words"], object), Y[:1])
    assert second.weights()["words/vocabulary"].tolist() == weights["words/vocabulary"].tolist()
    trainer.save_checkpoint(tmp_path / "one.safetensors")
    resumed = jsonnx.Trainer(TEXT)
    resumed.load_checkpoint(tmp_path / "one.safetensors")
    resumed.fit(X, Y, epochs=4)
    uninterrupted = jsonnx.Trainer(TEXT)
    uninterrupted.fit(X, Y, epochs=4)
    assert resumed.model().to_bytes() == uninterrupted.model().to_bytes()


def test_a_weight_file_compiles_to_the_same_model(tmp_path: Path) -> None:
    from jsonnx.interop.safetensors_file import weights_parts

    trainer = jsonnx.Trainer(TEXT)
    trainer.fit(X, Y)
    (tmp_path / "weights.safetensors").write_bytes(b"".join(weights_parts(trainer.weights())))
    assert jsonnx.compile(TEXT, tmp_path / "weights.safetensors").to_bytes() == trainer.model().to_bytes()


@pytest.mark.parametrize("tokens", [np.array(["a", "a"], object), np.array([1.0]), np.array([7], np.uint8)])
def test_set_weights_rejects_an_invalid_vocabulary(tokens: np.ndarray) -> None:
    with pytest.raises(ValueError, match="words/vocabulary"):
        jsonnx.Trainer(TEXT).set_weights({"words/vocabulary": tokens}, strict=False)


@pytest.mark.parametrize(
    "layer",
    [
        {"type": "StringLookup", "vocabulary": ["a"], "num_oov_indices": 2},
        {"type": "StringLookup", "output_mode": "one_hot"},
        {"type": "StringLookup", "vocabulary": ["a", "b", "a"]},
        {"type": "StringLookup", "vocabulary": ["a"], "output_mode": "tf_idf"},
        {"type": "StringLookup", "vocabulary": ["a"], "invert": True},
        {"type": "TextVectorization", "vocabulary": ["a"], "output_mode": "one_hot"},
        {"type": "TextVectorization", "vocabulary": ["a"], "output_mode": "count", "output_sequence_length": 3},
    ],
)
def test_unsupported_arguments_are_errors(layer: dict[str, Any]) -> None:
    assert jsonnx.validate({"inputs": {"x": {"shape": [1], "dtype": "string"}}, "layers": [layer]})


def test_an_unknown_token_without_oov_index_fails_at_run_time() -> None:
    layer = {"type": "StringLookup", "vocabulary": ["a", "b"], "num_oov_indices": 0}
    session = jsonnx.compile(spec(layer, X[:, None])).session()
    assert session.run(np.array([["b"]], object))["layer"].tolist() == [[1]]
    with pytest.raises(CompileError):
        session.run(np.array([["z"]], object))


def write(path: Path, layer: dict[str, Any]) -> Path:
    dtype = "string" if layer["type"] == "StringLookup" else "int64"
    path.write_text(json.dumps({"inputs": {"x": {"shape": [1], "dtype": dtype}}, "layers": [layer]}))
    return path


def test_a_vocabulary_can_be_read_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "words.txt").write_bytes("b\r\nä\nc d\n".encode())
    (tmp_path / "numbers.txt").write_text("7\n-3")
    strings = write(tmp_path / "strings.json", {"type": "StringLookup", "vocabulary": "words.txt"})
    model = jsonnx.compile(strings)
    indices = model.session().run(np.array([["ä"], ["c d"], ["x"]], object))
    assert indices["string_lookup"].tolist() == [[2], [3], [0]]
    assert "words.txt" not in model.session().metadata["jsonnx.spec"]
    numbers = write(tmp_path / "numbers.json", {"type": "IntegerLookup", "vocabulary": "numbers.txt"})
    assert jsonnx.compile(numbers).session().run(np.array([[-3]]))["integer_lookup"].tolist() == [[2]]


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("../words.txt", "unsafe-path"),
        ("none.txt", "unreadable-file"),
        ("bad.txt", "bad-data-file"),
        ("empty.txt", "out-of-range"),
    ],
)
def test_an_unreadable_vocabulary_file_gives_one_error(tmp_path: Path, name: str, code: str) -> None:
    (tmp_path / "bad.txt").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "empty.txt").touch()
    errors = jsonnx.validate(write(tmp_path / "spec.json", {"type": "StringLookup", "vocabulary": name}))
    assert [error.code for error in errors] == [code]
    assert errors[0].path == "$.layers[0].vocabulary"


def test_an_embedding_smaller_than_the_vocabulary_is_an_error() -> None:
    layers = [{"type": "TextVectorization", "max_tokens": 50}, {"type": "Embedding", "input_dim": 40, "output_dim": 2}]
    (error,) = jsonnx.validate({"inputs": TEXT["inputs"], "layers": layers})
    assert (error.path, error.help) == ("$.layers[1].input_dim", 'set "input_dim" to 50')


def test_an_adaptable_layer_inside_a_wrapper_is_an_error() -> None:
    around = {"type": "TimeDistributed", "layer": {"type": "Normalization"}}
    (error,) = jsonnx.validate({"inputs": {"x": {"shape": [3, 2]}}, "layers": [around]})
    assert (error.code, error.path) == ("not-learned", "$.layers[0].layer")


def test_dropout_on_texts_of_unknown_length_is_an_error() -> None:
    layers = [
        {"type": "TextVectorization"},
        {"type": "Embedding", "input_dim": 9, "output_dim": 2},
        {"type": "Dropout", "rate": 0.5},
        {"type": "GlobalAveragePooling1D"},
    ]
    with pytest.raises(CompileError, match="output_sequence_length"):
        jsonnx.Trainer({**TEXT, "layers": layers})


def test_an_input_may_have_a_symbolic_size_named_tokens() -> None:
    layers = [{"type": "Dropout", "rate": 0.5}, {"type": "GlobalAveragePooling1D"}]
    inputs = {"x": {"shape": ["tokens", 2]}}
    layers = [{"type": "Dense", "units": 2}, *layers]
    trainer = jsonnx.Trainer({"inputs": inputs, "layers": layers, "training": {"loss": "mse"}})
    assert trainer.step(np.ones((3, 4, 2), np.float32), np.ones((3, 2)))["loss"] >= 0


def test_predicting_batches_of_different_text_length_is_an_error(tmp_path: Path) -> None:
    layers = [{"type": "TextVectorization", "vocabulary": ["a"], "name": "words"}]
    trainer = jsonnx.Trainer({**TEXT, "layers": [*layers, {"type": "Rescaling", "scale": 1}]})
    with pytest.raises(jsonnx.FeedError, match="output_sequence_length"):
        trainer.predict(np.array(["a", "a b"], object), batch_size=1)
    assert trainer.predict(np.array(["a", "a b"], object), batch_size=2).shape == (2, 2)


@pytest.mark.parametrize("depth", [1, 2])
def test_an_index_out_of_range_of_a_wrapped_embedding_is_reported(depth: int) -> None:
    layer: dict[str, Any] = {"type": "Embedding", "input_dim": 3, "output_dim": 2}
    for _ in range(depth):
        layer = {"type": "TimeDistributed", "layer": layer}
    inputs = {"x": {"shape": [2] * (depth + 1), "dtype": "int64"}}
    trainer = jsonnx.Trainer({"inputs": inputs, "layers": [layer], "training": {"loss": "mse"}})
    with pytest.raises(jsonnx.FeedError, match="valid are 0 to 2"):
        trainer.predict(np.full((1, *[2] * (depth + 1)), 3))
