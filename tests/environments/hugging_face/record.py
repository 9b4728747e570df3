"""Records what transformers computes for tiny random models, and compares jsonnx with it: `run.sh`."""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from decoder_cases import DECODERS, FULL, SIDES
from encoder_cases import CASES, IMAGES, PAIRS, Case
from safetensors import safe_open
from support.hugging_face_folders import FIXTURES, random_tensors, write_folder

DECIMALS = 7
LEARNING_RATE, STEPS = 0.1, 3
LENGTHS = (6, 3)
"""Numbers of tokens of the samples, which are padded to the longest."""
SIDE_MASK = [[1, 1, 1, 1, 1, 1, 1], [1, 1, 1, 1, 1, 0, 0], [0, 0, 0, 1, 1, 1, 1]]
"""The mask of texts that are padded on both sides."""


def sample_inputs(case: Case) -> dict[str, Any]:
    """The inputs of two samples; texts are padded."""
    random = np.random.RandomState(len(case.id))
    if case.inputs == IMAGES:
        size = case.config["image_size"]
        return {"pixel_values": random.standard_normal((2, 3, size, size)).round(3).astype(np.float32)}
    padding = case.config.get("pad_token_id", 0)
    ids = random.randint(3, case.config["vocab_size"], (2, max(LENGTHS)))
    mask = np.array([[int(step < length) for step in range(max(LENGTHS))] for length in LENGTHS])
    if case.inputs in (SIDES, FULL):
        mask = np.array(SIDE_MASK) if case.inputs == SIDES else np.ones_like(mask)
        ids = random.randint(3, case.config["vocab_size"], mask.shape)
    inputs = {"input_ids": np.where(mask == 1, ids, padding), "attention_mask": mask}
    return inputs | ({"token_type_ids": random.randint(0, 2, ids.shape)} if case.inputs == PAIRS else {})


def load_model(case: Case, folder: Path) -> tuple[Any, dict[str, Any], dict[str, list[int]]]:
    """The model with the numbers of `random_tensors`, its configuration and the shapes of its stored tensors."""
    model_class = getattr(transformers, case.class_name)
    config = model_class.config_class(**case.config)
    config._attn_implementation = "eager"
    model_class(config).save_pretrained(folder)
    stored = json.loads((folder / "config.json").read_text())
    with safe_open(folder / "model.safetensors", "np") as file:
        shapes = {name: list(file.get_slice(name).get_shape()) for name in sorted(file.keys())}
    write_folder(folder, stored, random_tensors(shapes))
    return model_class.from_pretrained(folder, attn_implementation="eager").eval(), stored, shapes


def record(case: Case) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as name:
        model, config, shapes = load_model(case, Path(name))
    inputs = sample_inputs(case)
    tensors = {key: torch.from_numpy(array) for key, array in inputs.items()}
    with torch.no_grad():
        result = model(**tensors)
    outputs = {ours: _numbers(getattr(result, theirs).numpy()) for ours, theirs in case.outputs.items()}
    recorded = {
        "transformers": transformers.__version__,
        "config": config,
        "tensors": shapes,
        "inputs": {key: _numbers(array) for key, array in inputs.items()},
        "outputs": outputs,
    }
    return recorded | ({"training": train(model, tensors)} if case.trains else {})


def train(model: Any, inputs: dict[str, torch.Tensor]) -> dict[str, Any]:
    """The losses before steps of SGD, without dropout."""
    labels = torch.tensor([1, 0])
    if "CausalLM" in type(model).__name__ or "LMHead" in type(model).__name__:
        labels = torch.roll(inputs["input_ids"], -1, 1)  # the next tokens
    optimizer = torch.optim.SGD(model.parameters(), LEARNING_RATE)
    losses = []
    for _ in range(STEPS):
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(model(**inputs).logits.flatten(0, -2), labels.flatten())
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return {"labels": labels.tolist(), "learning_rate": LEARNING_RATE, "losses": losses}


def _numbers(array: np.ndarray) -> Any:
    return array.tolist() if array.dtype.kind == "i" else np.round(array.astype(float), DECIMALS).tolist()


def main() -> None:
    """Writes the fixtures of all cases, or of those that are named."""
    for case in (*CASES, *DECODERS):
        if not sys.argv[1:] or case.id in sys.argv[1:]:
            torch.manual_seed(0)
            FIXTURES.mkdir(parents=True, exist_ok=True)
            (FIXTURES / f"{case.id}.json").write_text(json.dumps(record(case), separators=(",", ":")) + "\n")
            print(case.id)


if __name__ == "__main__":
    main()
