"""Compares decoders with transformers side by side: random sizes of inputs and weights, outputs, and training.

    python compare_decoders.py [NAME...]     prints a table; exit status 1 if a difference exceeds 1e-4
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

import jsonnx
import numpy as np
import record
import torch
from decoder_cases import DECODERS
from encoder_cases import Case
from safetensors.numpy import load_file, save_file

TOLERANCE = 1e-4
SEEDS = range(3)
STEPS, LEARNING_RATE = 3, 0.05
LONGEST = 15
"""Most tokens of a text: some rotary frequencies, windows and positions end before, others do not."""


def redrawn(folder: Path, random: np.random.Generator) -> Any:
    """The folder's model with other numbers, which are written into the folder."""
    tensors = load_file(folder / "model.safetensors")
    changed = {name: (array + 0.1 * random.normal(size=array.shape)).astype("f4") for name, array in tensors.items()}
    save_file(changed, folder / "model.safetensors", {"format": "pt"})


def padded_texts(random: np.random.Generator, vocabulary: int) -> dict[str, np.ndarray]:
    """Four texts of random lengths, padded on random sides."""
    length = int(random.integers(2, LONGEST + 1))
    mask = np.ones((4, length), np.int64)
    for row in mask[1:]:
        row[slice(None, n) if (n := int(random.integers(0, length))) % 2 else slice(length - n, None)] = 0
    return {"input_ids": np.where(mask == 1, random.integers(3, vocabulary, mask.shape), 0), "attention_mask": mask}


def output_difference(model: Any, folder: Path, inputs: dict[str, np.ndarray], case: Case) -> float:
    spec, weights = jsonnx.from_hugging_face(folder)
    results = jsonnx.Session(jsonnx.compile(spec, weights=weights)).run(inputs)
    with torch.no_grad():
        expected = model(**{key: torch.from_numpy(array) for key, array in inputs.items()})
    differences = []
    for ours, theirs in case.outputs.items():
        actual, wanted = results[ours], getattr(expected, theirs).numpy()
        if actual.ndim == 3:
            actual, wanted = (array[inputs["attention_mask"] == 1] for array in (actual, wanted))
        differences.append(np.abs(actual - wanted).max())
    return float(max(differences))


def training_difference(model: Any, folder: Path, random: np.random.Generator) -> tuple[float, float]:
    """The differences of losses, and of all weights after some steps of SGD, for texts without padding."""
    ids = random.integers(3, 19, (3, 9))
    tokens = {"input_ids": ids[:, :-1].copy(), "attention_mask": np.ones((3, 8), np.int64)}
    spec, weights = jsonnx.from_hugging_face(folder)
    loss = {"type": "sparse_categorical_crossentropy", "from_logits": True}
    spec["training"] = {"loss": loss, "optimizer": {"type": "sgd", "learning_rate": LEARNING_RATE}}
    trainer = jsonnx.Trainer(spec, weights=weights)
    losses = [trainer.step(tokens, ids[:, 1:])["loss"] for _ in range(STEPS)]
    optimizer, expected = torch.optim.SGD(model.parameters(), LEARNING_RATE), []
    for _ in range(STEPS):
        optimizer.zero_grad()
        logits = model(**{key: torch.from_numpy(array) for key, array in tokens.items()}).logits
        value = torch.nn.functional.cross_entropy(logits.flatten(0, 1), torch.from_numpy(ids[:, 1:].flatten()))
        value.backward()
        optimizer.step()
        expected.append(value.item())
    model.save_pretrained(folder)
    wanted = jsonnx.from_hugging_face(folder)[1]
    errors = [np.abs(array - wanted[name]).max() for name, array in trainer.weights().items()]
    return float(np.abs(np.subtract(losses, expected)).max()), float(max(errors))


def compare(case: Case) -> tuple[float, float, float]:
    """The largest differences of outputs, losses and trained weights."""
    worst = np.zeros(3)
    for seed in SEEDS:
        random = np.random.default_rng(seed)
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            model, *_ = record.load_model(case, folder)
            redrawn(folder, random)
            model = type(model).from_pretrained(folder, attn_implementation="eager").eval()
            found = [output_difference(model, folder, padded_texts(random, 19), case), 0.0, 0.0]
            if case.outputs.keys() == {"logits"}:
                no_dropout = {key: 0.0 for key in ("resid_pdrop", "embd_pdrop", "attn_pdrop")}
                config = record.json.loads((folder / "config.json").read_text())
                config |= {key: 0.0 for key in no_dropout if key in config}
                (folder / "config.json").write_text(record.json.dumps(config))
                found[1:] = training_difference(model, folder, random)
            worst = np.maximum(worst, found)
    return tuple(worst.tolist())


def main() -> int:
    cases = [case for case in DECODERS if not sys.argv[1:] or case.id in sys.argv[1:]]
    print(f"{'model':24} {'outputs':>10} {'losses':>10} {'weights':>10}")
    greatest = 0.0
    for case in cases:
        differences = compare(case)
        greatest = max(greatest, *differences)
        print(f"{case.id:24} " + " ".join(f"{value:10.1e}" for value in differences), flush=True)
    return int(greatest > TOLERANCE)


if __name__ == "__main__":
    sys.exit(main())
