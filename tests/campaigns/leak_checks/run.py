"""Repeats work in a process and compares what the process holds: `python -m campaigns.leak_checks.run --seconds 60`.

Each kind of work is repeated until its share of the time is over. The first third warms caches up. Afterwards memory
must not grow by more than `MAX_GROWTH_BYTES`, and threads and file descriptors must not grow at all. Ends with 1 if one
does. Linux only.
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jsonnx
import numpy as np

MAX_GROWTH_BYTES = 12 << 20
"""Growth of the resident memory that noise of the allocators explains."""
SAMPLES = 64
SPEC: dict[str, Any] = {
    "inputs": {"image": {"shape": [12, 12, 3]}},
    "layers": [
        {"type": "RandomFlip"},
        {"type": "Conv2D", "filters": 16, "kernel_size": 3, "activation": "relu"},
        {"type": "BatchNormalization"},
        {"type": "GlobalAveragePooling2D"},
        {"type": "Dropout", "rate": 0.2},
        {"type": "Dense", "name": "class", "units": 4, "activation": "softmax"},
    ],
    "training": {"loss": "sparse_categorical_crossentropy", "optimizer": "adam", "metrics": ["accuracy"]},
}
LSTM: dict[str, Any] = {
    "inputs": {"x": {"shape": [8, 12]}},
    "layers": [{"type": "LSTM", "units": 32}, {"type": "Dense", "units": 3, "activation": "softmax"}],
    "training": {"loss": "sparse_categorical_crossentropy", "optimizer": "adam"},
}


@dataclass(frozen=True)
class Holdings:
    """What a process holds: bytes of resident memory, threads and file descriptors."""

    memory: int
    threads: int
    descriptors: int

    @classmethod
    def measure(cls) -> Holdings:
        gc.collect()
        ctypes.CDLL(None).malloc_trim(0)  # free pages of the allocator are not held by anything
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return cls(
            pages * os.sysconf("SC_PAGE_SIZE"), len(os.listdir("/proc/self/task")), len(os.listdir("/proc/self/fd"))
        )


def images() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.random((SAMPLES, 12, 12, 3), np.float32), rng.integers(0, 4, SAMPLES)


@contextmanager
def steps() -> Iterator[Callable[[], object]]:
    """Steps of one trainer, with batches of several sizes."""
    trainer, (x, y), count = jsonnx.Trainer(SPEC), images(), iter(range(10**9))

    def step() -> None:
        samples = (SAMPLES, 32, 17)[next(count) % 3]
        trainer.step(x[:samples], y[:samples])

    yield step


@contextmanager
def fits() -> Iterator[Callable[[], object]]:
    """Epochs of one trainer, with batches that are filled ahead."""
    trainer, (x, y) = jsonnx.Trainer(SPEC), images()
    yield lambda: trainer.fit(x, y, batch_size=8, validation_split=0.25)


@contextmanager
def trainers() -> Iterator[Callable[[], object]]:
    """New trainers, each for one step and a prediction."""
    x, y = images()
    sequences = np.zeros((8, 8, 12), np.float32), np.zeros(8, np.int64)

    def train() -> None:
        for spec, (inputs, targets) in ((SPEC, (x, y)), (LSTM, sequences)):
            trainer = jsonnx.Trainer(spec)
            trainer.step(inputs, targets)
            trainer.predict(inputs)

    yield train


@contextmanager
def sessions() -> Iterator[Callable[[], object]]:
    """Compiled models, each with a session."""
    x, _ = images()
    yield lambda: jsonnx.compile(SPEC).session().run(x)


@contextmanager
def checkpoints() -> Iterator[Callable[[], object]]:
    """Checkpoints that are written and read."""
    trainer, (x, y) = jsonnx.Trainer(SPEC), images()
    trainer.step(x, y)
    with tempfile.TemporaryDirectory() as folder:

        def save_and_load() -> None:
            trainer.save_checkpoint(Path(folder) / "checkpoint")
            trainer.load_checkpoint(Path(folder) / "checkpoint")

        yield save_and_load


@contextmanager
def rejected_specs() -> Iterator[Callable[[], object]]:
    """Specs with errors, whose errors are caught."""
    wrong = {**SPEC, "layers": [*SPEC["layers"], {"type": "Dens", "units": "many"}]}

    def reject() -> None:
        try:
            jsonnx.compile(wrong)
        except jsonnx.CompileError:
            return
        raise AssertionError("the spec was accepted")

    yield reject


KINDS = (steps, fits, trainers, sessions, checkpoints, rejected_specs)


@dataclass(frozen=True)
class Outcome:
    """How often a kind of work was repeated, and what grew after the warm-up."""

    repetitions: int
    growth: Holdings

    @property
    def leaks(self) -> bool:
        return self.growth.memory > MAX_GROWTH_BYTES or self.growth.threads > 0 or self.growth.descriptors > 0


def repeat(kind: Callable[[], Any], seconds: float, *, minimum: int = 6) -> Outcome:
    """Repeats work for some seconds, a third of them for the warm-up, and at least `minimum` times."""
    with kind() as work:
        begin, count, warm = time.monotonic(), 0, None
        while count < minimum or time.monotonic() - begin < seconds:
            work()
            count += 1
            if warm is None and count >= minimum // 2 and time.monotonic() - begin >= seconds / 3:
                warm = Holdings.measure()
        assert warm is not None
        end = Holdings.measure()
    growth = (end.memory - warm.memory, end.threads - warm.threads, end.descriptors - warm.descriptors)
    return Outcome(count, Holdings(*growth))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60, help="time for all kinds of work")
    args = parser.parse_args()
    outcomes = {}
    for kind in KINDS:
        outcomes[kind.__name__] = outcome = repeat(kind, args.seconds / len(KINDS))
        growth = outcome.growth
        print(
            f"{kind.__name__:16}{outcome.repetitions:8,} times  memory {growth.memory / 2**20:+7.2f} MiB  "
            f"threads {growth.threads:+d}  descriptors {growth.descriptors:+d}{'  LEAK' * outcome.leaks}",
            flush=True,
        )
    return 1 if any(outcome.leaks for outcome in outcomes.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
