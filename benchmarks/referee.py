"""Lets contestants work in turn: each in a process of its own that stays alive, never two at once."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from .contestants import Entry
from .load import Watch, rest

ROOT = Path(__file__).parents[1]
WARM_UP = 3
"""Steps before any is timed, besides those of the proof."""
PROOF = 3
"""Numbers by which contestants must agree."""
MOST = 20_000
"""Steps in one turn."""
PATIENCE = 3
"""How many times as many turns as were asked for are tried before those that were shared are taken."""


LONGEST = 300
"""Letters of a reason."""


class Failed(Exception):
    """A contestant that cannot go on; its message says why, and where."""

    def __init__(self, message: str, trace: str = "") -> None:
        told = re.sub(r"(?<![\w.])/\S+/", "", " ".join(message.split()))  # folders are this machine's
        super().__init__(told if len(told) <= LONGEST else f"{told[:LONGEST]} ...")
        self.trace = trace


class Worker:
    """A contestant's process."""

    def __init__(self, name: str, entry: Entry, folder: Path, threads: int) -> None:
        self.name = name
        self._log = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115
        cache = {"TORCHINDUCTOR_CACHE_DIR": str(folder / "inductor")}  # a run that was ended leaves files cut off
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.worker", entry.made_by, str(folder), str(threads)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            env=environment(entry, threads) | cache,
        )
        try:
            told = self._answer()
        except BaseException:
            self.__exit__()
            raise
        self.ready, self.imported, self.peak = float(told["seconds"]), float(told["imported"]), 0.0

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        for pipe in (self._process.stdin, self._process.stdout, self._log):
            if pipe is not None:
                pipe.close()
        self._process.wait()

    def proof(self, count: int) -> list[float]:
        return list(self._ask(f"proof {count}")["proof"])

    def steps(self, count: int) -> float:
        """The seconds that so many steps took."""
        told = self._ask(f"steps {count}")
        self.peak = float(told["peak"])
        return float(told["seconds"])

    def turn(self, count: int) -> tuple[float, bool]:
        """Milliseconds a step, and whether somebody else used the machine meanwhile. At its end all threads rest."""
        watch = Watch(self._process.pid)
        seconds = self.steps(count)
        shared = watch.shared()
        self.rest()
        return 1e3 * seconds / count, shared

    def rest(self) -> None:
        """Wait until its threads do."""
        rest(self._process.pid)

    def _ask(self, order: str) -> dict[str, Any]:
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):  # why it ended is told below
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
            raise Failed(f"{self.name}: {told['failed']}", told["trace"])
        return told


def environment(entry: Entry, threads: int) -> dict[str, str]:
    """A worker's environment: quiet, on the CPU, with so many threads, and without settings of this machine."""
    kept = {key: text for key, text in os.environ.items() if not key.startswith(("OPENBLAS_", "OMP_", "MKL_"))}
    quiet = {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "", "PYTHONWARNINGS": "ignore"}
    limits = ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")
    ours = {"PYTHONPATH": os.pathsep.join([str(ROOT / "compiler"), str(ROOT)])}
    return kept | quiet | ours | dict.fromkeys(limits, str(threads)) | entry.environment


class Turns(NamedTuple):
    """How long it is measured."""

    rounds: int = 7
    seconds: float = 0.5
    """About how long one contestant works before it is the next one's turn."""


@dataclass
class Score:
    """What one contestant reached: milliseconds a step in every round, and its proof."""

    rounds: list[float] = field(default_factory=list)
    shared: list[float] = field(default_factory=list)
    """Turns in which somebody else used the machine too; they count where there are no others."""
    proof: list[float] = field(default_factory=list)
    failed: str = ""


def compete(
    contestants: Mapping[str, Entry],
    folder: Path,
    threads: int,
    turns: Turns,
    tell: Callable[[str], None] = lambda _: None,
) -> dict[str, Score]:
    """Every contestant's score. One that fails is out; the others go on."""
    scores = {name: Score() for name in contestants}
    with ExitStack() as stack:
        counts: dict[str, int] = {}
        workers: dict[str, Worker] = {}
        for name, entry in contestants.items():
            tell(f"{name} gets ready")
            try:
                worker = stack.enter_context(Worker(name, entry, folder, threads))
                scores[name].proof = worker.proof(PROOF)
                worker.steps(WARM_UP)
                counts[name], workers[name] = _in_a_turn(worker, turns.seconds), worker
                worker.rest()
            except Failed as failed:
                scores[name].failed = str(failed)
                tell(f"{failed}\n{failed.trace}")
        for number in range(PATIENCE * turns.rounds):
            left = [name for name in workers if not scores[name].failed]
            if all(len(scores[name].rounds) >= turns.rounds for name in left):
                break
            tell(f"round {number + 1}")
            for name in left:  # also those that have enough: the machine is another one from minute to minute
                try:
                    took, shared = workers[name].turn(counts[name])
                    (scores[name].shared if shared else scores[name].rounds).append(took)
                except Failed as failed:
                    scores[name].failed = str(failed)
    return scores


def _in_a_turn(worker: Worker, seconds: float) -> int:
    """How many steps take about so long."""
    count = 1
    while (took := worker.steps(count)) < seconds / 4 and count < MOST:
        count = min(MOST, 4 * count)
    return max(1, min(MOST, round(count * seconds / took)))
