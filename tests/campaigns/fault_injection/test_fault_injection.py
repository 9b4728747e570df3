"""A few random trials of each kind; `run.py` beside this file runs any number of them."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest
from campaigns.fault_injection import ledger, power_loss, saves
from campaigns.fault_injection.scenarios import TRIALS, Context, choose
from campaigns.fault_injection.server import Fault, build_library, can_inject
from campaigns.fault_injection.workload import Result, Violation

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs fork and signals")

NUMBERS = {
    "kill": [4],  # kills once
    "stop": [0],
    "several": [0],
    "kill at call": range(3),
    "system call": range(6),
    "damage": range(4),
    "full disk": [0],
    "disk full for a while": [0],
}
QUICK_TRIALS = {("kill at call", 1), ("system call", 0), ("system call", 2), ("damage", 1), ("damage", 2)}
"""The trials of the ordinary suite, each below a second of CPU time; `make test-slow` runs the others."""


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Context]:
    context = Context(tmp_path_factory.mktemp("faults"), long_epochs=6, cases=("images",))
    yield context
    context.close()


@pytest.mark.parametrize(
    ("kind", "number"),
    [
        pytest.param(kind, number, marks=[] if (kind, number) in QUICK_TRIALS else pytest.mark.slow)
        for kind, numbers in NUMBERS.items()
        for number in numbers
    ],
)
def test_a_disturbed_run_is_resumed_without_loss(context: Context, kind: str, number: int) -> None:
    (trial,) = (trials[kind] for trials in TRIALS.values() if kind in trials)
    outcome = trial(context, f"{kind.replace(' ', '-')}-{number}", Random(f"test {kind} {number}"))
    if outcome.startswith("skipped"):
        pytest.skip(outcome)


def test_broken_promises_are_found(context: Context) -> None:
    workload = context.short()
    context.forks.train(workload, "good")
    workload.check_whole("good")
    for name in ("metrics.jsonl", "model.onnx", "checkpoints/step-000000000096.safetensors"):
        run = context.new_run(workload, f"bad-{name.partition('.')[0].replace('/', '-')}", "good")
        path = workload.home / run / name
        path.write_bytes(path.read_bytes()[:-1])
        with pytest.raises(Violation, match=name):
            workload.check_whole(run)
    run = context.new_run(workload, "bad-error", "good")
    (workload.home / run / ".jsonnx-00000000.tmp").write_text("")
    with pytest.raises(Violation, match="temporary files"):
        workload.check_error(run, Result(2, f"error[unwritable-file] {run}"))
    for result in (Result(70, "internal error"), Result(2, "error[unwritable-file]"), Result(2, f"error[x] {run}")):
        with pytest.raises(Violation, match="exit status"):
            workload.check_error(run, result)


def test_the_chosen_system_call_fails(context: Context) -> None:
    if not can_inject():
        pytest.skip("no C compiler")
    workload = context.short()
    calls = context.calls(workload, "")
    assert calls.index("mkdir") < calls.index("open")
    assert {"open", "write", "fsync", "rename", "unlink", "flock"} <= {*calls}
    number = calls.index("rename") + 1
    result = context.forks.train(workload, "failing", Fault(number, "fail", "EDQUOT"))
    assert "quota exceeded" in result.output
    assert len(context.forks.calls()) > number
    workload.check_error("failing", result)
    assert not (workload.home / "failing").exists()


@pytest.mark.parametrize("stride", [70, pytest.param(5, marks=pytest.mark.slow)])
def test_nothing_is_lost_if_a_system_call_of_a_save_fails(tmp_path: Path, stride: int) -> None:
    if not can_inject():
        pytest.skip("no C compiler")
    outcomes = saves.run(tmp_path, build_library(tmp_path), stride)
    assert {outcome for outcome in outcomes.values() if outcome.startswith("broken")} == set()
    assert {"killed", "error"} <= {*outcomes.values()}


@pytest.fixture(scope="module")
def recorded(context: Context, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[power_loss.Change]]:
    """The folder of a workload as before a run, and the changes of the run."""
    if not can_inject():
        pytest.skip("no C compiler")
    workload, before = context.short(), tmp_path_factory.mktemp("before") / "home"
    shutil.copytree(workload.home, before)
    changes = power_loss.read_changes(context.forks.record(workload, "recorded"))
    return before, [power_loss.moved(change, workload.home, before) for change in changes]


def test_what_is_written_survives_a_power_loss(recorded: tuple[Path, list[power_loss.Change]]) -> None:
    before, changes = recorded
    assert {"mkdir", "create", "write", "truncate", "fsync", "rename", "unlink", "mark"} >= {c.kind for c in changes}
    found = [*power_loss.states(before, "recorded", changes, (*power_loss.Survival.MODES, "random"))]
    assert len(found) > 100
    assert {"checkpoints", "run.json", "model.onnx"} <= found[-1].tree.keys()


@pytest.mark.parametrize("suffix", ["", "recorded", "checkpoints", ".tmp"])
def test_a_lack_of_flushing_is_found(recorded: tuple[Path, list[power_loss.Change]], suffix: str) -> None:
    before, changes = recorded
    flushed = [c for c in changes if c.kind != "fsync" or not c.path.endswith(suffix)]
    assert len(flushed) < len(changes)
    with pytest.raises(Violation, match="is lost after change"):
        [*power_loss.states(before, "recorded", flushed, power_loss.Survival.MODES)]


@pytest.mark.slow
def test_a_run_is_resumed_after_a_power_loss(context: Context, recorded: tuple[Path, list[power_loss.Change]]) -> None:
    before, changes = recorded
    found = [*power_loss.states(before, "recorded", changes, ("none", "random 1", "random 2"))]
    for state in Random(5).sample(found, 6):
        power_loss.check(context, context.short(), f"lost-{state.number}", state)


def test_every_kind_of_trial_is_chosen() -> None:
    for option, trials in TRIALS.items():
        assert {choose(option, Random(seed)) for seed in range(200)} == {*trials}


def test_the_ledger_has_no_broken_promise() -> None:
    assert ledger.count() > 0
    assert ledger.read()["broken"] == []
