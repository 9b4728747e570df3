"""Lets contestants work in turn: each in a process of its own that stays alive, never two at once."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from . import contestants as known

WARM_UP = 3
"""Steps before any is timed, besides those whose losses are compared."""
COMPARED = 3
"""Steps whose losses must agree."""
MOST = 20_000
"""Steps in one turn."""


class Failed(Exception):
    """A contestant that cannot go on; its message says why."""


class Worker:
    """A contestant's process."""

    def __init__(self, contestant: str, folder: Path, threads: int) -> None:
        self.name = contestant
        self._log = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")
        command = [sys.executable, "-m", "benchmarks.worker", contestant, str(folder), str(threads)]
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            env=environment(contestant, threads),
        )
        self.ready = self._answer()["seconds"]

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.kill()
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait()
        self._log.close()

    def losses(self, count: int) -> list[float]:
        return list(self._ask(f"losses {count}")["losses"])

    def steps(self, count: int) -> float:
        """The seconds that so many steps took."""
        return float(self._ask(f"steps {count}")["seconds"])

    def _ask(self, order: str) -> dict[str, Any]:
        assert self._process.stdin is not None
        print(order, file=self._process.stdin, flush=True)
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            self._process.wait()
            self._log.seek(0)
            last = self._log.read().strip().splitlines()[-3:]
            raise Failed(f"{self.name}: its process ended with {self._process.returncode}: {' / '.join(last)}")
        told: dict[str, Any] = json.loads(line)
        if "failed" in told:
            raise Failed(f"{self.name}: {told['failed']}\n{told['trace']}")
        return told


def environment(contestant: str, threads: int) -> dict[str, str]:
    """A worker's environment: quiet, on the CPU, with so many threads, and without settings of this machine."""
    kept = {key: text for key, text in os.environ.items() if not key.startswith(("OPENBLAS_", "OMP_", "MKL_"))}
    quiet = {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "", "PYTHONWARNINGS": "ignore"}
    return kept | quiet | {"OMP_NUM_THREADS": str(threads)} | known.environment(contestant)


class Turns(NamedTuple):
    """How long it is measured."""

    rounds: int = 7
    seconds: float = 0.4
    """About how long one contestant works before it is the next one's turn."""


@dataclass
class Score:
    """What one contestant reached: milliseconds a step in every round, and its first losses."""

    rounds: list[float] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)
    ready: float = 0.0
    """Seconds from nothing to a contestant that can begin, imports not counted."""
    failed: str = ""


def compete(
    contestants: Sequence[str], folder: Path, threads: int, turns: Turns, tell: Callable[[str], None] = lambda _: None
) -> dict[str, Score]:
    """Every contestant's score. One that fails is out; the others go on."""
    scores = {name: Score() for name in contestants}
    with ExitStack() as stack:
        counts: dict[str, int] = {}
        workers: dict[str, Worker] = {}
        for name in contestants:
            tell(f"{name} gets ready")
            try:
                worker = stack.enter_context(Worker(name, folder, threads))
                scores[name].ready = worker.ready
                scores[name].losses = worker.losses(COMPARED)
                worker.steps(WARM_UP)
                counts[name] = _in_a_turn(worker, turns.seconds)
                workers[name] = worker
            except Failed as failed:
                scores[name].failed = str(failed)
        for number in range(turns.rounds):
            tell(f"round {number + 1} of {turns.rounds}")
            for name, worker in list(workers.items()):
                try:
                    scores[name].rounds.append(1e3 * worker.steps(counts[name]) / counts[name])
                except Failed as failed:
                    scores[name].failed = str(failed)
                    del workers[name]
    return scores


def _in_a_turn(worker: Worker, seconds: float) -> int:
    """How many steps take about so long."""
    count = 1
    while (took := worker.steps(count)) < seconds / 4 and count < MOST:
        count = min(MOST, 4 * count)
    return max(1, min(MOST, round(count * seconds / took)))
