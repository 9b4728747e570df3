"""Triton's load generator, which asks for the configuration of a model first."""

from __future__ import annotations

import csv
import subprocess
import sys
from pathlib import Path

import pytest
import tritonclient.http
from support.served_process import ServedProcess

REQUESTS = 200
ROWS = 2


def size_options(server: ServedProcess, model: str) -> list[str]:
    """Options for requests of `ROWS` rows: of a model that is not batched, the shapes of inputs have their axis."""
    client = tritonclient.http.InferenceServerClient(server.address)
    config = client.get_model_config(model)
    client.close()
    if config["max_batch_size"]:
        return ["-b", str(ROWS)]
    shapes = {item["name"]: [str(ROWS if size < 0 else size) for size in item["dims"]] for item in config["input"]}
    return [option for name, sizes in shapes.items() for option in ("--shape", f"{name}:{','.join(sizes)}")]


@pytest.mark.parametrize("model", ["mnist_cnn", "penguins"])
@pytest.mark.parametrize("transport", ["http", "grpc"])
def test_all_requests_are_answered(server: ServedProcess, model: str, transport: str, tmp_path: Path) -> None:
    address = server.address if transport == "http" else server.grpc_address
    file = tmp_path / "latency.csv"
    options = ["-m", model, "-i", transport, "-u", address, "--concurrency-range", "4", "-f", str(file)]
    command = [str(Path(sys.executable).parent / "perf_analyzer"), *options, *size_options(server, model)]
    done = subprocess.run([*command, "--request-count", str(REQUESTS)], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"Request count: {REQUESTS}" in done.stdout
    (row,) = csv.DictReader(file.read_text().splitlines())
    assert float(row["p99 latency"]) > 0
