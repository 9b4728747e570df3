"""Triton's load generator, which asks for the configuration of a model first."""

from __future__ import annotations

import csv
import subprocess
import sys
from pathlib import Path

import pytest
from support.served_process import ServedProcess

REQUESTS = 200
SHAPES = {
    "mnist_cnn": ["--shape", "image:2,28,28,1"],
    "penguins": ["--shape", "measurements:2,4", "--shape", "sex:2", "--shape", "island:2"],
}


@pytest.mark.parametrize("model", SHAPES)
@pytest.mark.parametrize("transport", ["http", "grpc"])
def test_all_requests_are_answered(server: ServedProcess, model: str, transport: str, tmp_path: Path) -> None:
    address = server.address if transport == "http" else server.grpc_address
    file = tmp_path / "latency.csv"
    options = ["-m", model, "-i", transport, "-u", address, "--concurrency-range", "4", "-f", str(file)]
    command = [str(Path(sys.executable).parent / "perf_analyzer"), *options, *SHAPES[model]]
    done = subprocess.run([*command, "--request-count", str(REQUESTS)], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"Request count: {REQUESTS}" in done.stdout
    (row,) = csv.DictReader(file.read_text().splitlines())
    assert float(row["p99 latency"]) > 0
