"""Records the hashes of the artefacts of all specs, in several processes."""

from __future__ import annotations

import os
import platform
import re
import sys
import time
from collections.abc import Iterable
from functools import partial
from hashlib import sha256
from multiprocessing import get_context
from pathlib import Path
from typing import Any

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # set before NumPy is imported: orthogonal weights may depend on it

import numpy as np
import onnx
import onnxruntime

from .artefacts import artefacts
from .cases import Entry, entries
from .package import block_size

PROGRESS_INTERVAL = 250
"""Number of specs between two progress messages."""
MAX_TEXT_WEIGHT_BYTES = 1 << 12
"""Size in bytes from which the text of a model shows the hash of a weight instead of its values."""
USER_ERRORS = re.compile(rb"(CompileError|FeedError|UsageError): ")
"""Errors that are reported to users; all others are bugs of the package."""

Hashes = dict[str, str]


def record(only: str, seeds: int, jobs: int, folder: Path | None) -> dict[str, Any]:
    """Returns the platform facts as `header` and the hashes by id and artefact of the ids that contain `only`."""
    start = time.monotonic()
    selected = [entry for entry in entries(seeds) if only in entry.id]
    hashes: dict[str, Hashes] = {}
    with get_context("spawn").Pool(jobs, initializer=warm_up) as pool:
        for id, artefact_hashes, errors in pool.imap_unordered(partial(hash_artefacts, folder=folder), selected):
            hashes[id] = artefact_hashes
            for error in errors:
                print(f"{id}: {error}", file=sys.stderr)
            if len(hashes) % PROGRESS_INTERVAL == 0 or len(hashes) == len(selected):
                seconds = time.monotonic() - start
                print(f"{len(hashes)} of {len(selected)} after {seconds:.0f} s", file=sys.stderr, flush=True)
    return {"header": header(), "hashes": hashes}


def header() -> dict[str, Any]:
    """Returns the platform facts that may change the hashes."""
    return {
        "block_size": block_size(),
        "numpy": np.__version__,
        "onnx": onnx.__version__,
        "onnxruntime": onnxruntime.__version__,
        "platform": f"{platform.system()} {platform.machine()}",
        "python": ".".join(platform.python_version_tuple()[:2]),
    }


def warm_up() -> None:
    """Runs a training step, since kernels are probed once per process, in sessions that must really run."""
    from jsonnx import Trainer

    layers = [{"type": "Conv2D", "filters": 8, "kernel_size": 3}, {"type": "Flatten"}, {"type": "Dense", "units": 1}]
    training = {"loss": "mse", "optimizer": "sgd"}
    spec = {"inputs": {"x": {"shape": [6, 6, 8]}}, "layers": layers, "training": training}
    Trainer(spec, threads=1).step(np.zeros((2, 6, 6, 8), np.float32), np.zeros((2, 1), np.float32))


def hash_artefacts(entry: Entry, folder: Path | None) -> tuple[str, Hashes, list[str]]:
    """Returns the id, its hashes by artefact, and the errors that are bugs of the package."""
    hashes, errors = {}, []
    for name, content in artefacts(entry):
        hashes[name] = sha256(content).hexdigest()
        if name.endswith("/failure") and not USER_ERRORS.match(content):
            errors.append(f"{name}: {content.decode()}")
        if folder is not None:
            save(folder / file_name(entry.id), name, content)
    return entry.id, hashes, errors


def save(folder: Path, name: str, content: bytes) -> None:
    """Writes an artefact; models are also written as text."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / file_name(name)
    is_model = not name.endswith(("/options", "/failure")) and name.startswith(("inference", "threads"))
    path = path.with_name(f"{path.name}.onnx") if is_model else path
    path.write_bytes(content)
    if path.suffix == ".onnx":
        path.with_suffix(".txt").write_text(model_text(content), "utf-8")


def model_text(content: bytes) -> str:
    """Returns a model as text, with hashes in place of large weights."""
    model = onnx.load_from_string(content)
    weight_hashes = [f"{weight.name}: {pop_values(weight)}" for weight in large_weights(model.graph.initializer)]
    metadata = [f"{entry.key}: {entry.value}" for entry in model.metadata_props]
    return "\n".join([onnx.printer.to_text(model), *weight_hashes, *metadata]) + "\n"


def large_weights(weights: Iterable[onnx.TensorProto]) -> list[onnx.TensorProto]:
    return [weight for weight in weights if len(weight.raw_data) >= MAX_TEXT_WEIGHT_BYTES]


def pop_values(weight: onnx.TensorProto) -> str:
    """Removes the values of a weight and returns their hash."""
    digest = sha256(weight.raw_data).hexdigest()
    weight.raw_data, weight.dims[:] = b"", [0]
    return digest


def file_name(text: str) -> str:
    """Returns the text as a valid file name."""
    return re.sub(r"[^\w.=-]+", "_", text)
