"""Predictions on a cluster of Ray: the bytes of one machine, kills of workers and of the process, errors of workers."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import jsonnx.ray
import numpy as np
import pyarrow as pa
import pyarrow.parquet as parquet
import pytest
from jsonnx import UsageError, compile
from jsonnx.core.diagnostics import CompileError
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


@pytest.fixture
def cluster(ray_folder: str) -> Iterator[None]:
    import ray  # reads the settings of `ray_folder` when it is imported

    ray.init(
        num_cpus=CPUS, include_dashboard=False, log_to_driver=False, object_store_memory=200 << 20, _temp_dir=ray_folder
    )
    yield
    ray.shutdown()


def predict(folder: Path, output: str, **options: Any) -> Path:
    jsonnx.ray.predict(folder / "m.onnx", folder / "data", folder / output, keep=["id"], **options)
    return folder / output


def test_the_file_has_the_bytes_of_one_machine(folder: Path, cluster: None) -> None:
    path = predict(folder, "two.csv", workers=2)
    assert path.read_bytes() == (folder / "one.csv").read_bytes()
    assert not Path(f"{path}.parts").exists()
    with pytest.raises(UsageError, match="3 workers with 1 CPU each need 3 CPUs and 1 more") as error:
        predict(folder, "three.csv", workers=CPUS)
    assert (error.value.diagnostic.code, error.value.diagnostic.help) == ("ray-cpus", "choose --workers 2")


def test_the_error_of_a_worker_names_file_and_row(folder: Path, cluster: None, tmp_path: Path) -> None:
    lines = ["a,b,c", *["1,2,3"] * 200_000]
    lines[150_000] = "1,oops,3"
    (tmp_path / "bad.csv").write_text("\n".join(lines))
    with pytest.raises(CompileError, match="'b' holds 'oops', not a number") as error:
        jsonnx.ray.predict(folder / "m.onnx", tmp_path / "bad.csv", tmp_path / "p.csv", workers=2)
    diagnostic = error.value.diagnostics[0]
    assert (Path(str(diagnostic.file)).name, diagnostic.line) == ("bad.csv", 150_001)
    assert not (tmp_path / "p.csv").exists()


DRIVER = """
import sys, ray, jsonnx.ray
from jsonnx.cli import main
ray.init(num_cpus=3, include_dashboard=False, log_to_driver=False, object_store_memory=200 << 20)
main(sys.argv[1:])
"""


def test_a_process_that_is_killed_goes_on(folder: Path) -> None:
    output = folder / "killed.csv"
    arguments = [str(folder / "m.onnx"), "--data", str(folder / "data"), "-o", str(output), "--id=id"]
    arguments += ["--distributed", "ray", "--workers", "2"]
    rows = Path(f"{output}.parts/_cluster/rows")
    process = subprocess.Popen(
        [sys.executable, "-c", DRIVER, "predict", *arguments], stderr=subprocess.PIPE, start_new_session=True
    )
    while not (rows.exists() and any(rows.iterdir())):
        assert process.poll() is None, process.stderr and process.stderr.read()
        time.sleep(0.02)
    process.kill()
    process.wait()
    assert not output.exists()
    assert json.loads(Path(f"{output}.parts/_job.json").read_text())["options"]["runner"] == "ray"
    error = command("predict", *arguments[:6], status=2).stderr
    assert "job-changed" in error
    assert 'had "ray" as runner' in error
    done = subprocess.run([sys.executable, "-c", DRIVER, "predict", *arguments], capture_output=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert output.read_bytes() == (folder / "one.csv").read_bytes()


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


def test_a_worker_that_is_killed_is_started_again(folder: Path, cluster: None) -> None:
    output, killed = folder / "worker.csv", list[int]()
    rows = Path(f"{output}.parts/_cluster/rows")

    def kill() -> None:
        while not (rows.exists() and any(rows.iterdir())):
            time.sleep(0.02)
        for pid in own_workers()[:1]:
            os.kill(pid, signal.SIGKILL)
            killed.append(pid)

    killer = threading.Thread(target=kill, daemon=True)
    killer.start()
    predict(folder, output.name, workers=2)
    killer.join(10)
    assert killed
    assert output.read_bytes() == (folder / "one.csv").read_bytes()
