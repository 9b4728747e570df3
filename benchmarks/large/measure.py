"""Measures contestants in turns, each network in a fresh process, never two processes at once."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from jsonnx.core.system.memory import available_memory

from ..contest import disagreements
from ..contestants import Entry
from ..materials import SEED, by_layer
from ..referee import Failed, environment
from .networks import GIB, NETWORKS, Network
from .trainers import FRAMEWORKS
from .worker import RESULT_FILE, Result, Settings

MIN_AVAILABLE_BYTES = 500_000_000
"""A process is ended if the machine has less memory left, before the system ends another one."""
POLL_SECONDS = 0.02
PROOF_STEPS = 2
NOISE = 0.2
"""Standard deviation of what is added to the initial weights of a proof."""


@dataclass(frozen=True)
class Plan:
    """Which contestants are measured, and how often."""

    contestants: tuple[str, ...]
    rounds: int
    steps: int
    threads: int
    folder: Path
    """Where temporary files are written."""
    max_minutes: float
    """Time after which a process is ended."""
    tell: Callable[[str], None]
    tiny: bool = False


def measure(name: str, plan: Plan) -> Iterator[Result]:
    """Yields the runs and the failures of all contestants on one network, after each process anew."""
    network = NETWORKS[name]
    available_gib = available_memory() / GIB
    result: Result = {"about": network.about, "parameters": network.parameters}
    if available_gib < network.min_gib and not plan.tiny:
        skipped = f"needs more than {network.min_gib:.0f} GiB of memory, and {available_gib:.0f} are available"
        yield {**result, "skipped": skipped, "contestants": {}}
        return
    contestants: dict[str, Result] = {one: {"runs": [], "failed": "", "proof": []} for one in plan.contestants}
    result["contestants"] = contestants
    _prove(name, network, contestants, plan)
    result["disagreements"] = disagreements(result)
    yield result
    for number in range(plan.rounds):
        for contestant, score in contestants.items():
            if score["failed"]:
                continue
            plan.tell(f"{name}, round {number + 1}: {contestant}")
            result_of_run = run(Settings(name, contestant, "", plan.threads, 0, plan.steps, plan.tiny), plan)
            _note_failure(score, result_of_run, plan)
            if "step_seconds" in result_of_run:
                score["runs"].append(result_of_run)
            yield result


def _prove(name: str, network: Network, contestants: dict[str, Result], plan: Plan) -> None:
    """Adds the first losses of the tiny form of the network with equal weights, which must agree."""
    import jsonnx

    with tempfile.TemporaryDirectory(dir=plan.folder) as folder:
        weights = Path(folder) / "weights.npz"
        np.savez(weights, **_drawn(jsonnx.compile(network.spec(tiny=True), seed=SEED).weights))
        for contestant, score in contestants.items():
            result = run(Settings(name, contestant, "", plan.threads, 0, PROOF_STEPS, True, str(weights), True), plan)
            _note_failure(score, result, plan)
            score["proof"] = result.get("losses", [])


def _drawn(weights: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Returns the weights with noise, so that biases and gains differ and every weight has an effect on the loss."""
    rng = np.random.default_rng(SEED)
    return {
        name: array + rng.normal(0, NOISE, array.shape).astype(np.float32) for name, array in by_layer(weights).items()
    }


def _note_failure(score: Result, result: Result, plan: Plan) -> None:
    if "failed" in result:
        score["failed"] = str(Failed(result.pop("failed")))
        plan.tell(f"{score['failed']}\n{result.pop('trace', '')}")


def run(settings: Settings, plan: Plan) -> Result:
    """Returns what a fresh process measured, and under `failed` why it did not finish."""
    framework = FRAMEWORKS[settings.contestant]
    if find_spec(framework) is None:
        return {"failed": f"{framework} is not installed"}
    with tempfile.TemporaryDirectory(dir=plan.folder) as folder, tempfile.TemporaryFile("w+") as log:
        settings = replace(settings, folder=folder, started=time.time())
        process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.large.worker", settings.as_json()],
            env=environment(Entry("", ""), settings.threads),
            stdout=log,
            stderr=log,
        )
        ended_by = _wait(process, plan.max_minutes)
        file = Path(folder) / RESULT_FILE
        result: Result = json.loads(file.read_text("utf-8")) if file.exists() else {}
        log.seek(0)
        last_lines = " / ".join(log.read().strip().splitlines()[-3:])
    if process.returncode:
        result["failed"] = ended_by or f"the process ended with {process.returncode}: {last_lines}"
    return result


def _wait(process: subprocess.Popen[bytes], max_minutes: float) -> str:
    """Waits for the end of a process; ends it, and returns the reason, if it takes too much memory or time."""
    end = time.monotonic() + 60 * max_minutes
    reason = ""
    try:
        while process.poll() is None and not reason:
            time.sleep(POLL_SECONDS)
            if available_memory() < MIN_AVAILABLE_BYTES:
                reason = f"the machine's memory is exhausted: it had {_resident_gb(process.pid):.1f} GB"
            elif time.monotonic() > end:
                reason = f"not finished after {max_minutes:g} minutes"
    finally:  # also if the benchmark is interrupted
        process.kill()
        process.wait()
    return reason


def _resident_gb(pid: int) -> float:
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except OSError:
        return 0.0
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e9
