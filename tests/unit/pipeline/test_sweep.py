"""Searches: with a process that only pretends to train, and with real ones (slow)."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import jsonnx as library
import numpy as np
import pytest
from jsonnx.core.diagnostics import CompileError, UsageError
from jsonnx.hyperparameter_search.trials import FAILED, FINISHED, Trial
from jsonnx.pipeline.run_folder.run_info import INTERRUPTED
from jsonnx.pipeline.sweep import sweep as sweep_module
from jsonnx.pipeline.sweep import sweep_run, trial_process
from jsonnx.pipeline.sweep.sweep import SweepResult
from jsonnx.pipeline.sweep.trial_process import TrialProcess
from jsonnx.pipeline.sweep.trial_run import TrialJob, TrialResult, result_line
from support.commands import SOURCE, jsonnx, process

WIDTHS = {"width": {"choice": [1, 2, 3, 4]}}

SPEC: dict[str, Any] = {
    "parameters": {"width": {"default": 2, "description": "Units."}},
    "inputs": {"x": {"shape": [3]}},
    "layers": [{"type": "Dense", "name": "y", "units": 1}],
    "training": {
        "data": {"train": "train.npz", "validation_split": 0.25},
        "loss": "mse",
        "optimizer": {"type": "sgd", "learning_rate": 1e-2},
        "epochs": "${width + 2}",
        "batch_size": 8,
        "seed": 3,
    },
}


def spec(parameters: dict[str, Any] = WIDTHS, **keys: Any) -> dict[str, Any]:
    return SPEC | {"sweep": {"parameters": parameters, "sampler": "grid", **keys}}


class Pretended:
    """A process that trains a line of losses, which end at the square of the distance of the width from 3."""

    jobs: ClassVar[list[TrialJob]] = []
    result_of: ClassVar[Callable[[TrialJob, TrialResult], TrialResult]]
    dies_at: ClassVar[int | None] = None
    """The number of jobs after which the process of the search dies."""

    def __init__(self, job: TrialJob, log_file: Path) -> None:
        if len(Pretended.jobs) == Pretended.dies_at:
            raise ZeroDivisionError
        Pretended.jobs.append(job)
        Path(job.folder).mkdir(parents=True, exist_ok=True)
        width = job.values.get("width", 2)
        final = (width - 3) ** 2 + job.training.seed / 100
        self.losses: list[float | None] = [final + 2 - epoch / (width + 1) for epoch in range(width + 1)] + [final]
        self.job, self.polls, self.is_told_to_end = job, 0, False

    def curve(self) -> list[float | None]:
        return self.losses[: self.polls]

    def poll(self) -> TrialResult | None:
        if self.is_told_to_end:
            return TrialResult(INTERRUPTED, curve=self.curve())
        self.polls += 1
        if self.polls < len(self.losses):
            return None
        result = TrialResult(FINISHED, self.losses[-1], len(self.losses), self.losses)
        return type(self).result_of(self.job, result)

    def tell_to_end(self) -> None:
        self.is_told_to_end = True

    kill = tell_to_end


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    x = np.linspace(-1, 1, 96, dtype=np.float32).reshape(32, 3)
    np.savez(tmp_path / "train.npz", x=x, y=x.sum(axis=1, keepdims=True))
    return tmp_path


@pytest.fixture
def pretended(monkeypatch: pytest.MonkeyPatch) -> type[Pretended]:
    Pretended.jobs, Pretended.result_of, Pretended.dies_at = [], lambda job, result: result, None
    monkeypatch.setattr(trial_process, "TrialProcess", Pretended)
    monkeypatch.setattr(sweep_run, "SECONDS_BETWEEN_POLLS", 0.0)
    return Pretended


def search(document: dict[str, Any], **options: Any) -> SweepResult:
    Path("spec.json").write_text(json.dumps(document, indent=1).replace("0.01", "1e-2"))
    return library.sweep("spec.json", "out", verbose=0, **options)


def states(result: SweepResult) -> list[str]:
    return [trial.state for trial in result.trials]


def outcome(trial: Trial) -> tuple[Any, ...]:
    return trial.values, trial.state, trial.value, trial.curve, trial.duplicate_of


def test_a_search_finds_and_writes_the_best_values(pretended: type[Pretended]) -> None:
    result = search(spec())
    assert states(result) == ["finished"] * 4
    assert result.best is not None
    assert result.best.values == {"width": 3}
    assert result.best.value == pytest.approx(0.03)
    assert (result.is_complete, result.exit_status) == (True, 0)
    text = Path("out/best.json").read_text()
    assert json.loads(text) == SPEC | {"parameters": {"width": {"default": 3, "description": "Units."}}}
    assert '"learning_rate": 1e-2' in text
    assert jsonnx("fmt", "--check", "out/best.json")
    assert result.best_spec == json.loads(text)
    assert "<svg" in Path("out/sweep.html").read_text()
    assert "http" not in Path("out/sweep.html").read_text().replace("http://www.w3.org", "")


def test_the_best_spec_finds_the_data_of_the_first_one_and_so_does_its_run(
    pretended: type[Pretended], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    search(spec())
    jsonnx("train", "out/best.json", "-o", "run", "--quiet", "--set", "training.epochs=1")
    jsonnx("evaluate", "run")
    jsonnx("validate", "out/best.json", "--data")
    report = jsonnx("report", "run")
    assert "cannot be read" not in report.stdout + report.stderr
    monkeypatch.chdir("out")  # the folder with the data is not beneath the current one, but has the spec
    jsonnx("validate", "best.json", "--data")
    (tmp_path / "spec.json").write_text("{}")
    assert "cannot read 'train.npz'" in jsonnx("validate", "best.json", "--data", status=2).stderr
    jsonnx("validate", "best.json", "--data", "--data-root", "..")


def test_a_sweep_folder_is_named_where_a_run_folder_is_wanted(pretended: type[Pretended]) -> None:
    search(spec())
    for arguments in (["evaluate", "out"], ["report", "out"], ["compare", "out", "out"]):
        error = jsonnx(*arguments, status=2).stderr
        assert "'out' is not a RUN folder, but a SWEEP folder" in error
        assert "jsonnx train out/best.json" in error


def test_only_the_runs_of_the_best_trial_are_kept(pretended: type[Pretended]) -> None:
    search(spec(), jobs=2)
    assert sorted(path.name for path in Path("out/trials").iterdir() if path.is_dir()) == ["0003"]
    Path("spec.json").unlink()
    os.rename("out", "before")
    search(spec(), keep="all")
    assert len([path for path in Path("out/trials").iterdir() if path.is_dir()]) == 4


def test_a_trial_is_a_function_of_spec_values_and_seed(pretended: type[Pretended]) -> None:
    search(spec({"width": {"choice": [4]}, "training.optimizer.learning_rate": {"choice": [0.5]}}), changes=["name=n"])
    (job,) = pretended.jobs
    assert job.training.seed == 3
    assert job.training.changes == ("name=n",)
    checked = TrialJob(**json.loads(json.dumps(vars(job)))).checked_spec()
    assert "sweep" not in checked.source.value
    assert checked.network.name == "n"
    training = checked.network.training
    assert training is not None
    assert (training.epochs, training.optimizer.learning_rate) == (6, 0.5)


def test_seeds_and_folds_are_runs_of_a_trial(pretended: type[Pretended]) -> None:
    document = spec({"width": {"choice": [3]}}, seeds=2, folds=2)
    document["training"] = document["training"] | {"data": {"train": "train.npz"}}
    result = search(document, keep="all")
    runs = [(run.folder, run.seed, run.fold) for run in result.trials[0].runs]
    assert runs == [(f"trials/0001/seed-{seed}-fold-{fold}", seed, fold) for seed in (3, 4) for fold in (0, 1)]
    assert [job.values["training.data.split.fold"] for job in pretended.jobs] == [0, 1, 0, 1]
    assert result.trials[0].value == pytest.approx(0.035)
    assert result.best_spec is not None
    assert "split" not in result.best_spec["training"]["data"]


def test_folds_beside_a_share_for_validation_are_a_error(pretended: type[Pretended]) -> None:
    document = spec(folds=2)
    data = {"train": "train.npz", "split": {"validation": 0.2}}
    document["training"] = document["training"] | {"data": data}
    with pytest.raises(CompileError) as error:
        search(document)
    assert [diagnostic.path for diagnostic in error.value.diagnostics] == ["$.sweep.folds"]


def test_duplicates_are_not_run_twice(pretended: type[Pretended]) -> None:
    result = search(spec({"width": {"choice": [4, 4.0, "${4}", 3]}}))
    assert states(result) == ["finished", "duplicate", "duplicate", "finished"]
    assert [trial.duplicate_of for trial in result.trials] == [None, 1, 1, None]
    assert result.trials[1].value == result.trials[0].value
    assert len(pretended.jobs) == 2


def test_a_failed_trial_is_recorded_and_the_search_goes_on(pretended: type[Pretended]) -> None:
    fails = TrialResult(FAILED, reasons=["diverged: the loss became infinite"])
    pretended.result_of = lambda job, result: fails if job.values["width"] == 3 else result
    result = search(spec())
    assert states(result) == ["finished", "finished", "failed", "finished"]
    assert result.trials[2].reasons == ["diverged: the loss became infinite"]
    pretended.result_of = lambda job, result: result
    again = search(spec(), resume=True)
    assert len(pretended.jobs) == 4
    assert states(again) == states(result)
    repaired = search(spec(), resume=True, retry_failed=True)
    assert states(repaired) == ["finished"] * 4
    assert repaired.best is not None
    assert repaired.best.number == 3


def test_the_duplicates_of_a_failed_trial_are_proposed_again_with_it(pretended: type[Pretended]) -> None:
    document = spec({"width": {"choice": [1, 2, 1]}})
    pretended.result_of = lambda job, result: TrialResult(FAILED, reasons=["no-data: none"])
    assert [trial.value for trial in search(document).trials] == [None] * 3
    pretended.result_of = lambda job, result: result
    first, _, duplicate = search(document, resume=True, retry_failed=True).trials
    assert (duplicate.state, duplicate.duplicate_of, duplicate.value) == ("duplicate", 1, first.value)


def test_a_search_without_a_finished_trial_fails(pretended: type[Pretended]) -> None:
    pretended.result_of = lambda job, result: TrialResult(FAILED, reasons=["no-data: none"])
    result = search(spec())
    assert result.exit_status == 1
    assert "trial 1 failed: no-data: none" in result.summary_lines()


def test_unpromising_trials_are_pruned(pretended: type[Pretended]) -> None:
    pytest.importorskip("optuna")
    result = search(spec({"width": {"choice": [3, 4, 9, 2]}}, pruning={"method": "median", "min_trials": 1}))
    assert states(result) == ["finished", "pruned", "pruned", "pruned"]
    assert [trial.pruned_at for trial in result.trials] == [None, 1, 1, 1]
    assert result.trials[2].curve == [38.03]


@pytest.mark.parametrize("keys", [{"pruning": "median"}, {"sampler": "tpe"}], ids=str)
def test_what_needs_optuna_says_so_before_the_first_trial(
    keys: dict[str, Any], pretended: type[Pretended], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(UsageError, match="missing-package") as error:
        search(spec(trials=4, **keys))
    assert "search" in (error.value.diagnostic.help or "")
    assert not pretended.jobs
    assert not Path("out").exists()


def test_a_grid_and_its_page_need_no_optuna(pretended: type[Pretended], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    assert states(search(spec({"width": {"range": [1, 12]}}))) == ["finished"] * 12
    assert "the importance of the parameters needs the package optuna" in Path("out/sweep.html").read_text()


RANDOM = {"width": {"range": [1, 9]}, "training.optimizer.learning_rate": {"log_range": [1e-4, 1.0]}}


HALVING = {"method": "successive_halving", "reduction_factor": 2}


@pytest.mark.parametrize(
    ("sampler", "pruning", "jobs"),
    [
        ("random", None, 1),
        ("random", None, 3),
        ("qmc", {"method": "median", "min_trials": 1}, 1),
        ("tpe", HALVING, 1),
        ("cma_es", {**HALVING, "method": "hyperband"}, 1),
    ],
)
def test_a_killed_search_is_resumed_without_losing_a_trial(
    sampler: str, pruning: dict[str, Any] | None, jobs: int, pretended: type[Pretended]
) -> None:
    for package in ("optuna", "scipy", "cmaes") if sampler != "random" else ():
        pytest.importorskip(package)
    document = spec(RANDOM, sampler=sampler, trials=14, pruning=pruning)
    undisturbed = search(document, jobs=jobs)
    whole = [outcome(trial) for trial in undisturbed.trials]
    assert ("pruned" in states(undisturbed)) == (pruning is not None)
    os.rename("out", "whole")
    for dies_at in (1, 3, 2, 4):
        pretended.jobs, pretended.dies_at = [], dies_at
        with pytest.raises(ZeroDivisionError):
            search(document, jobs=jobs, resume=True)
        assert any(json.loads(path.read_text())["told"] is None for path in Path("out/trials").glob("*.json"))
    pretended.dies_at = None
    resumed = search(document, jobs=jobs, resume=True)
    assert [outcome(trial) for trial in resumed.trials] == whole
    assert sorted(trial.told or 0 for trial in resumed.trials) == list(range(1, 15))
    assert Path("out/sweep.html").read_bytes() == Path("whole/sweep.html").read_bytes()


def test_a_search_may_get_more_trials_but_no_other_change(pretended: type[Pretended]) -> None:
    search(spec(RANDOM, sampler="random", trials=2))
    assert len(search(spec(RANDOM, sampler="random", trials=4), resume=True).trials) == 4
    for change in (["training.batch_size=4"], ["sweep.seed=1"]):
        with pytest.raises(CompileError, match="sweep-changed") as error:
            search(spec(RANDOM, sampler="random", trials=4), resume=True, changes=change)
        assert change[0].partition("=")[0] in str(error.value)
    with pytest.raises(CompileError, match="--seed changes from None to 7"):
        search(spec(RANDOM, sampler="random", trials=4), resume=True, seed=7)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("spec.json", "[]"),
        ("sweep.json", "[]"),
        ("sweep.json", '{"set": [1], "threads": 1}'),
        ("sweep.json", '{"set": [], "threads": 0}'),
    ],
)
def test_a_damaged_search_is_not_resumed(name: str, text: str, pretended: type[Pretended]) -> None:
    search(spec())
    (Path("out") / name).write_text(text)
    with pytest.raises(CompileError, match=rf"{name}.*damaged-file"):
        search(spec(), resume=True)


def test_a_folder_with_a_search_is_not_overwritten(pretended: type[Pretended]) -> None:
    search(spec())
    with pytest.raises(UsageError, match="already a search"):
        search(spec())
    Path("out/sweep.json").unlink()
    with pytest.raises(UsageError, match="already exists"):
        search(spec())


def test_the_time_limit_ends_a_search_that_can_be_resumed(pretended: type[Pretended]) -> None:
    result = search(spec(time_limit={"seconds": 1e-9}))
    assert (result.timed_out, result.is_complete, result.exit_status) == (True, False, 0)
    assert not result.trials
    assert states(search(spec(), resume=True)) == ["finished"] * 4


def test_an_invalid_combination_is_found_before_the_first_trial(pretended: type[Pretended]) -> None:
    with pytest.raises(CompileError) as error:
        search(spec({"width": {"choice": [2, 5]}, "training.seed": {"choice": [1, "${10 // (width - 5) + 9}"]}}))
    (diagnostic,) = error.value.diagnostics
    assert "trial 4 with width = 5" in diagnostic.message
    assert diagnostic.path == "$.sweep.parameters"
    assert not pretended.jobs
    assert not Path("out").exists()
    document = spec({"width": {"choice": [2, 5]}, "training.seed": {"choice": [1, "${10 // (width - 5) + 9}"]}})
    document["sweep"]["invalid"] = "skip"
    result = search(document)
    assert states(result) == ["finished"] * 3 + ["invalid"]


def test_a_error_of_the_data_is_found_before_the_first_trial(pretended: type[Pretended]) -> None:
    Path("train.npz").unlink()
    with pytest.raises(CompileError, match="unreadable-file"):
        search(spec())
    assert not Path("out/sweep.json").exists()


def test_a_spec_without_a_search() -> None:
    with pytest.raises(UsageError, match="no `sweep`"):
        library.sweep(SPEC, "out")


def test_the_folder_is_named_after_the_spec(pretended: type[Pretended]) -> None:
    Path("spec.json").write_text(json.dumps(spec()))
    for options, name in (({}, "spec"), ({}, "spec-2"), ({"resume": True}, "spec-2")):
        assert library.sweep("spec.json", verbose=0, **options).folder == Path("sweeps") / name


def test_the_command_prints_trials_and_the_best_values(pretended: type[Pretended]) -> None:
    Path("spec.json").write_text(json.dumps(spec()))
    result = jsonnx("sweep", "spec.json", "-o", "out")
    assert "best  trial 3  val_loss 0.03\n  width = 3\n" in result.stdout
    assert "trial 4/4  finished  val_loss 1.0300" in result.stderr
    report = json.loads(jsonnx("sweep", "spec.json", "-o", "out", "--resume", "--format", "json", "--quiet").stdout)
    assert report["trials"] == {"finished": 4}
    assert report["best"]["values"] == {"width": 3}
    assert jsonnx("sweep", "spec.json", "-o", "out", status=2).stderr.startswith("error[run-exists]")


def test_an_unknown_option_value_is_an_error() -> None:
    for options in ({"jobs": 0}, {"jobs": 1.5}, {"keep": "none"}):
        with pytest.raises(ValueError, match="must be"):
            library.sweep(spec(), "out", **options)  # type: ignore[arg-type]


class PretendedHost:
    """Another machine."""

    def __init__(self) -> None:
        self.events: list[Any] = []

    def threads_per_trial(self, jobs: int) -> int:
        return 10 * jobs

    def prepare(self, job: TrialJob, on_status: Callable[[str], None]) -> None:
        if self.events:
            raise UsageError("ray-cluster", "the other machine is gone")
        self.events.append((job.folder, job.values, job.checked_spec().network.name))

    def start(self, number: int, job: TrialJob, log_file: Path) -> Pretended:
        self.events.append((number, job.training.threads, log_file.name))
        return Pretended(job, log_file)

    def close(self) -> None:
        self.events.append("closed")


def test_another_host_runs_the_same_trials(pretended: type[Pretended]) -> None:
    here = search(spec(), jobs=2)
    pretended.jobs.clear()
    host = PretendedHost()
    there = library.sweep("spec.json", "there", verbose=0, jobs=2, host=host)
    assert [outcome(trial) for trial in there.trials] == [outcome(trial) for trial in here.trials]
    first, *started, last = host.events
    assert first == ("there", {}, "model")
    assert started == [(number, 20, f"000{number}.log") for number in (1, 2, 3, 4)]
    assert last == "closed"
    assert json.loads(Path("there/sweep.json").read_text())["threads"] == 20


def test_a_host_that_cannot_run_trials_leaves_nothing(pretended: type[Pretended]) -> None:
    Path("spec.json").write_text(json.dumps(spec()))
    host = PretendedHost()
    host.events.append("broken")
    with pytest.raises(UsageError, match="the other machine is gone"):
        library.sweep("spec.json", "out", verbose=0, host=host)
    assert host.events == ["broken", "closed"]
    assert not Path("out").exists()


@pytest.mark.parametrize("option", ["--address", "--cpus-per-trial", "--workers-per-trial"])
def test_options_of_a_cluster_need_one(option: str) -> None:
    Path("spec.json").write_text(json.dumps(spec()))
    assert f"{option} is for trials on a cluster" in jsonnx("sweep", "spec.json", option, "1", status=2).stderr


def test_a_locked_folder_is_refused(pretended: type[Pretended]) -> None:
    folder = sweep_module.SweepFolder("out")
    with sweep_module._locked(folder), pytest.raises(UsageError, match="run-locked"):
        search(spec())


# -- real processes ----------------------------------------------------------------------------------------------------


def test_a_process_ends_that_prints_more_than_a_pipe_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    result = TrialResult(FINISHED, 0.5, 20_000, [0.5] * 20_000, reasons=[])
    Path("result").write_text(result_line(result) + "\n")
    program = tmp_path / "program"
    program.write_text("#!/bin/sh\nexec cat result\n")
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program))
    running = TrialProcess(TrialJob("{}", None, {}, "loss", "run"), Path("log"))
    assert wait_until(running.poll, seconds=20) == result


def children(parent: int) -> list[int]:
    """The processes that a process has started."""
    path = Path(f"/proc/{parent}/task/{parent}/children")
    return [int(number) for number in path.read_text().split()] if path.exists() else []


def is_running(number: int) -> bool:
    try:
        return Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def wait_until(condition: Callable[[], Any], seconds: float = 60.0) -> Any:
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end
        time.sleep(0.05)
    return found


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="the processes of others are looked up in /proc")
def test_a_search_that_is_killed_leaves_no_process_and_its_best_run_is_reproduced() -> None:
    document = spec({"training.optimizer.learning_rate": {"choice": [1e-1]}})
    document["training"] = document["training"] | {"epochs": 400}
    Path("spec.json").write_text(json.dumps(document))
    command = [sys.executable, "-m", "jsonnx", "sweep", "spec.json", "-o", "out", "--resume", "--threads", "1"]
    environment = {**os.environ, "PYTHONPATH": str(SOURCE)}
    for number in (signal.SIGKILL, signal.SIGTERM):
        with subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL) as parent:
            metrics = Path("out/trials/0001/metrics.jsonl")
            wait_until(lambda metrics=metrics: metrics.exists() and metrics.stat().st_size > 300)
            trial = wait_until(lambda parent=parent: children(parent.pid))
            parent.send_signal(number)
            assert parent.wait(60) == (-number if number == signal.SIGKILL else 128 + number)
        wait_until(lambda trial=trial: not any(map(is_running, trial)))
    (record,) = [json.loads(path.read_text()) for path in Path("out/trials").glob("*.json")]
    assert (record["state"], record["told"]) == ("running", None)
    done = process("sweep", "spec.json", "-o", "out", "--resume", "--quiet")
    assert done.returncode == 0, done.stderr
    jsonnx("lock", "out/trials/0001")
    assert "bit for bit" in jsonnx("train", "spec.json", "--locked", "-o", "again", "--quiet").stdout
