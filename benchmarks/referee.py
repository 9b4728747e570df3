"""Runs contestants in turns, each in its own process that stays alive, never two at once."""

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
WARM_UP_STEPS = 3
"""Untimed steps after those of the proof."""
PROOF_SIZE = 3
"""Number of losses or outputs by which contestants are checked for equal results."""
MAX_STEPS_PER_TURN = 20_000
"""Greatest number of steps in a turn."""
MAX_TURNS_FACTOR = 3
"""Greatest number of turns, as a multiple of the requested ones, if some turns are disturbed."""


MAX_REASON_LENGTH = 300
"""Greatest length of the reason of a failure."""


class Failed(Exception):
    """Raised if a contestant fails; `trace` is its traceback."""

    def __init__(self, message: str, trace: str = "") -> None:
        reason = re.sub(r"(?<![\w.])/\S+/", "", " ".join(message.split()))  # without absolute paths
        super().__init__(reason if len(reason) <= MAX_REASON_LENGTH else f"{reason[:MAX_REASON_LENGTH]} ...")
        self.trace = trace


class Worker:
    """The process of a contestant."""

    def __init__(self, name: str, entry: Entry, folder: Path, threads: int) -> None:
        self.name = name
        self._log = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115
        cache = {"TORCHINDUCTOR_CACHE_DIR": str(folder / "inductor")}  # an interrupted run may leave truncated files
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.worker", entry.made_by, str(folder), str(threads), str(entry.processes)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            env=environment(entry, threads) | cache,
        )
        try:
            answer = self._answer()
        except BaseException:
            self.__exit__()
            raise
        self.ready, self.imported, self.peak = float(answer["seconds"]), float(answer["imported"]), 0.0
        self.processor_milliseconds: list[float] = []
        """Of this process, not of others that it has started: per step, of each turn."""

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
        """Runs steps and returns their duration in seconds."""
        answer = self._ask(f"steps {count}")
        self.peak = float(answer["peak"])
        self._processor_seconds = float(answer["processor_seconds"])
        return float(answer["seconds"])

    def turn(self, count: int) -> tuple[float, bool]:
        """Runs a turn; returns the milliseconds per step and whether the turn was disturbed."""
        watch = Watch(self._process.pid)
        seconds = self.steps(count)
        disturbed = watch.shared()
        self.processor_milliseconds.append(1e3 * self._processor_seconds / count)
        self.rest()
        return 1e3 * seconds / count, disturbed

    def rest(self) -> None:
        """Waits until the threads of the process are idle."""
        rest(self._process.pid)

    def _ask(self, order: str) -> dict[str, Any]:
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):  # `_answer` raises Failed with the reason
            print(order, file=self._process.stdin, flush=True)
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            self._process.wait()
            self._log.seek(0)
            last_lines = self._log.read().strip().splitlines()[-3:]
            raise Failed(f"{self.name}: its process ended with {self._process.returncode}: {' / '.join(last_lines)}")
        answer: dict[str, Any] = json.loads(line)
        if "failed" in answer:
            raise Failed(f"{self.name}: {answer['failed']}", answer["trace"])
        return answer


def environment(entry: Entry, threads: int) -> dict[str, str]:
    """Returns the environment of a worker: quiet, CPU only, with this thread count and without local settings."""
    inherited = {key: text for key, text in os.environ.items() if not key.startswith(("OPENBLAS_", "OMP_", "MKL_"))}
    quiet = {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "", "PYTHONWARNINGS": "ignore"}
    limits = ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")
    paths = {"PYTHONPATH": os.pathsep.join([str(ROOT / "compiler"), str(ROOT)])}
    return inherited | quiet | paths | dict.fromkeys(limits, str(threads)) | entry.environment


class Turns(NamedTuple):
    """The number of turns and their length."""

    rounds: int = 7
    seconds: float = 0.5
    """Approximate length of a turn."""


@dataclass
class Score:
    """The results of a contestant: milliseconds per step in undisturbed turns, and its proof."""

    rounds: list[float] = field(default_factory=list)
    shared: list[float] = field(default_factory=list)
    """Milliseconds per step in disturbed turns, which count only if there are few undisturbed ones."""
    processor: list[float] = field(default_factory=list)
    """Milliseconds of processor time per step, of each turn, which other processes disturb less."""
    proof: list[float] = field(default_factory=list)
    failed: str = ""


def compete(
    contestants: Mapping[str, Entry],
    folder: Path,
    threads: int,
    turns: Turns,
    tell: Callable[[str], None] = lambda _: None,
) -> dict[str, Score]:
    """Returns the score of every contestant. A contestant that fails is excluded; the others continue."""
    scores = {name: Score() for name in contestants}
    with ExitStack() as stack:
        counts: dict[str, int] = {}
        workers: dict[str, Worker] = {}
        for name, entry in contestants.items():
            tell(f"{name} gets ready")
            try:
                worker = stack.enter_context(Worker(name, entry, folder, threads))
                scores[name].proof = worker.proof(PROOF_SIZE)
                worker.steps(WARM_UP_STEPS)
                counts[name], workers[name] = _steps_per_turn(worker, turns.seconds), worker
                worker.rest()
            except Failed as failed:
                scores[name].failed = str(failed)
                tell(f"{failed}\n{failed.trace}")
        for number in range(MAX_TURNS_FACTOR * turns.rounds):
            active = [name for name in workers if not scores[name].failed]
            if all(len(scores[name].rounds) >= turns.rounds for name in active):
                break
            tell(f"round {number + 1}")
            for name in active:  # also contestants with enough turns, since the speed of a machine varies over time
                try:
                    milliseconds, disturbed = workers[name].turn(counts[name])
                    (scores[name].shared if disturbed else scores[name].rounds).append(milliseconds)
                except Failed as failed:
                    scores[name].failed = str(failed)
        for name, worker in workers.items():
            scores[name].processor = worker.processor_milliseconds
    return scores


def _steps_per_turn(worker: Worker, seconds: float) -> int:
    """Returns the number of steps that take about this many seconds."""
    count = 1
    while (duration := worker.steps(count)) < seconds / 4 and count < MAX_STEPS_PER_TURN:
        count = min(MAX_STEPS_PER_TURN, 4 * count)
    return max(1, min(MAX_STEPS_PER_TURN, round(count * seconds / duration)))
