"""Reads mutated files, each by a forked process: `python -m campaigns.damaged_files.run --count 1000 --seed 0`.

Prints the outcomes. The test is that the script ends with status 0.
"""

from __future__ import annotations

import argparse
import collections
import os
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import h5py  # noqa: F401 - imported once, before the forks
import numpy as np
from jsonnx.core.diagnostics import CompileError
from jsonnx.interop import hdf5, hdf5_worker
from jsonnx.interop.keras import open_keras
from jsonnx.interop.read_budget import ReadBudget

KERAS_FILES = Path(__file__).parents[2] / "unit" / "interop" / "keras" / "files"
SEEDS = [KERAS_FILES / name for name in ("keras3_half.h5", "keras3_half.keras", "keras1_th.h5")]


class ForkedWorker:
    """Replaces `subprocess.Popen`: the worker is a fork of this process, which has h5py loaded."""

    crashes: collections.Counter[int] = collections.Counter()

    def __init__(self, command: list[str], stdin: int, **_: Any) -> None:
        read_end, write_end = os.pipe()
        self.pid = os.fork()
        if not self.pid:
            os.dup2(stdin, 0)
            os.dup2(write_end, 1)
            os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
            os.closerange(3, 64)
            sys.stdout = os.fdopen(1, "w", closefd=False)
            sys.argv[1:] = [command[-1]]
            hdf5_worker.main(**hdf5_worker.json.loads(command[-1]))
        os.close(write_end)
        self.stdout = os.fdopen(read_end, "rb")
        self.status: int | None = None

    def kill(self) -> None:
        if self.status is None:
            os.kill(self.pid, signal.SIGKILL)

    def wait(self) -> int:
        if self.status is None:
            self.status = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
            if self.status < 0 and self.status != -signal.SIGKILL:
                self.crashes[-self.status] += 1
        return self.status


def mutate(data: bytes, rng: np.random.Generator) -> bytes:
    """Changes, inserts, duplicates or removes bytes, mostly in the first 4096, which hold the structure."""
    mutated = bytearray(data)
    for _ in range(rng.integers(1, 9)):
        at = int(rng.integers(len(mutated) if rng.random() < 0.5 else min(len(mutated), 4096)))
        kind = rng.integers(5)
        if kind == 0:
            mutated[at] ^= 1 << int(rng.integers(8))
        elif kind == 1:
            mutated[at] = int(rng.integers(256))
        elif kind == 2:
            mutated[at : at + 8] = rng.choice([bytes(8), b"\xff" * 8, rng.bytes(8)])
        elif kind == 3:
            source = int(rng.integers(len(mutated)))
            mutated[at : at + 16] = mutated[source : source + 16]
        elif rng.random() < 0.1:
            del mutated[at : at + int(rng.integers(1, 100))]
    return bytes(mutated)


def main(count: int, seed: int, seconds: float) -> None:
    hdf5.subprocess.Popen = ForkedWorker  # type: ignore[assignment,misc]
    rng = np.random.default_rng(seed)
    seeds = [path.read_bytes() for path in SEEDS]
    outcomes: collections.Counter[str] = collections.Counter()
    slowest, begin = 0.0, time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "mutated"
        for index in range(count):
            if time.monotonic() - begin > seconds:
                break
            path.write_bytes(mutate(seeds[index % len(seeds)], rng))
            start = time.monotonic()
            try:
                open_keras(path, ReadBudget(max_seconds=2, bytes_left=1 << 28))
                outcomes["read"] += 1
            except CompileError as error:
                outcomes[error.diagnostics[0].code] += 1
            slowest = max(slowest, time.monotonic() - start)
    print(f"{sum(outcomes.values())} read or rejected: {dict(outcomes)}")
    print(f"worker crashes by signal: {dict(ForkedWorker.crashes)}")
    print(f"the slowest took {slowest:.2f} s")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=10**9, help="number of files")
    parser.add_argument("--seed", type=int, default=0, help="seed of the mutations")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="begin no file after this time")
    args = parser.parse_args()
    main(args.count, args.seed, args.seconds)
