"""Files of KerasHub's models with drawn weights, which `record_keras_hub_models` records and the tests write again.

The values of an array follow from its path, so that a fixture has only its shape.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from zlib import crc32

import h5py
import numpy as np

FIXTURE = Path(__file__).parents[1] / "unit" / "interop" / "keras_hub" / "fixtures" / "models.json"
BATCH, TIME, VOCABULARY = 3, 7, 19
LENGTHS = (7, 6, 5)
"""Tokens of each sample before its padding: at least one in the smallest window of the last position."""
STEPS = 3
"""Training steps, each with the same batch."""
LEARNING_RATE = 0.05


def drawn_array(path: str, shape: tuple[int, ...]) -> np.ndarray:
    """The values of an array of a file. Vectors are positive, so that scales of normalizations are no exception."""
    rng = np.random.default_rng(crc32(path.encode()))
    array = rng.uniform(0.2, 1, shape) if len(shape) == 1 else rng.normal(size=shape) * 0.4
    return array.astype(np.float32)


def drawn_inputs(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, np.ndarray]:
    """The values of inputs: tokens, the mask of padding, images."""
    rng = np.random.default_rng(7)
    mask = (np.arange(TIME) < np.array(LENGTHS)[:, None]).astype(np.int32)
    values = {
        "token_ids": rng.integers(1, VOCABULARY, (BATCH, TIME)).astype(np.int32) * mask,
        "padding_mask": mask,
        "segment_ids": rng.integers(0, 2, (BATCH, TIME)).astype(np.int32),
        "mask_positions": np.array([[1, 5], [3, 0], [0, 0]], np.int32),
    }
    return {
        name: values[name] if name in values else rng.normal(size=(BATCH, *shape)).astype(np.float32)
        for name, shape in shapes.items()
    }


def drawn_labels(output: tuple[int, ...]) -> np.ndarray:
    """Labels for logits of this shape."""
    return np.random.default_rng(8).integers(0, output[-1], output[:-1]).astype(np.int32)


def recorded_models() -> dict[str, dict[str, Any]]:
    """The recorded models by name."""
    models: dict[str, dict[str, Any]] = json.loads(FIXTURE.read_text())
    return models


def write_model(path: Path, model: Mapping[str, Any]) -> Path:
    """Writes the file of a recorded model."""
    write_archive(path, model["config"], model["arrays"], model.get("values", {}), model.get("assets", {}))
    return path


def write_archive(
    path: Path,
    config: Any,
    shapes: Mapping[str, list[int]],
    values: Mapping[str, Any] = {},
    assets: Mapping[str, str] = {},
) -> None:
    """Writes a `.keras` archive; `values` are those of arrays which are not drawn."""
    weights = io.BytesIO()
    with h5py.File(weights, "w") as file:
        for name, shape in shapes.items():
            array = np.array(values[name], np.float32) if name in values else drawn_array(name, tuple(shape))
            file[name] = array.reshape(shape)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("metadata.json", json.dumps({"keras_version": "3.15.1", "date_saved": "2026-11-01@00:00:00"}))
        archive.writestr("config.json", json.dumps(config))
        archive.writestr("model.weights.h5", weights.getvalue())
        for name, text in assets.items():
            archive.writestr(f"assets/{name}", text)
