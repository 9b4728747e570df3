"""Trains one network in this process and writes what it measured to a JSON file, after each phase.

python -m benchmarks.large.worker SETTINGS, where SETTINGS is a `Settings` as JSON
"""

from __future__ import annotations

import json
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from ..load import memory, peak_memory, reset_peak_memory
from ..worker import confine
from .networks import NETWORKS
from .trainers import TRAINERS

RESULT_FILE = "result.json"
GB = 1e9
Result = dict[str, Any]


@dataclass(frozen=True)
class Settings:
    """What a process measures."""

    network: str
    contestant: str
    folder: str
    threads: int
    started: float
    """`time.time()` before the process was started."""
    steps: int
    """Number of steps behind the first one."""
    tiny: bool = False
    """Whether the network has its tiny form."""
    weights: str = ""
    """The .npz file with the initial weights; without one, they are drawn."""
    losses_only: bool = False

    def as_json(self) -> str:
        return json.dumps(asdict(self))


def main(text: str) -> None:
    settings = Settings(**json.loads(text))
    confine(settings.threads)
    result: Result = {}
    file = Path(settings.folder) / RESULT_FILE

    def update(**values: Any) -> None:
        result.update(values)
        file.write_text(json.dumps(result), "utf-8")

    try:
        measure(settings, update)
    except Exception as error:
        update(failed=f"{type(error).__name__}: {error}", trace=traceback.format_exc())


def measure(settings: Settings, update: Callable[..., None]) -> None:
    """Trains, saves, and reports each phase: seconds, processor seconds, peaks of memory and bytes on disk."""
    weights = None
    if settings.weights:
        with np.load(settings.weights) as file:
            weights = {name: file[name] for name in file.files}
    trainer = TRAINERS[settings.contestant](NETWORKS[settings.network], settings.tiny, settings.threads, weights)
    losses = [trainer.step()]
    update(
        first_step_seconds=time.time() - settings.started,
        first_step_cpu_seconds=time.process_time(),
        first_step_peak_gb=_peak_gb(),
    )
    seconds, cpu_seconds = [], []
    reset_peak_memory()
    for _ in range(settings.steps):
        start, cpu_start = time.perf_counter(), time.process_time()
        losses.append(trainer.step())
        seconds.append(time.perf_counter() - start)
        cpu_seconds.append(time.process_time() - cpu_start)
    update(
        losses=losses,
        step_seconds=median(seconds),
        step_cpu_seconds=median(cpu_seconds),
        steps_peak_gb=_peak_gb(),
        resting_gb=memory() * 2**20 / GB,
    )
    if not settings.losses_only:
        folder = Path(settings.folder)
        update(**_file_phase("checkpoint", folder, trainer.save_checkpoint))
        update(**_file_phase("model", folder, trainer.save_model))


def _file_phase(name: str, parent: Path, write: Callable[[Path], None]) -> Result:
    """Writes to a folder of its own, which is removed afterwards."""
    folder = parent / name
    folder.mkdir()
    reset_peak_memory()
    start = time.perf_counter()
    write(folder / name)
    seconds = time.perf_counter() - start
    written = [path for path in folder.rglob("*") if path.is_file()]
    bytes_on_disk = sum(path.stat().st_size for path in written)
    for path in written:
        path.unlink()
    return {f"{name}_peak_gb": _peak_gb(), f"{name}_seconds": seconds, f"{name}_file_gb": bytes_on_disk / GB}


def _peak_gb() -> float:
    return peak_memory() * 2**20 / GB


if __name__ == "__main__":
    main(sys.argv[1])
