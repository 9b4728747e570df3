"""Specs with a Tokenizer: ids as the package tokenizers computes them, runs that take texts, and errors of files."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import jsonnx
import numpy as np
import onnxruntime
import pytest
from support.commands import jsonnx as command
from support.small_tokenizers import KINDS, PADDING_IDS, TEXTS, byte_level_bpe, word_piece
from tokenizers import Tokenizer

FILE = "tokenizer.json"
WORDS = ["good", "bad", "great", "food", "man", "eating", "something", "of", "vocabulary"]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    word_piece().save(FILE)
    return tmp_path


def spec(*further: dict[str, Any], texts: int = 1, **tokenizer: Any) -> dict[str, Any]:
    """A network whose outputs are the results of a Tokenizer, or of further layers."""
    names = ["text", "other"][:texts]
    entry = {"type": "Tokenizer", "name": "tokens", "file": FILE, "from": names, **tokenizer}
    outputs = {"outputs": ["tokens", "tokens.attention_mask", "tokens.token_type_ids", "tokens.offsets"]}
    return {
        "inputs": {name: {"shape": [], "dtype": "string"} for name in names},
        "layers": [entry, *further],
        **({} if further else outputs),
    }


def results(document: dict[str, Any], *texts: list[str]) -> dict[str, np.ndarray]:
    """The results for texts, by their names in the package."""
    session = jsonnx.Session(jsonnx.compile(document))
    outputs = session.run(dict(zip(document["inputs"], texts, strict=True)))
    return {name.removeprefix("tokens."): array for name, array in outputs.items()}


def expected(tokenizer: Tokenizer, texts: list[Any], max_length: int, padding_id: int, **settings: Any) -> Any:
    """What the package computes, with its own padding and truncation."""
    direction, adds = settings.get("direction", "right"), settings.get("add_special_tokens", True)
    tokenizer.enable_truncation(max_length, direction=direction)
    tokenizer.enable_padding(pad_id=padding_id, length=settings.get("length"))
    encoded = tokenizer.encode_batch(texts, add_special_tokens=adds)
    return {
        "tokens": np.array([each.ids for each in encoded]),
        "attention_mask": np.array([each.attention_mask for each in encoded]),
        "token_type_ids": np.array([each.type_ids for each in encoded]),
        "offsets": np.array([each.offsets for each in encoded]),
    }


def assert_equal(found: dict[str, np.ndarray], wanted: dict[str, np.ndarray]) -> None:
    assert found.keys() == wanted.keys()
    for name, array in found.items():
        np.testing.assert_array_equal(array, wanted[name], err_msg=name)


# -- ids -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("max_length", [8, 512])
@pytest.mark.parametrize("kind", KINDS)
def test_results_are_those_of_the_package(kind: str, max_length: int) -> None:
    tokenizer = KINDS[kind]()
    tokenizer.save(FILE)
    found = results(spec(max_length=max_length), TEXTS)
    assert_equal(found, expected(tokenizer, TEXTS, max_length, PADDING_IDS[kind]))


def test_texts_are_padded_to_max_length_or_to_the_longest_one() -> None:
    found = results(spec(max_length=64, padding="max_length"), TEXTS[:2])
    assert found["tokens"].shape == (2, 64)
    assert_equal(found, expected(Tokenizer.from_file(FILE), TEXTS[:2], 64, 0, length=64))
    longest = results(spec(max_length=64), TEXTS[:2])["tokens"]
    assert longest.shape[1] == max(len(each.ids) for each in map(plain(Tokenizer.from_file(FILE)).encode, TEXTS[:2]))


def test_the_start_may_be_cut_off_and_special_tokens_left_out() -> None:
    found = results(spec(max_length=6, truncation_side="left"), TEXTS)
    assert_equal(found, expected(Tokenizer.from_file(FILE), TEXTS, 6, 0, direction="left"))
    found = results(spec(max_length=6, add_special_tokens=False), TEXTS)
    assert_equal(found, expected(Tokenizer.from_file(FILE), TEXTS, 6, 0, add_special_tokens=False))


def test_two_texts_are_a_pair() -> None:
    others = TEXTS[::-1]
    found = results(spec(texts=2, max_length=32), TEXTS, others)
    assert_equal(found, expected(Tokenizer.from_file(FILE), list(zip(TEXTS, others, strict=True)), 32, 0))
    assert found["token_type_ids"].max() == 1


def test_halves_of_characters_count_as_unknown_ones() -> None:
    found, same = results(spec(), ["a \ud800 b"]), results(spec(), ["a \ufffd b"])
    assert_equal(found, same)


def test_the_same_texts_have_the_same_ids_in_any_batch_and_order() -> None:
    reversed_texts = results(spec(), TEXTS[::-1])["tokens"]
    np.testing.assert_array_equal(results(spec(), TEXTS)["tokens"], reversed_texts[::-1])


def plain(tokenizer: Tokenizer) -> Tokenizer:
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer


# -- networks --------------------------------------------------------------------------------------------------------

CLASSIFIER: dict[str, Any] = {
    "inputs": {"text": {"shape": [], "dtype": "string"}},
    "layers": [
        {"type": "Tokenizer", "name": "tokens", "file": FILE, "max_length": 16},
        {"type": "Embedding", "input_dim": 200, "output_dim": 8},
        {"type": "GlobalAveragePooling1D"},
        {"type": "Dense", "name": "y", "units": 1, "activation": "sigmoid"},
    ],
    "training": {
        "loss": "binary_crossentropy",
        "optimizer": {"type": "adam", "learning_rate": 0.05},
        "data": {"train": "data.csv"},
        "epochs": 8,
        "batch_size": 16,
    },
}


def write_data(count: int = 64) -> None:
    rng = np.random.default_rng(0)
    rows = [(" ".join(rng.choice(WORDS[2:], rng.integers(1, 9))), label) for label in (0, 1) for _ in range(count // 2)]
    lines = [f'"{WORDS[label]} {text}",{label}' for text, label in rows]
    Path("data.csv").write_text("\n".join(["text,y", *lines]) + "\n")


def trained_run(document: dict[str, Any] = CLASSIFIER) -> None:
    Path("spec.json").write_text(json.dumps(document))
    write_data()
    command("train", "spec.json", "-o", "run")


def ids_of(texts: list[str]) -> dict[str, np.ndarray]:
    tokenizer = plain(Tokenizer.from_file(FILE))
    tokenizer.enable_truncation(16)
    tokenizer.enable_padding()
    encoded = tokenizer.encode_batch(texts)
    return {
        "input_ids": np.array([each.ids for each in encoded]),
        "attention_mask": np.array([each.attention_mask for each in encoded]),
    }


def test_a_table_of_texts_trains_a_classifier() -> None:
    trained_run()
    assert float(command("evaluate", "run", "--data", "data.csv").stdout.splitlines()[-1].split()[-1]) < 0.3
    _, *rows = command("predict", "run", "--data", "data.csv").stdout.splitlines()
    assert len(rows) == 64


def test_the_run_has_a_copy_of_the_tokenizer_and_needs_no_other_file() -> None:
    trained_run()
    content = Path(FILE).read_bytes()
    assert Path("run", FILE).read_bytes() == content
    shutil.move("run", "moved")
    Path(FILE).unlink()
    layer = json.loads(command("inspect", "moved/model.onnx", "--spec", "-").stdout)["layers"][0]
    assert layer["file"] == FILE
    assert layer["sha256"] == sha256(content).hexdigest()
    command("predict", "moved", "--data", "data.csv")
    command("validate", "moved/spec.json")
    command("report", "moved")


def test_a_tokenizer_in_a_folder_is_copied_to_a_folder() -> None:
    Path("bert").mkdir()
    shutil.move(FILE, f"bert/{FILE}")
    tokens, *others = CLASSIFIER["layers"]
    trained_run(CLASSIFIER | {"layers": [tokens | {"file": f"bert/{FILE}"}, *others]})
    assert Path("run/bert", FILE).exists()
    command("predict", "run", "--data", "data.csv")


def test_texts_give_what_their_ids_give_in_onnxruntime() -> None:
    trained_run()
    texts = ["good food", "bad", "", "great vocabulary of something"]
    plain_session = onnxruntime.InferenceSession("run/model.onnx")
    (by_ids,) = plain_session.run(None, ids_of(texts))
    session = jsonnx.Session("run")
    np.testing.assert_array_equal(session.run(texts)["y"], by_ids)
    np.testing.assert_array_equal(session.run({"text": texts})["y"], by_ids)
    np.testing.assert_array_equal(session.run([{"text": text} for text in texts])["y"], by_ids)
    np.testing.assert_array_equal(session.run(ids_of(texts))["y"], by_ids)
    trainer = jsonnx.Trainer("spec.json", weights="run")
    np.testing.assert_allclose(trainer.predict(texts), by_ids, rtol=1e-5, atol=1e-6)


def test_a_model_without_its_tokenizer_takes_ids() -> None:
    trained_run()
    Path("alone").mkdir()
    shutil.copy("run/model.onnx", "alone/model.onnx")
    np.savez("ids.npz", **ids_of(["good food", "bad"]))
    assert command("predict", "alone/model.onnx", "--data", "ids.npz").stdout.count("\n") == 3
    assert list(jsonnx.Session("alone/model.onnx").inputs) == ["input_ids", "attention_mask"]
    error = command("predict", "alone/model.onnx", "--data", "data.csv", status=1)
    assert "input_ids" in error.stderr


def test_another_tokenizer_beside_a_model_is_an_error() -> None:
    trained_run()
    byte_level_bpe().save(f"run/{FILE}")
    error = command("predict", "run", "--data", "data.csv", status=1).stderr
    assert "error[digest-mismatch]" in error


def test_the_mask_of_padding_reaches_layers_behind_the_embedding() -> None:
    document = spec(*CLASSIFIER["layers"][1:], max_length=16)
    session = jsonnx.Session(jsonnx.compile(document))
    alone = session.run(["good food"])["y"]
    np.testing.assert_allclose(session.run(["good food", "word " * 9])["y"][:1], alone, rtol=1e-5)
    fixed = jsonnx.Session(jsonnx.compile(spec(*CLASSIFIER["layers"][1:], max_length=16, padding="max_length")))
    np.testing.assert_allclose(fixed.run(["good food"])["y"], alone, rtol=1e-5)


def test_cls_pooling_and_normalization_are_layers() -> None:
    layers = [
        {"type": "Embedding", "input_dim": 200, "output_dim": 8},
        {"type": "ops.get_item", "key": [":", 0]},
        {"type": "UnitNormalization", "name": "y"},
    ]
    y = jsonnx.Session(jsonnx.compile(spec(*layers))).run(["a man", "food"])["y"]
    np.testing.assert_allclose(np.linalg.norm(y, axis=1), 1, rtol=1e-6)
    np.testing.assert_array_equal(y[0], y[1])  # of [CLS], in both


def test_gradients_do_not_depend_on_padding() -> None:
    losses = []
    for padding in ("longest", "max_length"):
        tokens, *others = CLASSIFIER["layers"]
        trainer = jsonnx.Trainer(CLASSIFIER | {"layers": [tokens | {"padding": padding}, *others]}, seed=1)
        texts, y = ["good food", "bad", "great vocabulary of a man"], np.float32([[1], [0], [1]])
        losses.append([trainer.step(texts, y)["loss"] for _ in range(5)])
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-5)


def test_two_uses_share_an_encoder() -> None:
    document: dict[str, Any] = {
        "inputs": {name: {"shape": [], "dtype": "string"} for name in ("a", "b")},
        "layers": [
            {"type": "Tokenizer", "name": "first", "file": FILE, "from": "a"},
            {"type": "Embedding", "name": "encoder", "input_dim": 200, "output_dim": 8},
            {"type": "GlobalAveragePooling1D", "name": "x"},
            {"use": "first", "name": "second", "from": "b"},
            {"use": "encoder", "name": "other", "from": "second"},
            {"type": "GlobalAveragePooling1D", "name": "z"},
            {"type": "Dot", "name": "cosine", "from": ["x", "z"], "axes": 1, "normalize": True},
        ],
    }
    session = jsonnx.Session(jsonnx.compile(document))
    assert list(session.inputs) == [
        *("first_input_ids", "first_attention_mask", "second_input_ids", "second_attention_mask")
    ]
    cosines = session.run({"a": ["a man eating", "food"], "b": ["a man eating", "something of words"]})["cosine"]
    np.testing.assert_allclose(cosines[0], 1, rtol=1e-5)
    assert cosines[1] < 0.99


def test_rows_are_served_as_texts() -> None:
    from jsonnx.server.models.model_options import ModelOptions
    from jsonnx.server.models.served_model import ServedModel
    from jsonnx.server.rows.predict_rows import rows_of

    trained_run()
    served = ServedModel.open("m", "1", Path("run"), ModelOptions())
    rows = rows_of(served, b'[{"text": "good food"}, {"text": "bad"}]', "application/json", 10)
    outputs = served.run(served.session.prepare(rows.feeds))
    np.testing.assert_array_equal(outputs["y"], jsonnx.Session("run").run(["good food", "bad"])["y"])


# -- errors ----------------------------------------------------------------------------------------------------------


def errors(document: dict[str, Any]) -> str:
    Path("bad.json").write_text(json.dumps(document))
    return command("validate", "bad.json", status=1).stderr


def test_an_embedding_with_too_few_vectors_is_an_error_with_both_numbers() -> None:
    found = errors(spec({"type": "Embedding", "name": "e", "input_dim": 50, "output_dim": 4}))
    assert "error[out-of-range]: Embedding 'e' has 50 vectors for the 200 ids of 'tokens'" in found
    assert 'set "input_dim" to 200' in found


def test_fewer_positions_than_tokens_are_an_error_with_both_numbers() -> None:
    layers = [
        {"type": "Embedding", "input_dim": 200, "output_dim": 4},
        {"type": "PositionEmbedding", "name": "positions", "sequence_length": 32},
    ]
    found = errors(spec(*layers))
    assert "error[out-of-range]: PositionEmbedding 'positions' has 32 positions for texts of up to 512 tokens" in found
    Path("good.json").write_text(json.dumps(spec(*layers, max_length=32)))
    command("validate", "good.json")


def test_a_tokenizer_reads_inputs_of_texts_only() -> None:
    document = spec({"type": "Embedding", "input_dim": 200, "output_dim": 4})
    assert "error[shape-mismatch]" in errors(document | {"inputs": {"text": {"shape": [3], "dtype": "string"}}})
    assert "error[shape-mismatch]" in errors(document | {"inputs": {"text": {"shape": []}}})
    document["layers"] = [{"type": "Identity", "name": "same"}, {**document["layers"][0], "from": "same"}]
    found = errors(document)
    assert "error[wrong-inputs]: Tokenizer 'tokens' computes outside of the graph, and reads 'same'" in found


def test_names_of_files_lead_nowhere_else() -> None:
    Path("secret").mkdir()
    for name in ("../tokenizer.json", "/etc/tokenizer.json"):
        assert "error[unsafe-path]" in errors(spec(file=name))
    Path("link_tokenizer.json").symlink_to(FILE)
    assert "error[unsafe-path]" in errors(spec(file="link_tokenizer.json"))
    assert "error[unreadable-file]" in errors(spec(file="absent_tokenizer.json"))
    assert "error[invalid-name]" in errors(spec(file="run.json"))


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text[: len(text) // 2],
        lambda text: "[]",
        lambda text: "{}",
        lambda text: "[" * 100_000,
        lambda text: text.replace('"vocab":', '"vocabulary":'),
        lambda text: text.replace('"[UNK]":1', '"[UNK]":-1').replace('"[UNK]": 1', '"[UNK]": -1'),
        lambda text: text.replace('"WordPiece"', '"Unknown"'),
        lambda text: text.replace('"pad_id": 0', '"pad_id": 5000').replace('"pad_id":0', '"pad_id":5000'),
    ],
)
def test_damaged_files_are_errors(change: Callable[[str], str]) -> None:
    text = Path(FILE).read_text()
    changed = change(text)
    assert changed != text
    Path(FILE).write_text(changed)
    assert "error[bad-data-file]" in errors(spec())


def test_a_max_length_that_special_tokens_fill_is_an_error() -> None:
    write_data()
    tokens, *others = CLASSIFIER["layers"]
    Path("spec.json").write_text(json.dumps(CLASSIFIER | {"layers": [tokens | {"max_length": 2}, *others]}))
    error = command("train", "spec.json", "-o", "run", status=2).stderr
    assert "max_length of 2" in error
    assert "2 special tokens" in error


def test_without_the_package_an_error_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    from jsonnx.data.texts.text_tokenizer import load_tokenizer

    load_tokenizer.cache_clear()
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    write_data()
    Path("spec.json").write_text(json.dumps(CLASSIFIER))
    command("validate", "spec.json")
    error = command("train", "spec.json", "-o", "run", status=2).stderr
    assert "error[missing-package]" in error
    assert "[text]" in error


def test_a_resumed_run_keeps_its_tokenizer() -> None:
    trained_run()
    word_piece(size=150).save(FILE)
    error = command("train", "spec.json", "-o", "run", "--resume", status=1).stderr
    assert "error[checkpoint-mismatch]" in error


def test_one_column_is_that_of_the_text() -> None:
    write_data()
    Path("data.csv").write_text(Path("data.csv").read_text().replace("text,y", "words,y", 1))
    data = {"train": "data.csv", "x": "words", "y": "y"}
    Path("spec.json").write_text(json.dumps(with_data(data)))
    command("validate", "spec.json", "--data")
    command("train", "spec.json", "-o", "run")
    assert "the names are 'text'" in errors(with_data({**data, "x": {"input_ids": "words"}}))


def with_data(data: dict[str, Any]) -> dict[str, Any]:
    return {**CLASSIFIER, "training": {**CLASSIFIER["training"], "data": data}}
