"""Hashes of the artefacts of all specs, made in several processes."""

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

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # before NumPy: orthogonal weights may depend on it

import numpy as np
import onnx
import onnxruntime

from .artefacts import artefacts
from .cases import Entry, entries
from .package import block_size

PROGRESS = 250
"""Specs after which a line tells how many are done."""
LARGE = 1 << 12
"""Bytes of a weight from which on the text of a model shows its hash instead of its values."""
EXPECTED = re.compile(rb"(CompileError|FeedError|UsageError): ")
"""The beginning of an expected failure; others are faults of the package."""

Hashes = dict[str, str]


def record(only: str, seeds: int, jobs: int, folder: Path | None) -> dict[str, Any]:
    """The platform's facts and, by id and artefact, the hashes of all specs whose id has `only` in it."""
    begun = time.monotonic()
    wanted = [entry for entry in entries(seeds) if only in entry.id]
    hashes: dict[str, Hashes] = {}
    with get_context("spawn").Pool(jobs, initializer=warm_up) as pool:
        for id, made, faults in pool.imap_unordered(partial(hashed, folder=folder), wanted):
            hashes[id] = made
            for fault in faults:
                print(f"{id}: {fault}", file=sys.stderr)
            if len(hashes) % PROGRESS == 0 or len(hashes) == len(wanted):
                seconds = time.monotonic() - begun
                print(f"{len(hashes)} of {len(wanted)} after {seconds:.0f} s", file=sys.stderr, flush=True)
    return {"header": header(), "hashes": hashes}


def header() -> dict[str, Any]:
    """What besides the package decides about the hashes."""
    return {
        "block_size": block_size(),
        "numpy": np.__version__,
        "onnx": onnx.__version__,
        "onnxruntime": onnxruntime.__version__,
        "platform": f"{platform.system()} {platform.machine()}",
        "python": ".".join(platform.python_version_tuple()[:2]),
    }


def warm_up() -> None:
    """A step of a small network: kernels are looked for once in a process, in sessions that really run."""
    from jsonnx import Trainer

    layers = [{"type": "Conv2D", "filters": 8, "kernel_size": 3}, {"type": "Flatten"}, {"type": "Dense", "units": 1}]
    training = {"loss": "mse", "optimizer": "sgd"}
    spec = {"inputs": {"x": {"shape": [6, 6, 8]}}, "layers": layers, "training": training}
    Trainer(spec, threads=1).step(np.zeros((2, 6, 6, 8), np.float32), np.zeros((2, 1), np.float32))


def hashed(entry: Entry, folder: Path | None) -> tuple[str, Hashes, list[str]]:
    """The id, its hashes, and failures that no user is meant to see."""
    hashes, faults = {}, []
    for name, content in artefacts(entry):
        hashes[name] = sha256(content).hexdigest()
        if name.endswith("/failure") and not EXPECTED.match(content):
            faults.append(f"{name}: {content.decode()}")
        if folder is not None:
            save(folder / file_name(entry.id), name, content)
    return entry.id, hashes, faults


def save(folder: Path, name: str, content: bytes) -> None:
    """Writes an artefact, and a model also as text."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / file_name(name)
    is_model = not name.endswith(("/options", "/failure")) and name.startswith(("inference", "threads"))
    path = path.with_name(f"{path.name}.onnx") if is_model else path
    path.write_bytes(content)
    if path.suffix == ".onnx":
        path.with_suffix(".txt").write_text(model_text(content), "utf-8")


def model_text(content: bytes) -> str:
    """A model as text, with hashes in place of the values of large weights."""
    model = onnx.load_from_string(content)
    weight_hashes = [f"{weight.name}: {shortened(weight)}" for weight in large(model.graph.initializer)]
    metadata = [f"{entry.key}: {entry.value}" for entry in model.metadata_props]
    return "\n".join([onnx.printer.to_text(model), *weight_hashes, *metadata]) + "\n"


def large(weights: Iterable[onnx.TensorProto]) -> list[onnx.TensorProto]:
    return [weight for weight in weights if len(weight.raw_data) >= LARGE]


def shortened(weight: onnx.TensorProto) -> str:
    """Removes the values of a weight and returns their hash."""
    digest = sha256(weight.raw_data).hexdigest()
    weight.raw_data, weight.dims[:] = b"", [0]
    return digest


def file_name(text: str) -> str:
    """A name of a file that stands for the text."""
    return re.sub(r"[^\w.=-]+", "_", text)
