"""Runs of trials on Ray, with a Ray that only pretends: tests/environments/ray has a real cluster."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from jsonnx.backend import package_version
from jsonnx.core.diagnostics import UsageError
from jsonnx.hyperparameter_search.trials import FAILED, FINISHED
from jsonnx.pipeline.run_folder.run_info import INTERRUPTED
from jsonnx.pipeline.sweep.trial_process import TrialProcess
from jsonnx.pipeline.sweep.trial_run import TrialJob, TrialResult
from jsonnx.ray import cluster, trial_host
from jsonnx.ray.cluster import Node, capacity, cause_of
from jsonnx.ray.trial_actor import TrialStatus
from jsonnx.ray.trial_checks import NodeCheck
from jsonnx.ray.trial_host import MAX_RESTARTS, TRIAL_MODULE, RayRun, RayTrialHost, WorkersRun


class RayError(Exception):
    """The base class of Ray's errors."""


class ActorUnavailableError(RayError):
    """An actor that may answer again."""


class PretendedRay:
    """Answers of actors at once."""

    exceptions = SimpleNamespace(RayError=RayError, ActorUnavailableError=ActorUnavailableError)

    def __init__(self) -> None:
        self.killed: list[PretendedActor] = []

    def wait(self, answers: list[Any], timeout: float) -> tuple[list[Any], list[Any]]:
        return answers, []

    def get(self, answer: Any, timeout: float | None = None) -> Any:
        if isinstance(answer, Exception):
            raise answer
        return answer

    def kill(self, actor: PretendedActor) -> None:
        self.killed.append(actor)


class PretendedActor:
    """An actor with the answers that it gives one after the other."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.calls: list[str] = []
        self.status = SimpleNamespace(remote=lambda: self.answers.pop(0))
        self.tell_to_end = SimpleNamespace(remote=lambda: self.calls.append("tell_to_end"))
        self.end = SimpleNamespace(remote=lambda: self.calls.append("end"))


@pytest.fixture(autouse=True)
def without_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trial_host, "SECONDS_BETWEEN_REQUESTS", 0.0)


def running(*curve: float) -> TrialStatus:
    return TrialStatus("10.0.0.1", list(curve), None)


def ended(state: str, *curve: float) -> TrialStatus:
    return TrialStatus("10.0.0.1", list(curve), TrialResult(state, curve=list(curve)))


def run_of(*actors: PretendedActor) -> tuple[RayRun, list[str]]:
    messages: list[str] = []
    waiting = list(actors)
    make: Callable[[], PretendedActor] = lambda: waiting.pop(0)  # noqa: E731
    return RayRun(PretendedRay(), 7, make, messages.append), messages


def test_a_run_reports_its_curve_and_then_its_result() -> None:
    actor = PretendedActor(running(), running(0.5), ended(FINISHED, 0.5, 0.4))
    run, messages = run_of(actor)
    assert (run.poll(), run.curve()) == (None, [])
    assert (run.poll(), run.curve()) == (None, [0.5])
    assert run.poll() == TrialResult(FINISHED, curve=[0.5, 0.4])
    assert (run.ray.killed, messages) == ([actor], [])


def test_a_lost_worker_is_replaced_and_the_curve_is_kept() -> None:
    lost = PretendedActor(running(0.5), RayError("The actor died.\n\tpid: 3\nThe node has died."))
    run, messages = run_of(lost, PretendedActor(running(), ended(FINISHED, 0.5, 0.4)))
    assert [run.poll(), run.poll(), run.poll()] == [None, None, None]
    assert run.curve() == [0.5]
    assert run.poll() == TrialResult(FINISHED, curve=[0.5, 0.4])
    assert messages == ["trial 7: its worker on 10.0.0.1 was lost: The node has died.; restart 1 of 3"]


def test_a_worker_that_cannot_be_reached_for_a_while_is_not_lost() -> None:
    run, messages = run_of(PretendedActor(running(0.5), ActorUnavailableError("network"), running(0.5, 0.4)))
    assert [run.poll(), run.poll(), run.poll()] == [None, None, None]
    assert (run.curve(), messages) == ([0.5, 0.4], [])


def test_a_run_is_not_restarted_without_end() -> None:
    run, messages = run_of(*[PretendedActor(RayError("lost")) for _ in range(MAX_RESTARTS + 1)])
    results = [run.poll() for _ in range(MAX_RESTARTS + 1)]
    assert results[:-1] == [None] * MAX_RESTARTS
    assert results[-1] == TrialResult(FAILED, reasons=["its worker was lost: lost; it was restarted 3 times"])
    assert len(messages) == MAX_RESTARTS


def test_a_run_that_something_else_has_stopped_goes_on() -> None:
    run, messages = run_of(PretendedActor(ended(INTERRUPTED, 0.5)), PretendedActor(ended(FINISHED, 0.5, 0.4)))
    assert run.poll() is None
    assert run.poll() == TrialResult(FINISHED, curve=[0.5, 0.4])
    assert messages == ["trial 7: a signal has ended its process on 10.0.0.1; restart 1 of 3"]


@pytest.mark.parametrize("answer", [ended(INTERRUPTED, 0.5), RayError("lost")], ids=["told", "lost"])
def test_a_run_that_the_search_ends_is_interrupted(answer: Any) -> None:
    actor = PretendedActor(running(0.5), answer)
    run, messages = run_of(actor)
    assert run.poll() is None
    run.tell_to_end()
    assert actor.calls == ["tell_to_end"]
    assert run.poll() == TrialResult(INTERRUPTED, curve=[0.5])
    assert messages == []


def test_a_run_that_waits_for_cpus_ends_at_once() -> None:
    actor = PretendedActor()
    run, _ = run_of(actor)
    run.tell_to_end()
    assert run.poll() == TrialResult(INTERRUPTED)
    assert (run.ray.killed, actor.calls) == ([actor], [])


def test_a_killed_run_has_ended_its_process_before() -> None:
    actor = PretendedActor(running(0.5))
    run, _ = run_of(actor)
    run.poll()
    run.kill()
    assert (actor.calls, run.ray.killed) == (["end"], [actor])


NODES = [Node("a", "10.0.0.1", 8), Node("b", "10.0.0.2", 4), Node("c", "10.0.0.3", 0)]


def host_on(nodes: list[Node], cpus_per_trial: float | None = None, workers: int | None = None) -> RayTrialHost:
    host = RayTrialHost(cpus_per_trial=cpus_per_trial, workers_per_trial=workers)
    host._cluster = SimpleNamespace(nodes=nodes)  # type: ignore[assignment]
    return host


@pytest.mark.parametrize(("jobs", "threads"), [(1, 8), (2, 4), (3, 4), (4, 2), (6, 2), (12, 1), (100, 1)])
def test_the_cpus_of_a_cluster_are_divided_among_trials(jobs: int, threads: int) -> None:
    assert host_on(NODES).threads_per_trial(jobs) == threads
    assert capacity(NODES, threads) >= min(jobs, 12)


def test_threads_follow_the_cpus_of_a_trial() -> None:
    assert [host_on(NODES, cpus).threads_per_trial(2) for cpus in (0.5, 1, 3)] == [1, 1, 3]


def test_the_cpus_of_a_trial_are_divided_among_its_workers() -> None:
    assert [host_on(NODES, workers=workers).threads_per_trial(2) for workers in (1, 2, 3)] == [4, 2, 2]
    assert [host_on(NODES, cpus, 2).threads_per_trial(2) for cpus in (1, 4, 5)] == [1, 2, 2]


def test_a_trial_that_fits_on_no_node_is_an_error() -> None:
    job = TrialJob("{}", None, {}, "val_loss", "out", {"threads": 9})
    with pytest.raises(UsageError, match="lacks the 9 CPUs that a trial needs; its nodes have 8, 4, 0"):
        host_on(NODES).prepare(job, print)


SPEC = """{
  "inputs": {"x": {"shape": [1]}},
  "layers": [{"type": "Dense", "name": "y", "units": 1}],
  "training": {"loss": "mse", "data": {"train": "train.csv"}}
}"""


@pytest.fixture
def shared(tmp_path: Path) -> Path:
    (tmp_path / "train.csv").write_text("x,y\n1,2\n")
    (tmp_path / "out").mkdir()
    (tmp_path / "out/.jsonnx-0123.tmp").write_text("0123")
    return tmp_path


def node_check(folder: Path, **options: Any) -> NodeCheck:
    return NodeCheck(str(folder), TrialJob(SPEC, "spec.json", {}, "loss", "out", options), "0123", package_version())


def test_a_node_that_sees_everything_has_no_errors(shared: Path) -> None:
    assert node_check(shared).errors() == []
    assert len(list((shared / "out").iterdir())) == 2


def test_a_node_without_the_shared_folder_is_told(shared: Path) -> None:
    (error,) = node_check(shared / "other").errors()
    assert (error.code, error.message.partition(":")[0]) == ("ray-node", "it does not see the same folders")
    (shared / "out/.jsonnx-0123.tmp").write_text("another folder of this name")
    (error,) = node_check(shared).errors()
    assert "has another content" in error.message


def test_a_file_that_a_node_lacks_is_told_with_its_place_in_the_spec(shared: Path) -> None:
    (error,) = node_check(shared, validation_data="more.csv").errors()
    assert (error.code, error.message) == ("unreadable-file", "there is no file 'more.csv'")
    (shared / "train.csv").unlink()
    (error,) = node_check(shared).errors()
    assert (error.file, error.line) == ("spec.json", 4)
    assert "train.csv" in error.message


def test_a_data_root_that_a_node_lacks_is_told(shared: Path) -> None:
    (error,) = node_check(shared, data_roots=["more"]).errors()
    assert "'more'" in error.message


def test_another_version_of_jsonnx_on_a_node_is_told(shared: Path) -> None:
    check = node_check(shared)
    (error,) = NodeCheck(check.folder, check.job, check.probe, "0.0.1").errors()
    assert error.message == f"it has jsonnx {package_version()}, the search is run by 0.0.1"


def test_the_last_sentence_of_an_error_is_its_cause() -> None:
    assert cause_of(RuntimeError()) == "runtimeError"


@pytest.mark.parametrize("address", ["127.0.0.1:{}", "ray://localhost:{}"])
def test_whether_something_listens_at_an_address(address: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        cluster._require_listener(address.format(port))
    with pytest.raises(OSError, match="refused"):
        cluster._require_listener(address.format(port))
    cluster._require_listener("auto")


def test_a_run_on_workers_has_a_process_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With zero workers: the process trains by itself, without Ray."""
    monkeypatch.chdir(tmp_path)
    Path("train.csv").write_text("x,y\n" + "".join(f"{i},{2 * i}\n" for i in range(8)))
    text = SPEC.replace('"loss": "mse"', '"loss": "mse", "epochs": 2, "distributed": {"shards": 2}')
    job = TrialJob(text, "spec.json", {"training.batch_size": 4}, "loss", "out/0001", {"seed": 1, "threads": 1})
    Path("out").mkdir()
    run = WorkersRun(TrialProcess(job, Path("out/0001.log"), (TRIAL_MODULE, "", "0", "1")))
    deadline = time.monotonic() + 60
    while (result := run.poll()) is None and time.monotonic() < deadline:
        time.sleep(0.05)
    assert result is not None
    assert (result.state, len(result.curve)) == (FINISHED, 2), result.reasons
    assert Path("out/0001/model.onnx").exists()
    assert not Path("out/0001.log").exists()
    run.kill()
