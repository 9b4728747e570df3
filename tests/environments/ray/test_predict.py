"""Predictions on a cluster of Ray: the bytes of one machine, kills of workers and of the process, errors of workers."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as parquet
import pytest
from jsonnx import compile
from support.commands import jsonnx as command

ROWS = 300_000
CPUS = 3
SPEC: dict[str, Any] = {
    "inputs": {"x": {"shape": [3]}},
    "layers": [{"type": "Dense", "name": "risk", "units": 3, "activation": "softmax"}],
    "labels": ["low", "middle", "high"],
    "training": {"data": {"train": "d.csv", "x": ["a", "b", "c"]}, "loss": "sparse_categorical_crossentropy"},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scoring")
    compile(SPEC).save(folder / "m.onnx")
    values = np.random.default_rng(0).standard_normal((ROWS, 3), np.float32)
    table = pa.table({"id": np.arange(ROWS), **dict(zip("abc", values.T, strict=True))})
    (folder / "data").mkdir()
    for number in range(3):
        part = table.slice(number * (ROWS // 3), ROWS // 3)
        parquet.write_table(part, folder / f"data/rows-{number}.parquet", row_group_size=70_000)
    command("predict", str(folder / "m.onnx"), "--data", str(folder / "data"), "-o", str(folder / "one.csv"), "--id=id")
    return folder


DRIVER = f"""
import sys, ray
from jsonnx.cli import main
ray.init(num_cpus={CPUS}, include_dashboard=False, log_to_driver=False, object_store_memory=200 << 20)
main(sys.argv[1:])
"""


def start(folder: Path, output: str, *options: str, data: str = "data") -> subprocess.Popen[str]:
    """Starts a prediction on a cluster of its own, in a process of its own."""
    files = [str(folder / "m.onnx"), "--data", str(folder / data), "-o", str(folder / output)]
    command = [sys.executable, "-c", DRIVER, "predict", *files, "--distributed", "ray", "--workers", "2", *options]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True)


def finish(process: subprocess.Popen[str], status: int = 0) -> str:
    """Standard error of a prediction that ends with a status."""
    _, error = process.communicate(timeout=300)
    assert process.returncode == status, error
    return error


def wait_for_parts(folder: Path, output: str, process: subprocess.Popen[str]) -> None:
    rows = folder / f"{output}.parts/_cluster/rows"
    while not (rows.exists() and any(rows.iterdir())):
        assert process.poll() is None, process.stderr and process.stderr.read()
        time.sleep(0.02)


def test_the_file_has_the_bytes_of_one_machine(folder: Path) -> None:
    error = finish(start(folder, "two.csv", "--id=id"))
    assert f"{ROWS:,} rows on 2 workers of 1 node, 1 CPU for each" in error
    assert (folder / "two.csv").read_bytes() == (folder / "one.csv").read_bytes()
    assert not (folder / "two.csv.parts").exists()


def test_workers_that_would_take_all_cpus_are_refused(folder: Path) -> None:
    error = finish(start(folder, "three.csv", "--workers", "3"), status=2)
    assert "error[ray-cpus]: 3 workers with 1 CPU each need 3 CPUs and 1 more to feed them; the cluster has 3" in error
    assert "choose --workers 2" in error


@pytest.mark.slow
def test_python_predicts_too(folder: Path) -> None:
    code = DRIVER.replace("from jsonnx.cli import main", "import jsonnx.ray").replace(
        "main(sys.argv[1:])", "jsonnx.ray.predict('m.onnx', 'data', 'python.csv', keep=['id'])"
    )
    subprocess.run([sys.executable, "-c", code], cwd=folder, check=True, timeout=300)
    assert (folder / "python.csv").read_bytes() == (folder / "one.csv").read_bytes()


def test_the_error_of_a_worker_names_file_and_row(folder: Path) -> None:
    lines = ["a,b,c", *["1,2,3"] * 200_000]
    lines[150_000] = "1,oops,3"
    (folder / "bad.csv").write_text("\n".join(lines))
    error = finish(start(folder, "p.csv", data="bad.csv"), status=1)
    assert "row at line 150001, column 'b': 'b' holds 'oops', not a number" in error
    assert "bad.csv:150001:3" in error
    assert "Traceback" not in error
    assert not (folder / "p.csv").exists()


def test_a_process_that_is_killed_goes_on(folder: Path) -> None:
    process = start(folder, "killed.csv", "--id=id")
    wait_for_parts(folder, "killed.csv", process)
    process.kill()
    process.wait()
    assert not (folder / "killed.csv").exists()
    files = [str(folder / "m.onnx"), "--data", str(folder / "data"), "-o", str(folder / "killed.csv")]
    error = command("predict", *files, "--id=id", status=2).stderr
    assert "job-changed" in error
    assert 'had "ray" as runner' in error
    finish(start(folder, "killed.csv", "--id=id"))
    assert (folder / "killed.csv").read_bytes() == (folder / "one.csv").read_bytes()


def parent(pid: int) -> int:
    text = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    return int(text.rpartition(")")[2].split()[1])


def own_workers() -> list[int]:
    """The processes of workers whose cluster this process has started."""
    found = []
    for entry in Path("/proc").iterdir():
        with suppress(OSError, ValueError):
            if entry.name.isdigit() and b"MapWorker" in (entry / "cmdline").read_bytes():
                pids = [int(entry.name)]
                while pids[-1] > 1:
                    pids.append(parent(pids[-1]))
                found += [pids[0]] if os.getpid() in pids else []
    return found


@pytest.mark.slow
def test_a_worker_that_is_killed_is_started_again(folder: Path) -> None:
    process = start(folder, "worker.csv", "--id=id")
    wait_for_parts(folder, "worker.csv", process)
    killed = own_workers()[:1]
    for pid in killed:
        os.kill(pid, signal.SIGKILL)
    finish(process)
    assert killed
    assert (folder / "worker.csv").read_bytes() == (folder / "one.csv").read_bytes()
