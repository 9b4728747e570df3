"""The script for a machine with a GPU, with the CPU provider in place of one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from benchmarks.gpu import schedule  # noqa: E402
from benchmarks.gpu.__main__ import parse_arguments  # noqa: E402
from benchmarks.gpu.jobs import Settings, agrees, all_names, failed, sample, timed_turns  # noqa: E402

CPU = Settings("cpu", steps=3)


def test_jobs_are_all_samples_with_data_all_layers_and_five_workloads():
    names = all_names()
    assert {"sample/diabetes", "sample/mnist_cnn", "sample/vowels_lstm", "layers", "environment"} <= set(names)
    assert len([name for name in names if name.startswith("time/")]) == 25
    assert "sample/resnet50" not in names  # it has no data
    assert "layers" not in all_names(with_layers=False)
    assert schedule.selected(names, ["mlp/torch", "environment"]) == [
        "environment",
        "time/mlp/torch",
        "time/mlp/torch-compile",
        "time/mlp/torch-mixed",
    ]


def test_settings_reach_the_process_of_a_job():
    settings = Settings("cuda", ("device_id=1", "use_tf32=1"), 2.5, 7)
    assert Settings.of(parse_arguments(settings.as_arguments())) == settings
    assert settings.provider_options == {"device_id": "1", "use_tf32": "1"}


def test_a_sample_is_trained_and_compared_with_the_cpu():
    result = sample("penguins", CPU)
    assert result["agrees"]
    assert result["losses"] == result["cpu_losses"]
    assert len(result["losses"]) == 5
    assert result["ms_per_step"] > 0


def test_results_are_written_after_each_job(tmp_path, monkeypatch):
    written = []

    def run_job(name: str, settings: Settings, seconds: float) -> dict[str, object]:
        written.append((tmp_path / "gpu.json").exists())
        return {"error": "crashed"} if name == "sample/b" else {"agrees": name != "layers"}

    monkeypatch.setattr(schedule, "run_job", run_job)
    names = ["sample/a", "sample/b", "layers"]
    report = schedule.run_all(names, CPU, tmp_path / "gpu.json", minutes=1)
    assert written == [False, True, True]
    assert (report["failed"], report["not_run"]) == (["sample/b", "layers"], [])
    assert json.loads((tmp_path / "gpu.json").read_text()) == report


def test_jobs_without_time_are_listed_as_not_run(tmp_path):
    report = schedule.run_all(["sample/a", "layers"], CPU, tmp_path / "gpu.json", minutes=0)
    assert (report["jobs"], report["not_run"]) == ({}, ["sample/a", "layers"])


def test_a_job_that_fails_is_an_error_and_not_the_end(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT / "compiler"), str(ROOT)]))
    assert "exit status 1" in schedule.run_job("sample/absent", CPU, 60)["error"]


def test_a_job_that_takes_too_long_is_ended():
    assert schedule.run_job("environment", CPU, 0.01) == {"error": "not finished after 0 s"}


@pytest.mark.parametrize(
    ("name", "result", "is_failed"),
    [
        ("sample/a", {"agrees": True}, False),
        ("sample/a", {"agrees": False}, True),
        ("time/mlp/jsonnx", {"error": "crashed"}, True),
        ("time/mlp/torch-compile", {"error": "No module named 'torch'"}, False),
    ],
)
def test_a_peer_that_is_not_installed_is_no_failure(name, result, is_failed):
    assert failed(name, result) is is_failed


def test_losses_agree_within_a_tolerance():
    assert agrees([1.0001, 0.5], [1.0, 0.5], 1e-3)
    assert not agrees([1.01], [1.0], 1e-3)
    assert not agrees([float("nan")], [1.0], 1e-3)


def test_turns_are_as_long_as_asked_for():
    counts: list[int] = []
    assert len(timed_turns(counts.append, 0.001)) == 5
    assert counts[:2] == [32, 32]


@pytest.mark.skipif(os.name != "posix", reason="the script is for a POSIX shell")
def test_the_script_runs_in_an_existing_environment(tmp_path):
    environment = tmp_path / "environment"
    (environment / "bin").mkdir(parents=True)
    command = ["sh", str(ROOT / "benchmarks" / "gpu.sh"), "--provider", "cpu", "--only", "environment"]
    packages = os.pathsep.join(path for path in sys.path if path.endswith("site-packages"))
    python = environment / "bin" / "python"
    python.write_text(f'#!/bin/sh\nPYTHONPATH="$PYTHONPATH:{packages}" exec "{sys.executable}" "$@"\n')
    python.chmod(0o755)
    done = subprocess.run(
        [*command, "-o", "result.json"],
        cwd=tmp_path,
        env=os.environ | {"GPU_ENV": str(environment)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    report = json.loads((tmp_path / "result.json").read_text())
    assert "CPUExecutionProvider" in report["jobs"]["environment"]["providers"]
    assert done.stdout.endswith("1 jobs, 0 failed, 0 not run\n")
