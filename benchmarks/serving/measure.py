"""Requests by wrk to the servers, in turns."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .models import MODELS, ServedModel
from .servers import answer, running

SCRIPT = Path(__file__).parent / "load.lua"
TICKS_PER_S = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Load:
    """What clients send."""

    clients: int
    rows: int
    seconds: int

    @property
    def name(self) -> str:
        return f"{self.clients} clients, {self.rows} rows"


WARM_UP = Load(clients=16, rows=8, seconds=1)
Result = dict[str, float]


def measure(
    model_name: str, servers: Sequence[str], loads: Sequence[Load], rounds: int, peers: Path, folder: Path
) -> dict[str, dict[str, Result]]:
    """By load and server: requests per second, latencies in milliseconds, milliseconds of CPU per request, errors.

    In each round every server is started anew; of the rounds, the best one counts.
    """
    model, path = MODELS[model_name], folder / f"{model_name}.onnx"
    model.save(path)
    results: dict[str, dict[str, Result]] = {}
    for _ in range(rounds):
        expected = None
        for server in servers:
            with running(server, path, peers, folder, model.body(1)) as (url, pid):
                expected = _require_equal(server, url, model, expected)
                _measure(url, pid, model, WARM_UP, folder)
                for load in loads:
                    result = _measure(url, pid, model, load, folder)
                    results = better(results, {load.name: {server: result}})
                    print(f"  {model_name}, {load.name}, {server}: {result}", flush=True)
    return results


def better(one: dict[str, dict[str, Result]], other: dict[str, dict[str, Result]]) -> dict[str, dict[str, Result]]:
    """Of each load and server, the result of which other programs on the machine have disturbed less."""
    merged = {load: dict(by_server) for load, by_server in one.items()}
    for load, by_server in other.items():
        for server, result in by_server.items():
            present = merged.setdefault(load, {}).get(server)
            if not result["requests_per_s"]:
                continue  # no request was answered in the time
            if present is None:
                merged[load][server] = result
                continue
            best = {key: min(value, result[key]) for key, value in present.items()}
            best["requests_per_s"] = max(present["requests_per_s"], result["requests_per_s"])
            best["errors"] = max(present["errors"], result["errors"])
            merged[load][server] = best
    return merged


def _require_equal(server: str, url: str, model: ServedModel, expected: np.ndarray | None) -> np.ndarray:
    """Raises SystemExit unless the servers give the same answer."""
    values = np.array(answer(url, model.body(3))["outputs"][0]["data"], np.float64).ravel()
    if expected is not None and not np.allclose(values, expected, atol=1e-5):
        raise SystemExit(f"{server} answers {values[:5]}, others {expected[:5]}")
    return values


def _measure(url: str, pid: int, model: ServedModel, load: Load, folder: Path) -> Result:
    body = folder / f"{load.rows}.json"
    body.write_bytes(model.body(load.rows))
    before = _cpu_s(pid)
    requests, duration_s, p50_ms, p99_ms, errors = _wrk(url, body, load.clients, load.seconds)
    cpu_s = _cpu_s(pid) - before
    return {
        "requests_per_s": round(requests / duration_s, 1),
        "p50_ms": p50_ms,
        "p99_ms": p99_ms,
        "cpu_ms": round(1000 * cpu_s / max(1, requests), 3),
        "errors": errors,
    }


def _wrk(url: str, body: Path, clients: int, seconds: int) -> tuple[int, float, float, float, int]:
    command = ["wrk", "-t1", f"-c{clients}", f"-d{seconds}s", "--timeout", "20s", "-s", str(SCRIPT), url]
    done = subprocess.run(
        command, env={**os.environ, "BODY": str(body)}, capture_output=True, text=True, check=True, timeout=60
    )
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("RESULT ")]
    requests, duration_us, p50_us, p99_us, errors = map(int, line.split()[1:])
    return requests, duration_us / 1e6, round(p50_us / 1000, 2), round(p99_us / 1000, 2), errors


def _cpu_s(group: int) -> float:
    """The CPU time of all processes of a session."""
    ticks = 0
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[3]) == group:  # the session
                ticks += int(fields[11]) + int(fields[12])
    return ticks / TICKS_PER_S
