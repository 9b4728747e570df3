"""Trainings on Ray: the files of one machine, lost workers, Ctrl-C, errors of workers."""

from __future__ import annotations

import json
import os
import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from environments.ray.trainings import LONG, epochs_of, finish, on_ray, run_files, start, wait_for, worker_processes


@pytest.fixture(scope="module")
def address(ray_folder: str) -> Iterator[str]:
    """The address of a cluster with two CPUs."""
    from ray.cluster_utils import Cluster

    cluster = Cluster()
    cluster.add_node(num_cpus=2, include_dashboard=False, object_store_memory=100_000_000)
    yield cluster.address
    cluster.shutdown()


@pytest.mark.parametrize("workers", ["1", "2"])
def test_the_number_of_workers_does_not_change_a_bit(project: Path, address: str, workers: str) -> None:
    output = finish(start(project, *on_ray(address, workers), "-o", f"ray{workers}"))
    assert f"{workers} worker" in output
    assert run_files(project / f"ray{workers}") == run_files(project / "one")
    assert json.loads((project / f"ray{workers}/run.json").read_text())["state"] == "finished"


def test_without_ray_in_this_process(project: Path) -> None:
    finish(start(project, "--distributed", "ray", "--workers", "0", "-o", "none"))
    assert run_files(project / "none") == run_files(project / "one")


def test_a_killed_worker(project: Path, address: str) -> None:
    begin = time.time()
    process = start(project, *on_ray(address), "-o", "killed", *LONG)
    wait_for(lambda: epochs_of(project / "killed") > 25, process)
    os.kill(worker_processes(begin)[0], signal.SIGKILL)
    output = finish(process)
    assert "warning[worker-lost]" in output
    assert "training goes on with 2 workers" in output
    assert run_files(project / "killed") == run_files(project / "long")


def test_ctrl_c_and_resumption_on_one_machine(project: Path, address: str) -> None:
    begin = time.time()
    process = start(project, *on_ray(address), "-o", "stopped", *LONG)
    wait_for(lambda: epochs_of(project / "stopped") > 5, process)
    os.killpg(process.pid, signal.SIGINT)
    output = finish(process, 130)
    assert "interrupted after" in output
    assert "Traceback" not in output
    assert json.loads((project / "stopped/run.json").read_text())["state"] == "interrupted"
    deadline = time.monotonic() + 20
    while worker_processes(begin) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not worker_processes(begin)
    finish(start(project, "-o", "stopped", "--resume", *LONG))
    assert run_files(project / "stopped") == run_files(project / "long")


@pytest.mark.slow
def test_a_killed_command_leaves_no_workers(project: Path, address: str) -> None:
    begin = time.time()
    process = start(project, *on_ray(address), "-o", "orphan", *LONG)
    wait_for(lambda: epochs_of(project / "orphan") > 25, process)
    process.kill()
    deadline = time.monotonic() + 60
    while worker_processes(begin) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not worker_processes(begin)
    finish(start(project, *on_ray(address), "-o", "orphan", "--resume", *LONG))
    assert run_files(project / "orphan") == run_files(project / "long")


def test_an_error_of_the_data_is_that_of_one_machine(project: Path, address: str) -> None:
    lines = (project / "train.csv").read_text().splitlines()
    lines[40] = lines[40].rpartition(",")[0] + ",word"
    (project / "bad.csv").write_text("\n".join(lines) + "\n")
    change = ["--set", "training.data.train=bad.csv", "-o", "bad"]
    expected = finish(start(project, *change), 1)
    found = finish(start(project, *on_ray(address), *change), 1)
    assert "bad.csv:41" in expected
    assert found == f"connects to the Ray cluster {address}\n2 workers on 1 node, 1 thread each\n{expected}"
    assert not (project / "bad").exists()


def test_an_existing_run_is_not_overwritten(project: Path, address: str) -> None:
    before = run_files(project / "one")
    output = finish(start(project, *on_ray(address), "-o", "one"), 2)
    assert "error[run-exists]" in output
    assert run_files(project / "one") == before


def test_a_spec_without_shards(project: Path) -> None:
    output = finish(start(project, "--distributed", "ray", "--set", "training.distributed=null"), 1)
    assert "error[not-distributed]" in output


def test_a_file_that_a_node_lacks(project: Path) -> None:
    from jsonnx.ray.node_checks import NodeChecks

    path = str(project / "train.csv")
    size = os.path.getsize(path)
    version = _version()
    assert NodeChecks(((path, size),), version).run() is None
    assert re.search("has .* bytes instead of", NodeChecks(((path, size + 1),), version).run() or "")
    assert f"it has no file '{path}.gone'" == NodeChecks(((f"{path}.gone", 1),), version).run()
    assert "it has jsonnx" in (NodeChecks((), "0").run() or "")


def _version() -> str:
    from jsonnx.backend import package_version

    return package_version()


@pytest.mark.slow
def test_the_python_interface(project: Path, ray_folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a cluster that is started for it, and with configurations of Ray."""
    from jsonnx.ray import RayTrainer
    from ray.train import ScalingConfig

    monkeypatch.chdir(project)
    result = RayTrainer("spec.json", output="python", scaling_config=ScalingConfig(num_workers=2)).fit()
    assert result.path == Path("python")
    assert run_files(project / "python") == run_files(project / "one")
    assert result.metrics["loss"] == json.loads((project / "one/metrics.jsonl").read_text().splitlines()[-1])["loss"]
