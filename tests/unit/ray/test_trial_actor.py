"""The actor of a trial, in this process and with a process of a trial that only pretends."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from jsonnx.core.diagnostics import UsageError
from jsonnx.hyperparameter_search.trials import FAILED, FINISHED
from jsonnx.pipeline.run_folder.run_info import INTERRUPTED
from jsonnx.pipeline.sweep.trial_run import TrialJob, TrialResult
from jsonnx.ray import trial_actor
from jsonnx.ray.trial_actor import TrialActor, TrialStatus

JOB = TrialJob("{}", None, {}, "val_loss", "out/trials/0003")


class PretendedProcess:
    """A process that ends at the third look."""

    calls: list[str]

    def __init__(self, job: TrialJob, log_file: Path) -> None:
        PretendedProcess.calls = [f"start in {Path.cwd().name}, {log_file}"]
        self._curve: list[float | None] = []

    def curve(self) -> list[float | None]:
        return self._curve

    def poll(self) -> TrialResult | None:
        self._curve = [*self._curve, 0.5]
        return TrialResult(FINISHED, 0.5, 1, self._curve) if len(self._curve) == 3 else None

    def tell_to_end(self) -> None:
        self.calls.append("tell_to_end")

    def kill(self) -> None:
        self.calls.append("kill")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory of the search; the node has another one."""
    ray: Any = ModuleType("ray")
    ray.util = ModuleType("ray.util")
    ray.util.get_node_ip_address = lambda: "10.0.0.1"
    monkeypatch.setitem(sys.modules, "ray", ray)
    monkeypatch.setitem(sys.modules, "ray.util", ray.util)
    monkeypatch.setattr(trial_actor, "TrialProcess", PretendedProcess)
    search = tmp_path / "search"
    (search / "out/trials").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    return search


def actor_in(folder: Path) -> TrialActor:
    return TrialActor(3, JOB, str(folder), Path("out/trials/0003.log"))


def test_an_actor_starts_its_process_where_the_search_runs(folder: Path) -> None:
    actor = actor_in(folder)
    assert actor.status() == TrialStatus("10.0.0.1", [0.5], None)
    assert actor.status() == TrialStatus("10.0.0.1", [0.5, 0.5], None)
    result = TrialResult(FINISHED, 0.5, 1, [0.5] * 3)
    assert [actor.status(), actor.status()] == [TrialStatus("10.0.0.1", [0.5] * 3, result)] * 2
    actor.end()
    assert PretendedProcess.calls == ["start in search, out/trials/0003.log"]
    assert repr(actor) == "trial 3"


def test_an_actor_ends_its_process(folder: Path) -> None:
    actor = actor_in(folder)
    actor.status()
    actor.tell_to_end()
    actor.end()
    assert PretendedProcess.calls[1:] == ["tell_to_end", "kill"]


def test_an_actor_waits_for_a_process_that_writes_to_the_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trial_actor, "is_locked", lambda path: True)
    actor = actor_in(folder)
    assert [actor.status(), actor.status()] == [TrialStatus("10.0.0.1", [], None)] * 2
    actor._deadline = 0.0  # then the process reports the lock
    assert actor.status().curve == [0.5]
    actor = actor_in(folder)
    actor.tell_to_end()
    assert actor.status().result == TrialResult(INTERRUPTED)


def test_a_node_that_does_not_see_the_folder_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "out/trials").rmdir()
    for path in (folder, folder / "other"):
        result = actor_in(path).status().result
        assert result is not None
        assert result.state == FAILED
        assert result.reasons[0].startswith("ray-node: node 10.0.0.1: ")


def test_a_process_that_cannot_be_started_is_a_failure(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: Any) -> None:
        raise UsageError("system-failure", "cannot start a process: no memory")

    monkeypatch.setattr(trial_actor, "TrialProcess", fail)
    result = actor_in(folder).status().result
    assert result == TrialResult(FAILED, reasons=["system-failure: cannot start a process: no memory"])
