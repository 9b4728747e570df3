"""The samples without randomness, and the first batches of their data."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

SAMPLES = Path(__file__).parents[3] / "samples"
NAMES = ("mnist_mlp", "mnist_cnn", "vowels_lstm", "diabetes", "digits_residual")
STEPS = 50
FIXTURE = Path(__file__).parent / "fixtures" / "samples.json"
"""The recorded losses of Keras by sample."""

TOLERANCE = 1e-4
"""Allowed relative error of the losses."""


def deterministic(name: str) -> dict[str, Any]:
    """Returns the spec of a sample with dropout at rate 0."""
    spec = json.loads((SAMPLES / f"{name}.json").read_text())
    for layer in spec["layers"]:
        if layer["type"] == "Dropout":
            layer["rate"] = 0.0
    return spec


def batches(trainer: Any) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yields STEPS batches of the sample's data in a fixed random order, repeating the data if necessary."""
    from jsonnx.pipeline.train.run_data import part_of_spec

    samples = part_of_spec(trainer.plan, "train")
    (x,), (y,) = samples.inputs, samples.targets
    size = trainer.plan.training.batch_size
    order = np.random.default_rng(0).permutation(len(samples))
    for step in range(STEPS):
        rows = order[(step * size) % (len(order) - size) :][:size]
        feeds = samples.take(rows)
        yield feeds[x], feeds[f"{y}/target"]


def our_trainer(name: str) -> Any:
    """Returns a trainer on the deterministic spec that reads the sample's data."""
    from dataclasses import replace

    from jsonnx.pipeline.check.check import check_spec
    from jsonnx.pipeline.train.trainer import Trainer

    checked = check_spec(SAMPLES / f"{name}.json")
    return Trainer(check_with(checked, deterministic(name), replace))


def check_with(checked: Any, document: dict[str, Any], replace: Any) -> Any:
    """Returns the check of another document, with the file of `checked` as its source."""
    from jsonnx.pipeline.check.check import check_spec

    changed = check_spec(document)
    changed.require()
    return changed._replace(source=replace(changed.source, file=checked.source.file))


def our_losses(name: str) -> list[float]:
    trainer = our_trainer(name)
    return [trainer.step(x, y)["loss"] for x, y in batches(trainer)]
