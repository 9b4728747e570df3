"""Files with the weights of low-rank adapters, which onnxruntime feeds to the inputs of a model."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from ..providers.providers import load_runtime

FORMAT_VERSION = 1


def adapter_file(arrays: Mapping[str, np.ndarray]) -> bytes:
    """The content of a file that `onnxruntime.LoraAdapter.Load` reads: arrays by the names of a model's inputs."""
    runtime = load_runtime()
    adapter = runtime.AdapterFormat()
    adapter.set_adapter_version(FORMAT_VERSION)
    adapter.set_model_version(FORMAT_VERSION)
    values = {name: runtime.OrtValue.ortvalue_from_numpy(np.ascontiguousarray(a)) for name, a in arrays.items()}
    adapter.set_parameters(values)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "adapter"
        adapter.export_adapter(str(path))
        return path.read_bytes()
