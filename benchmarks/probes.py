"""Measurements in a fresh process: `python -m benchmarks.probes NAME JSON` prints its results as JSON."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from time import perf_counter
from typing import Any

from .contestants import Entry
from .load import peak_memory
from .referee import environment

Measurements = dict[str, Any]


class TimeLimitExceeded(Exception):
    """Raised if a probe exceeds its time limit."""


def run_probe(probe: str, threads: int, limit: float = 600, **arguments: Any) -> Measurements:
    """Runs a probe in its own process and returns its results. Raises TimeLimitExceeded or RuntimeError."""
    command = [sys.executable, "-m", "benchmarks.probes", probe, json.dumps({**arguments, "threads": threads})]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, env=environment(Entry("", ""), threads), timeout=limit
        )
    except subprocess.TimeoutExpired:
        raise TimeLimitExceeded(f"more than {limit:.0f} s") from None
    if done.returncode:
        raise RuntimeError((done.stderr.strip().splitlines() or [f"the process ended with {done.returncode}"])[-1])
    measurements: Measurements = json.loads(done.stdout.splitlines()[-1])
    return measurements


def overhead(spec: Measurements, steps: int, rounds: int, threads: int) -> Measurements:
    """Returns the microseconds per step of a fit, and the part within onnxruntime's run."""
    import jsonnx
    import numpy as np
    import onnxruntime

    within = 0.0

    def timed(run: Any) -> Any:
        def wrapped(*arguments: Any, **named: Any) -> Any:
            nonlocal within
            start = perf_counter()
            try:
                return run(*arguments, **named)
            finally:
                within += perf_counter() - start

        return wrapped

    session = onnxruntime.InferenceSession
    for name in ("run", "run_with_iobinding", "run_with_ort_values"):
        setattr(session, name, timed(getattr(session, name)))
    trainer = jsonnx.Trainer(spec, threads=threads)
    ((_, about),) = spec["inputs"].items()
    batch = spec["training"]["batch_size"]
    rng = np.random.default_rng(1)
    x = rng.standard_normal((steps * batch, *about["shape"]), np.float32)
    y = rng.integers(10, size=len(x), dtype=np.int32)
    trainer.fit(x, y, epochs=1, verbose=0)
    measurements: Measurements = {"step": [], "within": []}
    for _ in range(rounds):
        within, start = 0.0, perf_counter()
        trainer.fit(x, y, epochs=1, verbose=0)
        measurements["step"].append(1e6 * (perf_counter() - start) / steps)
        measurements["within"].append(1e6 * within / steps)
    return measurements


def compile_time(spec: str, training: bool, threads: int) -> Measurements:
    """Returns the seconds from a spec to bytes and to a session, or to a trainer and the end of its first step."""
    import jsonnx
    import jsonnx.pipeline.compile.compile
    import jsonnx.pipeline.train.trainer
    import numpy as np
    import onnxruntime  # noqa: F401

    started = peak_memory()
    start = perf_counter()
    if not training:
        model = jsonnx.compile(spec)
        model.to_bytes()
        compiled = perf_counter() - start
        model.session(threads=threads)
    else:
        trainer = jsonnx.Trainer(spec, threads=threads)
        compiled = perf_counter() - start
        inputs = json.loads(Path(spec).read_text("utf-8"))["inputs"]
        ((_, about),) = inputs.items()
        trainer.step(np.zeros((1, *about["shape"]), np.float32), np.zeros(1, np.int32))
    return {"compiled": compiled, "ready": perf_counter() - start, "memory": peak_memory() - started}


if __name__ == "__main__":
    from .worker import confine

    arguments = json.loads(sys.argv[2])
    confine(arguments["threads"])
    print(json.dumps(globals()[sys.argv[1]](**arguments)))
