"""The process of the server, and what it holds."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from support.served_models import COLOURS, save_model, save_several
from support.served_process import ServedProcess

PICTURES = {
    "inputs": {"image": {"shape": [12, 12, 3]}},
    "layers": [
        {"type": "Conv2D", "filters": 8, "kernel_size": 3, "activation": "relu"},
        {"type": "GlobalAveragePooling2D"},
        {"type": "Dense", "name": "class", "units": 4, "activation": "softmax"},
    ],
}


def save_models(folder: Path) -> dict[str, Path]:
    """The models that are served, by name."""
    specs = {"colours": COLOURS, "pictures": PICTURES}
    saved = {name: save_model(spec, folder / f"{name}.onnx") for name, spec in specs.items()}
    return {**saved, "several": save_several(folder)}


def serve(models: dict[str, Path], log: Path) -> ServedProcess:
    return ServedProcess([f"{name}={file}" for name, file in models.items()], grpc=True, log=log)


@dataclass(frozen=True)
class Holdings:
    """What a process holds: bytes of resident memory, threads and file descriptors."""

    memory: int
    threads: int
    descriptors: int

    @classmethod
    def of(cls, pid: int) -> Holdings:
        proc = Path(f"/proc/{pid}")
        pages = int((proc / "statm").read_text().split()[1])
        return cls(pages * os.sysconf("SC_PAGE_SIZE"), len(os.listdir(proc / "task")), len(os.listdir(proc / "fd")))

    def __str__(self) -> str:
        return f"{self.memory / 2**20:.1f} MiB, {self.threads} threads, {self.descriptors} descriptors"
