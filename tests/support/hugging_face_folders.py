"""Folders of tiny Hugging Face models with recorded results of transformers.

A fixture has the configuration, the names and shapes of the tensors, and inputs and outputs. The numbers of the tensors
follow from a seed, so that fixtures are small.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jsonnx.interop.safetensors_file import safetensors_parts

FIXTURES = Path(__file__).parents[1] / "unit" / "interop" / "hugging_face" / "fixtures"
SEED = 7

Fixture = dict[str, Any]


def fixture(name: str) -> Fixture:
    """A recorded model by the name of its file."""
    return json.loads((FIXTURES / f"{name}.json").read_text())


def random_tensors(shapes: Mapping[str, list[int]]) -> dict[str, np.ndarray]:
    """Numbers for the tensors of a model: factors of normalizations are around 1, all others around 0."""
    random = np.random.RandomState(SEED)
    tensors = {}
    for name in sorted(shapes):
        array = 0.3 * random.standard_normal(shapes[name])
        is_factor = array.ndim == 1 and name.endswith((".weight", ".lambda1"))
        tensors[name] = (array + 1 if is_factor else array).astype(np.float32)
    return tensors


def write_folder(folder: Path, config: Mapping[str, Any], tensors: Mapping[str, np.ndarray]) -> Path:
    """Writes a folder as `save_pretrained` does."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config, indent=2))
    (folder / "model.safetensors").write_bytes(b"".join(bytes(part) for part in safetensors_parts(tensors, {})))
    return folder


def write_fixture(folder: Path, name: str, **changes: Any) -> Path:
    """Writes the folder of a recorded model, with changes of its configuration; None removes a key."""
    recorded = fixture(name)
    config = {key: value for key, value in {**recorded["config"], **changes}.items() if value is not None}
    return write_folder(folder, config, random_tensors(recorded["tensors"]))
