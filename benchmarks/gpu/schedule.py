"""Runs jobs in processes of their own, within a time, and writes the results after each of them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from time import monotonic
from typing import Any

from .jobs import RESULT_MARK, Settings, failed

MAX_JOB_SECONDS = 180.0
"""A job that takes longer is ended: TensorRT, or PyTorch's compiler, may build for minutes."""
MAX_ERROR_CHARS = 2000


def selected(names: Sequence[str], texts: Sequence[str]) -> list[str]:
    """The names that contain one of the texts; all names without texts."""
    return [name for name in names if not texts or any(text in name for text in texts)]


def run_all(names: Sequence[str], settings: Settings, output: Path, minutes: float) -> dict[str, Any]:
    """Runs the jobs one after the other. The report has their results, those that failed, and those not run."""
    end = monotonic() + 60 * minutes
    report: dict[str, Any] = {"settings": settings.as_json(), "jobs": {}, "failed": [], "not_run": list(names)}
    for name in names:
        remaining = end - monotonic()
        if remaining <= 0:
            break
        print(f"  {name}", file=sys.stderr, flush=True)
        result = run_job(name, settings, min(MAX_JOB_SECONDS, remaining))
        report["jobs"][name] = result
        report["not_run"].remove(name)
        if failed(name, result):
            report["failed"].append(name)
        write(report, output)
    write(report, output)
    return report


def run_job(name: str, settings: Settings, seconds: float) -> dict[str, Any]:
    """The result of a job; an `error` if its process fails, crashes or takes too long."""
    command = [sys.executable, "-m", "benchmarks.gpu", "--job", name, *settings.as_arguments()]
    start = monotonic()
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds, env=os.environ, check=False)
    except subprocess.TimeoutExpired:
        return {"error": f"not finished after {seconds:.0f} s"}
    lines = [line for line in done.stdout.splitlines() if line.startswith(RESULT_MARK)]
    if not lines:
        return {"error": f"exit status {done.returncode}: {done.stderr.strip()[-MAX_ERROR_CHARS:]}"}
    return {**json.loads(lines[-1][len(RESULT_MARK) :]), "seconds": round(monotonic() - start, 1)}


def write(report: dict[str, Any], output: Path) -> None:
    temporary = output.with_suffix(".tmp")
    temporary.write_text(json.dumps(report, indent=1) + "\n", "utf-8")
    temporary.replace(output)
