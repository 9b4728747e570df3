"""Reads mutated files, each by a process that is forked off: `python mutate.py COUNT SEED`, jsonnx being on the path.

Prints how the readings ended. That it ends at all, with status 0, is what is tested.
"""

from __future__ import annotations

import collections
import os
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import h5py  # noqa: F401 - once, before the forks
import numpy as np
from jsonnx.core.diagnostics import CompileError
from jsonnx.interop import hdf5, hdf5_worker
from jsonnx.interop.keras import open_keras
from jsonnx.interop.limits import ReadBudget

HERE = Path(__file__).parent
SEEDS = [HERE / "keras" / "files" / name for name in ("keras3_half.h5", "keras3_half.keras", "keras1_th.h5")]


class Forked:
    """Stands in for `subprocess.Popen`: the reader is a copy of this process, which has h5py already."""

    died: collections.Counter[int] = collections.Counter()

    def __init__(self, command: list[str], stdin: int, **_: Any) -> None:
        out, into = os.pipe()
        self.pid = os.fork()
        if not self.pid:
            os.dup2(stdin, 0)
            os.dup2(into, 1)
            os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
            os.closerange(3, 64)
            sys.stdout = os.fdopen(1, "w", closefd=False)
            sys.argv[1:] = [command[-1]]
            hdf5_worker.main(**hdf5_worker.json.loads(command[-1]))
        os.close(into)
        self.stdout = os.fdopen(out, "rb")
        self.status: int | None = None

    def kill(self) -> None:
        if self.status is None:
            os.kill(self.pid, signal.SIGKILL)

    def wait(self) -> int:
        if self.status is None:
            self.status = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
            if self.status < 0 and self.status != -signal.SIGKILL:
                self.died[-self.status] += 1
        return self.status


def mutated(data: bytes, rng: np.random.Generator) -> bytes:
    """Bytes changed, cut out, put in or cut off; most of them where the structure is."""
    found = bytearray(data)
    for _ in range(rng.integers(1, 9)):
        at = int(rng.integers(len(found) if rng.random() < 0.5 else min(len(found), 4096)))
        kind = rng.integers(5)
        if kind == 0:
            found[at] ^= 1 << int(rng.integers(8))
        elif kind == 1:
            found[at] = int(rng.integers(256))
        elif kind == 2:
            found[at : at + 8] = rng.choice([bytes(8), b"\xff" * 8, rng.bytes(8)])
        elif kind == 3:
            source = int(rng.integers(len(found)))
            found[at : at + 16] = found[source : source + 16]
        elif rng.random() < 0.1:
            del found[at : at + int(rng.integers(1, 100))]
    return bytes(found)


def main(count: int, seed: int) -> None:
    hdf5.subprocess.Popen = Forked  # type: ignore[assignment,misc]
    rng = np.random.default_rng(seed)
    seeds = [path.read_bytes() for path in SEEDS]
    ends: collections.Counter[str] = collections.Counter()
    slowest = 0.0
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "mutated"
        for index in range(count):
            path.write_bytes(mutated(seeds[index % len(seeds)], rng))
            start = time.monotonic()
            try:
                open_keras(path, ReadBudget(max_seconds=2, bytes_left=1 << 28))
                ends["read"] += 1
            except CompileError as error:
                ends[error.diagnostics[0].code] += 1
            slowest = max(slowest, time.monotonic() - start)
    print(f"{sum(ends.values())} read or refused: {dict(ends)}; readers that died: {dict(Forked.died)}")
    print(f"the slowest took {slowest:.2f} s")


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
