"""Text and tokens as Keras sees them, and what layers learn: recorded by `tests/parity/record_lookups.py`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonnx
import numpy as np
import pytest
from jsonnx.core.diagnostics import CompileError

SAID = json.loads((Path(__file__).parent.parent / "parity/fixtures/lookups.json").read_text("utf-8"))


def spec(layer: dict[str, Any], x: np.ndarray) -> dict[str, Any]:
    dtype = "string" if x.dtype == object else str(x.dtype).replace("float64", "float32")
    return {"inputs": {"x": {"shape": list(x.shape[1:]), "dtype": dtype}}, "layers": [{**layer, "name": "layer"}]}


def array(x: Any) -> np.ndarray:
    found = np.array(x)
    return found.astype(object) if found.dtype.kind == "U" else found


@pytest.mark.parametrize("case", SAID["calls"], ids=lambda case: case["layer"]["type"])
def test_a_lookup_answers_what_keras_answered(case: dict[str, Any]) -> None:
    x, wanted = array(case["x"]), array(case["y"])
    model = jsonnx.compile(spec(case["layer"], x))
    model.verify()
    (found,) = model.session().run(x).values()
    assert found.shape == wanted.shape
    if wanted.dtype == object:
        assert found.tolist() == wanted.tolist()
    else:
        assert np.abs(found - wanted).max(initial=0.0) < 1e-5


@pytest.mark.parametrize("case", SAID["lessons"], ids=lambda case: case["layer"]["type"])
def test_a_layer_learns_what_keras_learned(case: dict[str, Any]) -> None:
    x = array(case["x"])
    whole = spec(case["layer"], x)
    real = {"type": "Rescaling", "scale": 1}
    column = {"type": "Reshape", "target_shape": [-1, 1]}
    whole["layers"] += [real, column, {"type": "GlobalAveragePooling1D"}, {"type": "Dense", "units": 1}]
    whole["training"] = {"loss": "mse"}
    trainer = jsonnx.Trainer(whole)
    trainer.fit(x, np.zeros((len(x), 1)), batch_size=4)
    weights = trainer.weights()
    for name, wanted in case["states"].items():
        found = weights[f"layer/{name}"]
        if name == "vocabulary":
            assert found.tolist() == wanted
        else:
            assert np.ravel(found)[: np.size(wanted)] == pytest.approx(np.ravel(wanted), rel=1e-5, abs=1e-5)


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


def test_nothing_runs_before_the_vocabulary_is_learned() -> None:
    with pytest.raises(CompileError, match="learned no vocabulary yet"):
        jsonnx.compile(TEXT)
    with pytest.raises(CompileError, match="learned no vocabulary yet"):
        jsonnx.Trainer(TEXT).step(X, Y)


def test_weights_and_checkpoints_keep_what_was_learned(tmp_path: Path) -> None:
    trainer = jsonnx.Trainer(TEXT)
    trainer.fit(X, Y, epochs=2)
    kept = trainer.weights()
    assert kept["words/vocabulary"].tolist() == ["the", "dog", "cat", "a", "end"]
    again = jsonnx.Trainer(TEXT, weights=kept)
    again.fit(np.array(["other words"], object), Y[:1])
    assert again.weights()["words/vocabulary"].tolist() == kept["words/vocabulary"].tolist()
    trainer.save_checkpoint(tmp_path / "one.safetensors")
    resumed = jsonnx.Trainer(TEXT)
    resumed.load_checkpoint(tmp_path / "one.safetensors")
    resumed.fit(X, Y, epochs=4)
    whole = jsonnx.Trainer(TEXT)
    whole.fit(X, Y, epochs=4)
    assert resumed.model().to_bytes() == whole.model().to_bytes()


def test_the_file_of_weights_compiles_to_the_same_model(tmp_path: Path) -> None:
    from jsonnx.interop.safetensors_file import safetensors_bytes

    trainer = jsonnx.Trainer(TEXT)
    trainer.fit(X, Y)
    (tmp_path / "weights.safetensors").write_bytes(safetensors_bytes(trainer.weights()))
    assert jsonnx.compile(TEXT, tmp_path / "weights.safetensors").to_bytes() == trainer.model().to_bytes()


@pytest.mark.parametrize("tokens", [np.array(["a", "a"], object), np.array([1.0]), np.array([7], np.uint8)])
def test_a_vocabulary_that_is_none_is_refused(tokens: np.ndarray) -> None:
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
def test_what_cannot_be_honoured_is_an_error(layer: dict[str, Any]) -> None:
    assert jsonnx.validate({"inputs": {"x": {"shape": [1], "dtype": "string"}}, "layers": [layer]})


def test_a_token_that_must_be_known_stops_the_model() -> None:
    layer = {"type": "StringLookup", "vocabulary": ["a", "b"], "num_oov_indices": 0}
    session = jsonnx.compile(spec(layer, X[:, None])).session()
    assert session.run(np.array([["b"]], object))["layer"].tolist() == [[1]]
    with pytest.raises(CompileError):
        session.run(np.array([["z"]], object))


def write(path: Path, layer: dict[str, Any]) -> Path:
    dtype = "string" if layer["type"] == "StringLookup" else "int64"
    path.write_text(json.dumps({"inputs": {"x": {"shape": [1], "dtype": dtype}}, "layers": [layer]}))
    return path


def test_a_vocabulary_may_be_a_file_beside_the_spec(tmp_path: Path) -> None:
    (tmp_path / "words.txt").write_bytes("b\r\nä\nc d\n".encode())
    (tmp_path / "numbers.txt").write_text("7\n-3")
    strings = write(tmp_path / "strings.json", {"type": "StringLookup", "vocabulary": "words.txt"})
    model = jsonnx.compile(strings)
    found = model.session().run(np.array([["ä"], ["c d"], ["x"]], object))
    assert found["string_lookup"].tolist() == [[2], [3], [0]]
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
def test_a_vocabulary_that_cannot_be_read_is_one_error(tmp_path: Path, name: str, code: str) -> None:
    (tmp_path / "bad.txt").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "empty.txt").touch()
    faults = jsonnx.validate(write(tmp_path / "spec.json", {"type": "StringLookup", "vocabulary": name}))
    assert [fault.code for fault in faults] == [code]
    assert faults[0].path == "$.layers[0].vocabulary"


def test_an_embedding_has_a_vector_for_every_token() -> None:
    layers = [{"type": "TextVectorization", "max_tokens": 50}, {"type": "Embedding", "input_dim": 40, "output_dim": 2}]
    (fault,) = jsonnx.validate({"inputs": TEXT["inputs"], "layers": layers})
    assert (fault.path, fault.help) == ("$.layers[1].input_dim", 'set "input_dim" to 50')


def test_a_layer_inside_another_cannot_learn() -> None:
    around = {"type": "TimeDistributed", "layer": {"type": "Normalization"}}
    (fault,) = jsonnx.validate({"inputs": {"x": {"shape": [3, 2]}}, "layers": [around]})
    assert (fault.code, fault.path) == ("not-learned", "$.layers[0].layer")


def test_random_numbers_for_texts_of_any_length_are_one_error() -> None:
    layers = [
        {"type": "TextVectorization"},
        {"type": "Embedding", "input_dim": 9, "output_dim": 2},
        {"type": "Dropout", "rate": 0.5},
        {"type": "GlobalAveragePooling1D"},
    ]
    with pytest.raises(CompileError, match="output_sequence_length"):
        jsonnx.Trainer({**TEXT, "layers": layers})


def test_a_size_called_tokens_is_the_inputs_own() -> None:
    layers = [{"type": "Dropout", "rate": 0.5}, {"type": "GlobalAveragePooling1D"}]
    inputs = {"x": {"shape": ["tokens", 2]}}
    layers = [{"type": "Dense", "units": 2}, *layers]
    trainer = jsonnx.Trainer({"inputs": inputs, "layers": layers, "training": {"loss": "mse"}})
    assert trainer.step(np.ones((3, 4, 2), np.float32), np.ones((3, 2)))["loss"] >= 0


def test_texts_of_different_length_cannot_be_one_prediction(tmp_path: Path) -> None:
    layers = [{"type": "TextVectorization", "vocabulary": ["a"], "name": "words"}]
    trainer = jsonnx.Trainer({**TEXT, "layers": [*layers, {"type": "Rescaling", "scale": 1}]})
    with pytest.raises(jsonnx.FeedError, match="output_sequence_length"):
        trainer.predict(np.array(["a", "a b"], object), batch_size=1)
    assert trainer.predict(np.array(["a", "a b"], object), batch_size=2).shape == (2, 2)


@pytest.mark.parametrize("around", [1, 2])
def test_a_number_beyond_an_embedding_inside_a_layer_is_told(around: int) -> None:
    layer: dict[str, Any] = {"type": "Embedding", "input_dim": 3, "output_dim": 2}
    for _ in range(around):
        layer = {"type": "TimeDistributed", "layer": layer}
    inputs = {"x": {"shape": [2] * (around + 1), "dtype": "int64"}}
    trainer = jsonnx.Trainer({"inputs": inputs, "layers": [layer], "training": {"loss": "mse"}})
    with pytest.raises(jsonnx.FeedError, match="valid are 0 to 2"):
        trainer.predict(np.full((1, *[2] * (around + 1)), 3))
