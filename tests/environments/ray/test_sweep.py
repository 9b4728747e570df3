"""Searches whose trials run on Ray: the results of one machine, lost workers and nodes, pruning, resumption."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonnx as library
import pytest
from jsonnx.core.diagnostics import CompileError, UsageError
from jsonnx.hyperparameter_search.trials import Trial
from jsonnx.pipeline.sweep.sweep import SweepResult
from jsonnx.pipeline.sweep.trial_run import TrialJob, TrialResult
from jsonnx.ray import RayTrialHost
from support.commands import SOURCE

if TYPE_CHECKING:
    from ray.cluster_utils import Cluster

OBJECT_STORE_BYTES = 100_000_000
LEARNING_RATE = "training.optimizer.learning_rate"

SPEC: dict[str, Any] = {
    "parameters": {"width": 8},
    "inputs": {"x": {"shape": [3]}},
    "layers": [
        {"type": "Dense", "units": "${width}", "activation": "tanh"},
        {"type": "Dropout", "rate": 0.1},
        {"type": "Dense", "name": "y", "units": 1},
    ],
    "training": {
        "data": {"train": "train.csv", "validation_split": 0.25, "x": {"x": ["a", "b", "c"]}},
        "loss": "mse",
        "optimizer": {"type": "adam", "learning_rate": 1e-2},
        "epochs": 4,
        "batch_size": 8,
        "seed": 3,
        "checkpoint": {"every_epochs": 1},
    },
}
PARAMETERS = {"width": {"choice": [2, 4, 8]}, LEARNING_RATE: {"log_range": [1e-3, 1e-1]}}
ENDLESS = ["training.epochs=1000000"]


@pytest.fixture(scope="module")
def cluster(ray_folder: str) -> Iterator[Cluster]:
    """A cluster with a node of two CPUs, which this process and the commands of the tests use."""
    import ray  # reads the settings of `ray_folder`
    from ray.cluster_utils import Cluster

    settings = {"num_cpus": 2, "object_store_memory": OBJECT_STORE_BYTES, "include_dashboard": False}
    cluster = Cluster(initialize_head=True, head_node_args=settings)
    ray.init(address=cluster.address, log_to_driver=False)
    yield cluster
    ray.shutdown()
    cluster.shutdown()


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cluster: Cluster) -> Path:
    monkeypatch.chdir(tmp_path)
    rows = [(i % 7 - 3, i % 5 - 2, i % 3 - 1) for i in range(96)]
    lines = [f"{a / 3},{b / 2},{c},{(a * b + c) / 6}" for a, b, c in rows]
    (tmp_path / "train.csv").write_text("\n".join(["a,b,c,y", *lines, ""]))
    return tmp_path


def write_spec(parameters: dict[str, Any] = PARAMETERS, **keys: Any) -> None:
    section = {"parameters": parameters, "trials": 3, **keys}
    Path("spec.json").write_text(json.dumps(SPEC | {"sweep": section}, indent=1))


def search(folder: str, host: Any = None, **options: Any) -> SweepResult:
    return library.sweep("spec.json", folder, threads=1, verbose=0, host=host, **options)


def outcome(trial: Trial) -> tuple[Any, ...]:
    """A duplicate has the value that the other trial has when it is proposed."""
    value = trial.value if trial.duplicate_of is None else None
    return trial.number, trial.values, trial.state, value, trial.curve, trial.duplicate_of, trial.pruned_at


def outcomes(result: SweepResult) -> list[tuple[Any, ...]]:
    return [outcome(trial) for trial in result.trials]


def wait_for(condition: Callable[[], Any], seconds: float = 60.0) -> Any:
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, "nothing has happened"
        time.sleep(0.05)
    return value


def processes(*texts: str) -> list[int]:
    """The numbers of the processes whose command lines have these texts."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            line = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            is_zombie = (folder / "stat").read_text().rpartition(")")[2].split()[0] == "Z"
        except OSError:
            continue
        if all(text in line for text in texts) and not is_zombie:
            found.append(int(folder.name))
    return found


def trial_processes(home: Path) -> list[int]:
    """The processes of trials whose working directory is that of the test."""

    def is_here(number: int) -> bool:
        try:
            return os.readlink(f"/proc/{number}/cwd") == str(home)
        except OSError:
            return False

    return [number for number in processes("jsonnx.pipeline.sweep.trial_main") if is_here(number)]


def parent(number: int) -> int:
    return int(Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[1])


def command(cluster: Cluster, *options: str) -> list[str]:
    address = ["--distributed", "ray", "--address", cluster.address]
    return [sys.executable, "-m", "jsonnx", "sweep", "spec.json", "-o", "out", "--threads", "1", *address, *options]


def start(cluster: Cluster, *options: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(SOURCE)}
    return subprocess.Popen(command(cluster, *options), env=environment, stderr=subprocess.PIPE, text=True)


def epochs_of(folder: str) -> int:
    """The number of epochs that the run in a folder has finished."""
    file = Path(folder, "metrics.jsonl")
    return len(file.read_text().splitlines()) if file.exists() else 0


SLOW = pytest.mark.slow
CONDITIONS = {
    "training.optimizer.type": {"choice": ["adam", "sgd"]},
    "training.optimizer.momentum": {"range": [0.0, 0.9], "when": {"training.optimizer.type": "sgd"}},
}


@pytest.mark.parametrize(
    "keys",
    [
        pytest.param({"sampler": "random", "seeds": 2}, id="random"),
        pytest.param({"sampler": "grid", "parameters": {"width": {"choice": [2, 4, 2]}}}, id="grid", marks=SLOW),
        pytest.param({"sampler": "qmc"}, id="qmc", marks=SLOW),
        pytest.param(
            {"sampler": "tpe", "pruning": {"method": "successive_halving", "reduction_factor": 2}, "trials": 4},
            id="tpe",
        ),
        pytest.param({"parameters": CONDITIONS}, id="conditions", marks=SLOW),
    ],
)
def test_trials_are_those_of_one_machine(keys: dict[str, Any]) -> None:
    write_spec(**keys)
    jobs = 1 if keys.get("sampler") == "tpe" else 2
    local, remote = search("local", jobs=jobs), search("remote", RayTrialHost(), jobs=jobs)
    assert outcomes(remote) == outcomes(local)
    assert all(trial.state in ("finished", "pruned", "duplicate") for trial in remote.trials)
    assert Path("remote/best.json").read_bytes() == Path("local/best.json").read_bytes()
    assert local.best is not None
    runs = [f"trials/{local.best.runs[0].folder.partition('/')[2]}/weights.safetensors"]
    assert [Path("remote", name).read_bytes() for name in runs] == [Path("local", name).read_bytes() for name in runs]
    names = {path.name for path in Path("local").iterdir()}
    assert {path.name for path in Path("remote").iterdir()} == names


def test_a_run_whose_worker_is_killed_goes_on_in_another_one(here: Path) -> None:
    parameters = {"width": {"choice": [2]}}
    write_spec(parameters, trials=1)
    changes = ["training.epochs=150"]
    local = search("local", changes=changes)
    killed: list[int] = []
    messages: list[str] = []

    class Killing(RayTrialHost):
        """Kills the worker of the trial after some epochs, twice."""

        def prepare(self, job: TrialJob, on_status: Callable[[str], None]) -> None:
            super().prepare(job, messages.append)

        def start(self, number: int, job: TrialJob, log_file: Path) -> Any:
            started = super().start(number, job, log_file)
            poll = started.poll

            def poll_and_kill() -> TrialResult | None:
                result = poll()
                epochs = 20 * (len(killed) + 1)
                if result is None and len(killed) < 2 and epochs_of(job.folder) > epochs:
                    (process,) = trial_processes(here)
                    killed.append(parent(process))
                    os.kill(killed[-1], signal.SIGKILL)
                return result

            started.poll = poll_and_kill
            return started

    remote = search("remote", Killing(), changes=changes)
    assert len(set(killed)) == 2
    assert outcomes(remote) == outcomes(local)
    assert len(messages) == 3, messages
    assert re.fullmatch(r"trial 1: its worker on [\d.]+ was lost: .*; restart 1 of 3", messages[1]), messages
    assert not trial_processes(here)


@pytest.mark.slow
def test_a_trial_whose_workers_are_lost_again_and_again_fails(here: Path) -> None:
    write_spec({"width": {"choice": [2, 4]}}, sampler="grid", trials=2)

    class Killing(RayTrialHost):
        """Kills each worker of the first trial."""

        def start(self, number: int, job: TrialJob, log_file: Path) -> Any:
            started = super().start(number, job, log_file)
            poll = started.poll

            def poll_and_kill() -> TrialResult | None:
                result = poll()
                if result is None and number == 1:
                    for process in trial_processes(here):
                        os.kill(parent(process), signal.SIGKILL)
                return result

            started.poll = poll_and_kill
            return started

    result = search("out", Killing())
    assert [trial.state for trial in result.trials] == ["failed", "finished"]
    assert "it was restarted 3 times" in result.trials[0].reasons[0]


@pytest.mark.slow
def test_a_killed_process_of_a_trial_is_a_failed_trial_as_on_one_machine(here: Path) -> None:
    write_spec({"width": {"choice": [2]}}, trials=1)

    class Killing(RayTrialHost):
        def start(self, number: int, job: TrialJob, log_file: Path) -> Any:
            started = super().start(number, job, log_file)
            poll = started.poll

            def poll_and_kill() -> TrialResult | None:
                result = poll()
                if result is None and epochs_of(job.folder):
                    for process in trial_processes(here):
                        os.kill(process, signal.SIGKILL)
                return result

            started.poll = poll_and_kill
            return started

    (trial,) = search("out", Killing(), changes=ENDLESS).trials
    assert (trial.state, len(trial.runs)) == ("failed", 1)
    assert "SIGKILL" in trial.reasons[0]


def test_a_pruned_trial_ends(here: Path) -> None:
    """With an endless second trial, which a pruner ends since it learns nothing."""
    parameters = {LEARNING_RATE: {"choice": [1e-1, 1e-9]}}
    write_spec(parameters, sampler="grid", trials=2, pruning={"method": "median", "min_trials": 1})
    result = search("out", RayTrialHost(), changes=["training.epochs=60"])
    assert [trial.state for trial in result.trials] == ["finished", "pruned"]
    assert result.trials[1].pruned_at is not None
    assert result.trials[1].pruned_at < 60
    assert not trial_processes(here)
    assert not Path("out/trials/0002").exists()


def test_an_interrupted_search_leaves_no_process_and_is_resumed(here: Path, cluster: Cluster) -> None:
    write_spec({"width": {"choice": [2, 4]}}, sampler="grid", trials=2)
    changes = ("--set", "training.epochs=100")
    expected = search("local", changes=[changes[1]], jobs=2)
    with start(cluster, "--jobs", "2", *changes) as sweep:
        wait_for(lambda: epochs_of("out/trials/0001") > 5 and epochs_of("out/trials/0002") > 5)
        sweep.send_signal(signal.SIGINT)
        assert sweep.wait(60) == 128 + signal.SIGINT
    assert [record["runs"][0]["state"] for record in records()] == ["interrupted"] * 2
    wait_for(lambda: not trial_processes(here) and free_cpus() == 2)
    done = subprocess.run(command(cluster, "--jobs", "2", "--resume", *changes), check=True, capture_output=True)
    assert b"finished 2" in done.stdout
    assert [trial.curve for trial in expected.trials] == [record["runs"][0]["curve"] for record in records()]


@pytest.mark.slow
def test_ctrl_c_in_a_terminal_reaches_the_processes_of_an_own_cluster_too() -> None:
    """Ray's processes have the terminal of the search: they must go on until trials have written checkpoints."""
    write_spec({"width": {"choice": [2]}}, trials=1)
    options = ["-o", "out", "--threads", "1", "--distributed", "ray", "--set", ENDLESS[0]]
    program = [sys.executable, "-m", "jsonnx", "sweep", "spec.json", *options]
    environment = {**os.environ, "PYTHONPATH": str(SOURCE)}
    with subprocess.Popen(program, env=environment, stderr=subprocess.PIPE, start_new_session=True) as sweep:
        wait_for(lambda: epochs_of("out/trials/0001") > 5)
        os.killpg(sweep.pid, signal.SIGINT)
        assert sweep.wait(60) == 128 + signal.SIGINT
        assert sweep.stderr is not None
        assert b"Traceback" not in sweep.stderr.read()
    (record,) = records()
    assert record["runs"][0]["state"] == "interrupted"
    assert list(Path("out/trials/0001/checkpoints").iterdir())


@pytest.mark.slow
def test_a_search_whose_driver_is_killed_is_resumed(here: Path, cluster: Cluster) -> None:
    write_spec({"width": {"choice": [2, 4]}}, sampler="grid", trials=2)
    changes = ("--set", "training.epochs=100")
    expected = search("local", changes=[changes[1]], jobs=2)
    with start(cluster, "--jobs", "2", *changes) as sweep:
        wait_for(lambda: epochs_of("out/trials/0001") > 5)
        sweep.kill()
    # At once, while processes of the killed search may still hold the locks of its runs.
    subprocess.run(command(cluster, "--jobs", "2", "--resume", *changes), check=True, capture_output=True)
    assert [trial.curve for trial in expected.trials] == [record["runs"][0]["curve"] for record in records()]
    assert not trial_processes(here)


@pytest.mark.slow
def test_a_run_goes_on_when_its_node_is_lost(here: Path, cluster: Cluster) -> None:
    write_spec({"width": {"choice": [2]}}, trials=1)
    expected = search("local", changes=["training.epochs=100"])
    node = cluster.add_node(num_cpus=3, object_store_memory=OBJECT_STORE_BYTES)
    reached = []

    class Losing(RayTrialHost):
        """Removes the only node with three CPUs, on which the trial runs; then two CPUs are enough."""

        def start(self, number: int, job: TrialJob, log_file: Path) -> Any:
            started = super().start(number, job, log_file)
            poll = started.poll

            def poll_and_remove() -> TrialResult | None:
                if not reached and epochs_of(job.folder) > 20:
                    self._cpus = 2
                    started.make_actor = super(Losing, self).start(number, job, log_file).make_actor
                    cluster.remove_node(node, allow_graceful=False)
                    reached.append(epochs_of(job.folder))
                return poll()

            started.poll = poll_and_remove
            return started

    result = search("out", Losing(cpus_per_trial=3), changes=["training.epochs=100"])
    assert reached
    assert outcomes(result) == outcomes(expected)


def test_trials_on_several_workers_are_those_of_one_machine(here: Path) -> None:
    """The second trial is pruned: its workers have ended before its RUN folder is removed."""
    parameters = {LEARNING_RATE: {"choice": [1e-1, 1e-9]}}
    write_spec(parameters, sampler="grid", trials=2, pruning={"method": "median", "min_trials": 1})
    changes = ['training.distributed={"shards": 4}', "training.epochs=60"]
    local = search("local", changes=changes)
    remote = search("remote", RayTrialHost(workers_per_trial=2), changes=changes)
    assert outcomes(remote) == outcomes(local)
    assert [trial.state for trial in remote.trials] == ["finished", "pruned"]
    assert same_files("trials/0001", "model.onnx", "weights.safetensors", "run.json", "spec.json", "metrics.jsonl")


def same_files(folder: str, *names: str) -> bool:
    return all(Path("local", folder, name).read_bytes() == Path("remote", folder, name).read_bytes() for name in names)


def test_several_workers_need_a_spec_that_is_divided_into_shards() -> None:
    write_spec()
    with pytest.raises(CompileError, match="not-distributed"):
        search("out", RayTrialHost(workers_per_trial=2))


def test_cpus_that_no_node_has_are_an_error(cluster: Cluster) -> None:
    write_spec()
    with pytest.raises(UsageError, match="the 3 CPUs that a trial needs; its nodes have 2"):
        search("out", RayTrialHost(cpus_per_trial=3))
    assert not Path("out").exists()


def test_a_cluster_that_cannot_be_reached_is_an_error() -> None:
    write_spec()
    address = ["--distributed", "ray", "--address", "127.0.0.1:1"]
    program = [sys.executable, "-m", "jsonnx", "sweep", "spec.json", *address]
    done = subprocess.run(program, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "error[ray-cluster]: cannot connect to the cluster '127.0.0.1:1'" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_file_that_is_missing_on_a_node_is_an_error_that_names_the_node(here: Path, cluster: Cluster) -> None:
    """The node is this machine, from which the file vanishes after the search has read it."""
    write_spec()

    class Removing(RayTrialHost):
        def prepare(self, job: TrialJob, on_status: Callable[[str], None]) -> None:
            Path("train.csv").unlink()
            super().prepare(job, on_status)

    with pytest.raises(CompileError) as error:
        search("out", Removing())
    (diagnostic,) = error.value.diagnostics
    assert re.match(r"node [\d.]+: .*'train.csv'", diagnostic.message), diagnostic
    assert not Path("out").exists()


def records() -> list[dict[str, Any]]:
    return [json.loads(path.read_text()) for path in sorted(Path("out/trials").glob("*.json"))]


def free_cpus() -> float:
    import ray

    return ray.available_resources().get("CPU", 0.0)
