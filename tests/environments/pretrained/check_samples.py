"""Trains the samples with pretrained weights by commands, and runs their models by onnxruntime alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from jsonnx import Session, compile, from_hugging_face
from safetensors.numpy import load_file
from support.commands import jsonnx
from tokenizers import Tokenizer

SAMPLES = Path(__file__).parents[3] / "build" / "pretrained"
MIN_ACCURACY = {"reviews_minilm": 0.87, "textures_dinov2": 0.95, "python_files_magika": 0.9}
TEXTS = ["A gem: moving, funny and beautifully acted!", "A dull, tedious and pointless mess."]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("runs")


@pytest.mark.parametrize("name", MIN_ACCURACY)
def test_a_pretrained_model_learns_another_task(name: str, runs: Path) -> None:
    jsonnx("train", str(SAMPLES / f"{name}.json"), "-o", str(runs / name), "--quiet")
    jsonnx("evaluate", str(runs / name), "--require", f"accuracy>={MIN_ACCURACY[name]}")


def test_texts_and_their_ids_give_the_same_predictions(runs: Path) -> None:
    run = runs / "reviews_minilm"
    from_texts = Session(run).run(TEXTS)["sentiment"]
    assert from_texts.argmax(1).tolist() == [1, 0]
    tokenizer = Tokenizer.from_file(str(run / "models/minilm/tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.enable_padding()
    encoded = tokenizer.encode_batch(TEXTS)
    parts = {"input_ids": "ids", "attention_mask": "attention_mask", "token_type_ids": "type_ids"}
    feeds = {name: np.array([getattr(each, part) for each in encoded]) for name, part in parts.items()}
    session = onnxruntime.InferenceSession(run / "model.onnx", providers=["CPUExecutionProvider"])
    (from_ids,) = session.run(None, feeds)
    np.testing.assert_array_equal(from_texts, from_ids)


def test_weights_without_adapters_stay_as_they_are(runs: Path) -> None:
    before = load_file(SAMPLES / "models/minilm.safetensors")
    after = load_file(runs / "reviews_minilm/weights.safetensors")
    assert all(before[name].tobytes() == after[name].tobytes() for name in before)
    assert {name.rpartition("/")[2] for name in after.keys() - before.keys()} == {"lora_a", "lora_b", "kernel", "bias"}


def test_similar_sentences_have_the_recorded_cosine(monkeypatch: pytest.MonkeyPatch) -> None:
    """The value is that of sentence-transformers."""
    monkeypatch.chdir(SAMPLES)
    spec, weights = from_hugging_face("models/minilm", text="sentence")
    embeddings = Session(compile(spec, weights=weights)).run(["A man is eating food.", "A man eats something."])
    first, second = embeddings["sentence_embedding"]
    assert float(first @ second) == pytest.approx(0.8749, abs=1e-4)
